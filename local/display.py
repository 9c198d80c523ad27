"""What the demo shows: a bar and a table in a terminal, plain lines where there is none."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
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
_LINES = 6  # a plain line each so many steps of the bar's way


class Display:
    """Lines, one bar over the markets, and the summary; a context manager."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._told = 0

    def say(self, line: str) -> None:
        """A line for a stage."""
        self._console.print(f"- {line}", markup=False)

    def progress(self, landed: int, markets: int) -> None:
        """How many markets have landed."""
        if not self._console.is_terminal:
            self._plain(landed, markets)
            return
        if self._bar is None:
            columns = (TextColumn("  markets"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._console)
            self._bar.add_task("markets", total=markets)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=landed)
        if landed >= markets:
            self._bar.stop()

    def _plain(self, landed: int, markets: int) -> None:
        if landed - self._told >= max(markets // _LINES, 1) or landed == markets != self._told:
            self._told = landed
            self._console.print(f"  {landed} of {markets} markets")

    def summary(self, report: Mapping[str, Any], places: Mapping[str, str]) -> None:
        """What became of the run, and where to look."""
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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
