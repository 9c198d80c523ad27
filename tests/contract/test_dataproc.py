"""What every Dataproc must do for the cluster manager: one suite, on the memory fake and on the adapter.

The adapter speaks through Google's own clients to the stand-in, served in this process. Faked there: the driver, by
a future that a test completes; the clock, which stands still until a test moves it; the audit log's topic.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import grpc
import pytest
from google.cloud import dataproc_v1
from google.cloud.dataproc_v1.services.cluster_controller.transports import ClusterControllerGrpcAsyncIOTransport
from google.cloud.dataproc_v1.services.job_controller.transports import JobControllerGrpcAsyncIOTransport

from contracts.envelope.google_events import dataproc_operation
from contracts.names import cluster_name, job_id
from eventing.errors import Permanent, Retryable
from local.dataproc import server
from local.dataproc.audit import ends_an_operation
from local.dataproc.faults import Kind, PlannedFault, Step
from local.dataproc.world import NO_MACHINES, NO_QUOTA, Setting, World
from services.cluster_manager.adapters.dataproc import ClusterShape, GoogleDataproc, JobShape
from services.cluster_manager.capacity import is_refusal
from services.cluster_manager.ports import APP_LABEL, Cluster, Dataproc, Job, JobRequest, NoMachines
from services.cluster_manager.sizing import ClusterSize
from tests.builders import NOW, RUN, TestClock
from tests.fakes.dataproc import MemoryDataproc
from tests.waiting import eventually

OTHER_RUN = "2026-11-30"
C1, C2 = cluster_name(RUN, 1), cluster_name(RUN, 2)
J1 = job_id(RUN, 1, 1)
WHERE = {"project_id": "p", "region": "r"}
MINUTE = timedelta(minutes=1)
ONE_MACHINE = ClusterSize("e2-standard-4", workers=0)
WITH_WORKERS = ClusterSize("e2-standard-8", workers=3)
CLUSTER_SHAPE = ClusterShape(
    image_version="2.2-debian12",
    connector_version="0.42.1",
    idle_ttl=timedelta(minutes=10),
    max_ttl=timedelta(hours=2),
    staging_bucket="b",
    disk_gb=50,
)
JOB_SHAPE = JobShape(
    main_uri="gs://b/jobs/main.py",
    package_uri="gs://b/jobs/spark_job.zip",
    bucket="b",
    temporary_bucket="b",
    table="p.music.new_releases",
    quarantine_threshold=0.05,
    properties={},
)


class Site(Protocol):
    """A Dataproc, and the hand that moves its clusters and jobs on."""

    @property
    def dataproc(self) -> Dataproc:
        """What is tested."""

    @property
    def clock(self) -> TestClock:
        """Its clock."""

    def hold(self) -> None:
        """Let the next cluster stay CREATING, and the next deleted one DELETING."""

    def no_quota(self) -> None:
        """Refuse the next creation for quota, in Google's words."""

    async def sold_out(self, name: str) -> Cluster:
        """Make this cluster, and let it end for want of machines in its zone."""

    async def adrift(self, name: str, identity: str) -> Job:
        """Take the cluster away from under this running job, which nobody tells."""

    async def running(self, name: str) -> Cluster:
        """Wait until this cluster, not held, is RUNNING."""

    async def stranger(self, name: str) -> None:
        """Somebody else makes a cluster of this name."""

    async def gone(self, name: str) -> None:
        """Wait until the deletion of this cluster, not held, has ended."""

    async def job_running(self, identity: str) -> Job:
        """Wait until this job is RUNNING."""

    async def job_ended(self, identity: str, *, well: bool) -> Job:
        """End the driver of this running job, and wait until the job has ended."""


