"""Builds the market fetcher: the one place that makes its clients."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.request import getproxies

import aiohttp
from aiohttp import web
from google.cloud import secretmanager_v1

from eventing.app import Service, create_app
from eventing.canaries import canary_handlers
from eventing.clients import object_store, push_verifier
from eventing.clock import Clock, system_clock
from eventing.ledger import RunLedger
from eventing.objects import ObjectStore
from eventing.secrets import ManagedSecret, PlainSecret, Secret, secret_manager
from services.market_fetcher.adapters.http import HttpSend, Proxies, Send, Timeouts
from services.market_fetcher.adapters.limiter import Budget, Limiter
from services.market_fetcher.adapters.web_api import Caller, Credentials, SpotifyApi, Tokens
from services.market_fetcher.admission import Admission
from services.market_fetcher.albums import Albums, album_memory
from services.market_fetcher.batches import AlbumReader
from services.market_fetcher.handlers import handlers
from services.market_fetcher.ports import Ports, Time
from services.market_fetcher.releases import Ability, Listings, Releases
from services.market_fetcher.settings import Settings

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LoopTime:
    """`Time` from a clock and the event loop's own sleep."""

    now: Clock = system_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Outside:
    """What a test may put in place of the world; None means the real one."""

    store: ObjectStore | None = None
    send: Send | None = None
    time: Time = LoopTime()
    draw: Callable[[], float] = random.random


def build_app(settings: Settings, outside: Outside = Outside()) -> web.Application:
    """The service's application."""
    return create_app(lambda: open_service(settings, outside), verifier=push_verifier(settings))


@asynccontextmanager
async def open_service(
    settings: Settings,
    outside: Outside = Outside(),
) -> AsyncIterator[Service]:
    """The service with its clients, open for the length of the block."""
    async with AsyncExitStack() as opened:
        store, send = outside.store, outside.send
        if store is None:
            store = await opened.enter_async_context(object_store(settings))
        if send is None:
            send = await opened.enter_async_context(_spotify_http(settings))
        credentials = await opened.enter_async_context(_credentials(settings))
        limiter = Limiter(
            Budget(settings.spotify_rate, settings.spotify_parallel, settings.spotify_max_wait), outside.time
        )
        caller = Caller(send, limiter, outside.time, outside.draw)
        tokens = Tokens(caller, settings.spotify_token_url, credentials)
        api = SpotifyApi(caller, tokens, settings.spotify_api_url)
        ports = _ports(settings, api, limiter, store, outside.time)
        opened.push_async_callback(ports.listings.aclose)
        opened.push_async_callback(ports.reader.aclose)
        opened.push_async_callback(ports.albums.aclose)
        yield Service(
            "market-fetcher",
            {**handlers(ports, settings.fetch_budget), **canary_handlers(store, outside.time.now)},
            ready={"storage": store.ping},
            status=lambda: {"app": ports.ability.app, "throttled": limiter.status()},
        )


def _ports(settings: Settings, api: SpotifyApi, limiter: Limiter, store: ObjectStore, time: Time) -> Ports:
    ability = Ability()
    reader = AlbumReader(api, ability, settings.spotify_batch_quiet)
    releases = Releases(api, ability, time, settings.albums_per_market, settings.spotify_source)
    memory = album_memory(settings.album_memory_mib * _MIB)
    return Ports(
        store=store,
        ledger=RunLedger(store),
        ability=ability,
        listings=Listings(releases),
        reader=reader,
        albums=Albums(api, reader, store, time, memory, images=settings.spotify_images_url),
        time=time,
        admission=Admission(ability),
        calls=limiter,
    )


@asynccontextmanager
async def _spotify_http(settings: Settings) -> AsyncIterator[HttpSend]:
    timeouts = Timeouts(
        settings.spotify_connect_timeout, settings.spotify_read_timeout, settings.spotify_call_timeout
    )
    connector = aiohttp.TCPConnector(limit=settings.spotify_parallel)
    async with aiohttp.ClientSession(connector=connector, timeout=timeouts.for_aiohttp()) as session:
        yield HttpSend(session, Proxies.of(getproxies()))


@asynccontextmanager
async def _credentials(settings: Settings) -> AsyncIterator[Credentials]:
    async with AsyncExitStack() as opened:
        client = None
        if settings.spotify_client_id_secret or settings.spotify_client_secret_secret:
            client = await opened.enter_async_context(secret_manager(settings.secret_manager_emulator_host))
        plain_secret = settings.spotify_client_secret.get_secret_value() if settings.spotify_client_secret else ""
        yield Credentials(
            _secret(client, settings.spotify_client_id_secret, settings.spotify_client_id or ""),
            _secret(client, settings.spotify_client_secret_secret, plain_secret),
        )


def _secret(
    client: secretmanager_v1.SecretManagerServiceAsyncClient | None, version: str | None, plain: str
) -> Secret:
    return ManagedSecret(client, version) if client is not None and version else PlainSecret(plain)
