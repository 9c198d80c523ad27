"""A tick becomes one run, whatever arrives twice or stops half-way."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from contracts import names
from contracts.documents import CompletenessPolicy, GivenUpMarket, Manifest, ThrottledMarket
from contracts.events import MarketRequested, OwnEvent, RunRequested, SweepRequested
from eventing.errors import Permanent, Retryable
from eventing.ledger import Landing, RunLedger
from services.scheduler.decisions import (
    Due,
    Plan,
    Waiting,
    Watch,
    is_missing,
    is_recent,
    newest_due,
    requests_on_sweep,
    run_id_at,
)
from services.scheduler.handlers import AskAgain, handlers, on_run_requested, on_sweep
from services.scheduler.ports import Ports
from tests.builders import NOW, RUN, START, TestClock, delivery, manifest, parts
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher

PLAN = Plan(ZoneInfo("Europe/Copenhagen"), ("DK", "SE", "NO"), timedelta(hours=6), CompletenessPolicy())
TICK = delivery(RunRequested(), event_id="tick")
COPENHAGEN = ZoneInfo("Europe/Copenhagen")
AGAIN = AskAgain(timedelta(hours=1), timedelta(days=7))
WATCH = Watch("0 0 * * 1", COPENHAGEN, timedelta(hours=3))


class World:
    """The scheduler with everything it acts on in memory."""

    def __init__(self) -> None:
        self.clock = TestClock(START)
        self.store = MemoryObjectStore(self.clock)
        self.publisher = MemoryPublisher()
        self.ports = Ports(RunLedger(self.store), self.publisher, self.clock)

    async def tick(self) -> list[str]:
        await on_run_requested(TICK, ports=self.ports, plan=PLAN, watch=None)
        return self.asked()

    async def sweep(self, event_id: str, watch: Watch | None = None) -> list[str]:
        event = delivery(SweepRequested(), event_id=event_id)
        await on_sweep(event, ports=self.ports, ask_again=AGAIN, watch=watch)
        return self.asked()

    def asked(self) -> list[str]:
        return [event.market for event in self.publisher.take() if isinstance(event, MarketRequested)]

    async def land(self, market: str) -> None:
        await self.store.write(names.part_name(RUN, market), b"x")


@pytest.mark.parametrize(
    ("published", "run_id"),
    [
        ("2026-11-22T23:00:00+00:00", "2026-11-23"),
        ("2026-11-22T22:59:59+00:00", "2026-11-22"),
        ("2026-06-14T22:00:00+00:00", "2026-06-15"),
        ("2026-06-14T21:59:59+00:00", "2026-06-14"),
    ],
)
def test_the_run_is_the_date_in_the_schedules_zone(published: str, run_id: str) -> None:
    """Midnight in Copenhagen is 23:00 UTC in winter and 22:00 in summer; the date must follow the wall there."""
    assert run_id_at(datetime.fromisoformat(published), ZoneInfo("Europe/Copenhagen"), None) == run_id


@pytest.mark.parametrize(
    ("schedule", "published", "run_id"),
    [
        ("0 0 * * 1", "2026-11-22T22:59:59.990+00:00", "2026-11-23"),
        ("0 0 * * 1", "2026-11-22T22:55:00+00:00", "2026-11-23"),
        ("0 0 * * 1", "2026-11-22T22:54:59+00:00", "2026-11-22"),
        ("0 0 * * 1", "2026-11-22T23:00:00+00:00", "2026-11-23"),
        ("0 0 * * 1", "2026-11-23T22:59:59.990+00:00", "2026-11-23"),  # no tick is due on a Tuesday
        ("0 0 * * *", "2026-11-23T22:59:59.990+00:00", "2026-11-24"),
        ("30 18 * * 5", "2026-11-20T17:29:59+00:00", "2026-11-20"),
        ("0 0 * * 1", "2026-10-25T22:59:59.990+00:00", "2026-10-26"),  # the night after the change of clocks
    ],
)
def test_a_tick_that_comes_early_is_that_of_its_slot(schedule: str, published: str, run_id: str) -> None:
    """Another clock than ours sends it: ten milliseconds before midnight must not make a run of the day before."""
    watch = replace(WATCH, schedule=schedule)
    assert run_id_at(datetime.fromisoformat(published), COPENHAGEN, watch) == run_id


async def test_an_early_tick_begins_the_run_of_its_slot() -> None:
    """The schedule that tells of a lost tick is the one that dates a tick."""
    world = World()
    early = delivery(RunRequested(), event_id="tick", published=START - timedelta(milliseconds=10))
    table = handlers(world.ports, PLAN, AGAIN, WATCH)
    await table[RunRequested](early)
    assert await world.ports.ledger.manifest(RUN) is not None


async def test_what_is_no_part_is_asked_for_again_as_a_replay() -> None:
    """An object without bytes keeps its place: a plain request would find it there and be done."""
    world = World()
    await world.store.write(names.part_name(RUN, "SE"), b"")
    await on_run_requested(TICK, ports=world.ports, plan=PLAN, watch=None)
    world.clock.advance(hours=1)
    await on_sweep(delivery(SweepRequested()), ports=world.ports, ask_again=AGAIN, watch=None)
    asked = [event for event in world.publisher.take() if isinstance(event, MarketRequested)]
    assert [(event.market, event.replay) for event in asked] == 2 * [("DK", False), ("SE", True), ("NO", False)]


async def test_a_tick_asks_for_every_market_once() -> None:
    """One message per market, after the manifest."""
    world = World()
    assert await world.tick() == ["DK", "SE", "NO"]
    manifest = await world.ports.ledger.manifest(RUN)
    assert manifest is not None
    assert (manifest.markets, manifest.deadline) == (("DK", "SE", "NO"), START + timedelta(hours=6))


async def test_a_second_tick_completes_and_changes_nothing() -> None:
    """A duplicate tick asks only for what has not landed, and the first manifest stands."""
    world = World()
    await world.tick()
    first = await world.store.read(names.manifest_name(RUN))
    await world.land("SE")
    world.clock.advance(hours=2)
    assert await world.tick() == ["DK", "NO"]
    assert await world.store.read(names.manifest_name(RUN)) == first


async def test_a_request_that_names_date_and_markets_is_taken_at_its_word() -> None:
    """A person may ask for a run of any date, with any markets."""
    world = World()
    event = RunRequested(run_id="2026-11-16", markets=("XK",), reason="try")
    await on_run_requested(delivery(event), ports=world.ports, plan=PLAN, watch=None)
    asked = world.publisher.take()
    assert asked == [MarketRequested(run_id="2026-11-16", market="XK")]


async def request(world: World, **given: Any) -> Manifest:
    """A person asks for the run; what it expects then."""
    event = RunRequested.model_validate({"run_id": RUN, **given})
    await on_run_requested(delivery(event, event_id="by hand"), ports=world.ports, plan=PLAN, watch=None)
    found = await world.ports.ledger.manifest(RUN)
    assert found is not None
    return found


async def test_a_trial_takes_the_week_from_no_other_market(caplog: pytest.LogCaptureFixture) -> None:
    """The tick widens the run that a person had asked one market of; the others get as much time as in a new run."""
    world = World()
    trial = await request(world, markets=("SE",))
    assert (world.asked(), trial.markets, trial.left_out) == (["SE"], ("SE",), ("DK", "NO"))
    await world.land("SE")
    world.clock.advance(hours=2)
    assert await world.tick() == ["DK", "NO"]
    wide = await world.ports.ledger.manifest(RUN)
    assert wide is not None
    assert (wide.markets, wide.left_out) == (("SE", "DK", "NO"), ())
    assert (wide.created_at, wide.deadline) == (trial.created_at, trial.deadline + timedelta(hours=2))
    assert [record.message for record in caplog.records] == ["run_widened"]
    assert await world.tick() == ["DK", "NO"]
    assert await world.ports.ledger.manifest(RUN) == wide, "a second tick changes nothing"


async def test_a_request_for_less_takes_nothing_from_a_run() -> None:
    """A person who tries one market on a Monday after the tick has the whole run still."""
    world = World()
    await world.tick()
    found = await request(world, markets=("SE",))
    assert (found.markets, found.widened_at) == (("DK", "SE", "NO"), None)
    assert world.asked() == ["DK", "SE", "NO"]


async def test_two_requests_that_widen_at_once_both_count() -> None:
    """Whoever finds the manifest changed since it was read looks again: no market is lost between the two."""
    world = World()
    standing = await request(world, markets=("SE",))
    await request(world, markets=("SE", "XK"))
    wider = standing.model_copy(update={"markets": ("SE", "DK", "NO")})
    assert not await world.ports.ledger.widen_manifest(standing, wider)
    await world.tick()
    found = await world.ports.ledger.manifest(RUN)
    assert found is not None
    assert set(found.markets) == {"SE", "XK", "DK", "NO"}


async def test_a_market_that_is_none_of_ours_is_refused_unless_forced() -> None:
    """A mistyped market would be waited for until the deadline; Kosovo is known, if not configured here."""
    world = World()
    with pytest.raises(Permanent, match="markets: US are neither configured nor known; set force"):
        await request(world, markets=("DK", "US"))
    assert await world.ports.ledger.manifest(RUN) is None
    assert (await request(world, markets=("DK", "XK"))).markets == ("DK", "XK")
    assert (await request(world, markets=("US",), force=True)).markets == ("DK", "XK", "US")


async def test_a_run_in_a_mistyped_year_is_refused() -> None:
    """It would stand before all real weeks; who publishes it by hand is told the same as on the command line."""
    world = World()
    with pytest.raises(Permanent, match="run_id: 2062-11-23 is more than 8 days ahead"):
        await request(world, run_id="2062-11-23")
    assert await world.store.listing("runs/") == []


async def test_a_tick_that_was_lost_after_a_trial_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """The run has a manifest, and its other markets were never asked for: nothing else would say so."""
    world = World()
    await request(world, markets=("SE",))
    world.clock.advance(hours=4)
    await world.sweep("s1", WATCH)
    assert _missed(caplog) == [RUN]
    [told] = [vars(record) for record in caplog.records if record.message == "run_missing"]
    assert "2 configured markets were never asked for" in told["reason"]
    await world.tick()
    await world.sweep("s2", WATCH)
    assert _missed(caplog) == [RUN]


async def test_a_crash_before_publishing_is_completed_by_the_redelivery() -> None:
    """The manifest alone is not a run: the tick must come again and finish."""
    world = World()

    class Broken(MemoryPublisher):
        async def publish(self, events: Iterable[OwnEvent], *, cause: str) -> None:
            raise Retryable("pub/sub is away")

    broken = Ports(world.ports.ledger, Broken(), world.clock)
    with pytest.raises(Retryable):
        await on_run_requested(TICK, ports=broken, plan=PLAN, watch=None)
    assert await world.tick() == ["DK", "SE", "NO"]


async def test_a_sweep_asks_again_for_lost_markets_once_an_hour() -> None:
    """A market message that vanished must not wait for the next week, nor be asked for at every sweep."""
    world = World()
    await world.tick()
    await world.land("SE")
    assert await world.sweep("s1") == []
    world.clock.advance(hours=1)
    assert await world.sweep("s2") == ["DK", "NO"]
    assert await world.sweep("s3") == []
    assert await world.sweep("s2") == ["DK", "NO"], "the same sweep, redelivered after a crash, must ask again"
    world.clock.advance(hours=1)
    assert await world.sweep("s4") == ["DK", "NO"]


async def test_a_sweep_leaves_given_up_and_waiting_markets_alone() -> None:
    """A dead letter is a verdict; a quota wait has its own end, and only then is the market asked for again."""
    world = World()
    await world.tick()
    ledger = world.ports.ledger
    for market in ("DK", "SE"):
        await ledger.record_given_up(
            GivenUpMarket(run_id=RUN, market=market, reason="r", subscription="s", message_id="1", recorded_at=NOW)
        )
    until = START + timedelta(hours=24)
    await ledger.record_throttled(ThrottledMarket(run_id=RUN, market="SE", until=until, reason="quota"))
    world.clock.advance(hours=2)
    assert await world.sweep("s1") == ["NO"]
    world.clock.advance(hours=23)
    assert await world.sweep("s2") == ["SE", "NO"]
    index = await ledger.index(RUN)
    assert index.given_up == ("DK",), "a market that is asked for again is not given up any more"


async def test_an_old_run_is_left_in_peace() -> None:
    """After a week the next run is there; asking for the past would spend the quota of the present."""
    world = World()
    await world.tick()
    world.clock.now = datetime(2026, 12, 3, tzinfo=UTC)
    assert await world.sweep("s1") == []


async def test_the_manifest_carries_the_plans_policy_and_the_requests_their_reason() -> None:
    """What completeness means for a run is fixed when it begins, and each message says why it was sent."""
    world = World()
    plan = replace(PLAN, policy=CompletenessPolicy(minimum_share=0.5, quiet_seconds=7))
    await on_run_requested(TICK, ports=world.ports, plan=plan, watch=None)
    manifest_made = await world.ports.ledger.manifest(RUN)
    assert manifest_made is not None
    assert manifest_made.policy == plan.policy
    assert {event.reason for event in world.publisher.take() if isinstance(event, MarketRequested)} == {"run"}


def test_a_quota_wait_ends_at_its_own_end() -> None:
    """At that very moment the market is asked for again, and the message says that the sweep asked."""
    until = ThrottledMarket(run_id=RUN, market="SE", until=NOW, reason="quota")
    waiting = Waiting(landing=Landing(parts("DK NO")), given_up=(), throttled={"SE": until})
    assert requests_on_sweep(manifest(), waiting, NOW - timedelta(microseconds=1)) == []
    wanted = MarketRequested(run_id=RUN, market="SE", reason="asked again by the sweep")
    assert requests_on_sweep(manifest(), waiting, NOW) == [wanted]


@pytest.mark.parametrize(("day", "recent"), [(15, True), (14, False), (31, True), (32, False)])
def test_recent_is_the_span_and_a_day_for_the_time_zone(day: int, recent: bool) -> None:  # noqa: FBT001 -- expected
    """A run is named for a date in its zone, which may be a day off from UTC's, before or behind."""
    now = datetime(2026, 12, 1, tzinfo=UTC) + timedelta(days=day)
    assert is_recent("2026-12-24", now, timedelta(days=7)) is recent


