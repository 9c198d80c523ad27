"""From the tick to the last market message: the scheduler with 48 markets, its publisher with 10,000 messages.

Two letters name at most 676 markets, so beyond a real run the publisher is measured alone, as the scheduler uses it:
market requests of many runs, given to one call. The limit are the same messages already made, in calls of 1,000, the
most that Pub/Sub takes, one call after the other.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import requests
from google.cloud.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PubsubMessage

from benchmarks import emulators, report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.receive import push
from contracts.envelope.messages import Origin, to_message
from contracts.events import MarketRequested, RunRequested
from contracts.names import MARKETS
from eventing.publisher import PubSubPublisher
from local import tools
from local.processes import LOOPBACK, Supervisor, answers
from local.pubsub import PubSub
from local.storage import Storage

COUNTS: Final[dict[Size, tuple[int, ...]]] = {"full": (1_000, 10_000), "small": (100, 1_000)}
WITHIN: Final = 10.0
LINEAR: Final = 1.3
_PROJECT: Final = "benchmark"
_BUCKET: Final = "benchmark"
_SEEN: Final = f"projects/{_PROJECT}/subscriptions/seen"
_TOPIC: Final = f"projects/{_PROJECT}/topics/{MarketRequested.topic}"
_PER_CALL: Final = 1_000
_FIRST: Final = date(2000, 1, 3)
_REPEATS: Final = 3


def measure(size: Size) -> Figures:
    """The tick, then the publisher alone, then the limit."""
    found: Figures = {"publisher": {}, "limit": {}}
    with tempfile.TemporaryDirectory() as folder, _emulators(Path(folder)) as (supervisor, pubsub, storage):
        ticks = [_tick(supervisor, pubsub, storage, number) for number in range(_REPEATS)]
        found["tick"] = min(ticks)
        print(f"  tick to the last of 48 messages: {found['tick']:.2f} s", flush=True)
        for count in COUNTS[size]:
            events = [_event(number) for number in range(count)]
            mine = [asyncio.run(_publish(pubsub, events)) for _ in range(_REPEATS)]
            least = [_publish_bare(pubsub, events) for _ in range(_REPEATS)]
            found["publisher"][str(count)], found["limit"][str(count)] = min(mine), min(least)
            print(f"  {count} messages: {min(mine):.2f} s, the limit {min(least):.2f} s", flush=True)
    return found


@contextmanager
def _emulators(folder: Path) -> Iterator[tuple[Supervisor, PubSub, Storage]]:
    with emulators.started(folder, project=_PROJECT, bucket=_BUCKET) as running:
        with running.pubsub.subscriber() as subscriber:
            subscriber.create_subscription(name=_SEEN, topic=_TOPIC)
        yield running.supervisor, running.pubsub, running.storage


def _tick(supervisor: Supervisor, pubsub: PubSub, storage: Storage, number: int) -> float:
    """Seconds from the push of a tick to a real scheduler until the last market message can be pulled."""
    port = supervisor.ports.take()
    url = f"http://{LOOPBACK}:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "HOST": LOOPBACK,
        "GOOGLE_CLOUD_PROJECT": _PROJECT,
        "BUCKET": _BUCKET,
        "PUBSUB_EMULATOR_HOST": pubsub.host,
        "STORAGE_EMULATOR_HOST": storage.url,
    }
    command: list[str | Path] = [sys.executable, "-m", "services.scheduler"]
    child = supervisor.start(f"scheduler-{number}", command, environment, cwd=tools.ROOT)
    child.wait_until(answers(f"{url}/health/ready"), within=60)
    tick = RunRequested(run_id=(_FIRST + timedelta(days=number)).isoformat())
    with pubsub.subscriber() as subscriber:
        started = time.monotonic()
        answer = requests.post(url, json=push(tick, str(number)), timeout=60)
        answer.raise_for_status()
        seen = 0
        while seen < len(MARKETS):
            pulled = subscriber.pull(subscription=_SEEN, max_messages=1000, timeout=30).received_messages
            seen += len(pulled)
            last = time.monotonic()
            subscriber.acknowledge(subscription=_SEEN, ack_ids=[message.ack_id for message in pulled])
    child.stop()
    return last - started


def _event(number: int) -> MarketRequested:
    day = _FIRST + timedelta(days=number // len(MARKETS))
    return MarketRequested(run_id=day.isoformat(), market=MARKETS[number % len(MARKETS)])


async def _publish(pubsub: PubSub, events: list[MarketRequested]) -> float:
    os.environ["PUBSUB_EMULATOR_HOST"] = pubsub.host  # the official client looks nowhere else
    publisher = PubSubPublisher(
        PublisherClient(), project=_PROJECT, source="benchmark", clock=lambda: datetime.now(UTC)
    )
    await publisher.publish(events[:1], cause="the connection stands, as it does in a service that is ready")
    started = time.monotonic()
    await publisher.publish(events, cause="benchmark")
    seconds = time.monotonic() - started
    await publisher.aclose()
    return seconds


def _publish_bare(pubsub: PubSub, events: list[MarketRequested]) -> float:
    origin = Origin("benchmark", "benchmark", datetime.now(UTC))
    made = [to_message(event, origin) for event in events]
    messages = [PubsubMessage(data=message.data, attributes=message.attributes) for message in made]
    with pubsub.publisher() as publisher:
        publisher.publish(topic=_TOPIC, messages=messages[:1])
        started = time.monotonic()
        for first in range(0, len(messages), _PER_CALL):
            publisher.publish(topic=_TOPIC, messages=messages[first : first + _PER_CALL])
        return time.monotonic() - started


# --- what the figures say: pure --------------------------------------------------------------------------------


def claims(figures: Figures) -> list[Claim]:
    """Fast enough, and linear."""
    small, large = (int(count) for count in figures["publisher"])
    few, many = (figures["publisher"][str(count)] for count in (small, large))
    limit = figures["limit"][str(large)]
    each = (many / large) / (few / small)
    return [
        Claim(
            what="tick to the last market message, 48 markets",
            ours=f"{figures['tick'] * 1000:.0f} ms",
            target="below a second",
            held=figures["tick"] < 1,
        ),
        Claim(
            what=f"{large:,} market messages published",
            ours=f"{many:.1f} s",
            limit=f"{limit:.1f} s in calls of {_PER_CALL:,}",
            target=f"below {WITHIN:.0f} s",
            held=many < WITHIN,
            ratio=limit / many,
        ),
        Claim(
            what=f"a message among {large:,} beside one among {small:,}",
            ours=f"{each:.2f} times the time",
            target="linear",
            held=each <= LINEAR,
        ),
    ]


def section(figures: Figures) -> str:
    """The section of the page."""
    rows = [
        [f"{int(count):,}", f"{seconds:.2f}", f"{figures['limit'][count]:.2f}", f"{int(count) / seconds:,.0f}"]
        for count, seconds in figures["publisher"].items()
    ]
    return f"""
Google's Pub/Sub emulator; a scheduler of its own process, the best of {_REPEATS}.
From the push of a tick until the last of 48 messages was pulled: {figures["tick"] * 1000:.0f} ms.

{report.table(("messages", "seconds", "limit, seconds", "messages a second"), rows)}
"""


BENCHMARK = Benchmark(
    name="publish",
    title="From the tick to the last market message",
    measure=measure,
    claims=claims,
    section=section,
)
