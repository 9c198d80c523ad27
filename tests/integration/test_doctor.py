"""The doctor on a stack of real emulators and real services in this process: a healthy one, and broken ones.

A whole `make up` stack would prove the same more slowly: what the doctor sees of it are these emulators. Left out: what
only a project has; its judgements are in `tests/unit/test_doctor.py`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web
from google.cloud import bigquery
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.pubsub_v1.types import Subscription, UpdateSubscriptionRequest

from contracts.registry import services
from contracts.topology import Topology, read
from local import tools
from local import topology as making
from local.bigquery import BigQuery
from local.dataproc import server
from local.dataproc.world import Setting
from local.processes import Supervisor
from local.pubsub import PubSub
from local.storage import Notification, Storage
from local.tools import ROOT
from ops.doctor import proof
from ops.doctor.examination import CLOUD_ONLY, examine
from ops.doctor.findings import Finding, is_healthy
from ops.doctor.proof import Patience
from ops.doctor.site import Site, opened
from ops.target import Target
from tests.registry import SETTINGS, part

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(180)]
INFRA = ROOT / "infra"
SCHEMA = INFRA / "bigquery/new_releases.schema.json"


@dataclass
class Patient:
    """A stack of the test's own."""

    site: Site
    project: str

    async def examined(self) -> list[Finding]:
        """Every finding; the doctor's clients block, so that it works in a thread of its own."""
        return await asyncio.to_thread(lambda: list(examine(self.site, datetime.now(UTC))))

    async def complaints(self) -> list[str]:
        """What is not well."""
        return [f"{found.check}: {found.what}" for found in await self.examined() if found.status == "fail"]

    async def proved(
        self, kind: Callable[[Site, str, Patience], Iterator[Finding]], seconds: float = 60
    ) -> list[Finding]:
        """All findings of a proof."""
        patience = Patience(timedelta(seconds=seconds))
        return await asyncio.to_thread(lambda: list(kind(self.site, f"test-{uuid4().hex[:12]}", patience)))

    def left(self) -> list[str]:
        """Objects that a proof left behind."""
        return [blob.name for blob in self.site.storage.list_blobs(self.site.target.bucket)]


def quick(described: Topology) -> Topology:
    """The same edges, given up after seconds in place of minutes and hours."""
    changes = {"min_backoff": 0, "max_backoff": 1, "max_delivery_attempts": 5}
    pushes = tuple(push.model_copy(update=changes) for push in described.push_subscriptions)
    return described.model_copy(update={"push_subscriptions": pushes})


def announcing(supervisor: Supervisor, folder: Path, pubsub: PubSub, project: str, described: Topology) -> Storage:
    """A Cloud Storage that announces what lands, as the description has it."""
    wanted = described.bucket_notification
    notification = Notification(
        pubsub_host=pubsub.host, project=project, topic=wanted.topic, bucket=project, prefix=wanted.object_prefix
    )
    storage = Storage.start(
        supervisor,
        binary=tools.storage_binary(),
        root=folder / "objects",
        environment=os.environ,
        notification=notification,
    )
    storage.wait()
    storage.ensure_bucket(project, project)
    return storage


