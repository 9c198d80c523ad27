"""The simulated parts pass the suites that the fakes and the real servers pass.

The suites' own functions are collected here under this module's fixtures.
"""

import asyncio
import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.envelope.messages import Message
from contracts.envelope.reading import parse_message
from eventing.publisher import PubSubPublisher
from tests.contract import test_object_store as store_suite
from tests.contract import test_publisher as publisher_suite
from tests.contract.test_publisher import Published
from tests.fakes.spotify import FakeSpotify
from tests.simulation.chance import Chance
from tests.simulation.cloud import PROJECT, Bucket, Outside, Table
from tests.simulation.processes import Process, PublisherClient, Shared, StorePort
from tests.virtual_time import run


def suite_of(module: Any, fixture: str) -> dict[str, Any]:
    """The tests of a suite that need its fixture and nothing else."""
    found = inspect.getmembers(module, inspect.iscoroutinefunction)
    return {
        name: test
        for name, test in found
        if name.startswith("test_") and list(inspect.signature(test).parameters) == [fixture]
    }


STORE_SUITE = suite_of(store_suite, "store")
PUBLISHER_SUITE = suite_of(publisher_suite, "published")


def process(published: list[tuple[str, Message]]) -> Process:
    """A process in a quiet world, which keeps what is published."""

    def now() -> datetime:
        return datetime.now(UTC)

    def spawn(work: Any) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    chance = Chance("contract", {}, quiet=True)
    outside = Outside(chance, now, spawn, lambda _line: None, pytest.fail)
    publish = lambda topic, message: published.append((topic, message))  # noqa: E731 -- shorter than a function
    bucket = Bucket(outside, publish)
    nothing: Any = None
    shared = Shared(
        outside, chance, bucket, publish, nothing, Table(), FakeSpotify.of({}), (), 0.9, lambda _what: None
    )
    return Process("scheduler", 1, shared, lambda _process: None)


@pytest.mark.parametrize("name", STORE_SUITE)
def test_the_simulated_bucket_is_an_object_store(name: str) -> None:
    """A simulation of another storage than the real one would prove nothing about this one."""

    async def main() -> None:
        owner = process([])
        await STORE_SUITE[name](StorePort(owner, owner.shared.bucket))

    run(main)


@pytest.mark.parametrize("name", PUBLISHER_SUITE)
def test_the_simulated_topics_take_what_the_publisher_sends(name: str) -> None:
    """The services' own publisher runs in the simulation; only Google's client is replaced."""
    kept: list[tuple[str, Message]] = []
    arrived = lambda: [parse_message(message, message_id="1").event for _, message in kept]  # noqa: E731 -- the same

    async def main() -> None:
        client: Any = PublisherClient(process(kept))
        publisher = PubSubPublisher(client, project=PROJECT, source="test", clock=lambda: datetime.now(UTC))
        await PUBLISHER_SUITE[name](Published(publisher, arrived))

    run(main)


def test_the_suites_are_not_empty() -> None:
    """A renamed fixture must not turn the suites into nothing."""
    assert len(STORE_SUITE) >= 7
    assert len(PUBLISHER_SUITE) >= 2
