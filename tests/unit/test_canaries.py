"""What a canary does to a service: a note in the bucket, or a refusal; never anything of the service's own work."""

import json
from datetime import UTC, datetime

import pytest

from contracts import names
from contracts.envelope.messages import Message, Origin, to_message
from contracts.envelope.reading import parse_message
from contracts.events import Canary, DeadLettered
from contracts.faults import ContractError
from eventing.app import Service, settle
from eventing.canaries import canary_handlers
from tests.builders import TestClock
from tests.fakes.objects import MemoryObjectStore

AT = datetime(2026, 11, 23, tzinfo=UTC)
SUBSCRIPTION = "scheduler-run-requested"


def published(canary: Canary) -> Message:
    return to_message(canary, Origin("doctor", "run-requested", AT))


async def test_a_canary_is_noted_under_the_subscription_that_brought_it() -> None:
    """One topic may have three subscribers: which of them heard is the whole point."""
    store = MemoryObjectStore(TestClock())
    service = Service("scheduler", canary_handlers(store, TestClock()))
    delivery = parse_message(published(Canary(id="canary-1")), message_id="7", subscription=SUBSCRIPTION)
    for _ in range(2):  # a second delivery is as good a proof as the first
        assert (await settle(service, delivery)).status == 204
    assert [info.name for info in await store.listing("")] == [f"canaries/canary-1/{SUBSCRIPTION}.json"]
    noted = await store.read(names.canary_name("canary-1", SUBSCRIPTION))
    assert noted is not None
    assert json.loads(noted.body)["message_id"] == "7"


async def test_a_canary_that_asks_for_it_is_refused_and_leaves_nothing() -> None:
    """Refused for good, not given back: 400 is what ends as a dead letter."""
    store = MemoryObjectStore(TestClock())
    service = Service("scheduler", canary_handlers(store, TestClock()))
    delivery = parse_message(published(Canary(id="canary-1", refuse=True)), message_id="7")
    assert (await settle(service, delivery)).status == 400
    assert await store.listing("") == []


@pytest.mark.parametrize("wrong", ["short", "UPPER-CASE", "../../runs", "a" * 41, "with space"])
def test_an_id_that_is_no_part_of_a_path_is_refused_at_the_edge(wrong: str) -> None:
    """Whoever may publish must not choose where a service writes."""
    good = published(Canary(id="canary-1"))
    forged = Message(json.dumps({"id": wrong}).encode(), good.attributes)
    with pytest.raises(ContractError):
        parse_message(forged, message_id="7")
    assert names.canary_name("canary-1", "../../x") == "canaries/canary-1/unknown.json"


def test_a_dead_canary_is_recognised_among_the_dead_letters() -> None:
    """An operator who lists dead letters must see that this one is no fault."""
    message = published(Canary(id="canary-1", refuse=True))
    source = {"CloudPubSubDeadLetterSourceSubscription": SUBSCRIPTION}
    dead = parse_message(Message(message.data, message.attributes | source), message_id="8").event
    assert isinstance(dead, DeadLettered)
    assert dead.original == Canary(id="canary-1", refuse=True)
