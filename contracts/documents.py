"""The documents of a run, kept as JSON in the bucket: manifest, decision, receipt and their small helpers.

Every document is frozen and written whole. Manifest, decision and receipt are create-only: they are the locks
and the memory of the pipeline, and there is no other database.
"""

from math import ceil
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.events import Markets, Outcome
from contracts.moments import Moment
from contracts.names import Market, Revision, RunId, cluster_name

CloseReason = Literal["complete", "deadline", "operator"]

MOST_BYTES: Final = 16 * 1024**2
"""Size of a document. The largest is a dead letter: a message of 10 MB, to which base64 adds a third."""


Seconds = Annotated[float, Field(ge=0, le=100 * 366 * 24 * 3600)]
"""A duration; a run may be loaded again years after it was asked for."""


class Document(BaseModel):
    """A JSON document; read with unknown fields ignored, so that an older reader survives a newer writer."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def to_json(self) -> bytes:
        """UTF-8, indented: people read these."""
        return self.model_dump_json(indent=2, exclude_none=True).encode()


class CompletenessPolicy(Document):
    """When a run is complete enough."""

    minimum_share: float = Field(default=0.9, ge=0, le=1)
    """Share of the markets that must have landed for a load after the deadline."""
    quiet_seconds: Seconds = 60
    """How long nothing must have landed before a late part makes a new revision."""


class Manifest(Document):
    """What a run expects. Written before the first market message; it may grow, and never shrinks."""

    run_id: RunId
    markets: Markets
    reason: str
    created_at: Moment
    deadline: Moment
    """After it the run closes with what has landed, or fails."""
    policy: CompletenessPolicy = CompletenessPolicy()
    requested_by: str
    """CloudEvents id of the request that created the run."""
    left_out: tuple[Market, ...] = ()
    """Configured markets that no request has named, so that a trial of some markets differs from a whole run."""
    widened_at: Moment | None = None
    """When a later request added markets."""

    @property
    def least_markets(self) -> int:
        """How many markets must have landed for anything to be loaded."""
        # Rounded first: 0.1 * 30 is a little more than 3 in binary, and must not ask for 4.
        return ceil(round(self.policy.minimum_share * len(self.markets), 9))


class Part(Document):
    """One market's raw object; its generation and checksum are the evidence."""

    market: Market
    generation: int
    crc32c: str
    size: int
    """Bytes, compressed."""
    landed_at: Moment
    form: int = Field(default=1, ge=1)
    """Which form the part has (`contracts.parts`)."""
    albums: int | None = Field(default=None, ge=0)
    """Lines it must hold; None where the fetcher did not say."""
    tracks: int | None = Field(default=None, ge=0)
    """Track entries it must hold, null ones not counted."""
    empty: bool = False
    """Whether the market had no new album, and said so."""


class MissingMarket(Document):
    """An expected market without a part, and why, as far as it is known."""

    market: Market
    reason: str


class Decision(Document):
    """These parts, at these generations, are the batch."""

    run_id: RunId
    revision: Revision
    verdict: Literal["load", "fail"]
    """fail: too little landed by the deadline; nothing is loaded."""
    close_reason: CloseReason
    parts: tuple[Part, ...]
    missing: tuple[MissingMarket, ...] = ()
    decided_at: Moment
    owner: str
    """Who created it; tells a winner from a loser after an uncertain upload."""
    order: int = 0
    """Number of the newest order that was known; an order is obeyed once."""
    note: str | None = None
    """What the operator gave as a reason, where one closed the batch."""
    least: int = Field(default=0, ge=0)
    """How many of the parts must turn out whole when they are read, else nothing is loaded; 1 where a person closed."""
    holds: tuple[Market, ...] = ()
    """Markets of earlier decisions to load: while one of their parts is bad nothing is loaded, since the partition is
    replaced whole and the market would vanish from the table. Empty where a person asked for the load."""


class Order(Document):
    """What an operator wants of a run, and why. Numbered; the newest counts."""

    run_id: RunId
    number: int = Field(ge=1)
    kind: Literal["close", "reopen", "reload", "discard"]
    """close: load what has landed, now; reopen: ask for the missing markets again, and wait for them once more; reload:
    load again what is there; discard: the run was a mistake, leave it alone. Any later order takes that back."""
    reason: str = Field(min_length=1, max_length=500)
    ordered_at: Moment


class GivenUpMarket(Document):
    """A market whose message was given up; it counts as resolved, not as landed."""

    run_id: RunId
    market: Market
    reason: str
    subscription: str
    message_id: str
    delivery_count: int | None = None
    recorded_at: Moment


class Redrive(Document):
    """That a dead letter was sent again, to the one subscription that had given it up."""

    at: Moment
    by: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=500)


class DeadLetter(Document):
    """A message that no delivery could settle: the whole message, and what is known about its end."""

    subscription: str
    """Short name of the subscription whose deliveries failed, `unknown` where the message does not tell."""
    message_id: str
    """The dead letter's own; Pub/Sub gives it a new id and does not tell the old one."""
    reason: str
    """Why, as far as the message itself shows; for the rest see the log lines with its event id."""
    event: str | None = None
    """What kind of event it is; None where it cannot be read."""
    run_id: RunId | None = None
    market: Market | None = None
    data: str
    """The message's data, base64 as it came."""
    attributes: dict[str, str]
    """The message's attributes as they came, those of Pub/Sub about its end included."""
    delivery_count: int | None = None
    published_at: Moment | None = None
    """When it was published first."""
    dead_lettered_at: Moment | None = None
    recorded_at: Moment
    redrives: int = Field(default=0, ge=0)
    """How often the message had been redriven before it came to this end."""
    redriven: tuple[Redrive, ...] = ()
    """What was done about it since."""


