"""The barrier and the cluster manager against small models, on whatever sequences hypothesis thinks of.

The models are dictionaries and a few lines; what is compared is what stands in the bucket after every step.
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts import names
from contracts.documents import LoadResult, Receipt, ThrottledMarket, WarehouseCount
from contracts.events import BatchReady, DeadLettered, Delivery, MarketRequested, ObjectFinalized, SweepRequested
from eventing.coalescing import Coalescer
from eventing.errors import Retryable
from eventing.ledger import RunLedger
from services.batch_trigger import handlers as batch_trigger
from services.batch_trigger.ports import Ports as BarrierPorts
from services.cluster_manager import handlers as cluster_manager
from services.cluster_manager.decisions import Limits, is_active
from services.cluster_manager.ports import Cluster, ClusterState
from services.cluster_manager.ports import Ports as ManagerPorts
from services.cluster_manager.sizing import SizeLimits
from tests.builders import NOW, RUN, TestClock, decision, manifest
from tests.fakes.dataproc import MemoryDataproc
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher
from tests.virtual_time import VirtualTimeLoop

MARKETS = ("DK", "SE", "NO")
EXAMPLES = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
markets = st.sampled_from(MARKETS)


class Machine(RuleBasedStateMachine):
    """A bucket, a clock and a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.clock = TestClock(NOW)
        self.store = MemoryObjectStore(self.clock)
        self.ledger = RunLedger(self.store)
        self.publisher = MemoryPublisher()
        self.table: Any = {}
        self.handled: list[Any] = []

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def handle(self, event: Any) -> None:
        """A delivery; what asks for another one is left for later."""
        try:
            self.do(self.table[type(event)](Delivery(event=event, event_id="e", message_id="m")))
        except Retryable:
            return

    def teardown(self) -> None:
        self.runner.close()


class Barrier(Machine):
    """Model: which generation of which market has landed when, who is given up, and what was decided."""

    @initialize()
    def begin(self) -> None:
        self.manifest = manifest(" ".join(MARKETS))
        self.do(self.ledger.create_manifest(self.manifest))
        ports = BarrierPorts(self.ledger, self.publisher, self.clock, "one", "b")
        work = partial(batch_trigger.reconcile, ports=ports)
        self.table = batch_trigger.handlers(ports, Coalescer(work, linger=timedelta(0)))
        self.landed: dict[str, tuple[int, datetime]] = {}
        self.dead: set[str] = set()
        self.waiting: set[str] = set()
        self.decided: list[dict[str, int]] = []
        self.finished: set[int] = set()

    @rule(market=markets)
    def land(self, market: str) -> None:
        name = names.part_name(RUN, market)
        self.landed[market] = (self.do(self.store.write(name, b"x")), self.clock())

    @rule(market=markets)
    def tell_of_a_part(self, market: str) -> None:
        self.look(ObjectFinalized(bucket="b", name=names.part_name(RUN, market), generation=1))

    @rule()
    def sweep(self) -> None:
        self.look(SweepRequested())

    @rule(market=markets)
    def give_up(self, market: str) -> None:
        self.dead.add(market)
        original = MarketRequested(run_id=RUN, market=market)
        message_id = str(len(self.handled) + 1)
        self.look(DeadLettered(subscription="fetcher", message_id=message_id, original=original))

    @rule(market=markets)
    def throttle(self, market: str) -> None:
        self.waiting.add(market)
        until = self.clock() + timedelta(hours=1)
        self.do(self.ledger.record_throttled(ThrottledMarket(run_id=RUN, market=market, until=until, reason="q")))

    @rule(minutes=st.sampled_from((0.5, 2, 30, 360)))
    def let_time_pass(self, minutes: float) -> None:
        self.clock.advance(minutes=minutes)

    @precondition(lambda self: len(self.decided) > len(self.finished))
    @rule()
    def finish(self) -> None:
        revision = len(self.decided)
        self.finished = set(range(1, revision + 1))
        self.do(self.store.write(names.receipt_name(RUN, revision), b"{}"))

    @precondition(lambda self: self.handled)
    @rule()
    def deliver_everything_again(self) -> None:
        for event in list(self.handled):
            self.look(event, again=True)

    def look(self, event: Any, *, again: bool = False) -> None:
        """Deliver, and let the model take the same look."""
        if not again:
            self.handled.append(event)
        self.publisher.take()
        self.handle(event)
        self.decide()
        told = self.publisher.take()
        if self.decided and len(self.decided) not in self.finished and not self.is_news():
            assert BatchReady(run_id=RUN, revision=len(self.decided)) in told, "a decision stands untold"

    def decide(self) -> None:
        """The rules of completeness, in the model's words."""
        now, there = self.clock(), {market: generation for market, (generation, _) in self.landed.items()}
        missing = set(MARKETS) - set(there)
        late = now >= self.manifest.deadline
        if not self.decided:
            hopeless = all(m in self.dead and m not in self.waiting for m in missing)
            if not missing or late or hopeless:
                self.decided.append(there)
        elif self.is_news():
            quiet = all(now - at >= timedelta(seconds=60) for at in self.news())
            whole_at_last = not missing and set(self.decided[-1]) != set(MARKETS)
            if quiet or whole_at_last:
                self.decided.append(there)

    def news(self) -> list[datetime]:
        known = self.decided[-1]
        return [at for market, (generation, at) in self.landed.items() if known.get(market) != generation]

    def is_news(self) -> bool:
        return bool(self.news())

    @invariant()
    def the_bucket_holds_what_the_model_decided(self) -> None:
        index = self.do(self.ledger.index(RUN))
        assert list(index.decisions) == list(range(1, len(self.decided) + 1))
        for revision, parts in enumerate(self.decided, 1):
            made = self.do(self.ledger.decision(RUN, revision))
            assert {part.market: part.generation for part in made.parts} == parts
            assert {entry.market for entry in made.missing} == set(MARKETS) - set(parts)
            assert (made.verdict == "load") == (len(parts) >= 2)


