"""What the Spark job counts, judges and reports, without Spark."""

import json
from dataclasses import replace

import pytest
from pyspark.sql import Row

from spark_job.arguments import parse
from spark_job.job import Counts, JobError
from tests.unit.test_spark_arguments import GOOD

ARGUMENTS = parse([text for pair in GOOD.items() for text in pair])
SKIPPED = {"albums_without_tracks": 1, "null_tracks": 2, "null_artists": 3}
COUNTS = Counts(files=2, albums=99, rows=300, quarantined=1, skipped=SKIPPED)


def test_files_are_summed_up() -> None:
    """A count of one file alone would look right in every test with one market."""
    one = {"file": "DK.gz", "albums": 50, "rows": 100, "quarantined": 0} | dict.fromkeys(SKIPPED, 0)
    two = {"file": "SE.gz", "albums": 49, "rows": 200, "quarantined": 1} | SKIPPED
    assert Counts.of(2, [Row(**one), Row(**two)]) == COUNTS


def test_the_threshold_itself_is_allowed_and_one_more_is_not() -> None:
    """One in a hundred is what the default allows; the message says how many, where they are, and what to do."""
    COUNTS.check(ARGUMENTS)
    with pytest.raises(JobError) as caught:
        replace(COUNTS, albums=98).check(ARGUMENTS)
    assert str(caught.value) == (
        "1 of 99 records are bad, more than the share of 0.01 that is allowed; nothing was loaded. The records and "
        "the reasons are in gs://new-releases/quarantine/2026-11-23/0001/. Fetch their markets again, or allow more "
        "with --quarantine-threshold."
    )


def test_a_file_of_nothing_but_bad_records_is_named() -> None:
    """One market that is spoilt whole is a small share of 48, and would be missing without a word."""
    seen = [("raw/SE.gz", 0, 2), ("raw/DK.gz", 0, 1), ("raw/NO.gz", 500, 1), ("raw/FI.gz", 0, 0)]
    rows = [Row(file=file, albums=albums, quarantined=bad, rows=albums, **SKIPPED) for file, albums, bad in seen]
    counts = Counts.of(4, rows)
    assert counts.spoilt == ("raw/DK.gz", "raw/SE.gz")
    with pytest.raises(JobError) as caught:
        counts.check(ARGUMENTS)
    assert str(caught.value) == (
        "nothing but bad records in DK.gz, SE.gz; nothing was loaded. The records and the reasons are in "
        "gs://new-releases/quarantine/2026-11-23/0001/. Fetch those markets again."
    )
    with pytest.raises(JobError, match="nothing but bad records"):
        counts.check(replace(ARGUMENTS, quarantine_threshold=0.99))
    counts.check(replace(ARGUMENTS, quarantine_threshold=1))
    deep = replace(counts, spoilt=("gs://b/raw/2026-11-23/DK.gz",))
    with pytest.raises(JobError, match=r"records in DK\.gz; nothing"):
        deep.check(ARGUMENTS)


def test_the_result_holds_every_count_and_is_the_same_bytes_each_time() -> None:
    """A re-run of the same revision writes the same object; tracks are rows and null entries together."""
    body = COUNTS.result(ARGUMENTS)
    expected = {
        "run_id": "2026-11-23",
        "revision": 1,
        "files": 2,
        "albums": 99,
        "tracks": 302,
        "rows": 300,
        "quarantined": 1,
        "skipped": SKIPPED,
    }
    assert body == json.dumps(expected, indent=2).encode() + b"\n"
