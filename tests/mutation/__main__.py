"""Would a test notice? Every small change to the decisions, and a drawn number of changes to the load on Spark.

mutmut makes the changes and runs, for each, the unit tests that reach it. What only Spark can judge is tried in one
warm session (`tests/mutation/on_spark.py`), drawn by a seed, since each change costs seconds. All of it happens on a
copy of the tree in a temporary folder; the clone itself is never touched.

The exit status is 1 where a file has fewer killed than the share asked for.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BY_UNIT_TESTS: Final = (
    "services/batch_trigger/decisions.py",
    "services/cluster_manager/decisions.py",
    "services/cluster_manager/receipts.py",
    "services/cluster_manager/sizing.py",
    "services/scheduler/decisions.py",
    "spark_job/arguments.py",
    "spark_job/decision.py",
    "spark_job/verdict.py",
)
ON_SPARK: Final = ("spark_job/job.py", "spark_job/reading.py", "spark_job/transforms.py")
UNIT_TESTS: Final = (
    "tests/unit/test_batch_trigger.py",
    "tests/unit/test_cluster_manager.py",
    "tests/unit/test_cluster_size.py",
    "tests/unit/test_decision_tables.py",
    "tests/unit/test_receipts.py",
    "tests/unit/test_scheduler.py",
    "tests/unit/test_spark_arguments.py",
    "tests/unit/test_spark_decision.py",
    "tests/unit/test_spark_verdict.py",
)
SPARK_TESTS: Final = ("tests/spark/test_load.py", "tests/spark/test_transform.py")
_LEFT_OUT: Final = shutil.ignore_patterns(".*", "__pycache__", "*.pyc")
_BORROWED: Final = (".venv", ".venv-bigquery-emulator", ".tools")  # environments, which no copy needs of its own
_UNNOTICED: Final = {0, 5, 33, 35}  # mutmut: tests passed, no test, no test, suspicious
_SHARE: Final = 0.9


def main(arguments: Sequence[str]) -> int:
    """Mutate, test, and print what was noticed, file by file, with each change that was not."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "--on-spark", type=int, default=40, metavar="N", help="changes to draw for Spark; 0 for none"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="mutmut's pattern of functions to change")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder) / "tree"
        _copy(copy)
        _run_mutmut(copy, chosen.only)
        noticed = _by_unit_tests(copy)
        if chosen.on_spark:
            noticed |= _on_spark(copy, chosen.on_spark, chosen.seed)
        _print(copy, noticed)
    return 0 if all(_share(verdicts) >= _SHARE for verdicts in _by_file(noticed).values()) else 1


def _copy(copy: Path) -> None:
    shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
    chosen = {
        "source_paths": ["."],
        "only_mutate": [*BY_UNIT_TESTS, *ON_SPARK],
        "pytest_add_cli_args_test_selection": list(UNIT_TESTS),
        "pytest_add_cli_args": ["-q", "-p", "no:cacheprovider"],
        "use_git_change_detection": False,
        "track_dependencies": False,
    }
    with (copy / "pyproject.toml").open("a") as settings:
        settings.write("\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(chosen[name])}\n" for name in chosen))


def _run_mutmut(copy: Path, only: str) -> None:
    modules = [path.removesuffix(".py").replace("/", ".") for path in BY_UNIT_TESTS]
    patterns = [f"{module}.{only}" for module in modules]
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", "run", "--max-children", "2", *patterns],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"mutmut failed with status {done.returncode}:\n{done.stdout[-4000:]}")


def _by_unit_tests(copy: Path) -> dict[str, bool]:
    """By change, whether it was noticed; what was not tried is left out."""
    return {
        name: code not in _UNNOTICED
        for path in (*BY_UNIT_TESTS, *ON_SPARK)
        for name, code in _verdicts(copy, path).items()
        if code is not None
    }


def _verdicts(copy: Path, path: str) -> dict[str, int | None]:
    found: dict[str, int | None] = json.loads((copy / "mutants" / f"{path}.meta").read_text())["exit_code_by_key"]
    return found


def _on_spark(copy: Path, number: int, seed: int) -> dict[str, bool]:
    """Draw from what no unit test reaches, and let the tests on Spark judge it."""
    untried = [name for path in ON_SPARK for name, code in _verdicts(copy, path).items() if code is None]
    drawn = sorted(random.Random(seed).sample(untried, min(number, len(untried))))
    mutants = copy / "mutants"
    for name in _BORROWED:
        (mutants / name).symlink_to(ROOT / name)
    told = mutants / "on_spark.json"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "tests.mutation.on_spark", *SPARK_TESTS],
        cwd=mutants,
        env={**os.environ, "MUTANTS": " ".join(drawn), "VERDICTS": str(told), "MUTANT_UNDER_TEST": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for name in _BORROWED:
        (mutants / name).unlink()
    if not told.exists():
        raise SystemExit(f"the tests on Spark did not run:\n{done.stdout[-4000:]}")
    verdicts: dict[str, bool] = json.loads(told.read_text())
    return verdicts


def _print(copy: Path, noticed: dict[str, bool]) -> None:
    print(f"{'file':42} {'tried':>6} {'killed':>7} {'survived':>9} {'share':>6}")
    for file, verdicts in _by_file(noticed).items():
        killed = sum(verdicts)
        lived = len(verdicts) - killed
        print(f"{file:42} {len(verdicts):6} {killed:7} {lived:9} {_share(verdicts):6.1%}")
    for name in sorted(name for name, seen in noticed.items() if not seen):
        print(f"\n{name}")
        for line in _difference(copy, name):
            print(f"  {line}")


def _by_file(noticed: dict[str, bool]) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for name, seen in noticed.items():
        file = name.split(".x", 1)[0].replace(".", "/") + ".py"
        found.setdefault(file, []).append(seen)
    return found


def _share(verdicts: list[bool]) -> float:
    return Counter(verdicts)[True] / len(verdicts)


def _difference(copy: Path, name: str) -> Iterator[str]:
    shown = subprocess.run(
        [sys.executable, "-m", "mutmut", "show", name], cwd=copy, capture_output=True, text=True, check=False
    )
    for line in shown.stdout.splitlines():
        if line[:1] in "+-" and line[:3] not in ("+++", "---"):
            yield line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
