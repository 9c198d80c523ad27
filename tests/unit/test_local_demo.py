"""When the demo is content with a run, and what it says when it is not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.documents import LoadResult, Manifest, MissingMarket, Receipt
from local import demo
from local.choices import Choices, Credentials
from local.demo import DemoError, Seen
from local.troubles import Trouble
from tests.builders import decision

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
MANIFEST = Manifest(
    run_id="2026-11-23", markets=("DK", "SE"), reason="demo", created_at=NOW, deadline=NOW, requested_by="tick"
)
RECEIPT = Receipt(
    run_id="2026-11-23",
    revision=1,
    outcome="loaded",
    close_reason="complete",
    landed=("DK", "SE"),
    job_state="DONE",
    load=LoadResult(run_id="2026-11-23", revision=1, files=2, albums=10, tracks=120, rows=120, quarantined=0),
    seconds={"fetch": 2.0, "cluster": 3.0, "spark": 20.0, "total": 26.5},
    trace_id="0" * 32,
    decided_at=NOW,
    finished_at=NOW,
)
DECISION = decision("DK SE")
SEEN = Seen(manifest=MANIFEST, calls={"DK": 7, "SE": 5}, receipt=RECEIPT)
SECONDS = {"total": 30.0, "install": 0.0, "emulators": 8.0}


def report(seen: Seen = SEEN, *, rows: int = 120, clusters_left: int = 0) -> dict[str, object]:
    """The report of a run that is complete unless told otherwise."""
    return demo.report_of(seen, rows=rows, clusters_left=clusters_left, seconds=SECONDS)


def test_the_report_says_what_wrote_to_bigquery() -> None:
    """Google's own connector, by its version, or what stands in for it: only the one proves the other."""
    made = demo.report_of(
        SEEN, rows=1, clusters_left=0, seconds=SECONDS, connector=Path("/x/spark-bigquery-1.2.jar")
    )
    assert made["bigquery_connector"] == "spark-bigquery-1.2"


def test_the_report_has_exactly_the_documented_keys() -> None:
    """Others read `.local/demo.json`; its shape is a promise."""
    assert report() == {
        "run_id": "2026-11-23",
        "markets": {"expected": 2, "landed": 2, "missing": []},
        "albums": 10,
        "tracks": 120,
        "rows": 120,
        "quarantined": 0,
        "revision": 1,
        "job_state": "DONE",
        "bigquery_connector": "stand-in",
        "clusters_left": 0,
        "seconds": {
            "total": 30.0,
            "install": 0.0,
            "emulators": 8.0,
            "fetch": 2.0,
            "cluster": 3.0,
            "spark": 20.0,
            "load": 1.5,
        },
        "api_calls": 12,
    }


def test_a_complete_run_has_no_fault() -> None:
    """Exit status 0 means: all landed, loaded, counted as expected, nothing left."""
    assert demo.faults_of(report(), SEEN, 120) == []


def test_against_the_real_api_no_figure_is_known_beforehand() -> None:
    """Only the simulator's catalogue says how many rows there must be."""
    assert demo.faults_of(report(), SEEN, None) == []


@pytest.mark.parametrize(
    ("changes", "rows", "left", "fault"),
    [
        (
            {"landed": ("DK",), "missing": (MissingMarket(market="SE", reason="gone"),), "outcome": "partial"},
            120,
            0,
            "missing markets: SE",
        ),
        ({"outcome": "failed", "error": "the job broke"}, 120, 0, "the run is failed: the job broke"),
        ({"job_state": "ERROR"}, 120, 0, "the Spark job is ERROR"),
        ({}, 119, 0, "119 rows of the run, Spotify's answers make 120"),
        ({}, 240, 0, "240 rows"),
        ({}, 120, 1, "1 cluster(s) still there"),
    ],
)
def test_anything_less_is_a_fault(changes: dict[str, object], rows: int, left: int, fault: str) -> None:
    """Each way to be incomplete keeps the demo from exit status 0 and is said."""
    seen = Seen(manifest=MANIFEST, calls=SEEN.calls, receipt=RECEIPT.model_copy(update=changes))
    assert fault in "; ".join(demo.faults_of(report(seen, rows=rows, clusters_left=left), seen, 120))


def test_quarantined_records_are_a_fault() -> None:
    """The simulator's answers are all readable; one that is not is a fault of ours."""
    assert RECEIPT.load is not None
    load = RECEIPT.load.model_copy(update={"quarantined": 3})
    seen = Seen(manifest=MANIFEST, receipt=RECEIPT.model_copy(update={"load": load}))
    assert "3 records are in quarantine" in demo.faults_of(report(seen), seen, 120)


def test_a_run_without_receipt_has_no_report() -> None:
    """There is nothing to say about a run that never finished."""
    with pytest.raises(DemoError, match="no receipt"):
        report(Seen(manifest=MANIFEST))


@pytest.mark.parametrize(
    ("changes", "log"),
    [
        ({"landed": ("DK",)}, "market_fetcher.log"),
        ({"job_state": "ERROR"}, "dataproc.log"),
        ({}, "cluster_manager.log"),
    ],
)
def test_the_log_that_is_named_is_the_one_of_the_failed_stage(changes: dict[str, object], log: str) -> None:
    """Who reads the error knows where to read on."""
    seen = Seen(manifest=MANIFEST, receipt=RECEIPT.model_copy(update=changes))
    assert demo.log_of(report(seen)) == log


def test_what_is_expected_follows_from_the_choices() -> None:
    """More albums and more markets make more rows; the real API makes none that are known beforehand."""
    one = demo.expected_rows(Choices(home=Path(), markets=("DK",), albums=5), "2026-11-23")
    two = demo.expected_rows(Choices(home=Path(), markets=("DK", "SE"), albums=5), "2026-11-23")
    assert one
    assert two
    assert one < two
    real = Choices(home=Path(), spotify=Credentials("me", "mine"))
    assert demo.expected_rows(real, "2026-11-23") is None


def test_the_summary_says_where_to_look() -> None:
    """Every place is inside the stack's folder, by run."""
    places = demo.where(Choices(home=Path("/clone/.local/demo")), "2026-11-23", Path("/clone/.local/demo.json"))
    assert places["raw parts"] == "/clone/.local/demo/storage/new-releases/raw/2026-11-23/"
    assert places["run documents"] == "/clone/.local/demo/storage/new-releases/runs/2026-11-23/"


def test_the_living_line_says_how_far_the_fetch_is_or_what_keeps_it() -> None:
    """A stage that only says its name for a minute looks dead."""
    fetching = Seen(manifest=MANIFEST, calls={"DK": 7})
    assert demo.waited_for(fetching, None) == "1 of 2 have landed"
    assert demo.waited_for(fetching, Trouble("no token")) == "no token"
    assert demo.waited_for(Seen(manifest=MANIFEST, decision=DECISION), None) == ""


@pytest.mark.parametrize(
    ("faults", "known"),
    [
        ("floats", True),
        ("gone", False),
        ("nothing-new", False),
        ('[{"effect": "market_ignored"}]', False),
        ('[{"effect": "frozen"}]', False),
        (None, True),
    ],
)
def test_rows_are_expected_where_the_faults_leave_them(faults: str | None, *, known: bool) -> None:
    """Faults that Spotify makes good must not cost a row; those that it does not may."""
    choices = Choices(home=Path("x"), markets=("DK",), run_date="2026-11-23", faults=faults)
    assert (demo.expected_rows(choices, "2026-11-23") is not None) is known
