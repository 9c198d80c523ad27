"""The outside of the services: Pub/Sub, the bucket, Dataproc and the table, with their real weaknesses.

Each part keeps what it promises in its documentation and nothing more: messages come at least once and in any
order, notifications and audit entries may be late, double or lost, clusters fail, hang and die, and a load that a
dead driver had begun may still happen.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from google.api_core.exceptions import InvalidArgument
from google.rpc import code_pb2

from contracts.documents import Decision, LoadResult, WarehouseCount
from contracts.envelope.dead_letters import DEAD_LETTER_SOURCE
from contracts.envelope.messages import Message
from contracts.names import cluster_claim_name, decision_name, parse_part_name, part_name, run_of_resource
from contracts.parts import PartMetadata
from eventing.errors import Retryable
from local.dataproc import audit
from local.dataproc.world import NO_MACHINES, NO_QUOTA
from services.cluster_manager.adapters import dataproc as adapter
from services.cluster_manager.adapters.dataproc import ClusterShape, JobShape, cluster_message, job_message
from services.cluster_manager.decisions import is_active, takes_jobs
from services.cluster_manager.ports import Cluster, Job, JobRequest, JobState
from services.cluster_manager.sizing import ClusterSize
from spark_job import sink
from spark_job.arguments import Arguments
from spark_job.arguments import parse as parse_arguments
from tests.fakes.dataproc import MemoryDataproc
from tests.fakes.objects import MemoryObjectStore
from tests.simulation import job as spark
from tests.simulation.chance import Chance
from tests.simulation.job import Examined, Row
from tests.virtual_time import let_pass

TOPOLOGY = Path(__file__).parents[2] / "infra/topology.json"
PROJECT, REGION, BUCKET = "simulated-project", "europe-west3", "bucket"


@dataclass
class Outside:
    """What the parts of the cloud share."""

    chance: Chance
    now: Callable[[], datetime]
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    """Starts a task that belongs to no process of ours."""
    note: Callable[[str], None]
    """Writes a line of the history."""
    broken: Callable[[str], None]
    """Tells of a broken invariant."""


# --- Pub/Sub ---------------------------------------------------------------------------------------------------


class Published(NamedTuple):
    """A message on a topic."""

    topic: str
    message: Message
    message_id: str
    published: datetime


@dataclass(frozen=True)
class Subscription:
    """A push subscription of the topology."""

    name: str
    topic: str
    service: str
    ack_deadline: float
    min_backoff: float
    max_backoff: float
    max_delivery_attempts: int
    dead_letter_topic: str


Push = Callable[[Subscription, bytes], Coroutine[Any, Any, int]]


class PubSub:
    """At least once, in any order, with backoff and dead letters."""

    def __init__(self, outside: Outside, push: Push, attempts: Mapping[str, int]) -> None:
        described = json.loads(TOPOLOGY.read_text(encoding="utf-8"))
        found = [Subscription(**entry) for entry in described["push_subscriptions"]]
        self.subscriptions = [
            replace(one, max_delivery_attempts=attempts.get(one.name, one.max_delivery_attempts)) for one in found
        ]
        self._outside = outside
        self._push = push
        self._topics = set(described["topics"])
        self._pull = {entry["topic"]: entry["name"] for entry in described["pull_subscriptions"]}
        self.log: list[Published] = []
        self.kept: list[tuple[str, Published]] = []
        """What waits in the pull subscriptions."""
        self.under_way: dict[tuple[str, str], int] = {}
        """Deliveries that have no end yet: attempts by subscription and message."""
        self._given_up: set[tuple[str, str]] = set()

    def publish(self, topic: str, message: Message) -> None:
        """Take a message; every subscription of the topic gets it."""
        if topic not in self._topics:
            self._outside.broken(f"4: a message went to the topic {topic!r}, which does not exist")
            return
        published = Published(topic, message, str(len(self.log) + 1), self._outside.now())
        self.log.append(published)
        self._outside.note(f"message {published.message_id} on {topic}: {_about(message)}")
        if topic in self._pull:
            self.kept.append((self._pull[topic], published))
        for subscription in self.subscriptions:
            if subscription.topic == topic:
                self.deliver(subscription, published)

    def deliver(self, subscription: Subscription, published: Published) -> None:
        """Begin to deliver a message (again), unless it was given up."""
        if (subscription.name, published.message_id) in self._given_up:
            return
        copies = 2 if self._outside.chance.hit("message doubled") else 1
        for _ in range(copies):
            self._outside.spawn(self._deliver(subscription, published))

    async def _deliver(self, subscription: Subscription, published: Published) -> None:
        chance, key = self._outside.chance, (subscription.name, published.message_id)
        self.under_way.setdefault(key, 0)
        late = chance.hit("message delayed")
        await let_pass(chance.between(1, 1800) if late else chance.between(0.01, 0.3))
        for attempt in range(1, subscription.max_delivery_attempts + 1):
            if key in self.under_way:
                self.under_way[key] = attempt
            status = await self._push(subscription, _push_body(subscription, published, attempt))
            if status == 204 and not chance.hit("acknowledgement lost"):
                self.under_way.pop(key, None)
                return
            longest = subscription.min_backoff * 2.0 ** min(attempt - 1, 12)
            await let_pass(min(subscription.max_backoff, longest))
        self._give_up(subscription, published)
        self.under_way.pop(key, None)

    def _give_up(self, subscription: Subscription, published: Published) -> None:
        source = {
            f"{DEAD_LETTER_SOURCE}Subscription": subscription.name,
            f"{DEAD_LETTER_SOURCE}SubscriptionProject": PROJECT,
            f"{DEAD_LETTER_SOURCE}TopicPublishTime": published.published.isoformat(),
            f"{DEAD_LETTER_SOURCE}DeliveryCount": str(subscription.max_delivery_attempts),
        }
        self._outside.note(f"message {published.message_id} dead-lettered by {subscription.name}")
        self._given_up.add((subscription.name, published.message_id))
        message = Message(published.message.data, {**published.message.attributes, **source})
        self.publish(subscription.dead_letter_topic, message)


def _push_body(subscription: Subscription, published: Published, attempt: int) -> bytes:
    message = {
        "data": base64.b64encode(published.message.data).decode(),
        "attributes": published.message.attributes,
        "messageId": published.message_id,
        "publishTime": published.published.isoformat(),
    }
    path = f"projects/{PROJECT}/subscriptions/{subscription.name}"
    return json.dumps({"message": message, "subscription": path, "deliveryAttempt": attempt}).encode()


def _about(message: Message) -> str:
    attributes = message.attributes
    return attributes.get("ce-subject") or attributes.get("objectId") or attributes.get("about", "")


# --- Cloud Storage ---------------------------------------------------------------------------------------------


class Bucket(MemoryObjectStore):
    """The bucket, which tells of every part written: usually once, soon."""

    def __init__(self, outside: Outside, publish: Callable[[str, Message], None]) -> None:
        super().__init__(outside.now)
        self._outside = outside
        self._publish = publish
        self.spoilt: set[tuple[str, int]] = set()
        """What hands other than the fetcher's have written in a part's place."""
        self.lost: set[str] = set()
        """Parts that have vanished."""

    async def write(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """See `ObjectStore.write`."""
        generation = await super().write(name, body, metadata)
        if name.startswith("raw/") and not self._outside.chance.hit("notification lost"):
            self._publish("raw-finalized", notification(name, generation))
        return generation

    def lose(self, name: str) -> None:
        """Make an object vanish without a word, as hands do, and age."""
        self.lost.add(name)
        del self._objects[name]

    def written(self, prefix: str) -> dict[str, datetime]:
        """When each object below a prefix was written, looked at from outside."""
        return {name: info.updated for name, (_, info) in self._objects.items() if name.startswith(prefix)}

    def metadata(self, name: str) -> Mapping[str, str]:
        """The metadata of an object, looked at from outside."""
        return self._objects[name][1].metadata

    def generation(self, name: str) -> int:
        """Which write of an object stands, looked at from outside."""
        return self._objects[name][1].generation

    def is_part(self, name: str, run_id: str) -> bool:
        """Whether an object is a part of a run, by all that a listing shows of it."""
        key = parse_part_name(name)
        body, metadata = self.body(name), self.metadata(name)
        whole = bool(body) and not (metadata and PartMetadata.of(metadata).fault())
        return key is not None and key.run_id == run_id and whole


def notification(name: str, generation: int) -> Message:
    """A Cloud Storage notification. Source: cloud.google.com/storage/docs/pubsub-notifications."""
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": BUCKET,
        "objectId": name,
        "objectGeneration": str(generation),
    }
    return Message(json.dumps({"name": name, "bucket": BUCKET}).encode(), attributes)


# --- BigQuery --------------------------------------------------------------------------------------------------


class Load(NamedTuple):
    """One replacement of a run's partition."""

    at: datetime
    job: str
    run_id: str
    revision: int
    rows: tuple[Row, ...]
    orphan: bool = False
    """Whether its driver was dead."""


