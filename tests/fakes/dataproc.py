"""Dataproc in memory, moved on by the test: clusters and jobs change state only when told.

`tests/contract/test_dataproc.py` holds it to what the real adapter does. Not here: PENDING jobs; one that was
submitted runs at once.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from contracts.names import job_id
from eventing.clock import Clock
from eventing.errors import Retryable
from services.cluster_manager.decisions import is_active, takes_jobs
from services.cluster_manager.ports import (
    APP_LABEL,
    Cluster,
    ClusterState,
    Job,
    JobRequest,
    JobState,
    NoMachines,
)
from services.cluster_manager.sizing import ClusterSize

_SOON = timedelta(seconds=5)


@dataclass
class MemoryDataproc:
    """A `Dataproc` as two dictionaries."""

    clock: Clock
    machines: dict[str, Cluster] = field(default_factory=dict)
    submitted: dict[str, Job] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    """Every cluster that was ever made, in order."""
    deleted: list[str] = field(default_factory=list)
    refusal: str | None = None
    """Google's words while it has no quota or no machines; every creation is refused with them."""
    refused: int = 0

    async def clusters(self, run_id: str | None = None) -> list[Cluster]:
        """See `Dataproc.clusters`."""
        ours = [found for found in self.machines.values() if found.labels.get("app") == APP_LABEL]
        return [found for found in ours if run_id is None or found.labels.get("run") == run_id]

    async def cluster(self, name: str) -> Cluster | None:
        """See `Dataproc.cluster`."""
        return self.machines.get(name)

    async def create_cluster(self, name: str, run_id: str, size: ClusterSize) -> None:
        """See `Dataproc.create_cluster`; the same name is the same request and makes one cluster ever."""
        if name in self.machines or name in self.created:
            return
        if self.refusal is not None:
            self.refused += 1
            raise NoMachines(f"dataproc: create cluster {name} failed: {self.refusal}")
        self.created.append(name)
        labels = {"app": APP_LABEL, "run": run_id}
        self.machines[name] = Cluster(name, f"uuid-{len(self.created)}", "CREATING", labels, size=size)

    async def delete_cluster(self, name: str, uuid: str) -> None:
        """See `Dataproc.delete_cluster`."""
        found = self.machines.get(name)
        if found is None or found.uuid != uuid:
            return
        if found.state == "DELETING":
            raise Retryable(f"dataproc: {name} is being deleted")
        self.deleted.append(name)
        self.machines[name] = replace(found, state="DELETING")

    async def jobs(self, run_id: str) -> list[Job]:
        """See `Dataproc.jobs`."""
        mine = [
            job for job in self.submitted.values() if job.id.startswith(f"new-releases-{run_id.replace('-', '')}")
        ]
        return sorted(mine, key=lambda job: (job.revision, job.attempt))

    async def submit_job(self, request: JobRequest) -> None:
        """See `Dataproc.submit_job`."""
        identity = job_id(request.run_id, request.revision, request.attempt)
        if identity in self.submitted:
            return
        cluster = self.machines.get(request.cluster)
        if cluster is None or not takes_jobs(cluster.state):
            raise Retryable(f"dataproc: {request.cluster} takes no jobs")
        self.submitted[identity] = Job(
            identity, request.revision, request.attempt, "RUNNING", request.cluster, started_at=self.clock()
        )

    async def cancel_job(self, identity: str) -> None:
        """See `Dataproc.cancel_job`."""
        found = self.submitted.get(identity)
        if found is not None and is_active(found.state):
            self.end_job(identity, "CANCELLED", "Job was cancelled.")

    def turn(self, name: str, state: ClusterState, details: str = "") -> None:
        """Put a cluster into a state."""
        first = self.machines[name].running_since or (self.clock() if state == "RUNNING" else None)
        changed = {"state": state, "running_since": first, "details": details}
        self.machines[name] = replace(self.machines[name], **changed)  # type: ignore[arg-type]

    def vanish(self, name: str) -> None:
        """A deletion has ended, or someone else made one."""
        del self.machines[name]

    def end_job(self, identity: str, state: JobState, details: str = "") -> None:
        """End a job."""
        uri = f"gs://b/driver/{identity}"
        ended = {"state": state, "details": details, "ended_at": self.clock(), "driver_output_uri": uri}
        self.submitted[identity] = replace(self.submitted[identity], **ended)  # type: ignore[arg-type]
