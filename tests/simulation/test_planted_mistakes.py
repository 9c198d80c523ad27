"""Mistakes planted on purpose into the real code, one at a time: each must turn a check red.

A suite that stays green on a mistake protects nothing. The table of what caught what is printed at the end.
"""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame

from contracts import names
from contracts.events import DeadLettered, Delivery, MarketRequested
from contracts.names import RunObject, cluster_name, parse_part_name, raw_prefix
from eventing import deadlines, sweeping
from eventing.ledger import RunIndex
from services.batch_trigger import decisions as barrier
from services.batch_trigger import handlers as batch_trigger
from services.batch_trigger.ports import Ports as BarrierPorts
from services.cluster_manager import decisions as life_cycle
from services.cluster_manager import handlers as cluster_manager
from services.cluster_manager.adapters import dataproc as adapter
from services.cluster_manager.ports import Cluster
from services.cluster_manager.ports import Ports as ManagerPorts
from services.cluster_manager.sizing import ClusterSize
from services.market_fetcher import albums
from services.market_fetcher import decisions as fetching
from services.market_fetcher import handlers as market_fetcher
from services.market_fetcher.shapes import Absent
from services.notifier import handlers as notifier
from spark_job import sink, verdict
from spark_job.decision import PART_SUFFIX, Part
from tests.simulation import job as spark
from tests.simulation.chance import Chance, Fates
from tests.simulation.crash_points import CASES, COMPLETE, Plan
from tests.simulation.test_simulation import ORPHANED, SHORT, Hanging, sold_out
from tests.simulation.world import Case, simulate

Plant = Callable[[pytest.MonkeyPatch], None]
Check = Callable[[], Iterator[str | None]]
"""What the first red check says, None where all stay green."""


# --- the mistakes ----------------------------------------------------------------------------------------------


def a_barrier_that_counts(patch: pytest.MonkeyPatch) -> None:
    arrived: Counter[str] = Counter()

    async def counting(delivery: Delivery, *, ports: BarrierPorts, coalescer: Any) -> None:
        key = parse_part_name(delivery.event.name)
        assert key is not None
        arrived[key.run_id] += 1
        facts = await batch_trigger._facts(key.run_id, ports.ledger)
        if arrived[key.run_id] >= len(facts.manifest.markets):
            there = tuple(facts.parts.values())
            close = barrier.Close(1, "complete", verdict_load=True, parts=there, missing=(), least=0, holds=())
            await batch_trigger._close(close, facts, ports)

    patch.setattr(batch_trigger, "on_object_finalized", counting)


def acknowledge_before_write(patch: pytest.MonkeyPatch) -> None:
    fetch: Any = market_fetcher._fetch
    later: set[asyncio.Task[None]] = set()

    async def promise(*given: Any, **known: Any) -> None:
        task = asyncio.create_task(fetch(*given, **known))
        later.add(task)
        task.add_done_callback(later.discard)

    patch.setattr(market_fetcher, "_fetch", promise)


def a_random_job_id(patch: pytest.MonkeyPatch) -> None:
    drawn = itertools.count()

    def job_id(run_id: str, _revision: int, _attempt: int) -> str:
        return f"new-releases-{run_id.replace('-', '')}-{next(drawn):08x}"

    patch.setattr(adapter, "job_id", job_id)


def an_append_load(patch: pytest.MonkeyPatch) -> None:
    def append(rows: DataFrame, *, table: str, load_date: date, revision: int, temporary_bucket: str) -> None:
        chosen = sink.options(load_date=load_date, revision=revision, temporary_bucket=temporary_bucket)
        rows.write.format("bigquery").options(**chosen).mode("append").save(table)

    patch.setattr(sink, "replace_partition", append)


def delete_by_name_only(patch: pytest.MonkeyPatch) -> None:
    def whatever_it_is(facts: life_cycle.Facts, *, keep: str | None) -> list[life_cycle.Action]:
        found = [cluster for cluster in facts.clusters if cluster.name != keep and cluster.state != "DELETING"]
        return [life_cycle.DeleteCluster(cluster.name, cluster.uuid) for cluster in found]

    patch.setattr(life_cycle, "_delete_all", whatever_it_is)


