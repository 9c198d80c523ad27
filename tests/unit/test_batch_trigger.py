"""The barrier: every row of the completeness table, then the handlers around it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from contracts import names
from contracts.documents import DeadLetterRecord, MissingMarket, Order, ThrottledRecord
from contracts.events import BatchReady, DeadLettered, Delivery, MarketRequested, ObjectFinalized, SweepRequested
from eventing.coalescing import Coalescer
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunLedger
from services.batch_trigger.decisions import Announce, Close, Facts, Wait, WaitQuiet, decide, least_markets
from services.batch_trigger.handlers import Ports, handlers, reconcile
from tests.builders import NOW, RUN, START, TestClock, decision, delivery, manifest, part, parts
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher

AFTER_DEADLINE = START + timedelta(hours=6)
MINUTE = timedelta(minutes=1)


def dead(market: str) -> dict[str, DeadLetterRecord]:
    record = DeadLetterRecord(
        run_id=RUN, market=market, reason="403", subscription="s", message_id="1", recorded_at=NOW
    )
    return {market: record}


def throttled(market: str, hours: float) -> dict[str, ThrottledRecord]:
    until = NOW + timedelta(hours=hours)
    return {market: ThrottledRecord(run_id=RUN, market=market, until=until, reason="quota")}


def test_all_parts_close_the_batch() -> None:
    """Complete is the set of expected markets, each once."""
    step = decide(Facts(manifest(), parts("NO DK SE")), NOW)
    assert isinstance(step, Close)
    assert (step.revision, step.close_reason, step.verdict_load, step.missing) == (1, "complete", True, ())
    assert [p.market for p in step.parts] == ["DK", "NO", "SE"]


def test_a_missing_market_keeps_the_batch_open() -> None:
    """No run is complete while a market is missing."""
    assert isinstance(decide(Facts(manifest(), parts("DK SE")), NOW), Wait)


def test_a_dead_lettered_market_is_resolved_but_not_landed() -> None:
    """The batch need not wait for what will not come, and says what is missing and why."""
    step = decide(Facts(manifest(), parts("DK SE"), dead_letters=dead("NO")), NOW)
    assert isinstance(step, Close)
    assert step.missing == (MissingMarket(market="NO", reason="dead-lettered: 403"),)
    assert step.verdict_load


def test_a_dead_letter_that_waits_for_quota_keeps_the_batch_open() -> None:
    """A throttled market will be asked for again; it is not given up before the deadline."""
    facts = Facts(manifest(), parts("DK SE"), dead_letters=dead("NO"), throttled=throttled("NO", 2))
    assert isinstance(decide(facts, NOW), Wait)


def test_a_part_makes_its_old_dead_letter_void() -> None:
    """A redriven market that landed is landed."""
    step = decide(Facts(manifest(), parts("DK SE NO"), dead_letters=dead("NO")), NOW)
    assert isinstance(step, Close)
    assert step.missing == ()


def test_the_deadline_closes_with_a_quorum() -> None:
    """Most of Europe on Monday is better than all of it never; the rest is named."""
    facts = Facts(manifest(), parts("DK SE"), throttled=throttled("NO", 24))
    assert isinstance(decide(facts, AFTER_DEADLINE - MINUTE), Wait)
    step = decide(facts, AFTER_DEADLINE)
    assert isinstance(step, Close)
    assert (step.close_reason, step.verdict_load) == ("deadline", True)
    assert step.missing[0].market == "NO"
    assert step.missing[0].reason.startswith("throttled until 2026-11-23T23:05")


def test_the_deadline_without_a_quorum_fails_the_run() -> None:
    """Too little to show is shown as a failure, not as a week without releases."""
    step = decide(Facts(manifest(), parts("DK")), AFTER_DEADLINE)
    assert isinstance(step, Close)
    assert not step.verdict_load
    assert [entry.market for entry in step.missing] == ["SE", "NO"]


def test_nothing_landed_never_loads_even_where_the_policy_asks_for_nothing() -> None:
    """An empty batch would replace a partition by nothing."""
    step = decide(Facts(manifest(minimum=0), {}), AFTER_DEADLINE)
    assert isinstance(step, Close)
    assert not step.verdict_load


@pytest.mark.parametrize(("markets", "share", "least"), [(48, 0.9, 44), (30, 0.1, 3), (3, 1.0, 3), (3, 0.0, 0)])
def test_the_quorum_is_rounded_up_without_binary_dust(markets: int, share: float, least: int) -> None:
    """90 % of 48 is 44 markets, and 10 % of 30 is 3, not 4."""
    codes = " ".join(names.MARKETS[:markets])
    assert least_markets(manifest(codes, minimum=share)) == least


def test_a_standing_decision_without_a_receipt_is_announced_again() -> None:
    """Its event may have been lost between the write and the publish."""
    facts = Facts(manifest(), parts("DK SE NO"), newest=decision("DK SE NO"))
    assert decide(facts, NOW) == Announce(1)


def test_a_finished_decision_is_left_alone() -> None:
    """Replaying the event log changes nothing."""
    facts = Facts(manifest(), parts("DK SE NO"), newest=decision("DK SE NO"), newest_has_receipt=True)
    assert isinstance(decide(facts, NOW), Wait)


def test_a_replaced_part_waits_for_quiet_then_makes_a_revision() -> None:
    """Several replays in a row make one new load, not one each."""
    landed = {**parts("DK SE"), "NO": part("NO", generation=2)}
    facts = Facts(manifest(), landed, newest=decision("DK SE NO"), newest_has_receipt=True)
    assert decide(facts, NOW + timedelta(seconds=20)) == WaitQuiet(timedelta(seconds=40))
    step = decide(facts, NOW + timedelta(seconds=60))
    assert isinstance(step, Close)
    assert (step.revision, step.close_reason) == (2, "complete")
    assert {p.market: p.generation for p in step.parts} == {"DK": 1, "SE": 1, "NO": 2}


def test_a_late_part_makes_a_revision_at_once_when_it_was_the_last_missing() -> None:
    """There is nothing more to be quiet for."""
    early = decision("DK SE", close_reason="deadline", missing=(MissingMarket(market="NO", reason="x"),))
    step = decide(Facts(manifest(), parts("DK SE NO"), newest=early, newest_has_receipt=True), NOW)
    assert isinstance(step, Close)
    assert (step.revision, step.close_reason, step.missing) == (2, "complete", ())


def test_a_late_part_makes_a_failed_run_whole() -> None:
    """A run that failed its deadline loads as soon as enough has landed after all."""
    failed = decision("DK", verdict="fail", close_reason="deadline")
    facts = Facts(manifest(), parts("DK SE"), newest=failed, newest_has_receipt=True)
    step = decide(facts, NOW + 2 * MINUTE)
    assert isinstance(step, Close)
    assert (step.revision, step.verdict_load, step.close_reason) == (2, True, "deadline")


def order(number: int = 1, kind: str = "close") -> Order:
    return Order.model_validate(
        {"run_id": RUN, "number": number, "kind": kind, "reason": "enough for today", "ordered_at": NOW}
    )


def test_an_operator_may_close_early_and_the_reason_is_kept() -> None:
    """A person overrides the quorum; who reads the decision later learns why."""
    step = decide(Facts(manifest(), parts("DK"), order=order()), NOW)
    assert isinstance(step, Close)
    assert (step.close_reason, step.verdict_load, step.note) == ("operator", True, "enough for today")
    assert [entry.market for entry in step.missing] == ["SE", "NO"]


def test_an_operator_cannot_load_nothing() -> None:
    """An order to close with no part at all ends the run as failed."""
    step = decide(Facts(manifest(), {}, order=order()), NOW)
    assert isinstance(step, Close)
    assert not step.verdict_load


def test_an_order_is_obeyed_once() -> None:
    """A later part goes the usual way, through the quiet period, not through an old order."""
    obeyed = decision("DK", close_reason="operator", order=1)
    facts = Facts(manifest(), parts("DK SE"), newest=obeyed, newest_has_receipt=True, order=order())
    assert isinstance(decide(facts, NOW), WaitQuiet)
    assert isinstance(decide(replace(facts, order=order(2)), NOW), Close)


def test_an_order_changes_a_failed_run_into_a_load() -> None:
    """What failed its quorum can be loaded after all, if a person says so; what is loaded is not loaded again."""
    failed = decision("DK", verdict="fail", close_reason="deadline")
    step = decide(Facts(manifest(), parts("DK"), newest=failed, newest_has_receipt=True, order=order()), NOW)
    assert isinstance(step, Close)
    assert (step.revision, step.verdict_load) == (2, True)
    loaded = decision("DK SE NO")
    facts = Facts(manifest(), parts("DK SE NO"), newest=loaded, newest_has_receipt=True, order=order())
    assert isinstance(decide(facts, NOW), Wait)


def test_reopening_alone_closes_nothing() -> None:
    """Reopening asks for the missing markets again; the barrier waits for them."""
    assert isinstance(decide(Facts(manifest(), parts("DK"), order=order(kind="reopen")), NOW), Wait)


class World:
    """The batch trigger with everything it acts on in memory."""

    def __init__(self, store: MemoryObjectStore | None = None, owner: str = "one") -> None:
        self.clock = TestClock()
        self.store = store or MemoryObjectStore(self.clock)
        self.publisher = MemoryPublisher()
        self.ports = Ports(RunLedger(self.store), self.publisher, self.clock, owner, "b")
        work = partial(reconcile, ports=self.ports)
        self.table: Mapping[type, Any] = handlers(self.ports, Coalescer(work, linger=timedelta(0)))

    async def handle(self, event: Any, event_id: str = "e1") -> None:
        await self.table[type(event)](Delivery(event=event, event_id=event_id, message_id="m"))

    async def start(self, markets: str = "DK SE NO") -> None:
        await self.ports.ledger.create_manifest(manifest(markets))

    async def land(self, market: str) -> ObjectFinalized:
        name = names.part_name(RUN, market)
        return ObjectFinalized(bucket="b", name=name, generation=await self.store.write(name, b"x"))


async def test_the_last_part_brings_the_decision_and_its_event() -> None:
    """The whole way of a batch, in any order, with duplicates."""
    world = World()
    await world.start()
    events = [await world.land(market) for market in ("NO", "DK")]
    for event in [*events, *events]:
        await world.handle(event)
    assert world.publisher.take() == []
    await world.handle(await world.land("SE"))
    assert world.publisher.take() == [BatchReady(run_id=RUN, revision=1)]
    written = await world.ports.ledger.decision(RUN, 1)
    assert written is not None
    assert [p.market for p in written.parts] == ["DK", "NO", "SE"]


async def test_two_instances_make_one_decision_and_both_announce_it() -> None:
    """One create wins; the loser's announcement heals a winner that died before its own."""
    one = World()
    two = World(one.store, owner="two")
    await one.start()
    events = [await one.land(market) for market in ("DK", "SE", "NO")]
    await asyncio.gather(one.handle(events[2]), two.handle(events[2]))
    assert one.publisher.take() == two.publisher.take() == [BatchReady(run_id=RUN, revision=1)]
    assert [name for name in one.store.names() if "decisions" in name] == [names.decision_name(RUN, 1)]


