"""When a run's batch is closed, and with what: pure, over what the bucket shows now.

Sets of markets and generations, never counters: a duplicate, a reordering or a replayed event log changes nothing.

An order is obeyed once: a decision carries the number of the newest order that was known when it was made. Of several
orders that no decision carries yet, the newest one that changes something counts. An order to reopen is in force until
a decision carries it. It asks for the missing markets once, and gives a run without a load as much time again as
its manifest had given it, counted from the order.

A vanished part is no reason for a new decision, and no decision leaves out a market that a load may have put into the
table: only a person may. Parts that proved bad or vanished are asked for again, at most `MOST_REPAIRS` times a run.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from contracts.documents import (
    CloseReason,
    Decision,
    GivenUpMarket,
    LoadResult,
    Manifest,
    MissingMarket,
    Order,
    Part,
    ThrottledMarket,
)

MOST_REPAIRS: Final = 2
"""How often a run asks by itself for parts that proved bad or have gone: what is bad a third time needs a person."""
_TAKEN_BACK: Final = (
    "loaded once more: a load of an older revision, without its driver, had ended after the newest"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A run as the bucket shows it."""

    manifest: Manifest
    parts: Mapping[str, Part]
    """Expected markets only, by market."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """By market, why the object in its part's place is not a part."""
    newest: Decision | None = None
    newest_has_receipt: bool = False
    load: LoadResult | None = None
    """What the job of the newest decision found, once that has its receipt."""
    given_up: Mapping[str, GivenUpMarket] = field(default_factory=dict)
    throttled: Mapping[str, ThrottledMarket] = field(default_factory=dict)
    orders: Sequence[Order] = ()
    """All that an operator wanted, in order."""
    reopened: Collection[int] = ()
    """Numbers of the orders to reopen whose markets were asked for again."""
    taken_back: bool = False
    """Whether the second look found that an older load had taken the table back from the newest decision."""
    repaired: Collection[int] = ()
    """Revisions whose bad or vanished parts were asked for again."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to decide; other events will come."""

    reason: str


@dataclass(frozen=True, slots=True)
class WaitQuiet:
    """A part is newer than the newest decision; decide when nothing has landed for the quiet period."""

    remaining: timedelta


@dataclass(frozen=True, slots=True)
class Announce:
    """The newest decision stands and has no receipt yet: say so (again)."""

    revision: int


@dataclass(frozen=True, slots=True)
class AskAgain:
    """An order to reopen: ask for these markets again, and forget that any of them was given up."""

    order: Order
    markets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """Fetch these markets again: their parts in this revision proved bad, or have gone since."""

    revision: int
    markets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """These parts are the batch."""

    revision: int
    close_reason: CloseReason
    verdict_load: bool
    parts: tuple[Part, ...]
    missing: tuple[MissingMarket, ...]
    least: int
    holds: tuple[str, ...]
    note: str | None = None


Step = Wait | WaitQuiet | Announce | AskAgain | Repair | Close


def decide(facts: Facts, now: datetime) -> Step:
    """What the barrier does now."""
    if facts.orders and facts.orders[-1].kind == "discard":
        return Wait(f"order {facts.orders[-1].number} discards it; any later order takes that back")
    order = _order(facts)
    if order is not None and order.kind != "reopen":
        return _close_by(order, facts)
    reopening = order
    if reopening is not None and reopening.number not in facts.reopened and (wanted := _to_ask(facts, now)):
        return AskAgain(reopening, wanted)
    if facts.newest is None or _is_narrow(facts) or (reopening is not None and facts.newest.verdict == "fail"):
        return _open(facts, now, _deadline(facts.manifest, reopening))
    return _after(facts, facts.newest, now)


def _is_narrow(facts: Facts) -> bool:
    """Whether the newest decision does not know of markets that were asked for since: the run is open for them."""
    newest, manifest = facts.newest, facts.manifest
    if newest is None or manifest.widened_at is None:
        return False
    known = {part.market for part in newest.parts} | {gone.market for gone in newest.missing}
    return not known.issuperset(manifest.markets)


