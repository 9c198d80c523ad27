"""What the cluster manager needs of the outside, in its own words.

Adapters raise `Retryable`, or `Permanent` where Google refuses the request itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from contracts.documents import WarehouseCount
from contracts.names import RAW_DAYS
from eventing.clock import Clock
from eventing.errors import Retryable
from eventing.ledger import RunLedger
from eventing.objects import ObjectInfo
from eventing.publisher import Publisher
from services.cluster_manager.sizing import ClusterSize

ClusterState = Literal[
    "UNKNOWN",
    "CREATING",
    "RUNNING",
    "ERROR",
    "ERROR_DUE_TO_UPDATE",
    "DELETING",
    "UPDATING",
    "STOPPING",
    "STOPPED",
    "STARTING",
    "REPAIRING",
]
"""States of a cluster. Source: ClusterStatus.State of google.cloud.dataproc.v1."""

JobState = Literal[
    "STATE_UNSPECIFIED",
    "PENDING",
    "SETUP_DONE",
    "RUNNING",
    "CANCEL_PENDING",
    "CANCEL_STARTED",
    "CANCELLED",
    "DONE",
    "ERROR",
    "ATTEMPT_FAILURE",
]
"""States of a job. Source: JobStatus.State of google.cloud.dataproc.v1."""

APP_LABEL = "new-releases"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as Dataproc shows it."""

    name: str
    uuid: str
    state: ClusterState
    labels: Mapping[str, str]
    running_since: datetime | None = None
    """When it first ran."""
    size: ClusterSize | None = None
    """What it is made of, as far as Dataproc shows it."""
    details: str = ""
    """What Dataproc says about the state, such as why it could not be made."""

    def is_ours(self, run_id: str) -> bool:
        """Whether the labels say that this project made it for this run."""
        return self.labels.get("app") == APP_LABEL and self.labels.get("run") == run_id


@dataclass(frozen=True, slots=True)
class Job:
    """A job as Dataproc shows it."""

    id: str
    revision: int
    attempt: int
    state: JobState
    cluster: str
    details: str = ""
    """What Dataproc says about the state, such as why it failed."""
    driver_output_uri: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    since: datetime | None = None
    """When it came into its state."""


class NoMachines(Retryable):
    """Google has no quota or no machines for a cluster now; nothing is wrong with the request."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job to submit."""

    run_id: str
    revision: int
    attempt: int
    cluster: str


class Dataproc(Protocol):
    """Clusters and jobs. Creating or submitting what exists already is a success: names are derived."""

    async def clusters(self, run_id: str | None = None) -> list[Cluster]:
        """The clusters that carry our label, of one run or of all."""
        ...

    async def cluster(self, name: str) -> Cluster | None:
        """One cluster, whoever made it."""
        ...

    async def create_cluster(self, name: str, run_id: str, size: ClusterSize) -> None:
        """Begin to create a cluster of this size with our labels and both TTLs.

        Raises:
            NoMachines: refused for quota or machines, and nothing was begun.
        """
        ...

    async def delete_cluster(self, name: str, uuid: str) -> None:
        """Begin to delete exactly this cluster; one that is gone already is a success."""
        ...

    async def jobs(self, run_id: str) -> list[Job]:
        """The jobs of a run, by revision and attempt."""
        ...

    async def submit_job(self, request: JobRequest) -> None:
        """Submit a job."""
        ...

    async def cancel_job(self, identity: str) -> None:
        """Begin to cancel a job; one that has ended or is gone is a success."""
        ...


class Warehouse(Protocol):
    """The table."""

    async def count(self, run_id: str) -> WarehouseCount:
        """What the run's partition holds."""
        ...


class Staging(Protocol):
    """The bucket that takes the outputs of jobs' drivers, in pieces."""

    async def listing(self, prefix: str) -> list[ObjectInfo]:
        """All pieces below a prefix, by name."""
        ...

    async def end(self, name: str, most_bytes: int) -> bytes:
        """At most so many bytes of one piece, from its end."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handlers act on."""

    ledger: RunLedger
    publisher: Publisher
    dataproc: Dataproc
    warehouse: Warehouse
    clock: Clock
    bucket: str
    dashboard_url: str | None = None
    staging: Staging | None = None
    """The bucket that takes drivers' outputs; without it they are not read."""
    raw_days: int = RAW_DAYS
    """How long a part lives; older runs are archived."""
