"""The services as processes that can die: their real handler tables behind ports that can fail.

What a process holds in memory goes with it. Whatever it had under way is cancelled where it waits, and a call of
a dead process has no effect any more.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from google.api_core.exceptions import ServiceUnavailable

from contracts.documents import WarehouseCount
from contracts.envelope import reading
from contracts.envelope.messages import Message
from contracts.events import Delivery
from contracts.faults import ContractError
from eventing import deadlines
from eventing.app import Service, settle
from eventing.coalescing import Coalescer
from eventing.errors import Retryable
from eventing.ledger import RunLedger
from eventing.objects import ObjectInfo, StoredObject
from eventing.publisher import PubSubPublisher
from eventing.secrets import PlainSecret
from eventing.settings import load
from services.batch_trigger import handlers as batch_trigger
from services.batch_trigger.ports import Ports as BarrierPorts
from services.batch_trigger.settings import Settings as BatchTriggerSettings
from services.cluster_manager import handlers as cluster_manager
from services.cluster_manager import wiring as cluster_wiring
from services.cluster_manager.ports import Cluster, Dataproc, Job, JobRequest, Warehouse
from services.cluster_manager.ports import Ports as ManagerPorts
from services.cluster_manager.settings import Settings as ClusterManagerSettings
from services.cluster_manager.sizing import ClusterSize
from services.market_fetcher.adapters.http import Request, Send, Unreachable
from services.market_fetcher.decisions import Answer
from services.market_fetcher.settings import Settings as FetcherSettings
from services.market_fetcher.wiring import Outside as FetcherOutside
from services.market_fetcher.wiring import open_service
from services.notifier import handlers as notifier
from services.notifier.ports import Address, Week
from services.notifier.ports import Message as Told
from services.notifier.ports import Ports as NotifierPorts
from services.notifier.settings import Settings as NotifierSettings
from services.scheduler import handlers as scheduler
from services.scheduler.decisions import Plan
from services.scheduler.ports import Ports as SchedulerPorts
from services.scheduler.settings import Settings as SchedulerSettings
from tests.fakes.notices import MemoryWarehouse
from tests.fakes.objects import MemoryObjectStore
from tests.simulation.chance import Fate, Fates
from tests.simulation.cloud import BUCKET, PROJECT, Outside
from tests.simulation.people import ADDRESSES, People
from tests.virtual_time import VirtualTime, let_pass

ResultT = TypeVar("ResultT")
SERVICES = ("scheduler", "market_fetcher", "batch_trigger", "cluster_manager", "notifier")
ENVIRONMENT = {
    "GOOGLE_CLOUD_PROJECT": PROJECT,
    "BUCKET": BUCKET,
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
    "SPOTIFY_API_URL": "http://spotify.test/v1",
    "SPOTIFY_TOKEN_URL": "http://spotify.test/api/token",
    "SPOTIFY_CLIENT_ID": "id",
    "SPOTIFY_CLIENT_SECRET": "secret",
}
_ATTEMPTS = itertools.count()
OWNER: ContextVar["Process | None"] = ContextVar("owner", default=None)


@dataclass
class Shared:
    """What all processes act on."""

    outside: Outside
    fates: Fates
    bucket: MemoryObjectStore
    publish: Callable[[str, Message], None]
    dataproc: Dataproc
    warehouse: Warehouse
    spotify: Send
    markets: tuple[str, ...]
    share: float
    """Of the markets, which must have landed at a deadline."""
    asked: Callable[[str], None]
    """Hears of every call to the outside."""
    people: People = field(default_factory=People)


@dataclass(eq=False)
class Process:
    """One instance of a service."""

    name: str
    number: int
    shared: Shared
    on_death: Callable[["Process"], None]
    alive: bool = True
    service: Service | None = None
    tasks: dict[asyncio.Task[Any], None] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    may_call_from: float = 0.0
    """Loop time before which Spotify must not be asked, since it said so."""

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"

    def start(self, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        """Run a task that dies with the process, and so do the tasks it starts."""
        context = Context()
        context.run(OWNER.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def boot(self) -> None:
        """Build the service anew."""
        self.service = await BUILDERS[self.name](self)

    def crash(self) -> None:
        """Die now, wherever the tasks are."""
        if self.alive:
            self.alive = False
            self.shared.outside.note(f"{self} dies")
            self._count_trouble()
            for task in list(self.tasks):
                task.cancel()
            self.on_death(self)

    async def receive(self, body: bytes) -> tuple[int, Delivery | None]:
        """What `POST /` does: the status it answers, and what was delivered."""
        try:
            delivery = reading.parse({"content-type": "application/json"}, body)
        except ContractError:
            return 400, None
        if self.service is None:
            return 503, delivery
        return (await settle(self.service, delivery)).status, delivery

    async def call(
        self,
        what: str,
        act: Callable[[], Awaitable[ResultT]],
        *,
        changes: bool,
        error: Callable[[str], Exception],
    ) -> ResultT:
        """One call to the outside, with whatever fate has for it."""
        chance = self.shared.outside.chance
        await self._way()
        self._must_live()
        self.shared.asked(f"{self.name}: {what}")
        fate = self.shared.fates.of(f"{self.name}: {what}", changes=changes)
        if fate is not None:
            self.shared.outside.note(f"{self}: {what}: {fate}")
            self._count_trouble()
        if fate == "crash before":
            self.crash()
            self._must_live()
        if fate == "fails":
            raise error(f"{what} failed")
        if fate == "hangs":
            # Looked up late: a deadline that is too long is one of the planted mistakes.
            await let_pass(deadlines.CALL.seconds)
            self._must_live()
            raise error(f"{what} did not answer")
        if fate == "late":
            self.shared.outside.spawn(_later(chance.between(1, 60), act))
            raise error(f"{what} timed out")
        result = await act()
        if changes:
            self.shared.outside.note(f"{self}: {what}")
        return await self._answer(what, result, fate, error)

    async def _answer(
        self, what: str, result: ResultT, fate: Fate | None, error: Callable[[str], Exception]
    ) -> ResultT:
        if fate == "crash after":
            self.crash()
            self._must_live()
        if fate == "answer lost":
            raise error(f"the answer to {what} was lost")
        await self._way()
        self._must_live()
        return result

    async def _way(self) -> None:
        takes = self.shared.outside.chance.latency()
        if takes >= 1:
            self._count_trouble()
        await let_pass(takes)

    def _count_trouble(self) -> None:
        self.shared.people.troubles += self.name == "notifier"

    def _must_live(self) -> None:
        if not self.alive:
            raise asyncio.CancelledError


async def _later(seconds: float, act: Callable[[], Awaitable[Any]]) -> None:
    await let_pass(seconds)
    try:
        await act()
    except Retryable:
        return  # nobody hears of it


def task_factory(loop: asyncio.AbstractEventLoop, coro: Any, context: Context | None = None) -> asyncio.Task[Any]:
    """Every task belongs to the process that started it."""
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, context=context)
    owner = OWNER.get() if context is None else context.get(OWNER)
    if owner is not None:
        owner.tasks[task] = None
        task.add_done_callback(partial(_forget, owner))
        if not owner.alive:
            task.cancel()
    return task


def _forget(owner: Process, task: asyncio.Task[Any]) -> None:
    owner.tasks.pop(task, None)


# --- ports -----------------------------------------------------------------------------------------------------


def retryable(reason: str) -> Retryable:
    return Retryable(reason)


@dataclass
class StorePort:
    """The bucket as one process reaches it."""

    process: Process
    bucket: MemoryObjectStore

    async def _call(self, what: str, act: Callable[[], Awaitable[ResultT]], *, changes: bool = False) -> ResultT:
        return await self.process.call(what, act, changes=changes, error=retryable)

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        """See `ObjectStore.read`."""
        return await self._call(f"read {name}", lambda: self.bucket.read(name, most_bytes=most_bytes))

    async def stat(self, name: str) -> ObjectInfo | None:
        """See `ObjectStore.stat`."""
        return await self._call(f"stat {name}", lambda: self.bucket.stat(name))

    async def create(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """See `ObjectStore.create`."""
        return await self._call(f"create {name}", lambda: self.bucket.create(name, body, metadata), changes=True)

    async def write(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """See `ObjectStore.write`."""
        return await self._call(f"write {name}", lambda: self.bucket.write(name, body, metadata), changes=True)

    async def replace(self, name: str, body: bytes, generation: int) -> bool:
        """See `ObjectStore.replace`."""
        what = f"replace {name}"
        return await self._call(what, lambda: self.bucket.replace(name, body, generation), changes=True)

    async def delete(self, name: str) -> None:
        """See `ObjectStore.delete`."""
        await self._call(f"delete {name}", lambda: self.bucket.delete(name), changes=True)

    async def listing(self, prefix: str) -> list[ObjectInfo]:
        """See `ObjectStore.listing`."""
        return await self._call(f"list {prefix}", lambda: self.bucket.listing(prefix))

    async def ping(self) -> None:
        """See `ObjectStore.ping`."""


@dataclass
class PublisherClient:
    """Google's publisher client, as far as `PubSubPublisher` uses it."""

    process: Process

    def topic_path(self, project: str, topic: str) -> str:
        return f"projects/{project}/topics/{topic}"

    def publish(
        self, path: str, data: bytes, *, timeout: float, retry: object, **attributes: str
    ) -> "Future[str]":
        """Send a message; the future ends with its acceptance."""
        result: Future[str] = Future()
        result.set_running_or_notify_cancel()
        topic = path.rsplit("/", 1)[-1]
        asyncio.get_running_loop().create_task(self._send(result, topic, Message(data, attributes)))
        return result

    async def _send(self, result: "Future[str]", topic: str, message: Message) -> None:
        async def act() -> None:
            self.process.shared.publish(topic, message)

        what = f"publish {topic} {message.attributes.get('ce-subject', '')}"
        try:
            await self.process.call(what, act, changes=True, error=ServiceUnavailable)
        except ServiceUnavailable as error:
            result.set_exception(error)
        else:
            result.set_result("id")


