"""From JSON to a model, or to every fault it has: `at_once` for what is in order, the others for what is not.

`at_once` reads bytes into a model in one step and says only whether that went; `json_object` and `validate` take
the steps one by one and name what is wrong. What the first takes, the others take with the same result.
"""

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from contracts.faults import ContractError, Fault, faults_of

ModelT = TypeVar("ModelT", bound=BaseModel)

_HALVES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Halves of characters. In pairs they are text; a single one could be read, and neither logged nor kept."""


def at_once(model: type[ModelT], body: bytes) -> ModelT | None:
    """Read JSON of exactly the model's types, unknown fields ignored; None where it takes a closer look."""
    try:
        return model.model_validate_json(body, strict=True, extra="ignore")
    except ValidationError:
        return None


def from_json(model: type[ModelT], body: bytes, field: str) -> ModelT:
    """Read JSON, unknown fields ignored; `field` is what the bytes are called in a fault.

    Raises:
        ContractError: it is not JSON, or not such a model; lists every fault.
    """
    return at_once(model, body) or validate(model, json_object(body, field))


def validate(model: type[ModelT], data: dict[str, Any], *, prefix: str = "") -> ModelT:
    """Read with unknown fields ignored, whatever the model says about producing."""
    try:
        return model.model_validate(data, extra="ignore")
    except ValidationError as error:
        raise ContractError(faults_of(error, prefix=prefix)) from None


def data_object(data: object) -> dict[str, Any]:
    """The JSON object in an event's data, in whichever form the CloudEvents SDK gives it."""
    if isinstance(data, bytes):
        return json_object(data, "data")
    if isinstance(data, str):
        # JSON may escape half a character, which is no UTF-8; the field that holds it is then refused by name.
        return json_object(data.encode("utf-8", "surrogatepass"), "data")
    if not isinstance(data, dict):
        raise ContractError([Fault("data", "is not a JSON object; send the event's data as JSON")])
    return data


def json_object(body: bytes, field: str) -> dict[str, Any]:
    """The JSON object that a body is; `field` is what the body is called in a fault."""
    try:
        parsed = json.loads(body)
        if _HALVES.search(body):
            json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ContractError([Fault(field, "is not JSON; send a JSON object")]) from None
    if not isinstance(parsed, dict):
        raise ContractError([Fault(field, "is not a JSON object; send one")])
    return parsed
