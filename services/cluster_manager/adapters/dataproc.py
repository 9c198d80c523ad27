"""Dataproc through the official asynchronous clients; translates their types and errors."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast, get_args

from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    NotFound,
    RetryError,
)
from google.cloud import dataproc_v1
from google.protobuf.duration_pb2 import Duration

from contracts.names import decision_name, job_id, load_name, quarantine_prefix, raw_prefix
from eventing.deadlines import CALL, Deadline
from eventing.errors import Permanent, Retryable
from services.cluster_manager.capacity import is_refusal
from services.cluster_manager.ports import (
    APP_LABEL,
    Cluster,
    ClusterState,
    Job,
    JobRequest,
    JobState,
    NoMachines,
)
from services.cluster_manager.sizing import ClusterSize

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """What every cluster is made of, whatever its size."""

    image_version: str
    connector_version: str
    idle_ttl: timedelta
    max_ttl: timedelta
    staging_bucket: str
    """Takes drivers' outputs and temporary files; otherwise Dataproc makes buckets of its own that outlive all else."""
    disk_gb: int
    """Of each machine."""
    subnetwork: str | None = None
    service_account: str | None = None


@dataclass(frozen=True, slots=True)
class JobShape:
    """What a job runs, and where it reads and writes."""

    main_uri: str
    package_uri: str
    bucket: str
    temporary_bucket: str
    table: str
    quarantine_threshold: float
    properties: Mapping[str, str]


class GoogleDataproc:
    """A `Dataproc` on the real API, or on anything that speaks it."""

    def __init__(
        self,
        clusters: dataproc_v1.ClusterControllerAsyncClient,
        jobs: dataproc_v1.JobControllerAsyncClient,
        *,
        project: str,
        region: str,
        cluster_shape: ClusterShape,
        job_shape: JobShape,
        deadline: Deadline = CALL,
    ) -> None:
        self._clusters = clusters
        self._jobs = jobs
        self._where = {"project_id": project, "region": region}
        self._cluster_shape = cluster_shape
        self._job_shape = job_shape
        self._deadline = deadline

    async def ping(self) -> None:
        """Raise `Retryable` unless Dataproc answers."""
        await self.clusters()

    async def clusters(self, run_id: str | None = None) -> list[Cluster]:
        """See `Dataproc.clusters`."""
        labels = f"labels.app = {APP_LABEL}" + (f" AND labels.run = {run_id}" if run_id else "")
        return await self._call("list clusters", self._list_clusters({**self._where, "filter": labels}))

    async def _list_clusters(self, request: Mapping[str, Any]) -> list[Cluster]:
        pages = await self._clusters.list_clusters(request=dict(request), timeout=self._deadline.attempt_seconds)
        return [_cluster(found) async for found in pages]

    async def cluster(self, name: str) -> Cluster | None:
        """See `Dataproc.cluster`."""
        request = {**self._where, "cluster_name": name}
        getting = self._clusters.get_cluster(request=request, timeout=self._deadline.attempt_seconds)
        try:
            return _cluster(await self._call(f"get cluster {name}", getting, NotFound))
        except NotFound:
            return None

    async def create_cluster(self, name: str, run_id: str, size: ClusterSize) -> None:
        """See `Dataproc.create_cluster`."""
        cluster = cluster_message(name, run_id, size, self._where["project_id"], self._cluster_shape)
        request = {**self._where, "cluster": cluster, "request_id": name}
        creating = self._clusters.create_cluster(request=request, timeout=self._deadline.attempt_seconds)
        # Whether what exists already is ours and sound is looked at by the next step, never assumed here.
        with suppress(AlreadyExists):
            await self._call(f"create cluster {name}", creating, AlreadyExists)

    async def delete_cluster(self, name: str, uuid: str) -> None:
        """See `Dataproc.delete_cluster`."""
        request = {**self._where, "cluster_name": name, "cluster_uuid": uuid}
        deleting = self._clusters.delete_cluster(request=request, timeout=self._deadline.attempt_seconds)
        with suppress(NotFound):
            await self._call(f"delete cluster {name}", deleting, NotFound)

    async def jobs(self, run_id: str) -> list[Job]:
        """See `Dataproc.jobs`."""
        request = {**self._where, "filter": f"labels.app = {APP_LABEL} AND labels.run = {run_id}"}
        found = await self._call("list jobs", self._list_jobs(request))
        return sorted(found, key=lambda job: (job.revision, job.attempt))

    async def _list_jobs(self, request: Mapping[str, Any]) -> list[Job]:
        pages = await self._jobs.list_jobs(request=dict(request), timeout=self._deadline.attempt_seconds)
        return [_job(job) async for job in pages]

    async def submit_job(self, request: JobRequest) -> None:
        """See `Dataproc.submit_job`."""
        identity = job_id(request.run_id, request.revision, request.attempt)
        message = {**self._where, "job": job_message(identity, request, self._job_shape), "request_id": identity}
        submitting = self._jobs.submit_job(request=message, timeout=self._deadline.attempt_seconds)
        with suppress(AlreadyExists):
            await self._call(f"submit job {identity}", submitting, AlreadyExists)

    async def cancel_job(self, identity: str) -> None:
        """See `Dataproc.cancel_job`."""
        request = {**self._where, "job_id": identity}
        cancelling = self._jobs.cancel_job(request=request, timeout=self._deadline.attempt_seconds)
        with suppress(NotFound, FailedPrecondition):
            await self._call(f"cancel job {identity}", cancelling, NotFound, FailedPrecondition)

    async def _call(self, what: str, call: Awaitable[ResultT], *known: type[GoogleAPICallError]) -> ResultT:
        """The call's result, in time; errors that the caller knows pass as they are."""
        try:
            return await asyncio.wait_for(call, self._deadline.seconds)
        except known:
            raise
        except TimeoutError as error:
            reason = f"dataproc: {what} was given up after {self._deadline.seconds:g} s"
            raise Retryable(reason) from error
        except (GoogleAPICallError, RetryError) as error:
            raise _translated(what, error) from error


