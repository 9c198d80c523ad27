"""What to do about a run's cluster and job: pure, total over every cluster and job state.

Desired is the newest decision without a receipt; observed are the run's clusters and jobs. Each call gives the
actions of one step; the next event or sweep asks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from contracts.documents import ClusterClaim, Decision, JobClaim, Receipt, WarehouseCount
from contracts.names import cluster_name
from eventing.ledger import RunIndex
from services.cluster_manager.capacity import is_refusal, not_before, placed
from services.cluster_manager.ports import Cluster, ClusterState, Job, JobState
from services.cluster_manager.sizing import ClusterSize, SizeLimits, size_for

SECOND_LOOK_AFTER: Final = timedelta(hours=7)
"""A load job whose driver has ended runs on, for six hours at most (cloud.google.com/bigquery/quotas#load_jobs); and an
hour for what it may have waited before it ran."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How often, how long, and how large."""

    cluster_attempts: int
    job_attempts: int
    cluster_start: timedelta
    size: SizeLimits
    patience: timedelta = timedelta(hours=6)
    """How long a decision waits for quota or machines, from its first refused attempt on."""
    cluster_life: timedelta = timedelta(hours=2)
    """After which Dataproc itself deletes a cluster, whatever it does."""
    job_lost: timedelta = timedelta(minutes=15)
    """How long a job whose cluster is gone has to end by itself, and again once it is cancelled."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A run as the bucket and Dataproc show it."""

    run_id: str
    newest: Decision | None
    receipts: frozenset[int]
    """Revisions that have a receipt."""
    announced: frozenset[int]
    """Revisions whose receipt was announced."""
    job_claims: Sequence[JobClaim]
    """In order of their numbers."""
    claims: Sequence[ClusterClaim]
    """In order of their attempts."""
    clusters: Sequence[Cluster]
    """Ours by label, and whatever bears the newest claim's name."""
    jobs: Sequence[Job]
    """In order of revision and attempt."""
    unreadable: str = ""
    """Why the newest decision cannot be read."""
    last_job: int = 0
    """The highest number that is taken by a claim of a job, readable or not."""
    last_attempt: int = 0
    """The same of clusters."""
    former: Sequence[Job] = ()
    """Jobs of the same names that ended before the newest decision was made: the run's documents were lost since."""
    table: WarehouseCount | None = None
    """What the table holds of the run; counted only where it decides (`needs_table`, `look_is_due`)."""
    receipt: Receipt | None = None
    """The newest decision's; read only where a second look is due."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something is under way; its event will come."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClaimCluster:
    """Take the next cluster attempt for the decision, then create it."""

    attempt: int
    revision: int
    size: ClusterSize


@dataclass(frozen=True, slots=True)
class CreateCluster:
    """Create the claimed cluster (again: the name makes a repeat harmless)."""

    name: str
    size: ClusterSize


@dataclass(frozen=True, slots=True)
class NoteRefusal:
    """Put on record that a claimed cluster came to nothing for want of quota or machines."""

    claim: ClusterClaim
    reason: str


@dataclass(frozen=True, slots=True)
class ClaimJob:
    """Make this the run's next job, then submit it."""

    number: int
    revision: int
    attempt: int
    cluster: str


@dataclass(frozen=True, slots=True)
class SubmitJob:
    """Submit the job that was claimed (again: the id makes a repeat harmless)."""

    revision: int
    attempt: int
    cluster: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Cancel a job that Dataproc calls active although its cluster is gone."""

    job: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the receipt of a decision and say that it is finished."""

    revision: int
    job: Job | None
    error: str | None
    """None where the job ended well; what it loaded is still to be checked."""


@dataclass(frozen=True, slots=True)
class AnnounceAgain:
    """The receipt stands, but whether it was announced is not on record."""

    revision: int


@dataclass(frozen=True, slots=True)
class DeleteCluster:
    """Delete exactly this cluster."""

    name: str
    uuid: str


@dataclass(frozen=True, slots=True)
class NoteLook:
    """Put on record what the table held at the second look; the barrier does what is to be done about it."""

    revision: int
    table: WarehouseCount
    taken_back: bool
    """Whether an older load has come after the newest."""


Action = (
    Wait
    | ClaimCluster
    | CreateCluster
    | NoteRefusal
    | ClaimJob
    | SubmitJob
    | CancelJob
    | Finish
    | AnnounceAgain
    | DeleteCluster
    | NoteLook
)


def decide(facts: Facts, now: datetime, limits: Limits) -> list[Action]:
    """The next step of a run, in the order in which its actions are to be done."""
    facts = _of_this_life(facts)
    facts = replace(facts, jobs=[_as_it_ended(job, facts, now, limits) for job in facts.jobs])
    untold: list[Action] = [AnnounceAgain(revision) for revision in sorted(facts.receipts - facts.announced)]
    if active := [job for job in facts.jobs if is_active(job.state)]:
        # A job under way is always left to end, even when a newer decision stands: two writers never overlap.
        return [*untold, _on_active(active[0], facts, now, limits)]
    if facts.unreadable:
        return [*untold, *_delete_all(facts, keep=None), Wait(facts.unreadable)]
    if _is_overtaken(facts):
        return [*untold, Wait("a newer decision than the one read has a job")]
    if (claimed := _claimed_not_submitted(facts)) is not None:
        # Whoever claimed it may submit it at any moment; nothing else may run before this job has.
        work = _Work(claimed.revision, claimed.attempt, claimed=True)
        return [*untold, *_on_cluster(facts, work, now, limits)]
    return [*untold, *_unfinished_older(facts), *_newest(facts, now, limits)]


@dataclass(frozen=True, slots=True)
class _Work:
    """A job that is to be submitted."""

    revision: int
    attempt: int
    claimed: bool = False


def _of_this_life(facts: Facts) -> Facts:
    """Dataproc still lists jobs of a run whose documents were lost: such a job did not load the present decision."""
    newest = facts.newest
    if newest is None:
        return facts
    # Told by its claim, such a job is none of those, although the clock was set back while it worked.
    ours = {(c.revision, c.attempt) for c in facts.job_claims if c.claimed_at >= newest.decided_at}
    former = [
        job
        for job in facts.jobs
        if job.revision >= newest.revision
        and (job.revision, job.attempt) not in ours
        and not is_active(job.state)
        and job.since
        and job.since < newest.decided_at
    ]
    return replace(facts, jobs=[job for job in facts.jobs if job not in former], former=former)


def _as_it_ended(job: Job, facts: Facts, now: datetime, limits: Limits) -> Job:
    """The job; a lost one is treated as ended, since Dataproc will never report its end."""
    if not is_active(job.state) or not _is_lost(job, facts, now, limits):
        return job
    details = f"its cluster {job.cluster} is gone, and Dataproc still calls it {job.state}: it is taken for lost"
    return replace(job, state="ERROR", details=details)


def _is_lost(job: Job, facts: Facts, now: datetime, limits: Limits) -> bool:
    """Whether a job without a cluster has had all the time it may need: since it was cancelled, or a cluster's life."""
    if not _is_adrift(job, facts):
        return False
    cancelled = job.since if job.state in ("CANCEL_PENDING", "CANCEL_STARTED") else None
    if cancelled is not None and now - cancelled > limits.job_lost:
        return True
    return now - _submitted_at(job, facts, now) > limits.cluster_life + limits.job_lost


def _on_active(job: Job, facts: Facts, now: datetime, limits: Limits) -> Action:
    quiet = now - (job.since or _submitted_at(job, facts, now))
    if _is_adrift(job, facts) and quiet > limits.job_lost and not job.state.startswith("CANCEL_"):
        return CancelJob(job.id)
    return Wait(f"job {job.id} is {job.state}")


def _is_adrift(job: Job, facts: Facts) -> bool:
    """Whether the job's cluster is gone; one that is still listed, in whatever state, may still work."""
    return all(cluster.name != job.cluster for cluster in facts.clusters)


def _submitted_at(job: Job, facts: Facts, now: datetime) -> datetime:
    told = [
        *(c.claimed_at for c in facts.job_claims if (c.revision, c.attempt) == (job.revision, job.attempt)),
        *(claim.claimed_at for claim in facts.claims if claim.cluster == job.cluster),
    ]
    return job.started_at or next(iter(told), job.since or now)


def _is_overtaken(facts: Facts) -> bool:
    """Whether a newer decision than the one read already has a job: whoever has read that decision goes on."""
    newest = facts.newest.revision if facts.newest else 0
    claimed = [claim.revision for claim in facts.job_claims]
    return max([*claimed, *(job.revision for job in facts.jobs)], default=0) > newest


def _claimed_not_submitted(facts: Facts) -> JobClaim | None:
    last = facts.job_claims[-1] if facts.job_claims else None
    if last is None or last.revision in facts.receipts:
        return None
    known = {(job.revision, job.attempt) for job in facts.jobs}
    return None if (last.revision, last.attempt) in known else last


def _unfinished_older(facts: Facts) -> list[Action]:
    """Receipts for older decisions whose job has ended but whose end was not recorded."""
    newest = facts.newest.revision if facts.newest else 0
    last_jobs = {job.revision: job for job in facts.jobs if job.revision < newest}
    return [
        Finish(revision, job, _ended_badly(job))
        for revision, job in last_jobs.items()
        if revision not in facts.receipts
    ]


def _newest(facts: Facts, now: datetime, limits: Limits) -> list[Action]:
    newest = facts.newest
    if newest is None:
        return [*_delete_all(facts, keep=None)] or [Wait("no decision yet")]
    if newest.revision in facts.receipts:
        return _delete_all(facts, keep=None) or _second_look(facts) or [Wait("finished and clean")]
    if newest.verdict == "fail":
        return [Finish(newest.revision, None, why_failed(newest)), *_delete_all(facts, keep=None)]
    return _load(facts, newest.revision, now, limits)


def look_is_due(index: RunIndex, now: datetime) -> bool:
    """Whether to count the table once more: a load whose driver had ended may have finished after the newest one.

    A run with one job has no older load. There is one such look for each newest decision.
    """
    if index.finished_at is None or not index.is_settled or index.newest_decision in index.looked:
        return False
    return index.jobs > 1 and now - index.finished_at > SECOND_LOOK_AFTER


def _second_look(facts: Facts) -> list[Action]:
    """What the table holds after all loads have ended; what a failed decision left there is for a person to judge."""
    newest, receipt, table = facts.newest, facts.receipt, facts.table
    if newest is None or receipt is None or table is None:
        return []
    older = table.revision not in (None, newest.revision)
    return [NoteLook(newest.revision, table, taken_back=older and receipt.outcome != "failed")]


def why_failed(decision: Decision) -> str:
    """What a decision to load nothing says to whoever reads its receipt."""
    if decision.parts and all(part.empty or part.albums == 0 for part in decision.parts):
        return f"none of the {len(decision.parts)} markets that landed has an album; an empty week is no week"
    landed, wanted = len(decision.parts), len(decision.parts) + len(decision.missing)
    if gone := sorted(set(decision.holds) - {part.market for part in decision.parts}):
        return (
            f"{' '.join(gone)} stood in the table and cannot be loaded again: only an order to close goes without"
        )
    judged = f"fewer than the {decision.least} that must" if decision.least else "too few"
    missing = " ".join(entry.market for entry in decision.missing)
    return f"{landed} of {wanted} markets landed ({100 * landed // wanted} %), {judged}; missing: {missing}"


def _load(facts: Facts, revision: int, now: datetime, limits: Limits) -> list[Action]:
    jobs = [job for job in facts.jobs if job.revision == revision]
    last = jobs[-1] if jobs else None
    if last is not None and last.state == "DONE":
        return [Finish(revision, last, None), *_delete_all(facts, keep=None)]
    if last is not None and (len(jobs) >= limits.job_attempts or _is_loaded(facts)):
        return [Finish(revision, last, _ended_badly(last)), *_delete_all(facts, keep=None)]
    taken = [job.attempt for job in (*jobs, *facts.former) if job.revision == revision]
    return _on_cluster(facts, _Work(revision, max(taken, default=0) + 1), now, limits)


def needs_table(facts: Facts) -> bool:
    """Whether the last job of the newest decision ended badly: it may have died after its load."""
    newest = facts.newest
    if newest is None or newest.revision in facts.receipts:
        return False
    last = next((job for job in reversed(facts.jobs) if job.revision == newest.revision), None)
    return last is not None and not is_active(last.state) and last.state != "DONE"


def _is_loaded(facts: Facts) -> bool:
    """Whether the table holds the newest decision whole. Another job would cost as much, and might find fewer parts."""
    newest, table = facts.newest, facts.table
    if newest is None or table is None or table.revision != newest.revision:
        return False
    return table.markets >= markets_with_albums(newest)


def markets_with_albums(decision: Decision) -> int:
    """How many markets of a decision bring rows into the table."""
    return sum(not part.empty and part.albums != 0 for part in decision.parts)


def _on_cluster(facts: Facts, work: _Work, now: datetime, limits: Limits) -> list[Action]:
    """Submit where a cluster runs; otherwise see to it that one will."""
    claim = next((claim for claim in reversed(facts.claims) if claim.revision == work.revision), None)
    reuse = _usable(facts)
    if reuse is not None:
        return [*_delete_all(facts, keep=reuse.name), _submit(facts, work, reuse.name)]
    if claim is None:
        return _claim_next(facts, work.revision, limits)
    if claim.refused is not None:
        return _after_refusal(facts, claim, now, limits)
    return _on_claimed(facts, claim, now, limits)


def _on_claimed(facts: Facts, claim: ClusterClaim, now: datetime, limits: Limits) -> list[Action]:
    """Wait for the claimed cluster as long as it may come, or have it made; otherwise see why it did not come."""
    cluster = next((found for found in facts.clusters if found.name == claim.cluster), None)
    late = now - claim.claimed_at > limits.cluster_start
    if cluster is not None and cluster.is_ours(facts.run_id) and is_coming(cluster.state) and not late:
        return [Wait(f"cluster {cluster.name} is {cluster.state}")]
    if cluster is None and not late and not any(job.cluster == claim.cluster for job in facts.jobs):
        return [CreateCluster(claim.cluster, claimed_size(claim, limits.size))]
    if cluster is not None and cluster.is_ours(facts.run_id) and is_refusal(cluster.details):
        return [NoteRefusal(claim, cluster.details), *_delete_all(facts, keep=None)]
    return _next_cluster(facts, claim, limits)


def _after_refusal(facts: Facts, claim: ClusterClaim, now: datetime, limits: Limits) -> list[Action]:
    """Google had no quota or no machines: ask again after a pause, elsewhere or for others, until patience ends."""
    refused = _refused(facts, claim.revision)
    if now - refused[0].claimed_at > limits.patience:
        error = f"no machines for a cluster in {limits.patience} and {len(refused)} attempts: {claim.refused}"
        return [Finish(claim.revision, None, error), *_delete_all(facts, keep=None)]
    at = not_before(refused)
    if now < at:
        waits = Wait(f"cluster {claim.cluster} was refused, the next attempt is due at {at:%H:%M:%S} UTC")
        return [*_delete_all(facts, keep=None), waits]
    return _claim_next(facts, claim.revision, limits)


def _refused(facts: Facts, revision: int) -> list[ClusterClaim]:
    return [claim for claim in facts.claims if claim.revision == revision and claim.refused is not None]


def _submit(facts: Facts, work: _Work, cluster: str) -> Action:
    if work.claimed:
        return SubmitJob(work.revision, work.attempt, cluster)
    number = max([facts.last_job, *(claim.number for claim in facts.job_claims)]) + 1
    return ClaimJob(number, work.revision, work.attempt, cluster)


def _next_cluster(facts: Facts, claim: ClusterClaim, limits: Limits) -> list[Action]:
    """The claimed cluster is broken, late, gone or another's."""
    tried = len([c for c in facts.claims if c.revision == claim.revision and c.refused is None])
    if tried >= limits.cluster_attempts:
        error = f"no working cluster after {tried} attempts; see Dataproc's log of the last one"
        return [Finish(claim.revision, None, error), *_delete_all(facts, keep=None)]
    return _claim_next(facts, claim.revision, limits)


def _claim_next(facts: Facts, revision: int, limits: Limits) -> list[Action]:
    needed = size_for(facts.newest.parts if facts.newest else (), limits.size)
    size = placed(needed, len(_refused(facts, revision)), limits.size)
    # The claim comes first: once a new attempt is on record, the broken one is never mistaken for it.
    return [ClaimCluster(_next_attempt(facts), revision, size), *_delete_all(facts, keep=None)]


def claimed_size(claim: ClusterClaim, limits: SizeLimits) -> ClusterSize:
    """The size a claim stands for; one machine where the claim is older than sizes."""
    return ClusterSize(claim.machine_type or limits.machine_type, claim.workers, claim.zone)


def _usable(facts: Facts) -> Cluster | None:
    """A running cluster of ours that the newest claim named; also one left from an older decision of the run."""
    claimed = {claim.cluster for claim in facts.claims}
    running = [c for c in facts.clusters if c.name in claimed and c.is_ours(facts.run_id) and takes_jobs(c.state)]
    return running[-1] if running else None


def _next_attempt(facts: Facts) -> int:
    return max([facts.last_attempt, *(claim.attempt for claim in facts.claims)]) + 1


def _delete_all(facts: Facts, *, keep: str | None) -> list[Action]:
    """Delete every cluster of ours but one. A cluster without our labels is never touched."""
    return [
        DeleteCluster(cluster.name, cluster.uuid)
        for cluster in facts.clusters
        if cluster.name != keep and cluster.is_ours(facts.run_id) and cluster.state != "DELETING"
    ]


def _ended_badly(job: Job) -> str | None:
    if job.state == "DONE":
        return None
    return f"job {job.id} ended {job.state}" + (f": {job.details}" if job.details else "")


def takes_jobs(state: ClusterState) -> bool:
    """Whether jobs may be submitted. Source: ClusterStatus.State says so of these three."""
    return state in ("RUNNING", "UPDATING", "ERROR_DUE_TO_UPDATE")


def is_coming(state: ClusterState) -> bool:
    """Whether a cluster that takes no jobs now will do so by itself."""
    match state:
        case "CREATING" | "STARTING" | "REPAIRING":
            return True
        case "RUNNING" | "UPDATING" | "ERROR_DUE_TO_UPDATE":
            return True
        case "ERROR" | "UNKNOWN" | "DELETING" | "STOPPING" | "STOPPED":
            return False
        case _:
            assert_never(state)


def is_active(state: JobState) -> bool:
    """Whether a job may still do something."""
    match state:
        case "DONE" | "ERROR" | "CANCELLED":
            return False
        case "PENDING" | "SETUP_DONE" | "RUNNING" | "CANCEL_PENDING" | "CANCEL_STARTED":
            return True
        case "ATTEMPT_FAILURE" | "STATE_UNSPECIFIED":
            return True
        case _:
            assert_never(state)


def expected_cluster(facts: Facts) -> str | None:
    """The name of the newest claim's cluster; a cluster of that name is looked at, ours or not."""
    return cluster_name(facts.run_id, facts.claims[-1].attempt) if facts.claims else None
