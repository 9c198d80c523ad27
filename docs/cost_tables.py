"""The clusters' prices of docs/cost.md, from the table that receipts are estimated with."""

from datetime import timedelta

from docs.markdown import table
from services.cluster_manager import costs
from services.cluster_manager.settings import Settings
from services.cluster_manager.sizing import ClusterSize


def prices() -> str:
    """What a machine costs, where that was read, and what clusters of each size cost."""
    return f"{_units()}\n\n{_shapes()}"


def _units() -> str:
    rows = [
        (
            price.what,
            f"{price.usd:.5f} a {price.unit}",
            f"{price.source}, read {price.read_on}",
            "yes" if price.confirmed else "**no**",
        )
        for price in costs.PRICES
    ]
    return table(("what", "US dollars", "from", "confirmed"), rows)


def _shapes() -> str:
    machine = str(Settings.model_fields["machine_types"].default[0])
    most = int(Settings.model_fields["max_workers"].default)
    sizes = [ClusterSize(machine, workers) for workers in (0, 2, 4, most)]
    rows = [
        (
            size.machine_type,
            str(size.workers),
            f"{costs.hourly(size):.3f}",
            f"{costs.estimate(size, timedelta(minutes=10)):.3f}",
        )
        for size in sizes
    ]
    return table(("machines", "workers", "an hour", "ten minutes"), rows)
