"""What Google's BigQuery connector asks of BigQuery for the job's options, and that the stand-in asks the same.

`bigquery_connector/one_day.json` holds what the connector for Spark 4.1 was seen to ask when it wrote one day of a
table, with made-up names. It asked the same without rows, where the one file held the columns alone; of a table that
is not there it asked no more than the first. How often it looks at a table or a job is left out.
"""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud.storage import Bucket
from pyspark.sql.types import ArrayType, BooleanType, DateType, LongType, StringType, StructField, StructType

from local.spark.data_source.pyspark_bigquery import DefaultSource, LoadError, UnsupportedError, Writer
from local.storage import Storage
from spark_job import sink
from spark_job.verdict import load_job_of

pytestmark = pytest.mark.emulator
RECORDED = json.loads((Path(__file__).parent / "bigquery_connector" / "one_day.json").read_text())
TABLE = "made-up.shop.sales"
COLUMNS = RECORDED[1]["body"]["configuration"]["load"]["schema"]["fields"]
SCHEMA = StructType(
    [
        StructField("market", StringType()),
        StructField("load_date", DateType()),
        StructField("pieces", LongType()),
        StructField("paid", BooleanType()),
        StructField("tags", ArrayType(StringType())),
    ]
)
ROWS = pa.RecordBatch.from_pylist(
    [{"market": "DK", "load_date": date(2030, 1, 2), "pieces": 3, "paid": True, "tags": ["a", "b"]}],
    pa.schema([("market", pa.string()), ("load_date", pa.date32()), ("pieces", pa.int64()), ("paid", pa.bool_()),
               ("tags", pa.list_(pa.string()))]),
)  # fmt: skip


class Recorder:
    """Answers as BigQuery would, and keeps what was asked and what lay in the bucket when it was."""

    def __init__(self, bucket: Bucket) -> None:
        self.requests: list[dict[str, Any]] = []
        self.loaded: list[pa.Table] = []
        self.table_is_there = True
        self.columns = COLUMNS
        self.problem: str | None = None
        self._bucket = bucket

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Keep a request and answer it."""
        told = unquote(urlsplit(path).path)
        self.requests.append({"method": method, "path": told} | ({"body": body} if body else {}))
        if "/tables/" in told:
            reference = {"projectId": "made-up", "datasetId": "shop", "tableId": told.rpartition("/")[2]}
            found = {"tableReference": reference, "schema": {"fields": self.columns}, "type": "TABLE"}
            return (200, found) if self.table_is_there else (404, {"error": {"code": 404, "message": "Not found"}})
        for address in body["configuration"]["load"]["sourceUris"]:
            blob = self._bucket.blob(address.removeprefix(f"gs://{self._bucket.name}/"))
            self.loaded.append(pq.read_table(pa.BufferReader(blob.download_as_bytes())))
        fault = {"errorResult": {"reason": "invalid", "message": self.problem}} if self.problem else {}
        return 200, {**body, "status": {"state": "DONE", **fault}, "statistics": {"load": {"outputBytes": "0"}}}


@pytest.fixture
def bucket(storage: Storage) -> Iterator[Bucket]:
    """The temporary bucket."""
    storage.ensure_bucket("made-up", "made-up")
    client = storage.client("made-up")
    yield client.bucket("made-up")
    client.close()


@pytest.fixture
def asked(bucket: Bucket, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """BigQuery, recorded."""
    recorder = Recorder(bucket)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, told = recorder.answer(self.command, self.path, json.loads(content) if content else None)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 -- http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's signature
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
    yield recorder
    server.shutdown()
    thread.join()
    server.server_close()


def writer() -> Writer:
    """The stand-in's, with the job's own options as Spark hands them over."""
    options = sink.options(load_date=date(2030, 1, 2), revision=3, temporary_bucket="made-up") | {"path": TABLE}
    return DefaultSource({name.lower(): value for name, value in options.items()}).writer(SCHEMA, overwrite=True)


def plain(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Requests without what is made up for each: of a folder, a file and a job.

    Without labels, too: those who recorded the connector gave it none.
    """
    text = re.sub(
        r"\.spark-bigquery-[^/\"]+/part-[^\"]+?\.snappy",
        ".spark-bigquery-FOLDER/part-FILE.snappy",
        json.dumps(requests),
    )
    told = json.loads(re.sub(r'("jobId": )"[^"]+"', r'\1"JOB"', text))
    for request in told:
        request.get("body", {}).get("configuration", {}).pop("labels", None)
    return [request for request, _ in itertools.groupby(told)]


def test_one_day_is_written_by_the_requests_of_the_connector(asked: Recorder, bucket: Bucket) -> None:
    """One load job, of exactly this body, into the day and never the table; what it loads is removed afterwards.

    Without the day's name the same job would replace the whole table.
    """
    given = writer()
    given.commit([given.write(iter([ROWS]))])
    assert plain(asked.requests) == RECORDED
    assert [table.to_pylist() for table in asked.loaded] == [ROWS.to_pylist()]
    assert list(bucket.list_blobs()) == []


def test_the_load_job_is_found_by_its_run_and_revision(asked: Recorder) -> None:
    """Its id is drawn anew for each; a load that goes on without its driver could not be told from others."""
    given = writer()
    given.commit([given.write(iter([ROWS]))])
    assert asked.requests[-1]["body"]["configuration"]["labels"] == {"run": "2030-01-02", "revision": "3"}


def test_no_rows_are_one_file_with_the_columns_alone(asked: Recorder) -> None:
    """The load runs all the same, and empties the day."""
    given = writer()
    given.commit([given.write(iter([]))])
    assert plain(asked.requests) == RECORDED
    assert [(table.num_rows, table.column_names) for table in asked.loaded] == [(0, SCHEMA.names)]


def test_a_table_that_is_not_there_gets_no_job(asked: Recorder) -> None:
    """Nothing is created under a misspelt name."""
    asked.table_is_there = False
    with pytest.raises(UnsupportedError, match=f"CREATE_NEVER, and the table {TABLE} does not exist"):
        writer()
    assert plain(asked.requests) == RECORDED[:1]


def test_a_table_that_lacks_a_column_gets_no_job(asked: Recorder) -> None:
    """The job never changes the table: a column is Terraform's to add first, and until then nothing is loaded."""
    asked.columns = [column for column in COLUMNS if column["name"] != "paid"]
    with pytest.raises(UnsupportedError, match=f"{TABLE} has no column paid"):
        writer()
    assert plain(asked.requests) == RECORDED[:1]
    assert "schemaUpdateOptions" not in json.dumps(RECORDED)


def test_a_refused_load_leaves_no_file(asked: Recorder, bucket: Bucket) -> None:
    """The reason is BigQuery's, and the folder is removed as after a load."""
    asked.problem = "Some rows belong to different partitions"
    given = writer()
    with pytest.raises(LoadError, match="Some rows belong") as refused:
        given.commit([given.write(iter([ROWS]))])
    assert load_job_of(str(refused.value)) == asked.requests[-1]["body"]["jobReference"]["jobId"]
    assert asked.loaded != []
    assert list(bucket.list_blobs()) == []


def test_a_write_that_is_given_up_leaves_no_file(asked: Recorder, bucket: Bucket) -> None:
    """A task failed: what others wrote is removed, and nothing was asked."""
    given = writer()
    given.write(iter([ROWS]))
    given.abort([])
    assert list(bucket.list_blobs()) == []
    assert plain(asked.requests) == RECORDED[:1]
