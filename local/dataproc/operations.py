"""Long-running operations of clusters, as google.longrunning shows them: pure functions over the API's messages.

An operation is replaced, never changed. Not here: listing and cancelling operations, warnings, child operations.
"""

from datetime import datetime

from google.cloud import dataproc_v1
from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2

from local.dataproc.audit import Failure

_State = dataproc_v1.ClusterOperationStatus.State


def started(name: str, kind: str, cluster: dataproc_v1.Cluster, *, at: datetime) -> operations_pb2.Operation:
    """Make a running operation of this kind, CREATE or DELETE, on this cluster."""
    metadata = dataproc_v1.ClusterOperationMetadata(
        cluster_name=cluster.cluster_name,
        cluster_uuid=cluster.cluster_uuid,
        operation_type=kind,
        description=f"{kind.capitalize()} cluster",
        labels=dict(cluster.labels),
        status=dataproc_v1.ClusterOperationStatus(state=_State.RUNNING, state_start_time=at),
    )
    return operations_pb2.Operation(name=name, metadata=_packed(metadata))


def succeeded(
    operation: operations_pb2.Operation, result: dataproc_v1.Cluster | None, *, at: datetime
) -> operations_pb2.Operation:
    """End an operation well: with the cluster made, or with nothing left of it."""
    response = any_pb2.Any()
    if result is None:
        response.Pack(empty_pb2.Empty())
    else:
        response = _packed(result)
    return operations_pb2.Operation(
        name=operation.name, metadata=_ended(operation, at), done=True, response=response
    )


def failed(operation: operations_pb2.Operation, failure: Failure, *, at: datetime) -> operations_pb2.Operation:
    """End an operation badly."""
    error = status_pb2.Status(code=failure.code, message=failure.message)
    return operations_pb2.Operation(name=operation.name, metadata=_ended(operation, at), done=True, error=error)


def _ended(operation: operations_pb2.Operation, at: datetime) -> any_pb2.Any:
    metadata = dataproc_v1.ClusterOperationMetadata.deserialize(operation.metadata.value)
    metadata.status_history.append(metadata.status)
    metadata.status = dataproc_v1.ClusterOperationStatus(state=_State.DONE, state_start_time=at)
    return _packed(metadata)


def _packed(message: dataproc_v1.Cluster | dataproc_v1.ClusterOperationMetadata) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(type(message).pb(message))
    return packed
