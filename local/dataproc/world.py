"""Clusters, jobs and operations of the stand-in, and the tasks that move them from state to state.

Every change of a state goes through `states`, so none can happen that the real service would not make. Time and
waiting are injected; each long-running step is a task of its own that `close` ends.

Not here: how a call arrives (`api`), how a driver runs (`driver`), how an entry reaches a topic (`audit`).
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
from google.cloud import dataproc_v1
from google.longrunning import operations_pb2
from google.rpc import code_pb2, status_pb2

from local.dataproc import states
from local.dataproc.audit import Call, Failure, Sink, first_entry, last_entry
from local.dataproc.driver import JobRunner, publish_output
from local.dataproc.faults import Faults, Kind, Step
from local.dataproc.filters import FilterError, cluster_filter, job_filter
from local.dataproc.states import ClusterState, JobState
from local.grpc_server import RefusedError

log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]
_STAGING = "dataproc-staging"
_WATCH = 1.0  # seconds between two looks at the scheduled deletions


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long the steps take, in seconds; the real ones take minutes."""

    cluster_start: float = 0.3
    cluster_delete: float = 0.1
    job_setup: float = 0.05


@dataclass
class World:
    """One project's Dataproc."""

    project: str
    storage_root: Path
    log_dir: Path
    run: JobRunner
    sink: Sink
    clock: Callable[[], datetime]
    sleep: Sleep = asyncio.sleep
    pace: Pace = field(default_factory=Pace)
    faults: Faults = field(default_factory=Faults)
    clusters: dict[str, dataproc_v1.Cluster] = field(default_factory=dict)
    jobs: dict[str, dataproc_v1.Job] = field(default_factory=dict)
    operations: dict[str, operations_pb2.Operation] = field(default_factory=dict)
    _answers: dict[str, Any] = field(default_factory=dict)
    """What a request id was answered with."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _drivers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    # --- clusters ---

    async def create_cluster(self, request: dataproc_v1.CreateClusterRequest) -> operations_pb2.Operation:
        """Accept a cluster, or refuse it as the API does."""
        self._strike(Step.CREATE_CLUSTER)
        if (known := self._answered("create", request.request_id)) is not None:
            return known
        _refuse(states.cluster_faults(request.cluster) + states.request_id_faults(request.request_id))
        name = request.cluster.cluster_name
        if name in self.clusters:
            path = f"projects/{self.project}/regions/{request.region}/clusters/{name}"
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, f"Already exists: Failed to create cluster: {path}")
        identity = str(uuid.uuid4())
        made = states.new_cluster(request.cluster, project=self.project, uuid=identity, at=self.clock())
        self.clusters[name] = made
        call = self._call("ClusterController.CreateCluster", request.region, made)
        operation = self._operation(call, request.request_id)
        self._first(Step.CREATE_CLUSTER, call)
        self._go(self._start_cluster(call, operation))
        self._answers[f"create/{request.request_id}"] = operation
        self._lose_answer(Step.CREATE_CLUSTER)
        return operation

    async def _start_cluster(self, call: Call, operation: operations_pb2.Operation) -> None:
        if self._never(Step.CREATE_CLUSTER) or self._never(Step.CLUSTER_START):
            return
        failed = self.faults.take(Step.CREATE_CLUSTER, Kind.ERROR)
        if not failed:
            await self.sleep(self.pace.cluster_start)
            failed = self.faults.take(Step.CLUSTER_START, Kind.ERROR)
        cluster = self._same(call)
        if cluster is None or cluster.status.state != ClusterState.CREATING:
            self._end(Step.CLUSTER_START, call, operation, Failure(code_pb2.ABORTED, "the cluster was deleted"))
            return
        failure = Failure(code_pb2.INTERNAL, "ordered fault: the cluster did not start") if failed else None
        state = ClusterState.ERROR if failed else ClusterState.RUNNING
        self._move_cluster(cluster, state, failure)
        self._end(Step.CLUSTER_START, call, operation, failure)

    async def get_cluster(self, request: dataproc_v1.GetClusterRequest) -> dataproc_v1.Cluster:
        """One cluster."""
        return self._cluster(request.cluster_name)

    async def list_clusters(self, request: dataproc_v1.ListClustersRequest) -> dataproc_v1.ListClustersResponse:
        """All clusters the filter lets through."""
        keep = _filtered(cluster_filter, request.filter)
        return dataproc_v1.ListClustersResponse(clusters=[c for c in self.clusters.values() if keep(c)])

    async def delete_cluster(self, request: dataproc_v1.DeleteClusterRequest) -> operations_pb2.Operation:
        """Begin to delete a cluster; a uuid that is not its own finds nothing."""
        self._strike(Step.DELETE_CLUSTER)
        if (known := self._answered("delete", request.request_id)) is not None:
            return known
        cluster = self._cluster(request.cluster_name)
        if request.cluster_uuid and request.cluster_uuid != cluster.cluster_uuid:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Not found: Cluster with uuid {request.cluster_uuid}")
        operation = self._delete(cluster, request.region, request.request_id)
        self._answers[f"delete/{request.request_id}"] = operation
        self._lose_answer(Step.DELETE_CLUSTER)
        return operation

    def _delete(self, cluster: dataproc_v1.Cluster, region: str, request_id: str) -> operations_pb2.Operation:
        if cluster.status.state == ClusterState.DELETING:
            problem = f"cluster {cluster.cluster_name} is being deleted already"
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, problem)
        self._move_cluster(cluster, ClusterState.DELETING, None)
        call = self._call("ClusterController.DeleteCluster", region, cluster)
        operation = self._operation(call, request_id)
        self._first(Step.DELETE_CLUSTER, call)
        self._go(self._remove_cluster(call, operation))
        return operation

    async def _remove_cluster(self, call: Call, operation: operations_pb2.Operation) -> None:
        if self._never(Step.DELETE_CLUSTER):
            return
        await self._kill_jobs(call.cluster_uuid)
        await self.sleep(self.pace.cluster_delete)
        cluster = self._same(call)
        failure = None
        if self.faults.take(Step.DELETE_CLUSTER, Kind.ERROR):
            failure = Failure(code_pb2.INTERNAL, "ordered fault: the cluster was not deleted")
            if cluster is not None:
                self._move_cluster(cluster, ClusterState.ERROR, failure)
        elif cluster is not None:
            del self.clusters[call.cluster_name]
        self._end(Step.DELETE_CLUSTER, call, operation, failure)

    async def watch_schedules(self) -> None:
        """Delete clusters whose scheduled deletion has come, until cancelled."""
        while True:
            await self.sleep(_WATCH)
            self.delete_overdue()

    def delete_overdue(self) -> list[str]:
        """Begin to delete every cluster whose scheduled deletion has come; gives their names."""
        deleted = []
        for cluster in list(self.clusters.values()):
            idle = states.idle_since(cluster, self.jobs.values())
            reason = states.deletion_reason(cluster, idle=idle, now=self.clock())
            if reason:
                log.warning("cluster %s is deleted: %s", cluster.cluster_name, reason)
                self._delete(cluster, "scheduled", "")
                deleted.append(cluster.cluster_name)
        return deleted

    # --- jobs ---

    async def submit_job(self, request: dataproc_v1.SubmitJobRequest) -> dataproc_v1.Job:
        """Accept a job for a running cluster, or refuse it as the API does."""
        self._strike(Step.SUBMIT_JOB)
        if (known := self._answered("submit", request.request_id)) is not None:
            return known
        _refuse(states.job_faults(request.job) + states.request_id_faults(request.request_id))
        if "pyspark_job" not in request.job:
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, "the stand-in runs PySpark jobs only")
        cluster = self._running(request.job.placement.cluster_name)
        job = self._new_job(request, cluster)
        if job.reference.job_id in self.jobs:
            path = f"projects/{self.project}/regions/{request.region}/jobs/{job.reference.job_id}"
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, f"Already exists: Job {path}")
        self.jobs[job.reference.job_id] = job
        call = self._job_call(request.region, job)
        self._first(Step.SUBMIT_JOB, call)
        self._drivers[job.reference.job_id] = self._go(self._drive(job.reference.job_id, call))
        self._answers[f"submit/{request.request_id}"] = job
        self._lose_answer(Step.SUBMIT_JOB)
        return job

    def _new_job(self, request: dataproc_v1.SubmitJobRequest, cluster: dataproc_v1.Cluster) -> dataproc_v1.Job:
        identity = request.job.reference.job_id or str(uuid.uuid4())
        reference = dataproc_v1.JobReference(project_id=self.project, job_id=identity)
        job = states.new_job(
            request.job, reference=reference, cluster=cluster, uuid=str(uuid.uuid4()), at=self.clock()
        )
        prefix = f"google-cloud-dataproc-metainfo/{cluster.cluster_uuid}/jobs/{identity}/driveroutput"
        job.driver_output_resource_uri = f"gs://{cluster.config.config_bucket or _STAGING}/{prefix}"
        return job

    async def _drive(self, identity: str, call: Call) -> None:
        """Take a job from PENDING to its end; a cancellation of this task is the loss of its cluster."""
        try:
            failure = await self._phases(identity)
        except asyncio.CancelledError:
            failure = Failure(code_pb2.ABORTED, "the cluster was deleted while the job ran")
        if failure is None and not self.jobs[identity].done:
            return
        if failure is not None and not self.jobs[identity].done:
            self._move_job(identity, JobState.ERROR, failure.message)
        self._publish_output(identity)
        self._last(Step.JOB, call, {"reference": {"jobId": identity}}, failure)

    async def _phases(self, identity: str) -> Failure | None:
        if self._never(Step.SUBMIT_JOB):
            return None
        if self.faults.take(Step.SUBMIT_JOB, Kind.ERROR):
            return Failure(code_pb2.INTERNAL, "ordered fault: no agent took the job")
        await self.sleep(self.pace.job_setup)
        self._move_job(identity, JobState.SETUP_DONE)
        self._move_job(identity, JobState.RUNNING)
        if self._never(Step.JOB):
            return None
        if self.faults.take(Step.JOB, Kind.ERROR):
            return Failure(code_pb2.INTERNAL, "ordered fault: the job failed")
        code = await self._driver_exit(identity)
        if code != 0:
            output = self.jobs[identity].driver_output_resource_uri
            return Failure(code_pb2.UNKNOWN, f"the driver ended with exit code {code}; its output is at {output}")
        self._move_job(identity, JobState.DONE)
        return None

    async def _driver_exit(self, identity: str) -> int:
        try:
            return await self.run(self.jobs[identity], self._output(identity))
        except OSError as error:
            log.error("driver of %s cannot be started: %s", identity, error)
            self._output(identity).write_text(f"cannot start the driver: {error}\n")
            return 127

    async def get_job(self, request: dataproc_v1.GetJobRequest) -> dataproc_v1.Job:
        """One job."""
        return self._job(request.job_id)

    async def list_jobs(self, request: dataproc_v1.ListJobsRequest) -> dataproc_v1.ListJobsResponse:
        """All jobs the filter lets through."""
        keep = _filtered(job_filter, request.filter)
        wanted = request.cluster_name
        found = [j for j in self.jobs.values() if keep(j) and wanted in ("", j.placement.cluster_name)]
        return dataproc_v1.ListJobsResponse(jobs=found)

    async def cancel_job(self, request: dataproc_v1.CancelJobRequest) -> dataproc_v1.Job:
        """Cancel a job; one that has ended stays as it is."""
        job = self._job(request.job_id)
        if job.done or job.status.state in (JobState.CANCEL_PENDING, JobState.CANCEL_STARTED):
            return job
        self._move_job(request.job_id, JobState.CANCEL_PENDING)
        self._go(self._cancel(request.job_id, request.region))
        return self.jobs[request.job_id]

    async def _cancel(self, identity: str, region: str) -> None:
        self._move_job(identity, JobState.CANCEL_STARTED)
        driver = self._drivers.pop(identity, None)
        # Moved first: the driver's own end then finds the job done and changes nothing.
        self._move_job(identity, JobState.CANCELLED)
        await _ended(driver)
        log.info("job %s in %s is cancelled", identity, region)

    async def _kill_jobs(self, cluster_uuid: str) -> None:
        doomed = [j for j in self.jobs.values() if j.placement.cluster_uuid == cluster_uuid and not j.done]
        for job in doomed:
            await _ended(self._drivers.pop(job.reference.job_id, None))
            if not self.jobs[job.reference.job_id].done:
                # A job that hangs by order has no driver left to end it.
                self._move_job(job.reference.job_id, JobState.ERROR, "the cluster was deleted while the job ran")

    # --- operations ---

    async def get_operation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        """One operation as it is now."""
        if request.name not in self.operations:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Not found: Operation {request.name}")
        return self.operations[request.name]

    def state(self) -> dict[str, Any]:
        """All clusters and jobs, for a person or a summary."""
        return {
            "clusters": {name: c.status.state.name for name, c in self.clusters.items()},
            "jobs": {name: j.status.state.name for name, j in self.jobs.items()},
            "faults_left": [order.model_dump() for order in self.faults.left()],
            "audit_entries": {"published": self.sink.published, "lost": self.sink.lost},
        }

    async def close(self) -> None:
        """End every task; drivers are killed."""
        for task in list(self._tasks):
            await _ended(task)

    # --- small parts ---

    def _strike(self, step: Step) -> None:
        if self.faults.take(step, Kind.UNAVAILABLE):
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, f"ordered fault: {step} is unavailable")

    def _lose_answer(self, step: Step) -> None:
        if self.faults.take(step, Kind.LOST_ANSWER):
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, f"ordered fault: the answer to {step} is lost")

    def _never(self, step: Step) -> bool:
        return self.faults.take(step, Kind.NEVER)

    def _answered(self, call: str, request_id: str) -> Any:
        return self._answers.get(f"{call}/{request_id}") if request_id else None

    def _cluster(self, name: str) -> dataproc_v1.Cluster:
        if name not in self.clusters:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Not found: Cluster {name}")
        return self.clusters[name]

    def _running(self, name: str) -> dataproc_v1.Cluster:
        cluster = self._cluster(name)
        if cluster.status.state != ClusterState.RUNNING:
            problem = f"cluster {name} is {cluster.status.state.name}; it takes jobs when it is RUNNING"
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, problem)
        return cluster

    def _job(self, identity: str) -> dataproc_v1.Job:
        if identity not in self.jobs:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Not found: Job {identity}")
        return self.jobs[identity]

    def _same(self, call: Call) -> dataproc_v1.Cluster | None:
        found = self.clusters.get(call.cluster_name)
        return found if found is not None and found.cluster_uuid == call.cluster_uuid else None

    def _move_cluster(self, cluster: dataproc_v1.Cluster, state: int, failure: Failure | None) -> None:
        detail = failure.message if failure else ""
        name = cluster.cluster_name
        self.clusters[name] = states.move_cluster(cluster, state, at=self.clock(), detail=detail)

    def _move_job(self, identity: str, state: int, details: str = "") -> None:
        self.jobs[identity] = states.move_job(self.jobs[identity], state, at=self.clock(), details=details)

    def _output(self, identity: str) -> Path:
        return self.log_dir / f"{identity}.driver.log"

    def _publish_output(self, identity: str) -> None:
        bucket, _, prefix = self.jobs[identity].driver_output_resource_uri.removeprefix("gs://").partition("/")
        publish_output(self._output(identity), storage_root=self.storage_root, bucket=bucket, prefix=prefix)

    def _go(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _call(self, method: str, region: str, cluster: dataproc_v1.Cluster) -> Call:
        where = f"projects/{self.project}/regions/{region}"
        return Call(
            method=method,
            project=self.project,
            region=region,
            cluster_name=cluster.cluster_name,
            cluster_uuid=cluster.cluster_uuid,
            resource_name=f"{where}/clusters/{cluster.cluster_name}",
            operation=f"{where}/operations/{uuid.uuid4()}",
            request={"clusterName": cluster.cluster_name},
        )

    def _job_call(self, region: str, job: dataproc_v1.Job) -> Call:
        where = f"projects/{self.project}/regions/{region}"
        identity = job.reference.job_id
        return Call(
            method="JobController.SubmitJob",
            project=self.project,
            region=region,
            cluster_name=job.placement.cluster_name,
            cluster_uuid=job.placement.cluster_uuid,
            resource_name=f"{where}/jobs/{identity}",
            operation=f"{where}/operations/{uuid.uuid4()}",
            request={"job": {"reference": {"jobId": identity}}},
        )

    def _operation(self, call: Call, request_id: str) -> operations_pb2.Operation:
        operation = operations_pb2.Operation(name=call.operation)
        metadata = dataproc_v1.ClusterOperationMetadata(
            cluster_name=call.cluster_name, cluster_uuid=call.cluster_uuid, description=request_id
        )
        operation.metadata.Pack(dataproc_v1.ClusterOperationMetadata.pb(metadata))
        self.operations[call.operation] = operation
        return operation

    def _first(self, step: Step, call: Call) -> None:
        if not self.faults.take(step, Kind.LOSE_AUDIT):
            self.sink.write(first_entry(call, at=self.clock(), response={}))

    def _last(self, step: Step, call: Call, response: Mapping[str, Any], failure: Failure | None) -> None:
        if not self.faults.take(step, Kind.LOSE_AUDIT):
            self.sink.write(last_entry(call, at=self.clock(), response=response, failure=failure))

    def _end(self, step: Step, call: Call, operation: operations_pb2.Operation, failure: Failure | None) -> None:
        operation.done = True
        if failure is not None:
            operation.error.CopyFrom(status_pb2.Status(code=failure.code, message=failure.message))
        elif (cluster := self._same(call)) is not None:
            operation.response.Pack(dataproc_v1.Cluster.pb(cluster))
        else:
            operation.response.Pack(dataproc_v1.Cluster.pb(dataproc_v1.Cluster()))
        self._last(step, call, {"clusterName": call.cluster_name}, failure)


def _refuse(faults: list[str]) -> None:
    if faults:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(faults))


def _filtered(make: Callable[[str], Callable[[Any], bool]], text: str) -> Callable[[Any], bool]:
    try:
        return make(text)
    except FilterError as error:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None and task is not asyncio.current_task():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
