"""The Dataproc stand-in through the real clients, with small real processes as drivers.

Faked: spark-submit, by a Python one-liner that is a process all the same; in all but the marked tests the Pub/Sub
topic, by a list; the clock, which stands still until a test moves it.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import grpc
import pytest
from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    MethodNotImplemented,
    NotFound,
    ServiceUnavailable,
)
from google.api_core.operation_async import AsyncOperation
from google.cloud import dataproc_v1
from google.cloud.dataproc_v1.services.cluster_controller.transports import (
    ClusterControllerGrpcAsyncIOTransport,
)
from google.cloud.dataproc_v1.services.job_controller.transports import JobControllerGrpcAsyncIOTransport
from google.cloud.storage import Bucket
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.types import PubsubMessage, Subscription

from contracts.envelope.messages import Message
from contracts.envelope.reading import parse_message
from local.dataproc import __main__ as command_line
from local.dataproc import audit, driver, server
from local.dataproc import bucket as bucket_files
from local.dataproc.driver import DriverError
from local.dataproc.faults import Kind, PlannedFault, Step
from local.dataproc.world import Setting, World
from local.pubsub import PubSub
from local.storage import Storage
from local.tools import ROOT, Java
from tests.waiting import eventually

HELLO = "print('hello from the driver')"
FAIL = "raise SystemExit(3)"
# A driver with a child of its own that never ends by itself; it says who they are.
ENDLESS = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("pids", os.getpid(), child.pid, flush=True)
signal.pause()
"""
WHERE = {"project_id": "p", "region": "r"}


@dataclass
class StandIn:
    """A stand-in at work, its two clients, what it published, and the clock."""

    world: World
    clusters: dataproc_v1.ClusterControllerAsyncClient
    jobs: dataproc_v1.JobControllerAsyncClient
    entries: list[dict[str, Any]]
    root: Path
    control: str
    moment: list[datetime]
    drivers: list[str] = field(default_factory=list)

    def order(self, step: Step, kind: Kind, times: int = 1) -> None:
        """Order a fault."""
        self.world.faults.plan(PlannedFault(step=step, kind=kind, times=times))

    async def create(self, name: str = "c", *, request_id: str = "", **labels: str) -> AsyncOperation:
        """Ask for a cluster; does not wait for it."""
        return await self.clusters.create_cluster(
            request={**WHERE, "cluster": described(name, **labels), "request_id": request_id}
        )

    async def ready(self, name: str = "c") -> dataproc_v1.Cluster:
        """Make a cluster and wait until it runs."""
        made: dataproc_v1.Cluster = await settled(await self.create(name))
        return made

    async def delete(self, name: str = "c", **more: str) -> AsyncOperation:
        """Ask for a deletion; does not wait for it."""
        return await self.clusters.delete_cluster(request={**WHERE, "cluster_name": name, **more})

    async def cluster(self, name: str = "c") -> dataproc_v1.Cluster:
        """Look at a cluster."""
        return await self.clusters.get_cluster(request={**WHERE, "cluster_name": name})

    async def submit(
        self, code: str = HELLO, job_id: str = "j", *, cluster: str = "c", request_id: str = "", **labels: str
    ) -> dataproc_v1.Job:
        """Submit a job whose driver runs this code."""
        job = {
            "reference": {"job_id": job_id},
            "placement": {"cluster_name": cluster},
            "labels": labels,
            "pyspark_job": {"main_python_file_uri": "gs://b/main.py", "args": [code]},
        }
        return await self.jobs.submit_job(request={**WHERE, "job": job, "request_id": request_id})

    async def job(self, job_id: str = "j") -> dataproc_v1.Job:
        """Look at a job."""
        return await self.jobs.get_job(request={**WHERE, "job_id": job_id})

    async def ended(self, job_id: str = "j") -> dataproc_v1.Job:
        """Wait until a job is done."""

        async def look() -> dataproc_v1.Job | None:
            job = await self.job(job_id)
            return job if job.done else None

        return await eventually(look, within=20)

    async def reached(self, state: str, job_id: str = "j") -> None:
        """Wait until a job is in this state."""

        async def look() -> dataproc_v1.Job | None:
            job = await self.job(job_id)
            return job if job.status.state.name == state else None

        await eventually(look, within=20)

    async def pids(self) -> list[int]:
        """Who the endless driver and its child are."""
        log = self.world.setting.log_dir / "jobs" / "j.log"
        line = await eventually(lambda: log.exists() and log.read_text().partition("\n")[0], within=20)
        return [int(word) for word in str(line).split()[1:]]

    async def told(self, method: str) -> list[dict[str, Any]]:
        """Give what the audit log has told of this method, everything written so far having been delivered."""
        await self.world.sink.drained()
        return [entry for entry in self.entries if entry["protoPayload"]["methodName"].endswith(f".{method}")]


def described(name: str, **labels: str) -> dict[str, Any]:
    """A cluster to ask for, with the scheduled deletion that ours have."""
    schedule = {"idle_delete_ttl": timedelta(minutes=10), "auto_delete_ttl": timedelta(hours=2)}
    return {
        "project_id": "p",
        "cluster_name": name,
        "labels": labels,
        "config": {"lifecycle_config": schedule},
    }


async def settled(operation: AsyncOperation) -> Any:
    """Wait for an operation as the real client does, but look more often."""

    async def end() -> AsyncOperation | None:
        return operation if await operation.done() else None

    ended: AsyncOperation = await eventually(end, within=20)
    return await ended.result()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607 -- ps is in different places
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


