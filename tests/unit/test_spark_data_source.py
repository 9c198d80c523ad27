"""The stand-in for the BigQuery connector: which options it takes. What it does is tested on Spark."""

from datetime import date

import pytest

from local.spark.data_source.pyspark_bigquery import DefaultSource, Target, UnsupportedError, load_job
from spark_job import sink

TABLE = "new-releases-local.music.new_releases"


def _options(**changes: str | None) -> dict[str, str]:
    """The job's options as Spark hands them over: names in lower case, the table as `path`."""
    given = sink.options(load_date=date(2026, 11, 23), revision=3, temporary_bucket="new-releases") | {
        "path": TABLE
    }
    lower: dict[str, str | None] = {name.lower(): value for name, value in given.items()}
    return {name: value for name, value in (lower | changes).items() if value is not None}


def test_it_takes_exactly_what_the_job_gives() -> None:
    """The job's own options are understood, under the name that the job uses."""
    target = Target.of(_options(), overwrite=True)
    assert (target.table, target.field, target.day) == (TABLE, "load_date", date(2026, 11, 23))
    assert (target.clustered, target.bucket) == (("market",), "new-releases")
    assert target.labels == {"run": "2026-11-23", "revision": "3"}
    assert target.partition == f"{TABLE}$20261123"
    assert DefaultSource.name() == "bigquery"


@pytest.mark.parametrize("name", sorted(_options()))
def test_no_option_may_be_missing(name: str) -> None:
    """Each option is there for a reason: without it the real connector would do something else."""
    with pytest.raises(UnsupportedError, match=f"{name}: "):
        Target.of(_options(**{name: None}), overwrite=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("writemethod", "direct"),
        ("intermediateformat", "avro"),
        ("enablelistinference", "false"),
        ("partitiontype", "HOUR"),
        ("createdisposition", "CREATE_IF_NEEDED"),
        ("partitionoverwritemode", "DYNAMIC"),
        ("datepartition", "2026112300"),
        ("datepartition", "20261301"),
        ("path", "new_releases"),
        ("path", f"{TABLE}$20261123"),
        ("allowfieldaddition", "true"),
    ],
)
def test_what_it_does_not_do_is_refused(name: str, value: str) -> None:
    """An option that would be ignored here and heeded in the cloud must not pass."""
    with pytest.raises(UnsupportedError, match=f"{name}: "):
        Target.of(_options(**{name: value}), overwrite=True)


def test_appending_is_refused_with_all_other_faults() -> None:
    """Appending doubles rows on a re-run; every fault is named at once."""
    with pytest.raises(UnsupportedError, match=r"mode: .*speed: .*writemethod: "):
        Target.of(_options(speed="high", writemethod="direct"), overwrite=False)


def test_of_many_files_the_load_names_the_pattern() -> None:
    """From ten files on the connector does so, and the load then needs the right to list."""
    target = Target.of(_options(), overwrite=True)
    files = [f"b/.folder/part-{number:05}-x.snappy.parquet" for number in range(10)]
    assert load_job(target, [], files[:9])["sourceUris"] == [f"gs://{file}" for file in files[:9]]
    assert load_job(target, [], files)["sourceUris"] == ["gs://b/.folder/part-*.snappy.parquet"]