def create_outside_the_guarded_step(patch: pytest.MonkeyPatch) -> None:
    reconcile = cluster_manager.reconcile

    async def eager(run_id: str, *, ports: ManagerPorts, limits: Any) -> None:
        await ports.dataproc.create_cluster(cluster_name(run_id, 1), run_id, ClusterSize("e2-standard-2", 0))
        await reconcile(run_id, ports=ports, limits=limits)

    patch.setattr(cluster_manager, "reconcile", eager)


def already_exists_taken_for_success(patch: pytest.MonkeyPatch) -> None:
    def unseen(facts: life_cycle.Facts) -> Cluster | None:
        claimed = {claim.cluster for claim in facts.claims}
        return next((cluster for cluster in facts.clusters if cluster.name in claimed), None)

    patch.setattr(life_cycle, "_usable", unseen)


def a_decision_whose_event_is_lost(patch: pytest.MonkeyPatch) -> None:
    decide = barrier.decide

    def silent(facts: barrier.Facts, now: Any) -> barrier.Step:
        step = decide(facts, now)
        return barrier.Wait("said already") if isinstance(step, barrier.Announce) else step

    patch.setattr(batch_trigger, "decide", silent)


def a_hot_loop_on_retry_after_0(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fetching, "_FLOOR_SECONDS", 0.0)


def redrive_to_the_topic(patch: pytest.MonkeyPatch) -> None:
    async def redrive(delivery: Delivery, *, ports: BarrierPorts, coalescer: Any) -> None:
        event: DeadLettered = delivery.event
        if isinstance(event.original, MarketRequested):
            await ports.publisher.publish([event.original], cause=delivery.event_id)

    patch.setattr(batch_trigger, "on_dead_lettered", redrive)


def a_job_that_loads_the_folder(patch: pytest.MonkeyPatch) -> None:
    """In the simulated job: the real one finds its parts with Spark."""
    decided = spark.decided

    def found(bucket: Any, arguments: Any) -> Any:
        folder = raw_prefix(arguments.run_id)
        there = [name for name in bucket.names() if name.startswith(folder) and parse_part_name(name)]
        sizes = {name.removeprefix(folder).removesuffix(PART_SUFFIX): len(bucket.body(name)) for name in there}
        parts = tuple(Part(market=market, size=size) for market, size in sizes.items())
        return replace(decided(bucket, arguments), parts=parts)

    patch.setattr(spark, "decided", found)


def empty_replaces_full(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(market_fetcher, "would_empty", lambda _standing: None)


def a_404_believed_at_one_look(patch: pytest.MonkeyPatch) -> None:
    async def once(self: albums.Albums, wanted: Any, reading: Any, began: Any) -> Any:
        found = await self._look(wanted, reading, began)
        return replace(found, sure=True) if isinstance(found, Absent) else found

    patch.setattr(albums.Albums, "_look_twice", once)


def a_short_album_read_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(albums, "tracks_told", lambda _album: 0)


def a_vanished_part_makes_a_smaller_decision(patch: pytest.MonkeyPatch) -> None:
    def whatever_differs(facts: barrier.Facts, newest: Any) -> Any:
        there = {market: part.generation for market, part in facts.parts.items()}
        return list(facts.parts.values()) if there != barrier._decided(newest) else []

    patch.setattr(barrier, "_news", whatever_differs)
    patch.setattr(barrier, "_held", lambda _facts: frozenset())


def a_decision_that_holds_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(barrier, "_held", lambda _facts: frozenset())


def counts_that_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verdict, "_miscounted", lambda _part, _found: None)


def a_job_tried_again_after_its_load(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(life_cycle, "_is_loaded", lambda _facts: False)


def archived_runs_are_swept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunIndex, "is_archived", lambda _self, _now, _raw_days: False)


def a_refusals_entry_wakes(patch: pytest.MonkeyPatch) -> None:
    handle = cluster_manager.on_dataproc_operation

    async def woken(delivery: Delivery, *, coalescer: Any) -> None:
        news = delivery.event.model_copy(update={"last": True})
        await handle(delivery.model_copy(update={"event": news}), coalescer=coalescer)

    patch.setattr(cluster_manager, "on_dataproc_operation", woken)


def no_pause_after_a_refusal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(life_cycle, "not_before", lambda refused: refused[-1].claimed_at)


