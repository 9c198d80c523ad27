"""When a run's batch is closed, and with what: pure, over what the bucket shows now.

Sets of markets and generations, never counters: a duplicate, a reordering or a replayed event log changes nothing.
"""

from collections.abc import Mapping
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
class Close:
    """These parts are the batch."""

    revision: int
    close_reason: CloseReason
    verdict_load: bool
    parts: tuple[Part, ...]
    missing: tuple[MissingMarket, ...]
    note: str | None = None


Step = Wait | WaitQuiet | Announce | Close


def decide(facts: Facts, now: datetime) -> Step:
    """What the barrier does now."""
    if (order := _closing_order(facts)) is not None:
        return _close_by(order, facts)
    if facts.newest is None:
        return _first(facts, now)
    if _generations(facts.parts) != _generations({part.market: part for part in facts.newest.parts}):
        return _later(facts, facts.newest, now)
    if not facts.newest_has_receipt:
        return Announce(facts.newest.revision)
    return Wait("the newest decision holds all that has landed")


def _closing_order(facts: Facts) -> Order | None:
    """An order to close that no decision has obeyed yet, and that would change something."""
    order, newest = facts.order, facts.newest
    if order is None or order.kind != "close" or (newest is not None and order.number <= newest.order):
        return None
    if newest is None:
        return order
    stands = _generations(facts.parts) == _generations({part.market: part for part in newest.parts})
    return None if stands and newest.verdict == "load" else order


def _close_by(order: Order, facts: Facts) -> Close:
    """The operator overrides the quorum, but nothing can be made of nothing."""
    revision = facts.newest.revision + 1 if facts.newest else 1
    closed = _close(facts, revision, "operator")
    return replace(closed, verdict_load=bool(facts.parts), note=order.reason)


def _first(facts: Facts, now: datetime) -> Step:
    missing = missing_markets(facts)
    if not missing:
        return _close(facts, 1, "complete")
    if now >= facts.manifest.deadline:
        return _close(facts, 1, "deadline")
    if all(_is_given_up(facts, entry.market, now) for entry in missing):
        # Every market has either landed or been given up; the deadline would bring nothing more.
        return _close(facts, 1, "complete")
    return Wait(f"{len(missing)} of {len(facts.manifest.markets)} markets are missing")


def _later(facts: Facts, newest: Decision, now: datetime) -> Step:
    known = _generations({part.market: part for part in newest.parts})
    news = [part.landed_at for part in facts.parts.values() if known.get(part.market) != part.generation]
    quiet = timedelta(seconds=facts.manifest.policy.quiet_seconds)
    remaining = max(news, default=now - quiet) + quiet - now
    missing = missing_markets(facts)
    if remaining > timedelta(0) and not _completes(newest, missing):
        return WaitQuiet(remaining)
    return _close(facts, newest.revision + 1, "complete" if not missing else newest.close_reason)


def _completes(newest: Decision, missing: tuple[MissingMarket, ...]) -> bool:
    """Whether the last missing market has just come: there is nothing to be quiet for."""
    return bool(newest.missing) and not missing


def _close(facts: Facts, revision: int, reason: CloseReason) -> Close:
    missing = missing_markets(facts)
    return Close(
        revision=revision,
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


def _is_given_up(facts: Facts, market: str, now: datetime) -> bool:
    """Dead-lettered for good; one that waits for quota will be asked for again."""
    waits = facts.throttled.get(market)
    return market in facts.dead_letters and (waits is None or now >= facts.manifest.deadline)


def _generations(parts: Mapping[str, Part]) -> dict[str, int]:
    return {market: part.generation for market, part in parts.items()}
