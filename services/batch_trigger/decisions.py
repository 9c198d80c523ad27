"""When a run's batch is closed, and with what: pure, over what the bucket shows now.

Sets of markets and generations, never counters: a duplicate, a reordering or a replayed event log changes nothing.

An order is obeyed once: a decision carries the number of the newest order that was known when it was made. An order
to reopen is in force from when it is given until a decision carries it. It asks for the missing markets once, and
gives a run without a load as much time again as its manifest had given it, counted from the order.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil

from contracts.documents import (
    CloseReason,
    DeadLetterRecord,
    Decision,
    Manifest,
    MissingMarket,
    Order,
    Part,
    ThrottledRecord,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A run as the bucket shows it."""

    manifest: Manifest
    parts: Mapping[str, Part]
    """Expected markets only, by market."""
    newest: Decision | None = None
    newest_has_receipt: bool = False
    dead_letters: Mapping[str, DeadLetterRecord] = field(default_factory=dict)
    throttled: Mapping[str, ThrottledRecord] = field(default_factory=dict)
    order: Order | None = None
    """The newest order of an operator."""
    reopened: Collection[int] = ()
    """Numbers of the orders to reopen whose markets were asked for again."""


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
class Close:
    """These parts are the batch."""

    revision: int
    close_reason: CloseReason
    verdict_load: bool
    parts: tuple[Part, ...]
    missing: tuple[MissingMarket, ...]
    note: str | None = None


Step = Wait | WaitQuiet | Announce | AskAgain | Close


def decide(facts: Facts, now: datetime) -> Step:
    """What the barrier does now."""
    if (order := _closing_order(facts)) is not None:
        return _close_by(order, facts)
    reopening = _reopening_order(facts)
    if reopening is not None and reopening.number not in facts.reopened and (wanted := _to_ask(facts, now)):
        return AskAgain(reopening, wanted)
    if facts.newest is None or (reopening is not None and facts.newest.verdict == "fail"):
        return _open(facts, now, _deadline(facts.manifest, reopening))
    if _generations(facts.parts) != _generations({part.market: part for part in facts.newest.parts}):
        return _later(facts, facts.newest, now)
    if not facts.newest_has_receipt:
        return Announce(facts.newest.revision)
    return Wait("the newest decision holds all that has landed")


def _closing_order(facts: Facts) -> Order | None:
    """An order to close, or to load again, that no decision has obeyed yet, and that would change something."""
    order, newest = facts.order, facts.newest
    if order is None or order.kind == "reopen" or (newest is not None and order.number <= newest.order):
        return None
    if order.kind == "reload":
        return order if newest is not None and facts.parts else None
    if newest is None:
        return order
    stands = _generations(facts.parts) == _generations({part.market: part for part in newest.parts})
    return None if stands and newest.verdict == "load" else order


def _reopening_order(facts: Facts) -> Order | None:
    """The order to reopen that is in force."""
    order, newest = facts.order, facts.newest
    if order is None or order.kind != "reopen" or (newest is not None and order.number <= newest.order):
        return None
    return order


def _to_ask(facts: Facts, now: datetime) -> tuple[str, ...]:
    """The missing markets, but for those whose wait for quota is not over: their messages are still under way."""
    missing = [market for market in facts.manifest.markets if market not in facts.parts]
    waits = {market for market, record in facts.throttled.items() if now < record.until}
    return tuple(market for market in missing if market not in waits)


def _deadline(manifest: Manifest, reopening: Order | None) -> datetime:
    """An order to reopen gives the time anew that the manifest had given, and never takes any away."""
    if reopening is None:
        return manifest.deadline
    return max(manifest.deadline, reopening.ordered_at + (manifest.deadline - manifest.created_at))


def _close_by(order: Order, facts: Facts) -> Close:
    """The operator overrides the quorum, but nothing can be made of nothing."""
    is_whole_again = order.kind == "reload" and not missing_markets(facts)
    closed = _close(facts, "complete" if is_whole_again else "operator")
    return replace(closed, verdict_load=bool(facts.parts), note=order.reason)


def _open(facts: Facts, now: datetime, deadline: datetime) -> Step:
    """A run that has nothing loaded: it has no decision yet, or failed and was reopened."""
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
    known = _generations({part.market: part for part in newest.parts})
    news = [part.landed_at for part in facts.parts.values() if known.get(part.market) != part.generation]
    quiet = timedelta(seconds=facts.manifest.policy.quiet_seconds)
    remaining = max(news, default=now - quiet) + quiet - now
    missing = missing_markets(facts)
    if remaining > timedelta(0) and not _completes(newest, missing):
        return WaitQuiet(remaining)
    closed = _close(facts, "complete" if not missing else newest.close_reason)
    return replace(closed, verdict_load=closed.verdict_load or _holds_as_much(facts, newest))


def _holds_as_much(facts: Facts, newest: Decision) -> bool:
    """Whether no market is lost since a batch that was loaded: an operator's word on the quorum goes on to count."""
    return newest.verdict == "load" and {part.market for part in newest.parts} <= facts.parts.keys()


def _completes(newest: Decision, missing: tuple[MissingMarket, ...]) -> bool:
    """Whether the last missing market has just come: there is nothing to be quiet for."""
    return bool(newest.missing) and not missing


def _close(facts: Facts, reason: CloseReason) -> Close:
    missing = missing_markets(facts)
    return Close(
        revision=facts.newest.revision + 1 if facts.newest else 1,
        close_reason=reason,
        verdict_load=bool(facts.parts) and len(facts.parts) >= least_markets(facts.manifest),
        parts=tuple(sorted(facts.parts.values(), key=lambda part: part.market)),
        missing=missing,
    )


def least_markets(manifest: Manifest) -> int:
    """How many markets must have landed for anything to be loaded."""
    # Rounded first: 0.1 * 30 is a little more than 3 in binary, and must not ask for 4.
    return ceil(round(manifest.policy.minimum_share * len(manifest.markets), 9))


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
    if (dead := facts.dead_letters.get(market)) is not None:
        return f"dead-lettered: {dead.reason}"
    return "not landed"


def _is_given_up(facts: Facts, market: str) -> bool:
    """Dead-lettered for good; one that waits for quota will be asked for again."""
    return market in facts.dead_letters and market not in facts.throttled


def _generations(parts: Mapping[str, Part]) -> dict[str, int]:
    return {market: part.generation for market, part in parts.items()}