def clients_at(
    channel: grpc.aio.Channel,
) -> tuple[dataproc_v1.ClusterControllerAsyncClient, dataproc_v1.JobControllerAsyncClient]:
    """The real clients over an insecure channel."""
    return (
        dataproc_v1.ClusterControllerAsyncClient(transport=ClusterControllerGrpcAsyncIOTransport(channel=channel)),
        dataproc_v1.JobControllerAsyncClient(transport=JobControllerGrpcAsyncIOTransport(channel=channel)),
    )


@asynccontextmanager
async def stand_in(root: Path, **more: Any) -> AsyncIterator[StandIn]:
    """A stand-in of its own, as quick as it can be, and closed cleanly."""
    entries: list[dict[str, Any]] = []
    drivers: list[str] = []
    moment = [datetime(2026, 11, 23, 12, tzinfo=UTC)]
    ids = count(1)

    async def run(job: dataproc_v1.Job, output: Path) -> int:
        drivers.append(job.reference.job_id)
        return await driver.run_process([sys.executable, "-c", job.pyspark_job.args[0]], {}, output)

    async def publish(data: bytes, attributes: Mapping[str, str]) -> None:
        entries.append(json.loads(data) | {"attributes": dict(attributes)})

    where = {"bucket": "b", "log_dir": root / "logs"}
    setting = Setting(**{**where, "creating": 0, "deleting": 0, **more})
    async with (
        server.serving(
            setting,
            run=run,
            publish=publish,
            now=lambda: moment[0],
            new_id=lambda: f"id-{next(ids)}",
            control_port=0,
        ) as serving,
        grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel,
    ):
        control = f"http://127.0.0.1:{serving.control_port}"
        serving.world.sink.passes = lambda _: True  # the log itself, not only what the sink lets through
        yield StandIn(serving.world, *clients_at(channel), entries, root, control, moment, drivers)


