"""The one HTTP skeleton of all services: receive at `POST /`, settle, report health.

The way of a message: `_receive` verifies the caller and parses the body, `settle` runs the handler from the
service's table and turns its end into an acknowledgement. 204 acknowledges; 503 gives the delivery back, and the
subscription's retry policy (infra/topology.json) says when it comes again; 400 refuses, with its faults, until Pub/Sub
dead-letters the message. A dead letter that is redriven to another subscription of the topic is acknowledged unread.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from contracts.envelope.push import BODY_LIMIT_BYTES
from contracts.envelope.reading import parse
from contracts.events import DeadLettered, Delivery, RedrivenElsewhere
from contracts.faults import ContractError, Fault
from eventing import logs
from eventing.deadlines import CALL
from eventing.errors import Permanent, Retryable
from eventing.identity import CallerVerifier, Refused
from eventing.settings import ServiceSettings, load_or_exit

log = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
Handler = Callable[[Delivery], Awaitable[None]]
Check = Callable[[], Awaitable[None]]
"""Raises `Retryable` when what it looks at does not answer."""


@dataclass(frozen=True, slots=True)
class Service:
    """A wired service: what it handles and what it needs to be ready."""

    name: str
    handlers: Mapping[type, Handler]
    ready: Mapping[str, Check] = field(default_factory=dict)
    status: Callable[[], Mapping[str, Any]] = dict
    """Shown in readiness; a state worth seeing, such as a throttled source."""


SERVICE = web.AppKey("service", Service)
Opening = Callable[[], AbstractAsyncContextManager[Service]]
"""Opens the service's clients and wires it; closes them at the end."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a delivery ended: the HTTP answer."""

    status: int
    faults: tuple[Fault, ...] = ()

    def response(self) -> web.Response:
        """204 without a body, or JSON that says what is wrong."""
        if self.status == web.HTTPNoContent.status_code:
            return web.Response(status=self.status)
        body = {"faults": [fault._asdict() for fault in self.faults]}
        response = web.json_response(body, status=self.status)
        if self.status == web.HTTPRequestTimeout.status_code:
            response.force_close()  # the rest of the body would be taken for the next request
        return response


MOST_UNDER_WAY = 250
"""Deliveries at once; the largest concurrency a service has on Cloud Run (`service.json`). One more is given back at
once: were it taken, all would take longer than their deadlines and be delivered again, and the work would only grow."""

_TOO_MANY = Settled(503, (Fault("service", f"has {MOST_UNDER_WAY} deliveries under way"),))


def create_app(
    opening: Opening,
    *,
    verifier: CallerVerifier | None,
    body_limit_bytes: int = BODY_LIMIT_BYTES,
    body_patience_seconds: float = CALL.seconds,
) -> web.Application:
    """The aiohttp application of a service; without a verifier every caller is believed (emulator only).

    A body above `body_limit_bytes` is refused before it is read whole. One that takes longer than
    `body_patience_seconds` is waited for no longer: it would keep the place of a delivery.
    """

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        async with opening() as service:
            app[SERVICE] = service
            yield

    under_way = 0

    async def receive(request: web.Request) -> web.Response:
        nonlocal under_way
        if under_way >= MOST_UNDER_WAY:
            return _TOO_MANY.response()
        under_way += 1
        try:
            return (await _receive(request, verifier, body_patience_seconds)).response()
        finally:
            under_way -= 1

    app = web.Application(client_max_size=body_limit_bytes)
    app.cleanup_ctx.append(lifespan)
    app.router.add_post("/", receive)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", _ready)
    return app


def run(
    service: str,
    model: type[SettingsT],
    build: Callable[[SettingsT], web.Application],
    environment: Mapping[str, str],
) -> None:
    """Serve as the environment says until SIGTERM or SIGINT; then what is under way has `drain_seconds` to end."""
    settings = load_or_exit(model, environment)
    logs.configure(project=settings.google_cloud_project, service=service, level=settings.log_level)
    web.run_app(
        build(settings),
        host=settings.host,
        port=settings.port,
        shutdown_timeout=settings.drain_seconds.total_seconds(),
        access_log=None,
        print=lambda *_: log.info("serving", extra={"port": settings.port}),
    )


async def _live(_request: web.Request) -> web.Response:
    return web.json_response({"live": True})


async def _ready(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    failures = {}
    for name, check in service.ready.items():
        try:
            await check()
        except Retryable as error:
            failures[name] = str(error)
    body = {"ready": not failures, "failures": failures, **service.status()}
    return web.json_response(body, status=503 if failures else 200)


async def _receive(request: web.Request, verifier: CallerVerifier | None, patience_seconds: float) -> Settled:
    try:
        if verifier is not None:
            await verifier.verify(request.headers.get("Authorization"))
        delivery = parse(request.headers, await asyncio.wait_for(_body(request), patience_seconds))
    except web.HTTPRequestEntityTooLarge:
        return _refused(413, [Fault("body", f"is larger than {request.client_max_size} bytes; events are small")])
    except TimeoutError:
        return _refused(408, [Fault("body", f"did not arrive within {patience_seconds:g} s; send it again")])
    except Refused as error:
        return _refused(401, [Fault("caller", str(error))])
    except Retryable as error:
        return Settled(503, (Fault("service", str(error)),))
    except ContractError as error:
        return _refused(400, error.faults)
    return await settle(request.app[SERVICE], delivery)


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except (web.RequestPayloadError, BadHttpMessage):
        fault = Fault("body", "is not encoded as Content-Encoding says; send it as it is")
        raise ContractError([fault]) from None


def _refused(status: int, faults: Any) -> Settled:
    log.warning("refused", extra={"status": status, "faults": [str(fault) for fault in faults]})
    return Settled(status, tuple(faults))


async def settle(service: Service, delivery: Delivery) -> Settled:
    """Run the handler of a delivery and say how it ended. The one broad except of the process is here."""
    _bind(delivery)
    if isinstance(delivery.event, RedrivenElsewhere):
        log.info("redriven_elsewhere", extra={"subscription": delivery.event.subscription})
        return Settled(204)
    event_type = type(delivery.event)
    handler = service.handlers.get(event_type)
    if handler is None:
        handled = ", ".join(sorted(kind.__name__ for kind in service.handlers))
        return _refused(
            400, [Fault("event", f"{event_type.__name__} is not for {service.name}; it takes {handled}")]
        )
    started = time.monotonic()
    try:
        await handler(delivery)
    except Permanent as error:
        return _refused(400, error.faults)
    except Retryable as error:
        log.warning("given_back", extra={"reason": str(error)})
        return Settled(503, (Fault("service", str(error)),))
    except Exception:
        # An unknown fault is retried, loudly, until it is mended or dead-lettered.
        log.exception("unexpected", extra={"event": event_type.__name__})
        return Settled(503, (Fault("service", "unexpected fault; see the log"),))
    seconds = round(time.monotonic() - started, 3)
    log.info("handled", extra={"event": event_type.__name__, "seconds": seconds})
    return Settled(204)


def _bind(delivery: Delivery) -> None:
    event = delivery.event
    if isinstance(event, DeadLettered):
        event = event.original
    ids = {"event_id": delivery.event_id, "message_id": delivery.message_id}
    if run_id := getattr(event, "run_id", None):
        logs.bind_run(run_id, getattr(event, "market", None), **ids)
    else:
        logs.bind(**ids)
