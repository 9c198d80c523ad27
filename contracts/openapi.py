"""The OpenAPI document of what every service answers over HTTP; built from the models as the AsyncAPI is.

One document for all services: they share one skeleton (`eventing.app`) and differ in the events they take, which the
AsyncAPI tells. Not here: the dashboard, which serves people.
"""

from typing import Any

from contracts import __version__
from contracts.events import OWN_EVENTS, OwnEvent

_PUSH_LINK = "https://cloud.google.com/pubsub/docs/push"
_BINARY = "A binary CloudEvent: the context in `ce-` headers, the event's data as the body"


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "New Releases",
            "version": __version__,
            "description": "What each service answers: Pub/Sub pushes to `/`, the platform asks for its health.",
        },
        "paths": {
            "/": {"post": _receive()},
            "/health/live": {"get": _live()},
            "/health/ready": {"get": _ready()},
        },
        "components": {"schemas": _schemas(), "securitySchemes": _security()},
    }


def _receive() -> dict[str, Any]:
    return {
        "operationId": "receive",
        "summary": "Take one event; the answer acknowledges it, refuses it, or asks for it again.",
        "security": [{"googleIdToken": []}, {}],
        "parameters": [_header(name) for name in ("ce-id", "ce-source", "ce-specversion", "ce-type", "ce-time")],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [_ref("Push"), *(_ref(event.__name__) for event in OWN_EVENTS)],
                        "description": f"A wrapped Pub/Sub push. {_BINARY}.",
                    }
                },
                "application/cloudevents+json": {"schema": _ref("CloudEvent")},
            },
        },
        "responses": {
            "204": {"description": "Handled, and its effect stands: acknowledged."},
            "400": _faults(
                "Refused, with its faults, at most 50 and each short; Pub/Sub dead-letters it after some attempts."
            ),
            "401": _faults("The caller is not the one that may push."),
            "408": _faults("The body did not arrive in time."),
            "413": _faults("Larger than any event; refused before it is read whole."),
            "503": _faults("Not now: deliver it again, when the subscription's retry policy says."),
        },
    }


def _header(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": "Of a binary CloudEvent.",
        "schema": {"type": "string"},
    }


def _faults(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref("Faults")}}}


def _live() -> dict[str, Any]:
    body = {"type": "object", "required": ["live"], "properties": {"live": {"const": True}}}
    return {
        "operationId": "live",
        "summary": "Whether the process answers at all.",
        "responses": {"200": {"description": "It does.", "content": {"application/json": {"schema": body}}}},
    }


def _ready() -> dict[str, Any]:
    answer = {"content": {"application/json": {"schema": _ref("Readiness")}}}
    return {
        "operationId": "ready",
        "summary": "Whether what the service needs answers now.",
        "responses": {
            "200": {"description": "Everything answers.", **answer},
            "503": {"description": "Something does not; `failures` says what.", **answer},
        },
    }


def _schemas() -> dict[str, Any]:
    return {
        **{event.__name__: _data(event) for event in OWN_EVENTS},
        "Push": _push(),
        "CloudEvent": _cloud_event(),
        "Faults": {
            "type": "object",
            "required": ["faults"],
            "additionalProperties": False,
            "properties": {"faults": {"type": "array", "minItems": 1, "items": _fault()}},
        },
        "Readiness": {
            "type": "object",
            "required": ["ready", "failures"],
            "properties": {
                "ready": {"type": "boolean"},
                "failures": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    }


def _data(event: type[OwnEvent]) -> dict[str, Any]:
    """As consumers read it: unknown fields are accepted."""
    schema = event.model_json_schema()
    schema.pop("additionalProperties", None)
    return schema


def _push() -> dict[str, Any]:
    message = {
        "type": "object",
        "required": ["messageId"],
        "properties": {
            "data": {"type": "string", "contentEncoding": "base64"},
            "attributes": {"type": "object", "additionalProperties": {"type": "string"}},
            "messageId": {"type": "string", "minLength": 1},
            "publishTime": {"type": "string", "format": "date-time"},
        },
    }
    return {
        "type": "object",
        "description": "A wrapped push, as Pub/Sub sends it.",
        "externalDocs": {"url": _PUSH_LINK},
        "required": ["message"],
        "properties": {
            "message": message,
            "subscription": {"type": "string"},
            "deliveryAttempt": {"type": "integer", "minimum": 1},
        },
    }


def _cloud_event() -> dict[str, Any]:
    required = ["id", "source", "specversion", "type"]
    return {
        "type": "object",
        "description": "A structured CloudEvent.",
        "required": required,
        "properties": {
            **{name: {"type": "string", "minLength": 1} for name in required},
            "specversion": {"const": "1.0"},
            "type": {"enum": [event.type for event in OWN_EVENTS]},
            "time": {"type": "string", "format": "date-time"},
            "data": {"anyOf": [_ref(event.__name__) for event in OWN_EVENTS]},
        },
    }


def _fault() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["field", "problem"],
        "additionalProperties": False,
        "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
    }


def _security() -> dict[str, Any]:
    return {
        "googleIdToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Google's OIDC token of the push's service account; none against an emulator.",
        }
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
