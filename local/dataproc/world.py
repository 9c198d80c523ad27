"""Clusters and jobs as they are now, and what moves them on.

Every call is answered from here at once; what takes time goes on in tasks of its own. A state changes only by
`states.move_cluster` and `states.move_job`, so no call can bring about a history that the API does not have.

Not here: the wire (`api`), the processes (`driver`), the operations and the audit log (`journal`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import grpc
from google.cloud import dataproc_v1
from google.longrunning import operations_pb2

from local.dataproc import audit, filters, states
from local.dataproc.driver import DriverError, JobRunner
from local.dataproc.faults import Faults, Kind, Step
from local.dataproc.journal import Journal, Key, failure_of, job_body, job_call, request_body
from local.dataproc.states import ClusterState, JobState
from local.grpc_server import RefusedError

_READY = frozenset({ClusterState.RUNNING})
NO_QUOTA = "Insufficient 'CPUS' quota. Requested 2.0, available 0.0."
NO_MACHINES = (
    "ZONE_RESOURCE_POOL_EXHAUSTED: The zone 'projects/p/zones/r-b' does not have enough resources available to fulfill "
    "the request. Try a different zone, or try again later."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where files go and how long things take."""

    bucket: str  # takes the drivers' outputs
    log_dir: Path
    creating: float = 0.2  # seconds; the real service needs about 90
    deleting: float = 0.1  # seconds; the real service needs about 60


class _Going(NamedTuple):
    """What is under way for a cluster that starts or a job that runs."""

    task: asyncio.Task[None]
    call: audit.Call


