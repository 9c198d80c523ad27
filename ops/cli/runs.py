"""`releases run …`: ask for a run, look at runs, close and reopen them."""

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from contracts.wording import shown
from ops.cli import render
from ops.cli.session import (
    Commands,
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
    run_status,
    run_statuses,
    say,
)
from ops.cli.watching import summary, told_cause, watch
from ops.requests import RequestError, StartPlan, effect_of, markets_of, plan_start, removal, run_id_of
from ops.target import Stack
from runs.status import RunStatus

app = Commands(no_args_is_help=True, help="Ask for runs, look at them, close and reopen them.")

_ZONE = "Europe/Copenhagen"  # the scheduler's default
_DAY = 24 * 3600.0


@app.command()
async def start(
    stack: Stack,
    *,
    date: Annotated[str | None, typer.Option(help="The run; today in --time-zone unless given.")] = None,
    market: Markets = None,
    force: Annotated[bool, typer.Option("--force", help="Accept markets outside the pipeline's own.")] = False,
    reason: Reason = "asked for by an operator",
    time_zone: Annotated[str, typer.Option(envvar="TIME_ZONE", help="The time zone of the schedule.")] = _ZONE,
    dry_run: DryRun = False,
    _yes: Yes = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run until it is finished.")] = False,
    timeout_seconds: Timeout = 3600,
    form: InForm = Form.TABLE,
) -> int:
    """Ask for a run. A run that exists is completed or widened, never doubled."""
    run_id = run_id_of(date) if date else _today(time_zone)
    standing, today = await run_status(stack, run_id), stack.clock().date()
    plan = plan_start(run_id, markets_of(market or []), reason, standing, today=today, force=force)
    if not dry_run:
        await stack.ask([plan.event])
    follow = wait and not dry_run
    if form.is_data and not follow:
        say({"run_id": run_id, "lands_in": plan.lands_in, "asks": plan.asks, "dry_run": dry_run}, form)
    elif not form.is_data:
        _tell_start(run_id, plan, dry_run=dry_run, follow=follow)
    return await _follow(stack, run_id, timeout_seconds, form=form) if follow else Exit.DONE


def _today(time_zone: str) -> str:
    try:
        return datetime.now(ZoneInfo(time_zone)).date().isoformat()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RequestError(f"--time-zone {shown(time_zone)} is not known; write it as {_ZONE}") from None


def _tell_start(run_id: str, plan: StartPlan, *, dry_run: bool, follow: bool) -> None:
    done = "would be asked for" if dry_run else "is asked for"
    if plan.lands_in == "new":
        console.print(f"run {run_id} {done}: {' '.join(plan.asks) or 'all configured markets'}")
    elif plan.asks:
        console.print(f"run {run_id} exists; what has not landed {done} again: {' '.join(plan.asks)}")
    else:
        console.print(f"run {run_id} exists and all its markets have landed; nothing will be fetched")
    if not (dry_run or follow):
        console.print(f"follow it with: releases run watch {run_id}")


async def _follow(stack: Stack, run_id: str, seconds: float, *, form: Form, revision: int = 1) -> int:
    def enough(status: RunStatus) -> bool:
        return status.is_finished and (status.revision or 0) >= revision

    status = await watch(stack, run_id, enough, timeout_seconds=seconds, form=form)
    return Exit.FAILED if status.state == "failed" else Exit.DONE


@app.command("list")
async def list_runs(
    stack: Stack,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 12,
    form: InForm = Form.TABLE,
) -> None:
    """List the runs, the newest first."""
    known = [index.run_id for index in await stack.ledger.indexes() if index.has_manifest]
    statuses = await run_statuses(stack, sorted(known, reverse=True)[:limit])
    none = "no run is known yet; ask for one with: releases run start"
    answer(form, [summary(status) for status in statuses], render.runs_table(statuses) if statuses else none)


@app.command()
async def show(stack: Stack, run: Run, *, form: InForm = Form.TABLE) -> None:
    """One run: its markets, decisions, timings and troubles."""
    status = await known_run(stack, run)
    answer(form, _whole(status), render.run_view(status, named=stack.target.named))


def _whole(status: RunStatus) -> dict[str, object]:
    counts = {state: status.count(state) for state in ("landed", "throttled", "missing", "dead_lettered")}
    told = status.model_dump(mode="json", exclude_none=True)
    found = {"counts": counts, "revision": status.revision, "rows": status.rows, "cause": told_cause(status)}
    return told | found


@app.command("watch")
async def watch_run(
    stack: Stack,
    run: Run,
    *,
    revision: Annotated[int, typer.Option(min=1, help="Wait for this revision or a later one.")] = 1,
    timeout_seconds: Timeout = _DAY,
    form: InForm = Form.TABLE,
) -> int:
    """Follow a run until it is finished; with --json one line for each change. Fails if the run fails."""
    return await _follow(stack, run_id_of(run), timeout_seconds, revision=revision, form=form)


@app.command()
async def close(
    stack: Stack,
    run: Run,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    _yes: Yes = False,
    form: InForm = Form.TABLE,
) -> None:
    """Close a run's batch now, with what has landed."""
    await _order(stack, run, "close", reason, dry_run=dry_run, form=form)


@app.command()
async def reopen(
    stack: Stack,
    run: Run,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    _yes: Yes = False,
    form: InForm = Form.TABLE,
) -> None:
    """Open a run again: its missing markets are asked for once more."""
    await _order(stack, run, "reopen", reason, dry_run=dry_run, form=form)


@app.command()
async def discard(
    stack: Stack,
    run: Run,
    *,
    reason: Reason,
    _dry_run: DryRun = False,
    yes: Yes = False,
    form: InForm = Form.TABLE,
) -> None:
    """Discard a run that was a mistake: it is left alone. Says how to remove its rows; reopen undoes this.

    Shows what would be done unless --yes.
    """
    await _order(stack, run, "discard", reason, dry_run=not yes, form=form)
    if form.is_data:
        return
    console.print(
        "its rows in the table are removed by:", removal(stack.target.table_id, run_id_of(run)), soft_wrap=True
    )
    if not yes:
        console.print("nothing was done; add --yes to do it")


async def _order(
    stack: Stack,
    run: str,
    kind: Literal["close", "reopen", "discard"],
    reason: str,
    *,
    dry_run: bool,
    form: Form,
) -> None:
    status = await known_run(stack, run)
    effect = effect_of(kind, status)
    if not dry_run:
        order = await stack.order(status.run_id, kind, reason)
        effect = f"order {order.number} is given. {effect}"
    answer(form, {"run_id": status.run_id, "order": kind, "effect": effect, "dry_run": dry_run}, effect)
