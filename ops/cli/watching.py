"""Watches a run until a condition holds: as a live picture in a terminal, else as lines."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from eventing.clock import Clock
from eventing.errors import Retryable
from ops.cli.render import cause_text, run_view
from ops.cli.session import CommandError, Exit, Form, console, run_status, say_next
from ops.target import Stack, remedy_of
from runs.cause import Cause, cause_of
from runs.status import RunStatus, UnreadableRun

_LOOK_SECONDS: Final = {"local": 0.5, "cloud": 3.0}
"""Seconds between two looks: the bucket of a project is asked over the network, and each look costs some listings."""

Shown = Callable[[RunStatus], None]
Enough = Callable[[RunStatus], bool]


async def watch(stack: Stack, run_id: str, enough: Enough, *, timeout_seconds: float, form: Form) -> RunStatus:
    """Look at a run, showing each change, until `enough` holds.

    Raises:
        CommandError: it did not hold within the time.
    """
    if form.is_data:
        return await _until(stack, run_id, enough, timeout_seconds, lambda status: say_next(summary(status), form))
    if not console.is_terminal:
        return await _until(stack, run_id, enough, timeout_seconds, partial(_lines, stack.target.named))
    picture = _Picture(Text(f"run {run_id} is not there yet"), stack.clock, stack.target.named)
    with Live(get_renderable=picture, console=console, refresh_per_second=4):
        return await _until(stack, run_id, enough, timeout_seconds, picture.take)


class _Picture:
    """The run as it was last seen, drawn with the present time, so that durations grow between two looks."""

    def __init__(self, before: RenderableType, clock: Clock, named: str = "") -> None:
        self._before = before
        self._clock = clock
        self._named = named
        self._seen: RunStatus | None = None

    def take(self, status: RunStatus) -> None:
        """Show this from now on."""
        self._seen = status

    def __call__(self) -> RenderableType:
        """What is drawn."""
        return run_view(self._seen, self._clock(), named=self._named, wraps=True) if self._seen else self._before


def _lines(named: str, status: RunStatus) -> None:
    console.print(line(status))
    if cause := cause_of(status):
        console.print(cause_text(cause, named))


async def _until(stack: Stack, run_id: str, enough: Enough, seconds: float, show: Shown) -> RunStatus:
    deadline = time.monotonic() + seconds
    told: tuple[str, Cause | None] | None = None
    while True:
        status, told_off = await _look(stack, run_id)
        if status is not None and (news := (line(status), cause_of(status))) != told:
            told = news
            show(status)
        if status is not None and enough(status):
            return status
        if time.monotonic() > deadline:
            stands = line(status) if status else told_off or f"run {run_id} is not known"
            raise CommandError(f"not done within {seconds:.0f} s: {stands}", Exit.TIMEOUT)
        await asyncio.sleep(_LOOK_SECONDS[stack.target.kind])


async def _look(stack: Stack, run_id: str) -> tuple[RunStatus | None, str]:
    """The run, or why it cannot be read now: one failed read must not end a watch of hours."""
    try:
        return await run_status(stack, run_id), ""
    except Retryable as error:
        if remedy_of(error):
            raise
        return None, str(error)


def line(status: RunStatus) -> str:
    """A run in one line."""
    landed = f"{status.count('landed')} of {len(status.markets)} markets"
    troubles = [
        f"{status.count(state)} {state.replace('_', '-')}"
        for state in ("throttled", "missing", "dead_lettered")
        if status.count(state)
    ]
    revision = f", revision {status.revision}" if status.revision else ""
    rows = f", {status.rows:,} rows" if status.rows is not None else ""
    stage = f" ({status.stage.stage})" if status.stage else ""
    told = f"run {status.run_id} {status.state}{stage}: {', '.join([landed, *troubles])}{revision}{rows}"
    return "; ".join([told, *status.outlook])


def summary(status: RunStatus | UnreadableRun) -> dict[str, object]:
    """A run in a few fields, for scripts."""
    if isinstance(status, UnreadableRun):
        return status.model_dump()
    return {
        "run_id": status.run_id,
        "state": status.state,
        "markets": len(status.markets),
        "landed": status.count("landed"),
        "throttled": status.count("throttled"),
        "missing": status.count("missing"),
        "dead_lettered": status.count("dead_lettered"),
        "revision": status.revision,
        "rows": status.rows,
        "outlook": list(status.outlook),
        "requested_at": status.requested_at.isoformat(),
        "set_aside": len(status.set_aside),
        "stage": status.stage.stage if status.stage else None,
        "cause": told_cause(status),
    }


def told_cause(status: RunStatus) -> dict[str, object] | None:
    """Why, and the next command, for scripts."""
    cause = cause_of(status)
    return cause.model_dump(mode="json") if cause else None
