"""The whole pipeline on one machine: emulators, stand-ins, simulator, the services and the clock's ticks.

`Stack` is a context manager; everything it starts is gone when it ends. Everything it writes lies in one folder,
which one stack at a time may use; stacks in different folders run side by side. The services are the ones that
run in the cloud, told apart by their environment alone.
"""

import fcntl
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from google.api_core.exceptions import GoogleAPIError
from google.api_core.retry import Retry
from google.cloud import bigquery
from google.cloud.storage import Bucket
from google.pubsub_v1.types import PubsubMessage

from contracts import registry
from contracts.envelope.messages import Origin, to_message
from contracts.events import OwnEvent, SweepRequested
from eventing.dataproc import dataproc
from local import choices as chosen
from local import tools, topology
from local.bigquery import BigQuery
from local.choices import BUCKET, DATASET, PROJECT, REGION, TABLE, Addresses, Choices
from local.processes import LOOPBACK, Child, Supervisor, answers
from local.pubsub import PubSub, publisher_at
from local.spark import connectors
from local.storage import Notification, Storage
from ops.surroundings import past_proxies

ROOT = tools.ROOT
TOOLS = ROOT / ".tools"
_TOPOLOGY = ROOT / "infra" / "topology.json"
_SCHEMA = ROOT / "infra" / "bigquery" / "new_releases.schema.json"
_VIEWS = ROOT / "infra" / "bigquery" / "views"
_LOADING = frozenset(name for name, service in registry.services().items() if service.table_role)
"""The others are started first: they need no warehouse."""
_START = 90.0  # seconds until a process must be ready; all of them import at once on two cores


class FolderInUseError(RuntimeError):
    """Another stack uses the folder."""


