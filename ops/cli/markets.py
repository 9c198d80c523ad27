"""`releases replay | why | receipt | backfill | sweep`."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Annotated

import typer

from contracts import names
from contracts.events import RunRequested, SweepRequested
from eventing.bigquery import BigQuery
from eventing.errors import Retryable
from ops import target as targets
from ops.cli import render
from ops.cli.session import (
    CommandError,
    DryRun,
    Exit,
    Form,
    InForm,
    Markets,
    Reason,
    Run,
    Timeout,
    Yes,
    answer,
    console,
    known_run,
    run_statuses,
)
from ops.cli.watching import watch
from ops.requests import (
    Backfill,
    has_failed,
    is_replaced,
    market_of,
    markets_of,
    plan_backfill,
    plan_replay,
    run_id_of,
)
from ops.target import Stack
from runs import why
from runs.cause import cause_of
from runs.status import RunStatus, UnreadableRun


async def replay(
    stack: Stack,
    run: Run,
    *,
    reason: Reason,
    market: Markets = None,
    everything: Annotated[bool, typer.Option("--all", help="All markets that the run expects.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Also read every album anew, not from the cache.")
    ] = False,
    dry_run: DryRun = False,
    _yes: Yes = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the markets' rows are replaced.")] = False,
    timeout_seconds: Timeout = 3600,
    form: InForm = Form.TABLE,
) -> None:
    """Fetch markets of a run again and replace their rows."""
    status = await known_run(stack, run)
    requests = plan_replay(status, markets_of(market or []), fresh=fresh, reason=reason, everything=everything)
    generations = {found.market: found.generation for found in status.markets}
    before = {request.market: generations[request.market] for request in requests}
    if not dry_run:
        await stack.ask(requests)
    follow = wait and not dry_run
    told = [request.model_dump(mode="json") for request in requests]
    if not (follow and form.is_data):
        done = "would be fetched again" if dry_run else "is asked for again"
        line = f"{' '.join(before)} of run {status.run_id} {done}{', not from the cache' if fresh else ''}"
        answer(form, {"run_id": status.run_id, "requests": told, "dry_run": dry_run}, line)
    if follow:
        await _until_replaced(stack, status.run_id, before, timeout_seconds, form=form)


async def _until_replaced(
    stack: Stack, run_id: str, before: Mapping[str, int | None], seconds: float, *, form: Form
) -> None:
    """Follow a run until the parts with these generations are replaced in the table.

    Raises:
        CommandError: the revision that should replace them failed.
    """
    found = await watch(
        stack,
        run_id,
        lambda now: is_replaced(now, before) or has_failed(now, before),
        timeout_seconds=seconds,
        form=form,
    )
    if not is_replaced(found, before):
        raise CommandError(
            f"revision {found.revision} of run {run_id} failed, its rows are as they were; see why with: "
            f"releases run show {run_id}"
        )
    if not form.is_data:
        console.print(f"replaced: {' '.join(before)}, in revision {found.revision}")


async def why_market(
    stack: Stack,
    run: Run,
    market: Annotated[str, typer.Argument(metavar="MARKET", help="A market such as DK.")],
    *,
    form: InForm = Form.TABLE,
) -> None:
    """What happened to a market of a run, from the tick to the table, with ids and times."""
    code = market_of(market)
    status = await known_run(stack, run)
    found = status.market(code)
    if found is None:
        expected = " ".join(known.market for known in status.markets)
        raise CommandError(f"run {status.run_id} does not expect {code}; it expects {expected}", Exit.NOT_FOUND)
    objects = await why.read_objects(status.run_id, code, stack.store)
    story = why.story_of(status, found, objects, await _rows(stack, status.run_id, code))
    answer(form, story.model_dump(mode="json", exclude_none=True), render.story_view(story, stack.target.named))


async def _rows(stack: Stack, run_id: str, market: str) -> int | str:
    """How many rows of a market the table holds; or why that is not known, which may be what one is called for."""
    question = (
        f"SELECT market, COUNT(*) AS n FROM `{stack.target.table_id}` WHERE load_date = @run GROUP BY market"  # noqa: S608 -- a table's name cannot be a parameter
    )
    try:
        with targets.warehouse(stack.target) as client:
            found = await BigQuery(client).rows("the count", question, {"run": date.fromisoformat(run_id)})
    except Retryable as error:
        return f"its rows in the table were not counted: {error}"
    return next((int(row["n"]) for row in found if row["market"] == market), 0)


async def receipt(
    stack: Stack,
    run: Run,
    *,
    revision: Annotated[
        int | None, typer.Option(min=1, help="Of which revision; the newest unless given.")
    ] = None,
    form: InForm = Form.TABLE,
) -> None:
    """The receipt of a run: what came of a decision."""
    status = await known_run(stack, run)
    found = [(entry.receipt, entry.decision) for entry in status.revisions if entry.receipt is not None]
    wanted = [pair for pair in found if revision is None or pair[0].revision == revision]
    if not wanted:
        what = f"revision {revision}" if revision else "it"
        raise CommandError(
            f"run {status.run_id} is {status.state} and {what} has no receipt; follow it with: "
            f"releases run watch {status.run_id}",
            Exit.NOT_FOUND,
        )
    cause = [render.cause_text(cause_of(status), stack.target.named)] if wanted[-1] is found[-1] else []
    told = wanted[-1][0].model_dump(mode="json", exclude_none=True)
    answer(form, told, render.receipt_view(*wanted[-1]), *cause)


async def backfill(
    stack: Stack,
    *,
    first: Annotated[str, typer.Option("--from", help="First run, such as 2026-10-05.")],
    last: Annotated[str, typer.Option("--to", help="Last run, included.")],
    reason: Reason = "backfill",
    dry_run: DryRun = False,
    _yes: Yes = False,
    form: InForm = Form.TABLE,
) -> None:
    """Load runs again from what the raw bucket still holds; Spotify is not asked."""
    raw = await _raw_markets(stack)
    known = [index.run_id for index in await stack.ledger.indexes() if index.has_manifest]
    span = (run_id_of(first), run_id_of(last))
    found = await run_statuses(stack, [run_id for run_id in known if span[0] <= run_id <= span[1]])
    unreadable = [run.run_id for run in found if isinstance(run, UnreadableRun)]
    steps = plan_backfill(*span, raw=raw, known=known, gone=_gone_markets(found), unreadable=unreadable)
    if not steps:
        raise CommandError(f"the bucket holds nothing of a run from {first} to {last}", Exit.NOT_FOUND)
    if not dry_run:
        for step in steps:
            await _backfill(stack, step, reason)
    told = [{"run_id": s.run_id, "action": s.action, "markets": s.markets} for s in steps]
    answer(form, told, *_backfill_lines(steps, dry_run=dry_run))


async def _raw_markets(stack: Stack) -> dict[str, list[str]]:
    """Markets with a raw part, by run."""
    found: dict[str, list[str]] = defaultdict(list)
    for info in await stack.store.listing("raw/"):
        if (key := names.parse_part_name(info.name)) is not None:
            found[key.run_id].append(key.market)
    return found


def _gone_markets(runs: list[RunStatus | UnreadableRun]) -> dict[str, list[str]]:
    """Markets of a decision whose raw part is no longer there, by run."""
    readable = [run for run in runs if isinstance(run, RunStatus)]
    return {run.run_id: [market.market for market in run.markets if market.is_gone] for run in readable}


async def _backfill(stack: Stack, step: Backfill, reason: str) -> None:
    if step.action == "reload":
        await stack.order(step.run_id, "reload", reason)
    elif step.action == "request":
        # Forced: their parts are there, so nothing is fetched, whichever markets they are.
        await stack.ask([RunRequested(run_id=step.run_id, markets=step.markets, reason=reason, force=True)])


def _backfill_lines(steps: tuple[Backfill, ...], *, dry_run: bool) -> list[str]:
    be = "would be" if dry_run else "is"
    told = {
        "reload": f"{be} loaded again, as a new revision",
        "request": f"{be} made known again, with these markets",
        "keep": "stands as it was loaded, since raw parts of it have gone; fetch all anew with replay --all. Left",
        "nothing": "has no raw parts any more; nothing can be done",
        "unreadable": "cannot be read, see releases run list. Left",
    }
    return [f"run {step.run_id} {told[step.action]}: {len(step.markets)} markets" for step in steps]


async def sweep(
    stack: Stack,
    *,
    reason: Reason = "asked for by an operator",
    dry_run: DryRun = False,
    _yes: Yes = False,
    form: InForm = Form.TABLE,
) -> None:
    """Look at every open run now, and do what was left undone because an event was lost."""
    event = SweepRequested(reason=reason)
    if not dry_run:
        await stack.ask([event])
    be = "would be" if dry_run else "is"
    shown = f"the sweep {be} asked for; `releases run list` shows what it changes"
    answer(form, {"published": event.type, "reason": reason, "dry_run": dry_run}, shown)
