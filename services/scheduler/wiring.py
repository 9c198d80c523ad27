"""Builds the scheduler: the one place that makes its clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from eventing.app import Service, create_app
from eventing.canaries import canary_handlers
from eventing.clients import google_publisher, object_store, push_verifier
from eventing.clock import Clock, system_clock
from eventing.ledger import RunLedger
from services.scheduler.decisions import Plan, Watch
from services.scheduler.handlers import AskAgain, handlers
from services.scheduler.ports import Ports
from services.scheduler.settings import Settings


def build_app(settings: Settings, *, clock: Clock = system_clock) -> web.Application:
    """The service's application."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        plan = Plan(settings.zone, settings.markets, settings.run_deadline, settings.policy)
        async with (
            object_store(settings) as store,
            google_publisher(settings, source="scheduler", clock=clock) as publisher,
        ):
            ports = Ports(RunLedger(store), publisher, clock, settings.raw_days)
            asking = AskAgain(settings.ask_again, settings.ask_again_for)
            watch = Watch(settings.schedule, settings.zone, settings.tick_grace) if settings.schedule else None
            table = {**handlers(ports, plan, asking, watch), **canary_handlers(store, clock)}
            yield Service("scheduler", table, ready={"storage": store.ping, "pubsub": publisher.ping})

    return create_app(opening, verifier=push_verifier(settings))
