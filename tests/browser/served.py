"""A dashboard over an emulator that holds a year, for whoever measures or takes pictures outside of pytest."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import tools
from local.bigquery import BigQuery
from local.choices import BUCKET, DATASET, PROJECT
from local.processes import LOOPBACK, Supervisor, answers
from local.storage import Storage
from tests.browser import year


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where it is and how much it holds."""

    url: str
    rows: int
    storage: Storage


@contextmanager
def dashboard(folder: Path, weeks: int) -> Iterator[Dashboard]:
    """Emulators, so many weeks, and `python -m dashboard`; gone when the block is left."""
    with Supervisor(folder / "logs") as supervisor:
        warehouse = BigQuery.start(
            supervisor, python=tools.bigquery_python(tools.ROOT), data=folder / "bigquery", environment=os.environ
        )
        storage = Storage.start(
            supervisor, binary=tools.storage_binary(), root=folder / "storage", environment=os.environ
        )
        warehouse.wait()
        storage.wait()
        storage.ensure_bucket(PROJECT, BUCKET)
        year.furnish(warehouse)
        rows = year.load(warehouse, weeks)
        port = supervisor.ports.take()
        url = f"http://{LOOPBACK}:{port}"
        environment = {
            **os.environ,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "BUCKET": BUCKET,
            "BIGQUERY_DATASET": DATASET,
            "BIGQUERY_EMULATOR_HOST": warehouse.url,
            "STORAGE_EMULATOR_HOST": storage.url,
            "HOST": LOOPBACK,
            "PORT": str(port),
        }
        command: list[str | Path] = [sys.executable, "-m", "dashboard"]
        child = supervisor.start("dashboard", command, environment, cwd=tools.ROOT)
        child.wait_until(answers(f"{url}/health/ready"), within=60)
        yield Dashboard(url, rows, storage)
