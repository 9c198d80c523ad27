"""Poison messages on Google's own emulator: each ends on record, and can be redriven to its one subscription."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.storage import Client

from contracts import names
from contracts.documents import DeadLetter, Redrive
from contracts.envelope.messages import Message, Origin, to_message
from contracts.envelope.push import BODY_LIMIT_BYTES
from contracts.events import BatchReady, MarketRequested, RunFinished, RunRequested, SweepRequested
from contracts.topology import read
from eventing.ledger import RunLedger
from eventing.objects import GcsObjectStore
from eventing.publisher import PubSubPublisher
from local import topology
from local.processes import Supervisor
from local.pubsub import PubSub
from local.storage import Storage
from local.tools import ROOT
from ops.dead_letters import Filter, carry_out, plan, select
from tests.builders import RUN, open_manifest
from tests.integration.services import Running, service
from tests.registry import SERVICES
from tests.waiting import eventually

pytestmark = pytest.mark.emulator
PROJECT = "dead-letters"
TOPOLOGY = ROOT / "infra/topology.json"
ORIGIN = Origin("test", "poison", datetime(2026, 11, 23, tzinfo=UTC))
POISON = {
    "scheduler-run-requested": Message(b"\xff not an event", {"from": "nobody"}),
    "market-fetcher-market-requested": to_message(MarketRequested(run_id=RUN, market="SE"), ORIGIN),
    "batch-trigger-raw-finalized": Message(
        b"{}", {"eventType": "OBJECT_DELETE", "bucketId": "b", "objectId": "x"}
    ),
    "cluster-manager-batch-ready": to_message(BatchReady(run_id=RUN, revision=1), ORIGIN),
    "cluster-manager-dataproc-operations": Message(b"x" * (2 * BODY_LIMIT_BYTES), {}),
    # Read and acknowledged by the other two subscribers of its topic.
    "cluster-manager-sweep-requested": to_message(SweepRequested(), ORIGIN),
}


@dataclass
class Others:
    """The services that are not tried here: they refuse what they are told to refuse, and keep what came."""

    refuse: set[str]
    came: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Refuse, or acknowledge."""
        body = await request.json()
        subscription = body["subscription"].rsplit("/", 1)[-1]
        self.came.append((subscription, body["message"]))
        return web.Response(status=503 if subscription in self.refuse else 204)

    def redriven(self) -> set[tuple[str, str]]:
        """Which redriven messages came to whom: receiver, and whom they are for."""
        wanted = ((name, message.get("attributes", {}).get("redrive_to")) for name, message in self.came)
        return {(name, whom) for name, whom in wanted if whom is not None}


@asynccontextmanager
async def answering(refuse: set[str]) -> AsyncIterator[Others]:
    """The other services on a real port."""
    found = Others(refuse)
    app = web.Application(client_max_size=16 * BODY_LIMIT_BYTES)
    app.router.add_post("/", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield found
    finally:
        await runner.cleanup()


def make_topology(pubsub: PubSub, project: str, urls: dict[str, str]) -> None:
    """The real topology, but impatient: five attempts, a second apart."""
    described = topology.read(TOPOLOGY)
    impatient = {"min_backoff": 0, "max_backoff": 1, "max_delivery_attempts": 5}
    pushes = tuple(push.model_copy(update=impatient) for push in described.push_subscriptions)
    wanted = described.model_copy(update={"push_subscriptions": pushes})
    with pubsub.publisher() as publisher, pubsub.subscriber() as subscriber:
        topology.create(wanted, project=project, service_urls=urls, publisher=publisher, subscriber=subscriber)


@dataclass
class World:
    """A bucket, topics, the real batch trigger, and the others."""

    ledger: RunLedger
    publisher: PubSubPublisher
    trigger: Running
    others: Others

    async def letters(self, count: int) -> list[DeadLetter]:
        """Wait for so many records; that one message is given up twice counts once."""

        async def enough() -> list[DeadLetter] | None:
            """The dead letters are on record."""
            found = await self.ledger.dead_letters()
            return found if len({(letter.subscription, letter.redrives) for letter in found}) >= count else None

        return await eventually(enough, within=120)


@pytest.fixture
async def world(
    pubsub: PubSub, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Everything, with the batch trigger as a process of its own."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    client = Client(
        project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": storage.url}
    )
    bucket = client.create_bucket(PROJECT)
    bucket.blob(names.manifest_name(RUN)).upload_from_string(open_manifest("DK SE").to_json())
    environment = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "BUCKET": PROJECT,
        "PUBSUB_EMULATOR_HOST": pubsub.host,
        "STORAGE_EMULATOR_HOST": storage.url,
    }
    store = GcsObjectStore(client, PROJECT)
    publisher = PubSubPublisher(
        PublisherClient(), project=PROJECT, source="operator", clock=lambda: datetime.now(UTC)
    )
    with pubsub.publisher() as topics:
        # What the service's readiness asks for; the rest is made once the service has its address.
        topics.create_topic(name=f"projects/{PROJECT}/topics/{RunFinished.topic}")
    async with answering({*POISON, "batch-trigger"}) as others:
        with Supervisor(tmp_path) as supervisor, service(supervisor, "batch_trigger", environment) as trigger:
            make_topology(pubsub, PROJECT, {**dict.fromkeys(SERVICES, others.url), "batch_trigger": trigger.url})
            yield World(RunLedger(store), publisher, trigger, others)
    await publisher.aclose()
    await store.aclose()