class ThrottledMarket(Document):
    """A market that waits for Spotify's quota."""

    run_id: RunId
    market: Market
    until: Moment
    reason: str
    account: bool = False
    """Whether it is the whole account that waits, and no market may call."""
    needs_a_person: bool = False
    """Whether waiting does not help: the credentials, or the app, must be mended."""


class ClusterClaim(Document):
    """One attempt to have a cluster for a run; claimed before the cluster is created."""

    run_id: RunId
    attempt: int = Field(ge=1)
    """Counts the clusters of the run; part of the cluster's name."""
    revision: Revision
    """The decision the cluster is for; attempts are bounded for each decision."""
    claimed_at: Moment
    machine_type: str | None = None
    """Of every machine of the cluster; None in claims that were made before clusters had sizes."""
    workers: int = Field(default=0, ge=0)
    """0: one machine."""
    zone: str | None = None
    """None: Dataproc places the cluster."""
    refused: str | None = None
    """Why there is no such cluster: Google had no quota or no machines for it; added when it said so."""

    @property
    def cluster(self) -> str:
        """Name of the claimed cluster."""
        return cluster_name(self.run_id, self.attempt)


class JobClaim(Document):
    """Which job is the run's next. Claimed in order, so that two jobs never write one partition at the same time."""

    run_id: RunId
    number: int = Field(ge=1)
    revision: Revision
    attempt: int = Field(ge=1)
    claimed_at: Moment


class PartResult(Document):
    """What the Spark job found in one part that the decision names."""

    market: Market
    reason: str | None = None
    """Why the part is bad and was left out of the load: missing, damaged, short, glued, foreign, or nothing but bad
    records. None where it is as decided."""
    albums: int = 0
    rows: int = 0
    quarantined: int = 0


class BadRecord(Document):
    """One of the records in quarantine: where it is, not its content."""

    market: Market
    line: int = Field(ge=1)
    """Its number in the part."""
    reason: str


class LoadResult(Document):
    """What the Spark job of one decision found, counted and did; it writes this also where it loads nothing."""

    run_id: RunId
    revision: Revision
    loaded: bool = True
    """Whether the partition was replaced. The counts below are those of what was loaded, or would have been."""
    error: str | None = None
    """Why nothing was loaded."""
    load_job: str | None = None
    """Id of the load job that BigQuery refused, where its error names it; other load jobs are found by their labels."""
    parts: tuple[PartResult, ...] = ()
    """Every part of the decision, by market; empty in results that are older than this field."""
    files: int
    albums: int
    tracks: int
    rows: int
    quarantined: int
    examples: tuple[BadRecord, ...] = ()
    """The first few of the records in quarantine, those of bad parts included."""
    skipped: dict[str, int] = Field(default_factory=dict)


class WarehouseCount(Document):
    """What the warehouse holds for a run, counted there."""

    rows: int
    markets: int
    albums: int
    revision: int | None = None
    """Revision of the rows; None where there are none."""


class SecondLook(Document):
    """That the table was counted once more, after any load job of the run must have ended, and what it held."""

    run_id: RunId
    revision: Revision
    """The newest revision then."""
    table: WarehouseCount
    taken_back: bool
    """Whether an older load had finished after the newest; the barrier then has the newest loaded once more."""
    looked_at: Moment


class Notice(Document):
    """That one address is being told of a receipt, or was. The address itself is a secret and is not in it."""

    run_id: RunId
    revision: Revision
    address: str
    """Its digest."""
    kind: str
    """Such as `slack`."""
    owner: str
    """The attempt that tells it."""
    until: Moment
    """Until then nobody else tells the address; afterwards the attempt is taken for dead."""
    told_at: Moment | None = None


class Receipt(Document):
    """What a decision became."""

    run_id: RunId
    revision: Revision
    outcome: Outcome
    close_reason: CloseReason
    landed: tuple[Market, ...]
    missing: tuple[MissingMarket, ...] = ()
    job_id: str | None = None
    job_state: str | None = None
    job_attempts: int = 0
    cluster: str | None = None
    cluster_attempts: int = 0
    refusals: tuple[str, ...] = ()
    """Why attempts at a cluster were refused for quota or machines, in order; they are among the attempts."""
    machine_type: str | None = None
    """Of every machine of the cluster."""
    workers: int | None = None
    """Workers beside the master; 0: one machine did it all."""
    cost_estimate: float | None = None
    """What the clusters of this decision cost, in US dollars by list prices (docs/cost.md)."""
    driver_output_uri: str | None = None
    dashboard: str | None = None
    """Address of the page that shows the run, where there is a dashboard."""
    load: LoadResult | None = None
    warehouse: WarehouseCount | None = None
    """What the table holds for the run now, whatever became of the decision."""
    warnings: tuple[str, ...] = ()
    """What a person should look at although it was loaded, such as a run much smaller than the one before."""
    error: str | None = None
    """Why the outcome is failed."""
    seconds: dict[str, Seconds] = Field(default_factory=dict)
    """Durations by stage: fetch, cluster, spark, total."""
    source: dict[str, Any] = Field(default_factory=dict)
    """What the parts say about their source."""
    trace_id: str
    decided_at: Moment
    finished_at: Moment
