"""What Terraform does with canary.tf: an apply fails where the canary does not arrive, and the next sends it again."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.infra.configuration import INFRA, local, named, resource
from tests.infra.test_running import TAG, apply, needs_terraform, terraform

SURROUNDINGS = """
variable "project_id" { default = "p-12345" }
variable "region" { default = "r" }
variable "canary" { default = true }
variable "image_tag" { default = "" }
variable "told" { default = "" }
locals {
  tag            = var.image_tag
  runs           = local.tag != ""
  topology       = {}
  common_env     = { TOLD = var.told }
  settings       = {}
}
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """canary.tf alone, and a `./releases` that notes how it was called and ends as it is told."""
    infra = tmp_path / "infra"
    infra.mkdir()
    text = (INFRA / "canary.tf").read_text(encoding="utf-8")
    text = re.sub(r"\n  depends_on = \[.*?\]\n", "", text, flags=re.DOTALL)
    (infra / "canary.tf").write_text(text.replace("google_storage_bucket.data.name", '"b"'))
    (infra / "surroundings.tf").write_text(SURROUNDINGS)
    releases = tmp_path / "releases"
    releases.write_text('#!/bin/sh\necho "$*" >> calls\nexit "$(cat answer)"\n')
    releases.chmod(0o755)
    (tmp_path / "answer").write_text("0")
    done = terraform(infra, "init", "-input=false")
    assert done.returncode == 0, done.stderr
    return infra


def calls(clone: Path) -> list[str]:
    """How the canary was sent."""
    noted = clone.parent / "calls"
    return noted.read_text().splitlines() if noted.exists() else []


def deployed(clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """An apply with a tag."""
    return apply(clone, **{"image_tag": TAG, **variables})


@needs_terraform
def test_what_is_deployed_is_proved_once(clone: Path) -> None:
    """Each new version, and each change of what a service is told; an apply that changes nothing sends nothing."""
    expected = "--project p-12345 --region r --bucket b doctor --canary --timeout 900"
    assert deployed(clone).returncode == 0
    assert calls(clone) == [expected]
    assert "No changes." in deployed(clone).stdout
    assert deployed(clone, image_tag="2026-11-30-1").returncode == 0
    assert deployed(clone, image_tag="2026-11-30-1", told="more").returncode == 0
    assert calls(clone) == [expected] * 3


@needs_terraform
@pytest.mark.parametrize("code", [1, 2, 3, 127], ids=["unheard", "usage", "unreachable", "not there"])
def test_an_apply_fails_where_the_canary_does_and_proves_it_again(clone: Path, code: int) -> None:
    """Whatever keeps the proof from being had; a pipeline sees the exit status, a person what to do."""
    (clone.parent / "answer").write_text(str(code))
    done = deployed(clone)
    assert done.returncode == 1
    assert "NOT DEPLOYED" in done.stdout + done.stderr
    assert deployed(clone).returncode == 1
    (clone.parent / "answer").write_text("0")
    assert deployed(clone).returncode == 0
    assert len(calls(clone)) == 3


@needs_terraform
def test_it_can_be_left_out_and_is_before_anything_runs(clone: Path) -> None:
    """The machine that applies may have Terraform alone; and without a service nobody hears a canary."""
    (clone.parent / "answer").write_text("1")
    assert deployed(clone, canary="false").returncode == 0
    assert apply(clone).returncode == 0
    assert calls(clone) == []


@needs_terraform
def test_an_apply_without_an_environment_says_that_nothing_was_proved(clone: Path) -> None:
    """Unset, it is sent where it can be; where it cannot be, nobody takes the silence for a proof."""
    surroundings = clone / "surroundings.tf"
    unset = surroundings.read_text().replace('"canary" { default = true }', '"canary" { default = null }')
    surroundings.write_text(unset)
    done = deployed(clone)
    assert done.returncode == 0
    assert "NOT PROVED" in done.stdout + done.stderr
    assert calls(clone) == []
    python = clone.parent / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    done = deployed(clone)
    assert "NOT PROVED" not in done.stdout + done.stderr
    assert len(calls(clone)) == 1


def test_it_comes_after_all_that_it_proves() -> None:
    """A canary that is sent before a subscription, a right or the notification is there is lost."""
    canary = resource("terraform_data", "canary")
    assert {
        "${google_cloud_scheduler_job.this}",
        "${google_storage_notification.raw}",
        "${terraform_data.running}",
    } <= set(canary["depends_on"])
    assert "${module.service}" in resource("terraform_data", "running")["depends_on"]
    (command,) = named(canary, "command")
    assert "|| true" not in command
    assert local("runs") == '${local.tag != ""}'
