"""What the cluster manager does in every combination of cluster and job state, as a table.

One revision stands without a receipt, one cluster is claimed, two clusters and two jobs are allowed. The expected
table is docs/decision-tables.md itself: `make check` refuses a change of the code that does not show there.
`NAMED` are the cells that must read so, whatever the page says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import get_args

from contracts import names
from contracts.documents import ClusterClaim, WarehouseCount
from services.cluster_manager.decisions import (
    Action,
    AnnounceAgain,
    CancelJob,
    ClaimCluster,
    ClaimJob,
    CreateCluster,
    DeleteCluster,
    Facts,
    Finish,
    Limits,
    NoteLook,
    NoteRefusal,
    SubmitJob,
    Wait,
    decide,
)
from services.cluster_manager.ports import APP_LABEL, Cluster, ClusterState, Job, JobState
from services.cluster_manager.sizing import SizeLimits
from tests.builders import NOW, RUN, decision, receipt

LIMITS = Limits(
    cluster_attempts=2,
    job_attempts=2,
    cluster_start=timedelta(minutes=20),
    size=SizeLimits("e2-standard-2", bytes_per_machine=1000, max_workers=4),
)
CLUSTERS: tuple[ClusterState | None, ...] = (None, *get_args(ClusterState))
JOBS: tuple[JobState | None, ...] = (None, *get_args(JobState))
LATE = NOW + timedelta(minutes=30)

NAMED: Mapping[tuple[ClusterState | None, JobState | None], str] = {
    (None, None): "create the cluster",
    ("CREATING", None): "wait",
    ("RUNNING", None): "claim job 1",
    ("ERROR", None): "claim cluster 2, delete this one",
    ("DELETING", None): "claim cluster 2",
    ("RUNNING", "RUNNING"): "wait",
    ("ERROR", "RUNNING"): "wait",
    ("RUNNING", "DONE"): "write the receipt, delete this one",
    (None, "DONE"): "write the receipt",
    ("RUNNING", "ERROR"): "claim job 2",
    (None, "ERROR"): "claim cluster 2",
}
"""Cells that the pipeline lives by: cluster state, job state, what is done."""


_CLAIM = ClusterClaim(run_id=RUN, attempt=1, revision=1, claimed_at=NOW)
_FACTS = Facts(
    run_id=RUN,
    newest=decision("DK SE NO"),
    receipts=frozenset(),
    announced=frozenset(),
    job_claims=[],
    claims=[_CLAIM],
    clusters=[],
    jobs=[],
)


def cell(cluster: ClusterState | None, job: JobState | None, now: datetime = NOW) -> str:
    """What is done with the claimed cluster and the first job in these states."""
    found = replace(_FACTS, clusters=[_cluster(cluster)] if cluster else [], jobs=[_job(1, job)] if job else [])
    return told(decide(found, now, LIMITS))


def failed_twice() -> str:
    """What is done when the last allowed job has failed, too."""
    found = replace(_FACTS, clusters=[_cluster("RUNNING")], jobs=[_job(1, "ERROR"), _job(2, "ERROR")])
    return told(decide(found, NOW, LIMITS))


def second_look(revision: int) -> str:
    """What is done seven hours after revision 2 was finished, when the table holds this revision."""
    found = replace(
        _FACTS,
        newest=decision("DK SE NO", 2),
        receipts=frozenset({1, 2}),
        announced=frozenset({1, 2}),
        table=WarehouseCount(rows=30, markets=3, albums=9, revision=revision),
        receipt=receipt(2),
    )
    return told(decide(found, NOW, LIMITS))


def stranger() -> str:
    """What is done when the claimed name is borne by a cluster without our labels."""
    foreign = replace(_cluster("RUNNING"), labels={"app": "another"})
    return told(decide(replace(_FACTS, clusters=[foreign]), NOW, LIMITS))


def _cluster(state: ClusterState) -> Cluster:
    return Cluster(_CLAIM.cluster, "uuid", state, {"app": APP_LABEL, "run": RUN}, NOW)


def _job(attempt: int, state: JobState) -> Job:
    return Job(names.job_id(RUN, 1, attempt), 1, attempt, state, _CLAIM.cluster)


def told(actions: Sequence[Action]) -> str:
    """Actions in a line."""
    return ", ".join(_told(action) for action in actions) or "nothing"


def _told(action: Action) -> str:  # noqa: C901, PLR0911 -- a line for each action of a closed set
    match action:
        case Wait():
            return "wait"
        case ClaimCluster(attempt):
            return f"claim cluster {attempt}"
        case CreateCluster():
            return "create the cluster"
        case NoteRefusal():
            return "note the refusal"
        case CancelJob():
            return "cancel the job"
        case ClaimJob(attempt=attempt):
            return f"claim job {attempt}"
        case SubmitJob():
            return "submit the job"
        case Finish(error=None):
            return "write the receipt"
        case Finish():
            return "write a failed receipt"
        case AnnounceAgain():
            return "announce the receipt"
        case DeleteCluster():
            return "delete this one"
        case NoteLook(taken_back=taken_back):
            return f"note that {'an older load took the table back' if taken_back else 'the table is right'}"
