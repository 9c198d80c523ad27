"""The events: a closed set of frozen models, each the `data` of one CloudEvent.

Those in `OWN_EVENTS` are ours: produced with exactly these fields (`extra="forbid"`), read with unknown fields
ignored, so a newer producer does not break an older consumer. Changing a field's name or meaning makes a new
version of the type; events in flight and in dead-letter topics must stay readable for ever.

The others come from Google, reduced to what a handler may rely on: an event wakes, facts are read elsewhere.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.names import CanaryId, Market, Revision, RunId

Outcome = Literal["loaded", "partial", "failed"]


def _unique(markets: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(markets)) != len(markets):
        raise ValueError("names a market twice; name each once")
    return markets


Markets = Annotated[tuple[Market, ...], Field(min_length=1), AfterValidator(_unique)]


class OwnEvent(BaseModel):
    """An event this project produces."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    type: ClassVar[str]
    """The CloudEvents `type`, with its version."""
    topic: ClassVar[str]
    """The Pub/Sub topic it is published to."""

    @property
    def subject(self) -> str:
        """The CloudEvents `subject`: what the event is about."""
        raise AttributeError(f"{type(self).__name__} has no subject")


class RunRequested(OwnEvent):
    """A run is asked for: the weekly tick, or a person. The scheduler answers with one message per market."""

    type = "newreleases.run.requested.v1"
    topic = "run-requested"

    run_id: RunId | None = None
    """Absent on a tick: the scheduler takes the date of the message's publish time in its time zone."""
    markets: Markets | None = None
    """Absent: all configured markets. A run expects what any of its requests named; it is in the manifest."""
    force: bool = False
    """Accept markets outside the pipeline's own; by default a mistyped one is refused, not waited for."""
    reason: str = Field(default="tick", max_length=500)
    """Why, in a person's words; goes into the manifest."""

    @property
    def subject(self) -> str:
        """The run, or `tick`."""
        return self.run_id or "tick"


class MarketRequested(OwnEvent):
    """One market of a run is to be fetched."""

    type = "newreleases.market.requested.v1"
    topic = "market-requested"

    run_id: RunId
    """The run."""
    market: Market
    """The market, as Spotify names it."""
    replay: bool = False
    """Fetch again and replace the part, although it is there."""
    fresh: bool = False
    """Also pass by the album cache."""
    reason: str = Field(default="run", max_length=500)
    """Why, in words for whoever reads the message."""

    @property
    def subject(self) -> str:
        """The part."""
        return f"{self.run_id}/{self.market}"


class BatchReady(OwnEvent):
    """A decision stands: its parts may be loaded."""

    type = "newreleases.batch.ready.v1"
    topic = "batch-ready"

    run_id: RunId
    """The run."""
    revision: Revision
    """The decision's number, from 1."""

    @property
    def subject(self) -> str:
        """The decision."""
        return f"{self.run_id}/{self.revision}"


class RunFinished(OwnEvent):
    """A decision has its receipt."""

    type = "newreleases.run.finished.v1"
    topic = "run-finished"

    run_id: RunId
    """The run."""
    revision: Revision
    """The decision's number, from 1."""
    outcome: Outcome
    """loaded: every market; partial: loaded, some missing; failed: nothing was loaded by this revision."""
    receipt_uri: str = Field(pattern=r"^gs://[^/]+/.+")
    """Where the receipt lies."""

    @property
    def subject(self) -> str:
        """The decision."""
        return f"{self.run_id}/{self.revision}"


class SweepRequested(OwnEvent):
    """Look at every open run again and repair what a lost event left undone."""

    type = "newreleases.sweep.requested.v1"
    topic = "sweep-requested"

    reason: str = Field(default="sweep", max_length=500)
    """Why, in words for whoever reads the message."""

    @property
    def subject(self) -> str:
        """Every open run."""
        return "open-runs"


class Canary(OwnEvent):
    """A proof that a subscription delivers: every service takes it, and only notes that it came.

    It is published to whichever topic is to be proved, so it is in no topic's list of events.
    """

    type = "newreleases.canary.v1"
    topic = "any"

    id: CanaryId
    refuse: bool = False
    """Whether it is to be refused until it is dead-lettered."""

    @property
    def subject(self) -> str:
        """The proof it belongs to."""
        return self.id


class GoogleEvent(BaseModel):
    """An event that Google produces; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ObjectFinalized(GoogleEvent):
    """A Cloud Storage object was written, as a Pub/Sub notification or an Eventarc event tells it.

    Source: cloud.google.com/storage/docs/pubsub-notifications; type google.cloud.storage.object.v1.finalized.
    """

    bucket: str = Field(min_length=1)
    name: str = Field(min_length=1)
    generation: int


class DataprocOperation(GoogleEvent):
    """A Dataproc operation began or ended, as the audit log tells it. Only a hint: the state is read from Dataproc.

    Source: cloud.google.com/dataproc/docs/guides/audit-logging.
    """

    method: str = Field(min_length=1)
    resource: str
    """Cluster name or job id: the last segment of the audit entry's resource name."""
    last: bool
    """Whether this is the operation's closing entry."""


class DeadLettered(GoogleEvent):
    """A message that Pub/Sub gave up delivering, with where it came from.

    Source: cloud.google.com/pubsub/docs/handling-failures (attributes CloudPubSubDeadLetterSource*).
    """

    subscription: str = Field(min_length=1)
    """Short name of the subscription whose deliveries failed."""
    delivery_count: int | None = None
    message_id: str
    original: OwnEvent | ObjectFinalized | DataprocOperation | None
    """The event inside, or None where it cannot be read."""
    unreadable: tuple[str, ...] = ()
    """The faults of an unreadable original."""
    data: str = ""
    """The message's data, base64 as it came."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """As they came, Pub/Sub's own about the end of the message included."""
    published_at: datetime | None = None
    """When the message was published first."""
    dead_lettered_at: datetime | None = None
    redrives: int = 0
    """How often it had been redriven before."""


class RedrivenElsewhere(GoogleEvent):
    """A dead letter that is redriven to another subscription of the same topic: nothing to do here."""

    subscription: str
    """Whom it is for."""


Event = OwnEvent | ObjectFinalized | DataprocOperation | DeadLettered | RedrivenElsewhere

OWN_EVENTS: tuple[type[OwnEvent], ...] = (
    RunRequested,
    MarketRequested,
    BatchReady,
    RunFinished,
    SweepRequested,
)
BY_TYPE: dict[str, type[OwnEvent]] = {event.type: event for event in OWN_EVENTS}


class Delivery(BaseModel):
    """One delivery of an event to a service."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    event: Any
    """One of `Event`, parsed already."""
    event_id: str
    """CloudEvents id, or what identifies a Google event."""
    event_time: datetime | None = None
    """CloudEvents time: when it was asked or happened; stays the same through redelivery and replay of a log."""
    message_id: str | None = None
    publish_time: datetime | None = None
    subscription: str | None = None
    delivery_attempt: int | None = None
    traceparent: str | None = None
