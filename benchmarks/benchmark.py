"""What every benchmark is: something to measure, and what its figures say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Size = Literal["full", "small"]
"""Small is for trying a benchmark out: its figures are neither promised nor compared."""

Figures = dict[str, Any]
"""What was measured, as JSON: saved before anything is made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One line of the summary: ours beside what it is measured against, and whether the promise holds."""

    what: str
    ours: str
    reference: str = "-"
    limit: str = "-"
    """The limit, or a peer."""
    target: str
    held: bool
    ratio: float | None = None
    """Ours against another on the same machine in the same run; greater is better. None is not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark; every module of them has one, named BENCHMARK."""

    name: str
    title: str
    measure: Callable[[Size], Figures]
    """Takes minutes; says on stdout what it does."""
    claims: Callable[[Figures], Sequence[Claim]]
    section: Callable[[Figures], str]
    """Markdown below the title."""
