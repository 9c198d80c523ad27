"""The job from parts to table, in one Spark session, against the emulators."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_job import transforms
from spark_job.arguments import Arguments
from spark_job.job import JobError, run
from spark_job.sink import replace_partition
from tests.spark.conftest import Warehouse
from tests.spark.reference import RUN, album, record, rows_of, sortable, write_part

pytestmark = pytest.mark.spark
Give = Callable[..., Arguments]


def _quarantined(bucket: Path, revision: int = 1) -> list[dict[str, object]]:
    files = (bucket / "quarantine" / RUN / f"{revision:04}").rglob("*")
    return [json.loads(line) for file in files if file.is_file() for line in file.read_text().splitlines()]


def test_bad_lines_are_kept_with_reason_file_and_line(
    spark: SparkSession, bucket: Path, warehouse: Warehouse, arguments: Give
) -> None:
    """Every bad line is quarantined with its reason, its file and its number there; every good one is loaded."""
    good = [record(album(name, "t1", "t2")) for name in "ab"]
    spaced = record(album("s", "t"))  # blanks around a record are JSON
    text = json.dumps(record(album("c", "t")))
    bad: list[tuple[bytes, str]] = [
        (b"", "is an empty line"),
        (b"   ", "is not JSON"),
        (b"{not json}", "is not JSON"),
        (text.encode()[:-3], "is not JSON"),
        (b"[" + text.encode() + b"]", "is not one JSON object whose fields have the expected types"),
        (text.encode() + b" tail", "is not one JSON object whose fields have the expected types"),
        (text.replace("1000", '"long"').encode(), "is not one JSON object whose fields have the expected types"),
        (text.encode().replace(b"Album", b"\xff\xfe"), "is not UTF-8"),
        (text.encode() * 2, "is not one JSON object whose fields have the expected types"),
        (text.encode() + b" " + text.encode(), "is not one JSON object whose fields have the expected types"),
        (text.encode() + b"," + text.encode(), "is not one JSON object whose fields have the expected types"),
        (text.encode() + b"]} tail", "is not one JSON object whose fields have the expected types"),
        (text.encode() + b',"x":{}', "is not one JSON object whose fields have the expected types"),
        (b'{"records":[' + text.encode() + b"]}", "has no market"),
        (json.dumps({**record(album("c")), "market": None}).encode(), "has no market"),
        (json.dumps(record(album("c"), market="SE")).encode(), "is of market SE in the file DK.jsonl.gz"),
        (json.dumps({**record(album("c")), "run_id": None}).encode(), "has no run id"),
        (
            json.dumps(record(album("c"), run_id="2026-11-16")).encode(),
            f"is of run 2026-11-16 in the folder of {RUN}",
        ),
        (json.dumps({**record(album("c")), "album": None}).encode(), "has no album id"),
        (json.dumps(record({"name": "without id"})).encode(), "has no album id"),
        (json.dumps(record(album(""))).encode(), "has no album id"),
    ]
    write_part(bucket, "DK", [good[0], *(line for line, _ in bad), good[1], f" {json.dumps(spaced)} \r".encode()])
    # Files beside it share its task, so that a line's number is not the number of the row in the task.
    others = [record(album(f"o{market}", "x"), market=market) for market in ("AD", "SE", "ZZ")]
    for other in others:
        write_part(bucket, other["market"], [other, other])
    write_part(bucket, "TR", [{**record(album("q", "}{"), market="TR")}, b"broken"])

    counts = run(spark, arguments(threshold="1"))

    kept = sorted(
        ((found["file"], found["line"], found["reason"]) for found in _quarantined(bucket)),
        key=lambda found: (str(found[0]), int(str(found[1]))),
    )
    expected = [("DK.jsonl.gz", number, reason) for number, (_, reason) in enumerate(bad, 2)]
    assert kept == [*expected, ("TR.jsonl.gz", 2, "is not JSON")]
    originals = {
        found["line"]: found["record"] for found in _quarantined(bucket) if found["file"] == "DK.jsonl.gz"
    }
    assert originals == {number: line.decode(errors="replace") for number, (line, _) in enumerate(bad, 2)}
    loaded = [*good, spaced, *others, *others, record(album("q", "}{"), market="TR")]
    assert sortable(warehouse.rows()) == sortable(row for line in loaded for row in rows_of(line))
    assert (counts.files, counts.quarantined, counts.albums) == (5, len(bad) + 1, len(loaded))


def test_too_many_bad_lines_load_nothing(
    spark: SparkSession, bucket: Path, warehouse: Warehouse, arguments: Give
) -> None:
    """Above the threshold the old rows stay, no result is written, and the error says how many and where."""
    write_part(bucket, "DK", [record(album("old", "t"))])
    run(spark, arguments())
    write_part(bucket, "DK", [*(record(album(f"n{number}", "t")) for number in range(98)), b"bad", b"worse"])

    with pytest.raises(JobError, match=rf"2 of 100 records.*0\.01 .*gs://{bucket.name}/quarantine/{RUN}/0002/"):
        run(spark, arguments(revision=2))

    assert [row["album_id"] for row in warehouse.rows()] == ["old"]
    assert not (bucket / f"runs/{RUN}/loads/0002.json").exists()
    assert [found["record"] for found in _quarantined(bucket, 2)] == ["bad", "worse"]

    # Exactly the threshold is allowed, and what the failed attempt had quarantined is replaced.
    write_part(bucket, "DK", [*(record(album(f"n{number}", "t")) for number in range(99)), b"bad"])
    run(spark, arguments(revision=2))
    assert len(warehouse.rows()) == 99
    assert [found["line"] for found in _quarantined(bucket, 2)] == [100]


def test_a_part_of_nothing_but_bad_lines_loads_nothing(
    spark: SparkSession, bucket: Path, warehouse: Warehouse, arguments: Give
) -> None:
    """One broken line among thousands is a small share, and yet a whole market would go: the part is named."""
    write_part(bucket, "DK", [*(record(album(f"n{number}", "t")) for number in range(200))])
    write_part(bucket, "SE", [b"not a record"])
    with pytest.raises(JobError, match=r"nothing but bad records in SE\.jsonl\.gz;.*Fetch those markets again"):
        run(spark, arguments())
    assert warehouse.rows() == []
    assert [found["file"] for found in _quarantined(bucket)] == ["SE.jsonl.gz"]


def test_a_run_without_parts_fails(spark: SparkSession, warehouse: Warehouse, arguments: Give) -> None:
    """A folder without parts is a mistake and must not empty the partition."""
    with pytest.raises(JobError, match=f"no part in gs://.*/raw/{RUN}/"):
        run(spark, arguments())


def test_loading_again_replaces_the_partition_and_no_other(
    spark: SparkSession, bucket: Path, warehouse: Warehouse, arguments: Give, temporary: Path
) -> None:
    """Twice is once, another run's partition stays, and a load without rows leaves none behind."""
    week_before = record(album("w", "t"), run_id="2026-11-16")
    write_part(bucket, "DK", [week_before], run_id="2026-11-16")
    run(spark, arguments(run_id="2026-11-16"))
    records = [record(album(name, "t1", "t2")) for name in "abc"]
    write_part(bucket, "DK", records)
    result = bucket / f"runs/{RUN}/loads/0001.json"

    run(spark, arguments())
    first = result.read_bytes()
    run(spark, arguments())

    of_run = f"load_date = DATE '{RUN}'"
    assert sortable(warehouse.rows(of_run)) == sortable(row for line in records for row in rows_of(line))
    assert result.read_bytes() == first
    assert warehouse.staging_tables() == []
    assert list(temporary.glob("spark-bigquery-*")) == []

    write_part(bucket, "DK", [record(album("empty"))])
    run(spark, arguments(revision=2))

    assert warehouse.rows(of_run) == []
    assert json.loads((bucket / f"runs/{RUN}/loads/0002.json").read_text()) == {
        "run_id": RUN,
        "revision": 2,
        "files": 1,
        "albums": 1,
        "tracks": 0,
        "rows": 0,
        "quarantined": 0,
        "skipped": {"albums_without_tracks": 1, "null_tracks": 0, "null_artists": 0},
    }
    assert sortable(warehouse.rows()) == sortable(rows_of(week_before))


def test_rows_of_another_day_are_refused(
    spark: SparkSession, bucket: Path, warehouse: Warehouse, arguments: Give, temporary: Path
) -> None:
    """The stand-in refuses rows outside the partition as BigQuery does, and leaves nothing behind."""
    write_part(bucket, "DK", [record(album("a", "t"))])
    given = arguments()
    inspected = transforms.inspect(transforms.read_lines(spark, given.input), run_id=RUN)
    rows = transforms.rows(inspected, run_id=RUN, load_date=date(2026, 11, 24), revision=1)
    with pytest.raises(Exception, match="load_date 2026-11-24, which is outside the partition 2026-11-23"):
        replace_partition(rows, table=given.table, load_date=given.load_date, temporary_bucket=bucket.name)
    assert warehouse.rows() == []
    assert list(temporary.glob("spark-bigquery-*")) == []
