"""The JSON Schemas, the AsyncAPI and the OpenAPI document, built from the models; `python -m contracts` writes them."""

import json
from typing import Any

from pydantic import BaseModel

from contracts import __version__
from contracts.documents import (
    DeadLetter,
    DeadLetterRecord,
    Decision,
    Document,
    LoadResult,
    Manifest,
    Order,
    Receipt,
    SecondLook,
)
from contracts.events import OWN_EVENTS, OwnEvent
from contracts.openapi import openapi
from contracts.parts import PartLine, PartMetadata

_DEAD = (
    "run-requested-dead",
    "market-requested-dead",
    "raw-finalized-dead",
    "batch-ready-dead",
    "dataproc-operations-dead",
    "sweep-requested-dead",
)
SERVICES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "scheduler": (("run-requested", "sweep-requested"), ("market-requested",)),
    "market_fetcher": (("market-requested",), ()),
    "batch_trigger": (("raw-finalized", "sweep-requested", *_DEAD), ("batch-ready", "market-requested")),
    "cluster_manager": (("batch-ready", "dataproc-operations", "sweep-requested"), ("run-finished",)),
}
"""Which service takes from and sends to which topics."""

GOOGLE_TOPICS = {
    "raw-finalized": "Cloud Storage notification OBJECT_FINALIZE for raw/, as Google sends it.",
    "dataproc-operations": "Audit-log entries of Dataproc operations, as a logging sink sends them.",
    **{
        topic: f"What was given up on {topic.removesuffix('-dead')}, with Pub/Sub's attributes." for topic in _DEAD
    },
}
_DOCUMENTS: tuple[type[Document], ...] = (
    Manifest,
    Decision,
    Receipt,
    SecondLook,
    DeadLetter,
    DeadLetterRecord,
    LoadResult,
    Order,
)
PART: tuple[type[BaseModel], ...] = (PartLine, PartMetadata)
"""The raw object's line, and what stands beside it."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def files() -> dict[str, str]:
    """Every generated file: path from the repository's root, and text."""
    schemas = {f"contracts/schemas/{event.type}.json": event_schema(event) for event in OWN_EVENTS}
    documents = {f"contracts/schemas/{model.__name__}.json": _schema(model) for model in (*_DOCUMENTS, *PART)}
    described = {"contracts/asyncapi.json": asyncapi(), "contracts/openapi.json": openapi()}
    made = {**schemas, **documents, **described}
    return {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in made.items()}


def event_schema(event: type[OwnEvent]) -> dict[str, Any]:
    """The JSON Schema of an event's data, as consumers read it: unknown fields are accepted."""
    schema = _schema(event)
    schema.pop("additionalProperties", None)
    return {"$id": event.type, **schema}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": _DIALECT, **model.model_json_schema()}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: channels are topics, operations are what the services do with them."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "New Releases",
            "version": __version__,
            "description": "Events between the services, as CloudEvents 1.0 in the Pub/Sub protocol binding: "
            "attributes carry the context (`ce-id`, `ce-type`, …), the message's data carries JSON.",
        },
        "defaultContentType": "application/json",
        "channels": {**{event.topic: _channel(event) for event in OWN_EVENTS}, **_google_channels()},
        "operations": _operations(),
        "components": {
            "messages": {event.__name__: _message(event) for event in OWN_EVENTS},
            "messageTraits": {"cloudEvent": {"headers": _cloud_event_headers()}},
        },
    }


def _channel(event: type[OwnEvent]) -> dict[str, Any]:
    return {
        "address": event.topic,
        "description": _summary(event),
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"}},
    }


def _google_channels() -> dict[str, Any]:
    return {topic: {"address": topic, "description": text} for topic, text in GOOGLE_TOPICS.items()}


def _message(event: type[OwnEvent]) -> dict[str, Any]:
    return {
        "name": event.type,
        "summary": _summary(event),
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": event_schema(event),
        },
    }


def _summary(event: type[OwnEvent]) -> str:
    return (event.__doc__ or event.__name__).strip().splitlines()[0]


def _cloud_event_headers() -> dict[str, Any]:
    required = ["ce-id", "ce-source", "ce-specversion", "ce-type"]
    optional = ["ce-subject", "ce-time", "ce-traceparent", "content-type"]
    properties = {name: {"type": "string"} for name in [*required, *optional]}
    return {"type": "object", "required": required, "properties": properties}


def _operations() -> dict[str, Any]:
    found = {}
    for service, (takes, sends) in SERVICES.items():
        for topic in takes:
            found[f"{service}.takes.{topic}"] = _operation("receive", topic)
        for topic in sends:
            found[f"{service}.sends.{topic}"] = _operation("send", topic)
    return found


def _operation(action: str, topic: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}
