"""What Google does that no schema says: orders of doing, quotas of new projects, rights that come along unasked."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cluster_manager.settings import Settings as ClusterManagerSettings
from tests.infra.configuration import (
    INFRA,
    files,
    local,
    module,
    named,
    parsed,
    project_roles,
    resource,
    resources,
    strings,
)
from tests.registry import SERVICES

ROOT = INFRA.parent
README = (INFRA / "README.md").read_text(encoding="utf-8")
TERRAFORM = shutil.which("terraform")
IMAGES = {*(name.replace("_", "-") for name in SERVICES), "dashboard"}
TAG = "2026-11-23-1"


def default_of(variable: str) -> Any:
    """What a variable is where nobody sets it."""
    blocks = parsed(INFRA / "variables.tf")["variable"]
    (body,) = [block[variable] for block in blocks if variable in block]
    return body["default"]


# --- before and while something is made ------------------------------------------------------------------------


def test_no_source_waits_for_a_change() -> None:
    """What it answers would be unknown while a change is planned, and every grant to it would be made anew."""
    sources = [block for path in files() for block in parsed(path).get("data", [])]
    assert len(sources) == 2
    for block in sources:
        for text in strings(block):
            assert text != "depends_on"
            assert not re.search(r"\$\{.*(google_\w+\.|terraform_data\.|module\.)", text)


def test_what_the_sources_ask_is_enabled_by_hand() -> None:
    """They are read before Terraform has enabled anything."""
    (enabled,) = re.findall(r"^gcloud services enable ((?:.*\\\n)*.*)$", README, re.MULTILINE)
    asked = {"cloudresourcemanager", "serviceusage", "storage", "pubsub", "compute"}
    assert asked <= {name.removesuffix(".googleapis.com") for name in enabled.replace("\\\n", " ").split()}


def test_one_signs_in_before_a_project_is_chosen_and_for_terraform_after_it() -> None:
    """Terraform's own login takes its quota from the project that is chosen when it happens."""
    steps = [
        "gcloud auth login",
        "gcloud config set project",
        "gcloud services enable",
        "gcloud auth application-default",
    ]
    places = [README.index(f"\n{step}") for step in steps]
    assert places == sorted(places)
    assert "gcloud auth application-default set-quota-project" in README


def test_a_new_project_can_build() -> None:
    """It has a quota for builds in few regions, and the region of the services is seldom among them."""
    assert default_of("build_region") == "global"
    command = local("build_command")
    assert "--region=${var.build_region} " in command
    assert "${var.region}" not in command


def test_the_tick_comes_after_the_subscriptions() -> None:
    """A topic keeps nothing for a subscription that is made later: the first tick would be lost."""
    assert "${terraform_data.running}" in resource("google_cloud_scheduler_job", "this")["depends_on"]
    assert "${module.service}" in resource("terraform_data", "running")["depends_on"]


def test_the_dataproc_image_is_pinned_to_its_patch_in_one_place() -> None:
    """A minor version moves by itself, to another connector and another Python; two pins drift apart."""
    assert re.fullmatch(r"\d+\.\d+\.\d+-[a-z]+\d+", ClusterManagerSettings.model_fields["image_version"].default)
    assert default_of("dataproc_image_version") is None
    assert not [path for path in files() if re.search(r"\d-debian", path.read_text(encoding="utf-8"))]


# --- rights ----------------------------------------------------------------------------------------------------


def test_nothing_runs_as_a_default_account() -> None:
    """Compute Engine's own is an editor of the whole project in projects without an organisation."""
    for service in resources("google_cloud_run_v2_service"):
        assert list(named(service.body, "service_account")), service.address
    assert "--service-account=${google_service_account.builder.name}" in local("build_command")
    assert local("settings")["CLUSTER_SERVICE_ACCOUNT"] == "${google_service_account.cluster.email}"


def test_no_default_account_stays_an_editor() -> None:
    """It is made with the API and stands there for whoever finds a way to a machine."""
    enabled = README.index("compute.googleapis.com")
    taken = README.index("gcloud projects remove-iam-policy-binding")
    assert enabled < taken < README.index("terraform -chdir=infra apply")
    command = README[taken:].split("\n\n")[0]
    assert "-compute@developer.gserviceaccount.com" in command
    assert "--role=roles/editor" in command


def test_the_cluster_cannot_read_the_state() -> None:
    """Its role reaches every bucket of the project, and the bucket of the state is none of its business."""
    given = [entry.body for entry in resources() if entry.body.get("role") == "roles/dataproc.worker"]
    assert given == [resource("google_project_iam_member", "cluster_works")]
    (condition,) = given[0]["condition"]
    bucket = r"resource.name.startsWith(\"projects/_/buckets/${local.temporary_bucket}\")".replace("\\", "")
    assert condition["expression"] == f'resource.service != "storage.googleapis.com" || {bucket}'
    assert "roles/dataproc.worker" not in [grant["role"] for grant in project_roles()]
    assert resource("google_storage_bucket", "temporary")["name"] == "${local.temporary_bucket}"


