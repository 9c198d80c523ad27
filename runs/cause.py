"""Why a run is not whole in the table, and the command to type next, for whoever is on call. Pure.

Terminal, page and receipt give the same answer. A cause quotes what a job, Google or Spotify said, never just that
something failed. Its command mends this cause; only words in capitals are left to be filled in.
"""

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

from contracts.documents import Document, Part, PartResult
from runs.status import MarketState, MarketStatus, RunStatus

_SHOWN: Final = 5  # markets or records that are named
_JUDGED: Final = "nothing was loaded"
"""Ends the error of a job that found too few or too bad data (spark_job/verdict.py); other errors are the stack's."""

_COMMAND: Final = re.compile(r"\breleases (?=(run|replay|backfill|dead-letter|doctor|receipt) )")


class Cause(Document):
    """What keeps a run from being whole in the table, and the next step."""

    what: str
    details: tuple[str, ...] = ()
    """A few examples: markets, records, refusals."""
    command: str
    """What to type next."""

    def typed(self, named: str) -> "Cause":
        """The same, with the options that name the stack in its commands: without them they may reach another stack."""

        def whole(text: str) -> str:
            return _COMMAND.sub(lambda found: f"{found[0]}{named} ", text) if named else text

        return self.model_copy(update={"details": tuple(map(whole, self.details)), "command": whole(self.command)})


def cause_of(run: RunStatus) -> Cause | None:
    """The most urgent cause; None where nothing is wrong, or the run is discarded."""
    if run.state == "discarded":
        return None
    looks = (_failed, _refused, _partial, _unusable, _given_up, _throttled, _set_aside, _doubtful, _quarantined)
    return next((found for look in looks if (found := look(run)) is not None), None)


def _failed(run: RunStatus) -> Cause | None:
    receipt = run.receipt
    if run.state != "failed" or receipt is None:
        return None
    what = receipt.error or f"revision {receipt.revision} failed, and its receipt does not say why"
    refused = (f"refused: {words}" for words in receipt.refusals[-1:])
    details = chain(_bad_parts(run), _examples(run), refused, _away(run), _instead(run))
    return Cause(what=what, details=tuple(details), command=_after_failure(run))


def _after_failure(run: RunStatus) -> str:
    """Fetch bad parts again, close the run or ask for what is missing, repeat a refused load; else ask the doctor."""
    newest, load, receipt = run.newest, run.load, run.receipt
    if load and load.error and load.error.endswith(_JUDGED):
        bad = [part.market for part in _left_out(run)] or _quarantined_markets(run)
        return _replay(run, bad or [market.market for market in run.markets])
    if newest and newest.decision.verdict == "fail":
        return _after_verdict(run, newest.decision.parts)
    if receipt and receipt.refusals and receipt.job_id is None:
        return f'releases backfill --from {run.run_id} --to {run.run_id} --reason "there are machines again"'
    return "releases doctor --problems"


def _after_verdict(run: RunStatus, landed: Sequence[Part]) -> str:
    """Too few markets landed: close the run where they are half or more of them, else ask for the missing ones."""
    if any(not part.empty and part.albums != 0 for part in landed):
        return _close(run) if 2 * len(landed) >= len(run.markets) else _ask_again(run)
    if landed:
        return f'releases replay {run.run_id} --all --reason "no market had an album"'
    return _ask_again(run)


def _instead(run: RunStatus) -> tuple[str, ...]:
    """The share of markets that a load needs, and the other command that helps."""
    decision = run.newest.decision if run.newest else None
    command = _after_failure(run)
    if decision is None or decision.verdict != "fail" or command not in (_close(run), _ask_again(run)):
        return ()
    share = f"a load needs {run.policy.minimum_share:.0%} of the markets (MINIMUM_SHARE)"
    if command == _close(run):
        share += f"; to wait for the others: {_ask_again(run)}"
    elif decision.parts:
        share += f"; to load what has landed: {_close(run)}"
    return (share,)


def _refused(run: RunStatus) -> Cause | None:
    if not run.waits_for:
        return None
    what = f"Google has no machines for the load; it is tried again automatically: {run.waits_for}"
    remedy = "if it lasts: ask Google for quota, or set other cluster_machine_types or cluster_zones and apply"
    return Cause(what=what, details=(remedy,), command=_watch(run))


def _set_aside(run: RunStatus) -> Cause | None:
    if not run.set_aside:
        return None
    told = _few([f"{found.name}: {found.reason}" for found in run.set_aside])
    return Cause(
        what="documents that cannot be read are treated as absent",
        details=told,
        command="releases doctor --problems",
    )


def _unusable(run: RunStatus) -> Cause | None:
    found = [market for market in run.markets if market.state == "requested" and market.reason]
    if not found:
        return None
    told = _few([f"{market.market}: {market.reason}" for market in found])
    command = _replay(run, [market.market for market in found])
    return Cause(what=f"{_markets(len(found))} landed, but not as a part", details=told, command=command)


