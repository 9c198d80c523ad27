"""One load from start to end: inspect, quarantine, judge, replace, report. In that order, for a reason.

Bad records are kept before the threshold is judged, so that a failed job leaves what an operator needs. Counts are
written after the load, so that their presence says it happened. No exception is swallowed: a load that did not
happen is a job that failed.

Spark does two passes: one parses all lines, keeps the outcome and sums it up by file, one writes what was kept.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession

from spark_job import transforms
from spark_job.arguments import Arguments
from spark_job.objects import Objects
from spark_job.sink import replace_partition

_SETTINGS: Final = {
    # The one shuffle carries a row for each file and task; the default of 200 would open 200 buffers in each task.
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
}
_SKIPPED: Final = ("albums_without_tracks", "null_tracks", "null_artists")

log = logging.getLogger(__name__)


class JobError(RuntimeError):
    """The job cannot load this run, and an operator has to know why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the inspection found in all files."""

    files: int
    albums: int
    rows: int
    quarantined: int
    skipped: dict[str, int]
    spoilt: tuple[str, ...] = ()
    """Files with bad records and not one good album: a market that a small share of bad records would hide."""

    @classmethod
    def of(cls, files: int, by_file: list[Row]) -> "Counts":
        """Sum the files up; `files` also counts those without a line."""

        def total(name: str) -> int:
            return sum(row[name] for row in by_file)

        return cls(
            files=files,
            albums=total("albums"),
            rows=total("rows"),
            quarantined=total("quarantined"),
            skipped={name: total(name) for name in _SKIPPED},
            spoilt=tuple(sorted(row["file"] for row in by_file if row["quarantined"] and not row["albums"])),
        )

    def check(self, arguments: Arguments) -> None:
        """Raise `JobError` if too large a share is bad, or all of a file; allowing every share allows that too."""
        if self.spoilt and arguments.quarantine_threshold < 1:
            raise JobError(
                f"nothing but bad records in {', '.join(name.rpartition('/')[2] for name in self.spoilt)}; nothing "
                f"was loaded. The records and the reasons are in {arguments.quarantine}. Fetch those markets again."
            )
        records = self.albums + self.quarantined
        if self.quarantined > arguments.quarantine_threshold * records:
            raise JobError(
                f"{self.quarantined} of {records} records are bad, more than the share of "
                f"{arguments.quarantine_threshold:g} that is allowed; nothing was loaded. The records and the reasons "
                f"are in {arguments.quarantine}. Fetch their markets again, or allow more with "
                "--quarantine-threshold."
            )

    def result(self, arguments: Arguments) -> bytes:
        """The result object; it depends on the input alone, so a re-run writes the same bytes.

        `tracks` counts the entries read: rows plus null entries.
        """
        document = {
            "run_id": arguments.run_id,
            "revision": arguments.revision,
            "files": self.files,
            "albums": self.albums,
            "tracks": self.rows + self.skipped["null_tracks"],
            "rows": self.rows,
            "quarantined": self.quarantined,
            "skipped": self.skipped,
        }
        return json.dumps(document, indent=2).encode() + b"\n"


Load = Callable[[DataFrame, Arguments], None]
"""Puts rows where they belong."""


def into_table(rows: DataFrame, arguments: Arguments) -> None:
    """Replace the run's partition."""
    replace_partition(
        rows,
        table=arguments.table,
        load_date=arguments.load_date,
        temporary_bucket=arguments.temporary_bucket,
    )


def run(spark: SparkSession, arguments: Arguments, *, load: Load = into_table) -> Counts:
    """Load the run.

    Raises:
        JobError: there is no part, or too many records are bad. Whatever Spark and BigQuery raise goes through.
    """
    for name, value in _SETTINGS.items():
        spark.conf.set(name, value)
    objects = Objects(spark)
    parts = objects.names(arguments.input, f"*{transforms.PART_SUFFIX}")
    if not parts:
        raise JobError(f"there is no part in {arguments.input}; fetch the run's markets first")
    lines = transforms.read_lines(spark, arguments.input)
    inspected = transforms.inspect(lines, run_id=arguments.run_id).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        by_file = transforms.summary(inspected).collect()
        counts = Counts.of(len(parts), by_file)
        log.info("inspected %s", counts)
        _keep_bad_records(objects, spark, inspected, by_file, arguments)
        counts.check(arguments)
        load(_rows(inspected, arguments), arguments)
    finally:
        # Spark would give the kept lines to whoever asks the same context for the same folder again.
        inspected.unpersist()
    objects.write(arguments.result, counts.result(arguments))
    log.info("loaded %d rows into %s for %s", counts.rows, arguments.table, arguments.run_id)
    return counts


def _rows(inspected: DataFrame, arguments: Arguments) -> DataFrame:
    return transforms.rows(
        inspected, run_id=arguments.run_id, load_date=arguments.load_date, revision=arguments.revision
    )


def _keep_bad_records(
    objects: Objects, spark: SparkSession, inspected: DataFrame, by_file: list[Row], arguments: Arguments
) -> None:
    # An earlier attempt at the same revision may have left records which a replaced part no longer has.
    objects.delete_folder(arguments.quarantine)
    firsts = [(row["file"], row["first_position"]) for row in by_file if row["quarantined"]]
    if not firsts:
        return
    positions = spark.createDataFrame(firsts, "file string, first_position bigint")
    bad = transforms.quarantined(inspected, positions)
    # One file: a person reads it. No `_SUCCESS` beside it: the folder holds bad records and nothing else.
    bad.coalesce(1).write.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false").json(
        arguments.quarantine
    )
