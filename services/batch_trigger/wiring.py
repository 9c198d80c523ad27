"""Builds the batch trigger: the one place that makes its clients."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from contracts.envelope.push import ANY_MESSAGE_BYTES
from eventing.app import Service, create_app
from eventing.canaries import canary_handlers
from eventing.clients import google_publisher, object_store, push_verifier
from eventing.clock import Clock, system_clock
from eventing.coalescing import Coalescer
from eventing.ledger import RunLedger
from services.batch_trigger.handlers import handlers, reconcile
from services.batch_trigger.ports import Ports
from services.batch_trigger.settings import Settings


def build_app(settings: Settings, *, clock: Clock = system_clock) -> web.Application:
    """The service's application."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        async with (
            object_store(settings) as store,
            google_publisher(settings, source="batch_trigger", clock=clock) as publisher,
        ):
            # Not an identity of anything in the pipeline: it only tells two processes apart.
            owner = f"batch_trigger/{uuid.uuid4().hex}"
            ports = Ports(RunLedger(store), publisher, clock, owner, settings.bucket, settings.raw_days)
            coalescer = Coalescer(partial(reconcile, ports=ports), linger=settings.linger)
            ready = {"storage": store.ping, "pubsub": publisher.ping}
            table = {**handlers(ports, coalescer), **canary_handlers(store, clock)}
            yield Service("batch_trigger", table, ready=ready)

    # Dead letters of every size are recorded here, also those that were too large for their service.
    return create_app(opening, verifier=push_verifier(settings), body_limit_bytes=ANY_MESSAGE_BYTES)
