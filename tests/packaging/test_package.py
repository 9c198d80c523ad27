"""The command line as it is installed: alone in an environment, far from any clone.

Third-party packages are those of the environment that runs the tests, lent by a path file: what is tried is our
package, not their installation. The build backend is fetched, pinned.
"""

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest

from contracts import __version__
from contracts.topology import read
from requirements.find_uv import find
from requirements.install import surroundings

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
NAME = "new-releases"
NOT_IMPORTED = {"tzdata"}
"""Declared, though no import names it: what zoneinfo reads where the system has no time zones."""
PARTS = {"pydantic_core": "pydantic"}
"""Modules of a package that another one pins exactly, and brings along."""

HELP = """
import typer
from typer.testing import CliRunner
from ops.cli.app import app

def told(command, path):
    yield path, CliRunner().invoke(app, [*path, "--help"], prog_name="releases")
    for name, inner in getattr(command, "commands", {}).items():
        yield from told(inner, (*path, name))

for path, result in told(typer.main.get_command(app), ()):
    print(result.exit_code, result.output.split("[OPTIONS]")[0].replace("Usage:", "").strip())
"""
"""Says of every command whether its help is told, and its name."""

DATA = """
import json
from contracts.topology import read
from ops.doctor.site import _schema
from ops.target import INFRA, TOPOLOGY

views = [path.stem for path in INFRA.glob("bigquery/views/*.sql")]
print(json.dumps({"at": str(INFRA), "topics": read(TOPOLOGY).topics, "schema": _schema(INFRA), "views": views}))
"""
"""Says what the commands read from their files."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the package in it."""
    made = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(made)
    install = (find(), "pip", "install", "--quiet", "--python", made / "bin/python", "--no-deps")
    run(*install, "--require-hashes", "-r", ROOT / "requirements/build.txt")
    run(*install, "--no-build-isolation", ROOT)
    (packages(made) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return made


def packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What a command prints, which must do its work; nothing of the environment leads it back into the clone."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GOOGLE_", "BUCKET"))
    }
    told = surroundings(kept)
    done = subprocess.run(command, cwd=cwd, env=told, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python(environment: Path, program: str) -> str:
    return run(environment / "bin/python", "-I", "-c", program, cwd=environment)


def modules(environment: Path) -> Iterator[Path]:
    """The Python files of the package."""
    for file in distribution(environment).files or ():
        if file.suffix == ".py":
            yield Path(str(file.locate()))


def distribution(environment: Path) -> metadata.Distribution:
    (found,) = metadata.distributions(name=NAME, path=[str(packages(environment))])
    return found


def test_the_command_says_the_one_version(environment: Path) -> None:
    """What is installed, what it says it is, and what the clone says must not be three versions."""
    said = run(environment / "bin/releases", "--version", cwd=environment).strip()
    assert said == distribution(environment).version == __version__


def test_every_command_starts(environment: Path) -> None:
    """A module that was not packaged is found by whoever installed it, unless it is found here."""
    assert "dead-letter" in run(environment / "bin/releases", "--help", cwd=environment)
    told = dict(line.split(" ", 1)[::-1] for line in python(environment, HELP).splitlines())
    assert {"releases", "releases doctor", "releases run start", "releases dead-letter redrive"} <= told.keys()
    assert set(told.values()) == {"0"}


def test_the_files_that_commands_read_are_installed(environment: Path) -> None:
    """Topology, schema and views come with the command, and are the clone's: there is one source of them."""
    told = json.loads(python(environment, DATA))
    assert Path(told["at"]).is_relative_to(packages(environment))
    assert told["topics"] == list(read(INFRA / "topology.json").topics)
    assert told["schema"] == json.loads((INFRA / "bigquery/new_releases.schema.json").read_text(encoding="utf-8"))
    assert set(told["views"]) == {path.stem for path in INFRA.glob("bigquery/views/*.sql")}


def test_without_a_stack_it_says_where_one_is_started(environment: Path) -> None:
    """`make up` is not there for whoever has only the command: the error says that it wants a clone, or a project."""
    command = [str(environment / "bin/releases"), "run", "list"]
    told = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=environment, env=told, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "with `make up` in a clone, or name a project" in done.stderr


def test_nothing_else_is_installed(environment: Path) -> None:
    """A package named `docs` or `tests` in somebody's environment is a trap for everything else in it."""
    inside = {PurePosixPath(file).parts[0] for file in distribution(environment).files or ()} - {".."}
    assert {name for name in inside if not name.endswith(".dist-info")} == {"contracts", "eventing", "runs", "ops"}


def test_what_is_packaged_needs_what_is_declared(environment: Path) -> None:
    """An import that nobody declared fails once installed; a dependency that nobody imports is fetched for nothing."""
    ours = distribution(environment)
    declared = {re.split(r"[^\w.-]", line)[0] for line in ours.requires or ()}
    owners = {name: {str(file) for file in metadata.distribution(name).files or ()} for name in declared}
    owners[NAME] = {str(file) for file in ours.files or ()}
    found = {name: owner(name, owners) for path in modules(environment) for name in imports(path)}
    assert sorted(name for name, by in found.items() if by is None) == []
    assert declared - {*found.values()} == NOT_IMPORTED


def test_one_module_knows_where_files_lie(environment: Path) -> None:
    """A file that is read from beside the code must be packaged; the test above knows of those of one module."""
    knowing = {path.name for path in modules(environment) if "__file__" in path.read_text(encoding="utf-8")}
    assert knowing == {"target.py"}


def imports(path: Path) -> Iterator[str]:
    """What a file imports, but for the standard library: modules, and the names that are taken from one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in found if name.partition(".")[0] not in sys.stdlib_module_names)


def owner(imported: str, owners: Mapping[str, set[str]]) -> str | None:
    """Whose files hold the module that is imported, or of which a name is."""
    name = PARTS.get(imported.partition(".")[0], imported).replace(".", "/")
    paths = {f"{module}{end}" for module in (name, name.rpartition("/")[0]) for end in (".py", "/__init__.py")}
    return next((package for package, files in owners.items() if paths & files), None)
