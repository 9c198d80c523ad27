"""The scheduler's deciding functions, pure: which run a tick means and expects, whom to ask for, what was lost."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from contracts.documents import CompletenessPolicy, Manifest, ThrottledMarket
from contracts.events import MarketRequested, RunRequested
from contracts.names import MARKETS, MOST_AHEAD, is_too_far_ahead
from eventing.ledger import Landing

EARLY: Final = timedelta(minutes=5)
"""How long before its slot a tick may be published: clocks and schedulers are off by seconds, rarely by more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The schedule's settings, as far as the deciding functions need them."""

    zone: ZoneInfo
    markets: tuple[str, ...]
    deadline: timedelta
    policy: CompletenessPolicy


def manifest_for(request: RunRequested, run_id: str, *, plan: Plan, now: datetime, event_id: str) -> Manifest:
    """What a new run expects."""
    markets = request.markets or plan.markets
    return Manifest(
        run_id=run_id,
        markets=markets,
        left_out=_left_out(plan, markets),
        reason=request.reason,
        created_at=now,
        deadline=now + plan.deadline,
        policy=plan.policy,
        requested_by=event_id,
    )


def widened(standing: Manifest, wanted: Manifest, *, plan: Plan, now: datetime) -> Manifest | None:
    """The manifest with the markets that a later request names beside those it has; None where it has them all.

    The new markets get as much time as those of a new run.
    """
    added = [market for market in wanted.markets if market not in standing.markets]
    if not added:
        return None
    markets = (*standing.markets, *added)
    grown = {"markets": markets, "left_out": _left_out(plan, markets), "widened_at": now}
    return standing.model_copy(update={**grown, "deadline": max(standing.deadline, wanted.deadline)})


def _left_out(plan: Plan, markets: Collection[str]) -> tuple[str, ...]:
    return tuple(market for market in plan.markets if market not in markets)


def why_refused(request: RunRequested, *, plan: Plan, now: datetime) -> str | None:
    """Why a run is refused: its year is mistyped, or it names a market that the pipeline does not know."""
    if request.run_id is not None and is_too_far_ahead(request.run_id, now.date()):
        days = MOST_AHEAD.days
        return (
            f"run_id: {request.run_id} is more than {days} days ahead, when no tick is due yet; look at its year"
        )
    strange = sorted(set(request.markets or ()) - {*plan.markets, *MARKETS})
    if strange and not request.force:
        return f"markets: {', '.join(strange)} are neither configured nor known; set force to ask for them all the same"
    return None


def requests_on_tick(manifest: Manifest, landing: Landing) -> list[MarketRequested]:
    """One request per expected market that has no part yet."""
    wanted = [market for market in manifest.markets if market not in landing.parts]
    return _requests(manifest, wanted, landing, reason="run")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is known of a run's missing markets."""

    landing: Landing
    given_up: Collection[str]
    throttled: Mapping[str, ThrottledMarket]


def requests_on_sweep(manifest: Manifest, waiting: Waiting, now: datetime) -> list[MarketRequested]:
    """Requests for markets whose message must be taken for lost, or whose quota wait outlived its message.

    A market that was given up stays so, unless it was only waiting for quota: then its end is the time to ask
    again. A market that still waits is left alone.
    """
    again = []
    for market in manifest.markets:
        record = waiting.throttled.get(market)
        still_waits = record is not None and now < record.until
        given_up = market in waiting.given_up and record is None
        if market not in waiting.landing.parts and not still_waits and not given_up:
            again.append(market)
    return _requests(manifest, again, waiting.landing, reason="asked again by the sweep")


def slot_of(manifest: Manifest, now: datetime, interval: timedelta) -> int:
    """Which asking interval of a run the present lies in, from 0."""
    return int((now - manifest.created_at) / interval)


def is_recent(run_id: str, now: datetime, span: timedelta) -> bool:
    """Whether a run's date is near enough that its missing markets are still asked for."""
    return abs(now.date() - date.fromisoformat(run_id)) <= span + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Watch:
    """Which ticks are expected, and how long after one its run must have begun."""

    schedule: str
    """The cron expression, in this zone."""
    zone: ZoneInfo
    grace: timedelta


@dataclass(frozen=True, slots=True)
class Due:
    """A run that must have begun, and when its tick was due."""

    run_id: str
    at: datetime


def newest_due(watch: Watch, now: datetime) -> Due:
    """The newest run that must have begun by now."""
    latest = (now - watch.grace).astimezone(watch.zone)
    due = next(CronSim(watch.schedule, latest + datetime.resolution, reverse=True))  # it gives what lies before
    return Due(_date_of(due, watch.zone), due)


def run_id_at(published: datetime, zone: ZoneInfo, watch: Watch | None) -> str:
    """The run a tick means: the date of the slot it was published for, or else on which it was published.

    Cloud Scheduler may be a little early, and a moment before midnight is another date.
    """
    due = next(CronSim(watch.schedule, published.astimezone(watch.zone))) if watch else published
    return _date_of(due if due - published <= EARLY else published, zone)


def _date_of(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).date().isoformat()


def is_missing(due: Due, runs: Collection[str], before: datetime | None) -> bool:
    """Whether a tick was lost: its run has no manifest, although the stack was there when it was due.

    Args:
        due: The run.
        runs: Ids of the runs that have a manifest.
        before: When the newest run of an earlier date began. Where that was after the tick was due, or there is
            none, the stack is new, and a past week was at most filled in.
    """
    return due.run_id not in runs and before is not None and before < due.at


def _requests(manifest: Manifest, markets: list[str], landing: Landing, *, reason: str) -> list[MarketRequested]:
    """An object in a part's place that is not a part is replaced only by a replay."""
    return [
        MarketRequested(run_id=manifest.run_id, market=market, replay=market in landing.unusable, reason=reason)
        for market in markets
    ]
