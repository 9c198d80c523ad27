"""The services as tests are told of them: whoever tests each asks here, so that a new one escapes no rule."""

from importlib import import_module
from typing import Any

from contracts.topology import Topology, read
from docs.settings_tables import settings_of
from eventing.settings import ServiceSettings
from local.tools import ROOT

TOPOLOGY: Topology = read(ROOT / "infra/topology.json")
SERVICES = TOPOLOGY.services
SETTINGS: dict[str, type[ServiceSettings]] = {name: settings_of(name) for name in SERVICES}


def part(service: str, name: str) -> Any:
    """A module of a service, such as its `wiring`."""
    return import_module(f"services.{service}.{name}")
