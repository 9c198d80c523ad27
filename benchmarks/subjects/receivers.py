"""A server that takes events: `python -m benchmarks.subjects.receivers ours|unlogged|read|bare PORT`.

`ours` is the services' own skeleton with a handler that does nothing, `unlogged` the same with a level at which it
says nothing; `bare` is aiohttp with a handler that takes the body and looks at nothing: the least that a server on
aiohttp costs; `read` is bare with the reading of the event.
"""

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from contracts.envelope.reading import parse
from contracts.events import Delivery, MarketRequested
from eventing import logs
from eventing.app import Service, create_app


def ours(*, level: str = "INFO") -> web.Application:
    """The skeleton of the services, logging as they do in production."""

    async def handle(_delivery: Delivery) -> None:
        return None

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        yield Service("benchmark", {MarketRequested: handle})

    logs.configure(project="benchmark", service="benchmark", level=level)
    return create_app(opening, verifier=None)


def bare(look: Callable[[web.Request, bytes], object] = lambda _request, _body: None) -> web.Application:
    """Nothing but aiohttp, and a look at the request."""

    async def handle(request: web.Request) -> web.Response:
        look(request, await request.read())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", handle)
    return app


if __name__ == "__main__":
    servers: dict[str, Callable[[], web.Application]] = {
        "ours": ours,
        "unlogged": partial(ours, level="WARNING"),
        "read": partial(bare, lambda request, body: parse(request.headers, body)),
        "bare": bare,
    }
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    web.run_app(servers[sys.argv[1]](), host="127.0.0.1", port=int(sys.argv[2]), access_log=None, print=None)
