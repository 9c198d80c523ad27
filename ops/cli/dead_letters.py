"""`releases dead-letter …`: shows messages that were given up, and sends them again to the subscription that did so."""

import getpass
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from contracts import topology
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
    answer,
)
from ops.dead_letters import Action, Filter, Refuse
from ops.requests import RequestError, market_of, run_id_of
from ops.target import TOPOLOGY, Stack

_CENTURY_HOURS = 100 * 365 * 24

app = Commands(no_args_is_help=True, help="Look at messages that were given up, and send them again.")

Subscription = Annotated[str | None, typer.Option("--subscription", "-s", help="Only those of this subscription.")]
Why = Annotated[str | None, typer.Option("--matching", help="Only those whose reason contains this.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Only those of this run.")]
MarketOption = Annotated[str | None, typer.Option("--market", "-m", help="Only those of this market.")]
Hours = Annotated[
    float | None, typer.Option("--within", min=0, max=_CENTURY_HOURS, help="Only those of the last so many hours.")
]


def _filter(
    subscription: str | None, matching: str | None, run: str | None, market: str | None, within_hours: float | None
) -> Filter:
    return Filter(
        subscription=subscription,
        reason=matching,
        run_id=None if run is None else run_id_of(run),
        market=None if market is None else market_of(market),
        younger_than=None if within_hours is None else timedelta(hours=within_hours),
    )


@app.command("list")
async def list_dead_letters(
    stack: Stack,
    *,
    subscription: Subscription = None,
    matching: Why = None,
    run: RunOption = None,
    market: MarketOption = None,
    within_hours: Hours = None,
    form: InForm = Form.TABLE,
) -> None:
    """Dead letters by subscription and reason; nothing is consumed."""
    wanted = _filter(subscription, matching, run, market, within_hours)
    found = dead_letters.select(await stack.ledger.dead_letters(), wanted, stack.clock())
    table = render.dead_letters_table(dead_letters.grouped(found)) if found else "no dead letters"
    answer(form, [_told(dead_letter) for dead_letter in found], table)


@app.command()
async def show(
    stack: Stack,
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE", help="Message id, as `list` shows it.")],
    *,
    form: InForm = Form.TABLE,
) -> None:
    """One dead letter, its data included."""
    (dead_letter,) = await _chosen(stack, [message_id])
    told = _told(dead_letter)
    answer(form, told, render.fields_table(f"Dead letter {message_id}", told))


@app.command()
async def redrive(
    stack: Stack,
    message_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="Message ids, or choose by the options.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that were not sent again so far.")] = False,
    subscription: Subscription = None,
    matching: Why = None,
    run: RunOption = None,
    market: MarketOption = None,
    within_hours: Hours = None,
    reason: Reason = "asked for by an operator",
    force: Annotated[
        bool, typer.Option("--force", help="Also those that were sent again before, or keep coming back.")
    ] = False,
    _dry_run: DryRun = False,
    yes: Yes = False,
    form: InForm = Form.TABLE,
) -> int:
    """Send dead letters again, each only to the subscription that gave it up. Shows the plan unless --yes."""
    wanted = _filter(subscription, matching, run, market, within_hours)
    if not message_ids and wanted == Filter() and not every:
        raise RequestError("say which: message ids, an option such as --subscription, or --all")
    found = dead_letters.select(await _chosen(stack, message_ids), wanted, stack.clock())
    if not found:
        raise CommandError("no dead letter matches; see them with: releases dead-letter list", Exit.NOT_FOUND)
    topics = {push.name: push.topic for push in topology.read(TOPOLOGY).push_subscriptions}
    actions = dead_letters.plan(found, topics, force=force)
    if yes:
        mark = Redrive(at=stack.clock(), by=getpass.getuser(), reason=reason)
        await dead_letters.carry_out(actions, stack.ledger, stack.publisher, mark=mark)
    answer(
        form, {"dry_run": not yes, "actions": [_action(action) for action in actions]}, *_lines(actions, done=yes)
    )
    return Exit.FAILED if all(isinstance(action, Refuse) for action in actions) else Exit.DONE


async def _chosen(stack: Stack, message_ids: list[str] | None) -> list[DeadLetter]:
    """The dead letters with these ids, or all of them.

    Raises:
        CommandError: one of the ids is not known.
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


def _lines(actions: tuple[Action, ...], *, done: bool) -> Iterator[str]:
    for action in actions:
        dead_letter = action.dead_letter
        if isinstance(action, Refuse):
            yield f"{dead_letter.message_id} stays: {action.why}"
        else:
            sent = "sent to" if done else "would be sent to"
            yield f"{dead_letter.message_id} {sent} {dead_letter.subscription} ({dead_letter.event or 'unreadable'})"
    if not done:
        yield "nothing was sent; add --yes to do it"


def _action(action: Action) -> dict[str, Any]:
    told = {"message_id": action.dead_letter.message_id, "subscription": action.dead_letter.subscription}
    return told | ({"refused": action.why} if isinstance(action, Refuse) else {"topic": action.topic})


def _told(dead_letter: DeadLetter) -> dict[str, Any]:
    """The record, and its data decoded: as JSON where they are JSON, else as text; not at all where not base64."""
    told = dead_letter.model_dump(mode="json", exclude_none=True)
    if (data := dead_letters.decoded(dead_letter)) is not None:
        try:
            told["decoded"] = json.loads(data)
        except (ValueError, RecursionError):
            told["decoded"] = data.decode(errors="replace")
    return told