def a_refusal_taken_for_a_fault_of_the_request(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(adapter, "is_refusal", lambda _words: False)


def a_stockout_taken_for_a_broken_cluster(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(life_cycle, "is_refusal", lambda _words: False)


def no_second_look(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cluster_manager, "look_is_due", lambda _index, _now: False)


def a_second_look_too_soon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(life_cycle, "SECOND_LOOK_AFTER", timedelta(hours=1))


def a_second_look_that_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    async def forget(_run_id: str, _found: life_cycle.NoteLook, _ports: ManagerPorts) -> None:
        pass

    patch.setattr(cluster_manager, "_note_look", forget)


def a_call_without_a_deadline(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deadlines, "CALL", deadlines.Deadline(600))


def a_sweep_that_ends_at_the_first_trouble(patch: pytest.MonkeyPatch) -> None:
    async def one_after_the_other(runs: Iterable[str], look: Callable[[str], Awaitable[None]]) -> None:
        for run_id in runs:
            await look(run_id)

    patch.setattr(sweeping, "each", one_after_the_other)


def a_name_taken_for_a_number(patch: pytest.MonkeyPatch) -> None:
    def whatever_it_is(name: str) -> RunObject | None:
        _, run_id, folder, *rest = f"{name}/".split("/")
        if not rest or not rest[0]:
            return RunObject(run_id) if folder == "manifest.json" else None
        stem = rest[0].removesuffix(".json")
        by_market = folder in ("throttled", "dead-letters")
        return RunObject(run_id, folder, market=stem) if by_market else RunObject(run_id, folder, int(stem))

    patch.setattr(names, "parse_run_object", whatever_it_is)


# --- the checks ------------------------------------------------------------------------------------------------


def storms(case: Case, rates: dict[str, float], most: int = 30) -> Check:
    """The simulation, with faults that matter to the mistake: a few seeds."""

    def check() -> Iterator[str | None]:
        for seed in range(most):
            name = f"planted/{seed}"
            broken = simulate(name, case=case, chance=Chance(name, rates)).broken
            yield f"simulation, seed {seed}: {broken[0]}" if broken else None

    return check


def quiet(case: Case) -> Check:
    """The simulation without any fault."""

    def check() -> Iterator[str | None]:
        broken = simulate("quiet", case=case, chance=Chance.none()).broken
        yield f"quiet run: {broken[0]}" if broken else None

    return check


def crash_points(case: Case) -> Check:
    """Every crash point of a quiet run."""

    def check() -> Iterator[str | None]:
        plan = Plan.of(case)
        for single in plan.singles:
            found = next(plan.failures([single]), None)
            yield f"crash points: {found}" if found else None

    return check


def frugal(
    case: Case, most: dict[str, int], chance: Callable[[], Chance] = Chance.none, fates: Fates | None = None
) -> Check:
    """One simulation: calls that begin so are bounded, no delivery outlives its deadline, and all is loaded."""

    def check() -> Iterator[str | None]:
        found = simulate("frugal", case=case, chance=chance(), fates=fates)
        made = {what: sum(n for call, n in found.calls.items() if call.startswith(what)) for what in most}
        over = [
            f"{made[what]} calls {what!r}, {bound} at most" for what, bound in most.items() if made[what] > bound
        ]
        over += [f"{found.overdue} deliveries outlived their deadline"] if found.overdue else []
        over += [f"{run_id} ended {end}" for run_id, (end, _) in found.ends.items() if end != "loaded"]
        yield next(iter([*found.broken, *over]), None)

    return check


@dataclass(frozen=True)
class Mistake:
    """A mistake and the check that must catch it."""

    plant: Plant
    check: Check

    @property
    def name(self) -> str:
        """Its name, as people say it."""
        return self.plant.__name__.replace("_", " ")


SHORT_OF_QUOTA = replace(SHORT, no_quota=3600)
STORMY = Case(storm=1800, log_replayed=False)
REPLAYED = replace(STORMY, share=0.5, replays=((500, "DK", False),))
LITTERED = replace(STORMY, litter=60)
REPEATED = replace(STORMY, share=0.5, harms=((180, "SE", "vanishes"),))


def a_message_that_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(notifier, "turn", lambda _standing, _now: "ours")


def a_claim_taken_for_the_message(patch: pytest.MonkeyPatch) -> None:
    """Whoever dies between claim and sending has told nobody, and nobody ever will."""
    patch.setattr(notifier, "turn", lambda standing, _now: "over" if standing else "ours")


MISTAKES = [
    Mistake(a_barrier_that_counts, storms(STORMY, {"message doubled": 0.7, "message delayed": 0.3})),
    Mistake(acknowledge_before_write, quiet(COMPLETE)),
    Mistake(a_random_job_id, storms(replace(STORMY, instances=2), {"call late": 0.2, "message doubled": 0.5})),
    Mistake(an_append_load, quiet(CASES["a market replayed"])),
    Mistake(delete_by_name_only, storms(STORMY, {"stranger takes the name": 0.5})),
    Mistake(create_outside_the_guarded_step, quiet(Case())),
    Mistake(already_exists_taken_for_success, storms(STORMY, {"stranger takes the name": 0.5})),
    Mistake(a_decision_whose_event_is_lost, crash_points(COMPLETE)),
    Mistake(a_hot_loop_on_retry_after_0, storms(STORMY, {"spotify 429 at once": 0.5})),
    Mistake(redrive_to_the_topic, quiet(CASES["too few markets"])),
    Mistake(a_job_that_loads_the_folder, quiet(Case(strays=(60,)))),
    Mistake(empty_replaces_full, storms(REPLAYED, {"spotify says there is nothing": 0.5})),
    Mistake(a_404_believed_at_one_look, storms(STORMY, {"spotify 404 for a moment": 0.3})),
    Mistake(a_short_album_read_once, storms(STORMY, {"spotify short album": 0.3})),
    Mistake(a_vanished_part_makes_a_smaller_decision, quiet(Case(share=0.5, harms=((900, "SE", "vanishes"),)))),
    Mistake(a_decision_that_holds_nothing, quiet(replace(REPLAYED, harms=((400, "SE", "vanishes"),)))),
    Mistake(counts_that_are_not_compared, quiet(Case(share=0.5, harms=((400, "SE", "is short"),)))),
    Mistake(a_job_tried_again_after_its_load, storms(REPEATED, {"load's answer lost": 0.7})),
    Mistake(archived_runs_are_swept, quiet(Case.season())),
    Mistake(a_refusals_entry_wakes, frugal(SHORT_OF_QUOTA, {"cluster_manager: list clusters": 24})),
    Mistake(no_pause_after_a_refusal, storms(replace(STORMY, no_quota=1800), {"message doubled": 0.5})),
    Mistake(a_refusal_taken_for_a_fault_of_the_request, frugal(replace(SHORT_OF_QUOTA, no_quota=7200), {})),
    Mistake(a_stockout_taken_for_a_broken_cluster, frugal(STORMY, {}, sold_out)),
    Mistake(no_second_look, quiet(ORPHANED)),
    Mistake(a_second_look_too_soon, quiet(ORPHANED)),
    Mistake(
        a_second_look_that_is_not_noted, frugal(replace(ORPHANED, storm=36000), {"cluster_manager: count": 5})
    ),
    Mistake(a_call_without_a_deadline, frugal(STORMY, {}, fates=Hanging("cluster_manager: list jobs"))),
    Mistake(a_sweep_that_ends_at_the_first_trouble, quiet(LITTERED)),
    Mistake(a_name_taken_for_a_number, quiet(LITTERED)),
    Mistake(a_message_that_is_not_noted, quiet(Case())),
    Mistake(a_claim_taken_for_the_message, crash_points(COMPLETE)),
]
CAUGHT: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    """Prints, at the end, which check caught which mistake."""
    yield
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    lines = [f"  {name:<34} {by[:150]}" for name, by in CAUGHT.items()]
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        print("", "planted mistakes, and what caught them:", *lines, sep="\n")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_planted_mistake_is_caught(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the mistake turns red is green on the real code: the same seeds, the same crash points."""
    with monkeypatch.context() as patch:
        mistake.plant(patch)
        found = list(until_red(mistake.check()))
    assert found[-1:] != [None], "not caught"
    assert set(itertools.islice(mistake.check(), len(found))) == {None}
    CAUGHT[mistake.name] = str(found[-1])


def until_red(trials: Iterator[str | None]) -> Iterator[str | None]:
    """The trials up to the first that goes red."""
    for trial in trials:
        yield trial
        if trial:
            return
