"""The description of topics, subscriptions and what else a project must hold, as types: pure.

`infra/topology.json` is the description; Terraform, the local stack, the doctor and the tests read it. Not here:
how it is composed (`contracts/registry.py`), and making any of it (`local/topology.py` does for the emulator, `infra/`
for a project).
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[int, Field(ge=0, le=600)]


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Policy(_Described):
    """How messages are delivered to a service, and when they are given up."""

    ack_deadline: Seconds
    min_backoff: Seconds
    max_backoff: Seconds
    max_delivery_attempts: Annotated[int, Field(ge=5, le=100)]


class PushSubscription(Policy):
    """A subscription whose messages are posted to a service."""

    name: str
    topic: str
    service: str
    dead_letter_topic: str


class PullSubscription(_Described):
    """A subscription a person pulls from."""

    name: str
    topic: str


class BucketNotification(_Described):
    """Which new objects of the bucket are announced, and where."""

    topic: str
    event: str
    object_prefix: str


class LoggingSink(_Described):
    """Where the entries of Dataproc's audit log go, and which of them: in Cloud Logging's query language."""

    name: str = ""
    topic: str
    filter: str = ""


class SchedulerJob(_Described):
    """A tick of Cloud Scheduler."""

    name: str
    topic: str


class Topology(_Described):
    """Topics, subscriptions and their policies, and the names of what else there is."""

    topics: tuple[str, ...]
    push_subscriptions: tuple[PushSubscription, ...]
    pull_subscriptions: tuple[PullSubscription, ...]
    bucket_notification: BucketNotification
    logging_sink: LoggingSink
    scheduler_jobs: tuple[SchedulerJob, ...] = ()
    secrets: tuple[str, ...] = ()
    optional_secrets: tuple[str, ...] = ()
    """Those that a project may do without."""
    service_accounts: tuple[str, ...] = ()
    """Account ids; a service's own is `account_of` its name."""
    apis: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """The services that are pushed to, each once."""
        return tuple(dict.fromkeys(push.service for push in self.push_subscriptions))

    @property
    def dead_letter_topics(self) -> frozenset[str]:
        """Topics that take what could not be delivered."""
        return frozenset(push.dead_letter_topic for push in self.push_subscriptions)


PUSHER = "new-releases-pusher"
"""Account id of who signs the pushes."""


def run_name(service: str) -> str:
    """Name of a service on Cloud Run, which is also its account's id."""
    return f"new-releases-{service.replace('_', '-')}"


def audience_of(service: str) -> str:
    """What a push's token to a service is made out to."""
    return f"https://{run_name(service)}"


def read(path: Path) -> Topology:
    """Read the description.

    Raises:
        pydantic.ValidationError: it is not as the types say.
    """
    return Topology.model_validate_json(path.read_bytes())
