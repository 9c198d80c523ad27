"""A receipt says all that is known about a decision's end, and nothing that is not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts import names
from contracts.documents import ClusterClaim, LoadResult, MissingMarket, PartResult, Receipt, WarehouseCount
from services.cluster_manager.costs import estimate
from services.cluster_manager.ports import APP_LABEL, Cluster, Job
from services.cluster_manager.receipts import Evidence, receipt_of
from services.cluster_manager.sizing import ClusterSize
from tests.builders import NOW, RUN, START, decision, manifest

C1, C2, C3 = (names.cluster_name(RUN, attempt) for attempt in (1, 2, 3))
MINUTE = timedelta(minutes=1)
MISSING = (MissingMarket(market="NO", reason="not landed"),)
LOAD = LoadResult(run_id=RUN, revision=1, files=2, albums=5, tracks=30, rows=30, quarantined=0)
COUNT = WarehouseCount(rows=30, markets=2, albums=5, revision=1)
JOB = Job(
    names.job_id(RUN, 1, 2),
    1,
    2,
    "DONE",
    C2,
    driver_output_uri="gs://b/out",
    started_at=NOW + 4 * MINUTE,
    ended_at=NOW + 5 * MINUTE,
)
CLUSTER = Cluster(
    C2,
    "uuid",
    "RUNNING",
    {"app": APP_LABEL, "run": RUN},
    running_since=NOW + 3 * MINUTE,
    size=ClusterSize("e2-standard-4", 3),
)


def claim(attempt: int, minutes: int, machine_type: str | None = "e2-standard-2") -> ClusterClaim:
    at = NOW + minutes * MINUTE
    return ClusterClaim(
        run_id=RUN, attempt=attempt, revision=1, claimed_at=at, machine_type=machine_type, workers=attempt
    )


def evidence(**changes: Any) -> Evidence:
    whole = Evidence(
        manifest=manifest(),
        decision=decision("DK SE", missing=MISSING),
        job=JOB,
        error=None,
        load=LOAD,
        warehouse=COUNT,
        claims=(claim(1, 0), claim(2, 1)),
        cluster=CLUSTER,
        source={"browse": 2},
    )
    return replace(whole, **changes)


def receipt(**changes: Any) -> Receipt:
    return receipt_of(evidence(**changes), NOW + 6 * MINUTE)


def test_everything_known_is_told() -> None:
    """Who reads a receipt months later has nothing else: each field comes from its own piece of evidence."""
    assert receipt() == Receipt(
        run_id=RUN,
        revision=1,
        outcome="partial",
        close_reason="complete",
        landed=("DK", "SE"),
        missing=MISSING,
        job_id=JOB.id,
        job_state="DONE",
        job_attempts=2,
        cluster=C2,
        cluster_attempts=2,
        machine_type="e2-standard-4",
        workers=3,
        cost_estimate=estimate(ClusterSize("e2-standard-4", 3), 6 * MINUTE),
        driver_output_uri="gs://b/out",
        load=LOAD,
        warehouse=COUNT,
        error=None,
        seconds={"fetch": 300.0, "cluster": 120.0, "spark": 60.0, "total": 660.0},
        source={"browse": 2},
        trace_id=names.trace_id(RUN),
        decided_at=NOW,
        finished_at=NOW + 6 * MINUTE,
    )


def test_what_never_came_is_left_open() -> None:
    """A run without cluster and job has no figures of them: an invented zero would pass for a measured one."""
    found = receipt(job=None, error="too little", load=None, warehouse=None, claims=(), cluster=None)
    assert (found.outcome, found.error) == ("failed", "too little")
    assert (found.job_id, found.job_state, found.job_attempts, found.driver_output_uri) == (None, None, 0, None)
    assert (found.cluster, found.cluster_attempts, found.machine_type, found.workers) == (None, 0, None, None)
    assert (found.cost_estimate, found.load, found.warehouse) == (None, None, None)
    assert set(found.seconds) == {"fetch", "total"}


def test_without_a_job_the_last_claim_names_the_cluster() -> None:
    """Where no cluster took a job, the one that was tried last is the one whose log tells why."""
    claims = (claim(1, 0), claim(2, 1), claim(3, 2))
    found = receipt(job=None, error="no working cluster", cluster=None, claims=claims)
    assert (found.cluster, found.machine_type, found.workers) == (C3, "e2-standard-2", 3)


def test_a_job_names_its_own_cluster() -> None:
    """A job may have run on an earlier attempt's cluster; size and time to start are of that one, not of the last."""
    on_first = replace(JOB, cluster=C1)
    found = receipt(job=on_first, cluster=replace(CLUSTER, name=C1, size=None))
    assert (found.cluster, found.machine_type, found.workers) == (C1, "e2-standard-2", 1)
    assert found.seconds["cluster"] == 180


