"""Whether what was measured is worse than what was committed: pure.

Compared are ratios of two figures of the same run on the same machine, so that a slower machine is no regression.
"""

from collections.abc import Mapping

Ratios = Mapping[str, Mapping[str, float]]
"""For each benchmark, each of its claims; greater is better."""

TOLERANCE = 0.25
"""Share by which a ratio may fall before it counts: two runs on a quiet machine differ by a tenth, some by a fifth."""


def regressions(committed: Ratios, measured: Ratios, *, tolerance: float = TOLERANCE) -> list[str]:
    """What got worse, and what is no longer measured; nothing where all is well. New claims are no regression."""
    found = []
    for name, claims in committed.items():
        for what, before in claims.items():
            now = measured.get(name, {}).get(what)
            if now is None:
                found.append(f"{name}, {what}: was {before:.2f} and is not measured")
            elif now < before * (1 - tolerance):
                found.append(f"{name}, {what}: was {before:.2f} and is {now:.2f}, more than {tolerance:.0%} worse")
    return found
