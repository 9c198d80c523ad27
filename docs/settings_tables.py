"""What each process may be told by its environment, read from the settings' models."""

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contracts.registry import services
from dashboard.settings import Settings as Dashboard
from docs.markdown import table
from eventing.settings import ServiceSettings


def settings_of(service: str) -> type[ServiceSettings]:
    """The settings' model of a service."""
    model: type[ServiceSettings] = import_module(f"services.{service}.settings").Settings
    return model


MODELS: Mapping[str, type[BaseModel]] = {
    **{name: settings_of(name) for name in services()},
    "dashboard": Dashboard,
}
_INTRODUCTION = """# Settings

Every service starts with `python -m services.<name>`, the dashboard with `python -m dashboard`, and each is
configured by its environment alone. All faults in it are reported together at start. Durations are seconds; an empty
variable counts as absent. The Google client libraries follow `PUBSUB_EMULATOR_HOST`, `STORAGE_EMULATOR_HOST` and
`BIGQUERY_EMULATOR_HOST` themselves.

The way out is that of the standard variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; which client
reads which of them is told in [market_fetcher](services/market_fetcher.md#behind-a-proxy).

This page is written by `make docs`.
"""


def page() -> str:
    """docs/settings.md: the settings all services share, then those of each."""
    tables = [
        f"## Every service\n\n{_table(ServiceSettings.model_fields)}\n",
        *(f"## {name}\n\n{own(name)}\n" for name in MODELS),
    ]
    return "\n".join([_INTRODUCTION, *tables])


def own(name: str) -> str:
    """The settings that a process does not share with all services."""
    model = MODELS[name]
    shared = ServiceSettings.model_fields if issubclass(model, ServiceSettings) else {}
    return _table({field: info for field, info in model.model_fields.items() if field not in shared})


def _table(fields: Mapping[str, FieldInfo]) -> str:
    rows = [(f"`{name.upper()}`", _default(info), info.description or "") for name, info in fields.items()]
    return table(("variable", "default", "meaning"), rows) if rows else "None."


def _default(info: FieldInfo) -> str:
    return "**required**" if info.is_required() else _shown(info.default)


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():g}`"
    return f"`{','.join(value)}`" if isinstance(value, tuple) else f"`{value}`"
