"""Who is called at night is told why, and what to type: for every way in which a run is not simply in the table."""

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.documents import (
    BadRecord,
    ClusterClaim,
    GivenUpMarket,
    LoadResult,
    MissingMarket,
    Order,
    PartResult,
    ThrottledMarket,
    WarehouseCount,
)
from dashboard.runs import run_document
from ops.cli.render import Terminal, cause_text, run_view
from ops.cli.watching import summary
from ops.requests import effect_of
from runs.cause import Cause, cause_of
from runs.status import Documents, RunStatus, SetAside, status_of
from services.batch_trigger.decisions import AskAgain, Close, Facts, decide
from services.cluster_manager.decisions import why_failed
from services.cluster_manager.driver_output import last_error
from spark_job.decision import Decision as Decided
from spark_job.decision import Part as DecidedPart
from spark_job.verdict import Found, Judged, conclude, example_of
from tests.builders import NOW, RUN, decision, manifest, parts, receipt
from tests.unit.test_ops_status import text

QUOTA = "Insufficient 'CPUS' quota. Requested 2.0, available 0.0."
STANDS = WarehouseCount(rows=2292, markets=3, albums=900, revision=1)
GONE = (MissingMarket(market="NO", reason="the app's quota is used up"),)


def run(**changes: Any) -> RunStatus:
    """Three markets, landed and decided, but for what is said."""
    whole = Documents(manifest=manifest(), parts=parts("DK SE NO"), decisions=(decision("DK SE NO"),))
    return status_of(replace(whole, **changes), NOW)


def cause(**changes: Any) -> Cause:
    found = cause_of(run(**changes))
    assert found is not None
    return found


def failed(**changes: Any) -> dict[str, Any]:
    return {"receipts": {1: receipt(outcome="failed", warehouse=STANDS, **changes)}}


def load(error: str | None, *found: PartResult, **changes: Any) -> dict[str, Any]:
    counts = {"files": 0, "albums": 0, "tracks": 0, "rows": 0, "quarantined": 0}
    told = LoadResult(run_id=RUN, revision=1, loaded=error is None, error=error, parts=found, **counts | changes)
    return {"loads": {1: told}}


THROTTLED = ThrottledMarket(run_id=RUN, market="SE", until=NOW + timedelta(hours=12), reason="quota is used up")
DEAD = GivenUpMarket(
    run_id=RUN,
    market="SE",
    reason="403 for ever",
    subscription="s",
    message_id="m",
    recorded_at=NOW,
)
BAD = PartResult(market="SE", reason="is short: it has 3 records, not 5")
OPEN: dict[str, Any] = {"decisions": (), "parts": parts("DK NO")}
SPOILT = PartResult(market="DK", albums=98, rows=98, quarantined=2)
EXAMPLE = BadRecord(market="DK", line=99, reason="is not JSON")


