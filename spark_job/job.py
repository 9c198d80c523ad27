"""One load from start to end: read the decided parts, judge them, quarantine, replace, report. In that order.

A part that is missing, cannot be unpacked or does not hold what was decided is left out; the rest is loaded if the
decision allows it. Bad records are kept before anything is loaded, so that a failed job leaves what an operator
needs. What was found is written at the end, however the job ends. No exception is swallowed: a load that did not happen
is a job that failed.

Spark does two passes: one parses all lines, keeps the outcome and sums it up by file, one writes what was kept.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 -- the name the field uses

from spark_job import reading, transforms, verdict
from spark_job.arguments import Arguments
from spark_job.decision import read_decision
from spark_job.objects import Objects
from spark_job.sink import replace_partition
from spark_job.verdict import Report

_SETTINGS: Final = {
    # The one shuffle carries a row for each file and task; the default of 200 would open 200 buffers in each task.
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
    # Files appear at their place when all of them are written. Hadoop's default for gs:// was seen to leave a part of a
    # write that failed.
    "mapreduce.outputcommitter.factory.scheme.gs": (
        "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory"
    ),
}

_KEPT: Final = "reason STRING, file STRING, line LONG"
_EXAMPLES: Final = 5

log = logging.getLogger(__name__)


class JobError(RuntimeError):
    """The job did not load this run, and an operator has to know why."""


Load = Callable[[DataFrame, Arguments], None]
"""Puts rows where they belong."""


def into_table(rows: DataFrame, arguments: Arguments) -> None:
    """Replace the run's partition."""
    replace_partition(
        rows,
        table=arguments.table,
        load_date=arguments.load_date,
        revision=arguments.revision,
        temporary_bucket=arguments.temporary_bucket,
    )


def run(spark: SparkSession, arguments: Arguments, *, load: Load = into_table) -> Report:
    """Load what the decision names, and write what became of it.

    Raises:
        JobError: nothing was loaded; what Spark or BigQuery raised, if they did, is its cause.
    """
    for name, value in _SETTINGS.items():
        spark.conf.set(name, value)
    objects, report, failure = Objects(spark), Report(), None
    try:
        with _examined(spark, objects, arguments) as (report, rows):
            if report.error is None and rows is not None:
                load(rows, arguments)
    except Exception as error:
        log.exception("the load failed")
        failure = error
        text = _text_of(error)
        report = report.failed(verdict.cause_of(text), load_job=verdict.load_job_of(text))
    objects.write(arguments.result, report.document(run_id=arguments.run_id, revision=arguments.revision))
    if report.error is not None:
        raise JobError(report.error) from failure
    log.info("loaded %d rows into %s for %s", report.total("rows"), arguments.table, arguments.run_id)
    return report


def _text_of(error: Exception) -> str:
    """An error's text with Java's causes, which Spark keeps apart from the message."""
    return str(getattr(error, "_stackTrace", None) or error)


@contextmanager
def _examined(
    spark: SparkSession, objects: Objects, arguments: Arguments
) -> Iterator[tuple[Report, DataFrame | None]]:
    """What the decision's parts hold, and the rows of the good ones while the context lasts."""
    content = objects.read(arguments.decision)
    decision = read_decision(content, run_id=arguments.run_id, revision=arguments.revision)
    with reading.inspected(spark, objects, decision.parts, arguments) as (parts, kept):
        report = verdict.conclude(
            decision, parts, threshold=arguments.quarantine_threshold, quarantine=arguments.quarantine
        )
        log.info("found %s", report)
        examples = _keep_bad_records(spark, objects, report, arguments)
        report = replace(report, examples=tuple(map(verdict.example_of, examples)))
        yield report, None if kept is None else _rows(kept, report, arguments)


def _rows(kept: DataFrame, report: Report, arguments: Arguments) -> DataFrame:
    good = kept.where(F.col("file").isin([judged.part.file for judged in report.good])) if report.bad else kept
    return transforms.rows(
        good, run_id=arguments.run_id, load_date=arguments.load_date, revision=arguments.revision
    )


def _keep_bad_records(
    spark: SparkSession, objects: Objects, report: Report, arguments: Arguments
) -> list[dict[str, object]]:
    """Keep them for a person, and give the first few as they are kept."""
    # An earlier attempt at the same revision may have left records which a replaced part no longer has.
    objects.delete_folder(arguments.quarantine)
    markets = [judged.part.market for judged in report.parts if judged.suspect]
    if not markets:
        return []
    lines = transforms.read_lines(spark, arguments.input, markets)
    bad = transforms.bad_lines(lines, run_id=arguments.run_id)
    # One file: a person reads it. No `_SUCCESS` beside it: the folder holds bad records and nothing else.
    bad.coalesce(1).write.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false").json(
        arguments.quarantine
    )
    kept = spark.read.schema(_KEPT).json(arguments.quarantine).orderBy("file", "line").limit(_EXAMPLES)
    return [row.asDict() for row in kept.collect()]
