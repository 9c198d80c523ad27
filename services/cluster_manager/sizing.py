"""How large a cluster a decision needs, from the bytes it is to load: pure.

A gzip file cannot be split, so that one part is one task: more cores than parts would stand idle, whatever the bytes.
Not here: what the cluster's machines are otherwise made of (`adapters.dataproc`) and what they cost (`costs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.documents import Part

FEWEST_WORKERS = 2
"""Fewest primary workers of a cluster that is not a single machine. Source: ClusterConfig.ClusterType.STANDARD."""


@dataclass(frozen=True, slots=True)
class ClusterSize:
    """How many machines, of which type, and where."""

    machine_type: str
    workers: int
    """0: one machine that is master and worker in one; otherwise at least two beside the master."""
    zone: str | None = None
    """None: Dataproc places it."""

    @property
    def machines(self) -> int:
        """Machines that are paid for: the master and the workers."""
        return 1 + self.workers


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """What one machine is trusted with, and how far a cluster may grow."""

    machine_type: str
    """The one that is asked for first."""
    bytes_per_machine: int
    """Compressed bytes that one machine works off in a time like its own start; docs/decisions/0015 has the sums."""
    max_workers: int
    """0 keeps every cluster to one machine."""
    other_types: tuple[str, ...] = ()
    """In the order in which they are asked for where the first is refused; no smaller than it."""
    zones: tuple[str, ...] = ()
    """Asked for one by one where the zone that Dataproc chooses has no machines."""


def size_for(parts: Sequence[Part], limits: SizeLimits) -> ClusterSize:
    """The smallest cluster that leaves no machine with more than its share: one machine, or two workers and more."""
    machines = -(-sum(part.size for part in parts) // limits.bytes_per_machine)
    if machines <= 1 or limits.max_workers == 0:
        return ClusterSize(limits.machine_type, 0)
    useful = max(FEWEST_WORKERS, min(machines, len(parts)))
    return ClusterSize(limits.machine_type, min(useful, limits.max_workers))
