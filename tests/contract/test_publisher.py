"""What every publisher must do: one suite, on the memory fake and on Google's Pub/Sub emulator."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from contracts.envelope.messages import Message
from contracts.envelope.reading import parse_message
from contracts.events import BatchReady, Delivery, MarketRequested, OwnEvent
from contracts.names import MARKETS, trace_id
from eventing.errors import Retryable
from eventing.publisher import Publisher, PubSubPublisher
from local import topology
from local.pubsub import PubSub
from local.tools import ROOT
from tests.builders import RUN, TestClock
from tests.fakes.publisher import MemoryPublisher

EVENTS: list[OwnEvent] = [MarketRequested(run_id=RUN, market=market) for market in MARKETS]


@dataclass
class Published:
    """A publisher and what arrived."""

    publisher: Publisher
    arrived: Callable[[], list[OwnEvent]]


@pytest.fixture(params=["memory", pytest.param("emulator", marks=pytest.mark.emulator)])
async def published(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Published]:
    """A publisher of either kind, and a look at the topic `market-requested`."""
    if request.param == "memory":
        memory = MemoryPublisher()
        yield Published(memory, memory.take)
        return
    emulator: PubSub = request.getfixturevalue("pubsub")
    project = f"pub-{abs(hash(request.node.name)) % 10**9}"
    make_topics(emulator, project)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    real = PubSubPublisher(PublisherClient(), project=project, source="test", clock=TestClock())
    yield Published(real, lambda: [delivery.event for delivery in pull(emulator, project)])
    await real.aclose()


def make_topics(emulator: PubSub, project: str) -> None:
    described = topology.read(ROOT / "infra/topology.json")
    seen = topology.PullSubscription(name="seen", topic="market-requested")
    wanted = described.model_copy(update={"push_subscriptions": (), "pull_subscriptions": (seen,)})
    with emulator.publisher() as publisher, emulator.subscriber() as subscriber:
        topology.create(wanted, project=project, service_urls={}, publisher=publisher, subscriber=subscriber)


def pull(emulator: PubSub, project: str) -> list[Delivery]:
    with emulator.subscriber() as subscriber:
        path = f"projects/{project}/subscriptions/seen"
        received = subscriber.pull(subscription=path, max_messages=1000, timeout=20).received_messages
        messages = [entry.message for entry in received]
    return [
        parse_message(Message(message.data, dict(message.attributes)), message_id=message.message_id)
        for message in messages
    ]


async def test_everything_that_was_published_has_arrived(published: Published) -> None:
    """A publish that returns has been accepted, all of it."""
    await published.publisher.publish(EVENTS, cause="tick")
    assert sorted(str(event) for event in published.arrived()) == sorted(map(str, EVENTS))


async def test_publishing_nothing_is_fine(published: Published) -> None:
    """A run whose parts are all there asks for nothing."""
    await published.publisher.publish([], cause="tick")


@pytest.mark.emulator
async def test_messages_carry_the_runs_trace(pubsub: PubSub, monkeypatch: pytest.MonkeyPatch) -> None:
    """W3C trace context travels in the events: one id from tick to receipt."""
    make_topics(pubsub, "pub-trace")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    real = PubSubPublisher(PublisherClient(), project="pub-trace", source="test", clock=TestClock())
    await real.publish(EVENTS[:1], cause="tick")
    [delivery] = pull(pubsub, "pub-trace")
    assert (delivery.traceparent or "").split("-")[1] == trace_id(RUN)
    await real.ping()
    await real.aclose()


@pytest.mark.emulator
async def test_a_message_is_forwarded_as_it_is(pubsub: PubSub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes that others chose may be called like arguments of the client; data need not be an event."""
    make_topics(pubsub, "pub-forward")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    real = PubSubPublisher(PublisherClient(), project="pub-forward", source="test", clock=TestClock())
    attributes = {"timeout": "soon", "topic": "t", "data": "d", "ordering_key": "k", "retry": "r", "self": "s"}
    await real.forward("market-requested", Message(b"\xff", attributes))
    with pubsub.subscriber() as subscriber:
        path = "projects/pub-forward/subscriptions/seen"
        [received] = subscriber.pull(subscription=path, max_messages=10, timeout=20).received_messages
    assert (received.message.data, dict(received.message.attributes)) == (b"\xff", attributes)
    with pytest.raises(Retryable, match="forwarding to nowhere failed: NotFound"):
        await real.forward("nowhere", Message(b"x", {}))
    await real.aclose()


@pytest.mark.emulator
async def test_a_topic_that_is_not_there_asks_for_a_retry(pubsub: PubSub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment's fault must not lose the message that needed the topic."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    real = PubSubPublisher(PublisherClient(), project="pub-nowhere", source="test", clock=TestClock())
    with pytest.raises(Retryable, match="publishing failed: NotFound"):
        await real.publish([BatchReady(run_id=RUN, revision=1)], cause="x")
    with pytest.raises(Retryable, match="run-finished is not reachable"):
        await real.ping()
    await real.aclose()
