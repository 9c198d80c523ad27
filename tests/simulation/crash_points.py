"""Every crash point of a quiet run: the calls to the outside are counted as they pass the ports, not listed by hand.

`python -m tests.simulation.crash_points` runs every point and a sample of the ordered pairs; `--pairs all` runs
every pair. No sweep comes to help, but for the second look, which is a sweep's: events alone, delivered again, must
bring the run to the same end.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tests.simulation.chance import Chance, Fate
from tests.simulation.world import Case, Outcome, simulate

COMPLETE = Case(sweeps=False, log_replayed=False, litter=0)
CASES = {
    "complete": COMPLETE,
    "a market replayed": replace(COMPLETE, replays=((300, "SE", False),)),
    "too few markets": replace(COMPLETE, unknown="NO", attempts=3),
    # Only a sweep looks a second time.
    "an older load ends last": replace(
        COMPLETE, replays=((900, "SE", False),), orphans=((1, 1, 10800.0),), sweeps=True, first_sweep=7.5 * 3600
    ),
}
EFFECT_FATES: Sequence[Fate] = ("crash before", "crash after", "answer lost", "fails")
Point = tuple[int, Fate]
"""The number of a call in the run, from 0, and what becomes of it."""


@dataclass
class Script:
    """Fates written beforehand; every other call goes well. Keeps what passed."""

    fates: Mapping[int, Fate] = field(default_factory=dict)
    passed: list[tuple[str, bool]] = field(default_factory=list)
    """Every call: what it was, and whether it changes something."""

    def of(self, what: str, *, changes: bool) -> Fate | None:
        """See `Fates.of`."""
        self.passed.append((what, changes))
        return self.fates.get(len(self.passed) - 1)


def run(case: Case, fates: Iterable[Point] = ()) -> tuple[Outcome, Script]:
    """A quiet run with these points."""
    script = Script(dict(fates))
    named = ", ".join(f"{fate} at call {number}" for number, fate in script.fates.items())
    return simulate(named or "quiet", case=case, fates=script, chance=Chance.none()), script


def points(passed: Sequence[tuple[str, bool]]) -> list[Point]:
    """Every point of a run: four for each effect, and for each look that it fails."""
    return [
        (number, fate)
        for number, (_, changes) in enumerate(passed)
        for fate in (EFFECT_FATES if changes else EFFECT_FATES[-1:])
    ]


def pairs(singles: Sequence[Point], *, effects: frozenset[int]) -> list[tuple[Point, Point]]:
    """The ordered pairs of crashes and lost answers at effects: the second is counted in the run after the first."""
    hard = [point for point in singles if point[0] in effects and point[1] != "fails"]
    return [(first, second) for first, second in itertools.product(hard, hard) if first[0] < second[0]]


def _before(case: Case) -> Case | None:
    """What comes before the part of a case that is its own."""
    if case.sweeps:
        return replace(case, sweeps=False)
    return COMPLETE if case.replays else None


@dataclass(frozen=True)
class Plan:
    """What there is to run in one case."""

    case: Case
    quiet: Outcome
    passed: list[tuple[str, bool]]
    begin: int = 0
    """The first call to look at; those before are another case's."""

    @classmethod
    def of(cls, case: Case) -> "Plan":
        """Count a quiet run."""
        outcome, script = run(case)
        if outcome.broken:
            raise AssertionError(outcome.story())
        begin = len(run(before)[1].passed) if (before := _before(case)) else 0
        return cls(case, outcome, script.passed, begin)

    @property
    def effects(self) -> frozenset[int]:
        """The calls that change something."""
        return frozenset(n for n, (_, changes) in enumerate(self.passed) if changes and n >= self.begin)

    @property
    def singles(self) -> list[tuple[Point]]:
        """Every point."""
        return [(point,) for point in points(self.passed) if point[0] >= self.begin]

    @property
    def pairs(self) -> list[tuple[Point, Point]]:
        """Every ordered pair of crashes and lost answers."""
        return pairs(points(self.passed), effects=self.effects)

    def sample(self, seed: int, size: int) -> list[tuple[Point, Point]]:
        """Some of the pairs, the same for the same seed."""
        return Random(seed).sample(self.pairs, min(size, len(self.pairs)))

    def failures(self, wanted: Iterable[tuple[Point, ...]]) -> Iterator[str]:
        """Runs them; tells of those that end otherwise than the quiet run."""
        for chosen in wanted:
            outcome, script = run(self.case, chosen)
            if len(script.passed) <= chosen[0][0]:
                yield f"{outcome.seed}: the point was not reached"
            elif outcome.broken:
                yield f"{outcome.seed} ({script.passed[chosen[0][0]][0]}): {'; '.join(outcome.broken)}"
            elif outcome.ends != self.quiet.ends:
                yield f"{outcome.seed} ({script.passed[chosen[0][0]][0]}): another end than the quiet run's"

    def __str__(self) -> str:
        return (
            f"{len(self.passed) - self.begin} calls to the outside, {len(self.effects)} of them effects: "
            f"{len(self.singles)} points, {len(self.pairs)} ordered pairs"
        )


def main(arguments: list[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.crash_points", description=__doc__)
    parser.add_argument("--pairs", default="200", help="how many of each case, or all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    asked = parser.parse_args(arguments)
    failed = 0
    for name, case in CASES.items():
        began, plan = time.monotonic(), Plan.of(case)
        chosen = plan.pairs if asked.pairs == "all" else plan.sample(asked.seed, int(asked.pairs))
        found = list(plan.failures([*plan.singles, *chosen]))
        failed += len(found)
        ran = f"ran {len(plan.singles)} points and {len(chosen)} pairs in {time.monotonic() - began:.0f} s"
        print(f"{name}: {plan}; {ran}; {len(found)} ended otherwise", *found, sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