@contextmanager
def sole_use(folder: Path, *, lock: str = "lock", by: str = "another stack") -> Iterator[None]:
    """Hold the folder, or what else a lock file in it stands for; the hold ends with the process, however that ends.

    Raises:
        FolderInUseError: another process holds it; `by` says what that is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / lock).open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            raise FolderInUseError(
                f"{by}, process {held.read().strip() or 'unknown'}, runs in {folder}; end it first"
            ) from None
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield


class Stack:
    """A local stack; see the module."""

    def __init__(self, choices: Choices, environment: Mapping[str, str], *, first: OwnEvent | None = None) -> None:
        """Nothing starts yet.

        Args:
            choices: What to start.
            environment: The caller's: where Java and the tools are looked for.
            first: Published as soon as what fetches is up; meanwhile what loads starts.
        """
        self.choices = choices
        self._caller = environment
        self._first = first
        logs = choices.home / "logs"
        # Ended in reverse: what a service still has to write while it shuts down is taken.
        self._emulators, self._stand_ins, self._services = Supervisor(logs), Supervisor(logs), Supervisor(logs)
        self._dashboard = Supervisor(logs)
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Start everything and wait until it serves.

        Raises:
            FolderInUseError: another stack uses the folder.
            ToolError: something is missing on this machine.
            ProcessError: a process did not come up; names its log.
        """
        try:
            self._opened.enter_context(sole_use(self.choices.home))
            if self.choices.fresh:
                _empty(self.choices.home)
            for supervisor in self._supervisors:
                self._opened.enter_context(supervisor)
            self._spawn_what_fetches()
            self._furnish_what_fetches()
            self._wait_for_services()
            if self._first:
                self.publish(self._first, cause=str(time.time_ns()))
            self.fetches_since = time.monotonic()
            self._spawn_what_loads()
            self._furnish_what_loads()
            self._wait_for_services()
            self._opened.callback(self._start_sweeping())
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    # --- what is there ---------------------------------------------------------------------------------------

    @property
    def log_dir(self) -> Path:
        """One log for each process."""
        return self._services.log_dir

    @property
    def client_environment(self) -> dict[str, str]:
        """With these variables any Google client reaches the stack."""
        return {**chosen.client_environment(self.addresses), **past_proxies(self._caller)}

    @property
    def process_environment(self) -> dict[str, str]:
        """The same for a process of its own: little of the caller's environment, and that."""
        return {**self._base, **self.client_environment}

    @property
    def service_processes(self) -> list[Child]:
        """The services, each named as in `Addresses.services`."""
        return self._services.children

    @property
    def bucket(self) -> Bucket:
        """The bucket of manifests, parts, decisions and receipts."""
        return self._storage_client.bucket(BUCKET)

    @property
    def emulator_processes(self) -> list[Child]:
        """Pub/Sub, storage, BigQuery and its proxy, named so."""
        return self._emulators.children

    def restart_emulator(self, child: Child) -> None:
        """Start an emulator again, on its port, whether it runs or has ended; returns when it serves.

        Storage and BigQuery go on with what is on their disk. Pub/Sub keeps nothing: topics and subscriptions are
        made again, and what was not delivered is gone.
        """
        child.start_again()
        if child is self.pubsub.child:
            self._make_topics()
        if child is self.storage.child:
            self.storage.wait()
        if child in self.bigquery.children:
            self.bigquery.wait()

    def bigquery_client(self) -> bigquery.Client:
        """A client of the warehouse."""
        return self.bigquery.client(PROJECT)

    def clusters(self) -> list[str]:
        """Names of the clusters there are now, as the real client sees them."""
        with dataproc(REGION, self.addresses.dataproc) as clients:
            found = clients.clusters.list_clusters(project_id=PROJECT, region=REGION)
            return [cluster.cluster_name for cluster in found]

    def publish(self, event: OwnEvent, *, cause: str) -> None:
        """Publish an event, as Cloud Scheduler or a person would."""
        publish(self.pubsub.host, event, cause=cause)

    def check(self) -> None:
        """Raise `ProcessError` if one of the processes has ended."""
        for supervisor in self._supervisors:
            supervisor.check()

    @property
    def _supervisors(self) -> tuple[Supervisor, ...]:
        return self._emulators, self._stand_ins, self._services, self._dashboard

    # --- starting --------------------------------------------------------------------------------------------

    # Each process knows its own port and those of all others beforehand, so none waits for another. All at once
    # they take four seconds on two cores, most of it imports; a run needs half of them only seconds after its tick.

    def _spawn_what_fetches(self) -> None:
        java = tools.java(self._caller, TOOLS)
        self.connectors = connectors.found(
            java.home, self._caller
        )  # a job would look for them, too, minutes later
        base = self._base = chosen.base_environment(self._caller, root=ROOT, java_home=java.home)
        self._spawn_emulators(java, base)
        self.addresses = self._draw_addresses()
        if self.addresses.simulator:
            self._spawn_simulator(self.addresses.simulator, base)
        self._spawn_secret_manager(base)
        self._spawn_services(name for name in self.topology.services if name not in _LOADING)

    def _spawn_what_loads(self) -> None:
        self.bigquery = BigQuery.start(
            self._emulators,
            python=tools.bigquery_python(ROOT),
            data=self.choices.home / "bigquery",
            environment=self._base,
            bucket_root=self.storage.root,
            port=int(self.addresses.bigquery.rsplit(":", 1)[1]),
        )
        self._spawn_services(_LOADING)
        self._spawn_dataproc(self._base)
        if self.addresses.dashboard:
            told = chosen.service_environment(self.choices, self.addresses, self._caller, self._base)
            seen = {**told, "PORT": self.addresses.dashboard.rsplit(":", 1)[1]}
            self._dashboard.start("dashboard", _module("dashboard", []), seen, cwd=ROOT)

    def _spawn_services(self, names: Iterable[str]) -> None:
        told = chosen.service_environment(self.choices, self.addresses, self._caller, self._base)
        for name in names:
            seen = {**told, "PORT": self.addresses.services[name].rsplit(":", 1)[1]}
            self._services.start(name, _module(f"services.{name}", []), seen, cwd=ROOT)

    def _spawn_emulators(self, java: tools.Java, base: Mapping[str, str]) -> None:
        self.topology = topology.read(_TOPOLOGY)
        jar = tools.pubsub_jar(self._caller, TOOLS)
        self.pubsub = PubSub.start(self._emulators, java=java.executable, jar=jar, environment=base)
        self.storage = Storage.start(
            self._emulators,
            binary=tools.storage_binary(),
            root=self.choices.home / "storage",
            environment=base,
            notification=Notification(
                pubsub_host=self.pubsub.host,
                project=PROJECT,
                topic=self.topology.bucket_notification.topic,
                bucket=BUCKET,
                prefix=self.topology.bucket_notification.object_prefix,
            ),
        )

    def _draw_addresses(self) -> Addresses:
        take = self._services.ports.take
        return Addresses(
            pubsub=self.pubsub.host,
            storage=self.storage.url,
            bigquery=f"http://{LOOPBACK}:{self._emulators.ports.take()}",
            dataproc=f"{LOOPBACK}:{take()}",
            secret_manager=f"{LOOPBACK}:{take()}",
            simulator=None if self.choices.spotify else f"http://{LOOPBACK}:{take()}",
            services={name: f"http://{LOOPBACK}:{take()}" for name in self.topology.services},
            dashboard=f"http://{LOOPBACK}:{take()}" if self.choices.dashboard else None,
        )

    def _spawn_simulator(self, url: str, base: Mapping[str, str]) -> None:
        week = ["--week", self.choices.week.isoformat()] if self.choices.week else []
        faults = ["--faults", self.choices.faults] if self.choices.faults else []
        arguments = [*_port(url), "--mode", self.choices.app, "--seed", str(self.choices.seed), *week, *faults]
        self._stand_ins.start("spotify", _module("local.spotify", arguments), base, cwd=ROOT)

    def _spawn_secret_manager(self, base: Mapping[str, str]) -> None:
        """The secrets travel in the environment: an argument could be read in the process list."""
        arguments, values = _port(self.addresses.secret_manager), {}
        for number, (name, value) in enumerate(chosen.secrets(self.choices).items()):
            arguments += ["--secret-from-env", f"{name}=SECRET_{number}"]
            values[f"SECRET_{number}"] = value
        command = _module("local.secret_manager", arguments)
        self._stand_ins.start("secret_manager", command, {**base, **values}, cwd=ROOT)

    def _spawn_dataproc(self, base: Mapping[str, str]) -> None:
        arguments = _port(self.addresses.dataproc)
        arguments += ["--pubsub-emulator", self.addresses.pubsub, "--topic", self.topology.logging_sink.topic]
        arguments += ["--project", PROJECT, "--log-dir", str(self.log_dir)]
        seen = {**base, **self.client_environment}
        # In the stack's folder: Spark leaves its own there, such as spark-warehouse.
        self._stand_ins.start("dataproc", _module("local.dataproc", arguments), seen, cwd=self.choices.home)

    # --- waiting ---------------------------------------------------------------------------------------------

    # What is put into the emulators here, the infrastructure puts into the cloud.

    def _furnish_what_fetches(self) -> None:
        self.storage.wait()
        self.storage.ensure_bucket(PROJECT, BUCKET)
        self._storage_client = self.storage.client(PROJECT)
        self._opened.callback(self._storage_client.close)
        self._make_topics()

    def _furnish_what_loads(self) -> None:
        self._upload_job()
        self.bigquery.wait()
        self.bigquery.ensure_table(PROJECT, DATASET, TABLE, schema=_SCHEMA)
        self.bigquery.ensure_views(PROJECT, DATASET, TABLE, folder=_VIEWS)

    def _make_topics(self) -> None:
        self.pubsub.wait()
        with self.pubsub.publisher() as publisher, self.pubsub.subscriber() as subscriber:
            urls = {name: f"{url}/" for name, url in self.addresses.services.items()}
            topology.create(
                self.topology, project=PROJECT, service_urls=urls, publisher=publisher, subscriber=subscriber
            )

    def _upload_job(self) -> None:
        from spark_job import package  # noqa: PLC0415 -- only a stack needs it

        for built in package.build(self.choices.home / "jobs"):
            self.bucket.blob(f"jobs/{built.name}").upload_from_filename(str(built))

    def _wait_for_services(self) -> None:
        for child in self._stand_ins.children:
            child.wait_for_line("^ready ", within=_START)
        for child in self._services.children:
            child.wait_until(answers(f"{self.addresses.services[child.name]}/health/ready"), within=_START)
        for child in self._dashboard.children:
            child.wait_until(answers(f"{self.addresses.dashboard}/health/ready"), within=_START)

    def _start_sweeping(self) -> "Sweeper":
        sweeper = Sweeper(self.pubsub.host, self.choices.sweep_seconds)
        sweeper.start()
        return sweeper


