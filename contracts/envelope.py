"""Between wire bytes and events: CloudEvents 1.0 on the Pub/Sub and the HTTP protocol binding.

Parsing happens once, here, at the edge; inside there are only types. Four shapes arrive at `POST /`: a wrapped
Pub/Sub push, a binary CloudEvent, a structured CloudEvent, and Eventarc's wrapping of the first in the second.
The attributes of a Pub/Sub message take the place of HTTP headers (`ce-id`, `ce-type`, `content-type`), so the
CloudEvents SDK's HTTP binding builds and parses both.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, NamedTuple, TypeVar

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError

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
from contracts.names import UNKNOWN_SUBSCRIPTION

STORAGE_FINALIZED = "google.cloud.storage.object.v1.finalized"
PUBSUB_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
AUDIT_WRITTEN = "google.cloud.audit.log.v1.written"
DEAD_LETTER_SOURCE = "CloudPubSubDeadLetterSource"
BODY_LIMIT = 1024 * 1024  # bytes; our largest event, a request for all markets, is below 10 KiB
ANY_MESSAGE = (
    16 * 1024 * 1024
)  # bytes; a message has at most 10 MB, which are 13.4 MB in base64, and its attributes
DEAD = "-dead"
"""How the names of dead-letter topics end, and of the push subscriptions on them."""
REDRIVE_TO = "redrive_to"
"""Attribute of a redriven message: short name of the one subscription it is for."""
REDRIVES = "redrives"
"""Attribute of a redriven message: how often it was redriven, this time included."""

_HALVES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Halves of characters. In pairs they are text; a single one could be read, and neither logged nor kept."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class Message(NamedTuple):
    """What is published to a topic."""

    data: bytes
    attributes: dict[str, str]


def event_id(event: OwnEvent, cause: str) -> str:
    """The CloudEvents id of an event: the same for the same content and the same cause, so a repeat is one."""
    content = f"{event.type}\n{event.model_dump_json()}\n{cause}"
    return hashlib.sha256(content.encode()).hexdigest()[:32]


class Origin(NamedTuple):
    """Where an event comes from."""

    source: str
    """Who says so, such as `scheduler`."""
    cause: str
    """What made it happen, such as the id of the event that was handled; part of the new event's id."""
    at: datetime
    """When, UTC."""


def to_message(event: OwnEvent, origin: Origin, *, traceparent: str | None = None) -> Message:
    """Build the Pub/Sub message of an event, with W3C trace context as `00-<trace id>-<span id>-01`."""
    attributes: dict[str, Any] = {
        "id": event_id(event, origin.cause),
        "source": f"//new-releases/{origin.source}",
        "type": event.type,
        "specversion": "1.0",
        "subject": event.subject,
        "datacontenttype": "application/json",
        "time": origin.at,
    }
    if traceparent:
        attributes["traceparent"] = traceparent
    message = http.to_binary_event(CloudEvent(attributes, event.model_dump(mode="json", exclude_none=True)))
    return Message(message.body, message.headers)


def parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    """Turn an HTTP request into a delivery.

    Raises:
        ContractError: the request is none of the known shapes, or breaks the contract; lists every fault.
    """
    try:
        return _parse(headers, body)
    except ValidationError as error:
        # Text that a reader lets pass and an event does not, such as half a character in an attribute.
        raise ContractError(faults_of(error)) from None


def _parse(headers: Mapping[str, str], body: bytes) -> Delivery:
    lower = {name.lower(): value for name, value in headers.items()}
    if "ce-type" in lower or "ce-specversion" in lower:
        return _from_cloud_event(_read_http(lower, body))
    if lower.get("content-type", "").startswith("application/cloudevents+json"):
        return _from_cloud_event(_read_http({"content-type": "application/cloudevents+json"}, body))
    return _from_push(_json_object(body, "body"))


def parse_message(message: Message, *, message_id: str, subscription: str | None = None) -> Delivery:
    """Turn a pulled Pub/Sub message into a delivery.

    Raises:
        ContractError: the message breaks the contract; lists every fault.
    """
    return _from_message(_Push.of(message, message_id=message_id, subscription=subscription))


# --- CloudEvents over HTTP -------------------------------------------------------------------------------------


_REQUIRED = ("id", "source", "specversion", "type")


def _read_http(headers: dict[str, str], body: bytes) -> BaseCloudEvent:
    ours = {name: value for name, value in headers.items() if name.startswith("ce-") or name == "content-type"}
    binary = {name.removeprefix("ce-"): value for name, value in ours.items() if name.startswith("ce-")}
    # The SDK draws an id where there is none; an event without identity could then never be recognised again.
    given = binary or _json_object(body, "body")
    if missing := [name for name in _REQUIRED if not given.get(name)]:
        raise ContractError([Fault(f"ce-{name}", "is missing; CloudEvents 1.0 asks for it") for name in missing])
    if given["specversion"] != "1.0":
        problem = f"{given['specversion']!r} is not spoken here; send CloudEvents 1.0"
        raise ContractError([Fault("ce-specversion", problem)])
    try:
        return http.from_http_event(http.HTTPMessage(ours, body))
    except CloudEventValidationError as error:
        raise ContractError(_attribute_faults(error)) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ContractError([Fault("body", f"is not a CloudEvent ({error}); see cloudevents.io")]) from None


