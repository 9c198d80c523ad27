"""One Spark session on the local stack's settings, and the bucket and tables that the job reads and writes."""

import gc
import os
import subprocess
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from local import tools
from local.bigquery import BigQuery
from local.spark import class_archive, connectors, submit
from local.storage import Storage
from spark_job import package
from spark_job.arguments import Arguments, parse
from tests.spark.bucket import PROJECT, Bucket
from tests.spark.reference import RUN, Row, decide

BUCKET = "spark-tests"
SCHEMA = tools.ROOT / "infra/bigquery/new_releases.schema.json"


@pytest.fixture(scope="session")
def bucket(storage: Storage) -> Iterator[Bucket]:
    """The bucket of parts, decisions, results and bad records."""
    with Bucket(storage, BUCKET) as opened:
        yield opened


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of the session's Python workers, theirs alone."""
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="session")
def spark(java: tools.Java, storage: Storage, bigquery: BigQuery, temporary: Path) -> Iterator[SparkSession]:
    """A session with the settings of a submitted job; its workers find the stand-in for the connector."""
    found = connectors.found(java.home, os.environ)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in submit.worker_environment(bigquery.url, storage.url, os.environ["PATH"]).items():
            patch.setenv(name, value)
        patch.setenv("JAVA_HOME", str(java.home))
        patch.setenv("TMPDIR", str(temporary))
        builder = SparkSession.builder.appName("tests")
        archive = class_archive.existing(java.home, found)
        settings = submit.properties(found, storage.url, archive) | submit.bigquery_properties(bigquery.url)
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()
        _end_java()
        _collect_sockets()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """PySpark leaves the sockets of collected results to the garbage collector; that is not our leak to fail on."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say through what the rows went, since both pass the same tests."""
    google = (connectors.FOLDER / connectors.BIGQUERY.file).is_file()
    written = f"{connectors.BIGQUERY.title} {connectors.BIGQUERY.revision}" if google else "the stand-in for it"
    terminalreporter.write_line(f"Spark wrote to BigQuery through {written}.")


@pytest.fixture(autouse=True)
def _own_garbage() -> Iterator[None]:
    """Those sockets are collected here and not in a later test that has nothing to do with Spark."""
    yield
    _collect_sockets()


def _collect_sockets() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        gc.collect()


def _end_java() -> None:
    """Py4J leaves the JVM to the interpreter's end; its pipe would then be reported as not closed."""
    gateway: Any = SparkContext._gateway
    process: subprocess.Popen[bytes] = gateway.proc
    gateway.shutdown()
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=30)
    SparkContext._gateway = SparkContext._jvm = None


class Warehouse:
    """A table of a test's own, in BigQuery's emulator."""

    def __init__(self, emulator: BigQuery) -> None:
        self.name = f"{PROJECT}.music.t_{uuid.uuid4().hex}"
        self._emulator = emulator
        _, dataset, table = self.name.split(".")
        emulator.ensure_table(PROJECT, dataset, table, schema=SCHEMA)

    def rows(self, where: str = "TRUE") -> list[Row]:
        """The table's rows, read with BigQuery's own client."""
        return self.query(f"SELECT * FROM `{self.name}` WHERE {where}")  # noqa: S608 -- a name made here

    def query(self, text: str) -> list[Row]:
        """Run a query."""
        client = self._emulator.client(PROJECT)
        try:
            return [dict(row.items()) for row in client.query(text).result()]
        finally:
            client.close()


@pytest.fixture
def warehouse(bigquery: BigQuery) -> Warehouse:
    """A table of the test's own."""
    return Warehouse(bigquery)


@pytest.fixture
def arguments(warehouse: Warehouse, bucket: Bucket) -> Callable[..., Arguments]:
    """Arguments as the cluster manager would give them, with a decision for what lies in the folder (`decide`).

    The folders of the bucket start empty.
    """
    for folder in ("raw/", "quarantine/", "runs/"):
        bucket.empty(folder)

    def give(
        *,
        run_id: str = RUN,
        revision: int = 1,
        table: str = warehouse.name,
        threshold: str = "0.01",
        **decided: Any,
    ) -> Arguments:
        decide(bucket, run_id=run_id, revision=revision, **decided)
        return parse(argument_list(run_id, revision, table, threshold))

    return give


def argument_list(run_id: str, revision: int, table: str, threshold: str = "0.01") -> list[str]:
    """The job's command line."""
    given = {
        "input": f"gs://{BUCKET}/raw/{run_id}/",
        "run-id": run_id,
        "revision": str(revision),
        "decision": f"gs://{BUCKET}/runs/{run_id}/decisions/{revision:04}.json",
        "table": table,
        "temporary-bucket": BUCKET,
        "result": f"gs://{BUCKET}/runs/{run_id}/loads/{revision:04}.json",
        "quarantine": f"gs://{BUCKET}/quarantine/{run_id}/{revision:04}/",
        "quarantine-threshold": threshold,
    }
    return [text for name, value in given.items() for text in (f"--{name}", value)]


@pytest.fixture
def shipped(java: tools.Java, storage: Storage, tmp_path: Path) -> Callable[[Sequence[str], str], submit.Command]:
    """The command line for the job as it is shipped: one file and one zip."""
    main, archive = package.build(tmp_path / "jobs")
    found = connectors.found(java.home, os.environ)

    def give(args: Sequence[str], bigquery_host: str) -> submit.Command:
        submission = submit.Submission(
            java_home=java.home,
            connectors=found,
            class_archive=class_archive.existing(java.home, found),
            storage_emulator_host=storage.url,
            bigquery_emulator_host=bigquery_host,
            main_python_file=main,
            python_files=[archive],
            args=args,
        )
        # A killed job leaves its temporary folder behind, so that has to be the test's own.
        return submit.command(submission, {**os.environ, "TMPDIR": str(tmp_path)})

    return give
