"""The Spark job without Spark: reads exactly the parts that the decision names, and judges them as the job does.

The judgement is the job's own (`spark_job.verdict`), and so is its reading of the decision. In place of Spark there is
a loop over lines.
"""

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any

from contracts.names import decision_name, raw_prefix
from spark_job import verdict
from spark_job.arguments import Arguments
from spark_job.decision import Decision, Part, read_decision
from spark_job.verdict import Found, Judged, Report
from tests.fakes.objects import MemoryObjectStore

Row = tuple[str, str, str]
"""Market, album, track."""
Line = dict[str, Any]


@dataclass(frozen=True)
class Examined:
    """What the job concluded, and the rows of the parts that are good."""

    report: Report
    rows: tuple[Row, ...]


def examine(bucket: MemoryObjectStore, arguments: Arguments) -> Examined:
    """Read and judge the parts of a decision."""
    decision = decided(bucket, arguments)
    bodies = {part.file: _body(bucket, arguments, part) for part in decision.parts}
    sizes = {file: len(body) for file, body in bodies.items() if body is not None}
    unlisted = verdict.before_reading(decision.parts, sizes)
    judged, rows = [], []
    for part in decision.parts:
        if (why := unlisted.get(part.market)) is not None:
            judged.append(Judged(part=part, reason=why, read=False))
            continue
        found, kept = _read(part, bodies[part.file] or b"", arguments)
        judged.append(found)
        rows += kept if found.reason is None else []
    threshold = arguments.quarantine_threshold
    report = verdict.conclude(decision, judged, threshold=threshold, quarantine=arguments.quarantine)
    return Examined(report, tuple(rows))


def decided(bucket: MemoryObjectStore, arguments: Arguments) -> Decision:
    """The decision that is loaded."""
    content = bucket.body(decision_name(arguments.run_id, arguments.revision)) or b""
    return read_decision(content, run_id=arguments.run_id, revision=arguments.revision)


def _body(bucket: MemoryObjectStore, arguments: Arguments, part: Part) -> bytes | None:
    return bucket.body(f"{raw_prefix(arguments.run_id)}{part.file}")


def _read(part: Part, body: bytes, arguments: Arguments) -> tuple[Judged, list[Row]]:
    try:
        lines = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        return Judged(part=part, reason=f"is damaged: {error}", read=False), []
    good = [line for line in lines if (line["market"], line["run_id"]) == (part.market, arguments.run_id)]
    rows = [row for line in good for row in _rows(line)]
    return verdict.judge(part, _found(lines, good, len(rows)), threshold=arguments.quarantine_threshold), rows


def _found(lines: list[Line], good: list[Line], rows: int) -> Found:
    strange = len(lines) - len(good)
    shifts = [line["number"] - at for at, line in enumerate(lines, start=1) if "number" in line and line in good]
    return Found(
        albums=len(good),
        quarantined=strange,
        foreign=strange,
        numbered=len(shifts),
        shifts=(min(shifts, default=0), max(shifts, default=0)),
        rows=rows,
    )


def _rows(line: Line) -> list[Row]:
    return [(line["market"], line["album"]["id"], track["id"]) for track in line["album"]["tracks"]["items"]]
