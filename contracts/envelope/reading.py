"""The one way in: which shape a request has, and so how it becomes a delivery.

Four shapes arrive at `POST /`: a wrapped Pub/Sub push, a binary CloudEvent, a structured CloudEvent, and Eventarc's
wrapping of the first in the second. Inside a push is a CloudEvent again, or one of Google's own messages.

Each step is tried at once first, which is all that a message in order needs; where one fails, that step is taken
again slowly, to accept what is merely unusual and to name what is wrong (`checking`, `cloud_events`).
"""

from collections.abc import Mapping

from pydantic import ValidationError

from contracts.envelope import cloud_events
from contracts.envelope.checking import at_once, data_object, from_json, json_object, validate
from contracts.envelope.cloud_events import Context
from contracts.envelope.dead_letters import REDRIVE_TO, as_published, dead_lettered, is_dead
from contracts.envelope.google_events import (
    AUDIT_WRITTEN,
    STORAGE_FINALIZED,
    dataproc_operation,
    is_notification,
    object_finalized,
)
from contracts.envelope.messages import Message
from contracts.envelope.push import PUBSUB_PUBLISHED, Push
from contracts.events import (
    BY_TYPE,
    Canary,
    DataprocOperation,
    DeadLettered,
    Delivery,
    Event,
    ObjectFinalized,
    OwnEvent,
    RedrivenElsewhere,
)
from contracts.faults import ContractError, Fault, faults_of
from contracts.wording import shown

CRON = "//new-releases/cloud-scheduler"
"""Source of what Cloud Scheduler publishes: attributes that never change (infra/scheduler.tf)."""
_EVENTS: dict[str, type[OwnEvent | ObjectFinalized]] = {
    **BY_TYPE,
    Canary.type: Canary,
    STORAGE_FINALIZED: ObjectFinalized,
}
"""By the type of the CloudEvent whose data they are. A push is no event, an audit entry no event's data as it is."""


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """Turn an HTTP request into a delivery.

    Raises:
        ContractError: the request is none of the known shapes, or breaks the contract; lists every fault.
    """
    attributes = cloud_events.attributes_in(headers)
    try:
        if cloud_events.is_binary(attributes):
            return _from_cloud_event(attributes, body)
        if cloud_events.is_structured(attributes):
            return _from_cloud_event({"content-type": attributes["content-type"]}, body)
        return _from_push(from_json(Push, body, "body"))
    except ValidationError as error:
        # Text that a reader lets pass and an event does not, such as half a character in an attribute.
        raise ContractError(faults_of(error)) from None


def parse_message(message: Message, *, message_id: str, subscription: str | None = None) -> Delivery:
    """Turn a pulled Pub/Sub message into a delivery.

    Raises:
        ContractError: the message breaks the contract; lists every fault.
    """
    return _from_push(Push.of(message, message_id=message_id, subscription=subscription))


def _from_cloud_event(attributes: dict[str, str], body: bytes, push: Push | None = None) -> Delivery:
    context = cloud_events.plain(attributes)
    if context and context.type == PUBSUB_PUBLISHED and (wrapped := at_once(Push, body)):
        return _from_push(wrapped)
    if context and context.type in _EVENTS and (event := at_once(_EVENTS[context.type], body)):
        return _delivery(event, _identity(context, push), push, context)
    return _closely(attributes, body, push)


def _closely(attributes: dict[str, str], body: bytes, push: Push | None) -> Delivery:
    context, found = cloud_events.read(attributes, body)
    if context.type not in {PUBSUB_PUBLISHED, AUDIT_WRITTEN, *_EVENTS}:
        known = ", ".join(sorted({PUBSUB_PUBLISHED, AUDIT_WRITTEN, *_EVENTS} - {Canary.type}))
        raise ContractError([Fault("ce-type", f"{shown(context.type)} is not known here; known are {known}")])
    data = data_object(found)
    if context.type == PUBSUB_PUBLISHED:
        return _from_push(validate(Push, data))
    if context.type == AUDIT_WRITTEN:
        return _delivery(dataproc_operation(data), context.id, push, context)
    event = validate(_EVENTS[context.type], data, prefix="data")
    return _delivery(event, _identity(context, push), push, context)


def _from_push(push: Push) -> Delivery:
    if is_dead(push):
        return _delivery(_dead_lettered(push), f"dead/{push.message.message_id}", push)
    # Before the data is looked at: what one subscriber could not read is no fault of the others.
    wanted = push.message.attributes.get(REDRIVE_TO)
    if wanted is not None and push.receiver() not in (None, wanted):
        elsewhere = RedrivenElsewhere(subscription=wanted)
        return _delivery(elsewhere, f"redriven/{push.message.message_id}", push)
    return _live_message(push)


def _live_message(push: Push) -> Delivery:
    attributes = cloud_events.attributes_in(push.message.attributes)
    if cloud_events.is_binary(attributes) or cloud_events.is_structured(attributes):
        return _from_cloud_event(attributes, push.data(), push)
    if is_notification(push.message.attributes):
        event = object_finalized(push.message.attributes)
        return _delivery(event, f"{event.bucket}/{event.name}#{event.generation}", push)
    operation = dataproc_operation(json_object(push.data(), "message.data"))
    return _delivery(operation, f"audit/{push.message.message_id}", push)


def _dead_lettered(push: Push) -> DeadLettered:
    try:
        found = _live_message(as_published(push)).event
    except ContractError as error:
        return dead_lettered(push, None, tuple(map(str, error.faults)))
    if isinstance(found, OwnEvent | ObjectFinalized | DataprocOperation):
        return dead_lettered(push, found, ())
    wrapped = Fault("message", "wraps another dead letter; publish the message itself")
    return dead_lettered(push, None, (str(wrapped),))


def _identity(context: Context, push: Push | None) -> str:
    """The event's id; with its message's where it comes from a cron job, whose every tick bears the same."""
    if push is None or context.source != CRON:
        return context.id
    return f"{context.id}/{push.message.message_id}"


def _delivery(event: Event, identity: str, push: Push | None, context: Context | None = None) -> Delivery:
    time, traceparent = (context.time, context.traceparent) if context else (None, None)
    if push is None:
        return Delivery(event=event, event_id=identity, event_time=time, traceparent=traceparent)
    return Delivery(
        event=event,
        event_id=identity,
        event_time=time,
        message_id=push.message.message_id,
        publish_time=push.message.publish_time,
        subscription=push.receiver(),
        delivery_attempt=push.delivery_attempt,
        traceparent=traceparent,
    )