class Sweeper(threading.Thread):
    """Publishes the sweep tick, as Cloud Scheduler does; calling it ends it."""

    def __init__(self, host: str, seconds: float) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._host = host
        self._seconds = seconds
        self._over = threading.Event()

    def run(self) -> None:
        """Tick until called."""
        while not self._over.wait(self._seconds):
            try:
                publish(self._host, SweepRequested(), cause=datetime.now(UTC).isoformat())
            except GoogleAPIError as error:
                # The next tick does what this one would have done; a dead emulator is told of by `Stack.check`.
                print(f"sweep tick not published: {error}", file=sys.stderr)

    def __call__(self) -> None:
        """End the ticks."""
        self._over.set()
        self.join()


def publish(host: str, event: OwnEvent, *, cause: str, within: float = 20) -> None:
    """Publish an event to the emulator at `host`, as the clock would; gives up after `within` seconds."""
    message = to_message(event, Origin("cloud-scheduler", cause, datetime.now(UTC)))
    with publisher_at(host) as publisher:
        publisher.publish(
            topic=f"projects/{PROJECT}/topics/{event.topic}",
            messages=[PubsubMessage(data=message.data, attributes=message.attributes)],
            retry=Retry(timeout=within),
            timeout=within,
        )


def _empty(home: Path) -> None:
    """Remove what an earlier stack left in the folder."""
    for name in ("storage", "bigquery", "jobs", "logs"):
        shutil.rmtree(home / name, ignore_errors=True)


def _module(name: str, arguments: list[str]) -> list[str | Path]:
    return [sys.executable, "-m", name, *arguments]


def _port(address: str) -> list[str]:
    return ["--port", address.rsplit(":", 1)[1]]
