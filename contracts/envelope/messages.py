"""What is published: an event of ours as a Pub/Sub message, written by the CloudEvents SDK.

The attributes of a Pub/Sub message take the place of HTTP headers (`ce-id`, `ce-type`, `content-type`).
"""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

from contracts.events import OwnEvent


class Message(NamedTuple):
    """What is published to a topic."""

    data: bytes
    attributes: dict[str, str]


class Origin(NamedTuple):
    """Where an event comes from."""

    source: str
    """Who says so, such as `scheduler`."""
    cause: str
    """What made it happen, such as the id of the event that was handled; part of the new event's id."""
    at: datetime
    """When, UTC."""


def event_id(event: OwnEvent, cause: str) -> str:
    """The CloudEvents id of an event: the same for the same content and the same cause, so a repeat is one."""
    content = f"{event.type}\n{event.model_dump_json()}\n{cause}"
    return hashlib.sha256(content.encode()).hexdigest()[:32]


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
