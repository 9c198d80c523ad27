"""Cluster minutes and their price for one weekly run: a model, fed with what was measured here.

Nothing was billed. Both are priced alike, from the list that the cluster manager itself estimates with. What no
machine here can tell are Dataproc's own minutes: they are assumed, the same for both, and said. The reference's
cluster is of three machines; the seconds its function sleeps beside what it waits for anyway are not known and
counted as none, which favours it.
"""

import json
from datetime import timedelta
from typing import Any, Final

from benchmarks import report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.results import load
from benchmarks.transform import seconds
from local import tools
from services.cluster_manager.costs import PRICES, estimate
from services.cluster_manager.sizing import ClusterSize

CREATE: Final = 120.0
"""Seconds until a cluster runs. Assumed: Dataproc documents about 90 and more with an initialisation action."""
START: Final = 20.0
"""Seconds until a job's session stands on a machine of two cores. Assumed; about 5 here."""
DELETE: Final = 60.0
"""Seconds of a deletion that are still billed. Assumed."""
LEAK_TTL: Final = 2 * 3600.0
"""Seconds after which our cluster ends by itself, whatever happens: `cluster_max_ttl`."""
CHEAPER: Final = 2.0


def measure(_size: Size) -> Figures:
    """The jobs' seconds: from the last receipt of a demo here for ours, and from the transformation's benchmark."""
    receipt = tools.ROOT / ".local" / "demo.json"
    found: Figures = {"receipt": json.loads(receipt.read_text())["seconds"] if receipt.exists() else None}
    measured = load("transform", "full") or load("transform", "small")
    if measured is None:
        raise RuntimeError("the jobs were not measured yet; run: python -m benchmarks transform")
    first: dict[str, Any] = measured.figures["scales"][0]
    found["jobs"] = {name: seconds(first, name) for name in ("ours", "reference")}
    return found


def _lasted(job: float) -> timedelta:
    return timedelta(seconds=CREATE + START + job + DELETE)


def _prices(figures: Figures) -> dict[str, tuple[ClusterSize, timedelta, float]]:
    sizes = {"ours": ClusterSize("e2-standard-2", 0), "reference": ClusterSize("e2-standard-2", 2)}
    lasted = {name: _lasted(figures["jobs"][name]) for name in sizes}
    return {name: (size, lasted[name], estimate(size, lasted[name]) or 0.0) for name, size in sizes.items()}


def claims(figures: Figures) -> list[Claim]:
    """What a run's cluster costs."""
    priced = _prices(figures)
    dollars = {name: price for name, (_, _, price) in priced.items()}
    least = estimate(priced["ours"][0], timedelta(seconds=CREATE + DELETE)) or 0.0
    cheaper = dollars["reference"] / dollars["ours"]
    return [
        Claim(
            what="cluster of a weekly run (model)",
            ours=_dollars(dollars["ours"]),
            reference=_dollars(dollars["reference"]),
            limit=f"{_dollars(least)}: create and delete alone",
            target=f"{CHEAPER:g} times cheaper",
            held=cheaper >= CHEAPER,
            ratio=cheaper,
        )
    ]


def section(figures: Figures) -> str:
    """The section of the page."""
    rows = [
        [
            name,
            f"{size.machines} x {size.machine_type}",
            f"{figures['jobs'][name]:.1f}",
            f"{lasted / timedelta(minutes=1):.1f}",
            f"{size.machines * (lasted / timedelta(minutes=1)):.1f}",
            _dollars(price),
        ]
        for name, (size, lasted, price) in _prices(figures).items()
    ]
    header = ("", "machines", "seconds of the job", "minutes", "machine minutes", "US dollars")
    receipt = figures["receipt"]
    told = (
        f"The last receipt of a demo here: {receipt['spark']:.0f} s for the job with the session's start and load."
        if receipt
        else ""
    )
    leak = estimate(_prices(figures)["ours"][0], timedelta(seconds=LEAK_TTL)) or 0.0
    stays = estimate(ClusterSize("e2-standard-2", 2), timedelta(days=1)) or 0.0
    prices = "; ".join(f"{price.what}: {price.usd:.5f} a {price.unit}" for price in PRICES)
    return f"""
A model: the job's seconds are measured on this machine, {CREATE:.0f} s to create, {START:.0f} s to start a session and
{DELETE:.0f} s to delete are assumed, for both. No handler of ours waits, so there is no sleep to add; those
of the reference are not known and not counted. {told}

{report.table(header, rows)}

If everything of ours dies at the worst moment, the cluster ends by itself after {LEAK_TTL / 3600:.0f} hours: at most
{_dollars(leak)}. The reference deletes its cluster after the job and only if nothing failed before: a cluster that
stays is {_dollars(stays)} a day until somebody sees it.

Prices in US dollars without tax: {prices}.
"""


def _dollars(price: float) -> str:
    return f"{price:.3f} $"


BENCHMARK = Benchmark(
    name="cost", title="What a run's cluster costs", measure=measure, claims=claims, section=section
)