@asynccontextmanager
async def python(*arguments: str, cwd: Path, **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process that does not outlive the test, however that ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=cwd, **more
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> list[str]:
    """The words of the next line that it prints."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().split()


def states_of(resource: dataproc_v1.Cluster | dataproc_v1.Job) -> list[str]:
    """Every state there was, in order, the present one last."""
    return [status.state.name for status in (*resource.status_history, resource.status)]


# --- clusters ----------------------------------------------------------------------------------------------------


async def test_a_cluster_is_created_runs_and_is_gone_after_its_deletion(tmp_path: Path) -> None:
    """The operation's futures of the real client end with the RUNNING cluster, and with nothing once deleted."""
    async with stand_in(tmp_path) as dataproc:
        made = await (await dataproc.create(run="2026-11-23")).result()
        assert states_of(made) == ["CREATING", "RUNNING"]
        assert dict(made.labels) == {"run": "2026-11-23"}
        found = await dataproc.cluster()
        assert found.cluster_uuid == made.cluster_uuid != ""
        await (await dataproc.delete(cluster_uuid=made.cluster_uuid)).result()
        with pytest.raises(NotFound, match="projects/p/regions/r/clusters/c"):
            await dataproc.cluster()


async def test_an_operation_says_what_it_is_about(tmp_path: Path) -> None:
    """Before and after its end an operation carries the cluster's name and uuid, and its kind."""
    async with stand_in(tmp_path) as dataproc:
        dataproc.order(Step.CLUSTER_START, Kind.NEVER)
        operation = await dataproc.create()
        assert not await operation.done()
        assert operation.metadata.cluster_name == "c"
        assert operation.metadata.operation_type == "CREATE"
        assert operation.metadata.cluster_uuid == (await dataproc.cluster()).cluster_uuid
        assert operation.metadata.status.state.name == "RUNNING"


async def test_the_same_create_request_makes_one_cluster(tmp_path: Path) -> None:
    """A create request sent again gets the first operation, even when its cluster is gone again."""
    async with stand_in(tmp_path) as dataproc:
        first = await dataproc.create(request_id="same")
        assert (await dataproc.create(request_id="same")).operation.name == first.operation.name
        await settled(first)
        await settled(await dataproc.delete())
        assert (await dataproc.create(request_id="same")).operation.name == first.operation.name
        with pytest.raises(NotFound):
            await dataproc.cluster()
        assert len(await dataproc.told("CreateCluster")) == 2, "nothing was begun twice"


async def test_another_create_request_for_a_taken_name_is_refused(tmp_path: Path) -> None:
    """A name is taken from the request on until the cluster is gone, whatever state it is in."""
    async with stand_in(tmp_path) as dataproc:
        for step, kind in ((Step.CLUSTER_START, Kind.NEVER), (Step.CLUSTER_START, Kind.ERROR)):
            dataproc.order(step, kind)
            await dataproc.create(kind.value, request_id=f"first-{kind}")
            with pytest.raises(AlreadyExists, match=f"Failed to create cluster: Cluster .*/{kind}"):
                await dataproc.create(kind.value, request_id=f"second-{kind}")
        dataproc.order(Step.DELETE_CLUSTER, Kind.NEVER)
        await dataproc.ready("deleting")
        await dataproc.delete("deleting")
        with pytest.raises(AlreadyExists):
            await dataproc.create("deleting")


async def test_a_malformed_cluster_is_refused_with_every_fault(tmp_path: Path) -> None:
    """One answer names all that is wrong, and nothing is created."""
    async with stand_in(tmp_path) as dataproc:
        cluster = described("Not_A_Name", Label="x")
        cluster["config"]["lifecycle_config"]["idle_delete_ttl"] = timedelta(minutes=1)
        with pytest.raises(InvalidArgument, match=r"(?s)Label.*Not_A_Name.*idle_delete_ttl"):
            await dataproc.clusters.create_cluster(request={**WHERE, "cluster": cluster})
        with pytest.raises(InvalidArgument, match="request_id"):
            await dataproc.create(request_id="not a request id")
        assert not dataproc.world.clusters


async def test_clusters_are_listed_by_label_and_state(tmp_path: Path) -> None:
    """A list holds exactly the region's clusters that the filter describes."""
    async with stand_in(tmp_path) as dataproc:
        await settled(await dataproc.create("ours", app="new-releases", run="2026-11-23"))
        await settled(await dataproc.create("theirs", app="other"))
        dataproc.order(Step.CLUSTER_START, Kind.ERROR)
        await dataproc.create("broken", app="new-releases")
        await eventually(lambda: not dataproc.world._starting, within=5)

        async def names(text: str, region: str = "r") -> list[str]:
            pages = await dataproc.clusters.list_clusters(
                request={"project_id": "p", "region": region, "filter": text}
            )
            return [cluster.cluster_name async for cluster in pages]

        assert await names("") == ["ours", "theirs", "broken"]
        assert await names("labels.app = new-releases AND status.state = ACTIVE") == ["ours"]
        assert await names("labels.app = new-releases") == ["ours", "broken"]
        assert await names("status.state = INACTIVE") == ["broken"]
        assert await names("", region="elsewhere") == []
        with pytest.raises(InvalidArgument, match="cannot read"):
            await names("labels.app")


async def test_a_delete_with_another_uuid_spares_the_cluster(tmp_path: Path) -> None:
    """A deletion meant for a former cluster of this name does not touch the present one."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        with pytest.raises(NotFound, match="with uuid former"):
            await dataproc.delete(cluster_uuid="former")
        assert (await dataproc.cluster()).status.state.name == "RUNNING"


async def test_the_same_delete_request_is_one_deletion(tmp_path: Path) -> None:
    """A delete request sent again gets the first operation, also when it is long done; another one is refused."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        dataproc.order(Step.DELETE_CLUSTER, Kind.NEVER)
        first = await dataproc.delete(request_id="same")
        assert (await dataproc.delete(request_id="same")).operation.name == first.operation.name
        with pytest.raises(FailedPrecondition, match="pending delete"):
            await dataproc.delete(request_id="other")
        assert (await dataproc.cluster()).status.state.name == "DELETING"
        await dataproc.ready("quick")
        done = await dataproc.delete("quick", request_id="quick")
        await settled(done)
        again = await dataproc.delete("quick", request_id="quick")
        assert again.operation.name == done.operation.name
        with pytest.raises(NotFound):
            await dataproc.delete("quick", request_id="other")


async def test_a_cluster_deleted_while_it_starts_never_runs(tmp_path: Path) -> None:
    """Deleting a CREATING cluster ends its creation's operation badly, and it is gone for good."""
    # The deletion outlasts the creation, so that a creation that goes on would meet a DELETING cluster.
    async with stand_in(tmp_path, creating=0.1, deleting=0.3) as dataproc:
        creation = await dataproc.create()
        await settled(await dataproc.delete())
        with pytest.raises(GoogleAPICallError, match="before it had started"):
            await settled(creation)
        with pytest.raises(NotFound):
            await dataproc.cluster()


@pytest.mark.parametrize("step", [Step.CREATE_CLUSTER, Step.CLUSTER_START])
async def test_a_cluster_that_fails_to_start_stays_in_error(tmp_path: Path, step: Step) -> None:
    """A failed creation leaves a cluster in ERROR that keeps its name, takes no job and can be deleted."""
    async with stand_in(tmp_path) as dataproc:
        dataproc.order(step, Kind.ERROR)
        with pytest.raises(GoogleAPICallError, match="could not be started"):
            await settled(await dataproc.create())
        found = await dataproc.cluster()
        assert states_of(found) == ["CREATING", "ERROR"]
        assert "could not be started" in found.status.detail
        with pytest.raises(FailedPrecondition, match="is ERROR"):
            await dataproc.submit()
        await settled(await dataproc.delete())
        assert not dataproc.world.clusters


async def test_a_failed_deletion_leaves_the_cluster(tmp_path: Path) -> None:
    """A deletion that fails ends in ERROR, and the next deletion may succeed."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        dataproc.order(Step.DELETE_CLUSTER, Kind.ERROR)
        with pytest.raises(GoogleAPICallError, match="could not be deleted"):
            await settled(await dataproc.delete())
        assert states_of(await dataproc.cluster()) == ["CREATING", "RUNNING", "DELETING", "ERROR"]
        await settled(await dataproc.delete())
        assert not dataproc.world.clusters


async def test_scheduled_deletion_deletes_idle_and_old_clusters_alone(tmp_path: Path) -> None:
    """An idle cluster goes after its idle TTL; one with a job stays, until the maximum age ends the job too."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready("idle")
        await dataproc.ready("busy")
        await dataproc.submit(ENDLESS, cluster="busy")
        await dataproc.reached("RUNNING")
        assert "idle_start_time" in (await dataproc.cluster("idle")).config.lifecycle_config
        assert "idle_start_time" not in (await dataproc.cluster("busy")).config.lifecycle_config

        dataproc.moment[0] += timedelta(minutes=10) - timedelta(seconds=1)
        dataproc.world.enforce_schedules()
        assert {key.name for key in dataproc.world.clusters} == {"idle", "busy"}
        assert all(cluster.status.state.name == "RUNNING" for cluster in dataproc.world.clusters.values())

        dataproc.moment[0] += timedelta(seconds=1)
        dataproc.world.enforce_schedules()
        await eventually(lambda: {key.name for key in dataproc.world.clusters} == {"busy"}, within=10)

        dataproc.moment[0] += timedelta(hours=2)
        dataproc.world.enforce_schedules()
        await eventually(lambda: not dataproc.world.clusters, within=10)
        assert (await dataproc.job()).status.state.name == "ERROR"


# --- jobs --------------------------------------------------------------------------------------------------------


async def test_a_job_runs_its_driver_and_keeps_the_output(tmp_path: Path) -> None:
    """A job goes through its states to DONE; its driver was a real process whose output is kept."""
    async with stand_in(tmp_path) as dataproc:
        cluster = await dataproc.ready()
        submitted = await dataproc.submit(run="2026-11-23")
        assert submitted.status.state.name == "PENDING"
        done = await dataproc.ended()
        assert states_of(done) == ["PENDING", "SETUP_DONE", "RUNNING", "DONE"]
        assert done.placement.cluster_uuid == cluster.cluster_uuid
        assert done.job_uuid == submitted.job_uuid != ""
        folder = f"google-cloud-dataproc-metainfo/{cluster.cluster_uuid}/jobs/j"
        assert done.driver_output_resource_uri == f"gs://b/{folder}/driveroutput"
        assert (tmp_path / "logs" / "jobs" / "j.log").read_text() == "hello from the driver\n"


async def test_a_failing_driver_makes_a_failed_job(tmp_path: Path) -> None:
    """An exit code other than 0 is ERROR, with the code and the place of the output in the details."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        await dataproc.submit(FAIL)
        job = await dataproc.ended()
        assert job.status.state.name == "ERROR"
        assert "exit code 3" in job.status.details
        assert job.driver_output_resource_uri in job.status.details


async def test_a_driver_that_cannot_start_makes_a_failed_job(tmp_path: Path) -> None:
    """Without the driver's program the job ends in ERROR; it neither hangs nor takes the stand-in down."""
    async with stand_in(tmp_path) as dataproc:

        async def missing(_: dataproc_v1.Job, output: Path) -> int:
            return await driver.run_process([str(tmp_path / "no-such-program")], {}, output)

        async def unstartable(_: dataproc_v1.Job, __: Path) -> int:
            raise driver.DriverError("no java")

        await dataproc.ready()
        dataproc.world.run = missing
        await dataproc.submit(job_id="missing")
        job = await dataproc.ended("missing")
        assert (job.status.state.name, "exit code 127" in job.status.details) == ("ERROR", True)
        dataproc.world.run = unstartable
        await dataproc.submit(job_id="unstartable")
        job = await dataproc.ended("unstartable")
        assert (job.status.state.name, "no java" in job.status.details) == ("ERROR", True)


async def test_a_job_id_is_used_once(tmp_path: Path) -> None:
    """A second job of the same id is refused, also after the first has ended; the driver runs once."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        await dataproc.submit()
        with pytest.raises(AlreadyExists, match="Failed to submit job: Job projects/p/regions/r/jobs/j"):
            await dataproc.submit()
        await dataproc.ended()
        with pytest.raises(AlreadyExists):
            await dataproc.submit(request_id="another")
        assert dataproc.drivers == ["j"]


async def test_the_same_submit_request_is_one_job(tmp_path: Path) -> None:
    """A submit request sent again gets the first job as it is now; without an id the server makes one."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        first = await dataproc.submit(job_id="", request_id="same")
        await dataproc.ended(first.reference.job_id)
        again = await dataproc.submit(job_id="", request_id="same")
        assert (again.job_uuid, again.done) == (first.job_uuid, True)
        assert dataproc.drivers == [first.reference.job_id]


async def test_a_job_needs_a_running_cluster(tmp_path: Path) -> None:
    """No cluster is NOT_FOUND, one that is not RUNNING is FAILED_PRECONDITION, and no job comes of either."""
    async with stand_in(tmp_path) as dataproc:
        with pytest.raises(NotFound, match="clusters/c"):
            await dataproc.submit()
        dataproc.order(Step.CLUSTER_START, Kind.NEVER)
        await dataproc.create()
        with pytest.raises(FailedPrecondition, match="is CREATING"):
            await dataproc.submit()
        dataproc.order(Step.DELETE_CLUSTER, Kind.NEVER)
        await dataproc.delete()
        with pytest.raises(FailedPrecondition, match="is DELETING"):
            await dataproc.submit()
        with pytest.raises(NotFound, match="jobs/j"):
            await dataproc.job()


async def test_what_the_stand_in_cannot_run_is_refused(tmp_path: Path) -> None:
    """A job of another kind is UNIMPLEMENTED rather than done without having run; a malformed one is refused."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        hive = {"placement": {"cluster_name": "c"}, "hive_job": {"query_file_uri": "gs://b/q"}}
        with pytest.raises(MethodNotImplemented):
            await dataproc.jobs.submit_job(request={**WHERE, "job": hive})
        with pytest.raises(InvalidArgument, match=r"reference\.job_id"):
            await dataproc.submit(job_id="not an id")


async def test_jobs_are_listed_by_label_state_and_cluster(tmp_path: Path) -> None:
    """A list holds exactly the jobs asked for; a filter overrules the state matcher, as documented."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready("c")
        await dataproc.ready("d")
        await dataproc.submit(job_id="done", run="one")
        await dataproc.ended("done")
        dataproc.order(Step.SUBMIT_JOB, Kind.NEVER)
        await dataproc.submit(job_id="waiting", cluster="d", run="one")

        async def ids(**more: Any) -> list[str]:
            pages = await dataproc.jobs.list_jobs(request={**WHERE, **more})
            return [job.reference.job_id async for job in pages]

        assert await ids() == ["done", "waiting"]
        assert await ids(job_state_matcher="ACTIVE") == ["waiting"]
        assert await ids(job_state_matcher="NON_ACTIVE") == ["done"]
        assert await ids(job_state_matcher="ACTIVE", filter="labels.run = one") == ["done", "waiting"]
        assert await ids(filter="status.state = NON_ACTIVE AND labels.run = one") == ["done"]
        assert await ids(cluster_name="d") == ["waiting"]
        with pytest.raises(InvalidArgument):
            await ids(filter="status.state = DONE")


async def test_a_cancelled_job_has_no_process_left(tmp_path: Path) -> None:
    """Once a job is CANCELLED its driver and the driver's children are gone; cancelling again changes nothing."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        await dataproc.submit(ENDLESS)
        pids = await dataproc.pids()
        pending = await dataproc.jobs.cancel_job(request={**WHERE, "job_id": "j"})
        assert pending.status.state.name == "CANCEL_PENDING"
        job = await dataproc.ended()
        assert states_of(job)[2:] == ["RUNNING", "CANCEL_PENDING", "CANCEL_STARTED", "CANCELLED"]
        assert not any(map(alive, pids))
        with pytest.raises(FailedPrecondition, match="CANCELLED"):
            await dataproc.jobs.cancel_job(request={**WHERE, "job_id": "j"})
        with pytest.raises(NotFound):
            await dataproc.jobs.cancel_job(request={**WHERE, "job_id": "other"})


async def test_deleting_a_cluster_ends_its_jobs(tmp_path: Path) -> None:
    """A job on a deleted cluster ends in ERROR with the reason, its processes killed; other jobs go on."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready("c")
        await dataproc.ready("d")
        await dataproc.submit(ENDLESS)
        await dataproc.submit(ENDLESS, "other", cluster="d")
        pids = await dataproc.pids()
        await settled(await dataproc.delete())
        job = await dataproc.job()
        assert job.status.state.name == "ERROR"
        assert "was deleted while the job ran" in job.status.details
        assert not any(map(alive, pids))
        assert not (await dataproc.job("other")).done


async def test_a_job_being_cancelled_when_its_cluster_goes_ends_once(tmp_path: Path) -> None:
    """Cancelling and deleting at once leaves one final state and one last audit entry."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        await dataproc.submit(ENDLESS)
        await dataproc.pids()
        await dataproc.jobs.cancel_job(request={**WHERE, "job_id": "j"})
        await settled(await dataproc.delete())
        assert (await dataproc.ended()).status.state.name in {"CANCELLED", "ERROR"}
        last = [entry for entry in await dataproc.told("SubmitJob") if entry["operation"].get("last")]
        assert len(last) == 1


async def test_closing_leaves_no_process(tmp_path: Path) -> None:
    """When the stand-in ends, so do the drivers it started and their children."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        await dataproc.submit(ENDLESS)
        pids = await dataproc.pids()
    # A killed child is gone only when the kernel has got round to it.
    assert await eventually(lambda: not any(map(alive, pids)), within=20)


# --- audit -------------------------------------------------------------------------------------------------------


async def test_every_long_running_call_is_told_twice(tmp_path: Path) -> None:
    """Creation, job and deletion each leave a first and a last entry under one operation, in order."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        await dataproc.submit(run="2026-11-23")
        await dataproc.ended()
        await settled(await dataproc.delete(request_id="r-1"))
        await dataproc.world.sink.drained()
        told = [
            (
                entry["protoPayload"]["methodName"].rpartition(".")[2],
                "first" if entry["operation"].get("first") else "last",
                entry["severity"],
                entry["protoPayload"]["resourceName"],
            )
            for entry in dataproc.entries
        ]
        cluster, job = "projects/p/regions/r/clusters/c", "projects/p/regions/r/jobs/j"
        assert told == [
            ("CreateCluster", "first", "NOTICE", cluster),
            ("CreateCluster", "last", "NOTICE", cluster),
            ("SubmitJob", "first", "NOTICE", job),
            ("SubmitJob", "last", "NOTICE", job),
            ("DeleteCluster", "first", "NOTICE", cluster),
            ("DeleteCluster", "last", "NOTICE", cluster),
        ]
        for method in ("CreateCluster", "SubmitJob", "DeleteCluster"):
            first, last = await dataproc.told(method)
            assert first["operation"]["id"] == last["operation"]["id"]
            assert first["insertId"] != last["insertId"]
            assert first["attributes"] == {"logging.googleapis.com/timestamp": first["timestamp"]}
        assert last["protoPayload"]["request"]["requestId"] == "r-1"


async def test_a_bad_end_is_told_with_its_status(tmp_path: Path) -> None:
    """The last entry of a failed creation and of a failed job has severity ERROR and a status."""
    async with stand_in(tmp_path) as dataproc:
        dataproc.order(Step.CLUSTER_START, Kind.ERROR)
        with pytest.raises(GoogleAPICallError, match="could not be started"):
            await settled(await dataproc.create("broken"))
        await dataproc.ready()
        await dataproc.submit(FAIL)
        await dataproc.ended()
        for entry in ((await dataproc.told("CreateCluster"))[1], (await dataproc.told("SubmitJob"))[1]):
            assert entry["severity"] == "ERROR"
            assert entry["protoPayload"]["status"]["code"] == 13
            assert entry["protoPayload"]["status"]["message"]
        assert (await dataproc.told("SubmitJob"))[1]["protoPayload"]["response"]["status"] == {"state": "ERROR"}


async def test_refused_and_repeated_calls_are_not_told(tmp_path: Path) -> None:
    """Only what began or ended is told: a refusal or a repeated request adds no entry."""
    async with stand_in(tmp_path) as dataproc:
        await settled(await dataproc.create(request_id="same"))
        await dataproc.create(request_id="same")
        with pytest.raises(AlreadyExists):
            await dataproc.create(request_id="other")
        assert len(await dataproc.told("CreateCluster")) == 2


# --- faults ------------------------------------------------------------------------------------------------------


async def test_unavailable_has_no_effect_and_the_real_client_tries_again(tmp_path: Path) -> None:
    """A call that was UNAVAILABLE did nothing; the client's own retry then does it once."""
    async with stand_in(tmp_path) as dataproc:
        dataproc.order(Step.CREATE_CLUSTER, Kind.UNAVAILABLE)
        request = {**WHERE, "cluster": described("c")}
        with pytest.raises(ServiceUnavailable):
            await dataproc.clusters.create_cluster(request=request, retry=None)
        assert not dataproc.world.clusters
        dataproc.order(Step.CREATE_CLUSTER, Kind.UNAVAILABLE)
        await settled(await dataproc.create())
        assert dataproc.world.faults.left() == []


async def test_a_lost_answer_has_had_its_effect(tmp_path: Path) -> None:
    """The client's retry after a lost answer is answered by request id, and without one meets ALREADY_EXISTS."""
    async with stand_in(tmp_path) as dataproc:
        dataproc.order(Step.CREATE_CLUSTER, Kind.LOST_ANSWER)
        await settled(await dataproc.create(request_id="same"))
        assert len(dataproc.world.clusters) == 1
        dataproc.order(Step.SUBMIT_JOB, Kind.LOST_ANSWER)
        with pytest.raises(AlreadyExists):
            await dataproc.submit()
        assert (await dataproc.ended()).status.state.name == "DONE"


@pytest.mark.parametrize(
    ("step", "states"),
    [(Step.SUBMIT_JOB, ["PENDING", "ERROR"]), (Step.JOB, ["PENDING", "SETUP_DONE", "RUNNING", "ERROR"])],
)
async def test_an_ordered_job_failure_starts_no_driver(tmp_path: Path, step: Step, states: list[str]) -> None:
    """A job that is to fail ends in ERROR at the step ordered, without a driver; the next job is sound."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        dataproc.order(step, Kind.ERROR)
        await dataproc.submit()
        assert states_of(await dataproc.ended()) == states
        await dataproc.submit(job_id="next")
        assert (await dataproc.ended("next")).status.state.name == "DONE"
        assert dataproc.drivers == ["next"]


@pytest.mark.parametrize(("step", "state"), [(Step.SUBMIT_JOB, "PENDING"), (Step.JOB, "RUNNING")])
async def test_a_job_that_never_moves_can_be_cancelled(tmp_path: Path, step: Step, state: str) -> None:
    """A hanging job stays where it hangs until it is cancelled."""
    async with stand_in(tmp_path) as dataproc:
        await dataproc.ready()
        dataproc.order(step, Kind.NEVER)
        await dataproc.submit()
        await dataproc.reached(state)
        await dataproc.jobs.cancel_job(request={**WHERE, "job_id": "j"})
        assert (await dataproc.ended()).status.state.name == "CANCELLED"


@pytest.mark.parametrize(
    ("step", "left"),
    [
        (Step.CREATE_CLUSTER, ["CreateCluster last"]),
        (Step.CLUSTER_START, ["CreateCluster first"]),
        (Step.DELETE_CLUSTER, []),
    ],
)
async def test_a_lost_audit_entry_is_the_one_ordered(tmp_path: Path, step: Step, left: list[str]) -> None:
    """An ordered loss takes the entries of its step and no other, and is counted."""
    async with stand_in(tmp_path) as dataproc:
        dataproc.order(step, Kind.LOSE_AUDIT, times=2)
        await dataproc.ready()
        await settled(await dataproc.delete())
        method = "DeleteCluster" if step is Step.DELETE_CLUSTER else "CreateCluster"
        told = [
            f"{method} {'first' if entry['operation'].get('first') else 'last'}"
            for entry in await dataproc.told(method)
        ]
        assert told == left
        assert dataproc.world.sink.lost == 2 - len(left)
        assert dataproc.world.sink.published + dataproc.world.sink.lost == 4


async def test_faults_are_ordered_and_the_state_is_read_over_http(tmp_path: Path) -> None:
    """The control door takes orders, refuses senseless ones, forgets them, and shows clusters and jobs."""
    async with stand_in(tmp_path) as dataproc, aiohttp.ClientSession(dataproc.control) as http:
        ordered = await http.post("/faults", json={"step": "job", "kind": "error", "times": 2})
        assert ordered.status == 204
        refused = await http.post("/faults", json={"step": "job", "kind": "unavailable"})
        assert (refused.status, "strikes calls only" in await refused.text()) == (400, True)
        assert (await http.post("/faults", data=b"{")).status == 400
        await dataproc.ready()
        await dataproc.submit(run="2026-11-23")
        await dataproc.ended()
        state = await (await http.get("/state")).json()
        assert [(cluster["name"], cluster["state"]) for cluster in state["clusters"]] == [("c", "RUNNING")]
        assert [(job["id"], job["state"], job["done"]) for job in state["jobs"]] == [("j", "ERROR", True)]
        assert state["faults"] == [{"step": "job", "kind": "error", "times": 1}]
        assert (await http.delete("/faults")).status == 204
        assert (await (await http.get("/state")).json())["faults"] == []


# --- with the real emulators -------------------------------------------------------------------------------------


@pytest.mark.emulator
async def test_entries_reach_the_topic_as_the_services_read_them(tmp_path: Path, pubsub: PubSub) -> None:
    """What the sink publishes arrives on the real topic, its moment as an attribute, and reads as our event."""
    topic, name = (
        "projects/dataproc-audit/topics/operations",
        "projects/dataproc-audit/subscriptions/operations",
    )
    with pubsub.publisher() as publisher, pubsub.subscriber() as subscriber:
        publisher.create_topic(name=topic)
        subscriber.create_subscription(request=Subscription(name=name, topic=topic))
        async with stand_in(tmp_path) as dataproc, server.topic_publisher(pubsub.host, topic) as publish:
            dataproc.world.sink.publish = publish
            dataproc.world.sink.passes = audit.ends_an_operation
            await dataproc.ready()
            await dataproc.submit()
            await dataproc.ended()
            await dataproc.world.sink.drained()
        assert (dataproc.world.sink.published, dataproc.world.sink.lost) == (2, 0)
        messages = await pulled(subscriber, name, 2)
    assert all(message.attributes["logging.googleapis.com/timestamp"] for message in messages)
    events = [
        parse_message(Message(message.data, dict(message.attributes)), message_id=message.message_id).event
        for message in messages
    ]
    assert {(event.method.rpartition(".")[2], event.resource, event.last) for event in events} == {
        ("CreateCluster", "c", True),
        ("SubmitJob", "j", True),
    }


async def pulled(subscriber: SubscriberClient, subscription: str, number: int) -> list[PubsubMessage]:
    """Pull until so many messages have come."""
    messages: list[PubsubMessage] = []
    while len(messages) < number:
        answer = await asyncio.to_thread(subscriber.pull, subscription=subscription, max_messages=10, timeout=30)
        messages += [received.message for received in answer.received_messages]
        subscriber.acknowledge(
            subscription=subscription, ack_ids=[received.ack_id for received in answer.received_messages]
        )
    return messages


@pytest.mark.emulator
async def test_an_entry_that_cannot_be_published_is_counted(
    tmp_path: Path, pubsub: PubSub, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing topic loses the entries, each logged and counted, and no call fails for it."""
    async with (
        stand_in(tmp_path) as dataproc,
        server.topic_publisher(pubsub.host, "projects/p/topics/no") as publish,
    ):
        dataproc.world.sink.publish = publish
        await dataproc.ready()
        await dataproc.world.sink.drained()
    assert (dataproc.world.sink.published, dataproc.world.sink.lost) == (0, 2)
    assert caplog.text.count("is lost") == 2


@pytest.fixture
def objects(storage: Storage) -> Iterator[Bucket]:
    """A bucket of its own in the real storage fake."""
    storage.ensure_bucket("p", "driver-files")
    client = storage.client("p")
    bucket = client.bucket("driver-files")
    yield bucket
    for blob in bucket.list_blobs():
        blob.delete()
    client.close()


@pytest.mark.emulator
def test_a_driver_s_output_is_an_object(objects: Bucket, tmp_path: Path) -> None:
    """It lies where the job says that it does, in a first piece, as Dataproc numbers them."""
    output = tmp_path / "job.log"
    bucket_files.publish(objects, output, prefix="out/driveroutput")
    assert list(objects.list_blobs()) == [], "a driver that was not started has none"
    output.write_text("hello from the driver\n")
    bucket_files.publish(objects, output, prefix="out/driveroutput")
    [blob] = objects.list_blobs()
    assert (blob.name, blob.download_as_text()) == ("out/driveroutput.000000000", "hello from the driver\n")


def test_a_bucket_that_is_away_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the output cannot be stored, the log names the job's place and the reason; nothing is raised."""
    output = tmp_path / "job.log"
    output.write_text("hello")
    blob = Mock(upload_from_filename=Mock(side_effect=ServiceUnavailable("away")))
    bucket_files.publish(Mock(blob=Mock(return_value=blob)), output, prefix="out/driveroutput")
    assert "out/driveroutput is not in the bucket: 503 away" in caplog.text


@pytest.mark.emulator
def test_a_job_s_files_come_from_its_bucket_or_not_at_all(objects: Bucket, tmp_path: Path) -> None:
    """What is not there, of another bucket or no address is an error that names the file."""
    objects.blob("jobs/main.py").upload_from_string("print()")
    address = f"gs://{objects.name}/jobs/main.py"
    assert bucket_files.fetch(objects, address, tmp_path).read_text() == "print()"
    for wrong in ("gs://other/jobs/main.py", "jobs/main.py", f"{address}c", f"gs://{objects.name}/"):
        with pytest.raises(DriverError, match=f"{wrong}: (is not an object of|cannot be read)"):
            bucket_files.fetch(objects, wrong, tmp_path)


# A job as small as can be that writes an object through Hadoop, as ours does.
MAIN = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
path = spark._jvm.org.apache.hadoop.fs.Path(sys.argv[1].removeprefix("--result="))
stream = path.getFileSystem(spark._jsc.hadoopConfiguration()).create(path, True)
stream.write(bytearray(b"written by Spark"))
stream.close()
spark.stop()
print("driver is done")
"""


@pytest.mark.emulator
@pytest.mark.spark
async def test_the_process_runs_a_spark_job(
    storage: Storage, objects: Bucket, pubsub: PubSub, java: Java, tmp_path: Path
) -> None:
    """`python -m local.dataproc` serves the API, runs a real Spark job and shows its result and output as objects."""
    objects.blob("jobs/main.py").upload_from_string(MAIN)
    with pubsub.publisher() as publisher:
        publisher.create_topic(name="projects/dataproc-process/topics/dataproc-operations")
    async with python(
        *("-m", "local.dataproc", "--creating-seconds", "0"),
        *("--log-dir", str(tmp_path), "--control-port", "0"),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "JAVA_HOME": str(java.home),
            "GOOGLE_CLOUD_PROJECT": "dataproc-process",
            "BUCKET": objects.name,
            "PUBSUB_EMULATOR_HOST": pubsub.host,
            "STORAGE_EMULATOR_HOST": storage.url,
            "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9",
        },
        cwd=tmp_path,
    ) as process:
        control, ready = await line_of(process), await line_of(process)
        assert (control[0], ready[0]) == ("control", "ready")
        async with (
            grpc.aio.insecure_channel(ready[1]) as channel,
            aiohttp.ClientSession(f"http://{control[1]}") as http,
        ):
            clusters, jobs = clients_at(channel)
            await settled(await clusters.create_cluster(request={**WHERE, "cluster": described("c")}))
            result = f"gs://{objects.name}/runs/1/loads/0001.json"
            work = {"main_python_file_uri": f"gs://{objects.name}/jobs/main.py", "args": [f"--result={result}"]}
            job = {"reference": {"job_id": "j"}, "placement": {"cluster_name": "c"}, "pyspark_job": work}
            await jobs.submit_job(request={**WHERE, "job": job})

            async def look() -> dataproc_v1.Job | None:
                found = await jobs.get_job(request={**WHERE, "job_id": "j"})
                return found if found.done else None

            done = await eventually(look, within=120)
            assert done.status.state.name == "DONE", (tmp_path / "jobs" / "j.log").read_text()
            assert objects.blob("runs/1/loads/0001.json").download_as_bytes() == b"written by Spark"
            prefix = done.driver_output_resource_uri.removeprefix(f"gs://{objects.name}/")
            (output,) = objects.list_blobs(prefix=prefix)
            assert "driver is done" in output.download_as_bytes().decode()
            told: dict[str, int] = {}

            async def is_told() -> bool:
                """The job's last entry is published after its state is set."""
                told.update((await (await http.get("/state")).json())["audit"])
                return told["published"] >= 2

            await eventually(is_told, within=30)
            assert told == {"published": 2, "lost": 0}
        process.terminate()
        assert await process.wait() == 0


@pytest.mark.emulator
async def test_the_process_tells_the_topic_and_ends_when_asked(tmp_path: Path, pubsub: PubSub) -> None:
    """Told by its options alone where the topic is, the process delivers a call's end, and SIGTERM ends it well."""
    topic, name = "projects/dataproc-told/topics/told", "projects/dataproc-told/subscriptions/told"
    nowhere = "http://127.0.0.1:9"
    with pubsub.publisher() as publisher, pubsub.subscriber() as subscriber:
        publisher.create_topic(name=topic)
        subscriber.create_subscription(request=Subscription(name=name, topic=topic))
        async with python(
            *("-m", "local.dataproc", "--port", "0", "--creating-seconds", "0"),
            *("--log-dir", str(tmp_path), "--bucket", "b", "--java-home", "/"),
            *("--project", "dataproc-told", "--topic", "told", "--pubsub-emulator", pubsub.host),
            *("--storage-emulator", nowhere, "--bigquery-emulator", nowhere),
            cwd=ROOT,
        ) as process:
            word, address = await line_of(process)
            assert word == "ready"
            async with grpc.aio.insecure_channel(address) as channel:
                clusters, _ = clients_at(channel)
                await settled(await clusters.create_cluster(request={**WHERE, "cluster": described("c")}))
            [entry] = [json.loads(message.data) for message in await pulled(subscriber, name, 1)]
            process.terminate()
            assert await process.wait() == 0
    assert entry["operation"]["last"] is True
    assert entry["protoPayload"]["resourceName"] == "projects/p/regions/r/clusters/c"


def test_missing_options_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A stand-in without its surroundings does not start, and says everything that is missing at once."""
    with pytest.raises(SystemExit):
        command_line.parse_arguments(["--log-dir", "l"], {"BUCKET": "b"})
    message = capsys.readouterr().err
    assert "BUCKET" not in message.rpartition("error:")[2]
    for variable in ("GOOGLE_CLOUD_PROJECT", "PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "JAVA_HOME"):
        assert variable in message.rpartition("error:")[2]


# A stand-in whose only job never ends, in a process of its own, to be killed.
HOST = f"""
import asyncio, sys, uuid
from datetime import UTC, datetime
from pathlib import Path
from google.cloud import dataproc_v1 as api
from local.dataproc import driver, server
from local.dataproc.driver import DriverError
from local.dataproc.world import Setting

async def run(job, output):
    return await driver.run_process([sys.executable, "-c", {ENDLESS!r}], {{}}, output)

async def publish(data, attributes):
    pass

async def main(root):
    setting = Setting(bucket="b", log_dir=root, creating=0)
    more = {{"now": lambda: datetime.now(UTC), "new_id": lambda: str(uuid.uuid4())}}
    async with server.serving(setting, run=run, publish=publish, **more) as serving:
        where = {{"project_id": "p", "region": "r"}}
        world = serving.world
        cluster = {{"cluster_name": "c", "config": {{}}}}
        await world.create_cluster(api.CreateClusterRequest(**where, cluster=cluster))
        while list(world.clusters.values())[0].status.state.name != "RUNNING":
            await asyncio.sleep(0.01)
        job = {{"reference": {{"job_id": "j"}}, "placement": {{"cluster_name": "c"}},
               "pyspark_job": {{"main_python_file_uri": "gs://b/m.py"}}}}
        await world.submit_job(api.SubmitJobRequest(**where, job=job))
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_killed_stand_in_leaves_no_driver(tmp_path: Path) -> None:
    """When the stand-in itself is killed without a chance to clean up, drivers and their children end too."""
    async with python("-c", HOST, str(tmp_path), cwd=ROOT) as host:
        assert await line_of(host) == ["up"]
        log = tmp_path / "jobs" / "j.log"
        line = await eventually(lambda: log.exists() and log.read_text().partition("\n")[0], within=20)
        pids = [int(word) for word in str(line).split()[1:]]
        assert all(map(alive, pids))
        host.kill()
        await host.wait()
    await eventually(lambda: not any(map(alive, pids)), within=10)
