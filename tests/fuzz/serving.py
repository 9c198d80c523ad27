"""The services' own applications on real ports, with what lies behind their ports replaced by fakes.

Wiring, handler tables, skeleton, body limits and HTTP server are the real ones; only the clients of the cloud, and
Spotify, are not there. The bucket remembers every name it was asked for.
"""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from contracts.documents import Manifest, WarehouseCount
from eventing.ledger import RunLedger
from eventing.objects import ObjectInfo, StoredObject
from eventing.settings import load
from services.market_fetcher import wiring as market_fetcher
from services.market_fetcher.adapters.http import Request
from services.market_fetcher.decisions import Answer
from tests.builders import TestClock
from tests.fakes.dataproc import MemoryDataproc
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher
from tests.fakes.spotify import API, TOKEN, FakeSpotify
from tests.fetching import all_markets
from tests.registry import SETTINGS, part
from tests.virtual_time import VirtualTime

_ENVIRONMENT = {
    "GOOGLE_CLOUD_PROJECT": "test",
    "BUCKET": "bucket",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
    "DATAPROC_EMULATOR_HOST": "127.0.0.1:1",
    "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:1",
    "LINGER": "0.001",
    "SPOTIFY_API_URL": API,
    "SPOTIFY_TOKEN_URL": TOKEN,
    "SPOTIFY_CLIENT_ID": "id",
    "SPOTIFY_CLIENT_SECRET": "secret",
}
_RUN = r"\d{4}-\d{2}-\d{2}"
_OUTSIDE = r"[A-Za-z0-9_-]{1,255}"  # what may become part of a name although it came from outside
_NAMES = re.compile(
    rf"(raw|runs)/{_RUN}/([a-z-]+/)?([A-Za-z0-9-]+\.json|[A-Z]{{2}}\.jsonl\.gz)?"
    rf"|dead-letters/{_OUTSIDE}/{_OUTSIDE}\.json"
    r"|canaries/[0-9a-z-]{8,40}/[A-Za-z0-9_-]{3,255}\.json"
    r"|cache/albums/[0-9A-Za-z]{1,64}\.json\.gz"
    r"|runs/|raw/"
)


class WatchedStore(MemoryObjectStore):
    """A bucket that remembers every name and prefix it was asked for."""

    def __init__(self, clock: Callable[[], Any]) -> None:
        super().__init__(clock)
        self.asked: list[str] = []

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        self.asked.append(name)
        return await super().read(name, most_bytes=most_bytes)

    async def stat(self, name: str) -> ObjectInfo | None:
        self.asked.append(name)
        return await super().stat(name)

    async def write(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> int:
        self.asked.append(name)
        return await super().write(name, body, metadata)

    async def replace(self, name: str, body: bytes, generation: int) -> bool:
        self.asked.append(name)
        return await super().replace(name, body, generation)

    async def delete(self, name: str) -> None:
        self.asked.append(name)
        await super().delete(name)

    async def listing(self, prefix: str) -> list[ObjectInfo]:
        self.asked.append(prefix)
        return await super().listing(prefix)

    def strays(self) -> list[str]:
        """Names outside every place that a run, a dead letter, a canary or the album cache has."""
        return [name for name in self.asked if _NAMES.fullmatch(name) is None]

    def runs(self) -> set[str]:
        """The runs whose objects were asked for."""
        return {name.split("/")[1] for name in self.asked if re.match(rf"(raw|runs)/{_RUN}/", name)}

    def forget(self) -> None:
        """Empty the bucket and the memory."""
        self._objects.clear()
        self.asked.clear()


class _Publisher(MemoryPublisher):
    async def ping(self) -> None:
        """Always there."""


class _Dataproc(MemoryDataproc):
    async def ping(self) -> None:
        """Always there."""


@dataclass
class Running:
    """One service that serves."""

    name: str
    url: str
    body_limit: int
    store: WatchedStore
    publisher: MemoryPublisher = field(default_factory=_Publisher)


@contextmanager
def serving(name: str) -> Iterator[Running]:
    """The named service on a free port, in a thread of its own."""
    store, publisher, clock = WatchedStore(TestClock()), _Publisher(), TestClock()
    with pytest.MonkeyPatch.context() as patch:
        app = _built(name, patch, store, publisher, clock)
        with _served(app) as url:
            yield Running(name, url, app._client_max_size, store, publisher)


def _built(
    name: str, patch: pytest.MonkeyPatch, store: WatchedStore, publisher: MemoryPublisher, clock: TestClock
) -> web.Application:
    settings: Any = load(SETTINGS[name], _ENVIRONMENT)
    wiring = part(name, "wiring")
    if name == "market_fetcher":
        return market_fetcher.build_app(settings, _outside(patch, store))
    patch.setattr(wiring, "object_store", _giving(store))
    patch.setattr(wiring, "google_publisher", _giving(publisher), raising=False)
    if name == "cluster_manager":
        patch.setattr(wiring, "_dataproc", _giving(_Dataproc(clock)))
        patch.setattr(wiring, "BigQueryWarehouse", lambda *_: _Warehouse())
        patch.setattr(wiring, "_LINGER", timedelta(milliseconds=1))
    app: web.Application = wiring.build_app(settings, clock=clock)
    return app


class _EveryRun(RunLedger):
    """Every run has a manifest with every market, so that a request goes on to Spotify."""

    async def manifest(self, run_id: str) -> Manifest | None:
        return all_markets(run_id)


def _outside(patch: pytest.MonkeyPatch, store: WatchedStore) -> market_fetcher.Outside:
    spotify = FakeSpotify.of({"DK": "a b", "SE": "b"})

    async def at_once(request: Request) -> Answer:
        return spotify._answer(request)

    patch.setattr(market_fetcher, "RunLedger", _EveryRun)
    return market_fetcher.Outside(store=store, send=at_once, time=VirtualTime(), draw=lambda: 0.5)


class _Warehouse:
    async def count(self, run_id: str) -> WarehouseCount:
        return WarehouseCount(rows=0, markets=0, albums=0)


def _giving(made: Any) -> Callable[..., Any]:
    @asynccontextmanager
    async def give(*_: object, **__: object) -> AsyncIterator[Any]:
        yield made

    return give


@contextmanager
def _served(app: web.Application) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="served")
    thread.start()
    # A body that is refused half read is otherwise waited for, ten seconds long.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    try:
        port = asyncio.run_coroutine_threadsafe(_start(runner), loop).result(30)
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(runner: web.AppRunner) -> int:
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    return port