@dataclass
class DataprocPort:
    """Dataproc as one process reaches it."""

    process: Process
    dataproc: Dataproc

    async def _call(self, what: str, act: Callable[[], Awaitable[ResultT]], *, changes: bool = False) -> ResultT:
        return await self.process.call(what, act, changes=changes, error=retryable)

    async def clusters(self, run_id: str | None = None) -> list[Cluster]:
        """See `Dataproc.clusters`."""
        return await self._call("list clusters", lambda: self.dataproc.clusters(run_id))

    async def cluster(self, name: str) -> Cluster | None:
        """See `Dataproc.cluster`."""
        return await self._call(f"get cluster {name}", lambda: self.dataproc.cluster(name))

    async def create_cluster(self, name: str, run_id: str, size: ClusterSize) -> None:
        """See `Dataproc.create_cluster`."""
        what = f"create cluster {name}"
        await self._call(what, lambda: self.dataproc.create_cluster(name, run_id, size), changes=True)

    async def delete_cluster(self, name: str, uuid: str) -> None:
        """See `Dataproc.delete_cluster`."""
        what = f"delete cluster {name} {uuid}"
        await self._call(what, lambda: self.dataproc.delete_cluster(name, uuid), changes=True)

    async def jobs(self, run_id: str) -> list[Job]:
        """See `Dataproc.jobs`."""
        return await self._call("list jobs", lambda: self.dataproc.jobs(run_id))

    async def submit_job(self, request: JobRequest) -> None:
        """See `Dataproc.submit_job`."""
        what = f"submit job {request.run_id} r{request.revision} a{request.attempt}"
        await self._call(what, lambda: self.dataproc.submit_job(request), changes=True)

    async def cancel_job(self, identity: str) -> None:
        """See `Dataproc.cancel_job`."""
        await self._call(f"cancel job {identity}", lambda: self.dataproc.cancel_job(identity), changes=True)


