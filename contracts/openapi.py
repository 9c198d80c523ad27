"""The OpenAPI document of what every service answers over HTTP.

One document for all services: they share one skeleton (`eventing.app`) and differ in the events they take, which the
AsyncAPI tells. What the skeleton answers is written by hand in `openapi.base.json`; version and events are added here
from the models. Not here: the dashboard, which serves people.
"""

import json
from pathlib import Path
from typing import Any

from contracts import __version__
from contracts.events import OWN_EVENTS, OwnEvent

_BY_HAND = Path(__file__).parent / "openapi.base.json"


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    document: dict[str, Any] = json.loads(_BY_HAND.read_text(encoding="utf-8"))
    document["info"]["version"] = __version__
    document["components"]["schemas"] |= {
        "Event": {"anyOf": [{"$ref": f"#/components/schemas/{event.__name__}"} for event in OWN_EVENTS]},
        "EventType": {"enum": [event.type for event in OWN_EVENTS]},
        **{event.__name__: _data(event) for event in OWN_EVENTS},
    }
    return document


def _data(event: type[OwnEvent]) -> dict[str, Any]:
    """As consumers read it: unknown fields are accepted."""
    schema = event.model_json_schema()
    schema.pop("additionalProperties", None)
    return schema
