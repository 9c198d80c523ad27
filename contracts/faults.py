"""What is wrong with an input: the field, the problem, the remedy; always all faults, never just the first."""

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails


class Fault(NamedTuple):
    """One thing wrong with an input."""

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class ContractError(ValueError):
    """An input that breaks the contract; carries every fault found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


_HINTS = {
    "run_id": "write the run's date as 2026-11-23",
    "market": "write two capital letters, as DK",
    "markets": "write each market as two capital letters, as DK",
    "receipt_uri": "write it as gs://bucket/object",
    "revision": "write the decision's number, from 1 to 9999",
}
_INPUT_SHOWN = 80


def faults_of(error: ValidationError, *, prefix: str = "") -> tuple[Fault, ...]:
    """Every fault of a pydantic error, each with the path of its field and a remedy."""
    return tuple(_fault(detail, prefix) for detail in error.errors(include_url=False, include_context=False))


def _fault(detail: ErrorDetails, prefix: str) -> Fault:
    path = ".".join([*([prefix] if prefix else []), *map(str, detail["loc"])]) or "body"
    names = [str(step) for step in detail["loc"] if isinstance(step, str)]
    hint = next((_HINTS[name] for name in reversed(names) if name in _HINTS), "see the event's JSON Schema")
    if detail["type"] == "missing":
        return Fault(path, f"is missing; {hint}")
    shown = str(detail.get("input"))[:_INPUT_SHOWN]
    return Fault(path, f"{detail['msg'].removeprefix('Value error, ')}, got {shown!r}; {hint}")
