"""A whole run of the pipeline in a simulated cloud: a storm of faults, then calm, then the accounts.

One seed gives one history, always the same. Time is virtual: a day takes a fraction of a second.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from contracts.documents import Manifest, Redrive
from contracts.envelope.dead_letters import DEAD
from contracts.envelope.messages import Message, Origin, to_message
from contracts.events import Delivery, MarketRequested, OwnEvent, RunRequested, SweepRequested
from contracts.names import RAW_DAYS, job_id, manifest_name, part_name, run_prefix
from eventing.ledger import RunLedger
from eventing.settings import load
from ops import dead_letters
from ops.orders import Kind, give_order
from services.cluster_manager import wiring as cluster_wiring
from services.cluster_manager.decisions import SECOND_LOOK_AFTER
from services.cluster_manager.settings import Settings as ClusterManagerSettings
from services.market_fetcher.adapters.http import Request, Unreachable
from services.market_fetcher.decisions import Answer
from tests.builders import NOW, RUN
from tests.fakes.spotify import FakeSpotify, album, error
from tests.simulation import invariants
from tests.simulation.chance import Chance, Fates
from tests.simulation.cloud import Bucket, Outside, PubSub, SimulatedDataproc, Subscription, Table
from tests.simulation.hands import HARMS, Harm, harm, litter, stray
from tests.simulation.job import Row
from tests.simulation.processes import ENVIRONMENT, SERVICES, Process, Shared, task_factory
from tests.simulation.source import OddSpotify
from tests.virtual_time import VirtualTimeLoop, let_pass

SWEEP, DAY, WEEK = 600.0, 86400.0, 7 * 86400.0  # seconds
EARLIER = "2026-11-16"
MARKETS = ("DK", "SE", "NO", "FI", "IS", "DE")
CATALOGUE = {
    "DK": "a1 a2 a3",
    "SE": "a2 a4",
    "NO": "a5",
    "FI": "a1 a6",
    "IS": "a7 a2",
    "DE": "a8 a1",
}
LONG = "a8"
"""An album of more tracks than one page holds."""
_SEASON = round(RAW_DAYS / 7) + 3
"""Weeks in which the first runs outlive their raw objects."""
_RUN = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")


@dataclass(frozen=True)
class Case:
    """What happens in a simulation, faults aside."""

    markets: tuple[str, ...] = MARKETS[:3]
    runs: tuple[str, ...] = (RUN,)
    instances: int = 1
    storm: float = 0.0
    """Seconds until the faults stop."""
    replays: tuple[tuple[float, str, bool], ...] = ()
    """When, which market, and whether fresh; always of the first run."""
    orders: tuple[float, ...] = ()
    """When an operator closes the first run."""
    reopens: tuple[float, ...] = ()
    """When an operator reopens the first run."""
    redrives: tuple[float, ...] = ()
    """When an operator redrives every dead letter."""
    poison: float | None = None
    """When somebody publishes, on every topic that is pushed, what nobody can read."""
    unknown: str | None = None
    """A market that Spotify does not know."""
    attempts: int | None = None
    """Delivery attempts of a market request, where they are not those of the topology."""
    share: float = 0.9
    """Of the markets, which must have landed at a deadline."""
    harms: tuple[tuple[float, str, Harm], ...] = ()
    """When which market's part of the first run is spoilt, and how."""
    strays: tuple[float, ...] = ()
    """When objects that are no parts are left among those of the first run."""
    litter: float | None = None
    """When documents that nobody can read, and names that are none of ours, are left among those of the runs."""
    trial: float | None = None
    """Seconds before the tick at which somebody asks for one market of the first run."""
    clock_off: float = 0.0
    """Seconds by which the clock of the operator's machine is ahead."""
    weekly: bool = False
    """Whether the runs begin a week apart, and their raw objects come to the end of their life."""
    no_quota: float = 0.0
    """Seconds for which Google has no quota for a cluster."""
    orphans: tuple[tuple[int, int, float], ...] = ()
    """Jobs of the first run, by revision and attempt, whose driver dies while BigQuery loads, and for how many seconds
    that load goes on."""
    sweeps: bool = True
    first_sweep: float = SWEEP
    log_replayed: bool = True

    @classmethod
    def drawn(cls, chance: Chance) -> "Case":
        """A case for a storm: one in which everything may happen, a short and thick one, or a season of runs."""
        if chance.number(24) == 0:
            return cls.season()
        return cls._thick(chance) if chance.number(3) == 0 else cls._long(chance)

    @classmethod
    def season(cls, weeks: int = _SEASON) -> "Case":
        """Weekly runs, long enough that the first ones outlive their raw objects."""
        first = date.fromisoformat(RUN)
        runs = tuple((first + timedelta(weeks=week)).isoformat() for week in range(weeks))
        return cls(runs=runs, weekly=True, storm=weeks * WEEK, log_replayed=False)

    @classmethod
    def _thick(cls, chance: Chance) -> "Case":
        """Two of each service, slow on the way between a look and an act, while revisions follow each other."""
        chance.rates |= {"slow call": 0.25, "message doubled": 0.3, "notification lost": 0.3}
        replays = tuple((chance.between(60, 1200), chance.one_of(MARKETS[:3]), False) for _ in range(3))
        return cls(instances=2, storm=2400, replays=replays, litter=chance.between(0, 2400))

    @classmethod
    def _long(cls, chance: Chance) -> "Case":
        markets = MARKETS[: 3 + chance.number(3)]
        storm = chance.between(1800, 3 * 3600)
        replays = tuple(
            # Half of them in the thick of it: while the first batch closes, loads and ends.
            (chance.between(30, chance.one_of((900, storm + 3600))), chance.one_of(markets), chance.number(1) == 1)
            for _ in range(chance.number(4))
        )
        unknown = None if chance.number(7) else markets[-1]
        # A hundred attempts take 16 hours; a market that is given up is wanted sooner.
        few = unknown is not None or chance.number(3) == 0
        return cls(
            markets=markets,
            runs=(RUN,) if chance.number(2) else (RUN, EARLIER),
            instances=1 + chance.number(1),
            storm=storm,
            replays=replays,
            orders=() if chance.number(5) else (chance.between(60, storm),),
            unknown=unknown,
            attempts=3 + chance.number(5) if few else None,
            reopens=() if chance.number(4) else (chance.between(600, storm + 8 * 3600),),
            redrives=() if chance.number(4) else (chance.between(600, storm + 3600),),
            poison=chance.between(60, storm) if few and chance.number(1) else None,
            no_quota=0.0 if chance.number(7) else chance.between(600, storm),
            orphans=() if chance.number(5) else ((1, 1, chance.between(60, 5.9 * 3600)),),
            **cls._by_hand(chance, markets, storm),
        )

    @staticmethod
    def _by_hand(chance: Chance, markets: tuple[str, ...], storm: float) -> dict[str, Any]:
        """What people do that they should not, or whose clock is wrong; mostly nothing."""
        harms = tuple(
            (chance.between(60, chance.one_of((900, storm + 3600))), chance.one_of(markets), chance.one_of(HARMS))
            for _ in range(chance.number(2))
        )
        return {
            "share": chance.one_of((0.9, 0.5)),
            "harms": harms if chance.number(2) == 0 else (),
            "strays": () if chance.number(3) else (chance.between(60, storm),),
            "trial": None if chance.number(3) else chance.between(1, 1800),
            "litter": None if chance.number(2) else chance.between(0, storm),
            "clock_off": chance.one_of((0.0, -300.0, 300.0, -5 * 3600.0, 5 * 3600.0)),
        }