def _after(facts: Facts, newest: Decision, now: datetime) -> Step:
    """A decision stands: what has landed since makes the next one, unless that would lose a market."""
    news, gone = _news(facts, newest), sorted(_held(facts) - facts.parts.keys())
    wants = bool(news) or facts.taken_back
    if wants and not gone:
        return _later(facts, newest, now)
    if not facts.newest_has_receipt:
        return Announce(newest.revision)
    if news and (remaining := _until_quiet(facts, news, now)) > timedelta(0):
        return WaitQuiet(remaining)
    wanted = _unless_waiting([*_bad_still(facts, newest), *(gone if wants else ())], facts, now)
    if wanted and newest.revision not in facts.repaired and len(facts.repaired) < MOST_REPAIRS:
        return Repair(newest.revision, wanted)
    if news:
        return Wait(f"gone since they were decided: {', '.join(gone)}; only an order to close loads without them")
    return Wait("the newest decision holds all that has landed")


def _order(facts: Facts) -> Order | None:
    """The order in force: the newest that no decision carries and that changes something.

    An order that changes nothing, such as a reload of what was never loaded, does not stand in an earlier one's way.
    """
    known = facts.newest.order if facts.newest else 0
    unknown = (order for order in reversed(facts.orders) if order.number > known)
    return next((order for order in unknown if _does_something(order, facts)), None)


def _does_something(order: Order, facts: Facts) -> bool:
    newest = facts.newest
    if order.kind == "discard":
        return False
    if order.kind == "reload":
        return newest is not None and bool(facts.parts)
    if order.kind == "reopen" or newest is None:
        return True
    stands = {market: part.generation for market, part in facts.parts.items()} == _decided(newest)
    loads = newest.verdict == "load" and (facts.load is None or facts.load.loaded)
    return not (stands and loads)


def _to_ask(facts: Facts, now: datetime) -> tuple[str, ...]:
    """The missing markets, except those still waiting for quota: their messages are under way."""
    missing = [market for market in facts.manifest.markets if market not in facts.parts]
    return _unless_waiting(missing, facts, now)


def _unless_waiting(markets: Iterable[str], facts: Facts, now: datetime) -> tuple[str, ...]:
    waits = {market for market, record in facts.throttled.items() if now < record.until}
    return tuple(market for market in markets if market not in waits)


def _deadline(manifest: Manifest, reopening: Order | None) -> datetime:
    """An order to reopen grants the manifest's time once more, and never shortens it."""
    if reopening is None:
        return manifest.deadline
    return max(manifest.deadline, reopening.ordered_at + (manifest.deadline - manifest.created_at))


def _close_by(order: Order, facts: Facts) -> Close:
    """The operator overrides the quorum and may give up markets; without any album there is still nothing to load."""
    is_whole_again = order.kind == "reload" and not missing_markets(facts)
    closed = _close(facts, "complete" if is_whole_again else "operator")
    loads = _has_albums(facts.parts.values())
    overrides = order.kind == "close" or len(facts.parts) < closed.least
    return replace(
        closed,
        verdict_load=loads,
        least=1 if overrides else closed.least,
        holds=() if loads else closed.holds,
        note=order.reason,
    )


def _open(facts: Facts, now: datetime, deadline: datetime) -> Step:
    """A run that waits for its markets: it has no decision yet, was widened since, or failed and was reopened."""
    missing = missing_markets(facts)
    if not missing:
        return _close(facts, "complete")
    if now >= deadline:
        return _close(facts, "deadline")
    if all(_is_given_up(facts, entry.market) for entry in missing):
        # Every market has either landed or been given up; the deadline would bring nothing more.
        return _close(facts, "complete")
    if facts.newest is not None and not facts.newest_has_receipt:
        return Announce(facts.newest.revision)
    return Wait(f"{len(missing)} of {len(facts.manifest.markets)} markets are missing")


