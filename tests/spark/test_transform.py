"""The transformation on real Spark, compared with plain Python. Nothing is loaded here."""

import gzip
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pyspark.sql import SparkSession

from spark_job import transforms
from tests.spark import reference
from tests.spark.reference import RUN, album, record, write_part

pytestmark = pytest.mark.spark


def _fresh(bucket: Path) -> str:
    """Empty the run's folder and give its address."""
    for part in (bucket / "raw" / RUN).glob("*"):
        part.unlink()
    return f"gs://{bucket.name}/raw/{RUN}/"


# Shrinking is left out: each of its hundreds of steps would be a few Spark jobs, and the rows that differ are shown.
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(records=reference.RECORDS)
def test_rows_are_those_of_the_plain_reference(
    spark: SparkSession, bucket: Path, records: list[dict[str, Any]]
) -> None:
    """Whatever Spotify may send gives exactly the rows and counts that plain Python derives."""
    folder = _fresh(bucket)
    records = [*records, *reference.DATED]
    markets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in records:
        markets[line["market"]].append(line)
    for market, lines in markets.items():
        write_part(bucket, market, lines)

    inspected = transforms.inspect(transforms.read_lines(spark, folder), run_id=RUN).cache()
    rows = transforms.rows(inspected, run_id=RUN, load_date=date.fromisoformat(RUN), revision=7).collect()
    by_file = transforms.summary(inspected).collect()
    inspected.unpersist()

    expected = [row for line in records for row in reference.rows_of(line, revision=7)]
    assert reference.sortable(row.asDict() for row in rows) == reference.sortable(expected)
    counts = reference.counts_of(records)
    assert {name: sum(row[name] for row in by_file) for name in counts} == counts
    assert sum(row["quarantined"] for row in by_file) == 0
    assert sum(row["albums"] for row in by_file) == len(records)
    assert sum(row["rows"] for row in by_file) == len(expected)


def test_small_files_share_tasks_and_a_line_is_parsed_once(spark: SparkSession, bucket: Path) -> None:
    """48 small parts are a task a core, not 48 or 200, and the expensive expression is in the plan once."""
    folder = _fresh(bucket)
    for number in range(48):
        market = chr(65 + number // 26) + chr(65 + number % 26)
        write_part(bucket, market, [record(album("a", "t"), market=market)])
    inspected = transforms.inspect(transforms.read_lines(spark, folder), run_id=RUN)
    assert inspected.rdd.getNumPartitions() == 2
    plan: Any = inspected._jdf.queryExecution().executedPlan().toString()
    assert plan.count("from_json(") == 1


def test_a_truncated_part_fails(spark: SparkSession, bucket: Path) -> None:
    """Half a part must not pass for a short one."""
    folder = _fresh(bucket)
    part = write_part(bucket, "DK", [record(album(f"a{number}", "t")) for number in range(500)])
    part.write_bytes(part.read_bytes()[:-200])
    with pytest.raises(EOFError):
        gzip.decompress(part.read_bytes())
    inspected = transforms.inspect(transforms.read_lines(spark, folder), run_id=RUN)
    with pytest.raises(Exception, match=r"DK\.jsonl\.gz"):
        transforms.summary(inspected).collect()
