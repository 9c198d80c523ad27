"""A service that is told nonsense says everything that is wrong with it, once, at start."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from contracts.faults import ContractError
from contracts.names import MARKETS
from eventing.settings import ServiceSettings, load
from services.batch_trigger.settings import Settings as BatchTriggerSettings
from services.cluster_manager.settings import Settings as ClusterManagerSettings
from services.scheduler.settings import Settings as SchedulerSettings

EMULATED = {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1"}
DEPLOYED = {
    "GOOGLE_CLOUD_PROJECT": "p",
    "BUCKET": "b",
    "PUSH_AUDIENCE": "https://x",
    "PUSH_SERVICE_ACCOUNT": "a@p.iam.gserviceaccount.com",
}
ALL = [SchedulerSettings, BatchTriggerSettings, ClusterManagerSettings]


def faults(model: type[ServiceSettings], environment: dict[str, str]) -> list[str]:
    with pytest.raises(ContractError) as caught:
        load(model, environment)
    return [fault.field for fault in caught.value.faults]


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__module__)
@pytest.mark.parametrize("environment", [EMULATED, DEPLOYED])
def test_project_and_bucket_are_enough_beside_who_calls(
    model: type[ServiceSettings], environment: dict[str, str]
) -> None:
    """Everything else has a default that works."""
    assert load(model, environment).port == 8080


def test_a_service_that_believes_everyone_does_not_start() -> None:
    """Without an emulator, the caller's identity is not optional; half of it is not enough."""
    deployed = {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b"}
    assert faults(SchedulerSettings, deployed) == ["PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT"]
    assert faults(SchedulerSettings, deployed | {"PUSH_AUDIENCE": "x"}) == [
        "PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT"
    ]


def test_all_faults_are_reported_together() -> None:
    """One start, one list: not one restart per mistake."""
    wrong = {"PORT": "http", "MARKETS": "DK,D1", "TIME_ZONE": "Mars/Olympus", "MINIMUM_SHARE": "2", "BUCKET": " "}
    assert sorted(faults(SchedulerSettings, wrong)) == [
        "BUCKET",
        "GOOGLE_CLOUD_PROJECT",
        "MARKETS",
        "MINIMUM_SHARE",
        "PORT",
        "PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT",
        "TIME_ZONE",
    ]


def test_values_are_read_as_a_person_writes_them() -> None:
    """Markets by comma, durations in seconds."""
    given = {"MARKETS": "DK, SE NO", "RUN_DEADLINE": "90", "TIME_ZONE": "Europe/Lisbon"}
    read = load(SchedulerSettings, EMULATED | given)
    assert read.markets == ("DK", "SE", "NO")
    assert read.run_deadline == timedelta(seconds=90)
    assert read.zone.key == "Europe/Lisbon"
    assert load(SchedulerSettings, EMULATED).markets == MARKETS
    assert list(MARKETS) == sorted(set(MARKETS))


@pytest.mark.parametrize("schedule", ["0 0 * * 1", "59 23 * * 7", "5 09 * * *", "0 0 1 * *", "0 6 * * MON-FRI"])
def test_a_schedule_is_watched(schedule: str) -> None:
    """What Cloud Scheduler is told, the sweep holds it to."""
    assert load(SchedulerSettings, EMULATED | {"SCHEDULE": schedule}).schedule == schedule


@pytest.mark.parametrize("schedule", ["0 24 * * 1", "60 0 * * 1", "0 0 * * 8", "0 0 31 2 *", "0 0 * *", "weekly"])
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    """A schedule that is not understood would miss ticks that were never due, or none at all."""
    assert faults(SchedulerSettings, EMULATED | {"SCHEDULE": schedule}) == ["SCHEDULE"]


@pytest.mark.parametrize("seconds", ["1e12", "inf", "nan", "31708801"])
def test_a_duration_that_no_run_can_have_is_refused(seconds: str) -> None:
    """A tick would fail for ever where its deadline is beyond the calendar."""
    with pytest.raises(ContractError, match="RUN_DEADLINE"):
        load(SchedulerSettings, EMULATED | {"RUN_DEADLINE": seconds})


def test_spark_properties_are_pairs() -> None:
    """A property without a value would be dropped without a word by the cluster."""
    assert faults(ClusterManagerSettings, EMULATED | {"JOB_PROPERTIES": "a=1,b"}) == ["JOB_PROPERTIES"]


def test_a_process_with_faults_exits_with_two_and_lists_them() -> None:
    """What an operator sees in the log of a service that does not come up."""
    bare = {"PATH": os.environ["PATH"], "PORT": "x"}
    command = [sys.executable, "-m", "services.batch_trigger"]
    ended = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("4 fault(s) in the environment:\n")
    assert "  BUCKET: is missing. Bucket of manifests" in ended.stderr
