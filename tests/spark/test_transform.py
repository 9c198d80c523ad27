"""The transformation on real Spark, compared with plain Python. Nothing is loaded here."""

import gzip
import json
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pyspark.sql import SparkSession

from contracts.names import MARKETS
from contracts.parts import PartLine
from spark_job import transforms, verdict
from spark_job.decision import Part
from tests.spark import reference
from tests.spark.bucket import Bucket
from tests.spark.reference import RUN, album, record, write_part

pytestmark = pytest.mark.spark
GOLDEN = Path(__file__).parent / "golden_parts"


def _fresh(bucket: Bucket) -> str:
    """Empty the run's folder and give its address."""
    bucket.empty(f"raw/{RUN}/")
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
    spark: SparkSession, bucket: Bucket, records: list[dict[str, Any]]
) -> None:
    """Whatever Spotify may send gives exactly the rows and counts that plain Python derives."""
    folder = _fresh(bucket)
    records = [*records, *reference.DATED]
    markets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in records:
        markets[line["market"]].append(line)
    for market, lines in markets.items():
        write_part(bucket, market, lines)

    inspected = transforms.inspect(transforms.read_records(spark, folder, sorted(markets)), run_id=RUN).cache()
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


def test_small_files_share_tasks_and_a_line_is_parsed_once(spark: SparkSession, bucket: Bucket) -> None:
    """48 small parts are a task a core, not 48 or 200, and the expensive expression is in the plan once."""
    folder = _fresh(bucket)
    for market in MARKETS:
        write_part(bucket, market, [record(album("a", "t"), market=market)])
    inspected = transforms.inspect(transforms.read_records(spark, folder, MARKETS), run_id=RUN)
    assert inspected.rdd.getNumPartitions() == 2
    plan: Any = inspected._jdf.queryExecution().executedPlan().toString()
    assert plan.count("Scan json") == 1
    assert plan.count("from_json(") == 1  # of a line with odd values, and of no other


def test_a_truncated_part_fails(spark: SparkSession, bucket: Bucket) -> None:
    """Half a part must not pass for a short one."""
    folder = _fresh(bucket)
    part = write_part(bucket, "DK", [record(album(f"a{number}", "t")) for number in range(500)])
    bucket.write(part, bucket.read(part)[:-200])
    with pytest.raises(EOFError):
        gzip.decompress(bucket.read(part))
    inspected = transforms.inspect(transforms.read_records(spark, folder, ["DK"]), run_id=RUN)
    with pytest.raises(Exception, match=r"DK\.jsonl\.gz"):
        transforms.summary(inspected).collect()


@pytest.mark.parametrize("form", [1, 2, 3])
def test_a_part_of_every_form_is_read_for_ever(spark: SparkSession, bucket: Bucket, form: int) -> None:
    """A part lies in the bucket for weeks: a kept one of each form is the contract's, and gives its rows and counts."""
    folder = _fresh(bucket)
    lines = (GOLDEN / f"form{form}.jsonl").read_bytes().splitlines()
    assert [PartLine.model_validate_json(line).number for line in lines] == ([1, 2] if form > 1 else [None, None])
    file = write_part(bucket, "DK", lines)
    inspected = transforms.inspect(transforms.read_records(spark, folder, ["DK"]), run_id=RUN)
    rows = transforms.rows(inspected, run_id=RUN, load_date=date.fromisoformat(RUN), revision=1).collect()
    [found] = [verdict.found_of(row.asDict()) for row in transforms.summary(inspected).collect()]
    expected = [row for line in lines for row in reference.rows_of(json.loads(line))]
    assert reference.sortable(row.asDict() for row in rows) == reference.sortable(expected)
    decided = Part(market="DK", size=len(bucket.read(file)), form=form, albums=2, tracks=3)
    assert verdict.judge(decided, found, threshold=0).reason is None
