"""A dashboard over an emulator that holds a year, for whoever measures or takes pictures outside of pytest."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

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
    images: str
    rows: int
    storage: Storage


def simulator(supervisor: Supervisor) -> str:
    """A simulator that draws covers; gives the address below which they lie."""
    port = supervisor.ports.take()
    command: list[str | Path] = [sys.executable, "-m", "local.spotify", "--port", str(port)]
    child = supervisor.start("spotify", command, {**os.environ}, cwd=tools.ROOT)
    child.wait_for_line("^ready ", within=60)
    return f"http://{LOOPBACK}:{port}/image"


def started(supervisor: Supervisor, environment: Mapping[str, str]) -> str:
    """A dashboard, ready; gives its address."""
    port = supervisor.ports.take()
    url = f"http://{LOOPBACK}:{port}"
    command: list[str | Path] = [sys.executable, "-m", "dashboard"]
    child = supervisor.start("dashboard", command, {**environment, "PORT": str(port)}, cwd=tools.ROOT)
    child.wait_until(answers(f"{url}/health/ready"), within=60)
    return url


@contextmanager
def dashboard(folder: Path, weeks: int, without: Mapping[date, str] = MappingProxyType({})) -> Iterator[Dashboard]:
    """Emulators, so many weeks (each `without` its market), and `python -m dashboard`; gone when the block is left."""
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
        images = simulator(supervisor)
        rows = year.load(warehouse, weeks, without=without, images=images)
        environment = {
            **os.environ,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "BUCKET": BUCKET,
            "BIGQUERY_DATASET": DATASET,
            "BIGQUERY_EMULATOR_HOST": warehouse.url,
            "STORAGE_EMULATOR_HOST": storage.url,
            "SPOTIFY_IMAGES_URL": images,
            "HOST": LOOPBACK,
        }
        yield Dashboard(started(supervisor, environment), images, rows, storage)
