"""Makes an environment of exactly what a list names: no more, no less, and nothing resolved.

    python -m requirements.install FOLDER LIST

FOLDER is the environment, such as `.venv`; LIST a file here without its ending, such as `local`. Every distribution is
taken at the version and with the hash that the list gives, whatever has been published since. Where the environment
holds this list already, nothing is done. Standard library only: this runs before anything is installed.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from requirements.find_uv import LISTS, InstallError, base_python, find

OLDEST: Final = (3, 11)
_NEEDED_BYTES: Final = 3_000_000_000  # the environments of `make test` and what uv keeps of them
_CONTAINED: Final = {"local": "dev"}
"""Which list holds all of another: an environment of the larger serves for the smaller, and is kept up as such."""

_IMPORTED_BY_MANY: Final = ("dashboard", "dev", "local", "services")
"""Environments of which many processes start at once: each would compile what it imports. The others hold much that
nobody imports."""

# Of the caller's settings for uv those that change where things come from are heeded, and not those that would change
# what is installed.
_NOT_HEEDED: Final = (
    *("UV_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_NO_BINARY", "UV_NO_BUILD_ISOLATION"),
    *("UV_NO_BUILD", "UV_ONLY_BINARY", "UV_OVERRIDE", "UV_PRERELEASE", "UV_RESOLUTION", "UV_TARGET", "UV_PREFIX"),
    *("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"),
)


def main(folder: Path, name: str) -> None:
    """Make or mend the environment.

    Raises:
        InstallError: it cannot be made on this machine; says why and what to do.
    """
    refuse_what_is_not_supported(sys.version_info[:2], sys.platform, platform.machine())
    name = _larger(folder, name)
    if holds(folder, name):
        return
    print(f"installing {name} into {folder}", flush=True)
    begun = time.monotonic()
    uv = find()
    environment = surroundings(os.environ)
    if not _fits(folder):
        _remove(folder)
        _run([uv, "venv", "--quiet", "--python", base_python(), "--no-project", folder], environment)
    stamp(folder).unlink(missing_ok=True)
    _run(sync(uv, folder, name), environment)
    stamp(folder).write_text(f"{identity(name)}\n{folder.absolute()}\n")
    print(f"installed {name} in {time.monotonic() - begun:.1f} s", flush=True)


def refuse_what_is_not_supported(version: tuple[int, ...], system: str, machine: str) -> None:
    """Say in a line what is not supported, before anything is fetched.

    Raises:
        InstallError: this machine is not.
    """
    if version < OLDEST:
        told = ".".join(map(str, version))
        raise InstallError(f"Python 3.11 or newer is needed and this is {told}: make PYTHON=/path/to/python3.11")
    if system == "darwin" and machine == "x86_64":
        raise InstallError(
            "Macs with Intel processors are not supported: cryptography is not built for them any more"
        )
    if system not in ("linux", "darwin"):
        raise InstallError(f"{system} is not supported; on Windows, use the Windows Subsystem for Linux")


def sync(uv: Path, folder: Path, name: str) -> list[str | Path]:
    """The command that makes the environment hold exactly the list; nothing in it is resolved.

    Only pyspark is published as source alone; what it is built with is pinned as well.
    """
    return [
        *(uv, "pip", "sync", "--quiet", "--python", folder / "bin" / "python"),
        *("--require-hashes", "--only-binary", ":all:", "--no-binary", "pyspark"),
        *("--build-constraints", LISTS / "build.txt", "--require-build-hashes"),
        *(("--compile-bytecode",) if name in _IMPORTED_BY_MANY else ()),
        LISTS / f"{name}.txt",
    ]


def surroundings(caller: Mapping[str, str]) -> dict[str, str]:
    """The environment uv runs in: the caller's, with pip's index and certificates where uv has none of its own."""
    kept = {key: value for key, value in caller.items() if key not in _NOT_HEEDED}
    told = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    if "UV_DEFAULT_INDEX" not in kept and "UV_INDEX_URL" not in kept and (index := _index_of_pip(kept)):
        told["UV_DEFAULT_INDEX"] = index
    if "SSL_CERT_FILE" not in kept and (certificates := kept.get("PIP_CERT") or kept.get("REQUESTS_CA_BUNDLE")):
        told["SSL_CERT_FILE"] = certificates
    return {**told, **kept}


def _index_of_pip(environment: Mapping[str, str]) -> str:
    """The index that pip is set up to ask, where it is not the usual one: a company's mirror."""
    if told := environment.get("PIP_INDEX_URL"):
        return told
    asked = [base_python(), "-m", "pip", "config", "get", "global.index-url"]
    found = subprocess.run(asked, env=dict(environment), capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def stamp(folder: Path) -> Path:
    """Where it is noted what an environment holds, and where it was made: its scripts know the place."""
    return folder / "installed.txt"


def identity(name: str) -> str:
    """Tells a list, and what it is built with, from any other."""
    digest = hashlib.sha256(b"\0".join((LISTS / file).read_bytes() for file in (f"{name}.txt", "build.txt")))
    return f"{name} {digest.hexdigest()}"


def holds(folder: Path, name: str) -> bool:
    """Whether the environment is whole, of this Python, and of this list."""
    return stamp(folder).is_file() and _fits(folder) and _noted(folder)[0] == identity(name)


def _larger(folder: Path, name: str) -> str:
    """The list to install: the larger one where the environment was made of that, so that nothing of it goes."""
    made_of = _noted(folder)[0].partition(" ")[0] if stamp(folder).is_file() else ""
    return made_of if made_of and made_of == _CONTAINED.get(name) else name


def _noted(folder: Path) -> list[str]:
    return [*stamp(folder).read_text().splitlines(), "", ""]


def _fits(folder: Path) -> bool:
    """Whether an environment can be gone on with: its Python runs and is this one, and it was not moved."""
    if stamp(folder).is_file() and _noted(folder)[1] != str(folder.absolute()):
        return False
    question = "import sys; print(sys.version_info[:3])"
    try:
        asked = [str(folder / "bin" / "python"), "-I", "-c", question]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(told.strip() == str(sys.version_info[:3]))


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _run(command: list[str | Path], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=dict(environment), check=False)
    if done.returncode:
        free = shutil.disk_usage(LISTS).free
        full = f" Only {free / 1e9:.1f} GB are free here, and 3 GB are needed." if free < _NEEDED_BYTES else ""
        raise InstallError(f"the installation failed; the lines above say why.{full} It goes on where it stopped.")


if __name__ == "__main__":
    if len(sys.argv) != 3:  # noqa: PLR2004 -- a folder and a list
        sys.exit("usage: python -m requirements.install FOLDER LIST")
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except InstallError as error:
        sys.exit(f"{error}")
    except OSError as error:
        sys.exit(f"the environment {sys.argv[1]} could not be written: {error}")