@dataclass
class WarehousePort:
    """The table as one process reaches it."""

    process: Process
    warehouse: Warehouse

    async def count(self, run_id: str) -> WarehouseCount:
        """See `Warehouse.count`."""
        return await self.process.call(
            f"count {run_id}", lambda: self.warehouse.count(run_id), changes=False, error=retryable
        )


@dataclass
class WeekPort:
    """The views as one process reaches them."""

    process: Process

    async def week(self, run_id: str) -> Week:
        """See the notifier's `Warehouse.week`."""
        return await self.process.call(
            f"week of {run_id}", lambda: MemoryWarehouse().week(run_id), changes=False, error=retryable
        )


@dataclass
class SenderPort:
    """People as one process reaches them."""

    process: Process

    async def send(self, address: Address, message: Told) -> None:
        """See `Sender.send`."""
        people, what = self.process.shared.people, f"tell {address.kind}: {message.title}"
        await self.process.call(what, lambda: people.send(address, message), changes=True, error=retryable)


@dataclass
class SpotifyPort:
    """Spotify as one process reaches it; sees to it that a 429 is obeyed."""

    process: Process
    spotify: Send

    async def __call__(self, request: Request) -> Answer:
        """See `Send`."""
        loop = asyncio.get_running_loop()
        if loop.time() < self.process.may_call_from:
            self.process.shared.outside.broken(
                "hot loop: Spotify was asked less than a second after it had said 429"
            )
        what = f"{request.method} {request.url}"
        answer = await self.process.call(what, lambda: self.spotify(request), changes=False, error=Unreachable)
        # A longer wait may concern one market alone.
        if answer.status == 429 and float(answer.retry_after or 0) <= 60:
            self.process.may_call_from = loop.time() + 0.999
        return answer


