"""A receipt says all that is known about a decision's end, and nothing that is not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts import names
from contracts.documents import ClusterClaim, LoadResult, MissingMarket, Receipt, WarehouseCount
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
        ({"load": None}, "the job ended DONE but left no load result"),
        ({"warehouse": None}, "the table was not counted"),
        (
            {"warehouse": COUNT.model_copy(update={"rows": 29})},
            "the table holds 29 rows of the run, the job loaded 30",
        ),
        ({"warehouse": COUNT.model_copy(update={"revision": 2})}, "the table holds revision 2 of the run, not 1"),
        ({"error": "job x ended ERROR"}, "job x ended ERROR"),
    ],
)
def test_each_doubt_fails_the_run_and_is_named(doubt: dict[str, Any], error: str) -> None:
    """A person acts on this sentence, so it is the promise, word for word."""
    found = receipt(**doubt)
    assert (found.outcome, found.error) == ("failed", error)


def test_an_empty_load_has_no_revision_to_doubt() -> None:
    """A week without releases leaves no row that could carry the revision, and is loaded all the same."""
    none = {"rows": 0, "revision": None}
    found = receipt(
        decision=decision("DK SE NO"),
        load=LOAD.model_copy(update={"rows": 0}),
        warehouse=COUNT.model_copy(update=none),
    )
    assert (found.outcome, found.error) == ("loaded", None)


def test_spans_are_milliseconds_and_never_negative() -> None:
    """Clocks of two machines differ; a span below zero would spoil every sum of spans."""
    began = NOW + 4 * MINUTE
    ended = replace(JOB, started_at=began, ended_at=began + timedelta(microseconds=1_234_567))
    assert receipt(job=ended).seconds["spark"] == 1.235
    backwards = replace(JOB, started_at=began, ended_at=began - MINUTE)
    assert receipt(job=backwards).seconds["spark"] == 0
    assert START < NOW
