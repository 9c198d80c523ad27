"""What the cluster manager does in every combination of cluster and job state, as a table.

One revision stands without a receipt, one cluster is claimed, two clusters and two jobs are allowed. The answers are
written by hand; `tests/unit/test_decision_tables.py` holds the code against every one of them, and `python -m docs`
shows them in docs/decision-tables.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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
LATE = NOW + timedelta(minutes=30)

JOBS: Sequence[tuple[JobState | None, ...]] = (
    (None,),
    (
        "STATE_UNSPECIFIED",
        "PENDING",
        "SETUP_DONE",
        "RUNNING",
        "ATTEMPT_FAILURE",
        "CANCEL_PENDING",
        "CANCEL_STARTED",
    ),
    ("CANCELLED", "ERROR"),
    ("DONE",),
)
"""The columns: job states that are treated alike."""
TABLE: Mapping[tuple[ClusterState | None, ...], tuple[str, str, str, str]] = {
    (None,): ("create the cluster", "wait", "claim cluster 2", "write the receipt"),
    ("UNKNOWN", "ERROR", "STOPPING", "STOPPED"): (
        "claim cluster 2, delete this one",
        "wait",
        "claim cluster 2, delete this one",
        "write the receipt, delete this one",
    ),
    ("CREATING", "STARTING", "REPAIRING"): ("wait", "wait", "wait", "write the receipt, delete this one"),
    ("RUNNING", "ERROR_DUE_TO_UPDATE", "UPDATING"): (
        "claim job 1",
        "wait",
        "claim job 2",
        "write the receipt, delete this one",
    ),
    ("DELETING",): ("claim cluster 2", "wait", "claim cluster 2", "write the receipt"),
}
"""The rows: cluster states that are treated alike, and what is done in each column."""
CELLS = {
    (cluster, job): done
    for clusters, row in TABLE.items()
    for jobs, done in zip(JOBS, row, strict=True)
    for cluster in clusters
    for job in jobs
}
"""The same, a state each: cluster, job, what is done."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the states alone do not tell."""

    situation: str
    facts: Facts
    done: str
    now: datetime = NOW


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


def facts(cluster: ClusterState | None, job: JobState | None) -> Facts:
    """The claimed cluster and the first job in these states."""
    return replace(_FACTS, clusters=[_cluster(cluster)] if cluster else [], jobs=[_job(1, job)] if job else [])


def _cluster(state: ClusterState) -> Cluster:
    return Cluster(_CLAIM.cluster, "uuid", state, {"app": APP_LABEL, "run": RUN}, NOW)


def _job(attempt: int, state: JobState) -> Job:
    return Job(names.job_id(RUN, 1, attempt), 1, attempt, state, _CLAIM.cluster)


def _looked_again(revision: int) -> Facts:
    """Seven hours after revision 2 was finished, and the table holds this revision."""
    return replace(
        _FACTS,
        newest=decision("DK SE NO", 2),
        receipts=frozenset({1, 2}),
        announced=frozenset({1, 2}),
        table=WarehouseCount(rows=30, markets=3, albums=9, revision=revision),
        receipt=receipt(2),
    )


_FAILED_TWICE = replace(_FACTS, clusters=[_cluster("RUNNING")], jobs=[_job(1, "ERROR"), _job(2, "ERROR")])
_STRANGER = replace(_FACTS, clusters=[replace(_cluster("RUNNING"), labels={"app": "another"})])
BESIDES = (
    Case(
        "the cluster is still CREATING after its 20 minutes",
        replace(_FACTS, clusters=[_cluster("CREATING")]),
        "claim cluster 2, delete this one",
        LATE,
    ),
    Case("the second and last job failed", _FAILED_TWICE, "write a failed receipt, delete this one"),
    Case("the claimed name belongs to a cluster without our labels", _STRANGER, "claim cluster 2"),
    Case(
        "seven hours after revision 2 was finished, the table holds it",
        _looked_again(2),
        "note that the table is right",
    ),
    Case(
        "the same; the table holds revision 1 again",
        _looked_again(1),
        "note that an older load took the table back",
    ),
)


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
