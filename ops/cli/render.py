"""How runs look in a terminal: documents in, rich renderables out; nothing is read or sent.

Much of the text was written by others: album names, reasons, the content of a dead letter. It is shown, never obeyed:
`Terminal` interprets no markup and lets no control character through.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rich import console
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from contracts.documents import CloseReason, Decision, Receipt
from ops.dead_letters import DeadLetterGroup
from ops.doctor.findings import Finding, Status
from runs.cause import Cause, cause_of
from runs.status import MarketState, RevisionStatus, RunStatus, Span, UnreadableRun
from runs.why import Story

_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1: what begins an escape sequence is here
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # what turns the direction of text, or breaks a line
    "\ud800-\udfff]"  # halves of characters, which no encoding has
)


def plain(text: str) -> str:
    """The text with U+FFFD in place of each character that a terminal would obey instead of showing it."""
    return _OBEYED.sub("\ufffd", text)


class Terminal(console.Console):
    """A console for text that others wrote: all that is printed passes through `render`."""

    def __init__(self, *, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def print(self, *objects: Any, crop: bool = False, **given: Any) -> None:
        """See `Console.print`. Lines wider than the terminal are wrapped by it, not cut."""
        super().print(*objects, crop=crop, **given)

    def render(
        self, renderable: RenderableType, options: console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See `Console.render`. Rich's own control sequences stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


STATE_STYLE = {
    "fetching": "cyan",
    "loading": "cyan",
    "loaded": "green",
    "partial": "yellow",
    "failed": "bold red",
    "unreadable": "bold red",
    "discarded": "dim",
    "requested": "dim",
    "throttled": "yellow",
    "landed": "green",
    "missing": "red",
    "dead_lettered": "bold red",
}
_MARK: dict[MarketState, str] = {
    "requested": "·",
    "throttled": "◷",
    "landed": "●",
    "missing": "○",
    "dead_lettered": "✕",
}
_FINDING: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warn": ("look", "yellow"),
    "fail": ("broken", "bold red"),
    "unreachable": ("not seen", "bold red"),
    "not_local": ("not local", "dim"),
}
_NONE = "-"
_BAR = 40  # columns of a full waterfall


def runs_table(statuses: Iterable[RunStatus | UnreadableRun]) -> RenderableType:
    """Runs, one a line; below them what their lines do not tell."""
    table = Table("run", "state", "markets", "revision", "rows", "requested", "took", title="Runs")
    notes = []
    for status in statuses:
        if isinstance(status, UnreadableRun):
            table.add_row(status.run_id, Text(status.state, STATE_STYLE[status.state]))
            notes.append(Text(status.reason, "yellow"))
            continue
        notes += [Text(f"{status.run_id}: {note}", "yellow") for note in _notes(status)]
        table.add_row(
            status.run_id,
            Text(status.state, STATE_STYLE[status.state]),
            f"{status.count('landed')} of {len(status.markets)}",
            str(status.revision or _NONE),
            _NONE if status.rows is None else f"{status.rows:,}",
            f"{moment(status.requested_at)}, {ago(status.requested_at, status.seen_at)}",
            _took(status),
        )
    return Group(table, *notes)


def _notes(status: RunStatus) -> list[str]:
    """What a line of the table does not tell."""
    aside, left_out = len(status.set_aside), len(status.left_out)
    told = {
        f"{aside} objects are set aside; see releases run show {status.run_id}": aside,
        f"{left_out} configured markets were not asked for; releases run start --date {status.run_id} adds them": (
            left_out
        ),
    }
    return [note for note, count in told.items() if count]


def _took(status: RunStatus) -> str:
    if status.receipt is None:
        return _NONE
    return duration((status.receipt.finished_at - status.requested_at).total_seconds())


def run_view(
    status: RunStatus, now: datetime | None = None, *, named: str = "", wraps: bool = False
) -> RenderableType:
    """One run: its cause, markets as a grid, revisions, waterfall, and what is wrong.

    `now` where the run was read some time ago; `named` and `wraps` as in `cause_text`.
    """
    now = now or status.seen_at
    return Group(
        _headline(status, now),
        cause_text(cause_of(status), named, wraps=wraps),
        Text(),
        _grid(status),
        Text(),
        *(_revision(entry) for entry in status.revisions),
        waterfall(status.spans, now),
        *_troubles(status),
    )


def moment(at: datetime) -> str:
    """A time in the machine's own time zone, which it names."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def ago(at: datetime, now: datetime) -> str:
    """How long ago a time is, or how long until it comes."""
    seconds = (now - at).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def cause_text(cause: Cause | None, named: str = "", *, wraps: bool = False) -> RenderableType:
    """Why, and the next command on a line of its own, to be copied.

    Args:
        cause: Why.
        named: The options by which the caller named the stack.
        wraps: Whether a long command is broken into lines, as a live picture needs. Otherwise the terminal wraps it,
            and what is copied stays one line.
    """
    if cause is None:
        return Text()
    cause = cause.typed(named)
    text = Text(f"\nwhy:  {cause.what}", "bold yellow", overflow="fold")
    for detail in cause.details:
        text.append(f"\n      {detail}", "not bold yellow")
    command = Text.assemble(("next: ", "bold"), (cause.command, "bold cyan"))
    command.no_wrap, command.overflow = not wraps, "fold" if wraps else "ignore"
    return Group(text, command)


