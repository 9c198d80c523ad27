"""`releases dead-letter …`: what was given up, and sending it again to the one subscription that had given it up."""

import getpass
import json
from typing import Annotated, Any

import typer

from contracts.documents import DeadLetter, Redrive
from ops import dead_letters
from ops.cli import render
from ops.cli.session import (
    CommandError,
    Commands,
    DryRun,
    Exit,
    Form,
    InForm,
    Reason,
    Yes,
    act,
    acts,
    console,
    say,
)
from ops.dead_letters import Action, Filter, Refuse
from ops.requests import RequestError, hours_of, market_of, run_id_of
from ops.target import TOPOLOGY, Stack

app = Commands(no_args_is_help=True, help="Look at what was given up, and send it again.")

Subscription = Annotated[str | None, typer.Option("--subscription", "-s", help="Only of this subscription.")]
Why = Annotated[str | None, typer.Option("--matching", help="Only where the reason contains this.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Only of this run.")]
MarketOption = Annotated[str | None, typer.Option("--market", "-m", help="Only of this market.")]
Hours = Annotated[float | None, typer.Option("--within", min=0, help="Only of the last so many hours.")]


def _filter(
    subscription: str | None, matching: str | None, run: str | None, market: str | None, within_hours: float | None
) -> Filter:
    return Filter(
        subscription=subscription,
        reason=matching,
        run_id=None if run is None else run_id_of(run),
        market=None if market is None else market_of(market),
        younger_than=None if within_hours is None else hours_of(within_hours),
    )


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    *,
    subscription: Subscription = None,
    matching: Why = None,
    run: RunOption = None,
    market: MarketOption = None,
    within_hours: Hours = None,
    form: InForm = Form.TABLE,
) -> None:
    """Dead letters by subscription and reason; nothing is consumed."""

    async def work(stack: Stack) -> None:
        wanted = _filter(subscription, matching, run, market, within_hours)
        found = dead_letters.select(await stack.ledger.dead_letters(), wanted, stack.clock())
        if form.is_data:
            say([_told(dead_letter) for dead_letter in found], form)
        elif found:
            console.print(render.dead_letters_table(dead_letters.grouped(found)))
        else:
            console.print("no dead letters")

    act(context, work)


@app.command()
def show(
    context: typer.Context,
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE", help="Message id, as `list` shows it.")],
    *,
    form: InForm = Form.TABLE,
) -> None:
    """One dead letter, its data included."""

    async def work(stack: Stack) -> None:
        dead_letter = await _one(stack, message_id)
        if form.is_data:
            say(_told(dead_letter), form)
        else:
            console.print(render.fields_table(f"Dead letter {dead_letter.message_id}", _told(dead_letter)))

    act(context, work)


@app.command()
def redrive(
    context: typer.Context,
    message_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="Message ids; or choose by the options.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that were not sent again yet.")] = False,
    subscription: Subscription = None,
    matching: Why = None,
    run: RunOption = None,
    market: MarketOption = None,
    within_hours: Hours = None,
    reason: Reason = "asked for by an operator",
    force: Annotated[
        bool, typer.Option("--force", help="Also what was sent again before, or keeps coming back.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    form: InForm = Form.TABLE,
) -> None:
    """Send dead letters again, each to the one subscription that had given it up. Shows the plan unless --yes."""
    doing = acts(yes=yes, dry_run=dry_run, unasked=False)

    async def work(stack: Stack) -> int:
        chosen = _filter(subscription, matching, run, market, within_hours)
        if not message_ids and chosen == Filter() and not every:
            raise RequestError("say which: message ids, an option such as --subscription, or --all")
        found = dead_letters.select(await _chosen(stack, message_ids), chosen, stack.clock())
        if not found:
            raise CommandError(
                "no dead letter is like that; see them with: releases dead-letter list", Exit.NOT_FOUND
            )
        actions = dead_letters.plan(found, dead_letters.topics_of(TOPOLOGY), force=force)
        if doing:
            mark = Redrive(at=stack.clock(), by=getpass.getuser(), reason=reason)
            await dead_letters.carry_out(actions, stack.ledger, stack.publisher, mark=mark)
        _tell(actions, doing=doing, form=form)
        return Exit.FAILED if all(isinstance(action, Refuse) for action in actions) else Exit.DONE

    act(context, work)


async def _one(stack: Stack, message_id: str) -> DeadLetter:
    (dead_letter,) = await _chosen(stack, [message_id])
    return dead_letter


async def _chosen(stack: Stack, message_ids: list[str] | None) -> list[DeadLetter]:
    """The dead letters with these ids, or all.

    Raises:
        CommandError: one is not there.
    """
    recorded = await stack.ledger.dead_letters()
    if not message_ids:
        return recorded
    by_id = {dead_letter.message_id: dead_letter for dead_letter in recorded}
    missing = [message_id for message_id in message_ids if message_id not in by_id]
    if missing:
        raise CommandError(
            f"no dead letter {', '.join(missing)}; `releases dead-letter list` shows those there are",
            Exit.NOT_FOUND,
        )
    return [by_id[message_id] for message_id in message_ids]


def _tell(actions: tuple[Action, ...], *, doing: bool, form: Form) -> None:
    if form.is_data:
        say({"dry_run": not doing, "actions": [_action(action) for action in actions]}, form)
        return
    for action in actions:
        dead_letter = action.dead_letter
        if isinstance(action, Refuse):
            console.print(f"{dead_letter.message_id} stays: {action.why}")
        else:
            done = "sent to" if doing else "would be sent to"
            whose = f"{dead_letter.subscription} ({dead_letter.event or 'unreadable'})"
            console.print(f"{dead_letter.message_id} {done} {whose}")
    if not doing:
        console.print("nothing was sent; add --yes to do it")


def _action(action: Action) -> dict[str, Any]:
    told = {"message_id": action.dead_letter.message_id, "subscription": action.dead_letter.subscription}
    return told | ({"refused": action.why} if isinstance(action, Refuse) else {"topic": action.topic})


def _told(dead_letter: DeadLetter) -> dict[str, Any]:
    """The record, with its data as text or JSON where it is."""
    told = dead_letter.model_dump(mode="json", exclude_none=True)
    if (data := dead_letters.decoded(dead_letter)) is not None:
        try:
            told["decoded"] = json.loads(data)
        except (ValueError, RecursionError):
            told["decoded"] = data.decode(errors="replace")
    return told
