"""What every command shares: which stack it speaks to, how it ends, how it answers.

Exit status: 0 done; 1 refused, not found or failed; 2 wrong usage; 3 the stack cannot be reached; 4 it took longer
than the time given.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from contracts.faults import ContractError
from eventing.errors import Permanent, Retryable
from ops import target as targets
from ops.cli.render import Terminal, plain
from ops.requests import RequestError, run_id_of
from ops.target import GOOGLE_ERRORS, Stack, TargetError, Wanted
from runs.status import RunStatus, UnreadableRun, read, read_each

_PLAIN_WIDTH: Final = 140
console: Final = Terminal(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with what you asked for.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run: a date such as 2026-11-23.")]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait at most.")]


class Exit(IntEnum):
    """How a command ends."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    TIMEOUT = 4


class CommandError(Exception):
    """A command that cannot do what it was asked; says what to do instead."""

    def __init__(self, message: str, status: Exit = Exit.REFUSED) -> None:
        super().__init__(message)
        self.status = status


Work = Callable[[Stack], Coroutine[Any, Any, int | None]]
"""What a command does with a stack; gives its exit status, where that is not 0."""


def act(context: typer.Context, work: Work) -> None:
    """Open the stack that is meant, do a command's work, and end with its status."""
    with _errors_told():
        raise typer.Exit(asyncio.run(_on_stack(context, work)) or Exit.DONE)


async def _on_stack(context: typer.Context, work: Work) -> int | None:
    environment = targets.process_environment()
    wanted: Wanted = context.find_root().obj
    found = targets.find(wanted, environment, folder=Path.cwd())
    async with targets.opened(found, environment) as stack:
        return await work(stack)


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        _end(str(error), Exit.USAGE)
    except TargetError as error:
        _end(str(error), Exit.UNREACHABLE)
    except CommandError as error:
        _end(str(error), error.status)
    except (Permanent, ContractError) as error:
        _end(str(error), Exit.REFUSED)
    except Retryable as error:
        _end(f"{error}; it may work in a moment", Exit.UNREACHABLE)
    except GOOGLE_ERRORS as error:
        _end(f"{type(error).__name__}: {error}", Exit.UNREACHABLE)


def _end(message: str, status: Exit) -> None:
    sys.stderr.write(f"error: {plain(message)}\n")
    raise typer.Exit(status)


async def known_run(stack: Stack, run: str) -> RunStatus:
    """A run that has a manifest.

    Raises:
        RequestError: it is not a run id.
        CommandError: the run is not known.
    """
    status = await run_status(stack, run_id_of(run))
    if status is None:
        raise CommandError(
            f"run {run} is not known in {stack.target.described}; `releases run list` shows those that are, "
            f"`releases run start --date {run}` asks for it"
        )
    return status


async def run_status(stack: Stack, run_id: str) -> RunStatus | None:
    """A run as it is now, or None where it is not known."""
    return await read(
        run_id, store=stack.store, bucket=stack.target.bucket, now=stack.clock(), raw_days=stack.target.raw_days
    )


async def run_statuses(stack: Stack, runs: Sequence[str]) -> list[RunStatus | UnreadableRun]:
    """Runs as they are now; one that cannot be read says so."""
    bucket, now, days = stack.target.bucket, stack.clock(), stack.target.raw_days
    return await read_each(runs, store=stack.store, bucket=bucket, now=now, raw_days=days)


def say_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def say_line(value: object) -> None:
    """One JSON document on one line: for what goes on."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()
