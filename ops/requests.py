"""What an operator may ask for, as plans: which events a command would publish, or why none. Pure.

A dry run shows the plan, otherwise it is carried out; both come from the same function.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from contracts.events import MarketRequested, RunRequested
from contracts.names import MARKETS, MOST_AHEAD, is_run_id, is_too_far_ahead, market_fault
from contracts.wording import shown
from runs.status import RevisionStatus, RunStatus


class RequestError(ValueError):
    """What was asked for cannot be done; names the argument and the remedy."""


def run_id_of(text: str) -> str:
    """A run id from an argument.

    Raises:
        RequestError: it is not a date.
    """
    if not is_run_id(text):
        raise RequestError(f"{shown(text)} is not a run; a run is a date, written as 2026-11-23")
    return text


def markets_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Markets from arguments such as `DK` and `se,no`, each once, in the order given.

    Raises:
        RequestError: one is not two letters.
    """
    codes = [code.upper() for text in texts for code in text.replace(",", " ").split()]
    markets = tuple(dict.fromkeys(codes))
    if fault := market_fault(markets):
        raise RequestError(f"--market {fault}")
    return markets


def market_of(text: str) -> str:
    """The one market that an argument names.

    Raises:
        RequestError: it names none, or several.
    """
    markets = markets_of([text])
    if len(markets) != 1:
        raise RequestError(f"{shown(text)} is not one market; write two capital letters, such as DK")
    return markets[0]


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What asking for a run does."""

    event: RunRequested
    asks: tuple[str, ...]
    """Markets that the scheduler will ask for; empty means all that it is configured with."""
    lands_in: Literal["new", "standing"]
    """standing: the run has its manifest, and only what has not landed is asked for."""


def plan_start(
    run_id: str,
    markets: tuple[str, ...],
    reason: str,
    standing: RunStatus | None,
    *,
    today: date,
    force: bool = False,
) -> StartPlan:
    """Plan a run; one that exists is widened by the markets that it does not expect yet.

    Raises:
        RequestError: its date is too far ahead, or the pipeline does not know a market.
    """
    if is_too_far_ahead(run_id, today):
        raise RequestError(f"{run_id} is more than {MOST_AHEAD.days} days ahead of {today}; look at its year")
    if not force and (strange := sorted(set(markets) - set(MARKETS))):
        raise RequestError(
            f"--market {', '.join(strange)}: not among the {len(MARKETS)} markets of a run; --force asks for it all "
            "the same"
        )
    event = RunRequested(run_id=run_id, markets=markets or None, reason=reason, force=force)
    if standing is None:
        return StartPlan(event, markets, "new")
    if standing.state == "discarded":
        raise RequestError(f"run {run_id} is discarded; take that back with: releases run reopen {run_id}")
    added = tuple(market for market in markets or standing.left_out if standing.market(market) is None)
    return StartPlan(event, (*_not_there(standing), *added), "standing")


def _not_there(status: RunStatus) -> tuple[str, ...]:
    """Markets without a part in the bucket: those that never landed, and those whose part was deleted since."""
    return tuple(market.market for market in status.markets if market.state != "landed" or market.is_gone)


def plan_replay(
    status: RunStatus, markets: tuple[str, ...], *, fresh: bool, reason: str, everything: bool = False
) -> tuple[MarketRequested, ...]:
    """One event for each market that is to be fetched again.

    Raises:
        RequestError: no market is named, the run does not expect one, or the run is archived and the raw parts that a
            load needs beside these are gone.
    """
    if everything and markets:
        raise RequestError("--market and --all: name some markets or ask for all, not both")
    if everything:
        markets = tuple(market.market for market in status.markets)
    if not markets:
        raise RequestError("--market: name at least one market to replay, such as --market DK, or ask for --all")
    expected = {market.market for market in status.markets}
    unknown = [market for market in markets if market not in expected]
    if unknown:
        raise RequestError(
            f"--market {', '.join(unknown)}: run {status.run_id} does not expect it; it expects "
            f"{', '.join(sorted(expected))}"
        )
    if status.archived and (gone := sorted(set(_not_there(status)) - set(markets))):
        raise RequestError(
            f"--market: run {status.run_id} is archived, and the raw parts of {', '.join(gone)} have gone; it cannot "
            "be loaded without them. --all fetches every market anew, as Spotify lists it today"
        )
    return tuple(
        MarketRequested(run_id=status.run_id, market=market, replay=True, fresh=fresh, reason=reason)
        for market in markets
    )


def is_replaced(status: RunStatus, before: Mapping[str, int | None]) -> bool:
    """Whether every replayed market has a new part and a job has loaded it.

    Args:
        status: The run now.
        before: Generation of each replayed market's part when the replay was asked for; None where there was none.
    """
    markets = {market: status.market(market) for market in before}
    return all(
        found is not None and found.generation not in (None, before[market]) and found.is_loaded
        for market, found in markets.items()
    )


def has_failed(status: RunStatus, before: Mapping[str, int | None]) -> bool:
    """Whether the replayed markets have new parts and the revision that should have loaded them failed."""
    if status.newest is None or status.state != "failed":
        return False
    decided = {part.market: part.generation for part in status.newest.decision.parts}
    # Generations of an object grow: a different one may still be older than the part that was there before the replay.
    return all(decided.get(market, 0) > (generation or 0) for market, generation in before.items())


def effect_of(kind: Literal["close", "reopen", "discard"], status: RunStatus) -> str:
    """What an order would do to a run, in a sentence.

    Raises:
        RequestError: it would change nothing.
    """
    run_id = status.run_id
    missing = _not_there(status)
    landed = len(status.markets) - len(missing)
    if kind == "discard":
        if status.state in ("loading", "discarded"):
            remedy = (
                f"follow it with: releases run watch {run_id}" if status.state == "loading" else "nothing is to do"
            )
            raise RequestError(f"run {run_id} is {status.state}; {remedy}")
        return (
            f"Run {run_id} is left alone from now on: nothing is asked for, nothing is loaded, no page shows it."
        )
    if kind == "close":
        if not landed:
            raise RequestError(f"run {run_id} cannot be closed: no market has landed, there is nothing to load")
        if status.newest and _stands(status.newest) and not _has_news(status):
            raise RequestError(f"run {run_id} is closed already, with all that has landed")
        return f"Run {run_id} closes with {landed} of {len(status.markets)} markets."
    if not status.revisions and status.state != "discarded":
        raise RequestError(f"run {run_id} is open; there is nothing to reopen")
    if not missing:
        raise RequestError(f"run {run_id} has all its markets; fetch one again with: releases replay {run_id}")
    return f"Run {run_id} is open again: {' '.join(missing)} will be asked for."


def removal(table: str, run_id: str) -> str:
    """The command that deletes a run's rows; a person gives it, since only a load brings them back."""
    sql = f'DELETE FROM `{table}` WHERE load_date = "{run_id}"'  # noqa: S608 -- shown, and both are checked names
    return f"bq query --use_legacy_sql=false '{sql}'"


