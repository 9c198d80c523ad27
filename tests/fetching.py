"""The market fetcher in virtual time: the service's own wiring over a fake Spotify and a bucket in memory."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from contracts.documents import Manifest, ThrottledMarket
from contracts.events import Delivery, MarketRequested
from contracts.names import MARKETS, manifest_name, part_name, throttled_name
from eventing.app import Service, Settled, settle
from eventing.objects import ObjectStore
from eventing.settings import load
from services.market_fetcher.adapters.http import Send
from services.market_fetcher.settings import Settings
from services.market_fetcher.wiring import Outside, open_service
from tests.builders import RUN, manifest
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.spotify import API, TOKEN
from tests.virtual_time import VirtualTime

ENVIRONMENT = {
    "GOOGLE_CLOUD_PROJECT": "test",
    "BUCKET": "bucket",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
    "SPOTIFY_API_URL": API,
    "SPOTIFY_TOKEN_URL": TOKEN,
    "SPOTIFY_CLIENT_ID": "id",
    "SPOTIFY_CLIENT_SECRET": "secret",
}


def request(market: str = "DK", *, event_id: str = "event", run_id: str = RUN, **changes: Any) -> Delivery:
    """A delivery of a market request that is published now."""
    event = MarketRequested(run_id=run_id, market=market, **changes)
    return Delivery(event=event, event_id=event_id, publish_time=VirtualTime().now())


def all_markets(run_id: str = RUN, *more: str) -> Manifest:
    """A manifest with every market, and some."""
    return manifest(" ".join((*MARKETS, *more))).model_copy(update={"run_id": run_id})


@dataclass
class Fetcher:
    """A running service and its bucket."""

    service: Service
    store: ObjectStore = field(default_factory=MemoryObjectStore)

    async def deliver(self, delivery: Delivery) -> Settled:
        """What the service answers; the request's run has a manifest, by default one with every market."""
        await self.expect(all_markets(delivery.event.run_id))
        return await settle(self.service, delivery)

    async def expect(self, expected: Manifest) -> None:
        """Write a run's manifest unless it has one."""
        await self.store.create(manifest_name(expected.run_id), expected.to_json())

    async def fetch(self, market: str = "DK", **changes: Any) -> Settled:
        """Deliver a request for a market."""
        return await self.deliver(request(market, **changes))

    async def part(self, market: str = "DK", run_id: str = RUN) -> list[dict[str, Any]]:
        """The lines of a part; it must be there."""
        stored = await self.store.read(part_name(run_id, market))
        assert stored is not None, f"no part of {market}"
        return [json.loads(line) for line in gzip.decompress(stored.body).splitlines()]

    async def albums(self, market: str = "DK", run_id: str = RUN) -> list[str]:
        """Ids of the albums in a part."""
        return [line["album"]["id"] for line in await self.part(market, run_id)]

    async def throttled(self, market: str = "DK") -> ThrottledMarket:
        """What is on record of a market that waits; it must be there."""
        stored = await self.store.read(throttled_name(RUN, market))
        assert stored is not None, f"{market} waits for nothing"
        return ThrottledMarket.model_validate_json(stored.body)

    async def metadata(self, market: str = "DK", run_id: str = RUN) -> dict[str, str]:
        """What is written beside a part; it must be there."""
        info = await self.store.stat(part_name(run_id, market))
        assert info is not None, f"no part of {market}"
        return dict(info.metadata)


@asynccontextmanager
async def fetching(spotify: Send, store: ObjectStore | None = None, **environment: str) -> AsyncIterator[Fetcher]:
    """The service, wired as in production, in virtual time."""
    settings = load(Settings, ENVIRONMENT | environment)
    bucket = MemoryObjectStore() if store is None else store
    outside = Outside(store=bucket, send=spotify, time=VirtualTime(), draw=lambda: 0.5)
    async with open_service(settings, outside) as service:
        yield Fetcher(service, bucket)
