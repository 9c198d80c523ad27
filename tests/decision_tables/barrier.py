"""The barrier's decisions as a table: what is there, what is done, why.

The same rows are tried by `tests/unit/test_decision_tables.py` and written into docs/decision-tables.md by
`python -m docs`, so that the page cannot say what the code does not do. Every run here expects DK, SE and NO, asks
for 60 % of them, and is quiet for 60 s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contracts.documents import (
    GivenUpMarket,
    LoadResult,
    MissingMarket,
    Order,
    Part,
    PartResult,
    ThrottledMarket,
)
from services.batch_trigger.decisions import Announce, AskAgain, Close, Facts, Repair, Step, Wait, WaitQuiet
from tests.builders import NOW, RUN, START, decision, manifest, part, parts

DEADLINE = START + timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Case:
    """One row."""

    id: str
    situation: str
    facts: Facts
    step: str
    """What is done, in the words of `told`."""
    why: str
    now: datetime = NOW


def told(step: Step) -> str:
    """A step in a line."""
    match step:
        case Wait(reason):
            return f"wait: {reason}"
        case WaitQuiet(remaining):
            return f"wait {remaining.total_seconds():.0f} s for more"
        case Announce(revision):
            return f"announce revision {revision} again"
        case AskAgain(_, markets):
            return f"ask for {', '.join(markets)} again"
        case Repair(_, markets):
            return f"fetch {', '.join(markets)} again"
        case Close():
            return _closed(step)


def _closed(step: Close) -> str:
    missing = f"; missing {', '.join(entry.market for entry in step.missing)}" if step.missing else ""
    return f"revision {step.revision}: {'load' if step.verdict_load else 'fail'} ({step.close_reason}{missing})"


def _facts(landed: str | Mapping[str, Part], **known: Any) -> Facts:
    known.setdefault("newest_has_receipt", "newest" in known)
    return Facts(manifest(), parts(landed) if isinstance(landed, str) else landed, **known)


def _dead(market: str) -> dict[str, GivenUpMarket]:
    record = GivenUpMarket(
        run_id=RUN, market=market, reason="403", subscription="s", message_id="1", recorded_at=NOW
    )
    return {market: record}


def _throttled(market: str) -> dict[str, ThrottledMarket]:
    until = NOW + timedelta(hours=2)
    return {market: ThrottledMarket(run_id=RUN, market=market, until=until, reason="quota")}


def _order(kind: str) -> Order:
    return Order.model_validate(
        {"run_id": RUN, "number": 1, "kind": kind, "reason": "the operator's reason", "ordered_at": NOW}
    )


def _left_out(market: str) -> LoadResult:
    bad = PartResult(market=market, reason="short: 3 of 5 albums")
    return LoadResult(run_id=RUN, revision=1, parts=(bad,), files=2, albums=5, tracks=9, rows=9, quarantined=0)


def _empty(markets: str) -> dict[str, Part]:
    told = {"form": 2, "albums": 0, "tracks": 0, "empty": True}
    return {market: found.model_copy(update=told) for market, found in parts(markets).items()}


_WHOLE = decision("DK SE NO")
_EARLY = decision("DK SE", close_reason="deadline", missing=(MissingMarket(market="NO", reason="not landed"),))
_FAILED = decision("DK", verdict="fail", close_reason="deadline")

CASES = (
    Case(
        "complete",
        "all three landed",
        _facts("DK SE NO"),
        "revision 1: load (complete)",
        "Complete is the set of expected markets, not a count.",
    ),
    Case(
        "open",
        "NO has not landed",
        _facts("DK SE"),
        "wait: 1 of 3 markets are missing",
        "No run is complete while a market is missing.",
    ),
    Case(
        "given up",
        "NO was given up (dead letter)",
        _facts("DK SE", given_up=_dead("NO")),
        "revision 1: load (complete; missing NO)",
        "Nothing more will come; what is missing is named.",
    ),
    Case(
        "throttled",
        "NO was given up, but waits for quota",
        _facts("DK SE", given_up=_dead("NO"), throttled=_throttled("NO")),
        "wait: 1 of 3 markets are missing",
        "It will be asked for again when the wait is over.",
    ),
    Case(
        "all given up",
        "nothing landed, all were given up",
        _facts("", given_up=_dead("DK") | _dead("SE") | _dead("NO")),
        "revision 1: fail (complete; missing DK, SE, NO)",
        "The deadline would bring nothing more.",
    ),
    Case(
        "before the deadline",
        "a second before the deadline, NO is missing",
        _facts("DK SE"),
        "wait: 1 of 3 markets are missing",
        "The manifest promised the time.",
        DEADLINE - timedelta(seconds=1),
    ),
    Case(
        "deadline with a quorum",
        "the deadline, NO is missing",
        _facts("DK SE"),
        "revision 1: load (deadline; missing NO)",
        "Most of Europe on Monday is better than all of it never.",
        DEADLINE,
    ),
    Case(
        "deadline without a quorum",
        "the deadline, only DK landed",
        _facts("DK"),
        "revision 1: fail (deadline; missing SE, NO)",
        "Too little is a failure, not a week without releases.",
        DEADLINE,
    ),
    Case(
        "no part",
        "the deadline; what lies there of NO has no bytes",
        _facts("DK SE", unusable={"NO": "what landed is no part: it has no bytes"}),
        "revision 1: load (deadline; missing NO)",
        "That an object is there says nothing of what is in it.",
        DEADLINE,
    ),
    Case(
        "nothing new anywhere",
        "all three landed, and each says that it has no album",
        _facts(_empty("DK SE NO")),
        "revision 1: fail (complete)",
        "A week without one release is a source that does not answer.",
    ),
    Case(
        "unannounced",
        "revision 1 stands, without a receipt",
        _facts("DK SE NO", newest=_WHOLE, newest_has_receipt=False),
        "announce revision 1 again",
        "Its event may have been lost between write and publish.",
    ),
    Case(
        "finished",
        "revision 1 holds all that landed, and has its receipt",
        _facts("DK SE NO", newest=_WHOLE),
        "wait: the newest decision holds all that has landed",
        "Replaying the event log changes nothing.",
    ),
    Case(
        "replaced",
        "NO was replaced 20 s ago",
        _facts({**parts("DK SE"), "NO": part("NO", generation=2)}, newest=_WHOLE),
        "wait 40 s for more",
        "Several replays in a row make one load.",
        NOW + timedelta(seconds=20),
    ),
    Case(
        "replaced and quiet",
        "NO was replaced 60 s ago",
        _facts({**parts("DK SE"), "NO": part("NO", generation=2)}, newest=_WHOLE),
        "revision 2: load (complete)",
        "Nothing came for the quiet period.",
        NOW + timedelta(seconds=60),
    ),
    Case(
        "late and last",
        "NO lands after a load without it",
        _facts("DK SE NO", newest=_EARLY),
        "revision 2: load (complete)",
        "It was the last: there is nothing to be quiet for.",
    ),
    Case(
        "late after a failure",
        "SE lands two minutes after a failed run",
        _facts("DK SE", newest=_FAILED),
        "revision 2: load (deadline; missing NO)",
        "A failed run loads as soon as enough has landed.",
        NOW + timedelta(minutes=2),
    ),
    Case(
        "a bad part",
        "revision 1 was loaded without NO, whose part was short",
        _facts("DK SE NO", newest=_WHOLE, load=_left_out("NO")),
        "fetch NO again",
        "Another part may be whole; once a revision, twice a run.",
    ),
    Case(
        "a bad part, asked for",
        "the same, asked",
        _facts("DK SE NO", newest=_WHOLE, load=_left_out("NO"), repaired=(1,)),
        "wait: the newest decision holds all that has landed",
        "The receipt names it; a person may replay it.",
    ),
    Case(
        "gone",
        "NO has gone since it was loaded: its object was deleted, or grew too old",
        _facts("DK SE", newest=_WHOLE),
        "wait: the newest decision holds all that has landed",
        "A part that has gone is no news: the table has its rows.",
    ),
    Case(
        "gone, and news",
        "NO has gone, and DK was replaced",
        _facts({**parts("SE"), "DK": part("DK", generation=2)}, newest=_WHOLE),
        "fetch NO again",
        "A load of what is there would take NO from the table.",
        NOW + timedelta(minutes=2),
    ),
    Case(
        "gone, news, asked for",
        "the same, asked",
        _facts({**parts("SE"), "DK": part("DK", generation=2)}, newest=_WHOLE, repaired=(1,)),
        "wait: gone since they were decided: NO; only an order to close loads without them",
        "No load shrinks the table unless a person asks for it.",
        NOW + timedelta(minutes=2),
    ),
    Case(
        "gone, news, order to close",
        "the same; ordered to close",
        _facts({**parts("SE"), "DK": part("DK", generation=2)}, newest=_WHOLE, orders=(_order("close"),)),
        "revision 2: load (operator; missing NO)",
        "A person asked.",
    ),
    Case(
        "order to close",
        "only DK landed; ordered to close",
        _facts("DK", orders=(_order("close"),)),
        "revision 1: load (operator; missing SE, NO)",
        "A person overrides the quorum.",
    ),
    Case(
        "order to close nothing",
        "nothing landed; ordered to close",
        _facts("", orders=(_order("close"),)),
        "revision 1: fail (operator; missing DK, SE, NO)",
        "An empty batch would replace a partition by nothing.",
    ),
    Case(
        "order to reload",
        "all loaded; ordered to load again",
        _facts("DK SE NO", newest=_WHOLE, orders=(_order("reload"),)),
        "revision 2: load (complete)",
        "Nothing is new, but a person wants it again.",
    ),
    Case(
        "taken back",
        "all loaded; an older load has taken the table back",
        _facts("DK SE NO", newest=_WHOLE, taken_back=True),
        "revision 2: load (complete)",
        "The table must hold what the newest receipt says.",
    ),
    Case(
        "taken back, gone",
        "the same, and NO has gone",
        _facts("DK SE", newest=_WHOLE, taken_back=True),
        "fetch NO again",
        "No person asked to do without it.",
    ),
    Case(
        "order to reopen",
        "failed with DK only; ordered to reopen",
        _facts("DK", newest=_FAILED, orders=(_order("reopen"),)),
        "ask for SE, NO again",
        "What is missing is asked for once, given up or not.",
    ),
    Case(
        "reopened",
        "the same, asked; a day later",
        _facts("DK", newest=_FAILED, orders=(_order("reopen"),), reopened=(1,)),
        "revision 2: fail (deadline; missing SE, NO)",
        "The order gave the run its time once more, and no longer.",
        NOW + timedelta(days=1),
    ),
)
