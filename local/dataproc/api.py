"""The stand-in's gRPC table: which method of which service the world answers."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.cloud import dataproc_v1
from google.longrunning import operations_pb2

from local.dataproc.world import World
from local.grpc_server import Method, service

_DATAPROC = "google.cloud.dataproc.v1"


def services(world: World) -> list[grpc.GenericRpcHandler]:
    """The gRPC services of a world."""
    clusters = {
        "CreateCluster": _operation(dataproc_v1.CreateClusterRequest, world.create_cluster),
        "DeleteCluster": _operation(dataproc_v1.DeleteClusterRequest, world.delete_cluster),
        "GetCluster": _typed(dataproc_v1.GetClusterRequest, dataproc_v1.Cluster, world.get_cluster),
        "ListClusters": _typed(
            dataproc_v1.ListClustersRequest, dataproc_v1.ListClustersResponse, world.list_clusters
        ),
    }
    jobs = {
        "SubmitJob": _typed(dataproc_v1.SubmitJobRequest, dataproc_v1.Job, world.submit_job),
        "GetJob": _typed(dataproc_v1.GetJobRequest, dataproc_v1.Job, world.get_job),
        "ListJobs": _typed(dataproc_v1.ListJobsRequest, dataproc_v1.ListJobsResponse, world.list_jobs),
        "CancelJob": _typed(dataproc_v1.CancelJobRequest, dataproc_v1.Job, world.cancel_job),
    }
    get = Method(
        operations_pb2.GetOperationRequest.FromString,
        operations_pb2.Operation.SerializeToString,
        world.get_operation,
    )
    return [
        service(f"{_DATAPROC}.ClusterController", clusters),
        service(f"{_DATAPROC}.JobController", jobs),
        service("google.longrunning.Operations", {"GetOperation": get}),
    ]


def _typed(request: Any, response: Any, answer: Callable[[Any], Awaitable[Any]]) -> Method:
    return Method(request.deserialize, response.serialize, answer)


def _operation(request: Any, answer: Callable[[Any], Awaitable[Any]]) -> Method:
    return Method(request.deserialize, operations_pb2.Operation.SerializeToString, answer)
