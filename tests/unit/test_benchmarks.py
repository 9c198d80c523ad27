"""What the benchmarks conclude from their figures, and the page they share."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fetch import Run, broken_promises, section
from benchmarks.report import table, write


def runs() -> list[Run]:
    """Figures with which every promise holds."""
    mine = Run(name="", seconds=5, calls=60, bound=60, tracks=9, expected=9, lost=0, peak_mib=100)
    named = [
        replace(mine, name=f"ours, {mode} app, {week} week")
        for mode in ("extended", "developer")
        for week in ("first", "second")
    ]
    reference = replace(mine, name="reference", seconds=900, bound=None, tracks=5, peak_mib=None)
    return [reference, *named, replace(mine, name="long", seconds=90, calls=900, bound=900)]


def test_promises_that_hold_are_not_broken() -> None:
    """The benchmark ends well only if every figure of the design holds."""
    assert broken_promises(runs()) == []
    assert "180 times faster" in section(runs())


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        (1, {"calls": 61}),
        (2, {"tracks": 8}),
        (3, {"lost": 1}),
        (4, {"peak_mib": 300}),
        (0, {"seconds": 400}),
        (-1, {"seconds": 110}),
    ],
)
def test_each_broken_promise_is_told(at: int, changes: dict[str, float]) -> None:
    """Too many calls, lost tracks, lost markets, memory, speed, and time on a long run: each alone is a failure."""
    measured = runs()
    measured[at] = replace(measured[at], **changes)  # type: ignore[arg-type]  # numbers all
    assert len(broken_promises(measured)) == 1


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


def test_a_table_is_markdown() -> None:
    """The page shows it as a table."""
    assert table(["a", "b"], [["x", 1]]).splitlines() == ["| a | b |", "| --- | ---: |", "| x | 1 |"]
