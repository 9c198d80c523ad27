"""CONTRIBUTING's walks to a new service and a new market, walked in a copy: what they touch by hand, and that it holds.

Each writes what the walk says into a copy of the clone, has the generated files written, and runs there what would be
red if somebody had listed the services or the markets once more.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICE: Mapping[str, str] = {
    "services/noter/__init__.py": '"""Notes in the log what became of a run."""\n',
    "services/noter/service.json": """{
  "place": 5,
  "takes": {"run-finished": {"ack_deadline": 60, "min_backoff": 5, "max_backoff": 300, "max_delivery_attempts": 20}},
  "left_alone": ["PREFIX"],
  "on_cloud_run": {"max_instances": 1, "concurrency": 20, "memory": "512Mi"}
}
""",
    "services/noter/settings.py": '''"""What the noter is told by its environment."""

from pydantic import Field

from eventing.settings import ServiceSettings


class Settings(ServiceSettings):
    """How it notes."""

    prefix: str = Field(default="run", description="What a note begins with.")
''',
    "services/noter/decisions.py": '''"""What the noter decides."""

from contracts.events import RunFinished


def note_of(event: RunFinished, prefix: str) -> str:
    """The note."""
    return f"{prefix} {event.run_id}: {event.outcome}"
''',
    "services/noter/handlers.py": '''"""Notes."""

import logging
from collections.abc import Mapping
from functools import partial

from contracts.events import Delivery, RunFinished
from eventing.app import Handler
from services.noter.decisions import note_of

log = logging.getLogger(__name__)


def handlers(prefix: str) -> Mapping[type, Handler]:
    """The events this service takes."""
    return {RunFinished: partial(on_run_finished, prefix=prefix)}


async def on_run_finished(delivery: Delivery, *, prefix: str) -> None:
    """Note it."""
    log.info("noted", extra={"note": note_of(delivery.event, prefix)})
''',
    "services/noter/wiring.py": '''"""Builds the noter: the one place that makes its clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from eventing.app import Service, create_app
from eventing.canaries import canary_handlers
from eventing.clients import object_store, push_verifier
from eventing.clock import Clock, system_clock
from services.noter.handlers import handlers
from services.noter.settings import Settings


def build_app(settings: Settings, *, clock: Clock = system_clock) -> web.Application:
    """The service's application."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        async with object_store(settings) as store:
            table = {**handlers(settings.prefix), **canary_handlers(store, clock)}
            yield Service("noter", table, ready={"storage": store.ping})

    return create_app(opening, verifier=push_verifier(settings))
''',
    "services/noter/__main__.py": (ROOT / "services/scheduler/__main__.py")
    .read_text()
    .replace("scheduler", "noter"),
    "docs/services/noter.md": """# noter

## Events

<!-- events: begin -->
<!-- events: end -->

## Answers

<!-- status: begin -->
<!-- status: end -->

## Settings

<!-- settings: begin -->
<!-- settings: end -->

## What fails

| what | what happens | who repairs it |
|---|---|---|
""",
    "tests/unit/test_noter.py": '''"""The noter."""

from contracts.events import RunFinished
from services.noter.decisions import note_of


def test_a_note_names_run_and_outcome() -> None:
    """Whoever reads it knows of which run it is."""
    event = RunFinished(run_id="2026-11-23", revision=1, outcome="loaded", receipt_uri="gs://b/r")
    assert note_of(event, "run") == "run 2026-11-23: loaded"
''',
}
"""What the walk writes, by hand."""

HOLDS_OF_SERVICES = (
    "tests/architecture/test_structure.py",
    "tests/architecture/test_handlers.py",
    "tests/contract/test_golden_events.py::test_asyncapi_names_every_topic_of_the_topology_that_carries_events",
    "tests/docs/test_generated.py",
    "tests/infra/test_configuration.py",
    "tests/infra/test_tools.py::test_the_build_makes_every_service",
    "tests/infra/test_tools.py::test_the_image_holds_what_the_service_imports",
    "tests/unit/test_noter.py",
)
HOLDS_OF_MARKETS = (
    "tests/docs/test_generated.py",
    "tests/unit/test_dashboard.py::test_every_market_has_a_tile_of_its_own",
    "tests/unit/test_settings.py",
    "tests/unit/test_spotify_catalogue.py::test_languages_are_those_of_markets",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What git would commit, without what it ignores."""
    listed = ["git", "ls-files", "-coz", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_a_service_is_added_in_its_folder_and_three_files(copy: Path) -> None:
    """Whoever adds one writes it, its page and its test; every list, document, image and right follows."""
    for name, text in SERVICE.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    _generate(copy)
    _run(copy, "-m", "mypy", "--no-incremental", "--follow-imports=silent", "-p", "services.noter")
    _is_bounded(copy)
    _run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *HOLDS_OF_SERVICES)
    walk = _walk("Add a service")
    beside = [f"{Path(name).parent}/" for name in SERVICE if not name.startswith("services/noter/")]
    assert len(beside) < 3  # and its process in the simulation
    named = (*beside, "services/NAME/", "service.json", "tests/simulation/processes.py")
    assert all(f"`{name}`" in walk for name in named)


def test_a_market_is_added_in_two_files(copy: Path) -> None:
    """Its name, and its place on the map; all else counts and lists what is there."""
    _replace(copy / "contracts/names.py", "IS IT LI", "IS IT KZ LI")
    _replace(copy / "dashboard/europe.py", '". . . . MT . ME AL GR . CY .",', '". . . . MT . ME AL GR . CY KZ",')
    _generate(copy)
    _run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *HOLDS_OF_MARKETS)
    named = re.findall(r"^\d\. `([\w/.]+)`", _walk("Add a market"), re.MULTILINE)
    assert named == ["contracts/names.py", "dashboard/europe.py"]


def _is_bounded(copy: Path) -> None:
    """It keeps every import contract, and one that looks into another service is refused."""
    planted = copy / "services/noter/planted.py"
    planted.write_text('"""Planted."""\n\nfrom services.scheduler import decisions\n', encoding="utf-8")
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    said = subprocess.run(linter, cwd=copy, capture_output=True, text=True, check=False).stdout
    assert "Services never import each other BROKEN" in said
    assert "5 kept, 1 broken" in said
    planted.unlink()


def _generate(copy: Path) -> None:
    """What `make docs` does; that it is done then, `tests/docs/test_generated.py` finds in the copy."""
    for package in ("contracts", "docs"):
        _run(copy, "-m", package)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


def _run(copy: Path, *arguments: str) -> None:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-2000:]}"


def _walk(title: str) -> str:
    """One walk of CONTRIBUTING.md."""
    (walk,) = re.findall(
        rf"^### \d\. {title}\n(.*?)(?=^##)",
        (ROOT / "CONTRIBUTING.md").read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return str(walk)
