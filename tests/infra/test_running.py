"""What Terraform does with running.tf: an apply that is not told the tag keeps it, or refuses before anything goes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.configuration import INFRA, local, resource

TERRAFORM = shutil.which("terraform")
needs_terraform = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed: nothing is applied")
VARIABLES = """
variable "project_id" { default = "p-12345" }
variable "image_tag" { default = null }
variable "allow_destroy" { default = false }
output "runs" { value = local.runs }
"""
TAG = "2026-11-23-1"
NOTE = Path(".terraform/image_tag.p-12345")


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, without questions and colours."""
    command = [str(TERRAFORM), arguments[0], "-no-color", *arguments[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def apply(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """An apply that is told these variables alone."""
    told = [f"-var={name}={value}" for name, value in variables.items()]
    return terraform(folder, "apply", "-auto-approve", "-input=false", *told)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """running.tf alone, without what it waits for, so that no provider is needed."""
    text = (INFRA / "running.tf").read_text(encoding="utf-8")
    (tmp_path / "running.tf").write_text(re.sub(r"\n  depends_on = \[.*?\]\n", "", text, flags=re.DOTALL))
    (tmp_path / "variables.tf").write_text(VARIABLES)
    done = terraform(tmp_path, "init", "-input=false")
    assert done.returncode == 0, done.stderr
    return tmp_path


@needs_terraform
def test_before_the_first_tag_nothing_runs(clone: Path) -> None:
    """There is no image yet, and none is asked for."""
    done = apply(clone)
    assert (done.returncode, "runs = false" in done.stdout) == (0, True), done.stderr
    assert not (clone / NOTE).exists()


@needs_terraform
def test_without_a_tag_the_last_one_stays(clone: Path) -> None:
    """A variable that was forgotten must not take every service away."""
    assert apply(clone, image_tag="2026-11-16-1").returncode == 0
    assert apply(clone, image_tag=TAG).returncode == 0
    done = apply(clone)
    assert (done.returncode, "No changes." in done.stdout) == (0, True), done.stdout
    assert (clone / NOTE).read_text() == f"{TAG}\n"


@needs_terraform
def test_a_clone_that_does_not_know_the_tag_is_refused(clone: Path) -> None:
    """It is told the tag, and nothing is gone."""
    assert apply(clone, image_tag=TAG).returncode == 0
    (clone / NOTE).unlink()
    done = apply(clone)
    assert done.returncode == 1
    assert f'Set image_tag = "{TAG}"' in done.stderr
    assert "terraform_data.running[0]" in terraform(clone, "show").stdout


@needs_terraform
def test_what_may_go_goes(clone: Path) -> None:
    """A refusal that nobody can lift would be in the way of the one who means it."""
    assert apply(clone, image_tag=TAG, allow_destroy="true").returncode == 0
    done = terraform(clone, "destroy", "-auto-approve", "-input=false")
    assert done.returncode == 0, done.stderr
    assert not (clone / NOTE).exists()


def test_the_refusal_comes_before_anything_goes() -> None:
    """What it waits for is removed after it, and a schedule that waits for it is paused after it."""
    waits = set(resource("terraform_data", "running")["depends_on"])
    assert {"${module.service}", "${terraform_data.images}", "${terraform_data.note}"} <= waits
    assert "${google_cloud_run_v2_service.dashboard}" in waits
    assert "${terraform_data.running}" in resource("google_cloud_scheduler_job", "this")["depends_on"]
    assert local("runs") == '${local.tag != ""}'
