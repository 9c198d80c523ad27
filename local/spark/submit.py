"""The command line and environment with which the local stack runs a PySpark job; pure, nothing is started here.

It stands where a Dataproc cluster's configuration stands in the cloud: the job is the same file and the same zip.
`gs://` goes through Google's own Cloud Storage connector, the one of Dataproc's image, to the emulator;
`.format("bigquery")` to Google's BigQuery connector where its jar is there, else to the module `pyspark_bigquery`.
Not imitated: YARN, executors of their own, the image's libraries (pyspark and pyarrow are those of the environment
this runs in).

What the emulator lacks of Cloud Storage is said to the connector: it has no move, so a rename is a copy and a delete,
and no folders beside those in names.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyspark

from local.spark.connectors import Connectors

DATA_SOURCE: Final = Path(__file__).resolve().parent / "data_source"
"""On PYTHONPATH it makes `pyspark_bigquery` importable at top level."""

LOOPBACK: Final = "127.0.0.1"
_PATH: Final = "/usr/bin:/bin"
_JAVA_OPTIONS: Final = "spark.driver.extraJavaOptions"
_INHERITED: Final = ("HOME", "TMPDIR", "no_proxy", "NO_PROXY")
_UTF8: Final = "C.UTF-8"  # without it Java finds no file whose path has a letter beyond ASCII
# The JVM lives for seconds: the second compiler would not earn back its time, nor would a parallel collector.
_SHORT_LIVED: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A PySpark job as Dataproc's API words it, and the local stack it runs on."""

    java_home: Path
    connectors: Connectors
    storage_emulator_host: str
    """`http://127.0.0.1:P`, as the next."""
    bigquery_emulator_host: str
    main_python_file: Path
    """As it was fetched from the bucket: spark-submit would take six seconds and more for that."""
    python_files: Sequence[Path] = ()
    args: Sequence[str] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    """The job's own; they win over those of the local stack."""
    class_archive: Path | None = None
    """A class archive of an earlier run (`recording`), which saves a quarter of the processor time."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: the argument list, and the whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str]


def command(submission: Submission, environment: Mapping[str, str]) -> Command:
    """Word the command line. `environment` is the caller's, of which little is kept."""
    settings = properties(submission.connectors, submission.storage_emulator_host, submission.class_archive)
    settings |= bigquery_properties(submission.bigquery_emulator_host) | dict(submission.properties)
    argv = [str(_home() / "bin" / "spark-submit")]
    for name, value in sorted(settings.items()):
        argv += ["--conf", f"{name}={value}"]
    files = [_address(file) for file in submission.python_files]
    if files:
        argv += ["--py-files", ",".join(files)]
    argv += [_address(submission.main_python_file), *submission.args]
    return Command(tuple(argv), _environment(submission, environment))


def properties(
    connectors: Connectors, storage_emulator_host: str, class_archive: Path | None = None
) -> dict[str, str]:
    """Spark's settings on the local stack: two cores, nothing listening but on loopback, `gs://` at the emulator."""
    archived = f" {shlex.quote(f'-XX:SharedArchiveFile={class_archive}')}" if class_archive is not None else ""
    return {
        "spark.master": "local[2]",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": "1g",
        # Not spark.jars, which are copied and loaded apart: three seconds of processor time a job.
        "spark.driver.extraClassPath": ":".join(map(str, connectors.jars)),
        _JAVA_OPTIONS: f"{_SHORT_LIVED}{archived}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
        "spark.hadoop.fs.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem",
        "spark.hadoop.fs.gs.storage.root.url": f"{storage_emulator_host}/",
        "spark.hadoop.fs.gs.auth.type": "UNAUTHENTICATED",
        "spark.hadoop.fs.gs.project.id": "local",
        "spark.hadoop.fs.gs.operation.move.enable": "false",
        "spark.hadoop.fs.gs.hierarchical.namespace.folders.enable": "false",
    }


def bigquery_properties(emulator_host: str) -> dict[str, str]:
    """What Google's BigQuery connector must know to ask the emulator; the stand-in does not look at it."""
    prefix = "spark.datasource.bigquery"
    return {f"{prefix}.bigQueryHttpEndpoint": emulator_host, f"{prefix}.gcpAccessToken": "local"}


def recording(archive: Path) -> dict[str, str]:
    """Properties of a job that writes a class archive (about 160 MB) when its JVM ends, for later submissions.

    The JVM ignores an archive of another Java or another Spark. Source: JEP 350, dynamic archives.
    """
    written = shlex.quote(f"-XX:ArchiveClassesAtExit={archive}")
    return {_JAVA_OPTIONS: f"{_SHORT_LIVED} {written} -Xlog:cds=off -Xlog:cds+dynamic=off"}


def worker_environment(bigquery_emulator_host: str, storage_emulator_host: str, path: str) -> dict[str, str]:
    """What the Python workers need to find and to serve `.format("bigquery")`; `path` is the caller's PATH.

    Python is named without its folder and found on PATH: before it looks for data sources, Spark asks a shell whether
    there is such a command, and does not quote it.
    """
    python = Path(sys.executable)
    return {
        "PATH": f"{python.parent}:{path}",
        "PYSPARK_PYTHON": python.name,
        "PYTHONPATH": str(DATA_SOURCE),
        "SPARK_LOCAL_IP": LOOPBACK,
        "BIGQUERY_EMULATOR_HOST": bigquery_emulator_host,
        "STORAGE_EMULATOR_HOST": storage_emulator_host,
    }


def _address(file: Path) -> str:
    """The file as an address: in a path Spark would take `#` and `%20` for parts of one."""
    return file.resolve().as_uri()


def _environment(submission: Submission, environment: Mapping[str, str]) -> dict[str, str]:
    return {
        **{name: environment[name] for name in _INHERITED if name in environment},
        **worker_environment(
            submission.bigquery_emulator_host, submission.storage_emulator_host, environment.get("PATH", _PATH)
        ),
        "JAVA_HOME": str(submission.java_home),
        "SPARK_HOME": str(_home()),
        "LC_ALL": _UTF8,
        # spark-submit first starts a small JVM that words the command line of the large one.
        "SPARK_LAUNCHER_OPTS": _SHORT_LIVED,
    }


def _home() -> Path:
    return Path(pyspark.__file__).parent