# --- a tick that never comes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "now", "run_id", "at"),
    [
        # Monday at midnight in Copenhagen is Sunday, 23:00 UTC, in winter; three hours later its run must be there.
        ("0 0 * * 1", "2026-11-23T02:00:00+00:00", "2026-11-23", "2026-11-22T23:00:00+00:00"),
        ("0 0 * * 1", "2026-11-23T01:59:59+00:00", "2026-11-16", "2026-11-15T23:00:00+00:00"),
        ("0 0 * * 1", "2026-11-29T23:00:00+00:00", "2026-11-23", "2026-11-22T23:00:00+00:00"),
        # In summer an hour earlier, and across the change of clocks on Sunday, 25 October, the wall counts.
        ("0 0 * * 1", "2026-06-15T01:00:00+00:00", "2026-06-15", "2026-06-14T22:00:00+00:00"),
        ("0 0 * * 1", "2026-06-15T00:59:59+00:00", "2026-06-08", "2026-06-07T22:00:00+00:00"),
        ("0 0 * * 1", "2026-10-26T01:59:59+00:00", "2026-10-19", "2026-10-18T22:00:00+00:00"),
        ("0 0 * * 1", "2026-10-26T02:00:00+00:00", "2026-10-26", "2026-10-25T23:00:00+00:00"),
        # The hour and the minute of the schedule; a day of every week, or each day.
        ("30 18 * * 5", "2026-11-23T12:00:00+00:00", "2026-11-20", "2026-11-20T17:30:00+00:00"),
        ("30 18 * * 5", "2026-11-20T20:29:59+00:00", "2026-11-13", "2026-11-13T17:30:00+00:00"),
        ("0 6 * * *", "2026-11-23T08:00:00+00:00", "2026-11-23", "2026-11-23T05:00:00+00:00"),
        ("0 6 * * *", "2026-11-23T07:59:59+00:00", "2026-11-22", "2026-11-22T05:00:00+00:00"),
        # cron has two numbers for Sunday.
        ("0 0 * * 0", "2026-11-23T12:00:00+00:00", "2026-11-22", "2026-11-21T23:00:00+00:00"),
        ("0 0 * * 7", "2026-11-23T12:00:00+00:00", "2026-11-22", "2026-11-21T23:00:00+00:00"),
    ],
)
def test_which_run_must_have_begun(schedule: str, now: str, run_id: str, at: str) -> None:
    """A run is missed a grace after its tick was due on the wall clock of the schedule's zone, and not before."""
    due = newest_due(replace(WATCH, schedule=schedule), datetime.fromisoformat(now))
    assert due == Due(run_id, datetime.fromisoformat(at))


