"""A year of sweeps over weeks that were loaded, while what lies in the raw bucket grows too old and goes."""

from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from contracts import names
from contracts.documents import CompletenessPolicy, LoadResult, WarehouseCount
from contracts.events import MarketRequested, SweepRequested
from eventing.coalescing import Coalescer
from eventing.ledger import RunLedger
from eventing.objects import StoredObject
from services.batch_trigger import handlers as barrier
from services.batch_trigger.ports import Ports as BarrierPorts
from services.cluster_manager import handlers as manager
from services.cluster_manager.decisions import Limits
from services.cluster_manager.ports import Ports as ManagerPorts
from services.cluster_manager.sizing import SizeLimits
from services.scheduler import handlers as scheduler
from services.scheduler.decisions import Plan
from services.scheduler.ports import Ports as SchedulerPorts
from tests.builders import NOW, TestClock, delivery, manifest
from tests.fakes.dataproc import MemoryDataproc
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher

RAW_DAYS = 90
MARKETS = ("DK", "SE", "NO")
WEEKS = tuple((NOW + timedelta(hours=1, weeks=week)).date().isoformat() for week in range(3))
LIMITS = Limits(2, 2, timedelta(minutes=20), SizeLimits("e2-standard-2", 1000, 4))
SWEEP = delivery(SweepRequested())


class AgingStore(MemoryObjectStore):
    """A bucket whose raw objects are deleted by age, one object after the other; it knows what was read."""

    def __init__(self, clock: TestClock) -> None:
        super().__init__(clock)
        self.now = clock
        self.reads: list[str] = []

    def age(self) -> None:
        """As the life-cycle rule does."""
        for name, (_, info) in list(self._objects.items()):
            if name.startswith("raw/") and self.now() - info.updated >= timedelta(days=RAW_DAYS):
                del self._objects[name]

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        """See `ObjectStore.read`."""
        self.reads.append(name)
        return await super().read(name, most_bytes=most_bytes)


class OneTable:
    """Whatever is asked of it, revision 1 is loaded."""

    async def count(self, _run_id: str) -> WarehouseCount:
        """See `Warehouse.count`."""
        return WarehouseCount(rows=30, markets=3, albums=5, revision=1)


class Pipeline:
    """Three services over one bucket; parts land and jobs end as the test says."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.store = AgingStore(self.clock)
        self.ledger = RunLedger(self.store)
        self.publisher = MemoryPublisher()
        self.dataproc = MemoryDataproc(self.clock)
        self.tables = [self._scheduler(), self._barrier(), self._manager()]

    def _scheduler(self) -> Any:
        plan = Plan(ZoneInfo("Europe/Copenhagen"), MARKETS, timedelta(hours=6), CompletenessPolicy())
        ports = SchedulerPorts(self.ledger, self.publisher, self.clock, RAW_DAYS)
        asking = scheduler.AskAgain(timedelta(hours=1), timedelta(days=7))
        return scheduler.handlers(ports, plan, asking, watch=None)

    def _barrier(self) -> Any:
        ports = BarrierPorts(self.ledger, self.publisher, self.clock, "one", "b", RAW_DAYS)
        return barrier.handlers(ports, Coalescer(partial(barrier.reconcile, ports=ports), linger=timedelta(0)))

    def _manager(self) -> Any:
        ports = ManagerPorts(
            self.ledger, self.publisher, self.dataproc, OneTable(), self.clock, "b", raw_days=RAW_DAYS
        )
        work = partial(manager.reconcile, ports=ports, limits=LIMITS)
        return manager.handlers(ports, Coalescer(work, linger=timedelta(0)))

    async def sweep(self) -> None:
        """The life-cycle rule at work, then every service's sweep."""
        self.store.age()
        for table in self.tables:
            await table[SweepRequested](SWEEP)

    async def load(self, run_id: str) -> None:
        """A week as it should be; its parts come two hours apart."""
        expected = manifest().model_copy(update={"run_id": run_id, "markets": MARKETS})
        await self.ledger.create_manifest(
            expected.model_copy(update={"deadline": self.clock() + timedelta(hours=6)})
        )
        for market in MARKETS:
            await self.store.write(names.part_name(run_id, market), b"x")
            self.clock.advance(hours=2)
        for _ in range(3):
            await self.sweep()
            for name, cluster in list(self.dataproc.machines.items()):
                if cluster.state == "CREATING":
                    self.dataproc.turn(name, "RUNNING")
                elif cluster.state == "DELETING":
                    self.dataproc.vanish(name)
        result = LoadResult(run_id=run_id, revision=1, files=3, albums=5, tracks=30, rows=30, quarantined=0)
        await self.store.write(names.load_name(run_id, 1), result.to_json())
        self.dataproc.end_job(names.job_id(run_id, 1, 1), "DONE")
        await self.sweep()
        self.dataproc.machines.clear()
        await self.sweep()

    def decisions(self) -> list[str]:
        """Every decision there is."""
        return [name for name in self.store.names() if "/decisions/" in name]


async def test_a_year_leaves_every_week_as_it_was_loaded() -> None:
    """What is left of a week makes no decision, asks for no market and costs no cluster.

    The parts go one after the other, and once the week is archived not even its documents are read.
    """
    pipeline = Pipeline()
    for run_id in WEEKS:
        pipeline.clock.now = max(pipeline.clock(), NOW + timedelta(weeks=WEEKS.index(run_id)))
        await pipeline.load(run_id)
    decided = [names.decision_name(run_id, 1) for run_id in WEEKS]
    assert pipeline.decisions() == decided
    assert len(pipeline.dataproc.created) == len(WEEKS)
    receipts = [await pipeline.ledger.receipt(run_id, 1) for run_id in WEEKS]
    assert [receipt.outcome for receipt in receipts if receipt] == ["loaded", "loaded", "loaded"]
    pipeline.publisher.take()
    last = pipeline.clock()
    while pipeline.clock() < last + timedelta(days=365):
        pipeline.clock.advance(hours=3)
        await pipeline.sweep()
        if pipeline.clock() <= last + timedelta(days=RAW_DAYS):
            pipeline.store.reads.clear()
    assert pipeline.store.reads == []
    assert [name for name in pipeline.store.names() if name.startswith("raw/")] == []
    assert pipeline.decisions() == decided
    assert len(pipeline.dataproc.created) == len(WEEKS)
    assert [event for event in pipeline.publisher.take() if isinstance(event, MarketRequested)] == []
