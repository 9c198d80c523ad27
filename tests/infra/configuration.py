"""Terraform's configuration as data: parsed, not evaluated, so that references stay as `${…}`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
from hcl2 import SerializationOptions

from contracts import registry

INFRA = Path(__file__).parents[2] / "infra"
_READING = SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource block."""

    kind: str
    name: str
    body: dict[str, Any]
    path: Path

    @property
    def address(self) -> str:
        """How a person finds it."""
        return f"{self.path.relative_to(INFRA)}: {self.kind}.{self.name}"


def files() -> list[Path]:
    """Every file of the configuration, modules included."""
    return sorted([*INFRA.glob("*.tf"), *INFRA.glob("modules/*/*.tf")])


@cache
def parsed(path: Path) -> dict[str, Any]:
    """The blocks of one file by their kind."""
    with path.open(encoding="utf-8") as text:
        return hcl2.load(text, serialization_options=_READING)


def resources(kind: str | None = None) -> list[Resource]:
    """All resources, or those of one kind."""
    return [
        Resource(found, name, body, path)
        for path in files()
        for block in parsed(path).get("resource", [])
        for found, named in block.items()
        for name, body in named.items()
        if kind in (None, found)
    ]


def resource(kind: str, name: str) -> dict[str, Any]:
    """The body of one resource."""
    (found,) = [entry for entry in resources(kind) if entry.name == name]
    return found.body


def local(name: str) -> Any:
    """The value of one local of the root module."""
    (found,) = [
        block[name] for path in INFRA.glob("*.tf") for block in parsed(path).get("locals", []) if name in block
    ]
    return found


def module(name: str) -> dict[str, Any]:
    """The arguments of one module call."""
    found: list[dict[str, Any]] = [
        block[name] for path in INFRA.glob("*.tf") for block in parsed(path).get("module", []) if name in block
    ]
    return found[0]


def project_roles() -> list[dict[str, str]]:
    """What is granted on the project without a condition: to services by themselves, and what stands beside them."""
    own = [
        {"who": name, "role": role}
        for name, service in registry.services().items()
        for role in service.project_roles.values()
    ]
    return [*own, *local("further_project_roles").values()]


def strings(value: Any) -> Iterator[str]:
    """Every text in a value, however deep, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def named(value: Any, key: str) -> Iterator[Any]:
    """Every value of that name, however deep."""
    if isinstance(value, dict):
        yield from (inner for name, inner in value.items() if name == key)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from named(inner, key)