@pytest.mark.parametrize(
    ("changes", "what", "detail", "command"),
    [
        (
            failed(error="404 Not found: Table p.d.t; revision 1 stands, 2,292 rows", job_id="j"),
            "404 Not found: Table p.d.t; revision 1 stands, 2,292 rows",
            "",
            "releases doctor --problems",
        ),
        (
            failed(error="2 of 100 records are bad", job_id="j")
            | load("2 of 100 records are bad; nothing was loaded", SPOILT, examples=(EXAMPLE,)),
            "2 of 100 records are bad",
            "DK, line 99: is not JSON",
            f"releases replay {RUN} --market DK --reason",
        ),
        (
            failed(error="out of memory", job_id="j") | load("out of memory", SPOILT),
            "out of memory",
            "",
            "releases doctor --problems",
        ),
        (
            failed(error="1 of 3 parts are good", job_id="j") | load("too few; nothing was loaded", SPOILT, BAD),
            "1 of 3 parts",
            "SE is short: it has 3 records, not 5",
            f"releases replay {RUN} --market SE --reason",
        ),
        (
            failed(error="no machines for a cluster in 6:00:00", refusals=(QUOTA,), cluster="c"),
            "no machines",
            f"refused: {QUOTA}",
            f"releases backfill --from {RUN} --to {RUN} --reason",
        ),
        (
            failed(error="2 of 3 markets landed", missing=GONE)
            | {"decisions": (decision("DK SE", verdict="fail"),)},
            "2 of 3 markets",
            "NO: the app's quota is used up",
            f"releases run close {RUN} --reason",
        ),
        (
            failed(error="3 markets missing") | {"decisions": (decision("", verdict="fail"),), "parts": {}},
            "3 markets missing",
            "",
            f"releases run reopen {RUN} --reason",
        ),
        (
            {"clusters": (ClusterClaim(run_id=RUN, attempt=1, revision=1, claimed_at=NOW, refused=QUOTA),)},
            QUOTA,
            "",
            f"releases run watch {RUN}",
        ),
        (
            {
                "receipts": {1: receipt(outcome="partial", missing=GONE)},
                "decisions": (decision("DK SE", missing=GONE),),
            },
            "1 market not in the table; revision 1 stands, 30 rows",
            "NO: the app's quota is used up",
            f"releases run reopen {RUN} --reason",
        ),
        (
            {
                "receipts": {
                    1: receipt(outcome="partial", missing=(MissingMarket(market="SE", reason=BAD.reason or ""),))
                }
            }
            | load(None, BAD),
            "1 market not in",
            "SE: is short",
            f"releases replay {RUN} --market SE --reason",
        ),
        (
            OPEN | {"unusable": {"SE": "it has no bytes"}},
            "1 market landed, but not as a part",
            "SE: it has no bytes",
            f"releases replay {RUN} --market SE",
        ),
        (
            OPEN | {"given_up": {"SE": DEAD}},
            "SE was given up: 403 for ever",
            "",
            f"releases dead-letter redrive --run {RUN}",
        ),
        (
            OPEN | {"throttled": {"SE": THROTTLED}},
            "until 2026-11-23 11:05 UTC: quota is used up; the run closes at",
            "",
            f"releases run close {RUN} --reason",
        ),
        (
            OPEN | {"throttled": {"SE": THROTTLED.model_copy(update={"until": NOW + timedelta(minutes=9)})}},
            "until 2026-11-22 23:14 UTC",
            "",
            f"releases run watch {RUN}",
        ),
        (
            {"set_aside": (SetAside(name="runs/x", reason="is not JSON; remove it"),)},
            "cannot be read",
            "runs/x: is not JSON",
            "releases doctor --problems",
        ),
        (
            {"receipts": {1: receipt(warnings=("much smaller than run 2026-11-16",))}},
            "much smaller",
            "",
            f"releases receipt {RUN}",
        ),
        (
            {"receipts": {1: receipt()}} | load(None, SPOILT, examples=(EXAMPLE,)),
            "records of DK are in quarantine",
            "DK, line 99",
            f"releases replay {RUN} --market DK",
        ),
    ],
)
def test_the_cause_and_the_next_command(changes: dict[str, Any], what: str, detail: str, command: str) -> None:
    """What the one who met it said, an example, and a command that helps with it: in every place the same."""
    found = cause(**changes)
    assert what in found.what
    assert any(detail in told for told in found.details) or not detail
    assert found.command.startswith(command)
    shown = text(run_view(run(**changes)))
    assert found.command in shown
    assert (
        run_document(run(**changes))["cause"] == summary(run(**changes))["cause"] == found.model_dump(mode="json")
    )


TEN = "DK SE NO FI IS DE FR GB AT CH"


@pytest.mark.parametrize(
    ("landed", "command", "instead"),
    [
        ("DK SE NO FI IS", "run close", "run reopen"),
        ("DK SE NO FI", "run reopen", "run close"),
        ("", "run reopen", ""),
    ],
)
def test_a_quorum_that_was_missed_is_mended_by_the_command(landed: str, command: str, instead: str) -> None:
    """Share, limit and markets are named; and the batch trigger itself loads after the order that is told."""
    asked, late = manifest(TEN, minimum=0.9), NOW + timedelta(days=1)
    facts = Facts(manifest=asked, parts=parts(landed))
    closed = decide(facts, late)
    assert isinstance(closed, Close)
    lost = decision(landed, verdict="fail", missing=closed.missing, least=closed.least, close_reason="deadline")
    judged = receipt(outcome="failed", missing=closed.missing, error=why_failed(lost), warehouse=None)
    found = cause(manifest=asked, parts=parts(landed), decisions=(lost,), receipts={1: judged})
    assert not closed.verdict_load
    assert f"({10 * len(landed.split())} %), fewer than the 9 that must; missing: " in found.what
    assert all(f" {entry.market}" in found.what for entry in closed.missing)
    assert "a load needs 90% of the markets" in found.details[-1]
    assert found.command.startswith(f"releases {command} ")
    assert instead in found.details[-1]
    kind: Any = command.split()[1]
    effect_of(kind, run(manifest=asked, parts=parts(landed), decisions=(lost,), receipts={1: judged}))
    order = Order(run_id=RUN, number=1, kind=kind, reason="r", ordered_at=late)
    told = replace(facts, newest=lost, newest_has_receipt=True, orders=(order,))
    then = decide(told, late)
    if kind == "reopen":
        assert then == AskAgain(order, tuple(entry.market for entry in closed.missing))
        then = decide(replace(told, reopened=(1,), parts=parts(TEN)), late)
    assert isinstance(then, Close)
    assert then.verdict_load