def _attribute_faults(error: CloudEventValidationError) -> list[Fault]:
    return [
        Fault(f"ce-{name}", f"{problems[0]}; CloudEvents 1.0 asks for it")
        for name, problems in error.errors.items()
    ]


def _from_cloud_event(event: BaseCloudEvent, push: "_Push | None" = None) -> Delivery:
    kind, data = event.get_type(), event.get_data()
    if kind == PUBSUB_PUBLISHED:
        return _from_push(_data_object(data))
    parsed: Event
    if kind == STORAGE_FINALIZED:
        parsed = _validate(ObjectFinalized, _data_object(data), prefix="data")
    elif kind == AUDIT_WRITTEN:
        parsed = _dataproc_operation(_data_object(data))
    elif kind == Canary.type:
        parsed = _validate(Canary, _data_object(data), prefix="data")
    elif kind in BY_TYPE:
        parsed = _validate(BY_TYPE[kind], _data_object(data), prefix="data")
    else:
        known = ", ".join(sorted([*BY_TYPE, STORAGE_FINALIZED, PUBSUB_PUBLISHED, AUDIT_WRITTEN]))
        raise ContractError([Fault("ce-type", f"{kind!r} is not known here; known are {known}")])
    delivery = _delivery(parsed, event.get_id(), push, traceparent=_text(event.get_extension("traceparent")))
    return delivery.model_copy(update={"event_time": _aware(event.get_time())})


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _usable(moment: datetime) -> datetime:
    """Aware, and in no year from which a change of time zone or a deadline would lead out of the calendar."""
    if not date.min.year < moment.year < date.max.year:
        raise ValueError("is at the end of the calendar; send the time at which it was published")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


# --- Pub/Sub ---------------------------------------------------------------------------------------------------


class _PushedMessage(BaseModel):
    """A Pub/Sub message inside a push body. Source: cloud.google.com/pubsub/docs/push (real pushes say both)."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    data: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    message_id: str = Field(validation_alias=AliasChoices("messageId", "message_id"), min_length=1)
    publish_time: Annotated[datetime, AfterValidator(_usable)] | None = Field(
        default=None, validation_alias=AliasChoices("publishTime", "publish_time")
    )


class _Push(BaseModel):
    """A wrapped push."""

    model_config = ConfigDict(extra="ignore")

    message: _PushedMessage
    subscription: str | None = None
    delivery_attempt: int | None = Field(
        default=None, validation_alias=AliasChoices("deliveryAttempt", "delivery_attempt")
    )

    @classmethod
    def of(cls, message: Message, *, message_id: str, subscription: str | None) -> "_Push":
        pushed = {
            "data": base64.b64encode(message.data).decode(),
            "attributes": message.attributes,
            "messageId": message_id,
        }
        return _validate(cls, {"message": pushed, "subscription": subscription})

    def receiver(self) -> str | None:
        """Short name of the subscription that brings the message."""
        return self.subscription.rsplit("/", 1)[-1] if self.subscription else None

    def data(self) -> bytes:
        try:
            return base64.b64decode(self.message.data, validate=True)
        except (binascii.Error, ValueError):
            raise ContractError([Fault("message.data", "is not base64; encode the data")]) from None


def _from_push(body: dict[str, Any]) -> Delivery:
    return _from_message(_validate(_Push, body))


def _from_message(push: _Push) -> Delivery:
    attributes, receiver = push.message.attributes, push.receiver()
    if f"{DEAD_LETTER_SOURCE}Subscription" in attributes or (receiver or "").endswith(DEAD):
        return _delivery(_dead_lettered(push), f"dead/{push.message.message_id}", push)
    # Before the data is looked at: what one subscriber could not read is no fault of the others.
    wanted = attributes.get(REDRIVE_TO)
    if wanted is not None and receiver is not None and wanted != receiver:
        elsewhere = RedrivenElsewhere(subscription=wanted)
        return _delivery(elsewhere, f"redriven/{push.message.message_id}", push)
    return _live_message(push)


def _live_message(push: _Push) -> Delivery:
    attributes = {name.lower(): value for name, value in push.message.attributes.items()}
    if "ce-type" in attributes or "ce-specversion" in attributes:
        return _from_cloud_event(_read_http(attributes, push.data()), push)
    if attributes.get("content-type", "").startswith("application/cloudevents+json"):
        return _from_cloud_event(_read_http(attributes, push.data()), push)
    if "eventtype" in attributes and "bucketid" in attributes:
        return _storage_notification(push)
    operation = _dataproc_operation(_json_object(push.data(), "message.data"))
    return _delivery(operation, f"audit/{push.message.message_id}", push)


def _storage_notification(push: _Push) -> Delivery:
    """The Pub/Sub form of an object's birth: everything needed is in the attributes, whatever the payload."""
    attributes = push.message.attributes
    if attributes.get("eventType") != "OBJECT_FINALIZE":
        problem = f"{attributes.get('eventType')!r} is not handled; notify OBJECT_FINALIZE alone"
        raise ContractError([Fault("message.attributes.eventType", problem)])
    names = {"bucketId": "bucket", "objectId": "name", "objectGeneration": "generation"}
    found = {ours: attributes[theirs] for theirs, ours in names.items() if theirs in attributes}
    event = _validate(ObjectFinalized, found, prefix="message.attributes")
    return _delivery(event, f"{event.bucket}/{event.name}#{event.generation}", push)


