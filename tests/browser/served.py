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
from local.processes import LOOPBACK, Child, Supervisor, answers
from local.storage import Storage
from tests.browser import year


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where it is and how much it holds."""

    url: str
    images: str
    rows: int
    storage: Storage


@dataclass(frozen=True, slots=True)
class Stack:
    """What a dashboard reads, and how it is told of it."""

    supervisor: Supervisor
    environment: Mapping[str, str]
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
    return _start(supervisor, environment, "dashboard")[1]


def _start(supervisor: Supervisor, environment: Mapping[str, str], module: str) -> tuple[Child, str]:
    port = supervisor.ports.take()
    url = f"http://{LOOPBACK}:{port}"
    command: list[str | Path] = [sys.executable, "-m", module]
    child = supervisor.start("dashboard", command, {**environment, "PORT": str(port)}, cwd=tools.ROOT)
    child.wait_until(answers(f"{url}/health/ready"), within=60)
    return child, url


@contextmanager
def stack(folder: Path, weeks: int, without: Mapping[date, str] = MappingProxyType({})) -> Iterator[Stack]:
    """Emulators and so many weeks, each `without` its market; gone when the block is left."""
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
        yield Stack(supervisor, environment, images, rows, storage)


@contextmanager
def serving(behind: Stack, module: str = "dashboard") -> Iterator[str]:
    """A dashboard over it, as this module starts it; gives its address."""
    child, url = _start(behind.supervisor, behind.environment, module)
    try:
        yield url
    finally:
        child.stop()


@contextmanager
def dashboard(folder: Path, weeks: int, without: Mapping[date, str] = MappingProxyType({})) -> Iterator[Dashboard]:
    """Emulators, so many weeks, and `python -m dashboard`; gone when the block is left."""
    with stack(folder, weeks, without) as behind, serving(behind) as url:
        yield Dashboard(url, behind.images, behind.rows, behind.storage)
