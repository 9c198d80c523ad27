"""The one way in: which shape a request has, and so how it becomes a delivery.

Four shapes arrive at `POST /`: a wrapped Pub/Sub push, a binary CloudEvent, a structured CloudEvent, and Eventarc's
wrapping of the first in the second. Inside a push is a CloudEvent again, or one of Google's own messages.
"""

from collections.abc import Mapping
from functools import partial

from contracts.envelope.checking import json_object, validate
from contracts.envelope.cloud_events import CloudEvent, event_in
from contracts.envelope.dead_letters import REDRIVE_TO, as_published, dead_lettered, is_dead
from contracts.envelope.google_events import (
    AUDIT_WRITTEN,
    dataproc_operation,
    is_notification,
    object_finalized,
)
from contracts.envelope.messages import Message
from contracts.envelope.push import Push
from contracts.events import (
    DataprocOperation,
    DeadLettered,
    Delivery,
    Event,
    ObjectFinalized,
    OwnEvent,
    RedrivenElsewhere,
)
from contracts.faults import ContractError, Fault

CRON = "//new-releases/cloud-scheduler"
"""Source of what Cloud Scheduler publishes: attributes that never change (infra/scheduler.tf)."""


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """Turn an HTTP request into a delivery.

    Raises:
        ContractError: the request has no known shape, or breaks the contract; lists every fault.
    """
    content = partial(json_object, body, "body")
    if event := event_in(headers, content):
        return _from_cloud_event(event)
    return _from_push(validate(Push, content()))


def parse_message(message: Message, *, message_id: str, subscription: str | None = None) -> Delivery:
    """Turn a pulled Pub/Sub message into a delivery.

    Raises:
        ContractError: the message breaks the contract; lists every fault.
    """
    return _from_push(Push.of(message, message_id=message_id, subscription=subscription))


def _from_cloud_event(event: CloudEvent, push: Push | None = None) -> Delivery:
    if isinstance(event.data, Push):
        return _from_push(event.data)
    if event.type == AUDIT_WRITTEN:
        return _delivery(dataproc_operation(event.data), event.id, push, event)
    return _delivery(event.data, _identity(event, push), push, event)


def _from_push(push: Push) -> Delivery:
    if is_dead(push):
        return _delivery(_dead_lettered(push), f"dead/{push.message.message_id}", push)
    # Before the data is looked at: a message that one subscriber could not read is none of the others' business.
    wanted = push.message.attributes.get(REDRIVE_TO)
    if wanted is not None and push.receiver() not in (None, wanted):
        elsewhere = RedrivenElsewhere(subscription=wanted)
        return _delivery(elsewhere, f"redriven/{push.message.message_id}", push)
    return _live_message(push)


def _live_message(push: Push) -> Delivery:
    if event := event_in(push.message.attributes, push.content):
        return _from_cloud_event(event, push)
    if is_notification(push.message.attributes):
        written = object_finalized(push.message.attributes)
        return _delivery(written, f"{written.bucket}/{written.name}#{written.generation}", push)
    operation = dataproc_operation(push.content())
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


def _identity(event: CloudEvent, push: Push | None) -> str:
    """The event's id; for a cron job's, whose ticks all bear the same id, with the message's."""
    if push is None or event.source != CRON:
        return event.id
    return f"{event.id}/{push.message.message_id}"


def _delivery(event: Event, identity: str, push: Push | None, context: CloudEvent | None = None) -> Delivery:
    return Delivery(
        event=event,
        event_id=identity,
        event_time=context.time if context else None,
        message_id=push.message.message_id if push else None,
        publish_time=push.message.publish_time if push else None,
        subscription=push.receiver() if push else None,
        delivery_attempt=push.delivery_attempt if push else None,
        traceparent=context.traceparent if context else None,
    )
