"""A CloudEvent: from HTTP headers, from the attributes of a Pub/Sub message, or from a structured body.

Attributes and data are one model, so that one reading finds every fault of both.
Source: cloudevents.io, version 1.0.2 of the specification, its HTTP binding and its JSON format.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from contracts.envelope.checking import json_object, validate
from contracts.envelope.google_events import AUDIT_WRITTEN, STORAGE_FINALIZED
from contracts.envelope.push import PUBSUB_PUBLISHED, Push
from contracts.events import BY_TYPE, Canary, ObjectFinalized
from contracts.faults import ContractError, Fault

_STRUCTURED = "application/cloudevents+json"
_HEADERS = frozenset(
    "ce-id ce-source ce-specversion ce-type ce-subject ce-time ce-traceparent content-type".split()
)
"""What is read of an event's headers. Extensions are the producer's business, however they spell them."""
_DATA: dict[str, Any] = {
    **BY_TYPE,
    Canary.type: Canary,
    STORAGE_FINALIZED: ObjectFinalized,
    AUDIT_WRITTEN: dict[str, Any],
    PUBSUB_PUBLISHED: Push,
}
"""What the data of an event is, by the event's type."""


def _alias(name: str) -> str:
    return name if name == "data" else f"ce-{name}"


def _known(name: str) -> str:
    if name not in _DATA:
        raise ValueError(f"is not known here (known are {', '.join(sorted(_DATA.keys() - {Canary.type}))})")
    return name


def _moment(given: Any) -> datetime:
    try:
        return datetime.fromisoformat(str.upper(given))  # RFC 3339 has `t` and `z` too
    except (TypeError, ValueError):
        raise ValueError("is not a time") from None


def _text_or_none(given: object) -> object:
    return given if isinstance(given, str) else None


Text = Annotated[str, Field(min_length=1)]


class CloudEvent(BaseModel):
    """An event; in a fault each attribute is called as the header that carries it."""

    model_config = ConfigDict(alias_generator=_alias)

    id: Text
    source: Text
    specversion: Literal["1.0"]
    type: Annotated[Text, AfterValidator(_known)]
    subject: Text | None = None
    time: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = None
    datacontenttype: Text | None = None
    dataschema: Text | None = None
    traceparent: Annotated[str | None, BeforeValidator(_text_or_none)] = None
    """An extension, which may be of any JSON type."""
    data: Any = None


_FORMS = {kind: create_model(kind, __base__=CloudEvent, data=(data, ...)) for kind, data in _DATA.items()}


def event_in(headers: Mapping[str, str], content: Callable[[], dict[str, Any]]) -> CloudEvent | None:
    """The event in these headers and this content; None where they have another shape.

    Raises:
        ContractError: it breaks the contract; lists every fault.
    """
    given = {lower: value for name, value in headers.items() if (lower := name.lower()) in _HEADERS}
    media_type = given.pop("content-type", None)
    if "ce-type" in given or "ce-specversion" in given:
        attributes = {name: unquote(value) for name, value in given.items()}
        return _read({**attributes, "ce-datacontenttype": media_type}, content)
    if (media_type or "").partition(";")[0].strip().lower() == _STRUCTURED:
        return _structured(content())
    return None


def _structured(body: Mapping[str, Any]) -> CloudEvent:
    given = {_alias(name.lower()): value for name, value in body.items()}
    return _read(given, partial(_data_of, given.pop("data", None), given.pop("ce-data_base64", None)))


def _read(given: dict[str, Any], data: Callable[[], dict[str, Any]]) -> CloudEvent:
    form = _FORMS.get(str(given.get("ce-type")), CloudEvent)
    try:
        given["data"] = data()
    except ContractError as error:
        raise ContractError([*_faults(given), *error.faults]) from None
    return validate(form, given, bulk="data")


def _faults(attributes: dict[str, Any]) -> tuple[Fault, ...]:
    try:
        validate(CloudEvent, attributes)
    except ContractError as error:
        return error.faults
    return ()


def _data_of(data: object, encoded: Any) -> dict[str, Any]:
    if data is not None and encoded is not None:
        raise ContractError([Fault("data_base64", "stands beside data; send one of them")])
    return json_object(data if encoded is None else _decoded(encoded), "data")


def _decoded(encoded: Any) -> bytes:
    try:
        return base64.b64decode(encoded)
    except (ValueError, TypeError):
        raise ContractError([Fault("data_base64", "is not base64; encode the data")]) from None
