"""What the benchmarks conclude from their figures, and the page they share."""

import importlib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.benchmark import Benchmark, Figures
from benchmarks.check import regressions
from benchmarks.fetch import Run, claims, section
from benchmarks.report import kept_rows, merged, table, write
from benchmarks.results import load, result_of, save
from benchmarks.subjects import peers
from contracts.columns import COLUMNS


def figures(at: int = 0, **changes: float) -> Figures:
    """Figures of a fetch with which every promise holds, but for the changes to one run."""
    mine = Run(name="", seconds=5, calls=60, bound=60, tracks=9, expected=9, lost=0, peak_mib=100)
    named = [
        replace(mine, name=f"ours, {mode} app, {week} week")
        for mode in ("extended", "developer")
        for week in ("first", "second")
    ]
    reference = replace(mine, name="reference", seconds=900, bound=None, tracks=5, peak_mib=None)
    on_developer_app = replace(reference, tracks=0, lost=48)
    runs = [reference, on_developer_app, *named, replace(mine, name="long", seconds=90, calls=900, bound=900)]
    runs[at] = replace(runs[at], **changes)  # type: ignore[arg-type]  # numbers all
    return {"runs": [asdict(run) for run in runs]}


def test_promises_of_the_fetch_that_hold_are_not_broken() -> None:
    """The benchmark ends well only if every figure of the design holds."""
    assert [claim.what for claim in claims(figures()) if not claim.held] == []
    assert claims(figures())[0].ratio is None
    assert claims(figures())[1].ratio == 180
    assert "ours, developer app, second week" in section(figures())


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        (2, {"calls": 61}),
        (3, {"tracks": 8}),
        (4, {"lost": 1}),
        (5, {"peak_mib": 300}),
        (0, {"seconds": 400}),
        (-1, {"seconds": 110}),
    ],
)
def test_each_broken_promise_of_the_fetch_is_told(at: int, changes: dict[str, float]) -> None:
    """Too many calls, lost tracks, lost markets, memory, speed, and time on a long run: each alone is a failure."""
    assert len([claim for claim in claims(figures(at, **changes)) if not claim.held]) == 1


def test_a_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    """One benchmark rewrites its own section of the page, never another's."""
    page = tmp_path / "benchmarks.md"
    write("one", "first", page)
    write("two", "other", page)
    write("one", "second", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Benchmarks")
    assert "first" not in text
    assert text.index("second") < text.index("other")


def test_a_row_that_was_not_measured_again_stays(tmp_path: Path) -> None:
    """One benchmark run alone in a fresh clone takes nothing of the others from the summary."""
    page = tmp_path / "benchmarks.md"
    write("summary", table(["what", "ours"], [["a", "1 s"], ["b", "2 s"]]), page)
    rows = merged(kept_rows("summary", page), [["b", "3 s"], ["new", "4 s"]])
    assert [list(row) for row in rows] == [["new", "4 s"], ["a", "1 s"], ["b", "3 s"]]
    assert kept_rows("summary", tmp_path / "none.md") == []


def test_a_table_is_markdown() -> None:
    """The page shows it as a table."""
    assert table(["a", "b"], [["x", 1]]).splitlines() == ["| a | b |", "| --- | ---: |", "| x | 1 |"]


@pytest.mark.parametrize("now", [0.74, 0.0])
def test_a_ratio_that_fell_beyond_the_tolerance_is_a_regression(now: float) -> None:
    """What got slower must be seen, with both figures."""
    found = regressions({"transform": {"ours": 1.0, "other": 1.0}}, {"transform": {"ours": now, "other": 1.0}})
    assert len(found) == 1
    assert "transform, ours: was 1.00" in found[0]


@pytest.mark.parametrize("now", [0.76, 1.0, 9.0])
def test_noise_and_progress_are_no_regression(now: float) -> None:
    """A gate that fails on noise is a gate that nobody heeds."""
    assert regressions({"a": {"b": 1.0}}, {"a": {"b": now, "new": 0.1}, "more": {"c": 1}}) == []


def test_a_ratio_that_is_no_longer_measured_is_a_regression() -> None:
    """Dropping a benchmark must not pass for keeping its promise."""
    assert len(regressions({"a": {"b": 1.0, "c": 2.0}, "d": {"e": 1.0}}, {"a": {"b": 1.0}})) == 2


def test_results_are_kept_one_by_one(tmp_path: Path) -> None:
    """A benchmark that fails loses nothing of the others, and a small trial nothing of a full run."""
    for name, size, value in [("a", "full", 1), ("b", "full", 2), ("a", "small", 3), ("b", "full", 4)]:
        save(result_of(name, "small" if size == "small" else "full", {"value": value}, seconds=1), tmp_path)
    kept = [load("a", "full", tmp_path), load("a", "small", tmp_path), load("b", "full", tmp_path)]
    assert [result.figures["value"] for result in kept if result] == [1, 3, 4]
    assert load("b", "small", tmp_path) is None


def test_each_module_is_the_benchmark_of_its_name() -> None:
    """`make bench-<name>` runs what it says."""
    from benchmarks.__main__ import NAMES  # noqa: PLC0415 -- the table under test

    for name in NAMES:
        found: Benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
        assert found.name == name


def test_the_peers_make_the_columns_of_the_table() -> None:
    """Whoever makes fewer columns is faster: the comparison would be void, and nothing else would say so."""
    worked_out = [column.name for column in COLUMNS if column.source is None]
    assert sorted(peers.WORKED_OUT) == sorted(worked_out)
