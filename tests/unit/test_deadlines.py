"""Every call to Google ends in time, whether nobody listens, nobody answers, or all that comes is 503.

The clients are the real ones, on sockets of this machine, with a deadline of half a second. A call that does not end
fails its test by `_LONG`, which is far below what the clients do by themselves.
"""

import asyncio
import contextlib
import gc
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import google.auth.transport.requests
import grpc
import pytest
import requests
from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, dataproc_v1, secretmanager_v1
from google.cloud.dataproc_v1.services.cluster_controller.transports import ClusterControllerGrpcAsyncIOTransport
from google.cloud.dataproc_v1.services.job_controller.transports import JobControllerGrpcAsyncIOTransport
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)
from google.cloud.storage import Client

from contracts.envelope.messages import Message
from contracts.events import BatchReady
from eventing.deadlines import CALL, SHORTEST_DELIVERY, Deadline
from eventing.errors import Retryable
from eventing.identity import PushVerifier
from eventing.objects import GcsObjectStore
from eventing.publisher import PubSubPublisher
from eventing.secrets import ManagedSecret
from local.grpc_server import LOOPBACK
from services.cluster_manager.adapters.dataproc import ClusterShape, GoogleDataproc, JobShape
from services.cluster_manager.adapters.warehouse import BigQueryWarehouse
from services.cluster_manager.ports import JobRequest
from services.cluster_manager.sizing import ClusterSize
from tests.builders import RUN, TestClock

_SHORT = Deadline(0.5)
_LONG = 20.0  # seconds; by themselves the clients try for 60 to 660
Call = Callable[[], Awaitable[object]]
Calls = AsyncIterator[dict[str, Call]]


async def _threads_end() -> None:
    """A thread that nobody waits for any longer still holds its connection for a moment."""
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), _LONG)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Takes connections and says nothing."""

    async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append(writer)

    kept: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(keep, LOOPBACK, 0)
    try:
        yield f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in kept:
            writer.close()


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """Nobody listens there."""
    async with silent() as address:
        pass
    yield address


class _Away(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    def service(self, _details: Any) -> Any:
        async def refuse(_request: bytes, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")

        return grpc.unary_unary_rpc_method_handler(refuse)


@asynccontextmanager
async def unavailable_grpc() -> AsyncIterator[str]:
    """Answers every call with UNAVAILABLE."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([_Away()])
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    try:
        yield f"{LOOPBACK}:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def unavailable_http() -> AsyncIterator[str]:
    """Answers every request with 503."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"error": {"code": 503, "message": "away"}}, status=503)

    async with answering(refuse) as address:
        yield address


@asynccontextmanager
async def answering(reply: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Answers every request so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", reply)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield f"{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def dataproc(address: str) -> Calls:
    """Every call of the cluster manager's adapter."""
    async with grpc.aio.insecure_channel(address) as channel:
        adapter = GoogleDataproc(
            dataproc_v1.ClusterControllerAsyncClient(
                transport=ClusterControllerGrpcAsyncIOTransport(channel=channel)
            ),
            dataproc_v1.JobControllerAsyncClient(transport=JobControllerGrpcAsyncIOTransport(channel=channel)),
            project="p",
            region="r",
            cluster_shape=ClusterShape("i", "c", timedelta(minutes=10), timedelta(hours=2), "b", 50),
            job_shape=JobShape("m", "p", "b", "b", "t", 0, {}),
            deadline=_SHORT,
        )
        yield {
            "ping": adapter.ping,
            "clusters": lambda: adapter.clusters(RUN),
            "cluster": lambda: adapter.cluster("c"),
            "create": lambda: adapter.create_cluster("c", RUN, ClusterSize("e2-standard-2", 0)),
            "delete": lambda: adapter.delete_cluster("c", "u"),
            "jobs": lambda: adapter.jobs(RUN),
            "submit": lambda: adapter.submit_job(JobRequest(RUN, 1, 1, "c")),
            "cancel": lambda: adapter.cancel_job("j"),
        }


@asynccontextmanager
async def secrets(address: str) -> Calls:
    """Secret Manager."""
    async with grpc.aio.insecure_channel(address) as channel:
        transport = SecretManagerServiceGrpcAsyncIOTransport(channel=channel)
        client = secretmanager_v1.SecretManagerServiceAsyncClient(transport=transport)
        yield {"read": ManagedSecret(client, "projects/p/secrets/s/versions/1", _SHORT).read}