async def test_a_part_of_an_unknown_run_comes_again_later() -> None:
    """The event may overtake the manifest; an unknown run is never complete, and never forgotten."""
    world = World()
    with pytest.raises(Retryable, match="no manifest"):
        await world.handle(await world.land("DK"))


async def test_a_burst_costs_few_listings() -> None:
    """A thousand finalize events for a thousand markets must not list the bucket a thousand times."""
    codes = [a + b for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    world = World()
    await world.start(" ".join(codes))
    events = [await world.land(code) for code in codes]
    await asyncio.gather(*(world.handle(event) for event in events))
    assert world.publisher.take() == [BatchReady(run_id=RUN, revision=1)]
    assert len(world.store.listings) <= 0.02 * len(codes)


async def test_a_market_outside_the_manifest_is_not_counted() -> None:
    """A stray object must neither complete nor spoil a batch."""
    world = World()
    await world.start("DK SE")
    await world.land("NO")
    await world.handle(await world.land("DK"))
    assert world.publisher.take() == []


async def test_a_dead_letter_is_recorded_and_may_close_the_batch() -> None:
    """A market that will not come is written down with its reason, and the others need not wait for it."""
    world = World()
    await world.start()
    for market in ("DK", "SE"):
        await world.handle(await world.land(market))
    original = MarketRequested(run_id=RUN, market="NO")
    await world.handle(DeadLettered(subscription="s", message_id="9", delivery_count=100, original=original))
    assert world.publisher.take() == [BatchReady(run_id=RUN, revision=1)]
    written = await world.ports.ledger.decision(RUN, 1)
    assert written is not None
    assert written.missing[0].reason == "dead-lettered: given up after 100 deliveries (run)"


async def test_an_unreadable_dead_letter_is_acknowledged_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It stays in the operator's subscription; nacking it here would only make it circle."""
    world = World()
    event = DeadLettered(subscription="s", message_id="9", original=None, unreadable=("data: is not JSON",))
    await world.handle(event)
    assert "dead_letter_without_market" in caplog.text


async def test_another_bucket_is_refused() -> None:
    """A wrongly pointed notification must be seen, not swallowed."""
    world = World()
    with pytest.raises(Permanent, match="is not ours"):
        await world.handle(ObjectFinalized(bucket="other", name=names.part_name(RUN, "DK"), generation=1))


async def test_what_is_not_a_part_is_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    """Objects that are no parts do not concern the barrier."""
    world = World()
    await world.handle(ObjectFinalized(bucket="b", name="raw/2026-11-23/../x", generation=1))
    assert "not_a_part" in caplog.text


async def test_a_sweep_closes_what_lost_events_left_open() -> None:
    """With every finalize event lost, the sweep alone brings the decision, also past a run that has trouble."""
    world = World()
    await world.start()
    for market in ("DK", "SE", "NO"):
        await world.land(market)
    other = manifest().model_copy(update={"run_id": "2026-11-16"})
    await world.ports.ledger.create_manifest(other)
    newest = decision("", run_id="2026-11-16")
    await world.ports.ledger.create_decision(newest)
    await world.store.write(names.part_name("2026-11-16", "DK"), b"late")
    await world.handle(SweepRequested())
    assert world.publisher.take() == [BatchReady(run_id=RUN, revision=1)]


async def test_replaying_the_whole_event_log_changes_nothing() -> None:
    """Invariant: events wake, they do not tell."""
    world = World()
    await world.start()
    events = [await world.land(market) for market in ("DK", "SE", "NO")]
    for event in events:
        await world.handle(event)
    before = world.store.names()
    for event in reversed(events):
        await world.handle(event)
    assert world.store.names() == before


async def test_facts_hold_the_decision_before_the_parts() -> None:
    """A part that lands while the facts are read must be news to the decision, never be overlooked."""
    facts = Facts(manifest(), parts("DK SE NO"), newest=decision("DK SE"), newest_has_receipt=True)
    assert isinstance(decide(facts, NOW + MINUTE), Close)
    assert isinstance(decide(replace(facts, newest=decision("DK SE NO")), NOW + MINUTE), Wait)


def test_the_test_delivery_is_a_delivery() -> None:
    """The builder the other tests lean on gives what the runtime gives."""
    assert delivery(SweepRequested()).message_id == "m-e1"