# --- the services, wired as in production -----------------------------------------------------------------


def _publisher(process: Process) -> PubSubPublisher:
    client: Any = PublisherClient(process)
    return PubSubPublisher(client, project=PROJECT, source=process.name, clock=process.shared.outside.now)


async def _scheduler(process: Process) -> Service:
    shared = process.shared
    told = {"MARKETS": ",".join(shared.markets), "MINIMUM_SHARE": str(shared.share)}
    settings = load(SchedulerSettings, ENVIRONMENT | told)
    plan = Plan(settings.zone, settings.markets, settings.run_deadline, settings.policy)
    ledger = RunLedger(StorePort(process, process.shared.bucket))
    ports = SchedulerPorts(ledger, _publisher(process), process.shared.outside.now)
    ask_again = scheduler.AskAgain(settings.ask_again, settings.ask_again_for)
    return Service("scheduler", scheduler.handlers(ports, plan, ask_again, watch=None))


async def _batch_trigger(process: Process) -> Service:
    settings = load(BatchTriggerSettings, ENVIRONMENT)
    ledger = RunLedger(StorePort(process, process.shared.bucket))
    ports = BarrierPorts(ledger, _publisher(process), process.shared.outside.now, str(process), BUCKET)
    coalescer = Coalescer(partial(batch_trigger.reconcile, ports=ports), linger=settings.linger)
    return Service("batch_trigger", batch_trigger.handlers(ports, coalescer))


async def _cluster_manager(process: Process) -> Service:
    shared = process.shared
    ports = ManagerPorts(
        RunLedger(StorePort(process, shared.bucket)),
        _publisher(process),
        DataprocPort(process, shared.dataproc),
        WarehousePort(process, shared.warehouse),
        shared.outside.now,
        BUCKET,
    )
    limits = cluster_wiring._limits(load(ClusterManagerSettings, ENVIRONMENT))
    work = partial(cluster_manager.reconcile, ports=ports, limits=limits)
    coalescer = Coalescer(work, linger=cluster_wiring._LINGER)
    return Service("cluster_manager", cluster_manager.handlers(ports, coalescer))


async def _market_fetcher(process: Process) -> Service:
    shared = process.shared
    outside = FetcherOutside(
        store=StorePort(process, shared.bucket),
        send=SpotifyPort(process, shared.spotify),
        time=VirtualTime(),
        draw=lambda: shared.outside.chance.between(0, 1),
    )
    settings = load(FetcherSettings, ENVIRONMENT)
    return await process.stack.enter_async_context(open_service(settings, outside))


async def _notifier(process: Process) -> Service:
    shared = process.shared
    ports = NotifierPorts(
        RunLedger(StorePort(process, shared.bucket)),
        PlainSecret(ADDRESSES),
        SenderPort(process),
        WeekPort(process),
        shared.outside.now,
        load(NotifierSettings, ENVIRONMENT).zone,
        lambda: f"{process}/{next(_ATTEMPTS)}",
    )
    return Service("notifier", notifier.handlers(ports))


class Builder(Protocol):
    """Builds a service of a process."""

    def __call__(self, process: Process, /) -> Coroutine[Any, Any, Service]: ...


BUILDERS: Mapping[str, Builder] = {
    "scheduler": _scheduler,
    "market_fetcher": _market_fetcher,
    "batch_trigger": _batch_trigger,
    "cluster_manager": _cluster_manager,
    "notifier": _notifier,
}