@asynccontextmanager
async def served(name: str, environment: dict[str, str]) -> AsyncIterator[str]:
    """A real service in this process."""
    given = {key.lower(): value for key, value in environment.items()}
    settings = SETTINGS[name].model_validate({**given, "spotify_client_id": "i", "spotify_client_secret": "s"})
    runner = web.AppRunner(part(name, "wiring").build_app(settings), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def dataproc(log_dir: Path) -> AsyncIterator[str]:
    """A stand-in without a driver."""

    async def run(*_: object) -> int:
        return 0

    async def publish(*_: object) -> None:
        """Nobody listens."""

    setting = Setting(bucket="b", log_dir=log_dir, creating=0, deleting=0)
    now = lambda: datetime.now(UTC)  # noqa: E731 -- a clock
    async with server.serving(setting, run=run, publish=publish, now=now, new_id=lambda: str(uuid4())) as serving:
        yield f"127.0.0.1:{serving.port}"


@pytest.fixture
async def patient(
    pubsub: PubSub, bigquery: BigQuery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Patient]:
    """A healthy stack."""
    project, described = f"doctor-{uuid4().hex[:8]}", quick(read(INFRA / "topology.json"))
    bigquery.ensure_table(project, "music", "new_releases", schema=SCHEMA)
    bigquery.ensure_views(project, "music", "new_releases", folder=INFRA / "bigquery/views")
    async with AsyncExitStack() as running:
        storage = announcing(running.enter_context(Supervisor(tmp_path)), tmp_path, pubsub, project, described)
        emulators = {
            "PUBSUB_EMULATOR_HOST": pubsub.host,
            "STORAGE_EMULATOR_HOST": storage.url,
            "BIGQUERY_EMULATOR_HOST": bigquery.url,
            "DATAPROC_EMULATOR_HOST": await running.enter_async_context(dataproc(tmp_path)),
        }
        for name, value in emulators.items():
            monkeypatch.setenv(name, value)
        told = {**emulators, "GOOGLE_CLOUD_PROJECT": project, "BUCKET": project}
        with pubsub.publisher() as publisher:
            for topic in described.topics:
                publisher.create_topic(name=f"projects/{project}/topics/{topic}")
        urls = {name: await running.enter_async_context(served(name, told)) for name in described.services}
        with pubsub.publisher() as publisher, pubsub.subscriber() as subscriber:
            making.create(
                described,
                project=project,
                service_urls={name: f"{url}/" for name, url in urls.items()},
                publisher=publisher,
                subscriber=subscriber,
            )
        target = Target(
            kind="local",
            project=project,
            bucket=project,
            region="europe-west3",
            dataset="music",
            table="new_releases",
            environment=emulators,
            services=urls,
        )
        with opened(target, described, INFRA) as site:
            yield Patient(site, project)


async def test_a_healthy_stack_has_no_complaint(patient: Patient) -> None:
    """A doctor who always finds something is not listened to; what is not here is said, and not called well."""
    found = await patient.examined()
    assert [finding for finding in found if finding.status not in ("ok", "not_local")] == []
    assert is_healthy(found)
    assert {finding.check for finding in found if finding.status == "not_local"} == set(CLOUD_ONLY)
    assert {"services", "topics", "subscriptions", "bucket", "table", "clusters"} <= {
        finding.check for finding in found if finding.status == "ok"
    }


async def test_every_fault_of_a_broken_stack_is_found(patient: Patient) -> None:
    """A subscription gone, a deadline changed, a topic, view or column gone: each by its name, and nothing else."""
    site = patient.site
    site.subscriber.delete_subscription(subscription=site.subscription("batch-trigger-raw-finalized"))
    changed = Subscription(
        name=site.subscription("cluster-manager-batch-ready"),
        ack_deadline_seconds=17,
        message_retention_duration=Duration(),
    )
    mask = FieldMask(paths=["ack_deadline_seconds"])
    site.subscriber.update_subscription(request=UpdateSubscriptionRequest(subscription=changed, update_mask=mask))
    site.publisher.delete_topic(topic=site.topic("run-finished"))
    site.bigquery.delete_table(f"{site.target.project}.{site.target.dataset}.weeks")
    site.bigquery.delete_table(site.target.table_id)
    columns = [
        bigquery.SchemaField.from_api_repr(dict(field)) for field in site.schema if field["name"] != "explicit"
    ]
    site.bigquery.create_table(bigquery.Table(site.target.table_id, schema=columns))
    complaints = await patient.complaints()
    unready = "is not ready: pubsub: pub/sub: topic run-finished is not reachable: NotFound"
    expected = [
        *(f"services: {name} {unready}" for name, one in services().items() if one.sends),
        "topics: run-finished does not exist",
        "subscriptions: batch-trigger-raw-finalized does not exist: its service hears nothing",
        "subscriptions: cluster-manager-batch-ready: ack deadline is 17, should be 60",
        *(
            f"subscriptions: {name}-run-finished: topic is _deleted-topic_, should be run-finished"
            for name in ("notifier", "operator")
        ),
        f"table: {site.target.table_id}: column explicit is missing",
        f"table: {site.target.table_id}: partitioned by nothing, should be DAY load_date",
        f"table: {site.target.table_id}: clustered by nothing, should be market",
        "views: weeks does not exist",
    ]
    assert sorted(complaints) == sorted(expected)


async def test_a_service_that_is_down_is_named(patient: Patient) -> None:
    """The first question at night is which one."""
    services = dict(patient.site.target.services)
    services["scheduler"] = "http://127.0.0.1:9"
    object.__setattr__(patient.site.target, "services", services)
    complaints = await patient.complaints()
    assert complaints[0] == "services: scheduler is not ready: does not answer: ConnectionError"
    assert "subscriptions: scheduler-run-requested: push endpoint" in complaints[1]


async def test_a_canary_comes_through_every_edge(patient: Patient) -> None:
    """Described as they should be is not delivered as they should be; and nothing of the proof stays."""
    found = await patient.proved(proof.deliveries)
    assert [finding for finding in found if finding.status != "ok"] == []
    assert len(found) == len(patient.site.topology.push_subscriptions)
    assert patient.left() == []


async def test_new_objects_are_announced(patient: Patient) -> None:
    """The first edge of every load; and neither object nor subscription of the proof stays."""
    found = await patient.proved(proof.announcement)
    assert [(finding.status, finding.check) for finding in found] == [("ok", "announcement")]
    listed = patient.site.subscriber.list_subscriptions(project=f"projects/{patient.project}")
    assert not [found.name for found in listed if "/subscriptions/doctor-" in found.name]
    assert patient.left() == []


async def test_a_bucket_that_announces_nothing_is_found(patient: Patient, storage: Storage) -> None:
    """A missing notification is silent: parts land, and no load ever begins."""
    storage.ensure_bucket(patient.project, patient.project)
    patient.site = replace(patient.site, storage=storage.client(patient.project))
    [finding] = await patient.proved(proof.announcement, seconds=3)
    assert (finding.status, finding.check) == ("fail", "announcement")
    assert "parts land unheard" in finding.what


async def test_an_edge_that_delivers_to_nobody_is_found(patient: Patient) -> None:
    """The canary's silence is the finding: this subscription is gone while its siblings on the topic work."""
    patient.site.subscriber.delete_subscription(
        subscription=patient.site.subscription("scheduler-sweep-requested")
    )
    found = await patient.proved(proof.deliveries, seconds=8)
    silent = [finding.what for finding in found if finding.status != "ok"]
    assert silent == ["scheduler-sweep-requested: scheduler heard nothing within 8 s"]


async def test_a_refused_canary_is_recorded_as_a_dead_letter(patient: Patient) -> None:
    """The whole way of a message that nobody can settle: refused, given up, dead-lettered, recorded."""
    found = await patient.proved(proof.dead_letters)
    assert [finding for finding in found if finding.status != "ok"] == []
    ordinary = [push for push in patient.site.topology.push_subscriptions if not push.topic.endswith("-dead")]
    assert len(found) == len(ordinary)
    assert patient.left() == []