def _headline(status: RunStatus, now: datetime) -> Text:
    text = Text.assemble(("Run " + status.run_id, "bold"), "  ", (status.state, STATE_STYLE[status.state]))
    text.append(f"  {status.count('landed')} of {len(status.markets)} markets")
    if status.rows is not None:
        text.append(f"  {status.rows:,} rows in the table")
    if status.archived:
        text.append("  archived: sweeps no longer look at it", "dim")
    text.append(
        f"\nasked for {moment(status.requested_at)}, {ago(status.requested_at, now)} ({status.reason})"
        f"\ndeadline {moment(status.deadline)}, {ago(status.deadline, now)}  trace {status.trace_id}",
        "dim",
    )
    for line in status.outlook:
        text.append(f"\n{line}", "bold yellow")
    return text


def _grid(status: RunStatus) -> RenderableType:
    cells = [
        Text(f"{_MARK[market.state]} {market.market}", STATE_STYLE[market.state]) for market in status.markets
    ]
    there = [state for state in _MARK if status.count(state)]
    legend = Text("   ").join(
        Text(f"{_MARK[state]} {state.replace('_', '-')} {status.count(state)}", STATE_STYLE[state])
        for state in there
    )
    return Group(Columns(cells, width=6, padding=(0, 0)), legend)


_CLOSED: Final[Mapping[CloseReason, str]] = {
    "complete": "closed, every market settled,",
    "deadline": "closed by its deadline",
    "operator": "closed by an operator",
}


def _revision(entry: RevisionStatus) -> Text:
    decision, receipt = entry.decision, entry.receipt
    text = Text.assemble((f"revision {decision.revision}", "bold"), f"  {_CLOSED[decision.close_reason]}")
    parts = "1 part" if len(decision.parts) == 1 else f"{len(decision.parts)} parts"
    text.append(f" at {decision.decided_at.astimezone():%H:%M:%S %Z} with {parts}")
    if decision.missing:
        text.append(f", without {' '.join(gone.market for gone in decision.missing)}", "red")
    if decision.note:
        text.append(f" ({decision.note})")
    if receipt is None:
        text.append("  being loaded" if decision.verdict == "load" else "  nothing is loaded", "cyan")
        return text
    text.append("  ").append(receipt.outcome, STATE_STYLE[receipt.outcome])
    if receipt.warehouse:
        text.append(f"  {receipt.warehouse.rows:,} rows")
    if entry.quarantine_uri:
        text.append(f"  quarantine {entry.quarantine_uri}", "yellow")
    if receipt.error:
        text.append(f"\n  {receipt.error}", "red")
        if receipt.driver_output_uri:
            text.append(f"\n  driver output {receipt.driver_output_uri}", "dim")
    for warning in receipt.warnings:
        text.append(f"\n  {warning}", "bold yellow")
    return text


def waterfall(spans: Iterable[Span], now: datetime) -> RenderableType:
    """The stages as bars over one time axis; the stage under way lasts until now."""
    drawn = list(spans)
    if not drawn:
        return Text()
    begin = drawn[0].begin
    ends = [span.end or span.begin for span in drawn]
    whole = max((max(ends) - begin).total_seconds(), 0.001)
    grid = Table.grid(padding=(0, 2))
    for span in drawn:
        before = round((span.begin - begin).total_seconds() / whole * _BAR)
        if span.seconds is None:
            so_far = max((now - span.begin).total_seconds(), 0)
            grid.add_row(span.stage, Text(" " * before + "…", "cyan"), f"under way for {duration(so_far)}")
            continue
        length = max(round(span.seconds / whole * _BAR), 1)
        grid.add_row(span.stage, Text(" " * before + "█" * length, "blue"), duration(span.seconds))
    return grid


def _troubles(status: RunStatus) -> list[Text]:
    lines = []
    for market in status.markets:
        if market.state in ("throttled", "missing", "dead_lettered"):
            until = f" until {moment(market.until)}" if market.until else ""
            lines.append(
                Text(f"{market.market} {market.state.replace('_', '-')}{until}: {market.reason}", "yellow")
            )
    if status.waits_for:
        lines.append(Text(f"waits for machines; refused was {status.waits_for}", "yellow"))
    if status.left_out:
        lines.append(Text(f"not asked for: {' '.join(status.left_out)}", "yellow"))
    lines += [Text(f"set aside: {found.name}: {found.reason}", "yellow") for found in status.set_aside]
    return [Text(), *lines] if lines else []


