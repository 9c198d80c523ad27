"""What every command shares: the stack it works on, its exit status (`MEANINGS`), and how it answers."""

import asyncio
import json
import sys
import unicodedata
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
import yaml
from rich.console import RenderableType
from typer.core import TyperCommand

from contracts.faults import ContractError
from eventing.errors import Permanent, Retryable
from ops import target as targets
from ops.cli.render import Terminal, plain
from ops.requests import RequestError, run_id_of
from ops.target import GOOGLE_ERRORS, LoginExpired, Stack, TargetError, UnclearTargetError, Wanted, remedy_of
from runs.status import RunStatus, UnreadableRun, read, read_each

_PLAIN_WIDTH: Final = 140
_LONGEST_WAIT_SECONDS: Final = 7 * 24 * 3600
MOST_REASON: Final = 500
"""Characters; as many as an event and an order take."""
console: Final = Terminal(width=None if sys.stdout and sys.stdout.isatty() else _PLAIN_WIDTH)


class Form(StrEnum):
    """The form of a command's answer."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"

    @property
    def is_data(self) -> bool:
        """Whether it is for a script, not a person."""
        return self is not Form.TABLE


class _Command(TyperCommand):
    """A command that also takes `--json`, for `--output json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["--output=json" if word == "--json" else word for word in args])


Work = Callable[..., Coroutine[Any, Any, int | None]]
"""What a command does: a function of a `Stack` and what was typed; gives its exit status, where that is not 0."""


CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class Commands(typer.Typer):
    """A group of commands, each of which works on a stack."""

    def command(self, name: str | None = None, **given: Any) -> Callable[[CommandT], CommandT]:
        """See `Typer.command`; the decorated function's first argument is the opened stack, not something typed."""

        def added(work: CommandT) -> CommandT:
            super(Commands, self).command(name, cls=_Command, **given)(_typed(work))
            return work

        return added


def _typed(work: Work) -> Callable[..., None]:
    """The function that Typer calls: a command's own, with Typer's context in place of the stack."""

    @wraps(work)
    def command(context: typer.Context, **typed: Any) -> None:
        act(context, lambda stack: work(stack, **typed))

    _, *options = signature(work).parameters.values()
    context = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    command.__signature__ = signature(work).replace(parameters=[context, *options])  # type: ignore[attr-defined]
    return command


def _in_words(reason: str) -> str:
    """A reason that fits into an event and a document.

    Raises:
        BadParameter: it is empty, too long, or not valid text.
    """
    if not reason.strip():
        raise typer.BadParameter("is empty; say in a few words why")
    if len(reason) > MOST_REASON:
        raise typer.BadParameter(f"has {len(reason)} characters; say it in {MOST_REASON}")
    if any(unicodedata.category(letter) == "Cs" for letter in reason):
        raise typer.BadParameter("is not valid UTF-8; write it again")
    return reason


def not_both(*options: str) -> Callable[[typer.Context, bool], bool]:
    """For flags of which one at most may be given: the callback of each, made with the flags of all."""
    names = {option.removeprefix("--").replace("-", "_") for option in options}

    def checked(context: typer.Context, asked: bool) -> bool:  # noqa: FBT001 -- Typer gives it by position
        given = {name.lstrip("_") for name, value in context.params.items() if value}
        if asked and given & names:
            raise typer.BadParameter(f"{' and '.join(options)}: name one of them, not both")
        return asked

    return checked


_NOT_BOTH: Final = not_both("--yes", "--dry-run")
InForm = Annotated[
    Form, typer.Option("--output", "-o", help="Form of the answer; --json is short for --output json.")
]
Reason = Annotated[
    str, typer.Option("--reason", help="Why; it is kept with what you asked for.", callback=_in_words)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.", callback=_NOT_BOTH)
]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Do it; what cannot be undone is only done with this.", callback=_NOT_BOTH),
]
Markets = Annotated[list[str] | None, typer.Option("--market", "-m", help="A market such as DK; repeat for more.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run: a date such as 2026-11-23.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, max=_LONGEST_WAIT_SECONDS, help="Seconds to wait at most.")
]


class Exit(IntEnum):
    """Exit statuses of commands."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    TIMEOUT = 4
    NOT_FOUND = 5


MEANINGS: Final = {
    Exit.DONE: "done",
    Exit.FAILED: "it failed, or something is wrong",
    Exit.USAGE: "what was typed makes no sense, or would change nothing at the moment",
    Exit.UNREACHABLE: "the stack cannot be reached, or the login has expired",
    Exit.TIMEOUT: "it took longer than --timeout",
    Exit.NOT_FOUND: "what was named does not exist",
}
"""What each exit status means; the help and docs/runbook.md say it in these words."""
STATUSES: Final = "Exit status: " + "; ".join(f"{status} {words}" for status, words in MEANINGS.items()) + "."


class CommandError(Exception):
    """A command cannot do what it was asked to; says what to do instead."""

    def __init__(self, message: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.status = status


def act(context: typer.Context, work: Work) -> None:
    """Open the stack that is meant, do a command's work on it, and end with its status."""
    with _errors_told():
        raise typer.Exit(asyncio.run(_on_stack(context, work)) or Exit.DONE)


async def _on_stack(context: typer.Context, work: Work) -> int | None:
    environment = targets.process_environment()
    wanted: Wanted = context.find_root().obj
    found = targets.find(wanted, environment, folder=Path.cwd())
    sys.stderr.write(f"{plain(found.described)}\n")
    async with targets.opened(found, environment) as stack:
        return await work(stack)


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except (RequestError, UnclearTargetError) as error:
        _end(str(error), Exit.USAGE)
    except TargetError as error:
        _end(str(error), Exit.UNREACHABLE)
    except CommandError as error:
        _end(str(error), error.status)
    except (Permanent, ContractError) as error:
        _end(str(error), Exit.FAILED)
    except Retryable as error:
        _end(f"{error}; {remedy_of(error) or 'it may work in a moment'}", Exit.UNREACHABLE)
    except LoginExpired as error:
        _end(targets.expired(error), Exit.UNREACHABLE)
    except GOOGLE_ERRORS as error:
        _end(f"{type(error).__name__}: {error}", Exit.UNREACHABLE)


def _end(message: str, status: Exit) -> None:
    sys.stderr.write(f"error: {plain(message)}\n")
    raise typer.Exit(status)


async def known_run(stack: Stack, run: str) -> RunStatus:
    """A run that has a manifest.

    Raises:
        RequestError: `run` is not a run id.
        CommandError: there is no such run.
    """
    status = await run_status(stack, run_id_of(run))
    if status is None:
        raise CommandError(
            f"run {run} is not known in {stack.target.described}; `releases run list` shows those that are, "
            f"`releases run start --date {run}` asks for it",
            Exit.NOT_FOUND,
        )
    return status


async def run_status(stack: Stack, run_id: str) -> RunStatus | None:
    """A run as it is now; None where there is none.

    Raises:
        Retryable: the bucket cannot be reached, or is not there.
    """
    found = await read(
        run_id, store=stack.store, bucket=stack.target.bucket, now=stack.clock(), raw_days=stack.target.raw_days
    )
    if found is None:
        await stack.ledger.index(run_id)  # an object is not there either where its bucket is not; a listing tells
    return found


async def run_statuses(stack: Stack, runs: Sequence[str]) -> list[RunStatus | UnreadableRun]:
    """Runs as they are now; one that cannot be read is an `UnreadableRun`."""
    bucket, now, days = stack.target.bucket, stack.clock(), stack.target.raw_days
    return await read_each(runs, store=stack.store, bucket=bucket, now=now, raw_days=days)


def answer(form: Form, data: object, *shown: RenderableType) -> None:
    """What a command answers: `data` for a script, or else what is shown to a person."""
    if form.is_data:
        say(data, form)
        return
    for part in shown:
        console.print(part)


def say(value: object, form: Form) -> None:
    """One document on stdout."""
    if form is Form.YAML:
        plain_data = json.loads(json.dumps(value, default=str))  # made of the types that JSON has
        sys.stdout.write(_yaml(plain_data))
    else:
        sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def say_next(value: object, form: Form) -> None:
    """One of several documents: in JSON on one line."""
    if form is Form.YAML:
        sys.stdout.write("---\n")
        say(value, form)
    else:
        sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def _yaml(value: object) -> str:
    """YAML in which every character that a terminal would obey is escaped."""
    told: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return told if plain(told) == told else str(yaml.safe_dump(value, sort_keys=False))