def test_a_cluster_of_another_revision_costs_from_its_job_on() -> None:
    """A revision that claimed no cluster pays for the time it used the one that was there."""
    found = receipt(claims=())
    assert found.cost_estimate == estimate(ClusterSize("e2-standard-4", 3), 2 * MINUTE)
    assert (found.cluster, found.cluster_attempts) == (C2, 0)
    assert "cluster" not in found.seconds


@pytest.mark.parametrize(
    "unknown",
    [
        {"claims": (claim(1, 0, None), claim(2, 1, None)), "cluster": None},
        {"claims": (), "cluster": CLUSTER, "job": replace(JOB, started_at=None)},
        {"claims": (), "cluster": CLUSTER, "job": None, "error": "no"},
    ],
    ids=["no size", "no start", "no job"],
)
def test_no_estimate_without_size_and_time(unknown: dict[str, Any]) -> None:
    """A cost needs both; one alone would be a made-up figure."""
    assert receipt(**unknown).cost_estimate is None


@pytest.mark.parametrize(
    ("doubt", "error"),
    [
        (
            {"load": None, "warehouse": COUNT.model_copy(update={"revision": 7})},
            "the table holds revision 7 of the run, not 1",
        ),
        ({"warehouse": None}, "the table was not counted"),
        (
            {"warehouse": COUNT.model_copy(update={"rows": 29})},
            "the table holds 29 rows of the run, the job loaded 30",
        ),
        ({"warehouse": COUNT.model_copy(update={"revision": 2})}, "the table holds revision 2 of the run, not 1"),
        ({"warehouse": COUNT.model_copy(update={"markets": 3})}, "2 markets were decided, 3 were loaded"),
        ({"load": LOAD.model_copy(update={"files": 3})}, "2 markets were decided, 3 were loaded"),
        ({"error": "job x ended ERROR", "warehouse": None}, "job x ended ERROR"),
    ],
)
def test_each_doubt_fails_the_run_and_is_named(doubt: dict[str, Any], error: str) -> None:
    """A person acts on this sentence, so it is the promise, word for word."""
    found = receipt(**doubt)
    assert (found.outcome, found.error) == ("failed", error)


def test_a_week_without_a_row_is_not_loaded() -> None:
    """Nothing in the table is nothing loaded, whatever the job says of it."""
    none = {"rows": 0, "revision": None}
    found = receipt(load=LOAD.model_copy(update={"rows": 0}), warehouse=COUNT.model_copy(update=none))
    assert (found.outcome, found.error) == ("failed", "the run has no row in the table")


FAILED = replace(JOB, state="ERROR")
REFUSED = LOAD.model_copy(update={"loaded": False, "error": "DK is held and its part is damaged"})
EARLIER = WarehouseCount(rows=2292, markets=3, albums=50, revision=1)


@pytest.mark.parametrize(
    ("found", "error"),
    [
        ({"load": None}, "job x ended ERROR; revision 1 stands, 2,292 rows"),
        ({"load": LOAD}, "job x ended ERROR; revision 1 stands, 2,292 rows"),
        ({"load": REFUSED}, "DK is held and its part is damaged; revision 1 stands, 2,292 rows"),
        (
            {"load": REFUSED, "error": None, "job": JOB},
            "DK is held and its part is damaged; revision 1 stands, 2,292 rows",
        ),
        (
            {"load": None, "warehouse": WarehouseCount(rows=0, markets=0, albums=0)},
            "job x ended ERROR; the table has none of it",
        ),
        ({"job": None, "load": None, "error": "too little"}, "too little; revision 1 stands, 2,292 rows"),
    ],
)
def test_a_failure_says_why_and_what_stands(found: dict[str, Any], error: str) -> None:
    """Who is woken by it asks first whether the table is still whole; the job's own reason says most."""
    given = {"job": FAILED, "error": "job x ended ERROR", "warehouse": EARLIER} | found
    told = receipt(decision=decision("DK SE", 2), **given)
    assert (told.outcome, told.error, told.warehouse) == ("failed", error, given["warehouse"])
    assert told.warnings == ()


def test_a_decision_without_a_job_is_never_loaded() -> None:
    """Where documents were lost and made anew, the table may hold rows of the same number from before."""
    told = receipt(job=None, load=None, error="too little")
    assert (told.outcome, told.error) == ("failed", "too little; revision 1 stands, 30 rows")


