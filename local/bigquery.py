"""bqemulator as a child process in its own environment, what it lacks in front of it, and the tables and views in it.

The emulator wants DuckDB's `spatial` extension and would fetch it when it starts; here it is installed from the
environment's wheel into a home folder inside that environment, so nothing is fetched and nothing outside the
clone is touched. Everybody asks the proxy (`local.bigquery_proxy`), which knows more of BigQuery than the emulator.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local.processes import LOOPBACK, Child, Supervisor, answers
from local.tools import ROOT, ToolError

_START = 60.0  # seconds; about 1 alone, 5 while everything else starts on two cores
_IMPORT_SPATIAL = 'import duckdb_extensions; duckdb_extensions.import_extension("spatial")'


class DataError(RuntimeError):
    """The data are those of another version; says what to do."""


class BigQuery:
    """A running emulator with its proxy: `url` is what BIGQUERY_EMULATOR_HOST wants."""

    def __init__(self, child: Child, proxy: Child, port: int) -> None:
        self.children = (child, proxy)
        self.url = f"http://{LOOPBACK}:{port}"

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        *,
        python: Path,
        data: Path,
        environment: Mapping[str, str],
        bucket_root: Path | None = None,
        port: int | None = None,
    ) -> "BigQuery":
        """Start on this folder; with `bucket_root`, load jobs read gs:// from the fake storage's files."""
        home = python.parent.parent / "home"
        prepare(python, home, environment)
        data.mkdir(parents=True, exist_ok=True)
        settings = {
            "HOME": str(home),
            "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",  # Avro is not used, and DuckDB would fetch it from the web
            "BQEMU_QUERY_CACHE_TTL_SECONDS": "0",  # counts are asked anew after each load
            "BQEMU_UPLOAD_STAGING_DIR": str(_uploads()),
        }
        if bucket_root is not None:
            settings["BQEMU_GCS_LOCAL_ROOT"] = str(bucket_root)
        command: list[str | Path] = [python, "-m", "bqemulator", "start", "--persistent", "--data-dir", data]
        own, port = supervisor.ports.take(), port or supervisor.ports.take()
        command += ["--rest-port", str(own), "--grpc-port", "0", "--log-format", "json"]
        child = supervisor.start("bigquery", command, {**environment, **settings})
        before: list[str | Path] = [sys.executable, "-m", "local.bigquery_proxy", "--port", str(port)]
        before += ["--emulator", f"http://{LOOPBACK}:{own}"]
        if bucket_root is not None:
            before += ["--buckets", _plainly_named(bucket_root)]
        return cls(child, supervisor.start("bigquery_proxy", before, environment, cwd=ROOT), port)

    def wait(self) -> None:
        """Wait until it serves."""
        child, proxy = self.children
        serves = answers(f"{self.url}/bigquery/v2/projects/any/datasets")

        def ready() -> bool | None:
            child.check()
            return serves()

        proxy.wait_until(ready, within=_START)

    def client(self, project: str) -> bigquery.Client:
        """A client of this emulator, whatever the environment says."""
        return bigquery.Client(
            project=project,
            credentials=AnonymousCredentials(),
            client_options=ClientOptions(api_endpoint=self.url),
        )

    def ensure_table(self, project: str, dataset: str, table: str, *, schema: Path) -> None:
        """Create the dataset and the table unless there: partitioned by load_date, clustered by market.

        Raises:
            DataError: the table that is there has other columns.
        """
        client = self.client(project)
        client.create_dataset(dataset, exists_ok=True)
        wanted = bigquery.Table(f"{project}.{dataset}.{table}", schema=_fields(schema))
        wanted.time_partitioning = bigquery.TimePartitioning(field="load_date")
        wanted.clustering_fields = ["market"]
        there = client.create_table(wanted, exists_ok=True)
        client.close()
        if changed := sorted(_columns(there) ^ _columns(wanted)):
            raise DataError(
                f"table {table} in this data folder is of another version: it and {schema.name} differ in "
                f"{', '.join(dict.fromkeys(name for name, _ in changed))}. Remove the folder, or choose another with "
                "STACK_DATA"
            )

    def ensure_views(self, project: str, dataset: str, table: str, *, folder: Path) -> None:
        """Create the views as they are in the folder now, one for each file, as `infra/bigquery.tf` does."""
        client = self.client(project)
        for file in sorted(folder.glob("*.sql")):
            view = bigquery.Table(f"{project}.{dataset}.{file.stem}")
            view.view_query = file.read_text(encoding="utf-8").replace("${table}", f"{project}.{dataset}.{table}")
            client.delete_table(view, not_found_ok=True)
            client.create_table(view)
        client.close()


def _uploads() -> Path:
    """Where an upload lies until it is loaded: the emulator takes no quote in that path, and a clone's may have one."""
    folder = Path(tempfile.gettempdir()) / f"bigquery-uploads-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _plainly_named(folder: Path) -> Path:
    """The same folder by a path without quotes, for the same reason: the emulator takes none in what it loads."""
    link = _uploads() / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with suppress(FileExistsError):
        link.symlink_to(folder.resolve())
    return link


def prepare(python: Path, home: Path, environment: Mapping[str, str]) -> None:
    """Install DuckDB's spatial extension into the home folder, once.

    Raises:
        ToolError: the emulator's environment is broken.
    """
    if any(home.glob(".duckdb/extensions/*/*/spatial.duckdb_extension")):
        return
    home.mkdir(parents=True, exist_ok=True)
    seen = {**environment, "HOME": str(home)}
    done = subprocess.run(
        [python, "-c", _IMPORT_SPATIAL], env=seen, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise ToolError(
            f"DuckDB's spatial extension cannot be installed into {home}: {done.stderr.strip()[-500:]}. "
            f"Remove {python.parent.parent} and run: make setup"
        )


def _columns(table: bigquery.Table) -> set[tuple[str, str]]:
    # INT64 and INTEGER are one type: the one is how we write it, the other how BigQuery answers.
    kinds = ((column.name, column.to_standard_sql().type) for column in table.schema)
    return {(name, str(kind and kind.type_kind)) for name, kind in kinds}


def _fields(schema: Path) -> list[bigquery.SchemaField]:
    described: list[dict[str, Any]] = json.loads(schema.read_text())
    return [bigquery.SchemaField.from_api_repr(field) for field in described]
