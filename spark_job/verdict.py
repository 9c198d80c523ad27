"""What the job concludes from what it counted: which parts are as decided, and whether the rest is loaded. Pure.

A part is bad as a whole or not at all. Within a part that is as decided, bad records are tolerated up to a share.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from spark_job.decision import NUMBERED, Decision, Part

SKIPPED: Final = ("albums_without_tracks", "null_tracks", "null_artists", "odd_values")
_LONGEST_CAUSE: Final = 1000
_LONGEST_EXAMPLE: Final = 200
_FRAMES: Final = re.compile(r"\n\s+(?:at |\.\.\. |Suppressed: )")  # where Java's list of calls begins
# "Failed to load to TABLE in job JobId{project=P, job=ID, location=L}. BigQuery error was …", or "the load job ID: …".
_LOAD_JOB: Final = re.compile(
    r"\b(?:in|load) job (?:JobId\{[^}]*?\bjob=)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"
)
_BESIDE_A_CAUSE: Final = ("SQLSTATE: ", "An error occurred while calling ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was counted in one part."""

    albums: int = 0
    """Good records."""
    quarantined: int = 0
    """Bad records; each was a line."""
    foreign: int = 0
    """Those of them that are of another market or run."""
    numbered: int = 0
    """Good records that say which line they are."""
    shifts: tuple[int, int] = (0, 0)
    """Least and most by which a record's number is ahead of its place among the records."""
    rows: int = 0
    """Tracks of the good records."""
    skipped: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SKIPPED, 0))

    @property
    def lines(self) -> int:
        """Records, good and bad."""
        return self.albums + self.quarantined