@dataclass(frozen=True)
class Operator:
    """How a person's commands reach Pub/Sub."""

    world: "World"

    async def publish(self, events: Iterable[OwnEvent], *, cause: str) -> None:
        """See `Publisher.publish`."""
        for event in events:
            self.world.publish(event, cause)

    async def forward(self, topic: str, message: Message) -> None:
        """See `Topics.forward`."""
        self.world.pubsub.publish(topic, message)


@dataclass
class World:
    """Everything there is, and its history."""

    case: Case
    chance: Chance
    fates: Fates
    history: list[tuple[float, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    processes: dict[str, list[Process]] = field(default_factory=dict)
    booted: Counter[str] = field(default_factory=Counter)
    begun: list[str] = field(default_factory=list)
    """Runs that were asked for."""
    pushes: int = 0
    overdue: int = 0
    """Pushes that were not answered within their subscription's deadline."""
    calls: Counter[str] = field(default_factory=Counter)
    """How often each call was made."""
    settled_after: float = 0.0
    """Seconds from the end of the faults, or the last deadline, until everything was settled."""

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.outside = Outside(self.chance, self.now, self.spawn, self.note, self.breaks)
        attempts = {} if self.case.attempts is None else {"market-fetcher-market-requested": self.case.attempts}
        self.pubsub = PubSub(self.outside, self.push, attempts)
        self.bucket = Bucket(self.outside, self.pubsub.publish)
        self.table = Table()
        settings = load(ClusterManagerSettings, ENVIRONMENT)
        shapes = cluster_wiring._cluster_shape(settings), cluster_wiring._job_shape(settings)
        self.dataproc = SimulatedDataproc(self.outside, self.pubsub.publish, shapes, self.table, self.bucket)
        self.dataproc.quota_from = NOW + timedelta(seconds=self.case.no_quota)
        if self.case.no_quota:
            self.chance.injected["no quota for long"] += 1
        self.dataproc.orphaned = {
            job_id(self.case.runs[0], revision, attempt): takes for revision, attempt, takes in self.case.orphans
        }
        known = {name: albums for name, albums in CATALOGUE.items() if name != self.case.unknown}
        long = {LONG: album(LONG, 55)} if any(LONG in ids for ids in known.values()) else {}
        self.spotify = FakeSpotify.of(known, albums=long, trick=self._trick)
        self.source = OddSpotify(self.spotify, self.chance, self.loop.time)
        self.shared = Shared(
            self.outside,
            self.fates,
            self.bucket,
            self.pubsub.publish,
            self.dataproc,
            self.table,
            self.source,
            self.case.markets,
            self.case.share,
            self._asked,
        )
        self.people = self.shared.people
        self.ledger = RunLedger(self.bucket)

    # --- what everything needs ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The present."""
        return NOW + timedelta(seconds=self.loop.time())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task that belongs to no process."""
        task = self.loop.create_task(work, context=Context())
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.breaks(f"the simulation itself: {error!r} in {task.get_coro()}")

    def note(self, line: str) -> None:
        """Write the history."""
        self.history.append((self.loop.time(), line))

    def breaks(self, rule: str) -> None:
        """An invariant does not hold."""
        self.note(f"BROKEN {rule}")
        self.broken.append(rule)

    # --- processes ---------------------------------------------------------------------------------------------

    async def boot(self, name: str) -> None:
        """Start an instance of a service."""
        self.booted[name] += 1
        process = Process(name, self.booted[name], self.shared, self._died)
        await process.start(process.boot())
        self.processes.setdefault(name, []).append(process)
        self.note(f"{process} is up")

    def _died(self, process: Process) -> None:
        there = self.processes.get(process.name, [])
        if process in there:
            there.remove(process)
        self.spawn(self._reboot(process.name))

    async def _reboot(self, name: str) -> None:
        await let_pass(self.chance.between(1, 60))
        await self.boot(name)

    async def _kill_at_random(self, name: str) -> None:
        while True:
            await let_pass(self.chance.between(60, 7200))
            alive = self.processes.get(name, [])
            if alive and self.chance.hit("crash at any moment"):
                self.chance.one_of(alive).crash()

    async def push(self, subscription: Subscription, body: bytes) -> int:
        """Bring a message to one instance of a service; the status it answers."""
        alive = self.processes.get(subscription.service)
        if not alive:
            return 503
        self.pushes += 1
        process = self.chance.one_of(alive)
        task = process.start(process.receive(body))
        await asyncio.wait([task], timeout=subscription.ack_deadline)
        self.overdue += not task.done()
        if not task.done() or task.cancelled():
            return 503
        status, delivery = task.result()
        if status == 204 and delivery is not None:
            self._acknowledged(process, delivery)
        if (
            delivery is not None
            and isinstance(delivery.event, SweepRequested)
            and status != 204
            and self._is_calm()
        ):
            self.breaks(f"12: {process} answered a sweep with {status}, and nothing outside of it fails")
        return status

    def _is_calm(self) -> bool:
        """Whether no call of a service fails, by a script or by chance, nor is on its way since some did."""
        if self.fates is not self.chance:
            return False
        return not any(self.chance.rates.values()) or self.loop.time() > self.case.storm + 300

    def _acknowledged(self, process: Process, delivery: Delivery) -> None:
        if (fault := invariants.of_acknowledgement(self.bucket, delivery)) is not None:
            self.breaks(f"4: {process} acknowledged {delivery.event!r}, but {fault}")

    def _trick(self, request: Request) -> Answer | Unreachable | None:
        if self.chance.hit("spotify unreachable"):
            return Unreachable("simulated")
        if self.chance.hit("spotify 500"):
            return error(500)
        if self.chance.hit("spotify 429 at once"):
            return error(429, retry_after=self.chance.one_of(("0", "1", "3", "20")))
        if self.chance.hit("spotify 429 for long"):
            return error(429, retry_after=str(int(self.chance.between(120, 7200))))
        return None

    def _asked(self, what: str) -> None:
        """Every call of a service: one about a run that is past its life is one too many."""
        self.calls[what] += 1
        named = _RUN.search(what) if self.case.weekly else None
        if named is not None and self._is_past("-".join(named.groups())):
            self.breaks(f"10: {what}, of a run whose raw objects are past their life")

    def _is_past(self, run_id: str) -> bool:
        """Whether nothing was written about a run for as long as its raw objects live."""
        if date.fromisoformat(run_id) + timedelta(days=RAW_DAYS) > self.now().date():
            return False
        written = self.bucket.written(run_prefix(run_id)).values()
        return bool(written) and self.now() - max(written) > timedelta(days=RAW_DAYS)

    # --- what people and clocks do -----------------------------------------------------------------------------

    def publish(self, event: OwnEvent, cause: str, *, clock_off: float = 0.0) -> None:
        """Publish from outside the services."""
        origin = Origin("simulation", cause, self.now() + timedelta(seconds=clock_off))
        self.pubsub.publish(event.topic, to_message(event, origin))

    async def _tick(self) -> None:
        if self.case.trial is not None:
            run_id, markets = self.case.runs[0], self.case.markets[:1]
            self.publish(RunRequested(run_id=run_id, markets=markets, reason="trial"), f"trial/{run_id}")
            await let_pass(self.case.trial)
        for run_id in self.case.runs:
            event = RunRequested() if run_id == RUN else RunRequested(run_id=run_id)
            self.publish(event, f"tick/{run_id}")
            self.begun.append(run_id)
            if self.case.weekly:
                await let_pass(WEEK)

    async def _age(self) -> None:
        """Raw objects live so many days, and some hours: the bucket looks once a day."""
        while True:
            await let_pass(DAY)
            oldest = self.now() - timedelta(days=RAW_DAYS)
            for name, written in self.bucket.written("raw/").items():
                if written < oldest:
                    self.chance.injected["part at the end of its life"] += 1
                    self.bucket.lose(name)

    async def _sweep(self) -> None:
        number = 0
        await let_pass(self.case.first_sweep)
        while True:
            number += 1
            self.publish(SweepRequested(), f"sweep/{number}")
            # Of a season that is all settled a sweep a day shows as much.
            await let_pass(DAY if self.case.weekly and not invariants.left_to_do(self) else SWEEP)

    async def _replay(self, at: float, market: str, *, fresh: bool) -> None:
        await let_pass(at)
        event = MarketRequested(run_id=self.case.runs[0], market=market, replay=True, fresh=fresh, reason="replay")
        self.publish(event, f"replay/{at}", clock_off=self.case.clock_off)

    async def _harm(self, at: float, market: str, how: Harm) -> None:
        await let_pass(at)
        if await harm(self.bucket, self.case.runs[0], market, how):
            self.chance.injected[f"part {how}"] += 1
            self.note(f"{part_name(self.case.runs[0], market)} {how}")

    async def _stray(self, at: float) -> None:
        await let_pass(at)
        self.chance.injected["strays beside the parts"] += 1
        await stray(self.bucket, self.case.runs[0], self.case.markets[0])

    async def _litter(self, at: float) -> None:
        await let_pass(at)
        self.chance.injected["litter among the documents"] += 1
        await litter(self.bucket, self.case.runs[0], self.chance)

    async def _order(self, at: float, kind: Kind) -> None:
        await let_pass(at)
        run_id, outside = self.case.runs[0], Operator(self)
        self.note(f"operator orders: {kind} {run_id}")
        now = self.now() + timedelta(seconds=self.case.clock_off)
        await give_order(self.ledger, outside, run_id=run_id, kind=kind, reason="simulated", now=now)

    async def _poison(self, at: float) -> None:
        await let_pass(at)
        for topic in sorted({one.topic for one in self.pubsub.subscriptions if not one.topic.endswith(DEAD)}):
            self.pubsub.publish(topic, Message(b"\xff poison", {"about": "poison"}))

    async def _redrive(self, at: float) -> None:
        await let_pass(at)
        topics = {subscription.name: subscription.topic for subscription in self.pubsub.subscriptions}
        actions = dead_letters.plan(await self.ledger.dead_letters(), topics)
        self.note(f"operator redrives {len(actions)} dead letters")
        mark = Redrive(at=self.now(), by="operator", reason="simulated")
        await dead_letters.carry_out(actions, self.ledger, Operator(self), mark=mark)

    # --- the whole ---------------------------------------------------------------------------------------------

    async def run(self, *, patience: float = 6 * 3600) -> None:
        """Storm, calm, accounts. What is broken is in `broken`."""
        for name in SERVICES:
            for _ in range(1 if name == "market_fetcher" else self.case.instances):
                await self.boot(name)
            self.spawn(self._kill_at_random(name))
        self.spawn(self._tick())
        if self.case.weekly:
            self.spawn(self._age())
        if self.case.sweeps:
            self.spawn(self._sweep())
        self._send_operator()
        await let_pass(self.case.storm)
        self.chance.on = False
        self.note("the faults stop")
        await self._settle(patience)
        if not self.broken:
            self.broken.extend(invariants.after_all(self))
        if not self.broken and self.case.log_replayed and not self.case.harms:
            await self._replay_log()

    def _send_operator(self) -> None:
        for at, market, fresh in self.case.replays:
            self.spawn(self._replay(at, market, fresh=fresh))
        for at in self.case.orders:
            self.spawn(self._order(at, "close"))
        for at in self.case.reopens:
            self.spawn(self._order(at, "reopen"))
        for at in self.case.redrives:
            self.spawn(self._redrive(at))
        for at, market, how in self.case.harms:
            self.spawn(self._harm(at, market, how))
        for at in self.case.strays:
            self.spawn(self._stray(at))
        if self.case.litter is not None:
            self.spawn(self._litter(self.case.litter))
        if self.case.poison is not None:
            self.spawn(self._poison(self.case.poison))

    async def _settle(self, patience: float) -> None:
        orders = (*self.case.orders, *self.case.reopens, *self.case.redrives)
        done = (*self.case.replays, *self.case.harms)
        lasts = [*(at + 1 for at, _, _ in done), *(at + SWEEP + 120 for at in orders)]
        quiet_from = max([self.loop.time(), *lasts])
        await let_pass(quiet_from - self.loop.time())
        while (left := invariants.left_to_do(self)) and not self.broken:
            await let_pass(30 if self.loop.time() >= quiet_from else SWEEP / 2)
            quiet_from = max([quiet_from, *self._second_looks()])
            begins = max([quiet_from, *self._deadlines()])
            if self.loop.time() > begins + patience:
                self.breaks(f"5: {patience / SWEEP:.0f} sweeps after the last fault: {'; '.join(left)}")
        self.settled_after = max(0.0, self.loop.time() - max([quiet_from, *self._deadlines()]))

    def _second_looks(self) -> Iterator[float]:
        """When loads without a driver end, and when what they did to the table is looked at."""
        yield from ((ends - NOW).total_seconds() for ends in self.dataproc.orphans.values())
        for run_id in self.begun:
            if invariants.taken_back(self, run_id):
                finished = invariants.receipts(self, run_id)[-1].finished_at
                yield (finished + SECOND_LOOK_AFTER - NOW).total_seconds()

    def _deadlines(self) -> Iterator[float]:
        """Ends of the runs that need their deadline: some market is given up or missing."""
        for run_id in self.case.runs:
            body = self.bucket.body(manifest_name(run_id))
            if body is None or not invariants.missing(self, run_id):
                continue
            expected = Manifest.model_validate_json(body)
            yield (expected.deadline - NOW).total_seconds()
            if run_id == self.case.runs[0]:
                # Reopened, a run has as much time again.
                again = (expected.deadline - expected.created_at).total_seconds()
                yield from (at + again for at in self.case.reopens)

    async def _replay_log(self) -> None:
        """Deliver every acknowledged message once more, as a seek of the subscriptions to their start does.

        What was given up is left out: its effect has never been had. So are requests of runs that lack markets:
        asking for those again is what such a request is for. Where parts were spoilt nothing is delivered again.
        """
        whole = not any(invariants.missing(self, run_id) for run_id in self.case.runs)
        before, made, asked = invariants.memory(self), len(self.dataproc.made), invariants.askings(self)
        self.note("the whole log is delivered again")
        for published in reversed(list(self.pubsub.log)):
            for subscription in self.pubsub.subscriptions:
                if subscription.topic == published.topic and (whole or published.topic != "run-requested"):
                    self.pubsub.deliver(subscription, published)
        await let_pass(1500)
        if invariants.askings(self) != asked:
            return  # the time had come to ask again for missing markets: what changed is no work of the log's
        after = invariants.memory(self)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if changed:
            self.breaks(f"6: replaying the log changed {', '.join(changed)}")
        for fault in invariants.told_twice(self):
            self.breaks(f"6: replaying the log: {fault}")
        if len(self.dataproc.made) != made:
            self.breaks(f"6: replaying the log made {len(self.dataproc.made) - made} more clusters")

    async def close(self) -> None:
        """End everything."""
        self.chance.on = False
        for process in [process for there in self.processes.values() for process in there]:
            process.alive = False
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for there in self.processes.values():
            for process in there:
                await process.stack.aclose()


@dataclass(frozen=True)
class Outcome:
    """What a simulation came to."""

    seed: str
    broken: list[str]
    injected: Counter[str]
    seconds: float
    """Simulated."""
    settled_after: float
    pushes: int
    overdue: int
    """Pushes that were not answered within their subscription's deadline."""
    calls: Counter[str]
    """How often the services made each call."""
    ends: dict[str, tuple[str, list[Row]]]
    """What each run came to: the newest receipt's outcome, and the rows of its partition."""
    history: list[tuple[float, str]]

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return len(self.ends)

    def story(self, last: int = 400) -> str:
        """The readable history; with a failure it is all there is to go by."""
        head = [f"seed {self.seed}: " + ("; ".join(self.broken) or "all invariants hold")]
        if self.broken and self.seed.isdecimal():
            head.append(f"repeat it with: .venv/bin/python -m tests.simulation --start {self.seed} --seeds 1")
        shown = self.history[-last:]
        left_out = len(self.history) - len(shown)
        lines = [f"{timedelta(seconds=round(at))!s:>15}  {line}" for at, line in shown]
        return "\n".join([*head, *([f"({left_out} lines before)"] if left_out else []), *lines])


def simulate(
    seed: str, *, case: Case | None = None, fates: Fates | None = None, chance: Chance | None = None
) -> Outcome:
    """Run one simulation on a loop of its own; without a case and a chance, the seed's own storm."""
    with asyncio.Runner(loop_factory=_loop) as runner, _logs() as unexpected:
        return runner.run(_simulate(seed, case, fates, chance or Chance(seed), unexpected))


async def _simulate(
    seed: str, case: Case | None, fates: Fates | None, chance: Chance, unexpected: list[str]
) -> Outcome:
    world = World(case or Case.drawn(chance), chance, fates or chance)
    try:
        await world.run()
    finally:
        await world.close()
    world.broken.extend(f"unexpected: {line}" for line in unexpected)
    return Outcome(
        seed,
        world.broken,
        chance.injected,
        world.loop.time(),
        world.settled_after,
        world.pushes,
        world.overdue,
        world.calls,
        invariants.ends(world),
        world.history,
    )


def _loop() -> VirtualTimeLoop:
    loop = VirtualTimeLoop()
    loop.set_task_factory(task_factory)
    loop.set_exception_handler(lambda _loop, _context: None)  # a dead process leaves futures nobody asks for
    return loop


class _Unexpected(logging.Handler):
    """Keeps what the services log as unexpected: an exception that nobody thought of."""

    def __init__(self, found: list[str], render: Callable[[logging.LogRecord], str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found
        self._render = render

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        if record.getMessage() == "unexpected":
            self._found.append(self._render(record))


@contextmanager
def _logs() -> Iterator[list[str]]:
    """Silence the services, but for what they did not expect."""
    found: list[str] = []
    formatter = logging.Formatter()
    handler = _Unexpected(found, lambda record: formatter.format(record)[-1500:])
    loggers = [logging.getLogger(name) for name in ("eventing", "services")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
        logger.propagate = False
    app = logging.getLogger("eventing.app")
    app_level = app.level
    app.setLevel(logging.ERROR)
    app.addHandler(handler)
    try:
        yield found
    finally:
        app.removeHandler(handler)
        app.setLevel(app_level)
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.propagate = propagate
