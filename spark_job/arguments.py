"""The job's command line, checked whole before Spark does anything: every fault is reported, not just the first.

Not here: whether the objects named exist; the job finds that out when it needs them.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NoReturn

DEFAULT_THRESHOLD: Final = "0.01"
"""Share of bad records above which nothing is loaded."""

_BUCKET = r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]"  # cloud.google.com/storage/docs/buckets#naming
_FOLDER = re.compile(rf"gs://{_BUCKET}/([^*?\[\]{{}}\s]+/)+")
_OBJECT = re.compile(rf"gs://{_BUCKET}/([^*?\[\]{{}}\s]+/)*[^*?\[\]{{}}\s/]+\.json")
_TABLE = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]\.[A-Za-z0-9_]+\.[A-Za-z0-9_-]+")
_SHOWN, _MOST_UNKNOWN = 300, 20  # characters of a value, and arguments, that an error tells of
_MOST_REVISIONS = 9999  # four digits in an object name


class ArgumentError(ValueError):
    """The command line is wrong; carries every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(("the job was started with wrong arguments:", *(f"  {f}" for f in faults))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What to load, and where to."""

    input: str
    """Folder with the run's parts, `gs://bucket/raw/2026-11-23/`; only what is decided is read of it."""
    run_id: str
    revision: int
    """Number of the decision that is loaded, from 1."""
    decision: str
    """Object with that decision: which parts are loaded, and what each must hold."""
    table: str
    """`project.dataset.table`; it must exist, partitioned by load_date."""
    temporary_bucket: str
    """Bucket, without `gs://`, where the rows lie between Spark and BigQuery."""
    result: str
    """Object that gets what was found, counted and done, also where nothing is loaded."""
    quarantine: str
    """Folder that gets the bad records; what is in it is replaced."""
    quarantine_threshold: float
    """Share of bad records, 0 to 1, above which nothing is loaded."""

    @property
    def load_date(self) -> date:
        """The run's date, which is the partition."""
        return date.fromisoformat(self.run_id)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError([message])


_HELP: Final = {
    "input": "folder with the run's parts, as gs://bucket/raw/2026-11-23/",
    "run-id": "the run's date, as 2026-11-23",
    "revision": "number of the decision, from 1 to 9999",
    "decision": "decision to load, as gs://bucket/runs/2026-11-23/decisions/0001.json",
    "table": "existing table, as project.dataset.table",
    "temporary-bucket": "bucket for rows on their way, without gs://",
    "result": "object for what was found, as gs://bucket/runs/2026-11-23/loads/0001.json",
    "quarantine": "folder for bad records, as gs://bucket/quarantine/2026-11-23/0001/",
    "quarantine-threshold": f"share of bad records that fails the job, 0 to 1 (default {DEFAULT_THRESHOLD})",
}


def parse(argv: Sequence[str]) -> Arguments:
    """Turn the command line into arguments.

    Raises:
        ArgumentError: with all faults.
    """
    parser = _Parser(prog="main.py", allow_abbrev=False)
    for name, text in _HELP.items():
        parser.add_argument(f"--{name}", help=text, default="")
    parser.set_defaults(quarantine_threshold=DEFAULT_THRESHOLD)
    known, unknown = parser.parse_known_args(argv)
    given: dict[str, str] = vars(known)
    faults = [f"{extra[:_SHOWN]}: is not an argument of this job" for extra in unknown[:_MOST_UNKNOWN]] + _faults(
        given
    )
    if faults:
        raise ArgumentError(faults)
    return Arguments(
        input=given["input"],
        run_id=given["run_id"],
        revision=int(given["revision"]),
        decision=given["decision"],
        table=given["table"],
        temporary_bucket=given["temporary_bucket"],
        result=given["result"],
        quarantine=given["quarantine"],
        quarantine_threshold=float(given["quarantine_threshold"]),
    )


def _faults(given: dict[str, str]) -> list[str]:
    run, revision = given["run_id"], given["revision"]
    # Input, decision and quarantine must name the run: rows of another run would get this run's date, and the
    # quarantine folder is emptied before it is written.
    fits = {
        "run-id": _is_run_id(run),
        "revision": _is_revision(revision),
        "input": bool(_FOLDER.fullmatch(given["input"])) and given["input"].endswith(f"/{run}/"),
        "decision": bool(_OBJECT.fullmatch(given["decision"]))
        and given["decision"].endswith(f"/runs/{run}/decisions/{revision.zfill(4)}.json"),
        "table": bool(_TABLE.fullmatch(given["table"])),
        "temporary-bucket": bool(re.fullmatch(_BUCKET, given["temporary_bucket"])),
        "result": bool(_OBJECT.fullmatch(given["result"])),
        "quarantine": bool(_FOLDER.fullmatch(given["quarantine"]))
        and given["quarantine"].endswith(f"/quarantine/{run}/{revision.zfill(4)}/"),
        "quarantine-threshold": _is_share(given["quarantine_threshold"]),
    }
    return [_fault(name, given[name.replace("-", "_")]) for name, fit in fits.items() if not fit]


def _fault(name: str, value: str) -> str:
    problem = f"got {_shown(value)}" if value else "is missing"
    return f"--{name}: {problem}; give the {_HELP[name]}" + (
        ", of the run and revision given" if value and name in {"input", "decision", "quarantine"} else ""
    )


def _shown(value: str) -> str:
    return repr(value[:_SHOWN]) + "…" * (len(value) > _SHOWN)


def _is_run_id(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_revision(value: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,4}", value)) and 1 <= int(value) <= _MOST_REVISIONS


def _is_share(value: str) -> bool:
    return bool(re.fullmatch(r"[0-9]*\.?[0-9]+", value)) and 0 <= float(value) <= 1
