"""`python -m tests.simulation --seeds 500`: storms by seed; ends with 1 and the history at the first failure."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta

from tests.simulation.world import Outcome, simulate

_WORTH_SPLITTING = 20  # seeds; below, starting processes takes longer than it saves


def main(arguments: list[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--start", type=int, default=1, help="the first")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that share the work")
    parser.add_argument("--history", action="store_true", help="print the history of every seed")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first failure")
    asked = parser.parse_args(arguments)
    began, totals, failed = time.monotonic(), Totals(), 0
    for outcome in _outcomes(range(asked.start, asked.start + asked.seeds), asked.jobs, whole=asked.history):
        totals.add(outcome)
        failed += bool(outcome.broken)
        if asked.history or (outcome.broken and not asked.go_on):
            print(outcome.story(10**6))
        elif outcome.broken:
            print(f"seed {outcome.seed}: {'; '.join(outcome.broken)}")
        if outcome.broken and not asked.go_on:
            break
    print(totals.report(time.monotonic() - began))
    return 1 if failed else 0


def _outcomes(seeds: range, jobs: int, *, whole: bool) -> Iterator[Outcome]:
    """The outcomes in the order of their seeds."""
    if jobs == 1 or len(seeds) < _WORTH_SPLITTING:
        yield from (simulate(str(seed)) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        try:
            yield from pool.map(_whole if whole else _short, seeds, chunksize=5)
        finally:
            pool.shutdown(cancel_futures=True)


def _whole(seed: int) -> Outcome:
    return simulate(str(seed))


def _short(seed: int) -> Outcome:
    outcome = simulate(str(seed))
    return outcome if outcome.broken else replace(outcome, history=[])


class Totals:
    """Sums over seeds."""

    def __init__(self) -> None:
        self.seeds = self.runs = self.pushes = 0
        self.seconds = self.slowest = 0.0
        self.injected: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count a simulation."""
        self.seeds += 1
        self.runs += outcome.runs
        self.pushes += outcome.pushes
        self.seconds += outcome.seconds
        self.slowest = max(self.slowest, outcome.settled_after)
        self.injected.update(outcome.injected)

    def report(self, took: float) -> str:
        """What was done, for a person."""
        years = self.runs * 7 / 365.25
        done = f"{self.seeds} seeds, {self.runs} runs ({years:.1f} years of Mondays), {self.pushes} deliveries"
        lines = [
            f"{done}, {timedelta(seconds=round(self.seconds))} simulated in {took:.1f} s",
            f"settled at the latest {self.slowest / 600:.1f} sweeps after the last fault or deadline",
            f"{self.injected.total()} faults injected:",
            *(f"  {count:>7}  {kind}" for kind, count in self.injected.most_common()),
        ]
        return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
