"""The barrier: what its decision table does not show (`test_decision_tables.py`), then the handlers around it."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from contracts import names
from contracts.documents import (
    Decision,
    GivenUpMarket,
    LoadResult,
    MissingMarket,
    Order,
    Part,
    PartResult,
    SecondLook,
    ThrottledMarket,
    WarehouseCount,
)
from contracts.envelope.push import BODY_LIMIT_BYTES
from contracts.events import (
    BatchReady,
    DataprocOperation,
    DeadLettered,
    Delivery,
    MarketRequested,
    ObjectFinalized,
    RunRequested,
    SweepRequested,
)
from eventing.coalescing import Coalescer
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunLedger
from services.batch_trigger.decisions import (
    Announce,
    AskAgain,
    Close,
    Facts,
    Repair,
    Wait,
    WaitQuiet,
    decide,
)
from services.batch_trigger.handlers import handlers, reconcile
from services.batch_trigger.ports import Ports
from tests.builders import NOW, RUN, START, TestClock, decision, delivery, manifest, part, parts, receipt
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher

AFTER_DEADLINE = START + timedelta(hours=6)
MINUTE = timedelta(minutes=1)


def dead(market: str) -> dict[str, GivenUpMarket]:
    record = GivenUpMarket(
        run_id=RUN, market=market, reason="403", subscription="s", message_id="1", recorded_at=NOW
    )
    return {market: record}


def throttled(market: str, hours: float) -> dict[str, ThrottledMarket]:
    until = NOW + timedelta(hours=hours)
    return {market: ThrottledMarket(run_id=RUN, market=market, until=until, reason="quota")}


def test_a_decision_names_its_parts_in_the_order_of_markets() -> None:
    """In whatever order they landed, the same parts make the same document."""
    step = decide(Facts(manifest(), parts("NO DK SE")), NOW)
    assert isinstance(step, Close)
    assert [p.market for p in step.parts] == ["DK", "NO", "SE"]


def test_what_is_missing_is_named_with_why() -> None:
    """Given up, or still waiting for quota at the deadline: whoever reads the receipt need not look further."""
    given_up = decide(Facts(manifest(), parts("DK SE"), given_up=dead("NO")), NOW)
    assert isinstance(given_up, Close)
    assert given_up.missing == (MissingMarket(market="NO", reason="dead-lettered: 403"),)
    waiting = decide(Facts(manifest(), parts("DK SE"), throttled=throttled("NO", 24)), AFTER_DEADLINE)
    assert isinstance(waiting, Close)
    assert [entry.market for entry in waiting.missing] == ["NO"]
    assert waiting.missing[0].reason.startswith("throttled until 2026-11-23T23:05")


def test_a_part_makes_its_old_dead_letter_void() -> None:
    """A redriven market that landed is landed."""
    step = decide(Facts(manifest(), parts("DK SE NO"), given_up=dead("NO")), NOW)
    assert isinstance(step, Close)
    assert step.missing == ()


def test_nothing_landed_never_loads_even_where_the_policy_asks_for_nothing() -> None:
    """An empty batch would replace a partition by nothing."""
    step = decide(Facts(manifest(minimum=0), {}), AFTER_DEADLINE)
    assert isinstance(step, Close)
    assert not step.verdict_load


@pytest.mark.parametrize(("markets", "share", "least"), [(48, 0.9, 44), (30, 0.1, 3), (3, 1.0, 3), (3, 0.0, 0)])
def test_the_quorum_is_rounded_up_without_binary_dust(markets: int, share: float, least: int) -> None:
    """90 % of 48 is 44 markets, and 10 % of 30 is 3, not 4."""
    codes = " ".join(names.MARKETS[:markets])
    assert manifest(codes, minimum=share).least_markets == least


def test_a_revision_holds_the_replaced_part_beside_the_others() -> None:
    """The new generation of the one, and those of the others that were decided before."""
    landed = {**parts("DK SE"), "NO": part("NO", generation=2)}
    facts = Facts(manifest(), landed, newest=decision("DK SE NO"), newest_has_receipt=True)
    step = decide(facts, NOW + MINUTE)
    assert isinstance(step, Close)
    assert {p.market: p.generation for p in step.parts} == {"DK": 1, "SE": 1, "NO": 2}


def order(number: int = 1, kind: str = "close") -> Order:
    return Order.model_validate(
        {"run_id": RUN, "number": number, "kind": kind, "reason": "enough for today", "ordered_at": NOW}
    )


def test_the_reason_of_an_operator_is_kept() -> None:
    """Who reads the decision later learns why a person overrode the quorum."""
    step = decide(Facts(manifest(), parts("DK"), orders=(order(),)), NOW)
    assert isinstance(step, Close)
    assert step.note == "enough for today"


@pytest.mark.parametrize(
    ("before", "now_there", "loads"),
    [
        ("load", {"DK": 2}, True),
        ("load", {"DK": 1, "SE": 1}, True),
        ("fail", {"DK": 2}, False),
    ],
)
def test_what_an_operator_closed_below_the_quorum_stays_closed(
    before: str, now_there: dict[str, int], *, loads: bool
) -> None:
    """A market replayed, or landing late, makes the batch better: it must not fail for what it lacked before."""
    closed = decision("DK", close_reason="operator", verdict=before, order=1)
    there = {market: part(market, generation) for market, generation in now_there.items()}
    facts = Facts(manifest(minimum=0.9), there, newest=closed, newest_has_receipt=True)
    step = decide(facts, NOW + 5 * MINUTE)
    assert isinstance(step, Close)
    assert (step.close_reason, step.verdict_load) == ("operator", loads)


def test_an_order_is_obeyed_once() -> None:
    """A later part goes the usual way, through the quiet period, not through an old order."""
    obeyed = decision("DK", close_reason="operator", order=1)
    facts = Facts(manifest(), parts("DK SE"), newest=obeyed, newest_has_receipt=True, orders=(order(),))
    assert isinstance(decide(facts, NOW), WaitQuiet)
    assert isinstance(decide(replace(facts, orders=(order(2),)), NOW), Close)


def test_an_order_changes_a_failed_run_into_a_load() -> None:
    """What failed its quorum can be loaded after all, if a person says so; what is loaded is not loaded again."""
    failed = decision("DK", verdict="fail", close_reason="deadline")
    step = decide(Facts(manifest(), parts("DK"), newest=failed, newest_has_receipt=True, orders=(order(),)), NOW)
    assert isinstance(step, Close)
    assert (step.revision, step.verdict_load) == (2, True)
    loaded = decision("DK SE NO")
    facts = Facts(manifest(), parts("DK SE NO"), newest=loaded, newest_has_receipt=True, orders=(order(),))
    assert isinstance(decide(facts, NOW), Wait)


REOPENED = AFTER_DEADLINE + timedelta(hours=10)


def reopened(facts: Facts, number: int = 1, *, asked: bool = True) -> Facts:
    """The same run with an order to reopen, given long after its deadline."""
    given = order(number, "reopen").model_copy(update={"ordered_at": REOPENED})
    return replace(facts, orders=(given,), reopened=(number,) if asked else ())


def failed_run(landed: str = "DK", **known: Any) -> Facts:
    newest = decision("DK", verdict="fail", close_reason="deadline")
    return Facts(manifest(), parts(landed), newest=newest, newest_has_receipt=True, **known)


def test_reopening_asks_for_the_missing_markets_once() -> None:
    """Whether the run failed, was loaded in part or is still open: what is missing is asked for, given up or not."""
    partial = Facts(manifest(), parts("DK"), newest=decision("DK"), newest_has_receipt=True)
    for facts in (failed_run(given_up=dead("NO")), partial, Facts(manifest(), parts("DK"))):
        step = decide(reopened(facts, asked=False), REOPENED)
        assert isinstance(step, AskAgain)
        assert step.markets == ("SE", "NO")
        assert isinstance(decide(reopened(facts), REOPENED), Wait)


def test_reopening_leaves_alone_what_waits_for_quota() -> None:
    """The message of such a market is still under way; once the wait is over there may be none."""
    until = {"NO": ThrottledMarket(run_id=RUN, market="NO", until=REOPENED + MINUTE, reason="quota")}
    facts = reopened(failed_run(throttled=until), asked=False)
    waiting, over = decide(facts, REOPENED), decide(facts, REOPENED + 2 * MINUTE)
    assert isinstance(waiting, AskAgain)
    assert isinstance(over, AskAgain)
    assert (waiting.markets, over.markets) == (("SE",), ("SE", "NO"))


def test_a_reopened_failure_gets_its_time_again_and_then_closes() -> None:
    """It waits for all as on the first day, though a quorum is there, and as long as it had waited then."""
    facts = reopened(failed_run("DK SE"))
    last = REOPENED + timedelta(hours=6)
    assert isinstance(decide(facts, last - MINUTE), Wait)
    step = decide(facts, last)
    assert isinstance(step, Close)
    assert (step.revision, step.close_reason, step.verdict_load) == (2, "deadline", True)
    whole = decide(reopened(failed_run("DK SE NO")), REOPENED + MINUTE)
    assert isinstance(whole, Close)
    assert (whole.revision, whole.close_reason, whole.missing) == (2, "complete", ())


def test_a_reopened_failure_fails_again_where_nothing_comes() -> None:
    """The order has an end, also in vain: at the new deadline, or when every market was given up anew."""
    step = decide(reopened(failed_run()), REOPENED + timedelta(hours=6))
    assert isinstance(step, Close)
    assert (step.revision, step.verdict_load) == (2, False)
    gone = decide(reopened(failed_run(given_up=dead("SE") | dead("NO"))), REOPENED + MINUTE)
    assert isinstance(gone, Close)
    assert (gone.revision, gone.verdict_load) == (2, False)


def test_a_failure_that_nobody_was_told_of_is_told_also_while_it_is_reopened() -> None:
    """An order must not hide a decision whose event was lost."""
    assert decide(replace(reopened(failed_run()), newest_has_receipt=False), REOPENED) == Announce(1)


def test_a_late_part_of_a_reopened_load_makes_a_revision_as_usual() -> None:
    """What was loaded stands; a part that comes replaces it after the quiet period."""
    facts = Facts(
        manifest(), parts("DK SE"), newest=decision("DK", close_reason="deadline"), newest_has_receipt=True
    )
    assert isinstance(decide(reopened(facts), NOW + MINUTE / 2), WaitQuiet)
    step = decide(reopened(facts), REOPENED)
    assert isinstance(step, Close)
    assert (step.revision, step.close_reason) == (2, "deadline")


def test_reopening_a_complete_run_asks_for_nothing() -> None:
    """There is nothing to ask for: the decision stands."""
    facts = Facts(manifest(), parts("DK SE NO"), newest=decision("DK SE NO"), newest_has_receipt=True)
    assert isinstance(decide(reopened(facts, asked=False), REOPENED), Wait)


def test_an_order_to_reopen_ends_with_the_decision_that_knows_it() -> None:
    """A run that closed again is closed: the old order neither asks nor holds it open."""
    again = decision("DK", revision=2, verdict="fail", close_reason="deadline", order=1)
    facts = reopened(replace(failed_run(), newest=again), asked=False)
    assert isinstance(decide(facts, REOPENED + timedelta(days=1)), Wait)


def test_the_newest_order_counts() -> None:
    """An operator who reopened may close, and one who closed may reopen."""
    facts = reopened(failed_run("DK"))
    closing = replace(facts, orders=(order(2),))
    assert isinstance(decide(closing, REOPENED), Close)
    closed = decision("DK", revision=2, close_reason="operator", order=2)
    assert isinstance(decide(reopened(replace(facts, newest=closed), 3, asked=False), REOPENED), AskAgain)


def test_a_reload_is_of_what_was_loaded_and_done_once() -> None:
    """An open run is no matter for it, nor one of which nothing is there any more."""
    loaded = Facts(manifest(), parts("DK SE NO"), newest_has_receipt=True, orders=(order(kind="reload"),))
    obeyed = replace(loaded, newest=decision("DK SE NO", revision=2, order=1))
    assert isinstance(decide(obeyed, NOW), Wait)
    assert isinstance(decide(Facts(manifest(), parts("DK"), orders=(order(kind="reload"),)), NOW), Wait)
    nothing = Facts(manifest(), {}, newest=decision(""), newest_has_receipt=True, orders=(order(kind="reload"),))
    assert isinstance(decide(nothing, NOW), Wait)


def test_a_table_that_was_taken_back_is_loaded_once_more_and_nothing_left_out() -> None:
    """No person asked for it: what the table may hold is held, and what has gone is fetched, never left out."""
    newest = decision("DK SE NO", least=2)
    step = decide(loaded(parts("DK SE NO"), newest=newest, taken_back=True), NOW)
    assert isinstance(step, Close)
    assert (step.revision, step.verdict_load, step.holds) == (2, True, ("DK", "NO", "SE"))
    assert (step.close_reason, step.least) == ("complete", 2)
    assert "ended after the newest" in (step.note or "")
    gone = loaded(parts("DK SE"), newest=newest, taken_back=True)
    assert decide(gone, NOW) == Repair(1, ("NO",))
    assert isinstance(decide(replace(gone, repaired=(1,)), NOW), Wait)


def test_a_quota_wait_is_over_at_its_own_end() -> None:
    """At that very moment no message is under way any more, so the market is asked for."""
    until = {"NO": ThrottledMarket(run_id=RUN, market="NO", until=REOPENED, reason="quota")}
    step = decide(reopened(failed_run(throttled=until), asked=False), REOPENED)
    assert isinstance(step, AskAgain)
    assert step.markets == ("SE", "NO")


def test_only_a_whole_reload_counts_as_complete() -> None:
    """Whatever else a person orders is closed by that person, and the receipt must not say otherwise."""
    cases = {
        ("reload", "DK SE NO"): "complete",
        ("reload", "DK SE"): "operator",
        ("close", "DK SE NO"): "operator",
    }
    for (kind, landed), reason in cases.items():
        newest = decision("DK SE", verdict="fail", close_reason="deadline")
        given = Facts(
            manifest(), parts(landed), newest=newest, newest_has_receipt=True, orders=(order(kind=kind),)
        )
        step = decide(given, NOW)
        assert isinstance(step, Close)
        assert step.close_reason == reason, (kind, landed)


def test_quiet_is_counted_from_the_newest_news() -> None:
    """A part that the decision holds already is no news, however late it landed."""
    landed = {
        **parts("SE"),
        "DK": part("DK", landed_at=NOW + MINUTE),
        "NO": part("NO", generation=2, landed_at=NOW),
    }
    facts = Facts(manifest(), landed, newest=decision("DK SE NO"), newest_has_receipt=True)
    assert isinstance(decide(facts, NOW + MINUTE), Close)
    both = {**landed, "SE": part("SE", generation=2, landed_at=NOW + MINUTE / 2)}
    assert decide(replace(facts, parts=both), NOW + MINUTE) == WaitQuiet(MINUTE / 2)


def test_a_late_part_that_leaves_others_missing_waits_for_quiet() -> None:
    """The others may be on their way too; each would make a load of its own."""
    missing = tuple(MissingMarket(market=market, reason="x") for market in ("SE", "NO"))
    early = decision("DK", close_reason="deadline", missing=missing)
    facts = Facts(manifest(), parts("DK SE"), newest=early, newest_has_receipt=True)
    assert decide(facts, NOW + MINUTE / 2) == WaitQuiet(MINUTE / 2)


# --- nothing shrinks by itself -----------------------------------------------------------------------------------


def loaded(landed: Mapping[str, Any], *bad: str, newest: Decision | None = None, **known: Any) -> Facts:
    """A run whose newest decision has its receipt; the job left the parts of these markets out."""
    found = tuple(PartResult(market=market, reason="short") for market in bad)
    load = LoadResult(run_id=RUN, revision=1, parts=found, files=3, albums=5, tracks=9, rows=9, quarantined=0)
    newest = newest or decision("DK SE NO")
    given: dict[str, Any] = {"newest_has_receipt": True, "load": load, "newest": newest}
    return Facts(manifest(), landed, **(given | known))


def test_a_part_that_vanished_is_no_news() -> None:
    """Its rows are in the table: a smaller revision would take them from there, one deleted object after another."""
    for landed in ("DK SE", "DK", ""):
        assert isinstance(decide(loaded(parts(landed)), NOW + 5 * MINUTE), Wait)


def test_with_news_a_vanished_part_is_asked_for_and_waited_for() -> None:
    """A load of the rest would shrink a market that nobody gave up; asked for once a revision, twice a run."""
    news = {"DK": part("DK", generation=2)}
    later = NOW + 5 * MINUTE
    assert decide(loaded(news), later) == Repair(1, ("NO", "SE"))
    for asked in ((1,), (7, 8)):
        step = decide(loaded(news, repaired=asked), later)
        assert isinstance(step, Wait)
        assert "NO, SE" in step.reason
    assert decide(loaded(news, repaired=(7,)), later) == Repair(1, ("NO", "SE"))
    back = {**news, "SE": part("SE", generation=2), "NO": part("NO", generation=2)}
    assert isinstance(decide(loaded(back, repaired=(1,)), later), Close)


def test_vanished_parts_are_asked_for_when_nothing_lands_any_more() -> None:
    """Where a person has all markets fetched anew, the first to land must not have the others asked for twice."""
    news = {"DK": part("DK", generation=2)}
    assert decide(loaded(news), NOW + MINUTE / 2) == WaitQuiet(MINUTE / 2)
    assert decide(loaded(news), NOW + MINUTE) == Repair(1, ("NO", "SE"))


def test_a_decision_that_nobody_was_told_of_is_told_though_parts_have_gone() -> None:
    """It names generations that may still be there for the job; only its receipt says whether they were."""
    facts = loaded({"DK": part("DK", generation=2)}, newest_has_receipt=False, load=None)
    assert decide(facts, NOW + 5 * MINUTE) == Announce(1)


def test_a_person_may_let_a_market_go() -> None:
    """The load that a person asked for holds no market, and what follows holds what that load brought."""
    facts = loaded(parts("DK SE"), orders=(order(),), newest=decision("DK SE NO", holds=("SE",)))
    facts = replace(facts, parts={**facts.parts, "DK": part("DK", generation=2)})
    step = decide(facts, NOW)
    assert isinstance(step, Close)
    assert (step.verdict_load, step.holds, step.least) == (True, (), 1)
    after = replace(facts, newest=decision("DK SE", 2, order=1))
    late = decide(replace(after, parts={**facts.parts, "NO": part("NO", 2)}), NOW + 5 * MINUTE)
    assert isinstance(late, Close)
    assert late.holds == ("DK", "SE")


def test_an_order_that_loads_nothing_lets_nothing_go() -> None:
    """The table holds what it held: a failed decision takes no market from it."""
    facts = loaded(parts(""), orders=(order(),), newest=decision("DK SE", holds=("NO",)))
    step = decide(facts, NOW)
    assert isinstance(step, Close)
    assert (step.verdict_load, step.holds) == (False, ("DK", "NO", "SE"))


def test_a_failed_run_that_holds_markets_does_not_load_without_them() -> None:
    """Reopened, it closes at its deadline as ever; with a quorum, but without a market that may be in the table."""
    failed = decision("", 2, verdict="fail", close_reason="operator", holds=("NO",))
    facts = reopened(loaded(parts("DK SE"), newest=failed, load=None))
    step = decide(facts, REOPENED + timedelta(hours=6))
    assert isinstance(step, Close)
    assert (step.verdict_load, step.holds) == (False, ("NO",))
    whole = decide(replace(facts, parts=parts("DK SE NO")), REOPENED)
    assert isinstance(whole, Close)
    assert whole.verdict_load


def test_a_decision_holds_what_earlier_ones_brought_and_says_how_many_must_be_whole() -> None:
    """The job replaces the partition whole: it needs to know which markets must not go, and how many make a run."""
    first = decide(Facts(manifest(), parts("DK SE NO")), NOW)
    assert isinstance(first, Close)
    assert (first.least, first.holds) == (2, ())
    landed = {**parts("DK"), "SE": part("SE", 2), "NO": part("NO", 2)}
    step = decide(loaded(landed, "NO", newest=decision("DK NO", holds=("SE",), least=2)), NOW + 5 * MINUTE)
    assert isinstance(step, Close)
    assert (step.least, step.holds) == (2, ("DK", "SE")), "NO was left out of that load: it is not in the table"


@pytest.mark.parametrize(("before", "least"), [(0, 2), (1, 1), (2, 2), (3, 3)])
def test_the_word_of_an_operator_on_the_quorum_goes_on_to_count(before: int, least: int) -> None:
    """Who closed below the quorum gets the late market too; decisions older than the count stand for their size."""
    newest = decision("DK SE", close_reason="operator", least=before)
    facts = replace(loaded(parts("DK SE NO"), newest=newest), manifest=manifest(minimum=1))
    step = decide(facts, NOW + 5 * MINUTE)
    assert isinstance(step, Close)
    assert step.least == least


@pytest.mark.parametrize(("landed", "least"), [("DK SE NO", 3), ("DK", 1)])
def test_a_reload_needs_the_quorum_where_there_is_one(landed: str, least: int) -> None:
    """To load again is not to close: damaged parts must not replace a whole week by one market."""
    facts = loaded(parts(landed), newest=decision(landed, least=3), orders=(order(kind="reload"),))
    step = decide(replace(facts, manifest=manifest(minimum=0.9)), NOW)
    assert isinstance(step, Close)
    assert (step.least, step.holds) == (least, ())


def test_a_bad_part_is_fetched_again_unless_something_newer_is_there_or_waits() -> None:
    """One message for each, in vain where its like is under way; the rest of the run is left alone."""
    whole = parts("DK SE NO")
    assert decide(loaded(whole, "SE", "NO"), NOW) == Repair(1, ("SE", "NO"))
    waits = loaded(whole, "SE", "NO", throttled=throttled("SE", 2))
    assert decide(waits, NOW) == Repair(1, ("NO",))
    assert isinstance(decide(loaded(whole, "SE", throttled=throttled("SE", 2)), NOW), Wait)
    newer = loaded({**whole, "NO": part("NO", 2)}, "NO")
    assert isinstance(decide(newer, NOW), WaitQuiet)
    gone = loaded(parts("DK SE"), "NO")
    assert decide(gone, NOW) == Repair(1, ("NO",))
    for asked in ((1,), (7, 8)):
        assert isinstance(decide(replace(loaded(whole, "NO"), repaired=asked), NOW), Wait)


def test_an_order_to_close_loads_what_a_bad_part_had_kept_from_the_table() -> None:
    """The job loaded nothing for the sake of a market; a person may let that market go."""
    facts = loaded(parts("DK SE NO"), "NO", orders=(order(),))
    assert facts.load is not None
    assert isinstance(decide(facts, NOW), Repair)
    refused = replace(facts, load=facts.load.model_copy(update={"loaded": False}))
    step = decide(refused, NOW)
    assert isinstance(step, Close)
    assert (step.revision, step.verdict_load, step.least, step.holds) == (2, True, 1, ())


def test_a_run_without_any_album_is_not_loaded() -> None:
    """Forty-eight markets with nothing new are a broken source; whoever orders it gets no empty week either."""
    for told in ({"empty": True, "albums": 0}, {"albums": 0}):
        none = {market: found.model_copy(update=told) for market, found in parts("DK SE NO").items()}
        facts = Facts(manifest(), none)
        for known in (facts, replace(facts, orders=(order(),))):
            step = decide(known, NOW)
            assert isinstance(step, Close)
            assert not step.verdict_load
        step = decide(replace(facts, parts={**none, "DK": part("DK")}), NOW)
        assert isinstance(step, Close)
        assert step.verdict_load
    late = loaded({market: replace_part(found) for market, found in parts("DK SE NO").items()})
    step = decide(late, NOW + 5 * MINUTE)
    assert isinstance(step, Close)
    assert not step.verdict_load


def replace_part(found: Part) -> Part:
    return found.model_copy(update={"generation": 2, "empty": True})


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


async def test_what_the_second_look_found_makes_one_decision() -> None:
    """The decision that follows has not been looked at: the same look never makes another."""
    world = World()
    await world.start("DK")
    await world.handle(await world.land("DK"))
    await world.ports.ledger.create_receipt(receipt())
    table = WarehouseCount(rows=30, markets=3, albums=9, revision=7)
    for taken_back, decisions in ((False, (1,)), (True, (1, 2))):
        look = SecondLook(run_id=RUN, revision=1, table=table, taken_back=taken_back, looked_at=NOW)
        await world.store.write(names.look_name(RUN, 1), look.to_json())
        for _ in range(2):
            await world.handle(SweepRequested())
        assert (await world.ports.ledger.index(RUN)).decisions == decisions


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


def letter(original: Any = None, **known: Any) -> DeadLettered:
    given: dict[str, Any] = {
        "subscription": "cluster-manager-batch-ready",
        "message_id": "9",
        "delivery_count": 20,
        "original": original,
        "data": "bm90aGluZw==",
        "attributes": {"x": "y", "CloudPubSubDeadLetterSourceSubscription": "cluster-manager-batch-ready"},
        "published_at": NOW,
    }
    return DeadLettered.model_validate(given | known)


KINDS = {
    "a run request": (RunRequested(run_id=RUN), ("RunRequested", RUN, None)),
    "a market request": (MarketRequested(run_id=RUN, market="DK"), ("MarketRequested", RUN, "DK")),
    "a batch": (BatchReady(run_id=RUN, revision=1), ("BatchReady", RUN, None)),
    "a sweep": (SweepRequested(), ("SweepRequested", None, None)),
    "an object": (
        ObjectFinalized(bucket="b", name=names.part_name(RUN, "SE"), generation=1),
        ("ObjectFinalized", RUN, "SE"),
    ),
    "an object of nobody": (
        ObjectFinalized(bucket="b", name="x/../y", generation=1),
        ("ObjectFinalized", None, None),
    ),
    "an operation": (
        DataprocOperation(method="SubmitJob", resource=names.job_id(RUN, 1, 1), last=True),
        ("DataprocOperation", RUN, None),
    ),
    "what cannot be read": (None, (None, None, None)),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_dead_letter_is_recorded_whole(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """One list holds them all, readable or not; one warning line tells of each, however often it is delivered."""
    world = World()
    original, (event, run_id, market) = KINDS[kind]
    dead_letter = letter(original, unreadable=() if original else ("data: is not JSON",))
    for _ in range(2):
        await world.handle(dead_letter)
    [found] = await world.ports.ledger.dead_letters()
    assert (found.event, found.run_id, found.market) == (event, run_id, market)
    assert (found.data, found.attributes, found.delivery_count) == (dead_letter.data, dead_letter.attributes, 20)
    assert (found.published_at, found.recorded_at, found.redriven) == (NOW, world.clock(), ())
    assert found.reason.startswith("unreadable: data: is not JSON" if original is None else "readable")
    assert names.dead_letter_name("cluster-manager-batch-ready", "9") in world.store.names()
    [told] = [record for record in caplog.records if record.getMessage() == "dead_letter_recorded"]
    assert told.levelname == "WARNING"


@pytest.mark.parametrize("message_id", ["../../runs/x", "", "a/b", "9" * 500, "..", "é", "a\nb"])
@pytest.mark.parametrize("subscription", ["../../runs", "x/../y", "", "-", "a" * 300])
async def test_ids_from_outside_never_become_a_path(message_id: str, subscription: str) -> None:
    """A forged id is recorded, too: below dead-letters/, with one folder and one name, and the id kept inside."""
    world = World()
    await world.handle(letter(subscription=subscription or "?", message_id=message_id))
    [name] = world.store.names()
    assert re.fullmatch(r"dead-letters/unknown/sha256-[0-9a-f]{32}\.json", name)
    [found] = await world.ports.ledger.dead_letters()
    assert found.message_id == message_id


async def test_two_messages_with_the_same_id_of_two_subscriptions_are_two_letters() -> None:
    """Topics number their messages independently; three subscriptions share one dead-letter topic."""
    world = World()
    for subscription in ("scheduler-sweep-requested", "cluster-manager-sweep-requested"):
        await world.handle(letter(SweepRequested(), subscription=subscription))
    assert {found.subscription for found in await world.ports.ledger.dead_letters()} == {
        "scheduler-sweep-requested",
        "cluster-manager-sweep-requested",
    }


async def test_a_message_that_was_too_large_says_so() -> None:
    """A service refuses it before it reads it, so that only the size tells why."""
    world = World()
    await world.handle(
        letter(data="QUJD" * (BODY_LIMIT_BYTES // 4 + 1), unreadable=("message.data: is not JSON",))
    )
    [found] = await world.ports.ledger.dead_letters()
    assert found.reason == "too large: services take bodies of 1048576 bytes"
    assert len(found.data) > BODY_LIMIT_BYTES


async def test_an_old_dead_letter_does_not_give_a_market_up_again() -> None:
    """Its redelivery may come after the market was asked for again; only a new dead letter tells something new."""
    world = World()
    await world.start()
    first = letter(MarketRequested(run_id=RUN, market="NO"))
    await world.handle(first)
    await world.ports.ledger.clear_given_up(RUN, "NO")
    await world.handle(first)
    assert (await world.ports.ledger.index(RUN)).given_up == ()
    await world.handle(letter(MarketRequested(run_id=RUN, market="NO"), message_id="10"))
    assert (await world.ports.ledger.index(RUN)).given_up == ("NO",)


async def test_a_dead_letter_that_cannot_be_recorded_is_delivered_again() -> None:
    """Acknowledged means recorded: the bucket's failure is Pub/Sub's to repeat."""

    class Full(MemoryObjectStore):
        async def create(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> bool:
            raise Retryable("no room")

    world = World(Full())
    with pytest.raises(Retryable):
        await world.handle(letter(SweepRequested()))


async def test_reopening_asks_clears_and_notes() -> None:
    """The order is obeyed once, by whoever looks first; then the market that comes makes the revision."""
    world = World()
    await world.start()
    await world.land("DK")
    there = tuple((await world.ports.ledger.parts(RUN)).values())
    failed = decision("", verdict="fail", close_reason="deadline", parts=there)
    await world.ports.ledger.create_decision(failed)
    await world.handle(letter(MarketRequested(run_id=RUN, market="SE")))
    world.publisher.take()
    await world.ports.ledger.create_order(order(kind="reopen"))
    for _ in range(2):
        await world.handle(SweepRequested())
    asked = [event for event in world.publisher.take() if isinstance(event, MarketRequested)]
    assert [(event.market, event.replay, event.reason) for event in asked] == [
        ("SE", False, "enough for today"),
        ("NO", False, "enough for today"),
    ]
    index = await world.ports.ledger.index(RUN)
    assert (index.given_up, index.reopened) == ((), (1,))
    for market in ("SE", "NO"):
        await world.handle(await world.land(market))
    assert BatchReady(run_id=RUN, revision=2) in world.publisher.take()
    made = await world.ports.ledger.decision(RUN, 2)
    assert made is not None
    assert (made.verdict, made.close_reason, made.order) == ("load", "complete", 1)


async def test_a_bad_part_is_replayed_once_and_its_successor_loaded() -> None:
    """From the job's finding to the next revision: one message however often it is looked at, then the new part."""
    world = World()
    await world.start()
    for market in ("DK", "SE", "NO"):
        await world.handle(await world.land(market))
    await world.handle(letter(MarketRequested(run_id=RUN, market="NO")))
    bad = (PartResult(market="NO", reason="damaged"), PartResult(market="DK", albums=4, rows=9))
    result = LoadResult(run_id=RUN, revision=1, parts=bad, files=2, albums=5, tracks=9, rows=9, quarantined=0)
    await world.store.write(names.load_name(RUN, 1), result.to_json())
    await world.handle(SweepRequested())
    assert all(isinstance(event, BatchReady) for event in world.publisher.take()), (
        "no receipt yet: it may be retried"
    )
    await world.store.write(names.receipt_name(RUN, 1), b"{}")
    for _ in range(3):
        await world.handle(SweepRequested())
    [asked] = world.publisher.take()
    assert isinstance(asked, MarketRequested)
    assert (asked.market, asked.replay) == ("NO", True)
    assert asked.reason == "its part in revision 1 proved bad or has gone"
    index = await world.ports.ledger.index(RUN)
    assert (index.repaired, index.given_up) == ((1,), ())
    await world.land("NO")
    world.clock.advance(minutes=2)
    await world.handle(SweepRequested())
    assert world.publisher.take() == [BatchReady(run_id=RUN, revision=2)]
    made = await world.ports.ledger.decision(RUN, 2)
    assert made is not None
    assert (made.holds, made.least, made.verdict) == (("DK", "SE"), 2, "load")


