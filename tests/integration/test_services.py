"""Each service as a process of its own, over real HTTP, against real emulators."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from contracts import names
from contracts.documents import Decision, Manifest
from contracts.events import BatchReady, MarketRequested, RunRequested, SweepRequested
from local.processes import Supervisor
from local.pubsub import PubSub
from local.storage import Storage
from tests.builders import RUN, open_manifest
from tests.integration.services import Cloud, cloud, service

pytestmark = pytest.mark.emulator


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Ends every process of the test."""
    with Supervisor(tmp_path) as running:
        yield running


@pytest.fixture
def world(pubsub: PubSub, storage: Storage, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """A project of the test's own."""
    name = f"it-{abs(hash(request.node.name)) % 10**9}"
    with cloud(pubsub, storage.url, name=name, environment={}) as made:
        yield made


def test_a_tick_becomes_48_market_messages(world: Cloud, supervisor: Supervisor) -> None:
    """Fan-out: one manifest, one message per market, each with the run's trace."""
    with service(supervisor, "scheduler", world.environment) as scheduler:
        assert scheduler.post(RunRequested(reason="tick")).status_code == 204
        asked = world.pull("seen-market-requested")
        assert sorted(event.market for event in asked if isinstance(event, MarketRequested)) == sorted(
            names.MARKETS
        )
        written = Manifest.model_validate_json(world.bucket.blob(names.manifest_name(RUN)).download_as_bytes())
        assert written.markets == names.MARKETS
        [line] = scheduler.logged("markets_requested")
        assert line["run_id"] == RUN
        assert line["logging.googleapis.com/trace"].endswith(names.trace_id(RUN))


def test_parts_become_a_decision_and_its_event(world: Cloud, supervisor: Supervisor) -> None:
    """The barrier over real objects, real generations and a real topic."""
    world.bucket.blob(names.manifest_name(RUN)).upload_from_string(open_manifest("DK SE").to_json())
    with service(supervisor, "batch_trigger", world.environment) as trigger:
        for market, status in (("DK", 204), ("SE", 204)):
            name = names.part_name(RUN, market)
            blob = world.bucket.blob(name)
            blob.upload_from_string(market.encode())
            pushed = {
                "eventType": "OBJECT_FINALIZE",
                "bucketId": world.bucket.name,
                "objectId": name,
                "objectGeneration": str(blob.generation),
            }
            body: dict[str, Any] = {
                "message": {"attributes": pushed, "messageId": market},
                "subscription": "p/s/x",
            }
            assert trigger.post_raw(body).status_code == status
        assert world.pull("seen-batch-ready") == [BatchReady(run_id=RUN, revision=1)]
        body_now = world.bucket.blob(names.decision_name(RUN, 1)).download_as_bytes()
        assert [part.market for part in Decision.model_validate_json(body_now).parts] == ["DK", "SE"]


def test_a_part_of_an_unknown_run_is_given_back(world: Cloud, supervisor: Supervisor) -> None:
    """503 with its reason: Pub/Sub brings it again, and then the manifest may be there."""
    with service(supervisor, "batch_trigger", world.environment) as trigger:
        attributes = {
            "eventType": "OBJECT_FINALIZE",
            "bucketId": world.bucket.name,
            "objectId": names.part_name(RUN, "DK"),
            "objectGeneration": "1",
        }
        answer = trigger.post_raw({"message": {"attributes": attributes, "messageId": "1"}})
        assert answer.status_code == 503
        assert "no manifest" in answer.json()["faults"][0]["problem"]


@pytest.mark.parametrize("name", ["scheduler", "batch_trigger"])
def test_a_service_refuses_nonsense_and_stays_up(world: Cloud, supervisor: Supervisor, name: str) -> None:
    """400 with every fault; the next good message is handled."""
    with service(supervisor, name, world.environment) as running:
        refused = running.post_raw({"message": {"data": "e30=", "messageId": "1", "attributes": {"ce-type": "x"}}})
        assert refused.status_code == 400
        fields = {fault["field"] for fault in refused.json()["faults"]}
        assert fields == {"ce-id", "ce-source", "ce-specversion", "ce-type"}
        assert running.post(SweepRequested()).status_code == 204
        assert requests.get(f"{running.url}health/live", timeout=5).json() == {"live": True}


def test_a_service_whose_bucket_is_away_is_not_ready(world: Cloud, supervisor: Supervisor) -> None:
    """Readiness looks at what the service needs, not at itself alone."""
    with service(supervisor, "scheduler", world.environment) as scheduler:
        assert requests.get(f"{scheduler.url}health/ready", timeout=5).json()["ready"] is True
    gone = {**world.environment, "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"}
    port = supervisor.ports.take()
    command: list[str | Path] = [Path(__file__).parents[2] / ".venv/bin/python", "-m", "services.scheduler"]
    child = supervisor.start("no-storage", command, {**gone, "PORT": str(port)}, cwd=Path(__file__).parents[2])

    def refused() -> dict[str, Any] | None:
        try:
            answer = requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=30)
        except requests.ConnectionError:
            return None
        return answer.json() if answer.status_code == 503 else None

    assert "storage" in child.wait_until(refused, within=30)["failures"]
