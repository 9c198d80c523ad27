"""From JSON to a model, or to every fault that it has."""

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from contracts.faults import ContractError, Fault, faults_of

ModelT = TypeVar("ModelT", bound=BaseModel)

_HALVES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Halves of characters (surrogates). A pair is text; a single one can be read, but neither logged nor stored."""


def validate(model: type[ModelT], data: dict[str, Any], *, prefix: str = "", bulk: str | None = None) -> ModelT:
    """Read with unknown fields ignored, whatever the model says about producing; for the arguments see `faults_of`.

    Raises:
        ContractError: the data does not fit the model; lists every fault.
    """
    try:
        return model.model_validate(data, extra="ignore")
    except ValidationError as error:
        raise ContractError(faults_of(error, prefix=prefix, bulk=bulk)) from None


def without_nulls(given: object) -> object:
    """A JSON object without its fields that are null, which count as not there; anything else as it is.

    Source: protobuf.dev/programming-guides/json, in which Google's services speak.
    """
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if value is not None}


def json_object(given: object, field: str) -> dict[str, Any]:
    """The JSON object that something is, or that stands in its text; `field` is what it is called in a fault.

    Raises:
        ContractError: it is not a JSON object.
    """
    # JSON may escape half a character, which is not UTF-8; it comes through to here, to be refused by name.
    text = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    try:
        found = json.loads(text) if isinstance(text, bytes) else text
        if isinstance(text, bytes) and _HALVES.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ContractError([Fault(field, "is not JSON; send a JSON object")]) from None
    if not isinstance(found, dict):
        raise ContractError([Fault(field, "is not a JSON object; send one")])
    return found
