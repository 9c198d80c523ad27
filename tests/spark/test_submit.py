"""The job as it is shipped, run by spark-submit as on a cluster: one file and one zip from the bucket."""

import http.client
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from pyspark.sql import SparkSession

from contracts.documents import LoadResult
from local.bigquery import BigQuery
from local.spark.submit import Command
from spark_job.arguments import Arguments
from spark_job.job import run
from tests.spark.bucket import PROJECT, Bucket
from tests.spark.conftest import Warehouse, argument_list
from tests.spark.reference import RUN, album, decide, record, rows_of, sortable, write_part

pytestmark = pytest.mark.spark
Shipped = Callable[[Sequence[str], str], Command]


def _finish(command: Command) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command.argv, env=command.env, capture_output=True, text=True, check=False, timeout=200)


def test_the_shipped_job_loads_and_its_documents_are_objects(
    shipped: Shipped, bucket: Bucket, bigquery: BigQuery, warehouse: Warehouse, arguments: object
) -> None:
    """From parts to rows through spark-submit; what the job wrote are objects, and nothing lies beside them."""
    good = [record(album(name, "t1", "t2", "t3")) for name in "ab"]
    write_part(bucket, "DK", [*good, b"bad"])
    write_part(bucket, "SE", [record(album("a", "t1"), market="SE")])

    decision = decide(bucket)
    done = _finish(shipped(argument_list(RUN, 1, warehouse.name, "0.5"), bigquery.url))

    assert done.returncode == 0, done.stdout
    loaded = [*good, record(album("a", "t1"), market="SE")]
    assert sortable(warehouse.rows()) == sortable(row for line in loaded for row in rows_of(line))
    result = json.loads(bucket.read(f"runs/{RUN}/loads/0001.json"))
    assert (result["rows"], result["files"], result["albums"], result["quarantined"]) == (7, 2, 3, 1)
    [kept] = bucket.names(f"quarantine/{RUN}/")
    assert json.loads(bucket.read(kept)) == {
        "reason": "is not JSON",
        "file": "DK.jsonl.gz",
        "line": 3,
        "record": "bad",
    }
    # No checksum files, no markers, no temporary folders.
    assert bucket.names("runs/") == [decision, f"runs/{RUN}/loads/0001.json"]


def test_a_failed_load_fails_the_job(
    shipped: Shipped, bucket: Bucket, bigquery: BigQuery, arguments: object
) -> None:
    """A table that is not there ends in an exit code other than 0 and in a result that says why."""
    write_part(bucket, "DK", [record(album("a", "t"))])
    decide(bucket)
    done = _finish(shipped(argument_list(RUN, 1, f"{PROJECT}.music.nowhere"), bigquery.url))
    assert done.returncode == 1
    result = LoadResult.model_validate_json(bucket.read(f"runs/{RUN}/loads/0001.json"))
    assert (result.loaded, result.rows) == (False, 1)
    assert "music.nowhere" in (result.error or "")
    # The last line of the driver's output, which an operator sees first, is the reason.
    assert f"ERROR spark_job: {result.error}" in (done.stdout + done.stderr).splitlines()


def test_a_job_killed_before_its_commit_leaves_the_old_rows(
    spark: SparkSession,
    shipped: Shipped,
    bucket: Bucket,
    bigquery: BigQuery,
    warehouse: Warehouse,
    arguments: Callable[..., Arguments],
) -> None:
    """Killed with all rows in the bucket and the load job asked for: the old rows; run again: the new."""
    write_part(bucket, "DK", [record(album("old", "t"))])
    run(spark, arguments())
    write_part(bucket, "DK", [record(album("new", "t1", "t2"))])
    decide(bucket, revision=2)

    with _holding("WRITE_TRUNCATE", bigquery.url) as (url, held):
        command = shipped(argument_list(RUN, 2, warehouse.name), url)
        with subprocess.Popen(
            command.argv,
            env=command.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            assert held.wait(timeout=200)
            assert bucket.names(".spark-bigquery-") != []
            os.killpg(process.pid, signal.SIGKILL)

    assert [row["album_id"] for row in warehouse.rows()] == ["old"]
    assert bucket.names(f"runs/{RUN}/loads/0002") == []

    run(spark, arguments(revision=2))
    assert [row["album_id"] for row in warehouse.rows()] == ["new", "new"]


@contextmanager
def _holding(word: str, url: str) -> Iterator[tuple[str, threading.Event]]:
    """A proxy of the emulator that never passes a request on whose body has this word, and says when it came."""
    held, done = threading.Event(), threading.Event()
    upstream = urlsplit(url).netloc

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if word.encode() in body:
                held.set()
                done.wait()
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(upstream, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "content-length", "date", "server", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 -- http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's signature
            """Nothing: the test's own output is enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", held
    finally:
        done.set()
        server.shutdown()
        thread.join()
        server.server_close()
