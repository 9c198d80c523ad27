"""What the catalogue says a service takes, its handler table takes, and the subscriptions bring."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from contracts.catalogue import SERVICES
from contracts.events import OWN_EVENTS, DataprocOperation, DeadLettered, ObjectFinalized
from services.batch_trigger.handlers import handlers as batch_trigger
from services.cluster_manager.handlers import handlers as cluster_manager
from services.market_fetcher.handlers import handlers as market_fetcher
from services.scheduler.handlers import handlers as scheduler

ROOT = Path(__file__).parents[2]
NOTHING: Any = None
"""The tables only bind what they are given."""
TABLES: Mapping[str, Mapping[type, Any]] = {
    "scheduler": scheduler(NOTHING, NOTHING, NOTHING, watch=None),
    "market_fetcher": market_fetcher(NOTHING, NOTHING),
    "batch_trigger": batch_trigger(NOTHING, NOTHING),
    "cluster_manager": cluster_manager(NOTHING, NOTHING),
}
ON_TOPIC: Mapping[str, type] = {
    **{event.topic: event for event in OWN_EVENTS},
    "raw-finalized": ObjectFinalized,
    "dataproc-operations": DataprocOperation,
}


@pytest.mark.parametrize("service", TABLES)
def test_a_service_handles_what_the_catalogue_says_it_takes(service: str) -> None:
    """An event without a handler is refused until it is a dead letter; a handler without an event is dead code."""
    takes, _ = SERVICES[service]
    assert {ON_TOPIC.get(topic, DeadLettered) for topic in takes} == set(TABLES[service])


@pytest.mark.parametrize("service", TABLES)
def test_a_service_is_subscribed_to_what_the_catalogue_says_it_takes(service: str) -> None:
    """Without a subscription the event is published into the void."""
    topology = json.loads((ROOT / "infra/topology.json").read_text(encoding="utf-8"))
    subscribed = {entry["topic"] for entry in topology["push_subscriptions"] if entry["service"] == service}
    assert subscribed == set(SERVICES[service][0])
