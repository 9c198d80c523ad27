"""Events and parts of every released version stay readable: a breaking change needs a new version of the type."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.catalogue import PART, event_schema, files
from contracts.events import BY_TYPE, RunFinished
from tests.contract.evolution import breaking_changes

RELEASED = sorted((Path(__file__).parents[2] / "contracts/released").glob("*.json"))
Json = dict[str, Any]


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_nothing_that_was_released_is_broken(path: Path) -> None:
    """Messages in flight, in dead-letter topics, and parts in the bucket outlive every deployment."""
    current = files().get(f"contracts/schemas/{path.name}")
    assert current is not None, "a released type must stay readable; keep its model"
    released = json.loads(path.read_text(encoding="utf-8"))
    assert breaking_changes(released, json.loads(current)) == []


def test_every_event_and_the_part_have_a_released_schema() -> None:
    """What is not written down as released is not protected."""
    assert {path.stem for path in RELEASED} == {*BY_TYPE, *(model.__name__ for model in PART)}


def remove(schema: Json) -> None:
    del schema["properties"]["revision"]


def rename(schema: Json) -> None:
    schema["properties"]["run"] = schema["properties"].pop("run_id")


def require(schema: Json) -> None:
    schema["properties"]["extra"] = {"type": "string"}
    schema["required"].append("extra")


def relax(schema: Json) -> None:
    schema["required"].remove("outcome")


def narrow(schema: Json) -> None:
    schema["properties"]["outcome"]["enum"].remove("partial")


def retype(schema: Json) -> None:
    schema["properties"]["revision"]["type"] = "string"


def widen(schema: Json) -> None:
    schema["properties"]["revision"]["maximum"] = 99999


def other_type(schema: Json) -> None:
    schema["$id"] = "newreleases.run.finished.v2"


@pytest.mark.parametrize("change", [remove, rename, require, relax, narrow, retype, widen, other_type])
def test_each_kind_of_breaking_change_is_seen(change: Callable[[Json], None]) -> None:
    """The check itself must be able to fail."""
    released = event_schema(RunFinished)
    changed = copy.deepcopy(released)
    change(changed)
    assert breaking_changes(released, changed)


def test_what_is_derived_may_grow_and_not_change() -> None:
    """A column that is worked out of an album is a field more inside of one: optional there, too, and for good."""
    field = {"type": "object", "properties": {"image_url": {"type": "string"}}}
    released: Json = {"properties": {"derived": field}, "type": "object"}
    grown, changed = copy.deepcopy(released), copy.deepcopy(released)
    grown["properties"]["derived"]["properties"]["label"] = {"type": "string"}
    changed["properties"]["derived"]["properties"]["image_url"]["type"] = "integer"
    assert breaking_changes(released, grown) == []
    assert breaking_changes(released, changed) == ["derived: means something else now"]


def test_optional_fields_and_better_words_are_welcome() -> None:
    """Growing and explaining must not need a new version."""
    released = event_schema(RunFinished)
    changed = copy.deepcopy(released)
    changed["properties"]["cost"] = {"type": "number"}
    changed["properties"]["outcome"]["description"] = "better words"
    assert breaking_changes(released, changed) == []
