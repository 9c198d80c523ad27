"""What `python -m contracts` writes: JSON Schemas, AsyncAPI, OpenAPI, the topology and the table's columns."""

import json
from typing import Any

from pydantic import BaseModel

from contracts import __version__, columns
from contracts.documents import (
    DeadLetter,
    Decision,
    Document,
    GivenUpMarket,
    LoadResult,
    Manifest,
    Order,
    Receipt,
    SecondLook,
)
from contracts.events import OWN_EVENTS, OwnEvent
from contracts.openapi import openapi
from contracts.parts import PartLine, PartMetadata
from contracts.registry import dead_letter_topic, services, topology

_DOCUMENTS: tuple[type[Document], ...] = (
    Manifest,
    Decision,
    Receipt,
    SecondLook,
    DeadLetter,
    GivenUpMarket,
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
    described["infra/topology.json"] = topology()
    table = {"infra/bigquery/new_releases.schema.json": columns.table_schema()}
    made = {**schemas, **documents, **described, **table}
    written = {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in made.items()}
    return {**written, "spark_job/columns.py": columns.shipped()}


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
    """What Google sends: news of objects and of Dataproc as the project has them sent, and what Pub/Sub gave up."""
    described = topology()
    sources = described["bucket_notification"], described["logging_sink"]
    announced = {source["topic"]: source["description"] for source in sources}
    given_up = {
        dead_letter_topic(topic): f"What was given up on {topic}, with Pub/Sub's attributes."
        for service in services().values()
        for topic in service.takes
    }
    return {topic: {"address": topic, "description": text} for topic, text in {**announced, **given_up}.items()}


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
    pushes = topology()["push_subscriptions"]
    takes = {f"{push['service']}.takes.{push['topic']}": _operation("receive", push["topic"]) for push in pushes}
    sends = {
        f"{name}.sends.{topic}": _operation("send", topic)
        for name, service in services().items()
        for topic in service.sends
    }
    return takes | sends


def _operation(action: str, topic: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}
