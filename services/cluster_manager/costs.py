"""What a run's clusters cost by list prices, and the one list of the prices used: pure.

An estimate, not a bill: no discount, no tax, no disks (3 % more), not the minute that a deletion takes. Not here:
everything but the clusters; docs/cost.md adds it up.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from services.cluster_manager.sizing import ClusterSize

_SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Price:
    """One list price in US dollars, without tax."""

    what: str
    usd: float
    unit: str
    source: str
    read_on: date
    confirmed: bool
    """Whether the source was read; otherwise from memory."""


MACHINE = Price(
    "e2-standard machine in europe-west3: 0.17267 for four vCPU and 16 GiB",
    0.17267 / 4,
    "vCPU-hour with its 4 GiB",
    "SkyPilot's catalogue of Google's price list (skypilot-catalog, v7/gcp/vms.csv), stored copy",
    date(2026, 11, 23),
    confirmed=True,
)
OTHER_MACHINE = Price(
    "n2-standard machine in europe-west3: 0.2503 for four vCPU and 16 GiB; asked for where e2 is refused",
    0.2503 / 4,
    "vCPU-hour with its 4 GiB",
    "from memory; look at cloud.google.com/compute/all-pricing (N2, Frankfurt)",
    date(2026, 11, 23),
    confirmed=False,
)
DATAPROC = Price(
    "Dataproc, on top of the machines",
    0.010,
    "vCPU-hour",
    "cloud.google.com/dataproc/pricing, stored copy",
    date(2026, 11, 23),
    confirmed=True,
)
PRICES = (MACHINE, OTHER_MACHINE, DATAPROC)
"""Every price the estimate uses; docs/cost.md shows them."""


def hourly(size: ClusterSize) -> float | None:
    """US dollars for an hour of a cluster; None for a machine type whose price is not listed here."""
    found = re.fullmatch(r"([en]2)-standard-(\d+)", size.machine_type)
    if found is None:
        return None
    machine = MACHINE if found[1] == "e2" else OTHER_MACHINE
    return size.machines * int(found[2]) * (machine.usd + DATAPROC.usd)


def estimate(size: ClusterSize, lasted: timedelta) -> float | None:
    """US dollars for a cluster that lasted so long, at least a minute as Dataproc bills it; None without a price."""
    price = hourly(size)
    return None if price is None else round(price * (max(lasted, _SHORTEST) / timedelta(hours=1)), 4)
