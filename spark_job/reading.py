"""The decided parts, read and counted: what is wrong with one of them is reported and does not stop the others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from spark_job import transforms, verdict
from spark_job.arguments import Arguments
from spark_job.decision import Part
from spark_job.objects import Objects
from spark_job.verdict import Found, Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What one pass over the parts gave."""

    frame: DataFrame
    found: dict[str, Found]
    """By file; a part without a record has none."""
    lines: dict[str, int]
    """By file, of the parts whose decision does not say how many there must be."""


@contextmanager
def inspected(
    spark: SparkSession, objects: Objects, parts: Sequence[Part], arguments: Arguments
) -> Iterator[tuple[list[Judged], DataFrame | None]]:
    """Every part with its verdict; the records that were read are kept while the context lasts.

    Spark's failure names one file at best, and the next one only when that is left out. So when a reading fails, all
    its parts are checked; damaged ones are left out and the rest is read again. If none is damaged it failed for
    another reason. None of this costs anything while all parts are whole.
    """
    bad = verdict.before_reading(parts, objects.sizes(arguments.input))
    kept = None
    while kept is None and (readable := [part for part in parts if part.market not in bad]):
        try:
            kept = _read(spark, readable, arguments)
        except Exception:
            damaged = _damage(objects, readable, arguments)
            if not damaged:
                raise
            bad |= damaged
    try:
        yield [_judged(part, bad, kept, arguments) for part in parts], kept.frame if kept else None
    finally:
        if kept:
            # Spark would give the kept lines to whoever asks the same context for the same folder again.
            kept.frame.unpersist()


def _read(spark: SparkSession, parts: Sequence[Part], arguments: Arguments) -> _Kept:
    records = transforms.read_records(spark, arguments.input, [part.market for part in parts])
    frame = transforms.inspect(records, run_id=arguments.run_id).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        found = {row["file"]: verdict.found_of(row.asDict()) for row in transforms.summary(frame).collect()}
        return _Kept(frame=frame, found=found, lines=_lines(spark, parts, arguments))
    except Exception:
        frame.unpersist()
        raise


def _lines(spark: SparkSession, parts: Sequence[Part], arguments: Arguments) -> dict[str, int]:
    # Older decisions do not say what a part holds. It must at least have as many lines as records.
    uncounted = [part.market for part in parts if part.albums is None]
    if not uncounted:
        return {}
    by_file = transforms.read_lines(spark, arguments.input, uncounted).groupBy("file").count()
    return {row["file"]: row["count"] for row in by_file.collect()}


def _damage(objects: Objects, parts: Sequence[Part], arguments: Arguments) -> dict[str, str]:
    bad = verdict.before_reading(parts, objects.sizes(arguments.input))
    for part in parts:
        if part.market not in bad and (problem := objects.damage(f"{arguments.input}{part.file}")):
            bad[part.market] = f"is damaged: {problem}"
    return bad


def _judged(part: Part, bad: dict[str, str], kept: _Kept | None, arguments: Arguments) -> Judged:
    if kept is None or part.market in bad:
        return Judged(part=part, reason=bad[part.market], read=False)
    counted = replace(part, albums=kept.lines.get(part.file, 0)) if part.albums is None else part
    return verdict.judge(counted, kept.found.get(part.file, Found()), threshold=arguments.quarantine_threshold)
