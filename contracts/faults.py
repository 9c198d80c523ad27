"""What is wrong with an input: of each fault the field, the problem and the remedy.

Whoever sends an input chooses how long its names are and how many faults it has. So a fault shortens field
and problem, and an error lists the first faults and counts the others.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Self, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contracts.wording import cut, shown

FoundT = TypeVar("FoundT")

MOST_TOLD = 50
"""Faults listed in an error at most; the last one then says how many more there are."""
_MOST_READ = 10_000
"""Faults of one input that are read. Of more, only their number is given: pydantic gives all of them or none."""
_FIELD_CHARACTERS, _PROBLEM_CHARACTERS = 200, 1000


class _Fault(NamedTuple):
    field: str
    problem: str


class Fault(_Fault):
    """One thing wrong with an input; of a long field or problem, the beginning and the end."""

    __slots__ = ()

    def __new__(cls, field: str, problem: str) -> Self:
        """Shorten both."""
        return super().__new__(cls, cut(field, _FIELD_CHARACTERS), cut(problem, _PROBLEM_CHARACTERS))

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class ContractError(ValueError):
    """An input that breaks the contract; carries its faults: the first ones, and how many more there are."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = _told(tuple(faults), lambda fault: fault)
        super().__init__("; ".join(map(str, self.faults)))


def _told(found: Sequence[FoundT], word: Callable[[FoundT], Fault]) -> tuple[Fault, ...]:
    if len(found) <= MOST_TOLD:
        return tuple(map(word, found))
    told = tuple(map(word, found[: MOST_TOLD - 1]))
    return (*told, Fault("and more", f"{len(found) - len(told)} more faults; mend these first"))


_HINTS = {
    **dict.fromkeys(("ce-id", "ce-source"), "CloudEvents 1.0 asks for it"),
    "ce-type": "name the type of an event in the catalogue",
    "ce-specversion": "send CloudEvents 1.0",
    "ce-time": "write it with its zone, as 2026-11-23T00:00:00Z",
    "run_id": "write the run's date as 2026-11-23",
    "market": "write two capital letters, as DK",
    "markets": "write each market as two capital letters, as DK",
    "receipt_uri": "write it as gs://bucket/object",
    "revision": "write the decision's number, from 1 to 9999",
}


def faults_of(error: ValidationError, *, prefix: str = "", bulk: str | None = None) -> tuple[Fault, ...]:
    """The faults of a pydantic error, each with the path of its field and a remedy.

    Where there are more than are read, one fault gives their number; its field is `bulk`, the one that can have that
    many, or `prefix`.
    """
    if (count := error.error_count()) > _MOST_READ:
        return (Fault(bulk or prefix or "body", f"has {count} faults; see the event's JSON Schema"),)
    details = error.errors(include_url=False, include_context=False)
    return _told(details, partial(_fault, prefix=prefix))


def _fault(detail: ErrorDetails, prefix: str) -> Fault:
    names = [step for step in detail["loc"] if isinstance(step, str)]
    steps = [cut(str(step), _FIELD_CHARACTERS) for step in detail["loc"]]
    path = ".".join([*([prefix] if prefix else []), *steps]) or "body"
    hint = next((_HINTS[name] for name in reversed(names) if name in _HINTS), "see the event's JSON Schema")
    if detail["type"] == "missing":
        return Fault(path, f"is missing; {hint}")
    problem = detail["msg"].removeprefix("Value error, ")
    return Fault(path, f"{problem}, got {shown(detail.get('input'))}; {hint}")
