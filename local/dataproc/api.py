"""The gRPC table: what of `World` answers which method, and where calls fail on order."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.cloud import dataproc_v1 as api
from google.longrunning import operations_pb2

from local.dataproc.faults import Faults, Kind, Step
from local.dataproc.world import World
from local.grpc_server import Method, RefusedError, service

_Answer = Callable[[Any], Awaitable[Any]]


def services(world: World) -> list[grpc.GenericRpcHandler]:
    """Make the three services that the real clients call."""
    create = _failing(world.faults, Step.CREATE_CLUSTER, world.create_cluster)
    delete = _failing(world.faults, Step.DELETE_CLUSTER, world.delete_cluster)
    submit = _failing(world.faults, Step.SUBMIT_JOB, world.submit_job)
    to_operation = operations_pb2.Operation.SerializeToString
    clusters = {
        "CreateCluster": Method(api.CreateClusterRequest.deserialize, to_operation, create),
        "DeleteCluster": Method(api.DeleteClusterRequest.deserialize, to_operation, delete),
        "GetCluster": Method(api.GetClusterRequest.deserialize, api.Cluster.serialize, world.get_cluster),
        "ListClusters": Method(
            api.ListClustersRequest.deserialize, api.ListClustersResponse.serialize, world.list_clusters
        ),
    }
    jobs = {
        "SubmitJob": Method(api.SubmitJobRequest.deserialize, api.Job.serialize, submit),
        "GetJob": Method(api.GetJobRequest.deserialize, api.Job.serialize, world.get_job),
        "ListJobs": Method(api.ListJobsRequest.deserialize, api.ListJobsResponse.serialize, world.list_jobs),
        "CancelJob": Method(api.CancelJobRequest.deserialize, api.Job.serialize, world.cancel_job),
    }
    operations = {
        "GetOperation": Method(operations_pb2.GetOperationRequest.FromString, to_operation, world.get_operation),
    }
    return [
        service("google.cloud.dataproc.v1.ClusterController", clusters),
        service("google.cloud.dataproc.v1.JobController", jobs),
        service("google.longrunning.Operations", operations),
    ]


def _failing(faults: Faults, step: Step, answer: _Answer) -> _Answer:
    async def answer_or_fail(request: Any) -> Any:
        if faults.take(step, Kind.UNAVAILABLE):
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, f"{step} is unavailable, as was ordered.")
        result = await answer(request)
        if faults.take(step, Kind.LOST_ANSWER):
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, f"The answer to {step} is lost, as was ordered.")
        return result

    return answer_or_fail
