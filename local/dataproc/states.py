"""What a Dataproc cluster and a job may become, and what the API refuses: pure functions, no clock, no client.

The API's own messages are the state; a function here returns a changed copy and never changes its argument.
Sources: the reference comments of google.cloud.dataproc_v1 (clusters.proto, jobs.proto) and the page
"Life of a Dataproc job".

Not here: UPDATING, STOPPING, STOPPED, STARTING and REPAIRING clusters, ATTEMPT_FAILURE of restartable jobs.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from google.cloud import dataproc_v1

from contracts.wording import shown

ClusterState = dataproc_v1.ClusterStatus.State
JobState = dataproc_v1.JobStatus.State

# Keys and members are the API's own enum members, which type checkers know as plain integers only.
CLUSTER_MOVES: Mapping[int, frozenset[int]] = {
    ClusterState.CREATING: frozenset({ClusterState.RUNNING, ClusterState.ERROR, ClusterState.DELETING}),
    ClusterState.RUNNING: frozenset({ClusterState.DELETING}),
    ClusterState.ERROR: frozenset({ClusterState.DELETING}),
    ClusterState.DELETING: frozenset({ClusterState.ERROR}),
}
JOB_MOVES: Mapping[int, frozenset[int]] = {
    JobState.PENDING: frozenset({JobState.SETUP_DONE, JobState.ERROR, JobState.CANCEL_PENDING}),
    JobState.SETUP_DONE: frozenset({JobState.RUNNING, JobState.ERROR, JobState.CANCEL_PENDING}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.ERROR, JobState.CANCEL_PENDING}),
    JobState.CANCEL_PENDING: frozenset({JobState.CANCEL_STARTED, JobState.ERROR}),
    JobState.CANCEL_STARTED: frozenset({JobState.CANCELLED, JobState.ERROR}),
    JobState.DONE: frozenset(),
    JobState.ERROR: frozenset(),
    JobState.CANCELLED: frozenset(),
}
FINAL_JOB_STATES = frozenset(state for state, onward in JOB_MOVES.items() if not onward)

_CLUSTER_NAME = re.compile(r"[a-z]([a-z0-9-]{0,49}[a-z0-9])?")
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_MOST_LABELS = 32
_LONGEST_TTL = timedelta(days=14)
_SHORTEST_TTL = {
    "idle_delete_ttl": timedelta(minutes=5),
    "auto_delete_ttl": timedelta(minutes=10),
    "idle_stop_ttl": timedelta(minutes=5),
    "auto_stop_ttl": timedelta(minutes=10),
}


class ImpossibleMoveError(ValueError):
    """A state was asked for that cannot follow the present one: a fault of the stand-in, not of its caller."""


def new_cluster(wanted: dataproc_v1.Cluster, *, project: str, uuid: str, at: datetime) -> dataproc_v1.Cluster:
    """Make the cluster as it is right after an accepted create request: CREATING, with its own uuid."""
    return dataproc_v1.Cluster(
        project_id=project,
        cluster_name=wanted.cluster_name,
        config=wanted.config,
        labels=dict(wanted.labels),
        cluster_uuid=uuid,
        status=dataproc_v1.ClusterStatus(state=ClusterState.CREATING, state_start_time=at),
    )


def new_job(
    wanted: dataproc_v1.Job,
    *,
    reference: dataproc_v1.JobReference,
    cluster: dataproc_v1.Cluster,
    uuid: str,
    at: datetime,
) -> dataproc_v1.Job:
    """Make the job as it is right after an accepted submit: PENDING, bound to one cluster's uuid."""
    job = dataproc_v1.Job(wanted)
    job.reference = reference
    job.placement = dataproc_v1.JobPlacement(cluster_name=cluster.cluster_name, cluster_uuid=cluster.cluster_uuid)
    job.job_uuid = uuid
    job.done = False
    job.status = dataproc_v1.JobStatus(state=JobState.PENDING, state_start_time=at)
    job.status_history = []
    return job


def move_cluster(
    cluster: dataproc_v1.Cluster, state: int, *, at: datetime, detail: str = ""
) -> dataproc_v1.Cluster:
    """Enter a state; the former one goes to the history.

    Raises:
        ImpossibleMoveError: no cluster goes from its present state to this one.
    """
    if state not in CLUSTER_MOVES.get(cluster.status.state, frozenset()):
        raise ImpossibleMoveError(
            f"cluster {cluster.cluster_name}: {cluster.status.state.name} cannot become {ClusterState(state).name}"
        )
    moved = dataproc_v1.Cluster(cluster)
    moved.status_history.append(cluster.status)
    moved.status = dataproc_v1.ClusterStatus(state=state, detail=detail, state_start_time=at)
    return moved


