"""What each benchmark concludes from its figures: a promise that does not hold is told, and only that one."""

import copy
import importlib
import json
from typing import Any

import pytest

from benchmarks import demo, install
from benchmarks.__main__ import NAMES
from benchmarks.benchmark import Benchmark, Figures

Path = tuple[str | int, ...]


_LOOK = {"first": 0.4, "all": 0.6, "charts": 1.5, "shift": 0.0, "html": 3000, "requests": 4}


def _run(seconds: float, peak: float = 600) -> list[dict[str, float]]:
    return [{"seconds": seconds, "cpu": seconds, "peak_mib": peak, "rows": 1, "start": 5}]


def _scale(scale: int, ours: float, reference: float, read: float) -> dict[str, Any]:
    runs = {"ours": _run(ours), "reference": _run(reference), "read": _run(read), "text": _run(1)}
    peers = {name: _run(1) for name in ("duckdb", "polars", "bytes")}
    return {"scale": scale, "tracks": 20_000 * scale, "runs": {**runs, **peers}}


def _storm(count: int) -> dict[str, Any]:
    return {
        "seconds": count / 1000,
        "cpu": count / 2000,
        "listings": count / 100,
        "decided_early": 0,
        "decided": True,
        "grown_mib": 3.0,
        "peak_mib": 100.0,
    }


GOOD: dict[str, Figures] = {
    "install": {
        "clone": 1.0,
        "total": 60.0,
        "demo": {"total": 30.0, "emulators": 3.0, "fetch": 4.0, "cluster": 0.2, "spark": 20.0},
        "rows": 9,
        "lists": {"local": 25.0, "bigquery-emulator": 9.0},
        "cached_bytes": 2.5e9,
    },
    "transform": {"archived": True, "scales": [_scale(1, 4, 9, 3), _scale(10, 8, 25, 5)]},
    "storage": {"albums": 2400, "reference": 64e6, "ours": 2e6, "lines": 24e6, "zstd": {"3": 1.6e6, "19": 1.4e6}},
    "publish": {"tick": 0.1, "publisher": {"1000": 0.2, "10000": 2.0}, "limit": {"1000": 0.1, "10000": 0.5}},
    "barrier": {"runs": {"1000": _storm(1000), "10000": _storm(10_000)}},
    "receive": {
        "requests": 1000,
        "runs": {
            "ours": _run(0.12),
            "functions-framework": _run(0.5),
        },
    },
    "overload": {
        "services": {
            "scheduler": {
                "kept_up": 50,
                "broke": {"offered": 100, "reached": 60},
                "sent": 9,
                "given_back": 2,
                "lost": 0,
            }
        }
    },
    "look": {
        "weeks": 52,
        "rows": 1_000_000,
        "rounds": [{"load": 1.0, "cold": _LOOK | {"first": 1.0}, "warm": _LOOK}],
    },
    "demo": {
        "demo": {
            "total": 40.0,
            "install": 0.0,
            "emulators": 6.0,
            "fetch": 3.0,
            "cluster": 0.2,
            "spark": 27.0,
            "load": 0.4,
            "dashboard": 1.0,
            "stop": 1.0,
        },
        "calls": 100,
        "loading": 0.4,
        "emulators": 5.0,
        "session": 6.0,
        "job": 21.0,
        "archived": True,
    },
    "cost": {"receipt": {"spark": 30.0}, "jobs": {"ours": 8.0, "reference": 16.0}},
}
BAD: list[tuple[str, Path, Any]] = [
    ("install", ("total",), 80.0),
    ("transform", ("scales", 0, "runs", "reference"), _run(5)),
    ("transform", ("scales", 1, "runs", "reference"), _run(15)),
    ("transform", ("scales", 1, "runs", "read"), _run(3.9)),
    ("transform", ("scales", 1, "runs", "ours", 0, "peak_mib"), 9000),
    ("storage", ("ours",), 4e6),
    ("publish", ("tick",), 2.0),
    ("publish", ("publisher",), {"1000": 1.2, "10000": 12.0}),
    ("publish", ("publisher", "10000"), 3.0),
    ("barrier", ("runs", "10000", "listings"), 300),
    ("barrier", ("runs", "10000", "cpu"), 9.0),
    ("barrier", ("runs", "10000", "grown_mib"), 50.0),
    ("barrier", ("runs", "10000", "decided_early"), 1),
    ("barrier", ("runs", "10000", "decided"), False),
    ("receive", ("runs", "functions-framework"), _run(0.2)),
    ("overload", ("services", "scheduler", "lost"), 1),
    ("demo", ("job",), 10.0),
    ("look", ("rounds", 0, "cold", "first"), 1.6),
    ("look", ("rounds", 0, "warm", "first"), 0.6),
    ("look", ("rounds", 0, "warm", "all"), 1.1),
    ("look", ("rounds", 0, "warm", "charts"), 2.1),
    ("look", ("rounds", 0, "cold", "shift"), 0.02),
    ("cost", ("jobs", "ours"), 400.0),
]