def test_a_run_that_is_well_has_no_cause() -> None:
    """A word of trouble where there is none is what one learns to overlook."""
    assert cause_of(run(receipts={1: receipt()})) is None
    assert cause_of(run()) is None
    assert (
        cause_of(run(**load("too bad; nothing was loaded", SPOILT))) is None
    )  # the receipt judges it in a moment
    assert run_document(run())["cause"] is None


def test_a_command_is_whole_where_it_is_copied() -> None:
    """It names the stack that was looked at, and no line is broken in it: what is pasted would be typed in part."""
    found = cause(receipts={1: receipt(outcome="partial", missing=GONE)})
    terminal = Terminal(width=40)
    terminal.file = io.StringIO()
    terminal.print(cause_text(found, "--project p --bucket b"))
    typed = f'next: releases --project p --bucket b run reopen {RUN} --reason "what was missing is there again"'
    assert typed in terminal.file.getvalue().splitlines()
    picture = text(run_view(run(receipts={1: receipt(outcome="partial", missing=GONE)}), wraps=True))
    assert max(map(len, picture.splitlines())) <= 140


def test_a_cause_is_bounded() -> None:
    """Forty markets that were lost in the same way are five lines and a number."""
    gone = tuple(MissingMarket(market=f"A{letter}", reason="r") for letter in "ABCDEFGH")
    found = cause(receipts={1: receipt(outcome="partial", missing=gone)})
    assert found.details[-1] == "and 3 more"
    assert len(found.details) == 6


def test_what_a_job_refuses_ends_as_the_cause_expects() -> None:
    """The next command goes by these words: a part that is bad is fetched again, anything else is the stack's."""
    part = DecidedPart(market="DK", size=1)
    decided = Decided(parts=(part,))
    for judged in (
        Judged(part=part, reason="is missing"),
        Judged(part=part, found=Found(quarantined=2, albums=1)),
    ):
        error = conclude(decided, [judged], threshold=0, quarantine="gs://b/q").error
        assert (error or "").endswith("nothing was loaded")


def test_an_example_names_market_line_and_reason() -> None:
    """What the record says stays in the quarantine; its reason is bounded."""
    told = example_of({"file": "DK.jsonl.gz", "line": 7, "reason": "x" * 999, "record": "secret"})
    assert told == {"market": "DK", "line": 7, "reason": "x" * 200}


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("INFO a\nCaused by: x.A: outer\n\tat y\nCaused by: x.B: inner\n\tat z\nE: failed", "x.B: inner"),
        ('Traceback\n  File "a"\nspark_job.job.JobError: no table\nINFO ShutdownHookManager: called', "no table"),
        ("main.py: error: the following arguments are required: --run-id\n", "error: the following"),
        ("java.lang.OutOfMemoryError: Java heap space\n\tat a.FooError.b", "Java heap space"),
        ("hello\nKilled\n", "Killed"),
        ("hello\nworld\n", "world"),
        ("\n \n", None),
        ("", None),
    ],
)
def test_the_last_error_of_a_drivers_output(output: str, error: str | None) -> None:
    """An exit code is no cause: Java's innermost, else the last line that tells of an error, else the last line."""
    found = last_error(output.encode())
    assert found is not None if error else found is None
    assert (error or "") in (found or "")
    assert len(last_error(b"Error: " + b"\xff" * 9999) or "") == 500
