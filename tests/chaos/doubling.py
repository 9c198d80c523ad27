"""A proxy before the services: each push that passes is delivered twice, and none in the order it came.

The first delivery is held back for a moment of its own length and answered with the service's own answer. The second
follows some time later, whatever became of the first, and whether the service lives or not.
"""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

import aiohttp
from aiohttp import web
from google.pubsub_v1.types import PushConfig

from local.choices import PROJECT
from local.processes import LOOPBACK
from local.stack import Stack

_HELD = 0.5  # seconds, at most, before the first delivery
_LATER = 4.0  # seconds, at most, before the second
_AWAY = 503


class Doubler:
    """The proxy, in a thread of its own; a context manager."""

    def __init__(self, services: Mapping[str, str], rng: random.Random) -> None:
        self.passed: Counter[str] = Counter()
        """Pushes by service."""
        self.doubled: Counter[str] = Counter()
        """Second deliveries that a service has answered."""
        self._services = services
        self._rng = rng
        self._later: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="doubler")

    def __enter__(self) -> Self:
        self._thread.start()
        self._port = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def stand_before(self, stack: Stack) -> None:
        """Point every push subscription here; to be said again after Pub/Sub was restarted."""
        with stack.pubsub.subscriber() as subscriber:
            for push in stack.topology.push_subscriptions:
                subscriber.modify_push_config(
                    subscription=f"projects/{PROJECT}/subscriptions/{push.name}",
                    push_config=PushConfig(push_endpoint=f"http://{LOOPBACK}:{self._port}/{push.service}"),
                )

    async def _open(self) -> int:
        app = web.Application(client_max_size=32 * 1024**2)
        app.router.add_post("/{service}", self._take)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _close(self) -> None:
        await self._runner.cleanup()
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await self._session.close()

    async def _take(self, request: web.Request) -> web.Response:
        service, body = request.match_info["service"], await request.read()
        self.passed[service] += 1
        task = asyncio.create_task(self._again(service, body))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        await asyncio.sleep(self._rng.uniform(0, _HELD))
        return web.Response(status=await self._deliver(service, body))

    async def _again(self, service: str, body: bytes) -> None:
        await asyncio.sleep(self._rng.uniform(0, _LATER))
        if await self._deliver(service, body) != _AWAY:
            self.doubled[service] += 1

    async def _deliver(self, service: str, body: bytes) -> int:
        """The service's answer; where it cannot be reached, what Cloud Run says then."""
        headers = {"Content-Type": "application/json"}
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(self._services[service], data=body, headers=headers) as response:
                return response.status
        return _AWAY