@asynccontextmanager
async def pubsub(address: str) -> Calls:
    """The publisher."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", address)
        publisher = PubSubPublisher(PublisherClient(), project="p", source="s", clock=TestClock(), deadline=_SHORT)
    event = BatchReady(run_id=RUN, revision=1)
    yield {
        "publish": lambda: publisher.publish([event], cause="c"),
        "forward": lambda: publisher.forward("t", Message(b"x", {})),
    }
    await asyncio.wait_for(publisher.aclose(), _LONG)


@asynccontextmanager
async def storage(address: str) -> Calls:
    """The bucket."""
    options = {"api_endpoint": f"http://{address}"}
    client = Client(project="p", credentials=AnonymousCredentials(), client_options=options)
    # Of its own accord the library asks what the bucket is like, in a thread that nobody can end: for two minutes it
    # would draw its pauses from the randomness of whatever test runs then. Known already, it is not asked.
    client._bucket_metadata_cache.update_cache("b", "b", "global")
    store = GcsObjectStore(client, "b", _SHORT)
    yield {
        "read": lambda: store.read("x"),
        "stat": lambda: store.stat("x"),
        "create": lambda: store.create("x", b"y"),
        "write": lambda: store.write("x", b"y"),
        "delete": lambda: store.delete("x"),
        "listing": lambda: store.listing("x"),
    }
    await asyncio.wait_for(store.aclose(), _LONG)
    with warnings.catch_warnings():
        # The library leaves an answer that it refuses unread, and its connection to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@asynccontextmanager
async def warehouse(address: str) -> Calls:
    """BigQuery."""
    client = bigquery.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://{address}"},
    )
    yield {"count": lambda: BigQueryWarehouse(client, "p.d.t", _SHORT).count(RUN)}
    await _threads_end()
    client.close()


@asynccontextmanager
async def keys(address: str) -> Calls:
    """The page of keys that sign the pushes."""
    with requests.Session() as session:
        verifier = PushVerifier(
            audience="a",
            service_account="s",
            certs_url=f"http://{address}/",
            request=google.auth.transport.requests.Request(session),
            deadline=_SHORT,
        )
        yield {"verify": lambda: verifier.verify("Bearer a.b.c")}
        await _threads_end()


GRPC = [dataproc, secrets, pubsub]
HTTP = [storage, warehouse, keys]
CASES = [
    *((client, server) for client in [*GRPC, *HTTP] for server in (silent, refusing)),
    *((client, unavailable_grpc) for client in GRPC),
    *((client, unavailable_http) for client in HTTP),
]


@pytest.mark.parametrize(("client", "server"), CASES, ids=lambda case: case.__name__)
async def test_a_call_is_given_up_in_time(
    client: Callable[[str], AbstractAsyncContextManager[dict[str, Call]]],
    server: Callable[[], AbstractAsyncContextManager[str]],
) -> None:
    """While a call goes on its delivery is delivered again; given up, it comes back when Google does."""
    async with server() as address, client(address) as calls:
        ends = await asyncio.gather(
            *(asyncio.wait_for(call(), _LONG) for call in calls.values()), return_exceptions=True
        )
    assert {name: type(end) for name, end in zip(calls, ends, strict=True)} == dict.fromkeys(calls, Retryable)


@pytest.mark.parametrize(
    "body", ["null", "[]", "7", '"x"', "", "<html>", '{"items": null}', '{"items": [{"name": "x"}]}']
)
@pytest.mark.parametrize(("client", "name"), [(storage, "stat"), (storage, "listing"), (warehouse, "count")])
async def test_an_answer_of_another_form_brings_the_delivery_back(
    client: Callable[[str], AbstractAsyncContextManager[dict[str, Call]]], name: str, body: str
) -> None:
    """A proxy may answer in Google's place: to a service that is an outage, to an operator a line."""

    async def reply(_request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    async with answering(reply) as address, client(address) as calls:
        with pytest.raises(Retryable):
            await asyncio.wait_for(calls[name](), _LONG)


async def test_what_stands_in_the_way_is_read_no_further_than_it_could_be_ours() -> None:
    """Somebody's object of some GiB under the name of a document must not fill the memory of whoever claims it."""
    sent = 0

    async def reply(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        if request.method != "GET":
            return web.json_response({}, status=412)
        response = web.StreamResponse(headers={"Content-Length": str(2**33)})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 2**28:
                await response.write(b"x" * 2**20)
                sent += 2**20
        return response

    async with answering(reply) as address, storage(address) as calls:
        assert await asyncio.wait_for(calls["create"](), _LONG) is False
    assert sent < 2**26


def test_a_call_ends_well_before_its_delivery() -> None:
    """Two calls in a row that are slow and one that fails still leave time for the answer."""
    topology = json.loads((Path(__file__).parents[2] / "infra/topology.json").read_text(encoding="utf-8"))
    shortest = min(push["ack_deadline"] for push in topology["push_subscriptions"])
    assert SHORTEST_DELIVERY.total_seconds() == shortest
    assert 2 * CALL.seconds < shortest
    assert CALL.retries_seconds + CALL.attempt_seconds == CALL.seconds
