"""The batch trigger's own handlers and barrier on a real bucket, counting the listings: run by `benchmarks.barrier`.

    python -m benchmarks.subjects.barrier PORT STORAGE_URL BUCKET

`/health/ready` tells the listings so far. What it would publish is counted and goes nowhere.
"""

import logging
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from contracts.events import OwnEvent
from eventing.app import Service, create_app
from eventing.clock import system_clock
from eventing.coalescing import Coalescer
from eventing.ledger import RunLedger
from eventing.objects import GcsObjectStore, ObjectInfo
from services.batch_trigger.handlers import handlers, reconcile
from services.batch_trigger.ports import Ports
from services.batch_trigger.settings import Settings


class CountingStore(GcsObjectStore):
    """Counts the listings."""

    listings = 0

    async def listing(self, prefix: str) -> list[ObjectInfo]:
        """See `ObjectStore.listing`."""
        self.listings += 1
        return await super().listing(prefix)


class CountingPublisher:
    """Counts what would be published."""

    published = 0

    async def publish(self, events: Iterable[OwnEvent], *, cause: str) -> None:  # noqa: ARG002 -- as its port
        """See `Publisher.publish`."""
        self.published += len(list(events))


def build(storage: str, bucket: str) -> web.Application:
    """The service but for its publisher, with the default settings."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        client = Client("benchmark", credentials=AnonymousCredentials(), client_options={"api_endpoint": storage})
        store, publisher = CountingStore(client, bucket), CountingPublisher()
        ports = Ports(RunLedger(store), publisher, system_clock, "benchmark", bucket)
        linger = Settings.model_fields["linger"].default
        table = handlers(ports, Coalescer(partial(reconcile, ports=ports), linger=linger))
        counted = lambda: {"listings": store.listings, "published": publisher.published}  # noqa: E731 -- read once
        yield Service("benchmark", table, status=counted)
        await store.aclose()

    return create_app(opening, verifier=None)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    web.run_app(build(*sys.argv[2:]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
