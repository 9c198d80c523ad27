"""Rules that import contracts cannot express, each a function over a tree: it returns what breaks it, in words.

They read source as text and syntax trees and import nothing of it, so that they can judge a copy of the tree in which
a violation was planted (`test_planted_violations.py`).
"""

import ast
import configparser
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

Rule = Callable[[Path], list[str]]

SHIPPED = ("contracts", "eventing", "services", "runs", "ops", "dashboard")
CLOCKS = {"now", "utcnow", "today", "uuid4", "uuid1", "monotonic", "time_ns", "random"}
WIRING = (
    "services/*/wiring.py",
    "eventing/clients.py",
    "eventing/dataproc.py",
    "eventing/secrets.py",
    "dashboard/wiring.py",
    "ops/target.py",
    "ops/doctor/site.py",  # the doctor also asks APIs that nothing else here does
)
ENVIRONMENT = ("services/*/__main__.py", "dashboard/__main__.py", "ops/target.py")
TABLES = ("ops/cli/app.py",)  # the command line's table of commands is made by calls
_SIMULATED = ("tests/simulation/processes.py",)  # each is made there in its own way
_CLIENTS = ("*Client", "*Session", "*Transport", "insecure_channel", "secure_channel")
_BARE = {f"{number}{optional}" for number in ("int", "float") for optional in ("", " | None")}
_DURATION = re.compile(
    r"timeout|patience|linger|backoff|delay|interval|deadline|pause|grace|ttl|_wait\b", re.IGNORECASE
)
_UNIT = re.compile(r"_(milliseconds|seconds|minutes|hours|days)$", re.IGNORECASE)
_REQUIRED = {
    *("__init__.py", "__main__.py", "settings.py", "decisions.py", "handlers.py", "wiring.py", "service.json"),
}


def pure_modules_ask_neither_clock_nor_chance(root: Path) -> list[str]:
    """A decision that looks at the clock cannot be replayed; time comes as an argument."""
    return [f"{place}: {name}()" for path in _pure(root) for place, name in _calls(root, path) if name in CLOCKS]


def _pure(root: Path) -> list[Path]:
    """What the import contract calls pure."""
    contracts = configparser.ConfigParser()
    contracts.read(root / ".importlinter")
    names = contracts["importlinter:contract:pure"]["source_modules"].replace(".", "/").split()
    return sorted(path for name in names for form in (f"{name}.py", f"{name}/**/*.py") for path in root.glob(form))


def only_wiring_builds_clients(root: Path) -> list[str]:
    """A client that is built elsewhere can be neither replaced in a test nor closed at the end."""
    return [
        f"{place}: {name}()"
        for path in _modules(root, SHIPPED, but=WIRING)
        for place, name in _calls(root, path)
        if any(fnmatch(name, pattern) for pattern in _CLIENTS)
    ]


def only_entry_points_read_the_environment(root: Path) -> list[str]:
    """A setting that is read deep inside is a setting that nobody finds."""
    return [
        f"{path.relative_to(root)}:{node.lineno}: {node.attr}"
        for path in _modules(root, SHIPPED, but=ENVIRONMENT)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
    ]


def importing_does_nothing(root: Path) -> list[str]:
    """Importing a module neither calls anything for its effect nor builds a client."""
    return [
        f"{path.relative_to(root)}:{statement.lineno}: a call when imported"
        for path in _modules(root, (*SHIPPED, "spark_job", "local"), but=("*/__main__.py", *TABLES))
        for statement in _tree(path).body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    ]


def values_are_shown_short(root: Path) -> list[str]:
    """`{value!r}` writes all of a value, however much a sender made of it; `contracts.wording.shown` is to be used."""
    return [
        f"{path.relative_to(root)}:{node.lineno}: {ast.unparse(node.value)}!r"
        for path in _modules(root, SHIPPED)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r")
    ]


def durations_say_their_unit(root: Path) -> list[str]:
    """A bare number of seconds is taken for minutes one day: a duration is a `timedelta`, or its name says its unit."""
    return [
        f"{path.relative_to(root)}:{line}: {name}"
        for path in _modules(root, (*SHIPPED, "spark_job"))
        for name, line in _numbers(_tree(path))
        if _DURATION.search(name) and not _UNIT.search(name)
    ]


