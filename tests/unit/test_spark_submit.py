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
from local.spark.connectors import Connectors
from local.spark.submit import Submission, command, recording


def _submission(root: Path, **changes: object) -> Submission:
    given: dict[str, object] = {
        "java_home": Path("/java"),
        "connectors": Connectors(root / "gcs.jar"),
        "storage_emulator_host": "http://127.0.0.1:4443",
        "bigquery_emulator_host": "http://127.0.0.1:9050",
        "main_python_file": root / "main.py",
        "python_files": [root / "spark_job.zip"],
        "args": ["--run-id", "2026-11-23"],
    }
    return Submission(**(given | changes))  # type: ignore[arg-type]


def _settings(argv: tuple[str, ...]) -> dict[str, str]:
    pairs = (text.partition("=") for flag, text in itertools.pairwise(argv) if flag == "--conf")
    return {name: value for name, _, value in pairs}


def test_the_job_is_worded_for_spark_submit(tmp_path: Path) -> None:
    """The job's files, then its own arguments untouched, and `gs://` through Google's connector to the emulator."""
    made = command(_submission(tmp_path), {})
    assert made.argv[0].endswith("/bin/spark-submit")
    files = ("--py-files", (tmp_path / "spark_job.zip").as_uri(), (tmp_path / "main.py").as_uri())
    assert made.argv[-5:] == (*files, "--run-id", "2026-11-23")
    settings = _settings(made.argv)
    assert settings["spark.hadoop.fs.gs.impl"].endswith(".GoogleHadoopFileSystem")
    assert settings["spark.hadoop.fs.gs.storage.root.url"] == "http://127.0.0.1:4443/"
    assert settings["spark.driver.extraClassPath"] == f"{tmp_path}/gcs.jar"


def test_bigquery_s_own_connector_is_on_the_class_path_where_it_is_there(tmp_path: Path) -> None:
    """Both jars, Cloud Storage's first, so that an archive recorded without the other still fits the beginning."""
    both = Connectors(tmp_path / "gcs.jar", tmp_path / "bigquery.jar")
    settings = _settings(command(_submission(tmp_path, connectors=both), {}).argv)
    assert settings["spark.driver.extraClassPath"] == f"{tmp_path}/gcs.jar:{tmp_path}/bigquery.jar"
    assert settings["spark.datasource.bigquery.bigQueryHttpEndpoint"] == "http://127.0.0.1:9050"


def test_a_job_sees_no_more_of_the_environment_than_it_needs(tmp_path: Path) -> None:
    """Settings and secrets of the caller do not reach the job; the emulator's address and the data source do."""
    caller = {"PATH": "/bin", "HOME": "/home/x", "SPOTIFY_CLIENT_SECRET": "s", "PYTHONPATH": "/clone"}
    env = command(_submission(tmp_path), caller).env
    assert {"SPOTIFY_CLIENT_SECRET"} & env.keys() == set()
    assert (env["PATH"], env["JAVA_HOME"]) == (f"{Path(sys.executable).parent}:/bin", "/java")
    assert shutil.which(env["PYSPARK_PYTHON"], path=env["PATH"]) == sys.executable
    assert env["BIGQUERY_EMULATOR_HOST"] == "http://127.0.0.1:9050"
    assert env["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:4443"
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
    assert made.argv[-3] == f"file://{tmp_path}/Bj%C3%B8rn%27s%20%22R%26D%22%20%231%20100%2520/main.py"
    assert "/" not in made.env["PYSPARK_PYTHON"]
    assert made.env["LC_ALL"] == "C.UTF-8"


def test_an_archive_is_of_one_java_one_spark_and_its_connectors(tmp_path: Path) -> None:
    """Another of them, or the same installed again, has its own archive; without one a job starts all the same."""
    java, folder = tmp_path / "java", tmp_path / "archives"
    java.mkdir()
    found = Connectors(tmp_path / "gcs.jar")
    found.storage.touch()
    names = {class_archive.archive_of(java, found, folder)}
    (java / "release").write_text('JAVA_VERSION="17.0.15"')
    mine = class_archive.archive_of(java, found, folder)
    names |= {mine, class_archive.archive_of(tmp_path / "other", found, folder)}
    jar = tmp_path / "jars" / "spark.jar"
    jar.parent.mkdir()
    for when in (1, 2):  # the same jar, installed twice
        jar.touch()
        os.utime(jar, (when, when))
        names.add(class_archive.archive_of(java, found, folder, jar.parent))
    names.add(class_archive.archive_of(java, Connectors(found.storage, jar), folder))
    found.storage.write_text("another")
    names.add(class_archive.archive_of(java, found, folder))
    assert len(names) == 7
    found.storage.write_text("")
    os.utime(found.storage, (3, 3))
    mine = class_archive.archive_of(java, found, folder)
    assert class_archive.existing(java, found, folder) is None
    folder.mkdir()
    mine.touch()
    assert class_archive.existing(java, found, folder) == mine


def test_a_recording_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Half an archive would be used by every later job; where Java does not run there is none."""
    jar = tmp_path / "gcs.jar"
    jar.touch()
    with pytest.raises(subprocess.SubprocessError):
        class_archive.record(
            tmp_path / "no-java", Connectors(jar), {"PATH": "/usr/bin:/bin"}, tmp_path / "archives"
        )
    assert list((tmp_path / "archives").iterdir()) == []
