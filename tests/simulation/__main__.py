"""`python -m tests.simulation --seeds 500`: storms by seed; ends with 1 and the history at the first failure."""

import argparse
import sys
import time
from collections import Counter
from datetime import timedelta

from tests.simulation.world import Outcome, simulate


def main(arguments: list[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--start", type=int, default=1, help="the first")
    parser.add_argument("--history", action="store_true", help="print the history of every seed")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first failure")
    asked = parser.parse_args(arguments)
    began, totals, failed = time.monotonic(), Totals(), 0
    for seed in range(asked.start, asked.start + asked.seeds):
        outcome = simulate(str(seed))
        totals.add(outcome)
        if asked.history or (outcome.broken and not asked.go_on):
            print(outcome.story(10**6))
        elif outcome.broken:
            print(f"seed {seed}: {'; '.join(outcome.broken)}"[:600])
        failed += bool(outcome.broken)
        if outcome.broken and not asked.go_on:
            break
    print(totals.report(time.monotonic() - began))
    return 1 if failed else 0


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
        lines = [
            f"{self.seeds} seeds, {self.runs} runs ({years:.1f} years of Mondays), {self.pushes} deliveries, "
            f"{timedelta(seconds=round(self.seconds))} simulated in {took:.1f} s",
            f"settled at the latest {self.slowest / 600:.1f} sweeps after the last fault or deadline",
            f"{self.injected.total()} faults injected:",
            *(f"  {count:>7}  {kind}" for kind, count in self.injected.most_common()),
        ]
        return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
