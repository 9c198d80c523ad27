"""Finds uv, which installs what the lists here name, or fetches it, by hash, into the clone.

    python -m requirements.find_uv

prints its path. The one on PATH serves where it is new enough: what is installed is told by the hashes, not by the
installer. The fetched one lies in `.tools/`. Standard library only: this runs before anything is installed.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LISTS: Final = Path(__file__).resolve().parent
TOOLS: Final = LISTS.parent / ".tools"
LEAST: Final = (0, 13, 0)
"""The oldest uv that knows every option `requirements.install` uses."""

NEITHER: Final = (
    "this Python, {python}, has neither pip nor venv, so that nothing can be fetched with it. Install them (Debian: "
    "apt install python3-venv), or install uv (docs.astral.sh/uv), or name another Python: make PYTHON=/path/to/python3"
)


class InstallError(RuntimeError):
    """Something could not be installed; says what to do."""


def find(environment: Mapping[str, str] = os.environ, tools: Path = TOOLS) -> Path:
    """The uv to use.

    Raises:
        InstallError: there is none that fits, and none could be fetched.
    """
    on_path = shutil.which("uv", path=environment.get("PATH", ""))
    if on_path is not None and fits(on_path):
        return Path(on_path)
    fetched = tools / "uv" / "bin" / "uv"
    with _alone(tools / "uv.lock"):
        if not _is_the_locked_one(fetched):
            _fetch(fetched.parent.parent, environment)
    return fetched


def fits(executable: str | Path) -> bool:
    """Whether an executable is a uv that is new enough."""
    try:
        told = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    version = re.match(r"uv (\d+)\.(\d+)\.(\d+)", told)
    return version is not None and tuple(map(int, version.groups())) >= LEAST


def _is_the_locked_one(fetched: Path) -> bool:
    return _stamp(fetched.parent.parent).is_file() and fits(fetched) and _told(fetched.parent.parent) == _wanted()


def _stamp(folder: Path) -> Path:
    return folder / "list.txt"


def _told(folder: Path) -> str:
    return _stamp(folder).read_text()


def _wanted() -> str:
    return (LISTS / "uv.txt").read_text()


def _fetch(folder: Path, environment: Mapping[str, str]) -> None:
    """Fetch uv, all or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fetched = Path(scratch) / "uv"
        pip = _pip(Path(scratch) / "venv")
        argv = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        argv += ["--only-binary", ":all:", "--target", str(fetched), "-r", str(LISTS / "uv.txt")]
        # What somebody has set for installing elsewhere must not keep this from going into the clone.
        told = {**environment, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
        done = subprocess.run(argv, env=told, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise InstallError("uv, which installs everything else, could not be fetched; the lines above say why")
        _stamp(fetched).write_text(_wanted())
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)


def _pip(scratch: Path) -> list[str]:
    """How this Python's pip is called; one without it may have what makes an environment that has it."""
    python = base_python()
    if _runs([python, "-m", "pip", "--version"]):
        return [python, "-m", "pip"]
    if _runs([python, "-m", "venv", str(scratch)]):
        return [str(scratch / "bin" / "python"), "-m", "pip"]
    raise InstallError(NEITHER.format(python=python))


def base_python() -> str:
    """This Python; where it is an environment's, the one that the environment was made of."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _runs(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the lock: two environments are made at the same time, and both want uv."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        print(find())
    except InstallError as error:
        sys.exit(f"{error}")
