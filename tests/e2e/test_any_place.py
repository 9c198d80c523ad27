"""The demo where nothing is as usual: the clone's path, the way out, the terminal, the Java that is named, Spotify."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.tools import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

PACKAGES = ("contracts", "eventing", "services", "spark_job", "runs", "ops", "dashboard", "local", "infra")
ENVIRONMENTS = (".venv-bigquery-emulator", ".tools")
DEAD = "http://user:secret@127.0.0.1:1"
PROXIES = tuple(f"{scheme}_proxy" for scheme in ("http", "https", "all", "grpc"))


def clone(folder: Path) -> Path:
    """This clone's code in another folder, with this clone's environments."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    for name in ENVIRONMENTS:
        (folder / name).symlink_to((ROOT / name).resolve())
    return folder


def too_new(folder: Path) -> Path:
    """A Java home whose Java says that it is 25."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nprintf '%s = %s\\n' java.home {folder} java.specification.version 25 >&2\n")
    program.chmod(0o755)
    return folder


def test_a_week_is_loaded_wherever_the_clone_lies_and_whatever_the_shell_says(tmp_path: Path) -> None:
    """A folder of any name, dead proxies in every spelling, an ASCII terminal, a Java newer than Spark takes.

    And a Spotify that lets a developer's app search alone, and writes 3.0 for 3.
    """
    there = clone(tmp_path / "My Projects" / 'Bjørn\'s "R&D" #1 100%20 $HOME (a);`b`~|<e>!')
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    spotify = {"SPOTIFY_SIMULATOR": "developer", "SPOTIFY_FAULTS": "floats"}
    odd = spotify | {"JAVA_HOME": str(too_new(tmp_path / "java25")), "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    proxies = {name: DEAD for lower in PROXIES for name in (lower, lower.upper())}
    done = subprocess.run(
        [there / ".venv/bin/python", "-m", "local", "demo"],
        cwd=there,
        env={**kept, **odd, **proxies, "MARKETS": "DK,SE", "NO_PROXY": "inside.example"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Spark needs 17 or 21, and" in done.stdout
    assert done.stdout.isascii()
    assert "secret" not in done.stdout + done.stderr
    report = json.loads((there / ".local/demo.json").read_text())
    assert report["rows"] == report["tracks"] > 0
    assert report["clusters_left"] == 0
