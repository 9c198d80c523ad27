"""The Spark job's command line."""

import re

import pytest

from services.cluster_manager.adapters.dataproc import JobShape, job_arguments
from services.cluster_manager.ports import JobRequest
from spark_job.arguments import ArgumentError, Arguments, parse

BAD_RECORDS = (
    "give the folder for bad records, as gs://bucket/quarantine/2026-11-23/0001/, of the run and revision given"
)
DECISION = (
    "give the decision to load, as gs://bucket/runs/2026-11-23/decisions/0001.json, of the run and revision given"
)
GOOD = {
    "--input": "gs://new-releases/raw/2026-11-23/",
    "--run-id": "2026-11-23",
    "--revision": "1",
    "--decision": "gs://new-releases/runs/2026-11-23/decisions/0001.json",
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
    last = parse(
        _argv(
            revision="9999",
            decision="gs://new-releases/runs/2026-11-23/decisions/9999.json",
            quarantine="gs://new-releases/quarantine/2026-11-23/9999/",
        )
    )
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
        ("decision", "gs://new-releases/runs/2026-11-23/decisions/0002.json"),
        ("decision", "gs://new-releases/runs/2026-11-16/decisions/0001.json"),
        ("decision", "gs://new-releases/runs/2026-11-23/loads/0001.json"),
        ("decision", "runs/2026-11-23/decisions/0001.json"),
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
    assert named == {"verbose", *(name.removeprefix("--") for name in GOOD)}
    assert "--table: is missing; give the existing table, as project.dataset.table" in str(caught.value)


def test_an_argument_without_its_value_is_refused() -> None:
    """The last word of a cut-off command line is a fault like any other."""
    with pytest.raises(ArgumentError, match="--input: expected one argument"):
        parse(["--input"])


def test_every_argument_reaches_its_field() -> None:
    """Two folders in each other's place would load from the quarantine."""
    assert parse(_argv(quarantine_threshold="0.25")) == Arguments(
        input="gs://new-releases/raw/2026-11-23/",
        run_id="2026-11-23",
        revision=1,
        decision="gs://new-releases/runs/2026-11-23/decisions/0001.json",
        table="new-releases-local.music.new_releases",
        temporary_bucket="new-releases",
        result="gs://new-releases/runs/2026-11-23/loads/0001.json",
        quarantine="gs://new-releases/quarantine/2026-11-23/0001/",
        quarantine_threshold=0.25,
    )


def test_an_argument_is_written_in_full() -> None:
    """An abbreviation that fits today may fit two arguments tomorrow."""
    with pytest.raises(ArgumentError, match="--inp: is not an argument of this job"):
        parse(["--inp", "gs://new-releases/raw/2026-11-23/", *_argv()])


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        (
            "input",
            "gs://new-releases/raw/2026-11-16/",
            "give the folder with the run's parts, as gs://bucket/raw/2026-11-23/, of the run and revision given",
        ),
        (
            "quarantine",
            "gs://b/q/",
            BAD_RECORDS,
        ),
        (
            "decision",
            "gs://b/d.json",
            DECISION,
        ),
        ("table", "x", "give the existing table, as project.dataset.table"),
    ],
)
def test_a_fault_says_what_would_be_right(name: str, value: str, remedy: str) -> None:
    """The whole message, as the driver's log shows it: a heading, then a line for each fault."""
    with pytest.raises(ArgumentError) as caught:
        parse(_argv(**{name: value}))
    expected = f"the job was started with wrong arguments:\n  --{name}: got {value!r}; {remedy}"
    assert str(caught.value) == expected


def test_each_fault_has_its_own_line_and_nothing_is_said_of_what_is_missing_but_that() -> None:
    """An argument that was not given cannot be of another run."""
    with pytest.raises(ArgumentError) as caught:
        parse(_argv()[2:])
    fault = "--input: is missing; give the folder with the run's parts, as gs://bucket/raw/2026-11-23/"
    assert caught.value.faults == (fault,)
    with pytest.raises(ArgumentError) as caught:
        parse(_argv(revision="x", table="y"))
    lines, named = str(caught.value).split("\n"), ("revision", "decision", "table", "quarantine")
    assert [line.split(":")[0] for line in lines[1:]] == [f"  --{name}" for name in named]


def test_help_names_the_script_and_explains_each_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever starts the job by hand has nothing but this page."""
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("usage: main.py ")
    assert "number of the decision, from 1 to 9999" in shown


def test_the_error_stays_short_whatever_was_given() -> None:
    """The driver's output is read by people; a command line may have megabytes."""
    with pytest.raises(ArgumentError) as caught:
        parse([*_argv(table="x" * 100_000), *(f"--unknown-{number}" + "x" * 1000 for number in range(1000))])
    assert len(str(caught.value)) < 10_000


def test_the_cluster_manager_s_command_line_is_the_job_s() -> None:
    """Both ends in one place: the job of a decision is told that decision, and takes what it is told."""
    shape = JobShape(
        main_uri="gs://b-1/jobs/main.py",
        package_uri="gs://b-1/jobs/spark_job.zip",
        bucket="b-1",
        temporary_bucket="t-1",
        table="new-releases-local.music.new_releases",
        quarantine_threshold=0.25,
        properties={},
    )
    assert parse(job_arguments(JobRequest("2026-11-23", 12, 3, "cluster"), shape)) == Arguments(
        input="gs://b-1/raw/2026-11-23/",
        run_id="2026-11-23",
        revision=12,
        decision="gs://b-1/runs/2026-11-23/decisions/0012.json",
        table="new-releases-local.music.new_releases",
        temporary_bucket="t-1",
        result="gs://b-1/runs/2026-11-23/loads/0012.json",
        quarantine="gs://b-1/quarantine/2026-11-23/0012/",
        quarantine_threshold=0.25,
    )