def cluster_message(
    name: str, run_id: str, size: ClusterSize, project: str, shape: ClusterShape
) -> dict[str, Any]:
    """The Cluster message: machines of one type, our labels, both TTLs, internal addresses only."""
    machine: dict[str, Any] = {"internal_ip_only": True, "metadata": _metadata(shape)}
    if size.zone:
        machine["zone_uri"] = size.zone
    if shape.subnetwork:
        machine["subnetwork_uri"] = shape.subnetwork
    if shape.service_account:
        machine["service_account"] = shape.service_account
        machine["service_account_scopes"] = ["https://www.googleapis.com/auth/cloud-platform"]
    return {
        "project_id": project,
        "cluster_name": name,
        "labels": {"app": APP_LABEL, "run": run_id},
        "config": {
            "config_bucket": shape.staging_bucket,
            "temp_bucket": shape.staging_bucket,
            "gce_cluster_config": machine,
            "master_config": _machines(1, size, shape),
            "worker_config": _machines(size.workers, size, shape) if size.workers else {"num_instances": 0},
            "software_config": {
                "image_version": shape.image_version,
                "properties": _properties(size),
            },
            "lifecycle_config": {
                "idle_delete_ttl": Duration(seconds=int(shape.idle_ttl.total_seconds())),
                "auto_delete_ttl": Duration(seconds=int(shape.max_ttl.total_seconds())),
            },
        },
    }


def _machines(count: int, size: ClusterSize, shape: ClusterShape) -> dict[str, Any]:
    return {
        "num_instances": count,
        "machine_type_uri": size.machine_type,
        "disk_config": {"boot_disk_size_gb": shape.disk_gb},
    }


def _properties(size: ClusterSize) -> dict[str, str]:
    properties = {"dataproc:dataproc.logging.stackdriver.job.driver.enable": "true"}
    # Without it Dataproc takes no workers for a request for its default of two.
    return properties if size.workers else {**properties, "dataproc:dataproc.allow.zero.workers": "true"}


