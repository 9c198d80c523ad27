"""The operations that calls begin, and the audit entries at both their ends: each is written, or lost as ordered.

Not here: what happens to clusters and jobs meanwhile (`world`), how an entry is worded (`audit`), and what an
operation looks like (`operations`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import grpc
from google.cloud import dataproc_v1
from google.longrunning import operations_pb2

from local.dataproc import audit, operations
from local.dataproc.faults import Faults, Kind, Step


class Key(NamedTuple):
    """What a cluster or a job is found by."""

    project: str
    region: str
    name: str

    def path(self, collection: str) -> str:
        """Give the resource name."""
        return f"projects/{self.project}/regions/{self.region}/{collection}/{self.name}"


@dataclass(kw_only=True)
class Journal:
    """See the module."""

    sink: audit.Sink
    faults: Faults
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    operations: dict[str, operations_pb2.Operation] = field(default_factory=dict)

    def open(self, kind: str, key: Key, cluster: dataproc_v1.Cluster, body: Mapping[str, Any]) -> audit.Call:
        """Begin an operation, CREATE or DELETE, on a cluster."""
        call = audit.Call(
            method=f"ClusterController.{kind.capitalize()}Cluster",
            project=key.project,
            region=key.region,
            cluster_name=key.name,
            cluster_uuid=cluster.cluster_uuid,
            resource_name=key.path("clusters"),
            operation=key._replace(name=self.new_id()).path("operations"),
            request=body,
        )
        self.operations[call.operation] = operations.started(call.operation, kind, cluster, at=self.now())
        return call

    def refuse(self, key: Key, failure: audit.Failure, body: Mapping[str, Any]) -> None:
        """Tell of a CreateCluster that was refused at once."""
        call = audit.Call(
            method="ClusterController.CreateCluster",
            project=key.project,
            region=key.region,
            cluster_name=key.name,
            cluster_uuid="",
            resource_name=key.path("clusters"),
            operation=f"refused-{self.new_id()}",
            request=body,
        )
        self._write(Step.CREATE_CLUSTER, audit.refused_entry(call, at=self.now(), failure=failure))

    def succeed(self, step: Step, call: audit.Call, result: dataproc_v1.Cluster | None) -> None:
        """End an operation well."""
        done = operations.succeeded(self.operations[call.operation], result, at=self.now())
        self.operations[call.operation] = done
        self.write_last(step, call, {"clusterName": call.cluster_name, "clusterUuid": call.cluster_uuid}, None)

    def fail(self, step: Step, call: audit.Call, failure: audit.Failure) -> None:
        """End an operation with this failure."""
        done = operations.failed(self.operations[call.operation], failure, at=self.now())
        self.operations[call.operation] = done
        self.write_last(step, call, {}, failure)

    def write_first(self, step: Step, call: audit.Call, response: Mapping[str, Any]) -> None:
        """Write the entry that a call begins with."""
        self._write(step, audit.first_entry(call, at=self.now(), response=response))

    def write_last(
        self, step: Step, call: audit.Call, response: Mapping[str, Any], failure: audit.Failure | None
    ) -> None:
        """Write the entry that a call ends with."""
        self._write(step, audit.last_entry(call, at=self.now(), response=response, failure=failure))

    def _write(self, step: Step, entry: audit.LogEntry) -> None:
        if self.faults.take(step, Kind.LOSE_AUDIT):
            self.sink.lost += 1
        else:
            self.sink.write(entry)


def job_call(key: Key, accepted: dataproc_v1.Job, request: dataproc_v1.SubmitJobRequest) -> audit.Call:
    """The call that submitted a job; its operation bears the job's uuid."""
    job = {"reference": {"jobId": key.name}, "placement": {"clusterName": accepted.placement.cluster_name}}
    body = {"job": {**job, "labels": dict(request.job.labels)}}
    return audit.Call(
        method="JobController.SubmitJob",
        project=key.project,
        region=key.region,
        cluster_name=accepted.placement.cluster_name,
        cluster_uuid=accepted.placement.cluster_uuid,
        resource_name=key.path("jobs"),
        operation=key._replace(name=accepted.job_uuid).path("operations"),
        request=request_body(key, body, request.request_id),
    )


def failure_of(code: grpc.StatusCode, message: str) -> audit.Failure:
    """A failure as the log tells it."""
    return audit.Failure(code.value[0], message)


def request_body(key: Key, body: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """A request as the log tells it."""
    named = {"requestId": request_id} if request_id else {}
    return {"projectId": key.project, "region": key.region, **body, **named}


def job_body(job: dataproc_v1.Job) -> dict[str, Any]:
    """A job as the log tells it."""
    return {
        "@type": "type.googleapis.com/google.cloud.dataproc.v1.Job",
        "reference": {"projectId": job.reference.project_id, "jobId": job.reference.job_id},
        "placement": {"clusterName": job.placement.cluster_name, "clusterUuid": job.placement.cluster_uuid},
        "status": {"state": job.status.state.name},
        "labels": dict(job.labels),
        "jobUuid": job.job_uuid,
    }