def benchmark(name: str) -> Benchmark:
    found: Benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    return found


def broken(name: str, figures: Figures) -> list[str]:
    return [claim.what for claim in benchmark(name).claims(figures) if not claim.held]


@pytest.mark.parametrize("name", GOOD)
def test_promises_that_hold_are_not_broken_and_have_a_page(name: str) -> None:
    """Good figures pass, and the page shows them."""
    assert broken(name, GOOD[name]) == []
    assert "| ---" in benchmark(name).section(GOOD[name])
    assert set(NAMES) - set(GOOD) == {"fetch"}


@pytest.mark.parametrize(("name", "path", "value"), BAD)
def test_each_broken_promise_is_told_alone(name: str, path: Path, value: Any) -> None:
    """One figure that is not good enough breaks the one promise that is about it."""
    figures = copy.deepcopy(GOOD[name])
    inner: Any = figures
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert len(broken(name, figures)) == 1


@pytest.mark.parametrize("name", GOOD)
def test_claims_that_are_compared_have_names_of_their_own(name: str) -> None:
    """Two ratios under one name would hide each other from the comparison with the committed ones."""
    compared = [claim.what for claim in benchmark(name).claims(GOOD[name]) if claim.ratio is not None]
    assert len(compared) == len(set(compared))


def test_only_the_load_itself_is_the_warehouse_s_share_of_a_demo() -> None:
    """What the emulator does before the staging table and after it is gone is not charged to it."""
    asked = [
        ("POST", "/bigquery/v2/tables", 700),
        ("DELETE", "/bigquery/v2/tables/a_view", 700),
        ("POST", "/bigquery/v2/tables", 200),
        ("POST", "/bigquery/v2/jobs", 150),
        ("DELETE", "/bigquery/v2/tables/staging_x", 50),
        ("POST", "/bigquery/v2/jobs", 900),
    ]
    lines = [
        json.dumps({"event": "http.request", "method": method, "path": path, "elapsed_ms": spent})
        for method, path, spent in asked
    ]
    assert demo.loading_seconds("\n".join(["Started server process", *lines])) == 0.4


def test_the_stages_of_a_demo_add_up_to_all_of_it() -> None:
    """What no stage accounts for is told as well, and no second that is not ours is counted twice."""
    told = demo.stages(GOOD["demo"])
    assert sum(took for _, took, _, _ in told) == pytest.approx(40.0)
    assert sum(others for _, _, others, _ in told) == pytest.approx(sum(demo.limits(GOOD["demo"]).values()))


def test_the_stages_of_an_installation_add_up_to_all_of_it() -> None:
    """The environments are made side by side: their seconds are told, and counted once."""
    assert sum(seconds for _, seconds, _ in install.stages(GOOD["install"])) == pytest.approx(60.0)
