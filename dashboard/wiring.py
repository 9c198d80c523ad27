"""Builds the dashboard: the one place that makes its clients."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from dashboard import assets
from dashboard.handlers import Ports, guard, routes
from dashboard.library import Library
from dashboard.page import Told
from dashboard.queries import Views
from dashboard.runs import Runs
from dashboard.settings import Settings
from dashboard.warehouse import BigQueryWarehouse
from eventing.clock import Clock, system_clock
from eventing.objects import GcsObjectStore

log = logging.getLogger(__name__)


def told(settings: Settings) -> Told:
    """What the operator decided about the page."""
    return Told(
        images="" if "covers" in settings.left_out else settings.spotify_images_url,
        is_invented=settings.is_invented,
        left_out=settings.left_out,
        embed_in=settings.embed_in,
        logo=settings.spotify_logo,
        console="" if settings.bigquery_emulator_host else settings.console_url,
        project=settings.google_cloud_project,
        region=settings.region,
    )


def _named(settings: Settings) -> str:
    """The options that name this stack on a command line; a local one is the only one there is."""
    if settings.storage_emulator_host:
        return ""
    return f"--project {settings.google_cloud_project} --bucket {settings.bucket} --region {settings.region}"


@asynccontextmanager
async def library(settings: Settings, runs: Runs, *, clock: Clock = system_clock) -> AsyncIterator[Library]:
    """The table's documents; the client library itself follows BIGQUERY_EMULATOR_HOST."""
    credentials = AnonymousCredentials() if settings.bigquery_emulator_host else None
    client = bigquery.Client(project=settings.google_cloud_project, credentials=credentials)
    warehouse = BigQueryWarehouse(
        client, maximum_bytes_billed=settings.maximum_bytes_billed, timeout=settings.query_seconds
    )
    views = Views(settings.google_cloud_project, settings.bigquery_dataset)
    try:
        yield Library(
            warehouse,
            views,
            runs=runs.entries,
            images=told(settings).images,
            history=timedelta(days=settings.history_days),
            keep=settings.cache_seconds,
            clock=clock,
        )
    finally:
        client.close()


@asynccontextmanager
async def object_store(settings: Settings) -> AsyncIterator[GcsObjectStore]:
    """The bucket; the client library itself follows STORAGE_EMULATOR_HOST.

    As `eventing.clients` does it: that module also opens Pub/Sub, which this image does not hold.
    """
    credentials = AnonymousCredentials() if settings.storage_emulator_host else None
    client = storage.Client(project=settings.google_cloud_project, credentials=credentials)
    store = GcsObjectStore(client, settings.bucket)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def opened(
    settings: Settings, *, clock: Clock = system_clock
) -> AsyncIterator[tuple[Library, tuple[Runs, GcsObjectStore]]]:
    """The table's documents, which follow the runs; and the runs with their bucket."""
    async with object_store(settings) as store:
        runs = Runs(store, settings.bucket, clock, named=_named(settings))
        async with library(settings, runs, clock=clock) as books:
            yield books, (runs, store)


@asynccontextmanager
async def ports(settings: Settings, *, clock: Clock = system_clock, warms: bool = True) -> AsyncIterator[Ports]:
    """Everything the handlers act through. Meanwhile the table is asked for what the first reader will ask for.

    `warms` is False for whoever measures how long that reader waits otherwise.
    """
    async with opened(settings, clock=clock) as (books, (runs, store)):
        warming = asyncio.create_task(books.warm() if warms else asyncio.sleep(0))
        try:
            yield Ports(
                library=books,
                runs=runs,
                assets=await asyncio.to_thread(assets.load),
                told=told(settings),
                ready={"storage": store.ping},
            )
        finally:
            warming.cancel()


async def build_app(ready: Ports) -> web.Application:
    """The application over its ports."""
    app = web.Application(middlewares=[guard(ready)], client_max_size=1024)
    app.add_routes(routes(ready))
    return app


async def application(settings: Settings, *, warms: bool = True) -> web.Application:
    """The application with ports of its own, which end with it."""
    opened = ports(settings, warms=warms)
    ready = await opened.__aenter__()
    app = await build_app(ready)

    async def close(_app: web.Application) -> None:
        await opened.__aexit__(None, None, None)

    app.on_cleanup.append(close)
    return app


def serve(settings: Settings, *, warms: bool = True) -> None:
    """Serve until SIGTERM or SIGINT."""
    web.run_app(
        application(settings, warms=warms),
        host=settings.host,
        port=settings.port,
        shutdown_timeout=5.0,
        access_log=None,
        print=lambda *_: log.info("serving", extra={"port": settings.port}),
    )
