"""A server that takes events: `python -m benchmarks.subjects.receivers ours|bare PORT`.

`ours` is the services' own skeleton with a handler that does nothing; `bare` is aiohttp with a handler that reads
the body and looks at nothing: the least that a server on aiohttp costs. Both say `ready` when they listen.
"""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from contracts.events import Delivery, MarketRequested
from eventing import logs
from eventing.app import Service, create_app


def ours() -> web.Application:
    """The skeleton of the services, logging as they do in production."""

    async def handle(_delivery: Delivery) -> None:
        return None

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        yield Service("benchmark", {MarketRequested: handle})

    logs.configure(project="benchmark", service="benchmark", level="INFO")
    return create_app(opening, verifier=None)


def bare() -> web.Application:
    """Nothing but aiohttp."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", handle)
    return app


if __name__ == "__main__":
    served = {"ours": ours, "bare": bare}[sys.argv[1]]()
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    web.run_app(served, host="127.0.0.1", port=int(sys.argv[2]), access_log=None, print=None)
