"""Real emulators, started once for a test session. A test uses a project and a bucket of its own.

Where several workers share the suite, each takes a file at a time, the longest first.
"""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # xdist has no types

from local import tools
from local.bigquery import BigQuery
from local.processes import Supervisor
from local.pubsub import PubSub
from local.storage import Storage
from ops.surroundings import past_proxies

TOGETHER = ("tests/spark", "tests/browser")
"""Folders whose files share what is costly to start: a JVM with Spark, a Chromium. One worker takes them."""
LONGEST = (
    "tests/e2e/test_command_line.py",
    "tests/integration/test_local_commands.py",
    "tests/spark",
    "tests/chaos",
    "tests/e2e",
    "tests/browser",
    "tests/docs/test_readme_commands.py",
    "tests/integration/test_doctor.py",
    "tests/integration/test_dead_letters.py",
    "tests/packaging",
    "tests/integration",
    "tests/simulation",
    "tests/fuzz",
)
"""What is begun first: what is long, so that no worker ends with it alone. All else is small, and fills up."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # the same
    """Files to workers, but folders that belong together as a whole."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in TOGETHER if file.startswith(f"{folder}/")), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """In place of xdist's own, where files are asked for."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, for workers; alone, the suite goes from folder to folder."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.nodeid))


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not walk it again and again."""
    gc.collect()
    gc.freeze()


def _turn(nodeid: str) -> int:
    return next((turn for turn, place in enumerate(LONGEST) if nodeid.startswith(place)), len(LONGEST))


def pytest_configure() -> None:
    """What a suite inherits and must not hand on.

    An ignored Ctrl-C, where it was started in the background of a shell; a proxy as the way to its own emulators.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(past_proxies(os.environ))


@pytest.fixture(scope="session")
def java() -> tools.Java:
    """A Java that Spark runs on."""
    return tools.java(os.environ, tools.ROOT / ".tools")


@pytest.fixture(scope="session")
def pubsub(java: tools.Java, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSub]:
    """Google's Pub/Sub emulator, running."""
    jar = tools.pubsub_jar(os.environ, tools.ROOT / ".tools")
    with Supervisor(tmp_path_factory.mktemp("pubsub")) as supervisor:
        emulator = PubSub.start(supervisor, java=java.executable, jar=jar, environment=os.environ)
        emulator.wait()
        yield emulator


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """fake-gcs-server, running, without notifications."""
    folder = tmp_path_factory.mktemp("storage")
    with Supervisor(folder) as supervisor:
        fake = Storage.start(
            supervisor, binary=tools.storage_binary(), root=folder / "objects", environment=os.environ
        )
        fake.wait()
        yield fake


@pytest.fixture(scope="session")
def bigquery(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQuery]:
    """bqemulator, running, without a dataset; it loads what the fake Cloud Storage holds."""
    folder = tmp_path_factory.mktemp("bigquery")
    with Supervisor(folder) as supervisor:
        emulator = BigQuery.start(
            supervisor,
            python=tools.bigquery_python(tools.ROOT),
            data=folder / "data",
            environment=os.environ,
            bucket_root=storage.root,
        )
        emulator.wait()
        yield emulator


@pytest.fixture(scope="session")
def pubsub_emulator(pubsub: PubSub) -> str:
    """What PUBSUB_EMULATOR_HOST wants: `127.0.0.1:P`."""
    return pubsub.host


@pytest.fixture(scope="session")
def gcs_emulator(storage: Storage) -> tuple[str, Path]:
    """What STORAGE_EMULATOR_HOST wants, `http://127.0.0.1:P`, and the folder with `<bucket>/<object>` files."""
    return storage.url, storage.root


@pytest.fixture(scope="session")
def bigquery_emulator(bigquery: BigQuery) -> str:
    """What BIGQUERY_EMULATOR_HOST wants: `http://127.0.0.1:P`."""
    return bigquery.url
