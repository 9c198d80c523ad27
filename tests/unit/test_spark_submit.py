"""The command line with which the local stack runs a PySpark job."""

import itertools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.spark import class_archive
from local.spark.submit import Submission, command, recording


def _submission(root: Path, **changes: object) -> Submission:
    given: dict[str, object] = {
        "java_home": Path("/java"),
        "storage_root": root,
        "bucket": "new-releases",
        "bigquery_emulator_host": "http://127.0.0.1:9050",
        "main_python_file_uri": "gs://new-releases/jobs/main.py",
        "python_file_uris": ["gs://new-releases/jobs/spark_job.zip"],
        "args": ["--run-id", "2026-11-23"],
    }
    return Submission(**(given | changes))  # type: ignore[arg-type]


def _settings(argv: tuple[str, ...]) -> dict[str, str]:
    pairs = (text.partition("=") for flag, text in itertools.pairwise(argv) if flag == "--conf")
    return {name: value for name, _, value in pairs}


def test_the_job_is_worded_for_spark_submit(tmp_path: Path) -> None:
    """The bucket's files, then the job's own arguments untouched, and `gs://` mapped to the bucket's folder."""
    made = command(_submission(tmp_path), {})
    assert made.argv[0].endswith("/bin/spark-submit")
    jobs = tmp_path / "new-releases/jobs"
    files = ("--py-files", (jobs / "spark_job.zip").as_uri(), (jobs / "main.py").as_uri())
    assert made.argv[-5:] == (*files, "--run-id", "2026-11-23")
    link = _settings(made.argv)["spark.hadoop.fs.viewfs.mounttable.new-releases.linkFallback"]
    assert link == (tmp_path / "new-releases").as_uri()


def test_a_job_sees_no_more_of_the_environment_than_it_needs(tmp_path: Path) -> None:
    """Settings and secrets of the caller do not reach the job; the emulator's address and the data source do."""
    caller = {"PATH": "/bin", "HOME": "/home/x", "SPOTIFY_CLIENT_SECRET": "s", "PYTHONPATH": "/clone"}
    env = command(_submission(tmp_path), caller).env
    assert {"SPOTIFY_CLIENT_SECRET"} & env.keys() == set()
    assert (env["PATH"], env["JAVA_HOME"]) == (f"{Path(sys.executable).parent}:/bin", "/java")
    assert shutil.which(env["PYSPARK_PYTHON"], path=env["PATH"]) == sys.executable
    assert env["BIGQUERY_EMULATOR_HOST"] == "http://127.0.0.1:9050"
    assert (Path(env["PYTHONPATH"]) / "pyspark_bigquery" / "__init__.py").is_file()
    assert "/clone" not in env["PYTHONPATH"].split(":")


def test_the_job_s_properties_win(tmp_path: Path) -> None:
    """What the cluster manager asks for is what Spark gets."""
    asked = {"spark.master": "local[1]", "spark.x": "y"}
    settings = _settings(command(_submission(tmp_path, properties=asked), {}).argv)
    assert settings.items() >= asked.items()


def test_a_class_archive_is_recorded_and_used(tmp_path: Path) -> None:
    """The archive that one run writes is the one that later runs start from."""
    archive = tmp_path / "spark.jsa"
    assert f"-XX:ArchiveClassesAtExit={archive}" in recording(archive)["spark.driver.extraJavaOptions"]
    settings = _settings(command(_submission(tmp_path, class_archive=archive), {}).argv)
    assert settings["spark.driver.extraJavaOptions"].endswith(f"-XX:SharedArchiveFile={archive}")
    assert "SharedArchiveFile" not in str(command(_submission(tmp_path), {}).argv)


def test_no_letter_of_a_path_ends_a_word_of_the_command(tmp_path: Path) -> None:
    """Spark splits Java's options and asks a shell for Python; a clone's folder may have blanks and quotes."""
    odd = tmp_path / 'Bjørn\'s "R&D" #1 100%20'
    settings = _settings(command(_submission(odd, class_archive=odd / "spark.jsa"), {}).argv)
    for options, name in ((settings, "SharedArchiveFile"), (recording(odd / "spark.jsa"), "ArchiveClassesAtExit")):
        assert f"-XX:{name}={odd}/spark.jsa" in shlex.split(options["spark.driver.extraJavaOptions"])
    made = command(_submission(odd), {})
    assert (
        made.argv[-3]
        == f"file://{tmp_path}/Bj%C3%B8rn%27s%20%22R%26D%22%20%231%20100%2520/new-releases/jobs/main.py"
    )
    assert "/" not in made.env["PYSPARK_PYTHON"]
    assert made.env["LC_ALL"] == "C.UTF-8"


@pytest.mark.parametrize("uri", ["gs://other/jobs/main.py", "jobs/main.py", "gs://new-releases/../../etc/passwd"])
def test_files_outside_the_bucket_are_refused(tmp_path: Path, uri: str) -> None:
    """A job is started from the bucket or not at all."""
    with pytest.raises(ValueError, match="is not an object of the local bucket"):
        command(_submission(tmp_path, main_python_file_uri=uri), {})


def test_an_archive_is_of_one_java_and_one_spark(tmp_path: Path) -> None:
    """Another Java or Spark, or the same installed again, has its own; without one a job starts all the same."""
    java, folder = tmp_path / "java", tmp_path / "archives"
    java.mkdir()
    names = {class_archive.archive_of(java, folder)}
    (java / "release").write_text('JAVA_VERSION="17.0.15"')
    mine = class_archive.archive_of(java, folder)
    names |= {mine, class_archive.archive_of(tmp_path / "other", folder)}
    jar = tmp_path / "jars" / "spark.jar"
    jar.parent.mkdir()
    for when in (1, 2):  # the same jar, installed twice
        jar.touch()
        os.utime(jar, (when, when))
        names.add(class_archive.archive_of(java, folder, jar.parent))
    assert len(names) == 5
    assert class_archive.existing(java, folder) is None
    folder.mkdir()
    mine.touch()
    assert class_archive.existing(java, folder) == mine


def test_a_recording_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Half an archive would be used by every later job; where Java does not run there is none."""
    with pytest.raises(subprocess.SubprocessError):
        class_archive.record(tmp_path / "no-java", {"PATH": "/usr/bin:/bin"}, tmp_path / "archives")
    assert list((tmp_path / "archives").iterdir()) == []