@dataclass
class Table:
    """Partitions that are replaced in one step."""

    partitions: dict[str, Load] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=list)

    def take(self, load: Load, mode: str) -> None:
        """A load job: put these rows in place of the run's rows, or beside them."""
        before = self.partitions.get(load.run_id)
        if mode == "append" and before is not None:
            load = load._replace(rows=before.rows + load.rows)
        self.partitions[load.run_id] = load
        self.loads.append(load)

    async def count(self, run_id: str) -> WarehouseCount:
        """See `Warehouse.count`."""
        load = self.partitions.get(run_id)
        if load is None or not load.rows:
            return WarehouseCount(rows=0, markets=0, albums=0)
        markets, albums = {row[0] for row in load.rows}, {row[1] for row in load.rows}
        return WarehouseCount(
            rows=len(load.rows), markets=len(markets), albums=len(albums), revision=load.revision
        )


@dataclass
class Frame:
    """As much of a Spark DataFrame and its writer as the job's sink uses."""

    load: Load
    table: Table
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def write(self) -> "Frame":
        return self

    def format(self, name: str) -> "Frame":
        assert name == "bigquery"
        return self

    def options(self, **settings: str) -> "Frame":
        self.settings |= settings
        return self

    def mode(self, name: str) -> "Frame":
        self.settings["mode"] = name
        return self

    def save(self, _table: str) -> None:
        assert self.settings["datePartition"] == self.load.run_id.replace("-", "")
        self.table.take(self.load, self.settings["mode"])