async def test_an_object_without_bytes_is_no_part() -> None:
    """It keeps the batch open like a market that never came, is named with why, and only a replay replaces it."""
    world = World()
    await world.start()
    for market in ("DK", "SE"):
        await world.handle(await world.land(market))
    await world.store.write(names.part_name(RUN, "NO"), b"")
    await world.handle(SweepRequested())
    assert world.publisher.take() == []
    world.clock.now = AFTER_DEADLINE
    await world.handle(SweepRequested())
    made = await world.ports.ledger.decision(RUN, 1)
    assert made is not None
    assert made.missing == (MissingMarket(market="NO", reason="what landed is no part: it has no bytes"),)
    world.publisher.take()
    await world.ports.ledger.create_order(order(kind="reopen"))
    await world.handle(SweepRequested())
    [asked] = [event for event in world.publisher.take() if isinstance(event, MarketRequested)]
    assert (asked.market, asked.replay) == ("NO", True)


@pytest.mark.parametrize("hours", [-48, 48])
async def test_an_order_counts_from_when_it_reached_the_bucket(hours: float) -> None:
    """The machine it comes from may be days off: the run waits as long as it had waited first, not more nor less."""
    world = World()
    await world.start()
    await world.land("DK")
    failed = decision("", verdict="fail", close_reason="deadline", parts=await landed(world))
    await world.ports.ledger.create_decision(failed)
    await world.store.write(names.receipt_name(RUN, 1), b"{}")
    world.clock.now = REOPENED
    given = order(kind="reopen").model_copy(update={"ordered_at": REOPENED + timedelta(hours=hours)})
    await world.ports.ledger.create_order(given)
    await world.handle(SweepRequested())
    world.clock.now = REOPENED + timedelta(hours=6) - MINUTE
    await world.handle(SweepRequested())
    assert (await world.ports.ledger.index(RUN)).newest_decision == 1
    world.clock.now = REOPENED + timedelta(hours=6)
    await world.handle(SweepRequested())
    assert (await world.ports.ledger.index(RUN)).newest_decision == 2
    [known] = await world.ports.ledger.orders(await world.ports.ledger.index(RUN))
    assert known.ordered_at == REOPENED