@dataclass(kw_only=True)
class World:
    """See the module."""

    setting: Setting
    tasks: asyncio.TaskGroup
    run: JobRunner
    sink: audit.Sink
    faults: Faults
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    clusters: dict[Key, dataproc_v1.Cluster] = field(default_factory=dict)
    jobs: dict[Key, dataproc_v1.Job] = field(default_factory=dict)
    journal: Journal = field(init=False)
    _answered: dict[tuple[str, Key], str] = field(default_factory=dict)
    _submitted: dict[Key, Key] = field(default_factory=dict)
    _starting: dict[Key, _Going] = field(default_factory=dict)
    _running: dict[Key, _Going] = field(default_factory=dict)
    _spawned: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.journal = Journal(sink=self.sink, faults=self.faults, now=self.now, new_id=self.new_id)

    # --- clusters ----------------------------------------------------------------------------------------------

    async def create_cluster(self, request: dataproc_v1.CreateClusterRequest) -> operations_pb2.Operation:
        """Accept a cluster; a known request id gets the first request's operation, whatever came of it."""
        _refuse(states.request_id_faults(request.request_id) + states.cluster_faults(request.cluster))
        asked = ("CREATE", Key(request.project_id, request.region, request.request_id))
        if request.request_id and asked in self._answered:
            return self.journal.operations[self._answered[asked]]
        key = Key(request.project_id, request.region, request.cluster.cluster_name)
        if key in self.clusters:
            message = f"Already exists: Failed to create cluster: Cluster {key.path('clusters')}"
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, message)
        if self.faults.take(Step.CREATE_CLUSTER, Kind.QUOTA):
            self._refuse_for_quota(key, request)
        cluster = states.new_cluster(request.cluster, project=key.project, uuid=self.new_id(), at=self.now())
        self.clusters[key] = cluster
        body = {"cluster": {"clusterName": key.name, "labels": dict(cluster.labels)}}
        call = self.journal.open("CREATE", key, cluster, request_body(key, body, request.request_id))
        self._answered[asked] = call.operation
        self.journal.write_first(Step.CREATE_CLUSTER, call, {"name": call.operation})
        self._starting[key] = _Going(self._spawn(self._start_cluster(key, call)), call)
        return self.journal.operations[call.operation]

    def _refuse_for_quota(self, key: Key, request: dataproc_v1.CreateClusterRequest) -> NoReturn:
        body = {"cluster": {"clusterName": key.name, "labels": dict(request.cluster.labels)}}
        failure = failure_of(grpc.StatusCode.INVALID_ARGUMENT, NO_QUOTA)
        self.journal.refuse(key, failure, request_body(key, body, request.request_id))
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, NO_QUOTA)

    async def get_cluster(self, request: dataproc_v1.GetClusterRequest) -> dataproc_v1.Cluster:
        """Show a cluster."""
        return self._shown(self._cluster(Key(request.project_id, request.region, request.cluster_name)))

    async def list_clusters(self, request: dataproc_v1.ListClustersRequest) -> dataproc_v1.ListClustersResponse:
        """Show the region's clusters that the filter lets through, all on one page."""
        try:
            wanted = filters.cluster_filter(request.filter)
        except filters.FilterError as error:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        there = (
            cluster for key, cluster in self.clusters.items() if key[:2] == (request.project_id, request.region)
        )
        return dataproc_v1.ListClustersResponse(
            clusters=[self._shown(cluster) for cluster in there if wanted(cluster)]
        )

    async def delete_cluster(self, request: dataproc_v1.DeleteClusterRequest) -> operations_pb2.Operation:
        """Begin to delete; a known request id gets the first request's operation."""
        _refuse(states.request_id_faults(request.request_id))
        asked = ("DELETE", Key(request.project_id, request.region, request.request_id))
        if request.request_id and asked in self._answered:
            return self.journal.operations[self._answered[asked]]
        key = Key(request.project_id, request.region, request.cluster_name)
        cluster = self._cluster(key)
        if request.cluster_uuid and request.cluster_uuid != cluster.cluster_uuid:
            message = f"Not found: Cluster {key.path('clusters')} with uuid {request.cluster_uuid}"
            raise RefusedError(grpc.StatusCode.NOT_FOUND, message)
        if cluster.status.state == ClusterState.DELETING:
            message = f"Cannot delete cluster {key.name!r} when it has other pending delete operations."
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, message)
        body = request_body(key, {"clusterName": key.name}, request.request_id)
        call = self._begin_deletion(key, body)
        self._answered[asked] = call.operation
        return self.journal.operations[call.operation]

    def enforce_schedules(self) -> None:
        """Begin to delete every cluster whose scheduled deletion is due."""
        for key, cluster in list(self.clusters.items()):
            idle = states.idle_since(cluster, self.jobs.values())
            if states.deletion_reason(cluster, idle=idle, now=self.now()):
                self._begin_deletion(key, request_body(key, {"clusterName": key.name}, ""))

    # --- jobs --------------------------------------------------------------------------------------------------

    async def submit_job(self, request: dataproc_v1.SubmitJobRequest) -> dataproc_v1.Job:
        """Accept a job; a known request id gets the first request's job as it is now."""
        _refuse(states.request_id_faults(request.request_id) + states.job_faults(request.job))
        asked = Key(request.project_id, request.region, request.request_id)
        if request.request_id and asked in self._submitted:
            return self.jobs[self._submitted[asked]]
        key = Key(request.project_id, request.region, request.job.reference.job_id or self.new_id())
        if key in self.jobs:
            message = f"Already exists: Failed to submit job: Job {key.path('jobs')}"
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, message)
        cluster = self._cluster_for(request.job, key)
        self.jobs[key] = self._new_job(request.job, key, cluster)
        self._submitted[asked] = key
        call = job_call(key, self.jobs[key], request)
        self.journal.write_first(Step.SUBMIT_JOB, call, job_body(self.jobs[key]))
        self._running[key] = _Going(self._spawn(self._drive(key)), call)
        return self.jobs[key]

    async def get_job(self, request: dataproc_v1.GetJobRequest) -> dataproc_v1.Job:
        """Show a job."""
        return self._job(Key(request.project_id, request.region, request.job_id))

    async def list_jobs(self, request: dataproc_v1.ListJobsRequest) -> dataproc_v1.ListJobsResponse:
        """Show the region's jobs that cluster, filter and, without a filter, state matcher let through."""
        matcher = (
            "" if request.job_state_matcher.name == "ALL" else f"status.state = {request.job_state_matcher.name}"
        )
        try:
            wanted = filters.job_filter(request.filter or matcher)
        except filters.FilterError as error:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        there = (job for key, job in self.jobs.items() if key[:2] == (request.project_id, request.region))
        named = (job for job in there if request.cluster_name in {"", job.placement.cluster_name})
        return dataproc_v1.ListJobsResponse(jobs=[job for job in named if wanted(job)])

    async def cancel_job(self, request: dataproc_v1.CancelJobRequest) -> dataproc_v1.Job:
        """Begin to cancel; a job that is being cancelled stays as it is, a finished one is refused."""
        key = Key(request.project_id, request.region, request.job_id)
        job = self._job(key)
        if job.done:
            message = f"Job {key.path('jobs')} is in the final state {job.status.state.name}"
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, message)
        if job.status.state in {JobState.CANCEL_PENDING, JobState.CANCEL_STARTED}:
            return job
        pending = self._turn_job(key, JobState.CANCEL_PENDING)
        self._turn_job(key, JobState.CANCEL_STARTED)
        self._spawn(self._stop_driver(key, JobState.CANCELLED, "Job was cancelled."))
        return pending

    # --- operations --------------------------------------------------------------------------------------------

    async def get_operation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        """Show an operation."""
        if request.name not in self.journal.operations:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Not found: Operation {request.name}")
        return self.journal.operations[request.name]

    def close(self) -> None:
        """Stop everything under way; drivers are killed before the task group ends."""
        for task in self._spawned:
            task.cancel()

    # --- what takes time ---------------------------------------------------------------------------------------

    async def _start_cluster(self, key: Key, call: audit.Call) -> None:
        if not self.faults.take(Step.CREATE_CLUSTER, Kind.ERROR):
            if self.faults.take(Step.CREATE_CLUSTER, Kind.NEVER) or self.faults.take(
                Step.CLUSTER_START, Kind.NEVER
            ):
                await _for_ever()
            await asyncio.sleep(self.setting.creating)
            if self.faults.take(Step.CLUSTER_START, Kind.STOCKOUT):
                self._fail_start(key, call, failure_of(grpc.StatusCode.INTERNAL, NO_MACHINES))
                return
            if not self.faults.take(Step.CLUSTER_START, Kind.ERROR):
                del self._starting[key]
                self._turn_cluster(key, ClusterState.RUNNING)
                self.journal.succeed(Step.CLUSTER_START, call, self.clusters[key])
                return
        failure = failure_of(grpc.StatusCode.INTERNAL, "The cluster could not be started, as was ordered.")
        self._fail_start(key, call, failure)

    def _fail_start(self, key: Key, call: audit.Call, failure: audit.Failure) -> None:
        del self._starting[key]
        self._turn_cluster(key, ClusterState.ERROR, failure.message)
        self.journal.fail(Step.CLUSTER_START, call, failure)

    def _begin_deletion(self, key: Key, body: Mapping[str, Any]) -> audit.Call:
        cluster = self._turn_cluster(key, ClusterState.DELETING)
        call = self.journal.open("DELETE", key, cluster, body)
        self.journal.write_first(Step.DELETE_CLUSTER, call, {"name": call.operation})
        if starting := self._starting.pop(key, None):
            starting.task.cancel()
            why = failure_of(grpc.StatusCode.ABORTED, "The cluster was deleted before it had started.")
            self.journal.fail(Step.CLUSTER_START, starting.call, why)
        self._spawn(self._delete_cluster(key, call))
        return call

    async def _delete_cluster(self, key: Key, call: audit.Call) -> None:
        adrift = self.faults.take(Step.DELETE_CLUSTER, Kind.ADRIFT)
        for job_key in [found for found in self._running if self._placed_on(found, call.cluster_uuid)]:
            if adrift:
                self._running[job_key].task.cancel()
                continue
            await self._stop_driver(job_key, JobState.ERROR, f"Cluster {key.name} was deleted while the job ran.")
        if self.faults.take(Step.DELETE_CLUSTER, Kind.NEVER):
            await _for_ever()
        await asyncio.sleep(self.setting.deleting)
        if self.faults.take(Step.DELETE_CLUSTER, Kind.ERROR):
            failure = failure_of(grpc.StatusCode.INTERNAL, "The cluster could not be deleted, as was ordered.")
            self._turn_cluster(key, ClusterState.ERROR, failure.message)
            self.journal.fail(Step.DELETE_CLUSTER, call, failure)
            return
        del self.clusters[key]
        self.journal.succeed(Step.DELETE_CLUSTER, call, None)

    async def _drive(self, key: Key) -> None:
        if self.faults.take(Step.SUBMIT_JOB, Kind.ERROR):
            self._end_job(key, JobState.ERROR, "The job was not acquired by the cluster, as was ordered.")
            return
        if self.faults.take(Step.SUBMIT_JOB, Kind.NEVER):
            await _for_ever()
        self._turn_job(key, JobState.SETUP_DONE)
        self._turn_job(key, JobState.RUNNING)
        if self.faults.take(Step.JOB, Kind.ERROR):
            self._end_job(key, JobState.ERROR, "The job failed, as was ordered.")
            return
        if self.faults.take(Step.JOB, Kind.NEVER):
            await _for_ever()
        self._end_job(key, *await self._run_driver(key))

    async def _run_driver(self, key: Key) -> tuple[int, str]:
        """Run the driver to its end; gives the job's state then, and its details."""
        job = self.jobs[key]
        output = self.setting.log_dir / "jobs" / f"{key.name}.log"
        try:
            code = await self.run(job, output)
        except DriverError as error:
            return JobState.ERROR, f"The driver could not be started: {error}"
        if code == 0:
            return JobState.DONE, ""
        return (
            JobState.ERROR,
            f"Job failed with exit code {code}. Its output is at {job.driver_output_resource_uri}*",
        )

    async def _stop_driver(self, key: Key, state: int, details: str) -> None:
        """Kill a job's driver, then end the job, unless it has ended otherwise meanwhile."""
        if going := self._running.get(key):
            going.task.cancel()
            await asyncio.wait([going.task])
        if not self.jobs[key].done:
            self._end_job(key, state, details)

    # --- changes -----------------------------------------------------------------------------------------------

    def _turn_cluster(self, key: Key, state: int, detail: str = "") -> dataproc_v1.Cluster:
        self.clusters[key] = states.move_cluster(self.clusters[key], state, at=self.now(), detail=detail)
        return self.clusters[key]

    def _turn_job(self, key: Key, state: int, details: str = "") -> dataproc_v1.Job:
        self.jobs[key] = states.move_job(self.jobs[key], state, at=self.now(), details=details)
        return self.jobs[key]

    def _end_job(self, key: Key, state: int, details: str) -> None:
        job = self._turn_job(key, state, details)
        failure = None
        if state != JobState.DONE:
            code = grpc.StatusCode.CANCELLED if state == JobState.CANCELLED else grpc.StatusCode.INTERNAL
            failure = failure_of(code, details)
        self.journal.write_last(Step.JOB, self._running.pop(key).call, job_body(job), failure)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.tasks.create_task(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    # --- looks -------------------------------------------------------------------------------------------------

    def _cluster(self, key: Key) -> dataproc_v1.Cluster:
        if key not in self.clusters:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Not found: Cluster {key.path('clusters')}")
        return self.clusters[key]

    def _job(self, key: Key) -> dataproc_v1.Job:
        if key not in self.jobs:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Not found: Job {key.path('jobs')}")
        return self.jobs[key]

    def _cluster_for(self, job: dataproc_v1.Job, key: Key) -> dataproc_v1.Cluster:
        cluster = self._cluster(key._replace(name=job.placement.cluster_name))
        if cluster.status.state not in _READY:
            message = f"Cluster {cluster.cluster_name} is {cluster.status.state.name} and takes no jobs."
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, message)
        if "pyspark_job" not in job:
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, "The stand-in runs PySpark jobs alone.")
        return cluster

    def _shown(self, cluster: dataproc_v1.Cluster) -> dataproc_v1.Cluster:
        """Add what the service works out as it answers."""
        idle = states.idle_since(cluster, self.jobs.values())
        if "idle_delete_ttl" not in cluster.config.lifecycle_config:
            return cluster
        shown = dataproc_v1.Cluster(cluster)
        shown.config.lifecycle_config.idle_start_time = idle
        return shown

    def _placed_on(self, job: Key, cluster_uuid: str) -> bool:
        return bool(self.jobs[job].placement.cluster_uuid == cluster_uuid)

    def _new_job(self, wanted: dataproc_v1.Job, key: Key, cluster: dataproc_v1.Cluster) -> dataproc_v1.Job:
        reference = dataproc_v1.JobReference(project_id=key.project, job_id=key.name)
        job = states.new_job(wanted, reference=reference, cluster=cluster, uuid=self.new_id(), at=self.now())
        folder = f"google-cloud-dataproc-metainfo/{cluster.cluster_uuid}/jobs/{key.name}"
        job.driver_control_files_uri = f"gs://{self.setting.bucket}/{folder}/"
        job.driver_output_resource_uri = f"gs://{self.setting.bucket}/{folder}/driveroutput"
        return job


def _refuse(faults: list[str]) -> None:
    if faults:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Invalid request: " + "; ".join(faults))


async def _for_ever() -> None:
    await asyncio.Event().wait()