DUE = Due("2026-11-23", datetime(2026, 11, 22, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("runs", "before_made", "missing"),
    [
        ((), None, False),  # a first deployment
        (("2026-11-16",), "2026-11-15T23:00:05+00:00", True),
        (("2026-11-16", "2026-11-23"), "2026-11-15T23:00:05+00:00", False),
        (("2026-11-16", "2026-11-25"), "2026-11-15T23:00:05+00:00", True),  # asked for by hand is another run
        (("2026-11-25",), None, False),  # deployed after the tick was due, and first run by hand
        (("2026-11-09",), "2026-11-25T10:00:00+00:00", False),  # the same, and a past week filled in
        (("2026-11-16",), "2026-11-22T23:00:00+00:00", False),
    ],
)
def test_a_tick_is_lost_where_there_had_been_runs(
    runs: Sequence[str],
    before_made: str | None,
    missing: bool,  # noqa: FBT001 -- expected
) -> None:
    """A stack that was there when the tick was due has its run, or somebody is told; a new stack owes nothing."""
    began = datetime.fromisoformat(before_made) if before_made else None
    assert is_missing(DUE, runs, began) is missing


async def test_the_sweep_tells_of_a_run_that_never_began(caplog: pytest.LogCaptureFixture) -> None:
    """A lost or paused tick makes no sound by itself; each sweep says it, with what to do, until there is the run."""
    world = World()
    await world.tick()
    world.clock.now = datetime(2026, 11, 30, 1, 59, 59, tzinfo=UTC)
    await world.sweep("s1", WATCH)
    assert _missed(caplog) == []
    world.clock.advance(seconds=1)
    filled_in = RunRequested(run_id="2026-11-09", reason="backfill")
    await on_run_requested(delivery(filled_in), ports=world.ports, plan=PLAN, watch=None)
    await world.sweep("s2", WATCH)
    await world.sweep("s3", WATCH)
    assert _missed(caplog) == ["2026-11-30", "2026-11-30"]
    assert "./releases run start --date 2026-11-30" in vars(caplog.records[-1])["remedy"]
    event = RunRequested(run_id="2026-11-30", reason="by hand")
    await on_run_requested(delivery(event), ports=world.ports, plan=PLAN, watch=None)
    await world.sweep("s4", WATCH)
    assert len(_missed(caplog)) == 2


async def test_without_a_schedule_no_tick_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    """A stack on one machine has no schedule, and its sweeps stay quiet."""
    world = World()
    await world.tick()
    world.clock.now = datetime(2027, 11, 30, tzinfo=UTC)
    await world.sweep("s1")
    assert _missed(caplog) == []


def _missed(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [vars(record) for record in caplog.records if record.message == "run_missing"]
    assert {line["levelname"] for line in lines} <= {"ERROR"}
    return [line["run_id"] for line in lines]
