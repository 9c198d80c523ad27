"""The event catalogue, read from the AsyncAPI document, and what each service takes and sends."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from contracts.catalogue import asyncapi
from contracts.registry import topology
from docs.markdown import table

STATUS = table(
    ("status", "when", "what Pub/Sub does"),
    (
        (
            "204",
            "handled, or nothing to do: a duplicate, a redrive for another subscription",
            "forgets the message",
        ),
        ("400", "refused: it cannot be read, or is not for this service", "delivers again, until it is given up"),
        ("401", "the caller is not the push subscriptions' account", "the same"),
        ("408", "the body did not arrive in time", "the same"),
        ("413", "larger than the service takes", "the same"),
        ("503", "not now: the body says why", "delivers again, later each time"),
    ),
)
"""The answers of `POST /` in every service (`eventing/app.py`)."""

_INTRODUCTION = """# Events

Every event that travels between the services, and every one that Google sends them. Ours are
[CloudEvents](https://github.com/cloudevents/spec) 1.0 in the Pub/Sub protocol binding: the message's attributes carry
the context, its data the JSON below. A consumer ignores fields that it does not know; within one version of a type
only optional fields are added (`tests/contract/evolution.py`). What was once released is kept in `contracts/released/`.

This page is written by `make docs` from [contracts/asyncapi.json](../contracts/asyncapi.json).
"""


def page() -> str:
    """docs/events.md."""
    document = asyncapi()
    own = [_own(document, topic) for topic, channel in document["channels"].items() if "messages" in channel]
    return "\n".join([_INTRODUCTION, "## Attributes\n", _attributes(document), "", *own, _google(document)])


def of_service(service: str) -> str:
    """What a service takes, with how it is delivered, and what it sends."""
    operations = _operations(asyncapi())
    deliveries = {
        entry["topic"]: entry for entry in topology()["push_subscriptions"] if entry["service"] == service
    }
    took = [
        (f"`{topic}`", _delivery(deliveries[topic]), f"`{deliveries[topic]['dead_letter_topic']}`")
        for who, action, topic in operations
        if who == service and action == "receive"
    ]
    sent = [f"`{topic}`" for who, action, topic in operations if who == service and action == "send"]
    sends = (
        f"It sends to {' and '.join(sent)}." if sent else "It sends nothing: the object it writes is the event."
    )
    return f"{table(('takes from topic', 'delivered', 'given up to'), took)}\n\n{sends} Fields: [events](../events.md)."


def _own(document: Mapping[str, Any], topic: str) -> str:
    [name] = document["channels"][topic]["messages"]
    message = document["components"]["messages"][name]
    schema = message["payload"]["schema"]
    return "\n".join(
        [
            f"## {name}\n",
            f"{message['summary']}\n",
            f"Type `{message['name']}` on topic `{topic}`. {_who(document, topic)}\n",
            table(("field", "type", "default", "meaning"), _fields(schema)),
            "",
        ]
    )


def _who(document: Mapping[str, Any], topic: str) -> str:
    found = _operations(document)
    senders = [service for service, action, at in found if (action, at) == ("send", topic)]
    takers = [service for service, action, at in found if (action, at) == ("receive", topic)]
    return (
        f"From {', '.join(senders) or 'Cloud Scheduler or a person'}; to {', '.join(takers) or 'whoever listens'}."
    )


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, field in schema["properties"].items():
        required = name in schema.get("required", [])
        default = "**required**" if required else f"`{json.dumps(field.get('default'))}`"
        yield f"`{name}`", _type(field), default, str(field.get("description", "")).replace("\n", " ")


def _type(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(entry) for entry in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    pattern = field.get("pattern")
    return f"{field['type']} `{pattern}`" if pattern else str(field["type"])


def _attributes(document: Mapping[str, Any]) -> str:
    headers = document["components"]["messageTraits"]["cloudEvent"]["headers"]
    rows = [(f"`{name}`", "yes" if name in headers["required"] else "no") for name in headers["properties"]]
    return table(("attribute", "always there"), rows)


def _google(document: Mapping[str, Any]) -> str:
    rows = [
        (f"`{topic}`", channel["description"])
        for topic, channel in document["channels"].items()
        if "messages" not in channel
    ]
    return f"## What Google sends\n\n{table(('topic', 'what'), rows)}\n"


def _operations(document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Service, `send` or `receive`, topic."""
    return [
        (name.partition(".")[0], operation["action"], operation["channel"]["$ref"].rpartition("/")[2])
        for name, operation in document["operations"].items()
    ]


def _delivery(entry: Mapping[str, Any]) -> str:
    return (
        f"within {entry['ack_deadline']} s, again after {entry['min_backoff']} to {entry['max_backoff']} s, "
        f"{entry['max_delivery_attempts']} times"
    )