class OneTable:
    """The table, as the last job left it."""

    def __init__(self) -> None:
        self.holds = WarehouseCount(rows=0, markets=0, albums=0)

    async def count(self, run_id: str) -> WarehouseCount:
        return self.holds


class LifeCycle(Machine):
    """Model: what each revision's jobs came to; clusters and jobs change state as hypothesis likes."""

    @initialize()
    def begin(self) -> None:
        self.dataproc = MemoryDataproc(self.clock)
        size = SizeLimits("e2-standard-2", bytes_per_machine=1000, max_workers=4)
        self.limits = Limits(cluster_attempts=2, job_attempts=2, cluster_start=timedelta(minutes=20), size=size)
        self.warehouse = OneTable()
        ports = ManagerPorts(self.ledger, self.publisher, self.dataproc, self.warehouse, self.clock, "b")
        work = partial(cluster_manager.reconcile, ports=ports, limits=self.limits)
        self.table = cluster_manager.handlers(ports, Coalescer(work, linger=timedelta(0)))
        self.do(self.ledger.create_manifest(manifest()))
        self.revisions = 0
        self.loaded: set[int] = set()
        self.strangers: set[str] = set()
        self.decide()

    @rule()
    def decide(self) -> None:
        if self.revisions < 4:
            self.revisions += 1
            self.do(self.ledger.create_decision(decision("DK SE NO", self.revisions)))
            self.handle(BatchReady(run_id=RUN, revision=self.revisions))

    @rule(revision=st.integers(1, 4))
    def tell_again(self, revision: int) -> None:
        self.handle(BatchReady(run_id=RUN, revision=min(revision, self.revisions)))

    @rule()
    def sweep(self) -> None:
        self.handle(SweepRequested())

    @rule(minutes=st.sampled_from((1, 25)))
    def let_time_pass(self, minutes: float) -> None:
        self.clock.advance(minutes=minutes)

    @rule(state=st.sampled_from(("RUNNING", "ERROR", "UNKNOWN", "STOPPED", "gone")), which=st.integers(0, 9))
    def a_cluster_changes(self, state: Any, which: int) -> None:
        mine = [name for name in self.dataproc.machines if name not in self.strangers]
        if mine:
            self.turn(mine[which % len(mine)], state)

    def turn(self, name: str, state: ClusterState | Any) -> None:
        if state != "RUNNING":
            for job in self.active_jobs():
                if job.cluster == name:
                    self.dataproc.end_job(job.id, "ERROR", "its cluster went")
        if state == "gone":
            self.dataproc.vanish(name)
        elif self.dataproc.machines[name].state != "DELETING":
            self.dataproc.turn(name, state)

    @rule(well=st.booleans())
    def a_job_ends(self, *, well: bool) -> None:
        for job in self.active_jobs():
            if well:
                self.load(job.revision)
            self.dataproc.end_job(job.id, "DONE" if well else "ERROR")

    def load(self, revision: int) -> None:
        self.loaded.add(revision)
        self.warehouse.holds = WarehouseCount(rows=revision, markets=3, albums=5, revision=revision)
        result = LoadResult(
            run_id=RUN, revision=revision, files=3, albums=5, tracks=9, rows=revision, quarantined=0
        )
        self.do(self.store.write(names.load_name(RUN, revision), result.to_json()))

    @rule()
    def a_stranger_takes_the_next_name(self) -> None:
        name = names.cluster_name(RUN, len(self.dataproc.created) + 1)
        if name not in self.dataproc.machines and name not in self.dataproc.created:
            self.strangers.add(name)
            self.dataproc.machines[name] = Cluster(name, f"stranger-{name}", "RUNNING", {"app": "another"})

    def active_jobs(self) -> list[Any]:
        return [job for job in self.dataproc.submitted.values() if is_active(job.state)]

    def receipts(self) -> list[Receipt]:
        found = [self.do(self.ledger.receipt(RUN, revision)) for revision in range(1, self.revisions + 1)]
        return [receipt for receipt in found if receipt is not None]

    @invariant()
    def one_job_at_a_time_and_only_on_our_clusters(self) -> None:
        assert len(self.active_jobs()) <= 1
        assert not {job.cluster for job in self.dataproc.submitted.values()} & self.strangers

    @invariant()
    def attempts_are_bounded(self) -> None:
        if self.revisions:
            assert len(self.dataproc.created) <= self.revisions * self.limits.cluster_attempts
            assert all(job.attempt <= self.limits.job_attempts for job in self.dataproc.submitted.values())

    @invariant()
    def strangers_are_left_alone(self) -> None:
        assert not set(self.dataproc.deleted) & getattr(self, "strangers", set())

    @invariant()
    def a_receipt_says_loaded_where_the_model_loaded(self) -> None:
        for receipt in self.receipts() if self.revisions else ():
            assert (receipt.outcome == "loaded") == (receipt.revision in self.loaded), receipt

    def teardown(self) -> None:
        """Whatever has happened: once everything works, the newest revision ends and nothing is left."""
        try:
            self.come_to_an_end()
        finally:
            super().teardown()

    def come_to_an_end(self) -> None:
        for _ in range(16):
            self.clock.advance(minutes=10)
            self.handle(SweepRequested())
            self.handle(BatchReady(run_id=RUN, revision=self.revisions))
            for name, found in list(self.dataproc.machines.items()):
                if found.state == "CREATING":
                    self.turn(name, "RUNNING")
                elif found.state == "DELETING":
                    self.turn(name, "gone")
            for job in self.active_jobs():
                self.load(job.revision)
                self.dataproc.end_job(job.id, "DONE")
        told = {receipt.revision for receipt in self.receipts()}
        assert told >= {self.revisions, *(job.revision for job in self.dataproc.submitted.values())}
        assert set(self.dataproc.machines) == self.strangers


TestBarrier = Barrier.TestCase
TestBarrier.settings = EXAMPLES
TestLifeCycle = LifeCycle.TestCase
TestLifeCycle.settings = EXAMPLES
