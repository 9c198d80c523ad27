"""How the installer is found, what of the caller's surroundings is heeded, and what is refused in a line."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from requirements import find_uv, install
from requirements.find_uv import InstallError

ROOT = find_uv.TOOLS.parent


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("said", "fit"),
    [
        ("uv 0.13.0 (linux)", True),
        ("uv 1.0.0", True),
        ("uv 0.12.9", False),
        ("uv 0.9.18", False),
        ("uvicorn 9.9.9", False),
        ("", False),
    ],
)
def test_a_uv_on_path_serves_where_it_is_new_enough(tmp_path: Path, said: str, fit: bool) -> None:  # noqa: FBT001
    """One that lacks an option would fail in the middle; numbers are compared as numbers."""
    assert find_uv.fits(script(tmp_path / "uv", f"echo '{said}'")) is fit


def test_the_uv_on_path_is_used_and_nothing_is_fetched(tmp_path: Path) -> None:
    """Whoever has uv waits for no second one."""
    uv = script(tmp_path / "bin" / "uv", "echo uv 0.13.1")
    assert find_uv.find({"PATH": str(uv.parent)}, tmp_path / "tools") == uv
    assert not (tmp_path / "tools").exists()


def test_a_python_with_neither_pip_nor_venv_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's Python comes without both; the line names the package, and the other ways."""
    bare = script(tmp_path / "python3", 'echo "No module named $2" >&2; exit 1')
    monkeypatch.setattr(find_uv, "base_python", lambda: str(bare))
    with pytest.raises(
        InstallError, match=r"has neither pip nor venv.*apt install python3-venv.*install uv.*PYTHON="
    ):
        find_uv.find({"PATH": str(tmp_path)}, tmp_path / "tools")
    assert not (tmp_path / "tools" / "uv").exists()


def test_a_python_without_pip_that_can_make_an_environment_takes_that_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pip of an environment made for the purpose does."""
    pip = 'case "$*" in *"-m pip"*) exit 1;; *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python";; esac'
    bare = script(tmp_path / "python3", pip)
    monkeypatch.setattr(find_uv, "base_python", lambda: str(bare))
    monkeypatch.setattr(find_uv, "_wanted", lambda: "uv==1\n")
    with pytest.raises(InstallError, match="could not be fetched; the lines above say why"):
        find_uv.find({"PATH": str(tmp_path)}, tmp_path / "tools")  # its pip fails: but it was asked


@pytest.mark.parametrize(
    ("version", "system", "machine", "told"),
    [
        ((3, 10), "linux", "x86_64", "Python 3.11 or newer is needed and this is 3.10"),
        ((3, 12), "darwin", "x86_64", "Intel"),
        ((3, 12), "win32", "AMD64", "Subsystem for Linux"),
    ],
)
def test_what_is_not_supported_is_said_in_a_line(
    version: tuple[int, ...], system: str, machine: str, told: str
) -> None:
    """Before anything is fetched."""
    with pytest.raises(InstallError, match=told) as caught:
        install.refuse_what_is_not_supported(version, system, machine)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("system", "machine"), [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")])
def test_what_the_readme_names_is_supported(system: str, machine: str) -> None:
    """Linux and macOS, 3.11 and newer."""
    for version in ((3, 11), (3, 12), (3, 13), (3, 14)):
        install.refuse_what_is_not_supported(version, system, machine)


def test_nothing_in_the_callers_surroundings_changes_what_is_installed() -> None:
    """Settings that would choose other versions are left out; those that say where from are heeded."""
    caller = {
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "UV_OVERRIDE": "x",
        "VIRTUAL_ENV": "/other",
        "PYTHONPATH": "/other",
    }
    kept = {"HTTPS_PROXY": "http://proxy", "UV_CACHE_DIR": "/cache", "UV_DEFAULT_INDEX": "https://mirror/simple"}
    told = install.surroundings({**caller, **kept})
    assert not caller.keys() & told.keys()
    assert {name: told[name] for name in kept} == kept


def test_pips_mirror_and_certificates_are_asked_as_well() -> None:
    """A company sets them once, for pip."""
    told = install.surroundings({"PIP_INDEX_URL": "https://mirror/simple", "PIP_CERT": "/ca.pem"})
    assert told["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert told["SSL_CERT_FILE"] == "/ca.pem"


def test_a_failed_installation_says_when_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the installer's own names a file, not the disk."""
    full = shutil.disk_usage(ROOT)._replace(free=120_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with pytest.raises(InstallError, match=r"Only 0\.1 GB are free here, and 3 GB are needed"):
        install._run(["false"], os.environ)


def test_a_checkout_has_no_carriage_returns_whatever_git_is_set_to(tmp_path: Path) -> None:
    """A shell takes one for a part of the last word, and a list with other bytes has another hash."""
    clone = tmp_path / "clone"
    copy = ["git", "clone", "--quiet", "--config", "core.autocrlf=true", "--config", "core.eol=crlf"]
    subprocess.run([*copy, ROOT, clone], check=True)
    files = [path for path in clone.rglob("*") if path.is_file() and ".git" not in path.relative_to(clone).parts]
    text = [path for path in files if path.suffix not in {".png", ".gz"}]
    assert (clone / "Makefile") in text
    assert [path for path in text if b"\r\n" in path.read_bytes()] == []


def test_each_list_is_compiled_and_named_by_the_makefile() -> None:
    """`make lock` compiles all there are, each after those it is made from."""
    named = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("LISTS := "))
    lists = named.removeprefix("LISTS := ").split()
    assert sorted(lists) == sorted(path.stem for path in find_uv.LISTS.glob("*.in"))
    assert sorted(lists) == sorted(path.stem for path in find_uv.LISTS.glob("*.txt"))
    assert lists.index("services") < lists.index("local") < lists.index("dev")