def _later(facts: Facts, newest: Decision, now: datetime) -> Step:
    news, missing = _news(facts, newest), missing_markets(facts)
    remaining = _until_quiet(facts, news, now) if news else timedelta(0)
    if remaining > timedelta(0) and not _completes(newest, missing):
        return WaitQuiet(remaining)
    closed = _close(facts, "complete" if not missing else newest.close_reason)
    closed = replace(closed, note=_TAKEN_BACK if facts.taken_back else None)
    if newest.verdict == "fail":
        return closed
    # Nothing is lost since a batch that was loaded: an operator's word on the quorum goes on to count.
    least = min(closed.least, newest.least or max(len(newest.parts), 1))
    return replace(closed, verdict_load=_has_albums(closed.parts), least=least)


def _until_quiet(facts: Facts, news: Iterable[Part], now: datetime) -> timedelta:
    return max(part.landed_at for part in news) + timedelta(seconds=facts.manifest.policy.quiet_seconds) - now


def _news(facts: Facts, newest: Decision) -> list[Part]:
    """Parts that landed since; a vanished one does not count."""
    known = _decided(newest)
    return [part for part in facts.parts.values() if known.get(part.market) != part.generation]


def _decided(decision: Decision) -> dict[str, int]:
    return {part.market: part.generation for part in decision.parts}


def _bad(facts: Facts) -> dict[str, str]:
    """Markets whose parts the newest job left out, each with why."""
    return {found.market: found.reason for found in (facts.load.parts if facts.load else ()) if found.reason}


def _bad_still(facts: Facts, newest: Decision) -> list[str]:
    """Those of them for which nothing better has landed."""
    known = _decided(newest)
    there = {market: part.generation for market, part in facts.parts.items()}
    return [market for market in _bad(facts) if there.get(market) in (None, known.get(market))]


def _held(facts: Facts) -> frozenset[str]:
    """Markets that may be in the table, so that no load may come without them unless a person asks for it."""
    newest = facts.newest
    if newest is None:
        return frozenset()
    decided = _decided(newest).keys() if newest.verdict == "load" else frozenset[str]()
    return frozenset(newest.holds) | (decided - _bad(facts).keys())


def _has_albums(parts: Iterable[Part]) -> bool:
    """Whether there is anything to load; a part that does not say how many albums it has may have some."""
    return any(not part.empty and part.albums != 0 for part in parts)


def _completes(newest: Decision, missing: tuple[MissingMarket, ...]) -> bool:
    """Whether the last missing market has just landed: there is nothing left to wait for."""
    return bool(newest.missing) and not missing


def _close(facts: Facts, reason: CloseReason) -> Close:
    missing, held = missing_markets(facts), _held(facts)
    least = max(facts.manifest.least_markets, 1)
    enough = len(facts.parts) >= least and held <= facts.parts.keys()
    return Close(
        revision=facts.newest.revision + 1 if facts.newest else 1,
        close_reason=reason,
        verdict_load=enough and _has_albums(facts.parts.values()),
        parts=tuple(sorted(facts.parts.values(), key=lambda part: part.market)),
        missing=missing,
        least=least,
        holds=tuple(sorted(held)),
    )


def missing_markets(facts: Facts) -> tuple[MissingMarket, ...]:
    """The expected markets without a part, each with why, as far as it is known."""
    return tuple(
        MissingMarket(market=market, reason=_why(facts, market))
        for market in facts.manifest.markets
        if market not in facts.parts
    )


def _why(facts: Facts, market: str) -> str:
    if (waits := facts.throttled.get(market)) is not None:
        return f"throttled until {waits.until.isoformat()}: {waits.reason}"
    if (dead := facts.given_up.get(market)) is not None:
        return f"dead-lettered: {dead.reason}"
    return facts.unusable.get(market, "not landed")


def _is_given_up(facts: Facts, market: str) -> bool:
    """Given up for good; a market that waits for quota will be asked for again."""
    return market in facts.given_up and market not in facts.throttled