def _metadata(shape: ClusterShape) -> dict[str, str]:
    return {"SPARK_BQ_CONNECTOR_VERSION": shape.connector_version}


def job_message(identity: str, request: JobRequest, shape: JobShape) -> dict[str, Any]:
    """The Job message of one attempt at one decision."""
    return {
        "reference": {"job_id": identity},
        "placement": {"cluster_name": request.cluster},
        "labels": {
            "app": APP_LABEL,
            "run": request.run_id,
            "revision": str(request.revision),
            "attempt": str(request.attempt),
        },
        "pyspark_job": {
            "main_python_file_uri": shape.main_uri,
            "python_file_uris": [shape.package_uri],
            "args": job_arguments(request, shape),
            "properties": dict(shape.properties),
        },
    }


def job_arguments(request: JobRequest, shape: JobShape) -> list[str]:
    """The command line of the Spark job."""
    at = f"gs://{shape.bucket}/"
    return [
        f"--input={at}{raw_prefix(request.run_id)}",
        f"--run-id={request.run_id}",
        f"--revision={request.revision}",
        f"--decision={at}{decision_name(request.run_id, request.revision)}",
        f"--table={shape.table}",
        f"--temporary-bucket={shape.temporary_bucket}",
        f"--result={at}{load_name(request.run_id, request.revision)}",
        f"--quarantine={at}{quarantine_prefix(request.run_id, request.revision)}",
        f"--quarantine-threshold={shape.quarantine_threshold}",
    ]


def _cluster(message: dataproc_v1.Cluster) -> Cluster:
    statuses = [*message.status_history, message.status]
    running = [s.state_start_time for s in statuses if s.state.name == "RUNNING" and s.state_start_time]
    return Cluster(
        name=message.cluster_name,
        uuid=message.cluster_uuid,
        state=_state(message.status.state.name),
        labels=dict(message.labels),
        running_since=_utc(min(running)) if running else None,
        size=_size(message.config),
        details=message.status.detail,
    )


def _size(config: dataproc_v1.ClusterConfig) -> ClusterSize | None:
    # Dataproc answers with the type's full address, whose last segment is its name.
    machine_type = config.master_config.machine_type_uri.rsplit("/", 1)[-1]
    return ClusterSize(machine_type, config.worker_config.num_instances) if machine_type else None


def _state(name: str) -> ClusterState:
    # A state that this client does not know yet is treated as UNKNOWN: no job is submitted to it.
    return cast("ClusterState", name if name in get_args(ClusterState) else "UNKNOWN")


def _job(message: dataproc_v1.Job) -> Job:
    statuses = [*message.status_history, message.status]
    running = [s.state_start_time for s in statuses if s.state.name == "RUNNING" and s.state_start_time]
    over = message.status.state.name in ("DONE", "ERROR", "CANCELLED")
    name = message.status.state.name
    since = _utc(message.status.state_start_time) if message.status.state_start_time else None
    return Job(
        id=message.reference.job_id,
        revision=int(message.labels.get("revision", "0")),
        attempt=int(message.labels.get("attempt", "0")),
        state=cast("JobState", name if name in get_args(JobState) else "STATE_UNSPECIFIED"),
        cluster=message.placement.cluster_name,
        details=message.status.details,
        driver_output_uri=message.driver_output_resource_uri or None,
        started_at=_utc(min(running)) if running else None,
        ended_at=since if over else None,
        since=since,
    )


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def _translated(what: str, error: Exception) -> Retryable | Permanent:
    reason = f"dataproc: {what} failed: {type(error).__name__}: {getattr(error, 'message', error)}"
    if is_refusal(str(error)):
        # Dataproc words a lack of quota as an invalid argument; it is the same request that succeeds later.
        return NoMachines(reason)
    if isinstance(error, InvalidArgument):
        return Permanent(reason)
    return Retryable(reason)