@dataclass
class MemorySite:
    """The fake, whose states change when told."""

    clock: TestClock
    dataproc: MemoryDataproc

    def hold(self) -> None:
        """Nothing moves here by itself."""

    def no_quota(self) -> None:
        self.dataproc.refusal = NO_QUOTA

    async def sold_out(self, name: str) -> Cluster:
        await self.dataproc.create_cluster(name, RUN, ONE_MACHINE)
        self.dataproc.turn(name, "ERROR", NO_MACHINES)
        return self.dataproc.machines[name]

    async def adrift(self, name: str, identity: str) -> Job:
        self.dataproc.vanish(name)
        return self.dataproc.submitted[identity]

    async def running(self, name: str) -> Cluster:
        self.dataproc.turn(name, "RUNNING")
        return self.dataproc.machines[name]

    async def stranger(self, name: str) -> None:
        self.dataproc.machines[name] = Cluster(
            name, "uuid-of-stranger", "RUNNING", {"app": "another"}, self.clock()
        )

    async def gone(self, name: str) -> None:
        self.dataproc.vanish(name)

    async def job_running(self, identity: str) -> Job:
        return self.dataproc.submitted[identity]

    async def job_ended(self, identity: str, *, well: bool) -> Job:
        self.dataproc.end_job(
            identity, "DONE" if well else "ERROR", "" if well else "Job failed with exit code 3."
        )
        return self.dataproc.submitted[identity]


@dataclass
class StandInSite:
    """The adapter on the stand-in, whose states change by themselves."""

    clock: TestClock
    dataproc: GoogleDataproc
    clusters: dataproc_v1.ClusterControllerAsyncClient
    world: World
    drivers: dict[str, asyncio.Future[int]] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    """What the audit log holds."""

    def order(self, step: Step, kind: Kind) -> None:
        self.world.faults.plan(PlannedFault(step=step, kind=kind))

    def hold(self) -> None:
        self.order(Step.CLUSTER_START, Kind.NEVER)
        self.order(Step.DELETE_CLUSTER, Kind.NEVER)

    def no_quota(self) -> None:
        self.order(Step.CREATE_CLUSTER, Kind.QUOTA)

    async def sold_out(self, name: str) -> Cluster:
        self.order(Step.CLUSTER_START, Kind.STOCKOUT)
        await self.dataproc.create_cluster(name, RUN, ONE_MACHINE)

        async def look() -> Cluster | None:
            found = await self.dataproc.cluster(name)
            return found if found and found.state == "ERROR" else None

        return await eventually(look, within=20)

    async def adrift(self, name: str, identity: str) -> Job:
        self.order(Step.DELETE_CLUSTER, Kind.ADRIFT)
        await self.clusters.delete_cluster(request={**WHERE, "cluster_name": name})
        await self.gone(name)
        return await self.job_running(identity)

    async def running(self, name: str) -> Cluster:
        async def look() -> Cluster | None:
            found = await self.dataproc.cluster(name)
            return found if found and found.state == "RUNNING" else None

        return await eventually(look, within=20)

    async def stranger(self, name: str) -> None:
        cluster = {"project_id": "p", "cluster_name": name, "labels": {"app": "another"}, "config": {}}
        await self.clusters.create_cluster(request={**WHERE, "cluster": cluster})
        await self.running(name)

    async def gone(self, name: str) -> None:
        async def look() -> bool:
            return await self.dataproc.cluster(name) is None

        await eventually(look, within=20)

    async def job_running(self, identity: str) -> Job:
        return await self._job(identity, {"RUNNING"})

    async def job_ended(self, identity: str, *, well: bool) -> Job:
        await eventually(lambda: identity in self.drivers, within=20)
        self.drivers[identity].set_result(0 if well else 3)
        return await self._job(identity, {"DONE", "ERROR"})

    async def _job(self, identity: str, states: set[str]) -> Job:
        async def look() -> Job | None:
            jobs = await self.dataproc.jobs(RUN)
            return next((job for job in jobs if job.id == identity and job.state in states), None)

        return await eventually(look, within=20)


