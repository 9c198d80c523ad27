"""All chance of a simulation, from one seed: what goes wrong, how often, and how long things take.

Every seed draws its own rates, many of them zero: faults that never stop hide what a single kind of fault does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal, Protocol, TypeVar

Fate = Literal["fails", "hangs", "crash before", "crash after", "answer lost", "late"]
"""What becomes of a call to the outside, but for the usual.

fails: no effect and an error; hangs: no effect, and an error at the call's deadline; answer lost: the effect and an
error; late: an error, and the effect some time afterwards; crash before and after: the calling process dies before the
effect, or before it learns of it.
"""
ChosenT = TypeVar("ChosenT")

MOST: Mapping[str, float] = {
    "call fails": 0.1,
    "call hangs": 0.04,
    "call answer lost": 0.06,
    "call late": 0.06,
    "call crash before": 0.03,
    "call crash after": 0.03,
    "slow call": 0.06,
    "message doubled": 0.3,
    "message delayed": 0.2,
    "acknowledgement lost": 0.1,
    "notification lost": 0.5,
    "audit entry lost": 0.5,
    "audit entries of others": 0.5,
    "cluster refused for quota": 0.4,
    "zone out of machines": 0.4,
    "cluster fails": 0.4,
    "cluster hangs": 0.3,
    "cluster dies": 0.4,
    "deletion fails": 0.3,
    "job fails": 0.4,
    "job hangs": 0.2,
    "load outlives its job": 0.5,
    "orphaned load takes hours": 0.5,
    "load's answer lost": 0.3,
    "spotify 500": 0.1,
    "spotify 429 at once": 0.1,
    "spotify 429 for long": 0.01,
    "spotify unreachable": 0.1,
    "spotify null listing": 0.1,
    "spotify empty listing": 0.1,
    "spotify entries without ids": 0.1,
    "spotify says there is nothing": 0.05,
    "spotify refuses a limit": 0.05,
    "spotify quota without header": 0.01,
    "spotify 404 for a moment": 0.2,
    "spotify short album": 0.2,
    "spotify numbers as floats": 0.3,
    "stranger takes the name": 0.3,
    "crash at any moment": 1.0,
}
"""Kinds of faults and the highest rate a seed may draw: a share of the occasions, or times an hour."""


class Fates(Protocol):
    """Decides what becomes of each call."""

    def of(self, what: str, *, changes: bool) -> Fate | None:
        """The fate of one call, None for the usual; `changes` tells an effect from a look."""
        ...


class Chance:
    """The one source of chance of a world."""

    def __init__(self, seed: str, rates: Mapping[str, float] | None = None, *, quiet: bool = False) -> None:
        self._random = Random(seed)
        self.on = True
        self.injected: Counter[str] = Counter()
        self.rates: dict[str, float] = (
            {kind: self._rate(most) for kind, most in MOST.items()} if rates is None else dict(rates)
        )
        self._quiet = quiet

    @classmethod
    def none(cls) -> "Chance":
        """No faults, and everything takes its usual time."""
        return cls("quiet", {}, quiet=True)

    def _rate(self, most: float) -> float:
        return self._random.uniform(0, most) if self._random.random() < 0.5 else 0.0

    def hit(self, kind: str) -> bool:
        """Whether this fault happens now."""
        rate = self.rates.get(kind, 0.0) if self.on else 0.0
        happens = rate > 0 and self._random.random() < rate
        if happens:
            self.injected[kind] += 1
        return happens

    def of(self, what: str, *, changes: bool) -> Fate | None:
        """See `Fates.of`."""
        if self.hit("call fails"):
            return "fails"
        if self.hit("call hangs"):
            return "hangs"
        if not changes:
            return None
        fates: Sequence[Fate] = ("answer lost", "late", "crash before", "crash after")
        return next((fate for fate in fates if self.hit(f"call {fate}")), None)

    def between(self, low: float, high: float) -> float:
        """A number, usually of seconds; the middle in a quiet world."""
        return (low + high) / 2 if self._quiet else self._random.uniform(low, high)

    def latency(self) -> float:
        """Seconds that one way of a call takes."""
        if self.hit("slow call"):
            return self.between(1, 90)
        return self.between(0.002, 0.05)

    def one_of(self, choices: Sequence[ChosenT]) -> ChosenT:
        """One of several, the first in a quiet world."""
        return choices[0] if self._quiet else self._random.choice(choices)

    def number(self, most: int) -> int:
        """A number from 0 to `most`, 0 in a quiet world."""
        return 0 if self._quiet else self._random.randint(0, most)
