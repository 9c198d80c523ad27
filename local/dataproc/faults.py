"""What goes wrong on request: a count for each (step, kind), taken one by one as the step comes by.

- `error`: create_cluster: CREATING and at once ERROR; cluster_start: CREATING for the usual while, then ERROR;
  submit_job: PENDING and at once ERROR; job: RUNNING, then ERROR; delete_cluster: DELETING, then ERROR.
- `never`: create_cluster and cluster_start: CREATING for ever; submit_job: PENDING; job: RUNNING;
  delete_cluster: DELETING for ever.
- `quota` (create_cluster): refused at once as Google refuses it, INVALID_ARGUMENT with an audit entry that names no
  operation.
- `stockout` (cluster_start): CREATING for the usual while, then ERROR, the zone having no machines.
- `adrift` (delete_cluster): the cluster goes, and its jobs are called what they were, until they are cancelled.
- `unavailable` (calls only): UNAVAILABLE, and nothing has happened.
- `lost_answer` (calls only): UNAVAILABLE, although it has happened.
- `lose_audit`: create_cluster: the first CreateCluster entry; cluster_start: the last one; submit_job: the first
  SubmitJob entry; job: the last one; delete_cluster: either DeleteCluster entry, counted singly.

A job with a planned fault never starts its driver. Nothing is random here: whoever plans decides.
"""

from collections import Counter
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Step(StrEnum):
    """Where a fault can strike."""

    CREATE_CLUSTER = "create_cluster"
    CLUSTER_START = "cluster_start"
    SUBMIT_JOB = "submit_job"
    JOB = "job"
    DELETE_CLUSTER = "delete_cluster"


class Kind(StrEnum):
    """What a fault does; see the module's table."""

    ERROR = "error"
    UNAVAILABLE = "unavailable"
    LOST_ANSWER = "lost_answer"
    NEVER = "never"
    LOSE_AUDIT = "lose_audit"
    QUOTA = "quota"
    STOCKOUT = "stockout"
    ADRIFT = "adrift"


_ONLY = {
    Kind.QUOTA: Step.CREATE_CLUSTER,
    Kind.STOCKOUT: Step.CLUSTER_START,
    Kind.ADRIFT: Step.DELETE_CLUSTER,
}
_CALLS = frozenset({Step.CREATE_CLUSTER, Step.SUBMIT_JOB, Step.DELETE_CLUSTER})


class PlannedFault(BaseModel):
    """The next `times` passages of this step go wrong in this way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: Step
    kind: Kind
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1

    @model_validator(mode="after")
    def _strikes_somewhere(self) -> "PlannedFault":
        if self.kind in {Kind.UNAVAILABLE, Kind.LOST_ANSWER} and self.step not in _CALLS:
            raise ValueError(f"{self.kind} strikes calls only: {', '.join(sorted(_CALLS))}")
        if self.step != _ONLY.get(self.kind, self.step):
            raise ValueError(f"{self.kind} strikes {_ONLY[self.kind]} only")
        return self


class Faults:
    """The faults still to come."""

    def __init__(self) -> None:
        self._left: Counter[tuple[Step, Kind]] = Counter()

    def plan(self, fault: PlannedFault) -> None:
        """Add to what is to go wrong."""
        self._left[fault.step, fault.kind] += fault.times

    def take(self, step: Step, kind: Kind) -> bool:
        """Say whether this passage goes wrong in this way, and count it off."""
        if not self._left[step, kind]:
            return False
        self._left[step, kind] -= 1
        return True

    def clear(self) -> None:
        """Forget them all."""
        self._left.clear()

    def left(self) -> list[PlannedFault]:
        """List what is still to go wrong."""
        return [
            PlannedFault(step=step, kind=kind, times=times) for (step, kind), times in self._left.items() if times
        ]