def receipt_view(receipt: Receipt, decision: Decision) -> RenderableType:
    """One receipt, and for each market what was decided and what the job found."""
    told = receipt.model_dump(
        mode="json", exclude_none=True, exclude={"run_id": True, "revision": True, "load": {"parts", "examples"}}
    )
    title = f"Receipt of run {receipt.run_id}, revision {receipt.revision}"
    return Group(fields_table(title, told), Text(), _markets_table(receipt, decision))


def _markets_table(receipt: Receipt, decision: Decision) -> Table:
    table = Table("market", "decided", "found", "rows", "quarantined", "reason", title="Markets")
    found = {part.market: part for part in (receipt.load.parts if receipt.load else ())}
    for part in decision.parts:
        result = found.get(part.market)
        table.add_row(
            part.market,
            _albums(0 if part.empty else part.albums),
            _albums(result.albums if result else None),
            f"{result.rows:,}" if result else _NONE,
            f"{result.quarantined:,}" if result else _NONE,
            Text(result.reason if result and result.reason else "", "red"),
        )
    for gone in decision.missing:
        table.add_row(gone.market, _NONE, _NONE, _NONE, _NONE, Text(gone.reason, "red"))
    return table


def _albums(count: int | None) -> str:
    return _NONE if count is None else f"{count:,} albums"


def fields_table(title: str, fields: Mapping[str, object]) -> Table:
    """A document, one field a line; empty fields are left out."""
    table = Table(show_header=False, title=title)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in ({}, [], ""):
            text = _short(value)
            table.add_row(name.replace("_", " "), Text(text, STATE_STYLE.get(text, "")))
    return table


def dead_letters_table(groups: Iterable[DeadLetterGroup]) -> Table:
    """Dead letters by subscription and reason."""
    table = Table("subscription", "reason", "dead letters", "waiting", "newest message", title="Dead letters")
    for group in groups:
        newest = group.dead_letters[-1]
        what = " ".join(filter(None, (newest.message_id, newest.run_id, newest.market)))
        table.add_row(group.subscription, group.reason, str(len(group.dead_letters)), str(group.waiting), what)
    return table


def finding_line(finding: Finding) -> Text:
    """One finding of the doctor, its remedy below."""
    mark, style = _FINDING[finding.status]
    line = Text.assemble((f"{mark:<12}", style), (f"{finding.check}: ", "bold"), finding.what)
    return line.append(f"\n{'':12}→ {finding.remedy}", style) if finding.remedy else line


def findings_summary(findings: Iterable[Finding]) -> Text:
    """How many of each kind."""
    counted = Counter(finding.status for finding in findings)
    return Text(
        "\n" + ", ".join(f"{counted[status]} {_FINDING[status][0]}" for status in _FINDING if counted[status])
    )


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name.replace('_', ' ')} {_short(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " ".join(_short(inner) for inner in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def story_view(story: Story, named: str = "") -> RenderableType:
    """What happened to a market: a line for each step, its ids below; `named` as in `cause_text`."""
    grid = Table.grid(padding=(0, 2))
    for wrapped in (False, False, True):
        grid.add_column(no_wrap=not wrapped, overflow="fold")
    for step in story.steps:
        ids = "  ".join(f"{name} {value}" for name, value in step.ids.items())
        what = Text(step.what)
        if ids:
            what.append(f"\n{ids}", "dim")
        grid.add_row(Text(moment(step.at), "dim"), Text(step.kind.replace("_", " ")), what)
    rows = "" if story.rows is None else f", {story.rows:,} rows of it in the table"
    rows += f" ({story.uncounted})" if story.uncounted else ""
    title = Text.assemble((f"{story.market} in run {story.run_id}", "bold"), f": {story.state}{rows}")
    archived = "  archived: sweeps no longer look at this run" if story.archived else ""
    trace = Text(f"trace {story.trace_id}{archived}", "dim")
    return Group(title, trace, cause_text(story.cause, named), Text(), grid)


def duration(seconds: float) -> str:
    """Such as `37.9 s`, `12 min 5 s`, `2 h 3 min`."""
    minute, hour, day = 60, 3600, 86400
    if seconds < minute:
        return f"{seconds:.1f} s"
    if seconds < hour:
        return f"{int(seconds // minute)} min {int(seconds % minute)} s"
    if seconds >= 2 * day:
        return f"{int(seconds // day)} days"
    return f"{int(seconds // hour)} h {int(seconds % hour // minute)} min"
