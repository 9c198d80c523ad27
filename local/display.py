"""What the demo shows: a living line and a table in a terminal, plain lines where there is none."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

_TOLD = (
    "albums",
    "tracks",
    "rows",
    "quarantined",
    "job_state",
    "bigquery_connector",
    "clusters_left",
    "api_calls",
)
_LINES = 6  # a plain line each so many steps of the markets' way
BEAT: Final = 15.0
"""Seconds after which a plain line says that something is still waited for."""


class Display:
    """Lines, what is waited for with the seconds it has taken, and the summary; a context manager."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._clock = clock
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._live = Progress(*columns, console=self._console, transient=True)
        self._task = self._live.add_task("")
        self._waits_for = ""
        self._began = self._beat = clock()
        self._told = 0

    @property
    def lives(self) -> bool:
        """Whether a line is kept alive beside whatever else this process does."""
        return self._live.live.is_started

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(f"- {line}", markup=False)
        self._beat = self._clock()

    def wait(self, what: str, detail: str = "") -> None:
        """What is waited for now; to be said again while it is."""
        if what != self._waits_for:
            self._waits_for, self._began = what, self._clock()
            self._live.reset(self._task)
        line = f"{what}: {detail}" if detail else what
        self._live.update(self._task, description=line)
        if not self._console.is_terminal and self._clock() - self._beat >= BEAT:
            self._beat = self._clock()
            self._console.print(f"  {self._beat - self._began:.0f} s: {line}", markup=False)

    def progress(self, landed: int, markets: int) -> None:
        """How many markets have landed."""
        if landed - self._told >= max(markets // _LINES, 1) or landed == markets != self._told:
            self._told = landed
            self._beat = self._clock()
            self._console.print(f"  {landed} of {markets} markets")

    def summary(self, report: Mapping[str, Any], places: Mapping[str, str]) -> None:
        """What became of the run, and where to look."""
        self._end()
        markets, seconds = report["markets"], report["seconds"]
        table = Table(title=f"Run {report['run_id']}, revision {report['revision']}", show_header=False)
        table.add_row("markets landed", f"{markets['landed']} of {markets['expected']}")
        if markets["missing"]:
            table.add_row("markets missing", " ".join(markets["missing"]))
        for name in _TOLD:
            table.add_row(name.replace("_", " "), str(report[name]))
        table.add_row("seconds", ", ".join(f"{stage} {seconds[stage]:g}" for stage in seconds))
        self._console.print(table)
        for name, place in places.items():  # below the table, which would break or cut a long path
            self._console.print(f"  {name:<14} {place}", markup=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self.lives:  # else it would print an empty line
            self._live.stop()
