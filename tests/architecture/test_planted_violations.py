"""A rule that nobody saw fail may be no rule: a violation of each is planted in a copy of the tree, and must be found.

Import contracts are tried by one run of import-linter over one copy, in which every plant is a file or line of its
own; the other rules (`rules.py`) by running them over a copy with one plant.
"""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import rules

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "eventing", "services", "spark_job", "runs", "ops", "dashboard", "local", "benchmarks")

IMPORTS = [
    ("layers", "contracts.planted", "eventing.clock"),
    ("layers", "eventing.planted", "services.scheduler.decisions"),
    ("layers", "services.scheduler.planted", "ops.orders"),
    ("layers", "runs.planted", "ops.orders"),
    ("layers", "runs.planted", "services.scheduler.decisions"),
    ("layers", "services.scheduler.planted", "runs.status"),
    ("layers", "ops.planted", "dashboard.queries"),
    ("layers", "dashboard.planted", "ops.orders"),
    ("layers", "dashboard.planted", "local.topology"),
    ("layers", "local.planted", "benchmarks.report"),
    ("independent", "services.scheduler.planted", "services.batch_trigger.decisions"),
    ("independent", "services.cluster_manager.planted", "services.market_fetcher.paging"),
    ("inside", "services.batch_trigger.decisions", "services.batch_trigger.handlers"),
    ("inside", "services.scheduler.handlers", "services.scheduler.wiring"),
    ("pure", "services.batch_trigger.decisions", "random"),
    ("pure", "contracts.names", "os"),
    ("pure", "services.cluster_manager.sizing", "eventing.clock"),
    ("clients", "services.batch_trigger.handlers", "google.cloud.storage"),
    ("clients", "eventing.ledger", "aiohttp"),
    ("clients", "runs.status", "grpc"),
    ("clients", "dashboard.charts", "google.cloud.bigquery"),
    ("job", "spark_job.transforms", "contracts.names"),
]
"""Contract, module in which an import is planted, what it imports."""

SOURCES: list[tuple[rules.Rule, str, str]] = [
    (
        rules.pure_modules_ask_neither_clock_nor_chance,
        "contracts/names.py",
        "def planted(): return datetime.now(UTC)",
    ),
    (
        rules.pure_modules_ask_neither_clock_nor_chance,
        "services/batch_trigger/decisions.py",
        "def planted(): return uuid4()",
    ),
    (rules.only_wiring_builds_clients, "services/scheduler/handlers.py", "def planted(): return storage.Client()"),
    (rules.only_wiring_builds_clients, "runs/status.py", "def planted(): return grpc.insecure_channel('x')"),
    (rules.only_wiring_builds_clients, "dashboard/warehouse.py", "def planted(): return bigquery.Client()"),
    (rules.only_entry_points_read_the_environment, "eventing/ledger.py", "def planted(): return os.environ['X']"),
    (rules.only_entry_points_read_the_environment, "runs/status.py", "def planted(): return os.getenv('X')"),
    (rules.only_entry_points_read_the_environment, "dashboard/handlers.py", "def planted(): return os.environ"),
    (rules.importing_does_nothing, "services/scheduler/wiring.py", "print('here')"),
    (rules.values_are_shown_short, "eventing/ledger.py", "def planted(x): return f'{x!r} is wrong'"),
    (rules.durations_say_their_unit, "eventing/clients.py", "def planted(timeout: float | None): pass"),
    (rules.durations_say_their_unit, "services/scheduler/handlers.py", "_RETRY_DELAY = 3"),
    (rules.durations_say_their_unit, "spark_job/job.py", "class Planted:\n    grace: int"),
    (rules.services_have_the_same_files, "services/scheduler/decisions.py", ""),
    (rules.ports_are_in_ports, "services/scheduler/handlers.py", "class Ports: pass"),
    (rules.services_are_listed_nowhere, "local/stack.py", "ALL = 'scheduler', 'market_fetcher', 'batch_trigger'"),
    (rules.modules_say_what_they_are_for, "local/planted.py", "x = 1"),
    (rules.tests_say_which_rule_they_protect, "tests/unit/test_planted.py", "def test_planted(): assert 1"),
    (rules.tests_wait_for_conditions, "tests/unit/test_planted.py", "def test_planted(): time.sleep(1)"),
    (
        rules.tests_wait_for_conditions,
        "tests/unit/test_planted.py",
        "async def test_planted(): await asyncio.sleep(1)",
    ),
    (
        rules.tests_wait_for_conditions,
        "tests/simulation/world.py",
        "async def planted(): await asyncio.sleep(1)",
    ),
    (rules.tests_say_which_rule_they_protect, "benchmarks/tests/test_planted.py", "def test_planted(): assert 1"),
    (rules.tests_measure_nothing, "tests/unit/planted.py", "from benchmarks.receive import delivery"),
    (rules.tests_measure_nothing, "tests/unit/planted.py", "def planted(): import benchmarks"),
    (rules.what_ships_is_built_without_the_local_stack, "cloudbuild.yaml", "args: [python, -m, local.spark]"),
    (rules.what_ships_is_built_without_the_local_stack, "cloudbuild.yaml", 'args: [-c, "from local import x"]'),
    (rules.what_ships_is_built_without_the_local_stack, "Dockerfile", "COPY local local"),
    (rules.what_ships_is_built_without_the_local_stack, "infra/planted.tf", 'command = "sh local/build.sh"'),
]
"""Rule, file that breaks it, and the line that is added to the file; no line takes the file away."""