# --- Dataproc --------------------------------------------------------------------------------------------------


class Ttls(NamedTuple):
    """When a cluster deletes itself."""

    idle: timedelta
    most: timedelta


@dataclass
class Made:
    """What is kept of every cluster that was ever made."""

    name: str
    uuid: str
    labels: Mapping[str, str]
    ttls: Ttls
    created_at: datetime
    idle_since: datetime
    ours: bool = True
    gone: bool = False


class SimulatedDataproc(MemoryDataproc):
    """Clusters and jobs that live their own lives."""

    def __init__(
        self,
        outside: Outside,
        publish: Callable[[str, Message], None],
        shapes: tuple[ClusterShape, JobShape],
        table: Table,
        bucket: Bucket,
    ) -> None:
        super().__init__(outside.now)
        self._outside = outside
        self._publish = publish
        self._cluster_shape, self._job_shape = shapes
        self._table = table
        self._bucket = bucket
        self.made: dict[str, Made] = {}
        """By uuid."""
        self._asked: dict[str, datetime] = {}
        """When a request id was used first."""
        self._memory = timedelta(hours=outside.chance.one_of((24, 1)))
        """How long a request id is remembered; the real service does not say."""
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, Load] = {}
        """Loads that BigQuery may have begun already, by job."""
        self._examined: dict[str, Examined] = {}
        self.quota_from: datetime = outside.now()
        """Until then there is none."""
        self.orphaned: dict[str, float] = {}
        """Jobs whose driver is to die while BigQuery loads, and after how many seconds that load ends."""
        self.orphans: dict[str, datetime] = {}
        """When the load of a job without a driver ends, or has ended."""

    # The port --------------------------------------------------------------------------------------------------

    async def create_cluster(self, name: str, run_id: str, size: ClusterSize) -> None:
        """See `Dataproc.create_cluster`."""
        now, chance = self._outside.now(), self._outside.chance
        if name in self._asked and now - self._asked[name] < self._memory:
            return  # the first request's operation is the answer, whatever became of its cluster
        if chance.hit("stranger takes the name"):
            self.stranger(name)
        if name in self.machines:
            return  # ALREADY_EXISTS
        if now < self.quota_from or chance.hit("cluster refused for quota"):
            raise self._refusal(name)
        self._asked[name] = now
        if self._bucket.body(cluster_claim_name(run_id, int(name.rsplit("-c", 1)[-1]))) is None:
            self._outside.broken(f"3: cluster {name} was created without a claim on record")
        message = cluster_message(name, run_id, size, PROJECT, self._cluster_shape)
        lifecycle = message["config"]["lifecycle_config"]
        ttls = Ttls(
            *(
                timedelta(seconds=lifecycle[key].seconds) if key in lifecycle else timedelta.max
                for key in ("idle_delete_ttl", "auto_delete_ttl")
            )
        )
        self._make(name, message["labels"], ttls)
        self.machines[name] = replace(self.machines[name], size=size)
        self.created.append(name)

    def _refusal(self, name: str) -> Exception:
        """What the adapter makes of Google's words; the call leaves an entry in the audit log all the same."""
        self._outside.note(f"cluster {name} is refused: {NO_QUOTA}")
        call = _call("ClusterController.CreateCluster", f"clusters/{name}", name, "")
        failure = audit.Failure(code_pb2.INVALID_ARGUMENT, NO_QUOTA)
        self._write(audit.refused_entry(call, at=self._outside.now(), failure=failure), f"{name} refused")
        return adapter._translated(f"create cluster {name}", InvalidArgument(NO_QUOTA))

    def stranger(self, name: str) -> None:
        """Somebody else makes a cluster of this name, without our labels."""
        if name not in self.machines:
            made = self._make(name, {"app": "another"}, Ttls(timedelta.max, timedelta.max))
            made.ours = False
            self.machines[name] = replace(self.machines[name], state="RUNNING")

    def _make(self, name: str, labels: Mapping[str, str], ttls: Ttls) -> Made:
        now, uuid = self._outside.now(), f"uuid-{len(self.made) + 1}"
        self.machines[name] = Cluster(name, uuid, "CREATING", labels)
        made = self.made[uuid] = Made(name, uuid, labels, ttls, now, now)
        self._outside.note(f"cluster {name} ({uuid}) is CREATING, labels {dict(labels)}")
        if labels.get("app") != "another":
            self._outside.spawn(self._start(made))
            self._outside.spawn(self._expire(made))
        return made

    async def delete_cluster(self, name: str, uuid: str) -> None:
        """See `Dataproc.delete_cluster`."""
        found = self.machines.get(name)
        if found is None or found.uuid != uuid:
            return
        if not self.made[uuid].ours:
            self._outside.broken(f"3: a stranger's cluster {name} was deleted")
        if found.state != "DELETING":
            self.deleted.append(name)
            self._begin_deletion(self.made[uuid])

    async def submit_job(self, request: JobRequest) -> None:
        """See `Dataproc.submit_job`."""
        # Looked up late, as the adapter does: one of the planted mistakes is another id.
        identity = vars(adapter)["job_id"](request.run_id, request.revision, request.attempt)
        message = job_message(identity, request, self._job_shape)
        if identity in self.submitted:
            return
        cluster = self.machines.get(message["placement"]["cluster_name"])
        if cluster is None or not takes_jobs(cluster.state):
            raise Retryable(f"dataproc: {request.cluster} takes no jobs")
        self._check_submission(identity, request, cluster)
        self.submitted[identity] = Job(
            identity, request.revision, request.attempt, "PENDING", request.cluster, started_at=self.clock()
        )
        self._outside.note(f"job {identity} is PENDING on {cluster.name}")
        arguments = parse_arguments(message["pyspark_job"]["args"])
        self._audit("JobController.SubmitJob", f"jobs/{identity}", cluster, last=False)
        self._driving[identity] = self._outside.spawn(self._drive(identity, arguments, cluster))

    def _check_submission(self, identity: str, request: JobRequest, cluster: Cluster) -> None:
        if not self.made[cluster.uuid].ours:
            self._outside.broken(f"3: job {identity} was put on a stranger's cluster {cluster.name}")
        for job in self.submitted.values():
            if run_of_resource(job.cluster) == request.run_id and is_active(job.state):
                self._outside.broken(f"2: {identity} was submitted while {job.id} of the same run is {job.state}")

    # What takes time -------------------------------------------------------------------------------------------

    async def _start(self, made: Made) -> None:
        chance = self._outside.chance
        cluster = self.machines[made.name]
        self._audit("ClusterController.CreateCluster", f"clusters/{made.name}", cluster, last=False)
        if chance.hit("cluster hangs"):
            return
        await let_pass(chance.between(60, 150))
        if not self._is(made, "CREATING"):
            return
        sold_out = chance.hit("zone out of machines")
        fails = sold_out or chance.hit("cluster fails")
        self._turn(made, "ERROR" if fails else "RUNNING", NO_MACHINES if sold_out else "")
        made.idle_since = self._outside.now()
        self._audit("ClusterController.CreateCluster", f"clusters/{made.name}", cluster, last=True)
        if not fails and chance.hit("cluster dies"):
            await let_pass(chance.between(5, 600))
            if self._is(made, "RUNNING"):
                self._turn(made, "ERROR")
                self._kill_jobs(made, "the cluster died")

    async def _expire(self, made: Made) -> None:
        while not made.gone:
            await let_pass(120)
            now = self._outside.now()
            busy = any(is_active(job.state) for job in self._jobs_on(made))
            idle = self._is(made, "RUNNING") and not busy and now - made.idle_since > made.ttls.idle
            old = now - made.created_at > made.ttls.most
            if (idle or old) and made.name in self.machines and not self._is(made, "DELETING"):
                self._outside.note(f"cluster {made.name} deletes itself")
                self._begin_deletion(made)

    def _begin_deletion(self, made: Made) -> None:
        self._turn(made, "DELETING")
        cluster = self.machines[made.name]
        self._audit("ClusterController.DeleteCluster", f"clusters/{made.name}", cluster, last=False)
        self._outside.spawn(self._delete(made))

    async def _delete(self, made: Made) -> None:
        chance, cluster = self._outside.chance, self.machines[made.name]
        await let_pass(chance.between(1, 30))
        self._kill_jobs(made, "the cluster was deleted")
        await let_pass(chance.between(10, 60))
        if chance.hit("deletion fails"):
            self._turn(made, "ERROR")
        else:
            del self.machines[made.name]
            made.gone = True
            self._outside.note(f"cluster {made.name} ({made.uuid}) is gone")
        self._audit("ClusterController.DeleteCluster", f"clusters/{made.name}", cluster, last=True)

    async def _drive(self, identity: str, arguments: Arguments, cluster: Cluster) -> None:
        chance, made = self._outside.chance, self.made[cluster.uuid]
        fails = chance.number(3) if chance.hit("job fails") else None
        fails = 1 if identity in self.orphaned else fails
        hangs = chance.number(3) if chance.hit("job hangs") else None
        await let_pass(chance.between(3, 10))
        self.submitted[identity] = replace(self.submitted[identity], state="RUNNING", started_at=self.clock())
        for stage in range(4):
            if stage == hangs:
                await asyncio.get_running_loop().create_future()
            if stage == fails:
                self._end(identity, "ERROR", "the driver failed", made)
                return
            await self._stage(stage, identity, arguments)
        error = self._examined[identity].report.error
        self._end(identity, "ERROR" if error else "DONE", error or "", made)

    async def _stage(self, stage: int, identity: str, arguments: Arguments) -> None:
        """Read, replace, report, linger: between any two the job may end. What is refused is reported all the same."""
        await let_pass(self._outside.chance.between(2, 30))
        if stage == 0:
            self._examine(identity, arguments)
        if stage == 1 and identity in self._begun:
            self._replace(self._begun.pop(identity))
            self._lose_the_answer(identity)
        if stage == 2:
            await self._report(identity, arguments)

    def _examine(self, identity: str, arguments: Arguments) -> None:
        examined = self._examined[identity] = spark.examine(self._bucket, arguments)
        self._check_judgement(identity, examined, arguments)
        if examined.report.error is None:
            run_id, revision = arguments.run_id, arguments.revision
            self._begun[identity] = Load(self._outside.now(), identity, run_id, revision, examined.rows)

    def _check_judgement(self, identity: str, examined: Examined, arguments: Arguments) -> None:
        """What is called bad must not be what was decided; and nothing is refused where all is good."""
        report, body = examined.report, self._bucket.body(decision_name(arguments.run_id, arguments.revision))
        decision = Decision.model_validate_json(body or b"")
        decided = {part.market: part.generation for part in decision.parts}
        for judged in report.bad:
            name = part_name(arguments.run_id, judged.part.market)
            there = self._bucket.body(name) is not None and self._bucket.generation(name)
            self._outside.note(f"job {identity}: {judged.part.file} {judged.reason}")
            if there == decided.get(judged.part.market) and (name, there) not in self._bucket.spoilt:
                self._outside.broken(f"8: job {identity} calls {name} bad, which is as decided")
        if report.error is not None:
            self._outside.note(f"job {identity}: {report.error}")
            if not report.bad:
                self._outside.broken(f"8: job {identity} loads nothing, and no part is bad: {report.error}")

    def _lose_the_answer(self, identity: str) -> None:
        """BigQuery has loaded, and the job is told that it has not."""
        if self._outside.chance.hit("load's answer lost"):
            examined = self._examined[identity]
            self._examined[identity] = replace(examined, report=examined.report.failed("503 from BigQuery"))

    async def _report(self, identity: str, arguments: Arguments) -> None:
        report = self._examined[identity].report
        body = report.document(run_id=arguments.run_id, revision=arguments.revision)
        LoadResult.model_validate_json(body)
        await self._bucket.write(arguments.result.removeprefix(f"gs://{BUCKET}/"), body)

    def _replace(self, load: Load) -> None:
        self._outside.note(f"table: {len(load.rows)} rows of {load.run_id} by {load.job}")
        frame: Any = Frame(load._replace(at=self._outside.now()), self._table)
        date = datetime.fromisoformat(load.run_id).date()
        sink.replace_partition(
            frame, table="table", load_date=date, revision=load.revision, temporary_bucket=BUCKET
        )

    async def _orphan(self, load: Load) -> None:
        """BigQuery goes on with a load whose driver is dead, for hours at most."""
        chance = self._outside.chance
        takes = (
            chance.between(600, 5.9 * 3600) if chance.hit("orphaned load takes hours") else chance.between(1, 20)
        )
        takes = self.orphaned.get(load.job, takes)
        chance.injected["load without a driver"] += 1
        self.orphans[load.job] = self._outside.now() + timedelta(seconds=takes)
        await let_pass(takes)
        self._replace(load._replace(orphan=True))

    def _kill_jobs(self, made: Made, why: str) -> None:
        for job in self._jobs_on(made):
            if is_active(job.state):
                self._driving[job.id].cancel()
                self._end(job.id, "ERROR", why, made)

    # Changes ---------------------------------------------------------------------------------------------------

    def _end(self, identity: str, state: JobState, details: str, made: Made) -> None:
        self.end_job(identity, state, details)
        begun = self._begun.pop(identity, None)
        if begun is not None and (identity in self.orphaned or self._outside.chance.hit("load outlives its job")):
            self._outside.spawn(self._orphan(begun))
        made.idle_since = self._outside.now()
        self._outside.note(f"job {identity} is {state} {details}")
        cluster = Cluster(made.name, made.uuid, "RUNNING", made.labels)
        self._audit("JobController.SubmitJob", f"jobs/{identity}", cluster, last=True)

    def _jobs_on(self, made: Made) -> list[Job]:
        return [job for job in self.submitted.values() if job.cluster == made.name and not made.gone]

    def _is(self, made: Made, state: str) -> bool:
        found = self.machines.get(made.name)
        return found is not None and found.uuid == made.uuid and found.state == state

    def _turn(self, made: Made, state: Any, details: str = "") -> None:
        self._outside.note(f"cluster {made.name} ({made.uuid}) is {state} {details}")
        self.turn(made.name, state, details)

    def _audit(self, method: str, resource: str, cluster: Cluster, *, last: bool) -> None:
        self._tell(_call(method, resource, cluster.name, cluster.uuid), last=last)
        if self._outside.chance.hit("audit entries of others"):
            for end in (False, True):
                self._tell(_call(method, "clusters/analytics", "analytics", "uuid-of-another"), last=end)

    def _tell(self, call: audit.Call, *, last: bool) -> None:
        now, about = self._outside.now(), call.resource_name.split("/", 4)[-1]
        if last:
            self._write(audit.last_entry(call, at=now, response={}, failure=None), f"{about} ended")
        else:
            self._write(audit.first_entry(call, at=now, response={}), f"{about} began")

    def _write(self, entry: Mapping[str, Any], about: str) -> None:
        if not self._outside.chance.hit("audit entry lost"):
            self._publish("dataproc-operations", Message(json.dumps(entry).encode(), {"about": about}))


def _call(method: str, resource: str, cluster: str, uuid: str) -> audit.Call:
    path = f"projects/{PROJECT}/regions/{REGION}"
    return audit.Call(
        method=method,
        project=PROJECT,
        region=REGION,
        cluster_name=cluster,
        cluster_uuid=uuid,
        resource_name=f"{path}/{resource}",
        operation=f"{path}/operations/{resource}",
        request={},
    )
