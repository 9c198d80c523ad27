"""Write docs/settings.md, and the clusters' prices into docs/cost.md: `python -m services`; `--check` only compares."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from eventing.settings import ServiceSettings
from services.batch_trigger.settings import Settings as BatchTrigger
from services.cluster_manager import costs
from services.cluster_manager.settings import Settings as ClusterManager
from services.cluster_manager.sizing import ClusterSize
from services.market_fetcher.settings import Settings as MarketFetcher
from services.scheduler.settings import Settings as Scheduler

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
COSTS = PAGE.with_name("cost.md")
_SERVICES: dict[str, type[ServiceSettings]] = {
    "scheduler": Scheduler,
    "market_fetcher": MarketFetcher,
    "batch_trigger": BatchTrigger,
    "cluster_manager": ClusterManager,
}
_BEGIN, _END = "<!-- cluster prices: begin -->", "<!-- cluster prices: end -->"
_INTRODUCTION = """# Settings

Every service starts with `python -m services.<name>` and is configured by its environment alone. All faults in it
are reported together at start. Durations are seconds; an empty variable counts as absent. The Google client
libraries follow `PUBSUB_EMULATOR_HOST`, `STORAGE_EMULATOR_HOST` and `BIGQUERY_EMULATOR_HOST` themselves.

This page is written by `python -m services`.
"""


def page() -> str:
    """The page: the settings all services share, then those of each."""
    shared = ServiceSettings.model_fields
    own = {
        name: {field: info for field, info in model.model_fields.items() if field not in shared}
        for name, model in _SERVICES.items()
    }
    tables = [f"## Every service\n\n{_table(shared)}", *(f"## {name}\n\n{_table(own[name])}" for name in own)]
    return "\n".join([_INTRODUCTION, *tables])


def _table(fields: dict[str, FieldInfo]) -> str:
    rows = [f"| `{name.upper()}` | {_default(info)} | {info.description} |" for name, info in fields.items()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _default(info: FieldInfo) -> str:
    return "**required**" if info.is_required() else _shown(info.default)


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():g}`"
    return f"`{','.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def cost_page(text: str) -> str:
    """The page on cost with the clusters' prices between its marks."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{_prices()}\n{_shapes()}{_END}{after}"


def _prices() -> str:
    rows = [
        f"| {price.what} | {price.usd:.5f} a {price.unit} | {price.source}, read {price.read_on} | "
        f"{'yes' if price.confirmed else '**no**'} |"
        for price in costs.PRICES
    ]
    return "\n".join(["| what | US dollars | from | confirmed |", "|---|---|---|---|", *rows, ""])


def _shapes() -> str:
    machine = str(ClusterManager.model_fields["machine_type"].default)
    most = int(ClusterManager.model_fields["max_workers"].default)
    sizes = [ClusterSize(machine, workers) for workers in (0, 2, 4, most)]
    rows = [
        f"| {size.machine_type} | {size.workers} | {costs.hourly(size):.3f} | "
        f"{costs.estimate(size, timedelta(minutes=10)):.3f} |"
        for size in sizes
    ]
    head = ["| machines | workers | an hour | ten minutes |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def main(arguments: list[str]) -> int:
    """Write the pages, or compare; the exit status is 1 when one is stale."""
    known = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in (PAGE, COSTS)}
    wanted = {PAGE: page(), COSTS: cost_page(known[COSTS])}
    stale = [path for path in known if known[path] != wanted[path]]
    if stale and "--check" in arguments:
        names = ", ".join(f"docs/{path.name}" for path in stale)
        sys.stderr.write(f"{names}: stale; run `python -m services`\n")
        return 1
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
