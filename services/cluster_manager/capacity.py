"""What to do while Google has no machines for us: how it says so, how long to wait, what to ask for next. Pure.

Sources: the project's quota is named in the refusal of CreateCluster itself (INVALID_ARGUMENT, "Insufficient 'CPUS'
quota"); a zone without machines is named in the cluster's end (Compute Engine's ZONE_RESOURCE_POOL_EXHAUSTED). Neither
is a fault of the request, and both pass.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from contracts.documents import ClusterClaim
from services.cluster_manager.sizing import ClusterSize, SizeLimits

_NO_MACHINES = re.compile(
    r"insufficient '[^']+' quota|quota '[^']+' exceeded|quota_exceeded|resource_pool_exhausted|stockout"
    r"|does not have enough resources available|is currently unavailable in the \S+ zone",
    re.IGNORECASE,
)
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(minutes=10)
"""As often as a sweep comes: a longer one would only keep a run waiting that has its machines."""


def is_refusal(words: str) -> bool:
    """Whether Google's words say that quota or machines are lacking now."""
    return _NO_MACHINES.search(words) is not None


def not_before(claims: Sequence[ClusterClaim]) -> datetime:
    """When the next attempt may be made after these, all refused: each pause is twice the one before."""
    pause = FIRST_PAUSE
    for _ in claims[1:]:
        pause = min(2 * pause, LONGEST_PAUSE)
    return claims[-1].claimed_at + pause


def placed(size: ClusterSize, refusals: int, limits: SizeLimits) -> ClusterSize:
    """What to ask for after so many refusals: every machine type where Dataproc places it, then zone by zone."""
    types = (limits.machine_type, *limits.other_types)
    places = [(machine_type, zone) for zone in (None, *limits.zones) for machine_type in types]
    machine_type, zone = places[refusals % len(places)]
    return ClusterSize(machine_type, size.workers, zone)
