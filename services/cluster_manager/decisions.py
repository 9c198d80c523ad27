"""What to do about a run's cluster and job: pure, total over every cluster and job state.

Desired is the newest decision without a receipt; observed are the run's clusters and jobs. Each call gives the
actions of one step; the next event or sweep asks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from contracts.documents import ClusterClaim, Decision, JobClaim, WarehouseCount
from contracts.names import cluster_name
from services.cluster_manager.ports import Cluster, ClusterState, Job, JobState
from services.cluster_manager.sizing import ClusterSize, SizeLimits, size_for


@dataclass(frozen=True, slots=True)
class Limits:
    """How often, how long, and how large."""

    cluster_attempts: int
    job_attempts: int
    cluster_start: timedelta
    size: SizeLimits


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
    table: WarehouseCount | None = None
    """What the table holds of the run; counted only where it decides (`needs_table`)."""


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


Action = Wait | ClaimCluster | CreateCluster | ClaimJob | SubmitJob | Finish | AnnounceAgain | DeleteCluster


def decide(facts: Facts, now: datetime, limits: Limits) -> list[Action]:
    """The next step of a run, in the order in which its actions are to be done."""
    untold: list[Action] = [AnnounceAgain(revision) for revision in sorted(facts.receipts - facts.announced)]
    if active := [job for job in facts.jobs if is_active(job.state)]:
        # A job under way is always left to end, even when a newer decision stands: two writers never overlap.
        return [*untold, Wait(f"job {active[0].id} is {active[0].state}")]
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


def _is_overtaken(facts: Facts) -> bool:
    """Whether the decision that was read is older than one that is loaded: whoever knows that one goes on."""
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
        return _delete_all(facts, keep=None) or [Wait("finished and clean")]
    if newest.verdict == "fail":
        return [Finish(newest.revision, None, why_failed(newest)), *_delete_all(facts, keep=None)]
    return _load(facts, newest.revision, now, limits)


def why_failed(decision: Decision) -> str:
    """What a decision to load nothing says to whoever reads its receipt."""
    if decision.parts and all(part.empty or part.albums == 0 for part in decision.parts):
        return f"none of the {len(decision.parts)} markets that landed has an album; an empty week is no week"
    return f"{len(decision.missing)} markets missing at the deadline, more than the policy allows"


def _load(facts: Facts, revision: int, now: datetime, limits: Limits) -> list[Action]:
    jobs = [job for job in facts.jobs if job.revision == revision]
    last = jobs[-1] if jobs else None
    if last is not None and last.state == "DONE":
        return [Finish(revision, last, None), *_delete_all(facts, keep=None)]
    if last is not None and (last.attempt >= limits.job_attempts or _is_loaded(facts)):
        return [Finish(revision, last, _ended_badly(last)), *_delete_all(facts, keep=None)]
    return _on_cluster(facts, _Work(revision, last.attempt + 1 if last else 1), now, limits)


def needs_table(facts: Facts) -> bool:
    """Whether the last job of the newest decision ended badly: it may have died after its load."""
    newest = facts.newest
    if newest is None or newest.revision in facts.receipts:
        return False
    last = next((job for job in reversed(facts.jobs) if job.revision == newest.revision), None)
    return last is not None and not is_active(last.state) and last.state != "DONE"


def _is_loaded(facts: Facts) -> bool:
    """Whether the table holds the newest decision whole. Another job would cost the same again, and could find less."""
    newest, table = facts.newest, facts.table
    if newest is None or table is None or table.revision != newest.revision:
        return False
    return table.markets >= markets_with_albums(newest)


def markets_with_albums(decision: Decision) -> int:
    """Of how many markets a decision brings rows into the table."""
    return sum(not part.empty and part.albums != 0 for part in decision.parts)


def _on_cluster(facts: Facts, work: _Work, now: datetime, limits: Limits) -> list[Action]:
    """Submit where a cluster runs; otherwise see to it that one will."""
    revision = work.revision
    claims = [claim for claim in facts.claims if claim.revision == revision]
    claim = claims[-1] if claims else None
    reuse = _usable(facts)
    if reuse is not None:
        return [*_delete_all(facts, keep=reuse.name), _submit(facts, work, reuse.name)]
    if claim is None:
        return _claim_next(facts, revision, limits)
    cluster = next((found for found in facts.clusters if found.name == claim.cluster), None)
    late = now - claim.claimed_at > limits.cluster_start
    if cluster is not None and cluster.is_ours(facts.run_id) and is_coming(cluster.state) and not late:
        return [Wait(f"cluster {cluster.name} is {cluster.state}")]
    if cluster is None and not late and not any(job.cluster == claim.cluster for job in facts.jobs):
        return [CreateCluster(claim.cluster, claimed_size(claim, limits.size))]
    return _next_cluster(facts, revision, len(claims), limits)


def _submit(facts: Facts, work: _Work, cluster: str) -> Action:
    if work.claimed:
        return SubmitJob(work.revision, work.attempt, cluster)
    number = max((claim.number for claim in facts.job_claims), default=0) + 1
    return ClaimJob(number, work.revision, work.attempt, cluster)


def _next_cluster(facts: Facts, revision: int, tried: int, limits: Limits) -> list[Action]:
    """The claimed cluster is broken, late, gone or another's."""
    if tried >= limits.cluster_attempts:
        error = f"no working cluster after {tried} attempts; see Dataproc's log of the last one"
        return [Finish(revision, None, error), *_delete_all(facts, keep=None)]
    return _claim_next(facts, revision, limits)


def _claim_next(facts: Facts, revision: int, limits: Limits) -> list[Action]:
    size = size_for(facts.newest.parts if facts.newest else (), limits.size)
    # The claim comes first: once a new attempt is on record, the broken one is never mistaken for it.
    return [ClaimCluster(_next_attempt(facts), revision, size), *_delete_all(facts, keep=None)]


def claimed_size(claim: ClusterClaim, limits: SizeLimits) -> ClusterSize:
    """The size a claim stands for; one machine where the claim is older than sizes."""
    return ClusterSize(claim.machine_type or limits.machine_type, claim.workers)


def _usable(facts: Facts) -> Cluster | None:
    """A running cluster of ours that the newest claim named; also one left from an older decision of the run."""
    claimed = {claim.cluster for claim in facts.claims}
    running = [c for c in facts.clusters if c.name in claimed and c.is_ours(facts.run_id) and takes_jobs(c.state)]
    return running[-1] if running else None


def _next_attempt(facts: Facts) -> int:
    return max((claim.attempt for claim in facts.claims), default=0) + 1


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
    """The name the newest claim stands for; whatever bears it is looked at, ours or not."""
    return cluster_name(facts.run_id, facts.claims[-1].attempt) if facts.claims else None
