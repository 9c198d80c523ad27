"""Runs tests on each Python that the README names: `python -m tests.pythons PYTEST-ARGUMENTS`.

Each is looked for on this machine, and else fetched into `.tools/pythons` if it can be; each gets an environment of its
own, `.venv-3.12`. One that cannot be had is named, and is no failure but where it is asked for: PYTHONS="3.12 3.13".
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from requirements.find_uv import TOOLS, find

NAMED: Final = ("3.11", "3.12", "3.13", "3.14")
_ROOT: Final = TOOLS.parent


def python(version: str, environment: Mapping[str, str]) -> Path | None:
    """An interpreter of this version: one that is here, or one that is fetched now; None where there is neither."""
    for executable in _candidates(version, environment):
        if _is(version, executable):
            return executable
    told = {**environment, "UV_PYTHON_INSTALL_DIR": str(TOOLS / "pythons")}
    _answer([str(find(environment)), "python", "install", "--no-bin", version], told)
    return next((path for path in _fetched(version) if _is(version, path)), None)


def _candidates(version: str, environment: Mapping[str, str]) -> Iterator[Path]:
    if found := shutil.which(f"python{version}", path=environment.get("PATH", "")):
        yield Path(found)
    # One that pyenv has, but has not put on PATH.
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    yield from _fetched(version)


def _fetched(version: str) -> list[Path]:
    return sorted((TOOLS / "pythons").glob(f"cpython-{version}.*/bin/python{version}"))


def _is(version: str, executable: Path) -> bool:
    question = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    return _answer([str(executable), "-I", "-c", question], os.environ) == version


def _answer(command: list[str], environment: Mapping[str, str]) -> str:
    """What a command prints; nothing where it fails."""
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Test on each; gives the exit status."""
    asked = environment.get("PYTHONS", "").split()
    outcomes = {version: _test(version, arguments, environment) for version in asked or NAMED}
    for version, outcome in outcomes.items():
        print(f"Python {version}: {outcome}")
    failed = [outcome for outcome in outcomes.values() if outcome == "failed"]
    return 1 if failed or (asked and "not here" in str(outcomes)) else 0


def _test(version: str, arguments: list[str], environment: Mapping[str, str]) -> str:
    found = python(version, environment)
    if found is None:
        return "not here, and could not be fetched: not tested"
    folder = f".venv-{version}"
    install = [str(found), "-m", "requirements.install", folder, "dev"]
    if subprocess.run(install, cwd=_ROOT, check=False).returncode:
        return "failed"
    print(f"--- Python {version}", flush=True)
    command = [f"{folder}/bin/python", "-m", "pytest", *arguments]
    return "failed" if subprocess.run(command, cwd=_ROOT, check=False).returncode else "passed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
