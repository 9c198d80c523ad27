"""The Spark job's command line."""

import re

import pytest

from spark_job.arguments import ArgumentError, parse

GOOD = {
    "--input": "gs://new-releases/raw/2026-11-23/",
    "--run-id": "2026-11-23",
    "--revision": "1",
    "--table": "new-releases-local.music.new_releases",
    "--temporary-bucket": "new-releases",
    "--result": "gs://new-releases/runs/2026-11-23/loads/0001.json",
    "--quarantine": "gs://new-releases/quarantine/2026-11-23/0001/",
}


def _argv(**changes: str) -> list[str]:
    given = GOOD | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return [text for pair in given.items() for text in pair]


def test_good_arguments_are_understood() -> None:
    """The run's date is the partition, and one bad record in a hundred is allowed unless said otherwise."""
    arguments = parse(_argv())
    assert arguments.load_date.isoformat() == "2026-11-23"
    assert (arguments.revision, arguments.quarantine_threshold) == (1, 0.01)
    assert parse(_argv(quarantine_threshold="0")).quarantine_threshold == 0
    assert parse(_argv(quarantine_threshold="1")).quarantine_threshold == 1
    last = parse(_argv(revision="9999", quarantine="gs://new-releases/quarantine/2026-11-23/9999/"))
    assert last.revision == 9999


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run_id", "2026-02-30"),
        ("run_id", "20261123"),
        ("run_id", "../../etc"),
        ("revision", "0"),
        ("revision", "-1"),
        ("revision", "10000"),
        ("revision", "1.5"),
        ("revision", "٣"),
        ("input", "gs://new-releases/raw/2026-11-23"),
        ("input", "gs://new-releases/raw/2026-11-16/"),
        ("input", "gs://new-releases/raw/*/2026-11-23/"),
        ("input", "/data/raw/2026-11-23/"),
        ("table", "music.new_releases"),
        ("table", "new-releases-local.music.new_releases$20261123"),
        ("temporary_bucket", "gs://new-releases"),
        ("result", "gs://new-releases/runs/2026-11-23/loads/"),
        ("quarantine", "gs://new-releases/raw/2026-11-23/"),
        ("quarantine", "gs://new-releases/quarantine/2026-11-23/0002/"),
        ("quarantine", "gs://new-releases/quarantine/2026-11-16/0001/"),
        ("quarantine_threshold", "1.1"),
        ("quarantine_threshold", "nan"),
        ("quarantine_threshold", "-0.1"),
        ("unknown", "x"),
    ],
)
def test_each_bad_argument_is_named(name: str, value: str) -> None:
    """A fault names its argument and shows what was given, before Spark does anything."""
    with pytest.raises(ArgumentError, match=f"--{name.replace('_', '-')}: ") as caught:
        parse(_argv(**{name: value}))
    assert name == "unknown" or f"got {value!r}" in str(caught.value)


def test_all_faults_are_reported_together() -> None:
    """Nobody should have to start a cluster once for each mistake."""
    with pytest.raises(ArgumentError) as caught:
        parse(["--run-id", "today", "--revision", "0", "--verbose"])
    named = {re.match("--([a-z-]+)", fault)[1] for fault in caught.value.faults}  # type: ignore[index]
    assert named == {"verbose", "run-id", "revision", "input", "table", "temporary-bucket", "result", "quarantine"}
    assert "--table: is missing; give the existing table, as project.dataset.table" in str(caught.value)


def test_an_argument_without_its_value_is_refused() -> None:
    """The last word of a cut-off command line is a fault like any other."""
    with pytest.raises(ArgumentError, match="--input: expected one argument"):
        parse(["--input"])