async def landed(world: World) -> tuple[Part, ...]:
    return tuple((await world.ports.ledger.parts(RUN)).values())


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


def test_of_two_orders_at_once_the_one_that_does_something_is_obeyed() -> None:
    """A close and a backfill within a second were both told that they are done: the run closes, once."""
    close, reload = order(1, kind="close"), order(2, kind="reload")
    step = decide(Facts(manifest(), parts("DK SE"), orders=(close, reload)), NOW)
    assert isinstance(step, Close)
    assert (step.close_reason, step.least) == ("operator", 1)
    obeyed = decision("DK SE", close_reason="operator", order=2)
    assert isinstance(
        decide(Facts(manifest(), parts("DK SE"), newest=obeyed, orders=(close, reload)), NOW), Announce
    )
    reopen = order(2, kind="reopen")
    asked = decide(Facts(manifest(), parts("DK SE"), orders=(close, reopen)), NOW)
    assert isinstance(asked, AskAgain), "the newest counts where both do something"


def test_a_run_that_was_widened_is_open_for_what_was_added() -> None:
    """The decision of a trial stands until all that was added has landed, or its deadline: one more load, not many."""
    trial = decision("DK")
    wide = manifest("DK SE NO").model_copy(update={"widened_at": NOW})
    facts = Facts(wide, parts("DK SE"), newest=trial, newest_has_receipt=True)
    assert isinstance(decide(facts, NOW + timedelta(hours=1)), Wait)
    whole = decide(replace(facts, parts=parts("DK SE NO")), NOW)
    assert isinstance(whole, Close)
    assert (whole.revision, whole.close_reason, whole.verdict_load, whole.holds) == (2, "complete", True, ("DK",))
    late = decide(facts, wide.deadline)
    assert isinstance(late, Close)
    assert (late.close_reason, [gone.market for gone in late.missing]) == ("deadline", ["NO"])
    done = replace(facts, parts=parts("DK SE NO"), newest=decision("DK SE NO", 2))
    assert isinstance(decide(done, wide.deadline), Wait), "and once it knows them, it is closed"
