"""What is installed is what the list says: from an index on which everything has a newer release.

The index is a real one over HTTP, made here: of every distribution that the list pins it holds the pinned version, with
the requirements of the real one and nothing in it, and one that came out since, which must never be taken.
"""

import base64
import hashlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from requirements.find_uv import LISTS, TOOLS

NEWER = "9999.0"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>.+?))? \\$")

_BACKEND = '''
"""Stands for the real build backend: packs what the source says, which is its name and version."""
import pathlib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    fields = dict(line.split(": ", 1) for line in pathlib.Path("PKG-INFO").read_text().splitlines())
    stem = f"{fields['Name']}-{fields['Version']}"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", pathlib.Path("PKG-INFO").read_text())
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return f"{stem}-py3-none-any.whl"
'''


class Pin(NamedTuple):
    """A line of a list."""

    name: str
    version: str
    marker: str | None

    @property
    def applies(self) -> bool:
        """Whether it is installed on this machine."""
        return self.marker is None or Marker(self.marker).evaluate()


class Quiet(SimpleHTTPRequestHandler):
    """Serves folders; a folder's listing is what an index answers."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Say nothing."""


class Index(ThreadingHTTPServer):
    """Takes the fifty connections that an installer opens at once: the usual five are a second's wait each."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An installer that has seen enough hangs up: that is no fault of the index."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of an index that serves `tmp_path / "index"`."""
    (tmp_path / "index").mkdir()
    with Index(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "index"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone that holds what installs, and the uv that this one has."""
    clone = tmp_path / "clone"
    (clone / "requirements").mkdir(parents=True)
    for script in LISTS.glob("*.py"):
        shutil.copy(script, clone / "requirements")
    shutil.copy(LISTS / "uv.txt", clone / "requirements")
    if TOOLS.is_dir():
        (clone / ".tools").symlink_to(TOOLS)
    return clone


def test_nothing_newer_than_the_list_is_ever_taken(tmp_path: Path, index: str, clone: Path) -> None:
    """Whatever was published since, also of what a distribution asks for with an extra, or is built with."""
    pins = _publish("dev", tmp_path / "index", clone)
    _publish("build", tmp_path / "index", clone)
    _install(clone, index, ".venv", "dev")
    wanted = {canonicalize_name(pin.name): pin.version for pin in pins if pin.applies}
    assert _installed(clone / ".venv") == wanted


def test_what_is_no_longer_asked_for_goes(tmp_path: Path, index: str, clone: Path) -> None:
    """An environment holds what the list names and no more; the smaller list is content with the larger."""
    publish = partial(_publish, index=tmp_path / "index", clone=clone)
    small, large = publish("services"), publish("dashboard")
    publish("build")
    _install(clone, index, "env", "dashboard")
    assert len(_installed(clone / "env")) == len([pin for pin in large if pin.applies])
    _install(clone, index, "env", "services")
    assert _installed(clone / "env").keys() == {canonicalize_name(pin.name) for pin in small if pin.applies}


def test_what_serves_for_more_is_kept_up_as_such(tmp_path: Path, index: str, clone: Path) -> None:
    """A demo in an environment of the tests takes nothing away from it, also when the list has changed since."""
    larger = _publish("dev", tmp_path / "index", clone)
    for name in ("local", "build"):
        _publish(name, tmp_path / "index", clone)
    _install(clone, index, "env", "dev")
    assert _install(clone, index, "env", "local") == ""
    with (clone / "requirements" / "dev.txt").open("a") as listed:
        listed.write("# another\n")
    assert "installed dev" in _install(clone, index, "env", "local")
    assert len(_installed(clone / "env")) == len([pin for pin in larger if pin.applies])


@pytest.mark.parametrize("damage", ["no stamp", "dangling python", "moved", "another list"])
def test_an_environment_that_does_not_fit_is_mended(tmp_path: Path, index: str, clone: Path, damage: str) -> None:
    """Interrupted, of a Python that is gone, moved, or of last month's list: the next call makes it whole."""
    pins = _publish("services", tmp_path / "index", clone)
    _publish("build", tmp_path / "index", clone)
    _install(clone, index, "env", "services")
    assert "installing" not in _install(clone, index, "env", "services"), "nothing is done twice"
    env = clone / "env"
    if damage == "no stamp":
        (env / "installed.txt").unlink()
    elif damage == "dangling python":
        (env / "bin" / "python").unlink()
        (env / "bin" / "python").symlink_to(tmp_path / "gone")
    elif damage == "moved":
        env.rename(clone / "elsewhere")
        (clone / "elsewhere").rename(env)
        (env / "installed.txt").write_text((env / "installed.txt").read_text().replace(str(env), "/elsewhere"))
    else:
        with (clone / "requirements" / "services.txt").open("a") as listed:
            listed.write("# another\n")
    assert "installed services" in _install(clone, index, "env", "services")
    assert len(_installed(env)) == len([pin for pin in pins if pin.applies])


def test_what_is_not_what_was_pinned_is_refused(tmp_path: Path, index: str, clone: Path) -> None:
    """An index that serves other bytes under a pinned name installs nothing, and no stamp says that it did."""
    _publish("services", tmp_path / "index", clone)
    _publish("build", tmp_path / "index", clone)
    (served,) = (path for path in (tmp_path / "index" / "aiohttp").iterdir() if NEWER not in path.name)
    with zipfile.ZipFile(served, "a") as wheel:
        wheel.writestr("aiohttp/planted.py", "")
    done = _run(clone, index, "env", "services")
    assert done.returncode == 1
    assert "hash" in done.stderr.lower()
    assert "the installation failed; the lines above say why" in done.stderr
    assert not (clone / "env" / "installed.txt").exists()


# --- the index -------------------------------------------------------------------------------------------------


def _publish(name: str, index: Path, clone: Path) -> list[Pin]:
    """Put what the list pins, and a newer release of each, on the index; write the list with their hashes."""
    lines, pins = [], []
    for line in (LISTS / f"{name}.txt").read_text().splitlines():
        if (found := _PIN.match(line)) is not None:
            pin = Pin(**found.groupdict())
            pins.append(pin)
            folder = index / canonicalize_name(pin.name)
            folder.mkdir(exist_ok=True)
            digest = hashlib.sha256(_release(pin.name, pin.version, folder).read_bytes()).hexdigest()
            _release(pin.name, NEWER, folder)
            lines.append(f"{line}\n    --hash=sha256:{digest}")
    (clone / "requirements" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    assert pins
    return pins


def _release(name: str, version: str, folder: Path) -> Path:
    stem = f"{canonicalize_name(name).replace('-', '_')}-{version}"
    fields = f"Metadata-Version: 2.1\nName: {stem.split('-', 1)[0]}\nVersion: {version}\n"
    if name == "pyspark":
        return _source(stem, fields, folder)
    files = {f"{stem}.dist-info/METADATA": fields + _requirements(name)}
    files[f"{stem}.dist-info/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if name == "setuptools":
        files["setuptools/__init__.py"] = ""
        files["setuptools/build_meta.py"] = _BACKEND if version != NEWER else "raise RuntimeError('newer')"
    record = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
    files[f"{stem}.dist-info/RECORD"] = "\n".join([*record, f"{stem}.dist-info/RECORD,,"])
    wheel = folder / f"{stem}-py3-none-any.whl"
    if not wheel.exists():
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in files.items():
                archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), content)
    return wheel


def _source(stem: str, fields: str, folder: Path) -> Path:
    project = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    archive = folder / f"{stem}.tar.gz"
    if not archive.exists():
        with tarfile.open(archive, "w:gz") as packed:
            for path, content in {"PKG-INFO": fields, "pyproject.toml": project}.items():
                entry = tarfile.TarInfo(f"{stem}/{path}")
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content.encode()))
    return archive


def _requirements(name: str) -> str:
    """What the real distribution asks for, extras and all; nothing where it is not installed here."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    names = ("Requires-Dist", "Provides-Extra")
    return "".join(f"{field}: {value}\n" for field in names for value in told.get_all(field) or [])


def _digest(content: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")


# --- installing ------------------------------------------------------------------------------------------------


def _run(clone: Path, index: str, folder: str, name: str) -> "subprocess.CompletedProcess[str]":
    told = {**os.environ, "UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(clone.parent / "cache")}
    command = [sys.executable, "-m", "requirements.install", folder, name]
    return subprocess.run(command, cwd=clone, env=told, capture_output=True, text=True, check=False)


def _install(clone: Path, index: str, folder: str, name: str) -> str:
    done = _run(clone, index, folder, name)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _installed(folder: Path) -> dict[str, str]:
    question = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    done = subprocess.run(
        [folder / "bin" / "python", "-I", "-c", question], capture_output=True, text=True, check=True
    )
    return {canonicalize_name(name): version for name, version in json.loads(done.stdout).items()}
