"""What a service's `service.json` says it takes, its handler table takes."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from contracts.events import OWN_EVENTS, DataprocOperation, DeadLettered, ObjectFinalized
from tests.registry import SERVICES, TOPOLOGY, part

ON_TOPIC: Mapping[str, type] = {
    **{event.topic: event for event in OWN_EVENTS},
    TOPOLOGY.bucket_notification.topic: ObjectFinalized,
    TOPOLOGY.logging_sink.topic: DataprocOperation,
}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_handles_what_it_says_it_takes(service: str) -> None:
    """An event without a handler is refused until it is a dead letter; a handler without an event is dead code."""
    takes = [push.topic for push in TOPOLOGY.push_subscriptions if push.service == service]
    assert {ON_TOPIC.get(topic, DeadLettered) for topic in takes} == set(_table(service))


def _table(service: str) -> Mapping[type, Any]:
    """Its table only binds what it is given, so it is given nothing."""
    handlers = part(service, "handlers").handlers
    table: Mapping[type, Any] = handlers(**dict.fromkeys(inspect.signature(handlers).parameters))
    return table