def move_job(job: dataproc_v1.Job, state: int, *, at: datetime, details: str = "") -> dataproc_v1.Job:
    """Enter a state; the former one goes to the history, and `done` says whether this one is final.

    Raises:
        ImpossibleMoveError: no job goes from its present state to this one.
    """
    if state not in JOB_MOVES.get(job.status.state, frozenset()):
        raise ImpossibleMoveError(
            f"job {job.reference.job_id}: {job.status.state.name} cannot become {JobState(state).name}"
        )
    moved = dataproc_v1.Job(job)
    moved.status_history.append(job.status)
    moved.status = dataproc_v1.JobStatus(state=state, details=details, state_start_time=at)
    moved.done = state in FINAL_JOB_STATES
    return moved


def born(resource: dataproc_v1.Cluster | dataproc_v1.Job) -> datetime:
    """Say when the request that made this cluster or job was accepted."""
    first = resource.status_history[0] if resource.status_history else resource.status
    return _moment(first.state_start_time)


def idle_since(cluster: dataproc_v1.Cluster, jobs: Iterable[dataproc_v1.Job]) -> datetime | None:
    """Say since when a RUNNING cluster has had no unfinished job; None while it is busy or not RUNNING."""
    own = [job for job in jobs if job.placement.cluster_uuid == cluster.cluster_uuid]
    if cluster.status.state != ClusterState.RUNNING or not all(job.done for job in own):
        return None
    since = [cluster.status.state_start_time, *(job.status.state_start_time for job in own)]
    return max(map(_moment, since))


def deletion_reason(cluster: dataproc_v1.Cluster, *, idle: datetime | None, now: datetime) -> str | None:
    """Say why the cluster's own schedule deletes it now, or None.

    The maximum age counts from the create request; idleness from `idle` (see `idle_since`).
    """
    if cluster.status.state == ClusterState.DELETING:
        return None
    schedule = cluster.config.lifecycle_config
    if "auto_delete_ttl" in schedule and now >= born(cluster) + schedule.auto_delete_ttl:
        return f"it is older than its auto_delete_ttl of {schedule.auto_delete_ttl}"
    if "auto_delete_time" in schedule and now >= _moment(schedule.auto_delete_time):
        return f"its auto_delete_time {_moment(schedule.auto_delete_time).isoformat()} has come"
    if "idle_delete_ttl" in schedule and idle is not None and now >= idle + schedule.idle_delete_ttl:
        return f"it was idle for its idle_delete_ttl of {schedule.idle_delete_ttl}"
    return None


def request_id_faults(request_id: str) -> list[str]:
    """List what the API refuses in a request id; an empty one is none at all."""
    if not request_id or _REQUEST_ID.fullmatch(request_id):
        return []
    return [f"request_id {shown(request_id)}: at most 40 letters, digits, underscores and hyphens"]


def cluster_faults(cluster: dataproc_v1.Cluster) -> list[str]:
    """List what the API refuses in a cluster to create."""
    faults = _label_faults(cluster.labels)
    if not _CLUSTER_NAME.fullmatch(cluster.cluster_name):
        faults.append(
            f"cluster_name {shown(cluster.cluster_name)}: a lower-case letter, then lower-case letters, digits and "
            "hyphens, at most 51 in all, no hyphen at the end"
        )
    if "config" not in cluster:
        faults.append("config: missing")
    return faults + _schedule_faults(cluster.config.lifecycle_config)


def job_faults(job: dataproc_v1.Job) -> list[str]:
    """List what the API refuses in a job to submit, the kind of job aside."""
    faults = _label_faults(job.labels)
    if job.reference.job_id and not _JOB_ID.fullmatch(job.reference.job_id):
        faults.append(
            f"reference.job_id {shown(job.reference.job_id)}: at most 100 letters, digits, underscores and hyphens"
        )
    if not job.placement.cluster_name:
        faults.append("placement.cluster_name: missing")
    if "pyspark_job" in job and not job.pyspark_job.main_python_file_uri:
        faults.append("pyspark_job.main_python_file_uri: missing")
    return faults


def _label_faults(labels: Mapping[str, str]) -> list[str]:
    faults = [f"label key {shown(key)}: does not conform" for key in labels if not _LABEL_KEY.fullmatch(key)]
    faults += [
        f"label {shown(key)}: value {shown(value)} does not conform"
        for key, value in labels.items()
        if not _LABEL_VALUE.fullmatch(value)
    ]
    if len(labels) > _MOST_LABELS:
        faults.append(f"labels: {len(labels)}, at most {_MOST_LABELS} are allowed")
    return faults


def _schedule_faults(schedule: dataproc_v1.LifecycleConfig) -> list[str]:
    return [
        f"lifecycle_config.{field}: {getattr(schedule, field)} is not between {shortest} and {_LONGEST_TTL}"
        for field, shortest in _SHORTEST_TTL.items()
        if field in schedule and not shortest <= getattr(schedule, field) <= _LONGEST_TTL
    ]


def _moment(value: datetime) -> datetime:
    """Take the client library's timestamp type as a plain aware datetime."""
    return datetime.fromtimestamp(value.timestamp(), tz=value.tzinfo)
