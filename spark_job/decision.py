"""The decision that is loaded, read from its object: which parts, how much each must hold, and how many must be whole.

The job stands alone on its cluster and cannot import the contract; a test compares this reading with it. Fields that
are not needed here are ignored; the others must be present and of their type.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PART_SUFFIX: Final = ".jsonl.gz"
NUMBERED: Final = 2
"""The form from which on each line of a part says which one it is."""

_MARKET: Final = re.compile("[A-Z]{2}")


class DecisionError(ValueError):
    """The decision cannot be read, or is not one to load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One market's raw object, as it was when it was decided."""

    market: str
    size: int
    """Bytes, compressed."""
    form: int = 1
    albums: int | None = None
    """Lines it must hold; None where the fetcher did not say."""
    tracks: int | None = None
    """Track entries it must hold, null ones not counted."""

    @property
    def file(self) -> str:
        """Its name in the run's folder."""
        return f"{self.market}{PART_SUFFIX}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision to load, as far as the job needs it."""

    parts: tuple[Part, ...]
    least: int = 0
    """How many parts must turn out whole, else nothing is loaded."""
    holds: frozenset[str] = frozenset()
    """Markets that the table may have and must not lose: while one of their parts is bad, nothing is loaded."""


def read_decision(content: bytes, *, run_id: str, revision: int) -> Decision:
    """Read the decision and make sure that it is the one that was asked for.

    Raises:
        DecisionError: it is another one, or not as it must be; names the field.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise DecisionError(f"the decision is not JSON: {error}") from error
    fields = _object(document, "the decision")
    _expect(fields, "run_id", run_id)
    _expect(fields, "revision", revision)
    _expect(fields, "verdict", "load")
    parts = tuple(_part(part, f"parts[{at}]") for at, part in enumerate(_list(fields, "parts")))
    markets = [part.market for part in parts]
    if not parts or len(set(markets)) < len(markets):
        raise DecisionError(f"parts: must be one for each of some markets, got {', '.join(markets) or 'none'}")
    held = frozenset(_market(market, f"holds[{at}]") for at, market in enumerate(_list(fields, "holds", [])))
    return Decision(parts=parts, least=_count(fields, "least", 0), holds=held)


def _part(value: object, where: str) -> Part:
    fields = _object(value, where)
    return Part(
        market=_market(fields.get("market"), f"{where}.market"),
        size=_count(fields, "size", where=where),
        form=_count(fields, "form", 1, where=where),
        albums=_count_or_none(fields, "albums", where),
        tracks=_count_or_none(fields, "tracks", where),
    )


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise DecisionError(f"{where}: must be an object, got {value!r}")
    return value


def _expect(fields: Mapping[str, object], name: str, wanted: str | int) -> None:
    found = fields.get(name)
    if found != wanted or isinstance(found, bool):
        raise DecisionError(f"{name}: the decision to load has {wanted!r}, this one {found!r}")


def _list(fields: Mapping[str, object], name: str, default: list[object] | None = None) -> list[object]:
    value = fields.get(name, default)
    if not isinstance(value, list):
        raise DecisionError(f"{name}: must be a list, got {value!r}")
    return value


def _market(value: object, where: str) -> str:
    # It becomes part of a pattern of file names.
    if not isinstance(value, str) or not _MARKET.fullmatch(value):
        raise DecisionError(f"{where}: must be two capital letters, got {value!r}")
    return value


def _count(fields: Mapping[str, object], name: str, default: int | None = None, *, where: str = "") -> int:
    value = fields.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DecisionError(f"{where}{'.' if where else ''}{name}: must be a whole number from 0, got {value!r}")
    return value


def _count_or_none(fields: Mapping[str, object], name: str, where: str) -> int | None:
    return None if fields.get(name) is None else _count(fields, name, where=where)