def _stands(newest: RevisionStatus) -> bool:
    """Whether the decision is to load, and its job has not refused."""
    return newest.decision.verdict == "load" and (newest.load is None or newest.load.loaded)


def _has_news(status: RunStatus) -> bool:
    """Whether the parts in the bucket are not those of the newest decision."""
    known = {part.market: part.generation for part in status.revisions[-1].decision.parts}
    there = {market.market: market.generation for market in status.markets if not market.is_gone}
    return known != {market: generation for market, generation in there.items() if generation is not None}


@dataclass(frozen=True, slots=True)
class Backfill:
    """What loading one run again from the raw parts would do."""

    run_id: str
    action: Literal["reload", "request", "keep", "nothing", "unreadable"]
    """reload: order a new revision of a known run; request: make the run known again, with the markets whose raw
    parts are there; keep: leave it as it was loaded, since some of its raw parts have gone; nothing: there is no raw
    part; unreadable: its manifest has to be repaired first."""
    markets: tuple[str, ...]


def plan_backfill(
    first: str,
    last: str,
    *,
    raw: Mapping[str, Collection[str]],
    known: Collection[str],
    gone: Mapping[str, Collection[str]],
    unreadable: Collection[str] = (),
) -> tuple[Backfill, ...]:
    """One step for each run of a span of which the bucket holds anything.

    Args:
        first: First run of the span.
        last: Last run of the span, included.
        raw: Markets with a raw part, by run.
        known: Runs that have a manifest.
        gone: Markets of a decision whose raw part is no longer there, by run.
        unreadable: Known runs whose manifest cannot be read.

    Raises:
        RequestError: the span is reversed.
    """
    if date.fromisoformat(last) < date.fromisoformat(first):
        raise RequestError(f"--from {first} is after --to {last}; turn them round")
    within = sorted(run_id for run_id in {*raw, *known} if first <= run_id <= last)
    there = {run_id: tuple(sorted(raw.get(run_id, ()))) for run_id in within}
    return tuple(
        Backfill(run_id, "unreadable", there[run_id])
        if run_id in unreadable
        else _backfill(run_id, there[run_id], known, gone.get(run_id, ()))
        for run_id in within
    )


def _backfill(run_id: str, markets: tuple[str, ...], known: Collection[str], gone: Collection[str]) -> Backfill:
    if not markets:
        return Backfill(run_id, "nothing", ())
    if gone:
        return Backfill(run_id, "keep", markets)
    return Backfill(run_id, "reload" if run_id in known else "request", markets)