def _given_up(run: RunStatus) -> Cause | None:
    found = _in(run, "dead_lettered")
    if not found:
        return None
    who = f"{found[0].market} was" if len(found) == 1 else f"{len(found)} markets were"
    what = f"{who} given up: {found[0].reason}"
    return Cause(what=what, details=_named(found), command=_redrive(run))


def _throttled(run: RunStatus) -> Cause | None:
    found = _in(run, "throttled")
    if not found:
        return None
    last = max(market.until or run.seen_at for market in found)
    who = f"{found[0].market} waits" if len(found) == 1 else f"{len(found)} markets wait"
    what = f"{who} for Spotify's quota until {last:%Y-%m-%d %H:%M} UTC: {found[0].reason}"
    late = not run.revisions and last > run.deadline
    if not late:
        return Cause(what=what, details=_named(found), command=_watch(run))
    what += f"; the run closes at {run.deadline:%Y-%m-%d %H:%M} UTC"
    return Cause(what=what, details=_named(found), command=_close(run) if run.count("landed") else _watch(run))


def _partial(run: RunStatus) -> Cause | None:
    receipt = run.receipt
    if run.state != "partial" or receipt is None or not receipt.missing:
        return None
    away = _few([f"{gone.market}: {gone.reason}" for gone in receipt.missing])
    what = f"{_markets(len(receipt.missing))} not in the table; {_table(run)}"
    return Cause(what=what, details=(*away, *_examples(run)), command=_after_loss(run))


def _after_loss(run: RunStatus) -> str:
    if bad := [part.market for part in _left_out(run)]:
        return _replay(run, bad)
    if run.count("dead_lettered"):
        return _redrive(run)
    return _watch(run) if run.count("throttled") else _ask_again(run)


def _doubtful(run: RunStatus) -> Cause | None:
    receipt = run.receipt
    if receipt is None or not receipt.warnings:
        return None
    return Cause(what=receipt.warnings[0], details=receipt.warnings[1:], command=f"releases receipt {run.run_id}")


def _quarantined(run: RunStatus) -> Cause | None:
    markets = _quarantined_markets(run)
    if not markets or not run.is_finished:
        return None
    what = f"records of {' '.join(markets[:_SHOWN])} are in quarantine, too few to stop the load; {_table(run)}"
    return Cause(what=what, details=_examples(run), command=_replay(run, markets))


def _table(run: RunStatus) -> str:
    """How many rows of the run the table holds, and by which revision."""
    counts = [entry.receipt.warehouse for entry in run.revisions if entry.receipt and entry.receipt.warehouse]
    if not counts or not counts[-1].rows:
        return "the table has none of it"
    return f"revision {counts[-1].revision} stands, {counts[-1].rows:,} rows"


def _parts(run: RunStatus, wanted: Callable[[PartResult], object]) -> list[PartResult]:
    return [part for part in (run.load.parts if run.load else ()) if wanted(part)]


def _left_out(run: RunStatus) -> list[PartResult]:
    return _parts(run, lambda part: part.reason)


def _quarantined_markets(run: RunStatus) -> list[str]:
    return [part.market for part in _parts(run, lambda part: part.quarantined)]


def _bad_parts(run: RunStatus) -> tuple[str, ...]:
    return _few([f"{part.market} {part.reason}" for part in _left_out(run)])


def _examples(run: RunStatus) -> tuple[str, ...]:
    examples = run.load.examples if run.load else ()
    return tuple(f"{bad.market}, line {bad.line}: {bad.reason}" for bad in examples)


def _away(run: RunStatus) -> tuple[str, ...]:
    told = {part.market for part in _left_out(run)}
    missing = run.receipt.missing if run.receipt else ()
    return _few([f"{gone.market}: {gone.reason}" for gone in missing if gone.market not in told])


def _in(run: RunStatus, state: MarketState) -> list[MarketStatus]:
    return [market for market in run.markets if market.state == state]


def _named(markets: list[MarketStatus]) -> tuple[str, ...]:
    """Markets with their reasons; none where there is only one, since the cause itself names it."""
    return _few([f"{market.market}: {market.reason}" for market in markets] if len(markets) > 1 else [])


def _few(told: list[str]) -> tuple[str, ...]:
    more = len(told) - _SHOWN
    return tuple(told) if more <= 0 else (*told[:_SHOWN], f"and {more} more")


def _markets(count: int) -> str:
    return "1 market" if count == 1 else f"{count} markets"


def _replay(run: RunStatus, markets: list[str]) -> str:
    named = " ".join(f"--market {market}" for market in markets)
    which = "--all" if len(markets) == len(run.markets) else named
    return f'releases replay {run.run_id} {which} --reason "bad part"'


def _close(run: RunStatus) -> str:
    return f'releases run close {run.run_id} --reason "what has landed is enough"'


def _ask_again(run: RunStatus) -> str:
    return f'releases run reopen {run.run_id} --reason "what was missing is there again"'


def _redrive(run: RunStatus) -> str:
    return f'releases dead-letter redrive --run {run.run_id} --reason "WHAT WAS MENDED" --yes'


def _watch(run: RunStatus) -> str:
    next_one = f" --revision {run.revision + 1}" if run.revision and run.is_finished else ""
    return f"releases run watch {run.run_id}{next_one}"
