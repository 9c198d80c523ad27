"""The attributes of a CloudEvent, from HTTP headers, from those of a Pub/Sub message, or from a structured body.

`plain` takes attributes that are as they stand: the known ones, with nothing to decode. All else, and every fault, is
the CloudEvents SDK's, which defines the format (`read`). What the first takes, the SDK takes with the same result.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http
from cloudevents.core.exceptions import CloudEventValidationError

from contracts.envelope.checking import json_object
from contracts.faults import ContractError, Fault
from contracts.wording import shown

_STRUCTURED = "application/cloudevents+json"
_REQUIRED = frozenset({"ce-id", "ce-source", "ce-specversion", "ce-type"})
_KNOWN = _REQUIRED | {"ce-subject", "ce-time", "ce-traceparent", "content-type"}
_OF_A_BODY = frozenset(
    "id source specversion type subject time datacontenttype dataschema data data_base64 traceparent".split()
)
"""What is read of a structured event. Extensions are the producer's business, however they spell them."""
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z")


def attributes_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the headers that belong to an event, their names in small letters."""
    if headers.keys() <= _KNOWN:
        return dict(headers)
    return {
        lower: value
        for name, value in headers.items()
        if (lower := name.lower()).startswith("ce-") or lower == "content-type"
    }


def is_binary(attributes: Mapping[str, str]) -> bool:
    """Whether these are the attributes of an event whose data is the body."""
    return "ce-type" in attributes or "ce-specversion" in attributes


def is_structured(attributes: Mapping[str, str]) -> bool:
    """Whether the body is a whole event."""
    return attributes.get("content-type", "").partition(";")[0].strip().lower() == _STRUCTURED


class Context(NamedTuple):
    """What is known of an event besides its data."""

    type: str
    id: str
    source: str
    time: datetime | None
    traceparent: str | None


def plain(attributes: Mapping[str, str]) -> Context | None:
    """What the attributes say, or None where the SDK must: unknown, missing, empty, encoded, or of another form."""
    if not (_REQUIRED <= attributes.keys() <= _KNOWN and all(attributes.values())):
        return None
    if attributes["ce-specversion"] != "1.0" or "%" in "".join(attributes.values()):
        return None
    try:
        time = _moment(attributes["ce-time"]) if "ce-time" in attributes else None
    except ValueError:
        return None
    named = (attributes["ce-type"], attributes["ce-id"], attributes["ce-source"])
    return Context(*named, time, attributes.get("ce-traceparent"))


def _moment(text: str) -> datetime:
    if not _UTC.fullmatch(text):
        raise ValueError("is in a form that only the SDK knows")
    return datetime.fromisoformat(text)


def read(attributes: dict[str, str], body: bytes) -> tuple[Context, object]:
    """Any event and its data, by the SDK.

    Raises:
        ContractError: it is none; lists every fault.
    """
    message = _known_alone(attributes, body)
    binary = {name.removeprefix("ce-"): value for name, value in message.headers.items() if name.startswith("ce-")}
    # The SDK draws an id and a time where there is none: an event without identity could never be recognised again,
    # and one without time would have another at every delivery.
    given = binary or json_object(message.body, "body")
    if missing := [name for name in sorted(_REQUIRED) if not given.get(name.removeprefix("ce-"))]:
        raise ContractError([Fault(name, "is missing; CloudEvents 1.0 asks for it") for name in missing])
    if given["specversion"] != "1.0":
        problem = f"{shown(given['specversion'])} is not spoken here; send CloudEvents 1.0"
        raise ContractError([Fault("ce-specversion", problem)])
    try:
        event = http.from_http_event(message)
    except CloudEventValidationError as error:
        raise ContractError(_faults(error)) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ContractError([Fault("body", f"is not a CloudEvent ({error}); see cloudevents.io")]) from None
    return _context(event, timed="time" in given), event.get_data()


def _known_alone(attributes: dict[str, str], body: bytes) -> http.HTTPMessage:
    """The event without what the SDK would refuse and nobody reads: extensions, and attributes that are null.

    Source: the JSON format of CloudEvents 1.0, section 2.2: an attribute that is null is unset.
    """
    if is_binary(attributes) or not is_structured(attributes):
        return http.HTTPMessage({name: value for name, value in attributes.items() if name in _KNOWN}, body)
    given = json_object(body, "body")
    small = {name if name in _OF_A_BODY else name.lower(): value for name, value in given.items()}
    known = {name: value for name, value in small.items() if name in _OF_A_BODY and value is not None}
    unchanged = known.keys() == given.keys()
    return http.HTTPMessage({"content-type": _STRUCTURED}, body if unchanged else json.dumps(known).encode())


def _context(event: BaseCloudEvent, *, timed: bool) -> Context:
    moment = event.get_time() if timed else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    traceparent = event.get_extension("traceparent")
    parent = traceparent if isinstance(traceparent, str) else None
    return Context(event.get_type(), event.get_id(), event.get_source(), moment, parent)


def _faults(error: CloudEventValidationError) -> list[Fault]:
    return [
        Fault(f"ce-{name}", f"{problems[0]}; CloudEvents 1.0 asks for it")
        for name, problems in error.errors.items()
    ]