def copy(into: Path, *folders: str) -> Path:
    """The Python files of these folders, what the services say of themselves, the contracts' file, and what builds."""
    found = (
        file for folder in folders for kind in ("*.py", "service.json") for file in (ROOT / folder).rglob(kind)
    )
    for path in (*found, *(ROOT / name for name in (".importlinter", "cloudbuild.yaml", "Dockerfile"))):
        target = into / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return into


def add(path: Path, line: str) -> None:
    """A line at the end of a file, which is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of the copy with all planted imports."""
    tree = copy(tmp_path_factory.mktemp("tree"), *PACKAGES)
    for _, module, imported in IMPORTS:
        add(tree / f"{module.replace('.', '/')}.py", f"import {imported}")
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(linter, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for the other rules; each test leaves it as it found it."""
    return copy(tmp_path_factory.mktemp("clean"), *PACKAGES)


@pytest.fixture(scope="module")
def contracts() -> dict[str, str]:
    """Names of the contracts, by id."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    parts = {
        section.rpartition(":")[2]: parser[section] for section in parser.sections() if "contract:" in section
    }
    return {name: section["name"] for name, section in parts.items()}


@pytest.mark.parametrize(("contract", "module", "imported"), IMPORTS, ids=lambda value: value)
def test_an_import_contract_fails_on_a_planted_import(
    broken: str, contracts: dict[str, str], contract: str, module: str, imported: str
) -> None:
    """A boundary is only one if crossing it is refused, under the name that says which boundary it is."""
    _, *headed = re.split(r"\n(\S[^\n]*)\n-{5,}\n", broken.partition("Broken contracts\n")[2])
    findings = dict(zip(headed[::2], headed[1::2], strict=True))
    outside = "google" if imported.startswith("google.") else imported
    assert f"{module} -> {outside} " in findings[contracts[contract]]


def test_every_import_contract_was_seen_to_fail(contracts: dict[str, str]) -> None:
    """A new contract needs a plant, too."""
    assert {contract for contract, _, _ in IMPORTS} == set(contracts)


@pytest.mark.parametrize(("rule", "file", "line"), SOURCES, ids=lambda value: getattr(value, "__name__", None))
def test_a_rule_finds_a_planted_violation(rule: rules.Rule, file: str, line: str, clean: Path) -> None:
    """A rule names the file in which it was broken, and only that one."""
    path = clean / file
    before = path.read_bytes() if path.exists() else None
    add(path, line)
    if not line:
        path.unlink()
    [finding] = rule(clean)
    assert "/".join(Path(file).parts[:2]) in finding
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)


def test_every_rule_was_seen_to_fail() -> None:
    """A new rule needs a plant, too."""
    assert {rule for rule, _, _ in SOURCES} == set(rules.RULES)


def test_six_lines_that_stand_twice_are_found(tmp_path: Path) -> None:
    """`make check` refuses six lines of code that stand in two modules, and five may stand."""
    lines = [f"    number = number * {factor} + {factor}" for factor in range(2, 7)]
    assert _duplicates(tmp_path / "five", lines) == ""
    assert "Similar lines in 2 files" in _duplicates(tmp_path / "six", [*lines, "    number = number % 11"])


def _duplicates(folder: Path, lines: list[str]) -> str:
    folder.mkdir()
    for name in ("one", "other"):
        text = "\n".join([f"def {name}(number):", *lines, f"    return number, '{name}'"])
        (folder / f"{name}.py").write_text(text + "\n", encoding="utf-8")
    [command] = re.findall(r"-m pylint ([^$\n]+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    tool = [sys.executable, "-m", "pylint", f"--rcfile={ROOT / 'pyproject.toml'}", *command.split(), str(folder)]
    return subprocess.run(tool, capture_output=True, text=True, check=False, cwd=folder).stdout