def found_of(row: Mapping[str, int]) -> Found:
    """The counts of one file, as Spark summed them up."""
    same = ("albums", "quarantined", "foreign", "numbered", "rows")
    return Found(
        **{name: row[name] for name in same},
        shifts=(row["least_shift"], row["most_shift"]),
        skipped={name: row[name] for name in SKIPPED},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A part of the decision, and what became of it."""

    part: Part
    found: Found = Found()
    reason: str | None = None
    """Why it is bad; None where it is as decided."""
    read: bool = True
    """Whether it could be read to its end."""

    @property
    def suspect(self) -> bool:
        """Whether some of its lines may have to be shown to a person."""
        return self.read and bool(self.reason or self.found.quarantined)


def before_reading(parts: Iterable[Part], sizes: Mapping[str, int]) -> dict[str, str]:
    """Why parts are bad by what the folder's listing shows, by market; `sizes` are the files' bytes by name."""
    return {part.market: why for part in parts if (why := _unlisted(part, sizes.get(part.file)))}


def _unlisted(part: Part, size: int | None) -> str | None:
    if size is None:
        return "is missing"
    # Only the generation would be certain, and Hadoop does not show it. For a part of the same size its counts decide.
    if size != part.size:
        return f"was replaced since it was decided: it has {size} bytes, not {part.size}"
    return None if size else "is damaged: it has no bytes"


def judge(part: Part, found: Found, *, threshold: float) -> Judged:
    """Compare what a part holds with what was decided."""
    why = _foreign(found) or _spoilt(found, threshold) or _miscounted(part, found) or _misnumbered(part, found)
    return Judged(part=part, found=found, reason=why)


def _foreign(found: Found) -> str | None:
    if not found.foreign:
        return None
    return f"is foreign: {found.foreign} of {found.lines} records are of another market or run"


def _spoilt(found: Found, threshold: float) -> str | None:
    # Among thousands of records those of one market are a small share, and yet a whole market would vanish. Whoever
    # allows every share allows that too.
    if found.quarantined and not found.albums and threshold < 1:
        return f"holds nothing but bad records, {found.quarantined} of them"
    return None


def _miscounted(part: Part, found: Found) -> str | None:
    if part.albums is not None and found.lines != part.albums:
        return f"is {_how(found.lines, part.albums)}: it has {found.lines} records, not {part.albums}"
    # The tracks of bad records are not known.
    if part.tracks is not None and (
        found.rows > part.tracks or (found.rows < part.tracks and not found.quarantined)
    ):
        return f"is {_how(found.rows, part.tracks)}: it has {found.rows} tracks, not {part.tracks}"
    return None


def _how(found: int, decided: int) -> str:
    return "short" if found < decided else "glued"


def _misnumbered(part: Part, found: Found) -> str | None:
    # Each number is its record's place: together they are 1 to n, each once.
    if part.form < NUMBERED or (found.numbered == found.albums and found.shifts == (0, 0)):
        return None
    return "is glued: its records are not numbered one after the other from 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in all parts, and why nothing is loaded, if so."""

    parts: tuple[Judged, ...] = ()
    error: str | None = None
    load_job: str | None = None
    """Id of BigQuery's load job, where the error names it."""
    examples: tuple[Mapping[str, object], ...] = ()
    """Market, line and reason of the first few bad records."""

    @property
    def good(self) -> tuple[Judged, ...]:
        """The parts that are as decided."""
        return tuple(judged for judged in self.parts if judged.reason is None)

    @property
    def bad(self) -> tuple[Judged, ...]:
        """The parts that are left out."""
        return tuple(judged for judged in self.parts if judged.reason is not None)

    def total(self, name: str) -> int:
        """Sum of a count over the good parts."""
        return sum(getattr(judged.found, name) for judged in self.good)

    def skipped(self) -> dict[str, int]:
        """What was skipped in the good parts."""
        return {name: sum(judged.found.skipped[name] for judged in self.good) for name in SKIPPED}

    def failed(self, error: str, *, load_job: str | None = None) -> "Report":
        """The same, and nothing was loaded for this reason."""
        return replace(self, error=error, load_job=load_job)

    def document(self, *, run_id: str, revision: int) -> bytes:
        """The result object; it depends on the input alone, so a re-run writes the same bytes.

        `tracks` counts the entries read: rows plus null entries.
        """
        skipped, rows = self.skipped(), self.total("rows")
        told = {
            "run_id": run_id,
            "revision": revision,
            "loaded": self.error is None,
            "error": self.error,
            "load_job": self.load_job,
            "parts": [_told(judged) for judged in sorted(self.parts, key=lambda judged: judged.part.market)],
            "files": len(self.good),
            "albums": self.total("albums"),
            "tracks": rows + skipped["null_tracks"],
            "rows": rows,
            "quarantined": self.total("quarantined"),
            "examples": self.examples,
            "skipped": skipped,
        }
        return json.dumps(told, indent=2).encode() + b"\n"


def example_of(row: Mapping[str, object]) -> Mapping[str, object]:
    """A record of the quarantine for whoever is called at night; its content stays in the quarantine."""
    market = str(row["file"]).partition(".")[0]
    return {"market": market, "line": row["line"], "reason": str(row["reason"])[:_LONGEST_EXAMPLE]}


def _told(judged: Judged) -> dict[str, object]:
    counts = asdict(judged.found)
    return {
        "market": judged.part.market,
        "reason": judged.reason,
        **{name: counts[name] for name in ("albums", "rows", "quarantined")},
    }


def conclude(decision: Decision, parts: Sequence[Judged], *, threshold: float, quarantine: str) -> Report:
    """Whether what is good is loaded; `quarantine` is where the bad records are."""
    report = Report(parts=tuple(parts))
    refusal = _too_few(decision, report) or _nothing(report) or _too_bad(report, threshold, quarantine)
    return report.failed(f"{refusal}; nothing was loaded") if refusal else report


def _too_few(decision: Decision, report: Report) -> str | None:
    held = [judged for judged in report.bad if judged.part.market in decision.holds]
    if held:
        return (
            f"the table would lose what an earlier load of the run brought: {told(held)}. Fetch these markets again, "
            "or order a reload to do without them"
        )
    if len(report.good) < decision.least:
        return (
            f"{len(report.good)} of {len(report.parts)} parts are good, and at least {decision.least} must be: "
            f"{told(report.bad)}. Fetch these markets again"
        )
    return None


def _nothing(report: Report) -> str | None:
    if report.total("albums"):
        return None
    bad = f" ({told(report.bad)})" if report.bad else ""
    return f"there is not one album in the {len(report.good)} good parts{bad}"


def _too_bad(report: Report, threshold: float, quarantine: str) -> str | None:
    bad, records = report.total("quarantined"), report.total("lines")
    if bad <= threshold * records:
        return None
    return (
        f"{bad} of {records} records are bad, more than the share of {threshold:g} that is allowed. The records and "
        f"the reasons are in {quarantine}. Fetch their markets again, or allow more with --quarantine-threshold"
    )


def told(parts: Iterable[Judged]) -> str:
    """Parts and what is wrong with them, in a line."""
    return "; ".join(f"{judged.part.file} {judged.reason}" for judged in parts)


def load_job_of(text: str) -> str | None:
    """The id of the load job that an error names, as the connector and the local stand-in word it."""
    found = _LOAD_JOB.search(text)
    return found[1] if found else None


def cause_of(text: str) -> str:
    """The innermost cause in an error's text: Java's last "Caused by", and of a traceback of Python its last line."""
    block = _FRAMES.split(text.rpartition("Caused by: ")[2], maxsplit=1)[0]
    lines = [line for line in map(str.strip, block.splitlines()) if line and not line.startswith(_BESIDE_A_CAUSE)]
    if not lines:
        return "an error without a text"
    return (lines[-1] if "Traceback" in block else lines[0]).removeprefix(": ")[:_LONGEST_CAUSE]