def _numbers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """What is annotated as a number, and constants of a module that are one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation) in _BARE:
            yield node.arg, node.lineno
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) in _BARE:
            yield ast.unparse(node.target), node.lineno
    constants = [
        node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    ]
    for node in constants:
        if isinstance(ast.literal_eval(node.value), int | float):
            yield ast.unparse(node.targets[0]), node.lineno


def services_have_the_same_files(root: Path) -> list[str]:
    """Knowing one service is knowing all; one without its `service.json` would escape whatever asks for each."""
    return [
        f"services/{folder.name}: no {name}"
        for folder in sorted(path.parent for path in (root / "services").glob("*/__init__.py"))
        for name in sorted(_REQUIRED - {path.name for path in folder.iterdir()})
    ]


def ports_are_in_ports(root: Path) -> list[str]:
    """What a service needs of the outside is looked for in one file, and not among what it does with it."""
    return [
        f"{path.relative_to(root)}:{node.lineno}: class Ports"
        for path in _modules(root, ("services",), but=("services/*/ports.py",))
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ClassDef) and node.name == "Ports"
    ]


def services_are_listed_nowhere(root: Path) -> list[str]:
    """A second list is one that a new service is missing from: ask the registry (`contracts/registry.py`)."""
    names = {path.parent.name for path in (root / "services").glob("*/service.json")}
    return [
        f"{path.relative_to(root)}:{node.lineno}: {len(named)} services by name"
        for path in _modules(root, (*SHIPPED, "local", "benchmarks", "docs", "tests"), but=_SIMULATED)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict)
        if len(named := names & {*_texts(node)}) > 2
    ]


def _texts(node: ast.Tuple | ast.List | ast.Set | ast.Dict) -> Iterator[object]:
    for entry in node.keys if isinstance(node, ast.Dict) else node.elts:
        if isinstance(entry, ast.Constant):
            yield entry.value


def modules_say_what_they_are_for(root: Path) -> list[str]:
    """A reader decides by the first lines whether to read on."""
    everything = (*SHIPPED, "spark_job", "local", "benchmarks", "infra", "tests")
    return [
        f"{path.relative_to(root)}: no docstring"
        for path in _modules(root, everything)
        if not ast.get_docstring(_tree(path))
    ]


def tests_say_which_rule_they_protect(root: Path) -> list[str]:
    """A test that only says what it does cannot be judged when it breaks."""
    return [
        f"{path.relative_to(root)}::{node.name}"
        for path in _tests(root)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]


def tests_wait_for_conditions(root: Path) -> list[str]:
    """A span of time is too long on a fast machine and too short on a slow one; `let_pass` is of virtual time alone."""
    return [
        f"{path.relative_to(root)}:{call.lineno}: {name}() skips or sleeps"
        for path in sorted({*_tests(root), *_modules(root, ("tests/simulation",))})
        for call in ast.walk(_tree(path))
        if isinstance(call, ast.Call) and (name := ast.unparse(call.func)) in _IMPATIENT
        if ast.unparse(call) != "asyncio.sleep(0)"  # gives others their turn, and takes no time
    ]


def tests_measure_nothing(root: Path) -> list[str]:
    """Benchmarks may be changed, or left out, without a test of what ships noticing: their own are benchmarks/tests."""
    return [
        f"{path.relative_to(root)}:{line}: {module}"
        for path in _modules(root, ("tests",))
        for line, module in _imports(path)
        if module.partition(".")[0] == "benchmarks"
    ]


def what_ships_is_built_without_the_local_stack(root: Path) -> list[str]:
    """A stand-in that is needed to build is one that a broken local stack keeps from shipping."""
    recipes = [root / "cloudbuild.yaml", root / "Dockerfile", *sorted((root / "infra").rglob("*.tf"))]
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in recipes
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if _LOCAL.search(line)
    ]


_LOCAL = re.compile(r"\b(?:from|import|COPY|ADD)\s+local\b|-m[\s,\"']+local\b|(?<![\w./-])(?:\./)?local/")
_IMPATIENT = (
    "time.sleep",
    "asyncio.sleep",
    "pytest.skip",
    "pytest.xfail",
    "pytest.mark.skip",
    "pytest.mark.xfail",
)


RULES: tuple[Rule, ...] = (
    pure_modules_ask_neither_clock_nor_chance,
    only_wiring_builds_clients,
    only_entry_points_read_the_environment,
    importing_does_nothing,
    values_are_shown_short,
    durations_say_their_unit,
    services_have_the_same_files,
    ports_are_in_ports,
    services_are_listed_nowhere,
    modules_say_what_they_are_for,
    tests_say_which_rule_they_protect,
    tests_wait_for_conditions,
    tests_measure_nothing,
    what_ships_is_built_without_the_local_stack,
)


def _modules(root: Path, folders: Iterable[str], *, but: tuple[str, ...] = ()) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            if not any(fnmatch(str(path.relative_to(root)), pattern) for pattern in but):
                yield path


def _tests(root: Path) -> list[Path]:
    return [
        path for folder in ("tests", "benchmarks/tests") for path in sorted((root / folder).rglob("test_*.py"))
    ]


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def _tree(path: Path) -> ast.Module:
    return _parsed(path.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _calls(root: Path, path: Path) -> Iterator[tuple[str, str]]:
    """Place and name of everything that a module calls: the last word of the name."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            yield f"{path.relative_to(root)}:{node.lineno}", name.rsplit(".", 1)[-1]