def test_a_viewer_finds_the_dashboard_and_calls_it() -> None:
    """The proxy asks Cloud Run where the service is, which may not be known to everybody who may call it."""
    viewer = resource("google_cloud_run_v2_service_iam_member", "viewer")
    assert viewer["name"] == "${google_cloud_run_v2_service.dashboard[0].name}"
    assert (viewer["role"], viewer["member"]) == ("${each.value.role}", "${each.value.member}")
    roles = set(re.findall(r"roles/run\.\w+", str(local("viewer_grants"))))
    assert roles == {"roles/run.invoker", "roles/run.viewer"}


# --- images ----------------------------------------------------------------------------------------------------


def test_a_tag_is_one_build_for_ever() -> None:
    """A tag that can be moved says nothing about what runs; a policy that would delete its image is never heeded."""
    repository = resource("google_artifact_registry_repository", "images")
    assert repository["docker_config"] == [{"immutable_tags": True}]
    assert "cleanup_policies" not in repository


def test_the_job_is_there_before_an_image_is() -> None:
    """Images are pushed after every step, so that whoever finds an image finds the job of the same build."""
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    assert {image.removeprefix("$_IMAGES/").removesuffix(":$_TAG") for image in build["images"]} == IMAGES
    assert not [step["id"] for step in build["steps"] if "push" in str(step.get("args"))]
    upload = build["steps"][-1]
    assert upload["id"] == "upload-job"
    assert set(upload["waitFor"]) == {"services", "dashboard", "package-job"}


def test_services_come_after_their_images() -> None:
    """Cloud Run refuses a service whose image is not there."""
    assert "${terraform_data.images}" in module("service")["depends_on"]
    assert "${terraform_data.images}" in resource("google_cloud_run_v2_service", "dashboard")["depends_on"]
    environment = resource("terraform_data", "images")["provisioner"][0]["local-exec"]["environment"]
    assert environment["IMAGES"] == '${join(" ", concat(sort(values(local.short_names)), ["dashboard"]))}'


def build(folder: Path, there: Sequence[str], *answers: int) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """build_images.sh with a stand-in for gcloud that knows some images and whose builds end as told."""
    log = folder / "builds"
    (folder / "answers").write_text("".join(f"{answer}\n" for answer in answers))
    gcloud = folder / "gcloud"
    gcloud.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f'artifacts) case \' {" ".join(there)} \' in *" $(basename "$5" :{TAG}) "*) exit 0;; esac; exit 1;;\n'
        f'builds) echo "$*" >> {log}; exit "$(sed -n "$(wc -l < {log})p" {folder}/answers)";;\n'
        "esac\n"
    )
    gcloud.chmod(0o755)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "IMAGES": " ".join(sorted(IMAGES)),
        "BUILD": f"gcloud builds submit . --substitutions=_TAG={TAG}",
        "PREFIX": "europe-west3-docker.pkg.dev/p-12345/new-releases",
        "PROJECT": "p-12345",
        "TAG": TAG,
        "PAUSE": "0",
    }
    command = ["sh", str(INFRA / "build_images.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done, log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    ("answers", "builds", "code"), [((0,), 1, 0), ((1, 0), 2, 0), ((1, 1), 2, 1)], ids=["once", "again", "in vain"]
)
def test_what_is_not_there_is_built(tmp_path: Path, answers: Sequence[int], builds: int, code: int) -> None:
    """A build is tried twice, since new rights take a while, and an apply does not go on without it."""
    done, built = build(tmp_path, [], *answers)
    assert (done.returncode, len(built)) == (code, builds)
    assert built[0].endswith(f"_TAG={TAG}")


def test_what_is_there_is_not_built_again(tmp_path: Path) -> None:
    """Going back to an earlier version is an earlier tag, and its push would be refused."""
    done, built = build(tmp_path, sorted(IMAGES))
    assert (done.returncode, built) == (0, [])


@pytest.mark.parametrize("lost", sorted(IMAGES))
def test_every_image_is_asked_for(tmp_path: Path, lost: str) -> None:
    """A build that was broken off left some of them; the tag cannot be pushed again, and a service would not start."""
    done, built = build(tmp_path, sorted(IMAGES - {lost}), 0)
    assert (done.returncode, built) == (1, [])
    assert f"without {lost}." in done.stderr
    assert "set a new image_tag" in done.stderr


# --- alerts ----------------------------------------------------------------------------------------------------

LAG = 600
"""Seconds that a log line may take until its metric counts it."""


def test_no_alert_looks_away_before_its_metric_is_there() -> None:
    """A window as long as the lag has moved on when the count arrives, and nobody is told."""
    policy = next(entry for entry in resources("google_monitoring_alert_policy") if entry.name == "log")
    (every,) = named(policy.body, "evaluation_interval")
    queries = [alert["query"] for alert in local("log_alerts").values()]
    windows = [
        int(number) * {"m": 60, "h": 3600}[unit] for number, unit in re.findall(r"\[(\d+)(\w)\]", str(queries))
    ]
    assert len(windows) == str(queries).count("increase(")
    assert min(windows) >= 2 * (LAG + int(every.removesuffix("s")))
