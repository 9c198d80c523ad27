"""What Google tells in its own words: an object was written, a Dataproc operation began or ended."""

from typing import Any

from contracts.envelope.checking import validate
from contracts.events import DataprocOperation, ObjectFinalized
from contracts.faults import ContractError, Fault
from contracts.wording import shown

STORAGE_FINALIZED = "google.cloud.storage.object.v1.finalized"
AUDIT_WRITTEN = "google.cloud.audit.log.v1.written"


def is_notification(attributes: dict[str, str]) -> bool:
    """Whether a message is the Pub/Sub form of what happened to an object."""
    return {"eventtype", "bucketid"} <= {name.lower() for name in attributes}


def object_finalized(attributes: dict[str, str]) -> ObjectFinalized:
    """The Pub/Sub form of a written object: everything needed is in the attributes, whatever the payload.

    Raises:
        ContractError: the object was not written, or is not named.
    """
    if attributes.get("eventType") != "OBJECT_FINALIZE":
        problem = f"{shown(attributes.get('eventType'))} is not handled; notify OBJECT_FINALIZE alone"
        raise ContractError([Fault("message.attributes.eventType", problem)])
    names = {"bucketId": "bucket", "objectId": "name", "objectGeneration": "generation"}
    found = {ours: attributes[theirs] for theirs, ours in names.items() if theirs in attributes}
    return validate(ObjectFinalized, found, prefix="message.attributes")


def _submitted_job(payload: dict[str, Any]) -> str | None:
    """The id of the job that an entry is about; its resource name may be another, or none."""
    response = payload.get("response")
    reference = response.get("reference") if isinstance(response, dict) else None
    found = reference.get("jobId") if isinstance(reference, dict) else None
    return found if isinstance(found, str) and found else None


def dataproc_operation(entry: dict[str, Any]) -> DataprocOperation:
    """A log entry of Dataproc's audit log, from a logging sink or from Eventarc.

    Raises:
        ContractError: it is not an entry of Dataproc's audit log.
    """
    payload = entry.get("protoPayload")
    if not isinstance(payload, dict) or payload.get("serviceName") != "dataproc.googleapis.com":
        problem = "is neither a CloudEvent, nor a storage notification, nor a Dataproc audit entry"
        raise ContractError([Fault("message", f"{problem}; see the event catalogue for the known shapes")])
    operation = entry.get("operation")
    last = operation.get("last") or False if isinstance(operation, dict) else False  # null counts as not there
    resource = _submitted_job(payload) or payload.get("resourceName") or ""
    fields = {
        "method": payload.get("methodName"),
        "resource": resource.rsplit("/", 1)[-1] if isinstance(resource, str) else resource,
        "last": last,
    }
    return validate(DataprocOperation, fields, prefix="protoPayload")
