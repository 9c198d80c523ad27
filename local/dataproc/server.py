"""Puts the stand-in together: the world, its sink, the gRPC server and, if wanted, the control door."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import grpc
from aiohttp import web
from google.pubsub_v1 import PublisherAsyncClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from local import grpc_server
from local.dataproc import api, audit, control
from local.dataproc.driver import JobRunner
from local.dataproc.faults import Faults
from local.dataproc.world import Setting, World

_SCHEDULE_LOOK = 1.0  # seconds between two looks at scheduled deletions
_LAST_ENTRIES = 2.0  # seconds that shutting down waits for audit entries not yet delivered


@dataclass(frozen=True, slots=True)
class Serving:
    """A stand-in at work."""

    world: World
    port: int
    control_port: int | None


@asynccontextmanager
async def serving(
    setting: Setting,
    *,
    run: JobRunner,
    publish: audit.Publish,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    port: int = 0,
    control_port: int | None = None,
) -> AsyncIterator[Serving]:
    """Serve until the block ends; then no task and no driver of it is left.

    A fault within the stand-in itself ends the block with an exception group: a wrong Dataproc is worse than none.
    """
    sink = audit.Sink(publish)
    async with asyncio.TaskGroup() as tasks:
        world = World(setting=setting, tasks=tasks, run=run, sink=sink, faults=Faults(), now=now, new_id=new_id)
        background = [tasks.create_task(sink.deliver()), tasks.create_task(_keep_schedules(world))]
        try:
            async with _doors(world, port, control_port) as serving_now:
                yield serving_now
            with suppress(TimeoutError):
                await asyncio.wait_for(sink.drained(), _LAST_ENTRIES)
        finally:
            world.close()
            for task in background:
                task.cancel()


@asynccontextmanager
async def _doors(world: World, port: int, control_port: int | None) -> AsyncIterator[Serving]:
    async with AsyncExitStack() as stack:
        server, bound = await grpc_server.serve(api.services(world), port)
        stack.push_async_callback(server.stop, grace=None)
        if control_port is None:
            yield Serving(world, bound, None)
            return
        runner = web.AppRunner(control.application(world), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, grpc_server.LOOPBACK, control_port).start()
        yield Serving(world, bound, runner.addresses[0][1])


async def _keep_schedules(world: World) -> None:
    while True:
        await asyncio.sleep(_SCHEDULE_LOOK)
        world.enforce_schedules()


@asynccontextmanager
async def topic_publisher(host: str, topic: str) -> AsyncIterator[audit.Publish]:
    """Open the sink's topic, `projects/P/topics/T`, on a Pub/Sub emulator.

    The client itself tries again while the emulator is away, for a minute.
    """
    # Without the bound, a channel that found the emulator away waits up to two minutes before it looks again.
    options = (("grpc.max_reconnect_backoff_ms", 1000),)
    async with grpc.aio.insecure_channel(host, options=options) as channel:
        client = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))

        async def publish(data: bytes, attributes: object) -> None:
            await client.publish(topic=topic, messages=[PubsubMessage(data=data, attributes=attributes)])

        yield publish