async def test_poison_ends_on_record_or_where_a_person_finds_it(world: World, pubsub: PubSub) -> None:
    """Nothing vanishes, with its recorder at work or down: both at a time, since each waits for Pub/Sub's backoff."""
    async with asyncio.TaskGroup() as both:
        both.create_task(recorded_and_redriven(world))
        both.create_task(kept_for_a_person(pubsub))


async def recorded_and_redriven(world: World) -> None:
    """Six topics, readable or not, too large or not; and nobody else acts on a redrive."""
    topics = {push.name: push.topic for push in read(TOPOLOGY).push_subscriptions}
    for subscription, message in POISON.items():
        await world.publisher.forward(topics[subscription], message)
    found = {letter.subscription: letter for letter in await world.letters(len(POISON))}
    assert set(found) == set(POISON)
    for subscription, message in POISON.items():
        letter = found[subscription]
        assert {name: letter.attributes[name] for name in message.attributes} == message.attributes
        assert b64decode(letter.data) == message.data or letter.reason.startswith("too large")
        assert letter.delivery_count is not None
        assert letter.delivery_count >= 5
    assert {name: letter.reason.split(":")[0] for name, letter in found.items()} == {
        "scheduler-run-requested": "unreadable",
        "market-fetcher-market-requested": "readable, but no delivery was settled",
        "batch-trigger-raw-finalized": "unreadable",
        "cluster-manager-batch-ready": "readable, but no delivery was settled",
        "cluster-manager-dataproc-operations": "too large",
        "cluster-manager-sweep-requested": "readable, but no delivery was settled",
    }
    assert len(world.trigger.logged("dead_letter_recorded")) >= len(POISON)
    assert (await world.ledger.index(RUN)).given_up == ("SE",)
    await redrive(world, topics)


async def redrive(world: World, topics: dict[str, str]) -> None:
    """Mend all but the batch trigger's own, redrive everything, and see who got what."""
    now = datetime.now(UTC)
    world.others.refuse.clear()
    actions = plan(select(await world.ledger.dead_letters(), Filter(), now), topics)
    mark = Redrive(at=now, by="test", reason="mended")
    await carry_out(actions, world.ledger, world.publisher, mark=mark)
    assert {letter.subscription for letter in await world.ledger.dead_letters() if letter.redriven} == set(POISON)
    assert (await world.ledger.index(RUN)).given_up == ()

    mended = set(POISON) - {"batch-trigger-raw-finalized"}

    def arrived() -> bool:
        """Every message has come to its subscription."""
        return {(name, name) for name in mended} <= world.others.redriven()

    await eventually(arrived, within=60)
    # The scheduler is handed the sweep as well, and a real service, as here the batch trigger, leaves it alone.
    for_another = ("scheduler-sweep-requested", "cluster-manager-sweep-requested")
    assert world.others.redriven() - {(name, name) for name in mended} <= {for_another}
    assert await eventually(lambda: world.trigger.logged("redriven_elsewhere"), within=60)
    # What is no better than before dies again, as a record of its own that counts the rounds.
    again = {letter.redrives: letter for letter in await world.letters(len(POISON) + 1)}
    assert again[1].subscription == "batch-trigger-raw-finalized"
    assert again[1].redriven == ()


async def kept_for_a_person(pubsub: PubSub) -> None:
    """With the batch trigger down for good a dead letter waits, whole, in the one subscription that is pulled."""
    async with answering({"scheduler-run-requested", "batch-trigger-run-requested-dead"}) as others:
        make_topology(pubsub, "unrecorded", dict.fromkeys(SERVICES, others.url))
        publisher = PubSubPublisher(PublisherClient(), project="unrecorded", source="x", clock=lambda: ORIGIN.at)
        await publisher.publish([RunRequested(run_id=RUN)], cause="tick")
        await publisher.aclose()
        [received] = await eventually(partial(unhandled, pubsub), within=120)
    assert received.message.attributes["ce-type"] == RunRequested.type
    source = "CloudPubSubDeadLetterSourceSubscription"
    assert received.message.attributes[source] == "batch-trigger-run-requested-dead"


async def unhandled(pubsub: PubSub) -> list[Any] | None:
    """What waits for a person; the emulator answers with nothing after a while."""
    with pubsub.subscriber() as subscriber:
        path = "projects/unrecorded/subscriptions/operator-unhandled-dead"
        answer = await asyncio.to_thread(subscriber.pull, subscription=path, max_messages=10, timeout=120)
        return list(answer.received_messages) or None