@pytest.mark.parametrize(
    ("found", "warning"),
    [
        ({"load": LOAD}, "job x ended ERROR, after its load: the table holds what was decided"),
        ({"load": None}, "the job left no load result; the table alone says that it loaded"),
        ({"load": REFUSED}, "the load result says that nothing was loaded, the table holds it"),
        (
            {"load": None, "job": JOB, "error": None},
            "the job left no load result; the table alone says that it loaded",
        ),
    ],
)
def test_what_is_in_the_table_is_loaded_however_its_job_ended(found: dict[str, Any], warning: str) -> None:
    """A job may die between its load and its end: a receipt that says failed would be a lie, with a week behind it."""
    given: dict[str, Any] = {"job": FAILED, "error": "job x ended ERROR"} | found
    told = receipt(**given)
    assert (told.outcome, told.error, told.job_state) == ("partial", None, given["job"].state)
    assert warning in told.warnings


def test_parts_that_were_left_out_are_missing_with_why() -> None:
    """Decided is not loaded: the markets of a receipt are those whose rows are in the table."""
    parts = (PartResult(market="DK", albums=5, rows=30), PartResult(market="SE", reason="damaged: not gzip"))
    told = receipt(decision=decision("DK SE"), load=LOAD.model_copy(update={"parts": parts}))
    assert (told.outcome, told.landed) == ("partial", ("DK",))
    assert told.missing == (MissingMarket(market="SE", reason="damaged: not gzip"),)


def earlier(rows: int, markets: str) -> Receipt:
    warehouse = WarehouseCount(rows=rows, markets=2, albums=5, revision=1)
    return receipt().model_copy(
        update={"run_id": "2026-11-16", "warehouse": warehouse, "landed": tuple(markets.split())}
    )


@pytest.mark.parametrize(
    ("before", "small"),
    [
        (earlier(60, "DK SE"), False),
        (earlier(61, "DK SE"), True),
        (earlier(90, "DK SE NO"), False),
        (earlier(0, "DK SE"), False),
        (earlier(100, ""), False),
        (receipt().model_copy(update={"warehouse": None}), False),
        (None, False),
    ],
)
def test_a_run_much_smaller_than_the_one_before_is_loaded_and_says_so(
    before: Receipt | None, *, small: bool
) -> None:
    """Half the rows a market is no quiet week; that a market is missing is said elsewhere."""
    told = receipt(before=before)
    assert told.outcome == "partial"
    expected = (
        "much smaller than run 2026-11-16: 30 rows of 2 markets, 49% of the 61 rows of 2 markets there, counted by "
        "market"
    )
    assert told.warnings == ((expected,) if small else ())


def test_spans_are_milliseconds_and_never_negative() -> None:
    """Clocks of two machines differ; a span below zero would spoil every sum of spans."""
    began = NOW + 4 * MINUTE
    ended = replace(JOB, started_at=began, ended_at=began + timedelta(microseconds=1_234_567))
    assert receipt(job=ended).seconds["spark"] == 1.235
    backwards = replace(JOB, started_at=began, ended_at=began - MINUTE)
    assert receipt(job=backwards).seconds["spark"] == 0
    assert START < NOW


def test_fewer_markets_than_decided_need_a_result_that_says_why() -> None:
    """A job that died after loading what was good of its parts tells nobody what it left out."""
    found = receipt(decision=decision("DK SE NO"), load=None)
    assert found.outcome == "failed"
    assert found.error is not None
    assert found.error.startswith("the table holds 2 of 3 markets with albums, and no load result says why")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, ()),
        ({"identical_markets": False, "same_as_before": False, "compared_with": "2026-11-16"}, ()),
        (
            {"identical_markets": True},
            ("all 2 markets list the very same albums: Spotify did not heed the market",),
        ),
        (
            {"same_as_before": True, "compared_with": "2026-11-17"},
            ("every market lists the very same albums as run 2026-11-17, 6 days before",),
        ),
        ({"same_as_before": True, "compared_with": "2026-11-18"}, ()),
        ({"same_as_before": True}, ()),
    ],
)
def test_a_list_that_cannot_be_true_is_loaded_and_says_so(source: dict[str, Any], told: tuple[str, ...]) -> None:
    """Each answer is well formed; only side by side do one list for all, or last week's once more, give it away."""
    assert receipt(source=source).warnings == told


def test_a_failed_run_does_not_warn_of_its_lists() -> None:
    """What is not in the table misleads nobody; the error is what counts."""
    assert receipt(source={"identical_markets": True}, error="too little", warehouse=None).warnings == ()
