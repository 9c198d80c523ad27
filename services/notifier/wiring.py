"""Builds the notifier: the one place that makes its clients."""

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from google.cloud import bigquery

from eventing.app import Service, create_app
from eventing.bigquery import BigQuery
from eventing.canaries import canary_handlers
from eventing.clients import anonymous, object_store, push_verifier
from eventing.clock import Clock, system_clock
from eventing.ledger import RunLedger
from eventing.secrets import ManagedSecret, PlainSecret, Secret, secret_manager
from services.notifier.adapters.apprise import AppriseSender
from services.notifier.adapters.warehouse import ViewsWarehouse
from services.notifier.handlers import handlers
from services.notifier.ports import Ports
from services.notifier.settings import Settings

log = logging.getLogger(__name__)


def build_app(settings: Settings, *, clock: Clock = system_clock) -> web.Application:
    """The service's application."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(object_store(settings))
            addresses = await _addresses(settings, opened)
            sender = AppriseSender()
            opened.callback(sender.close)
            ports = Ports(
                ledger=RunLedger(store),
                addresses=addresses,
                sender=sender,
                warehouse=_warehouse(settings, opened),
                clock=clock,
                zone=settings.zone,
                draw_owner=lambda: uuid.uuid4().hex,
            )
            table = {**handlers(ports), **canary_handlers(store, clock)}
            yield Service("notifier", table, ready={"storage": store.ping})

    return create_app(opening, verifier=push_verifier(settings))


async def _addresses(settings: Settings, opened: AsyncExitStack) -> Secret | None:
    if settings.notify_urls_secret:
        client = await opened.enter_async_context(secret_manager(settings.secret_manager_emulator_host))
        return ManagedSecret(client, settings.notify_urls_secret)
    if settings.notify_urls:
        return PlainSecret(settings.notify_urls.get_secret_value())
    log.info("nobody_is_told", extra={"remedy": "set NOTIFY_URLS_SECRET or NOTIFY_URLS, if somebody is to be"})
    return None


def _warehouse(settings: Settings, opened: AsyncExitStack) -> ViewsWarehouse:
    """The client library itself follows BIGQUERY_EMULATOR_HOST; only its credentials differ."""
    credentials = anonymous() if settings.bigquery_emulator_host else None
    client = bigquery.Client(project=settings.google_cloud_project, credentials=credentials)
    opened.callback(client.close)
    return ViewsWarehouse(BigQuery(client), f"{settings.google_cloud_project}.{settings.bigquery_dataset}")
