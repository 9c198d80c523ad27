"""Write docs/settings.md, the table of every service's settings: `python -m services`; `--check` only compares."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from eventing.settings import ServiceSettings
from services.batch_trigger.settings import Settings as BatchTrigger
from services.cluster_manager.settings import Settings as ClusterManager
from services.market_fetcher.settings import Settings as MarketFetcher
from services.scheduler.settings import Settings as Scheduler

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
_SERVICES: dict[str, type[ServiceSettings]] = {
    "scheduler": Scheduler,
    "market_fetcher": MarketFetcher,
    "batch_trigger": BatchTrigger,
    "cluster_manager": ClusterManager,
}
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


def main(arguments: list[str]) -> int:
    """Write the page, or compare; the exit status is 1 when it is stale."""
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    if "--check" in arguments:
        sys.stderr.write("docs/settings.md is stale; run `python -m services`\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
