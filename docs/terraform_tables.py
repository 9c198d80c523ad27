"""Terraform's variables and outputs, read from variables.tf and outputs.tf of the root module.

Not here: what the variables of the modules mean, which only the root module sets.
"""

import json
from pathlib import Path
from typing import Any

import hcl2
from hcl2 import SerializationOptions

from docs.markdown import table

INFRA = Path(__file__).parents[1] / "infra"
_READING = SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)


def variables() -> str:
    """The table of variables, the required ones first."""
    rows = sorted(_blocks("variable"), key=lambda row: ("default" in row[1], row[0]))
    head = ("variable", "default", "meaning")
    return table(head, ((f"`{name}`", _default(body), _text(body)) for name, body in rows))


def outputs() -> str:
    """The table of outputs."""
    return table(("output", "meaning"), ((f"`{name}`", _text(body)) for name, body in sorted(_blocks("output"))))


def _blocks(kind: str) -> list[tuple[str, dict[str, Any]]]:
    with (INFRA / f"{kind}s.tf").open(encoding="utf-8") as text:
        found = hcl2.load(text, serialization_options=_READING)[kind]
    return [(name, body) for block in found for name, body in block.items()]


def _default(body: dict[str, Any]) -> str:
    if "default" not in body:
        return "**required**"
    default = body["default"]
    return "none" if default is None else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _text(body: dict[str, Any]) -> str:
    return str(body["description"]).replace('\\"', '"')