@asynccontextmanager
async def stand_in(log_dir: Path) -> AsyncIterator[StandInSite]:
    """The adapter on a stand-in of its own."""
    clock = TestClock()
    drivers: dict[str, asyncio.Future[int]] = {}

    async def run(job: dataproc_v1.Job, _: Path) -> int:
        drivers[job.reference.job_id] = asyncio.get_running_loop().create_future()
        return await drivers[job.reference.job_id]

    entries: list[dict[str, Any]] = []

    async def publish(data: bytes, _: object) -> None:
        entries.append(json.loads(data))

    async with (
        server.serving(
            Setting(bucket="b", log_dir=log_dir, creating=0, deleting=0),
            run=run,
            publish=publish,
            now=clock,
            new_id=lambda: str(uuid4()),
        ) as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        clusters = dataproc_v1.ClusterControllerAsyncClient(
            transport=ClusterControllerGrpcAsyncIOTransport(channel=channel)
        )
        jobs = dataproc_v1.JobControllerAsyncClient(transport=JobControllerGrpcAsyncIOTransport(channel=channel))
        adapter = GoogleDataproc(
            clusters, jobs, project="p", region="r", cluster_shape=CLUSTER_SHAPE, job_shape=JOB_SHAPE
        )
        serving.world.sink.passes = lambda _: True  # the log itself, not only what the sink lets through
        yield StandInSite(clock, adapter, clusters, serving.world, drivers, entries)


@pytest.fixture(params=["memory", "stand-in"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """An empty Dataproc of either kind."""
    if request.param == "memory":
        clock = TestClock()
        yield MemorySite(clock, MemoryDataproc(clock))
        return
    async with stand_in(tmp_path) as served:
        yield served


def wanted(revision: int = 1, attempt: int = 1, *, run: str = RUN, on: str = C1) -> JobRequest:
    return JobRequest(run, revision, attempt, on)


async def ready(site: Site, name: str = C1, run: str = RUN) -> Cluster:
    await site.dataproc.create_cluster(name, run, ONE_MACHINE)
    return await site.running(name)


async def found(site: Site, name: str = C1) -> Cluster:
    cluster = await site.dataproc.cluster(name)
    assert cluster is not None
    return cluster


# --- clusters ----------------------------------------------------------------------------------------------------


async def test_nothing_is_there_at_first(site: Site) -> None:
    """Absence is an answer, not an error."""
    assert await site.dataproc.clusters() == []
    assert await site.dataproc.clusters(RUN) == []
    assert await site.dataproc.cluster(C1) is None
    assert await site.dataproc.jobs(RUN) == []


async def test_creating_twice_is_one_cluster(site: Site) -> None:
    """A creation whose answer was lost is asked for again; two clusters would cost twice and race."""
    site.hold()
    await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
    first = await found(site)
    await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
    assert await site.dataproc.clusters(RUN) == [first]
    assert first.uuid


async def test_a_cluster_carries_our_labels_and_says_since_when_it_runs(site: Site) -> None:
    """Deleting goes by the labels, the receipt's times by the moment: neither may be made up."""
    site.hold()
    await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
    starting = await found(site)
    assert (starting.state, starting.running_since) == ("CREATING", None)
    site.clock.advance(minutes=2)
    running = await ready(site, C2)
    assert (running.state, running.running_since) == ("RUNNING", NOW + 2 * MINUTE)
    assert running.labels == {"app": APP_LABEL, "run": RUN}
    assert running.is_ours(RUN)


async def test_clusters_are_listed_by_their_run(site: Site) -> None:
    """A run deletes what its listing shows; another run's cluster must not be in it."""
    await ready(site, C1)
    await ready(site, cluster_name(OTHER_RUN, 1), OTHER_RUN)
    assert [cluster.name for cluster in await site.dataproc.clusters(RUN)] == [C1]
    assert {cluster.name for cluster in await site.dataproc.clusters()} == {C1, cluster_name(OTHER_RUN, 1)}


async def test_a_strangers_cluster_is_found_by_name_alone(site: Site) -> None:
    """It blocks our name and has to be seen, but is never ours to use or delete."""
    await site.stranger(C1)
    assert await site.dataproc.clusters() == []
    assert await site.dataproc.clusters(RUN) == []
    assert not (await found(site)).is_ours(RUN)


async def test_creating_where_a_stranger_is_leaves_the_stranger(site: Site) -> None:
    """A taken name is no error of ours and no licence: the next look sees whose it is."""
    await site.stranger(C1)
    before = await found(site)
    await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
    assert await found(site) == before


async def test_a_deletion_with_another_uuid_does_nothing(site: Site) -> None:
    """An old deletion that arrives late must not hit the cluster that bears the name now."""
    await ready(site)
    await site.dataproc.delete_cluster(C1, str(uuid4()))
    assert (await found(site)).state == "RUNNING"


async def test_a_deleted_cluster_is_deleting_then_gone_and_deleting_it_again_is_fine(site: Site) -> None:
    """Whoever deletes last finds nothing, which is what was wanted."""
    cluster = await ready(site)
    await site.dataproc.delete_cluster(C1, cluster.uuid)
    await site.gone(C1)
    assert await site.dataproc.clusters() == []
    await site.dataproc.delete_cluster(C1, cluster.uuid)


async def test_a_cluster_being_deleted_is_not_deleted_twice(site: Site) -> None:
    """It is still listed, so that nobody takes it for gone; a second deletion asks for another look."""
    site.hold()
    await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
    cluster = await found(site)
    await site.dataproc.delete_cluster(C1, cluster.uuid)
    assert [(c.uuid, c.state) for c in await site.dataproc.clusters(RUN)] == [(cluster.uuid, "DELETING")]
    with pytest.raises(Retryable):
        await site.dataproc.delete_cluster(C1, cluster.uuid)


@pytest.mark.parametrize("size", [ONE_MACHINE, WITH_WORKERS], ids=["one machine", "workers"])
async def test_a_cluster_has_the_size_it_was_asked_for(site: Site, size: ClusterSize) -> None:
    """The receipt and its cost go by what Dataproc shows; a worker more or less is money or minutes."""
    await site.dataproc.create_cluster(C1, RUN, size)
    assert (await site.running(C1)).size == size
    assert [cluster.size for cluster in await site.dataproc.clusters(RUN)] == [size]


async def test_a_lack_of_quota_is_no_fault_of_the_request(site: Site) -> None:
    """Dataproc calls it an invalid argument; taken for one, the decision would be dead-lettered and never loaded."""
    site.no_quota()
    with pytest.raises(NoMachines, match="Insufficient 'CPUS' quota"):
        await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
    assert await site.dataproc.cluster(C1) is None


async def test_a_zone_without_machines_is_told_by_the_clusters_end(site: Site) -> None:
    """Creation is accepted, and fails later: only the cluster's own words tell a stockout from a broken cluster."""
    cluster = await site.sold_out(C1)
    assert cluster.state == "ERROR"
    assert is_refusal(cluster.details)


# --- jobs --------------------------------------------------------------------------------------------------------


async def test_submitting_twice_is_one_job(site: Site) -> None:
    """A submission whose answer was lost is made again; two drivers would write the same partition."""
    await ready(site)
    await site.dataproc.submit_job(wanted())
    await site.dataproc.submit_job(wanted())
    assert [job.id for job in await site.dataproc.jobs(RUN)] == [J1]


async def test_submitting_after_the_end_starts_nothing(site: Site) -> None:
    """A late repeat must not load the same decision once more."""
    await ready(site)
    await site.dataproc.submit_job(wanted())
    await site.job_running(J1)
    ended = await site.job_ended(J1, well=True)
    await site.dataproc.submit_job(wanted())
    assert await site.dataproc.jobs(RUN) == [ended]


async def test_jobs_come_by_revision_and_attempt_and_of_one_run(site: Site) -> None:
    """What happens next goes by the last attempt of a revision; order and numbers come from the labels."""
    other = cluster_name(OTHER_RUN, 1)
    await ready(site)
    await ready(site, other, OTHER_RUN)
    for revision, attempt in ((2, 1), (10, 1), (1, 2), (1, 1)):
        await site.dataproc.submit_job(wanted(revision, attempt))
    await site.dataproc.submit_job(wanted(3, 1, run=OTHER_RUN, on=other))
    jobs = await site.dataproc.jobs(RUN)
    assert [(job.revision, job.attempt) for job in jobs] == [(1, 1), (1, 2), (2, 1), (10, 1)]
    assert {job.cluster for job in jobs} == {C1}


async def test_a_job_says_when_it_began_and_ended(site: Site) -> None:
    """The receipt's seconds are the job's own; a job that still runs has no end."""
    await ready(site)
    site.clock.advance(minutes=1)
    await site.dataproc.submit_job(wanted())
    running = await site.job_running(J1)
    assert (running.state, running.started_at, running.ended_at) == ("RUNNING", NOW + MINUTE, None)
    site.clock.advance(minutes=2)
    ended = await site.job_ended(J1, well=True)
    assert (ended.state, ended.started_at, ended.ended_at) == ("DONE", NOW + MINUTE, NOW + 3 * MINUTE)
    assert ended.details == ""
    assert (ended.driver_output_uri or "").startswith("gs://b/")


async def test_a_failed_job_says_why(site: Site) -> None:
    """The receipt of a failed run quotes it; a person starts looking there."""
    await ready(site)
    await site.dataproc.submit_job(wanted())
    await site.job_running(J1)
    ended = await site.job_ended(J1, well=False)
    assert ended.state == "ERROR"
    assert "exit code 3" in ended.details


async def test_a_job_may_be_called_running_after_its_cluster_went_and_can_be_cancelled(site: Site) -> None:
    """Nobody tells its end: whoever waits for it waits for ever. Cancelling what has ended is a success."""
    await ready(site)
    await site.dataproc.submit_job(wanted())
    await site.job_running(J1)
    assert (await site.adrift(C1, J1)).state == "RUNNING"
    assert await site.dataproc.clusters(RUN) == []
    await site.dataproc.cancel_job(J1)

    async def cancelled() -> bool:
        return [job.state for job in await site.dataproc.jobs(RUN)] == ["CANCELLED"]

    await eventually(cancelled, within=20)
    await site.dataproc.cancel_job(J1)
    await site.dataproc.cancel_job("never-was")


@pytest.mark.parametrize("there", [False, True])
async def test_a_cluster_that_does_not_run_takes_no_job(site: Site, *, there: bool) -> None:
    """The cluster changed since it was looked at: look again soon, and have no job on record meanwhile."""
    site.hold()
    if there:
        await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
    with pytest.raises(Retryable):
        await site.dataproc.submit_job(wanted())
    assert await site.dataproc.jobs(RUN) == []


# --- the adapter alone: answers that get lost, requests that cannot be meant --------------------------------------


async def test_a_lost_answer_makes_nothing_twice(tmp_path: Path) -> None:
    """Created and submitted, but the caller was told UNAVAILABLE: asking again finds what was made."""
    async with stand_in(tmp_path) as site:
        site.order(Step.CREATE_CLUSTER, Kind.LOST_ANSWER)
        site.order(Step.SUBMIT_JOB, Kind.LOST_ANSWER)
        await ready(site)
        await site.dataproc.submit_job(wanted())
        assert site.world.faults.left() == []
        assert [cluster.name for cluster in await site.dataproc.clusters()] == [C1]
        assert [job.id for job in await site.dataproc.jobs(RUN)] == [J1]


async def test_a_forgotten_request_is_known_by_its_name(tmp_path: Path) -> None:
    """How long Dataproc remembers request ids is not documented; after that the derived names make repeats one."""
    async with stand_in(tmp_path) as site:
        first = await ready(site)
        await site.dataproc.submit_job(wanted())
        site.world._answered.clear()
        site.world._submitted.clear()
        await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
        await site.dataproc.submit_job(wanted())
        assert [cluster.uuid for cluster in await site.dataproc.clusters()] == [first.uuid]
        assert [job.id for job in await site.dataproc.jobs(RUN)] == [J1]


async def test_what_was_refused_at_once_leaves_an_audit_entry_that_ends_no_operation(tmp_path: Path) -> None:
    """Passed on, and read as an operation's end, it would wake the manager to be refused again."""
    async with stand_in(tmp_path) as site:
        site.no_quota()
        with pytest.raises(NoMachines):
            await site.dataproc.create_cluster(C1, RUN, ONE_MACHINE)
        await eventually(lambda: site.entries, within=20)
    [entry] = site.entries
    event = dataproc_operation(entry)
    assert (event.resource, event.last, "operation" in entry) == (C1, False, False)
    assert entry["protoPayload"]["status"] == {"code": 3, "message": NO_QUOTA}
    assert not ends_an_operation(entry)


async def test_a_request_that_cannot_be_meant_is_not_tried_for_ever(tmp_path: Path) -> None:
    """A malformed name stays malformed; the message goes to the dead letters, with Dataproc's words."""
    async with stand_in(tmp_path) as site:
        with pytest.raises(Permanent, match="create cluster Bad_Name failed: InvalidArgument"):
            await site.dataproc.create_cluster("Bad_Name", RUN, ONE_MACHINE)