def _dead_lettered(push: _Push) -> DeadLettered:
    attributes = push.message.attributes
    own = {name: value for name, value in attributes.items() if not name.startswith(DEAD_LETTER_SOURCE)}
    inner = push.model_copy(update={"message": push.message.model_copy(update={"attributes": own})})
    original: OwnEvent | ObjectFinalized | DataprocOperation | None = None
    unreadable: tuple[str, ...] = ()
    try:
        found = _live_message(inner).event
        if isinstance(found, OwnEvent | ObjectFinalized | DataprocOperation):
            original = found
        else:
            unreadable = (str(Fault("message", "wraps another dead letter; publish the message itself")),)
    except ContractError as error:
        unreadable = tuple(map(str, error.faults))
    source = attributes.get(f"{DEAD_LETTER_SOURCE}Subscription", "").rsplit("/", 1)[-1]
    return DeadLettered(
        subscription=source or UNKNOWN_SUBSCRIPTION,
        delivery_count=_count(attributes.get(f"{DEAD_LETTER_SOURCE}DeliveryCount")),
        message_id=push.message.message_id,
        original=original,
        unreadable=unreadable,
        data=push.message.data,
        attributes=attributes,
        published_at=_moment(attributes.get(f"{DEAD_LETTER_SOURCE}TopicPublishTime")),
        dead_lettered_at=_aware(push.message.publish_time),
        redrives=_count(attributes.get(REDRIVES)) or 0,
    )


def _count(text: str | None) -> int | None:
    """A small number in an attribute; whoever may publish may write anything there."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else None


def _moment(text: str | None) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text)) if text else None
    except ValueError:
        return None


def _dataproc_operation(entry: dict[str, Any]) -> DataprocOperation:
    """A log entry of Dataproc's audit log, from a logging sink or from Eventarc."""
    payload = entry.get("protoPayload")
    if not isinstance(payload, dict) or payload.get("serviceName") != "dataproc.googleapis.com":
        problem = "is neither a CloudEvent, nor a storage notification, nor a Dataproc audit entry"
        raise ContractError([Fault("message", f"{problem}; see the event catalogue for the known shapes")])
    operation = entry.get("operation")
    last = operation.get("last", False) if isinstance(operation, dict) else False
    fields = {
        "method": payload.get("methodName"),
        "resource": str(payload.get("resourceName", "")).rsplit("/", 1)[-1],
        "last": last,
    }
    return _validate(DataprocOperation, fields, prefix="protoPayload")


# --- shared ----------------------------------------------------------------------------------------------------


def _delivery(event: Event, identity: str, push: _Push | None, *, traceparent: str | None = None) -> Delivery:
    if push is None:
        return Delivery(event=event, event_id=identity, traceparent=traceparent)
    return Delivery(
        event=event,
        event_id=identity,
        message_id=push.message.message_id,
        publish_time=push.message.publish_time,
        subscription=push.receiver(),
        delivery_attempt=push.delivery_attempt,
        traceparent=traceparent,
    )


def _validate(model: type[ModelT], data: dict[str, Any], *, prefix: str = "") -> ModelT:
    """Read with unknown fields ignored, whatever the model says about producing."""
    try:
        return model.model_validate(data, extra="ignore")
    except ValidationError as error:
        raise ContractError(faults_of(error, prefix=prefix)) from None


def _data_object(data: object) -> dict[str, Any]:
    if isinstance(data, bytes):
        return _json_object(data, "data")
    if isinstance(data, str):
        # JSON may escape half a character, which is no UTF-8; the field that holds it is then refused by name.
        return _json_object(data.encode("utf-8", "surrogatepass"), "data")
    if not isinstance(data, dict):
        raise ContractError([Fault("data", "is not a JSON object; send the event's data as JSON")])
    return data


def _json_object(body: bytes, field: str) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
        if _HALVES.search(body):
            json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ContractError([Fault(field, "is not JSON; send a JSON object")]) from None
    if not isinstance(parsed, dict):
        raise ContractError([Fault(field, "is not a JSON object; send one")])
    return parsed
