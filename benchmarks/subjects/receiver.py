"""The services' own skeleton with a handler that does nothing: `python -m benchmarks.subjects.receiver PORT`."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from contracts.events import Delivery, MarketRequested
from eventing import logs
from eventing.app import Service, create_app


async def handle(_delivery: Delivery) -> None:
    """Do nothing."""


@asynccontextmanager
async def opening() -> AsyncIterator[Service]:
    """The service around it."""
    yield Service("benchmark", {MarketRequested: handle})


if __name__ == "__main__":
    logs.configure(project="benchmark", service="benchmark", level="INFO")
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    web.run_app(
        create_app(opening, verifier=None), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None
    )
