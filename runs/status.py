"""What a run looks like now: one model for the command line and the dashboard's page. Pure but for `read`.

Everything comes from the bucket's documents. Clusters and jobs are shown as far as the services have written claims and
receipts for them, so that looking needs no permission in Dataproc.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

from contracts.documents import (
    ClusterClaim,
    CompletenessPolicy,
    Decision,
    Document,
    GivenUpMarket,
    JobClaim,
    LoadResult,
    Manifest,
    Order,
    Part,
    Receipt,
    ThrottledMarket,
)
from contracts.names import RAW_DAYS, Market, Revision, RunId, job_id, quarantine_prefix, trace_id
from contracts.truth import count_of
from eventing.ledger import RunIndex, RunLedger, Unreadable
from eventing.objects import ObjectStore

MarketState = Literal["requested", "throttled", "landed", "missing", "dead_lettered"]
RunState = Literal["fetching", "loading", "loaded", "partial", "failed", "discarded"]


class MarketStatus(Document):
    """One expected market."""

    market: Market
    state: MarketState
    """requested: asked for, nothing came yet; missing: a decision closed without it."""
    reason: str | None = None
    until: datetime | None = None
    """Throttled until then."""
    landed_at: datetime | None = None
    generation: int | None = None
    size: int | None = None
    """Bytes, compressed."""
    calls: int | None = None
    """Calls to Spotify that its part took."""
    is_loaded: bool = False
    """Whether a job has loaded exactly this part."""
    is_gone: bool = False
    """Whether its part was decided and is no longer in the bucket."""


class SetAside(Document):
    """An object among the run's documents that cannot be used; it is treated as absent."""

    name: str
    reason: str
    """Why, and what to do."""


class UnreadableRun(Document):
    """A run about which nothing is known, since its manifest cannot be read."""

    run_id: RunId
    state: Literal["unreadable"] = "unreadable"
    reason: str


class RevisionStatus(Document):
    """One decision and what became of it."""

    decision: Decision
    receipt: Receipt | None = None
    load: LoadResult | None = None
    """What the Spark job counted, as soon as it has."""
    quarantine_uri: str | None = None
    """Where bad records are, where there are any."""


class Span(Document):
    """One stage of the newest revision, for a waterfall."""

    stage: Literal["fetch", "decide", "cluster", "spark", "receipt"]
    begin: datetime
    end: datetime | None
    """None: under way."""

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.end is None else (self.end - self.begin).total_seconds()


class RunStatus(Document):
    """A run as the bucket shows it."""

    run_id: RunId
    state: RunState
    reason: str
    requested_at: datetime
    requested_by: str
    deadline: datetime
    policy: CompletenessPolicy
    markets: tuple[MarketStatus, ...]
    revisions: tuple[RevisionStatus, ...]
    clusters: tuple[ClusterClaim, ...] = ()
    jobs: tuple[JobClaim, ...] = ()
    orders: tuple[Order, ...] = ()
    dead_letters: tuple[GivenUpMarket, ...] = ()
    """The markets that were given up."""
    spans: tuple[Span, ...] = ()
    outlook: tuple[str, ...] = ()
    """How the run will end, as far as it is known, unless somebody acts; empty where all is well."""
    trace_id: str
    seen_at: datetime
    archived: bool = False
    """Whether nothing was written about it for as long as a part lives; no sweep looks at it."""
    set_aside: tuple[SetAside, ...] = ()
    left_out: tuple[Market, ...] = ()
    """Configured markets that nobody asked for: the run is a trial of the others."""

    @property
    def newest(self) -> RevisionStatus | None:
        """The newest decision."""
        return self.revisions[-1] if self.revisions else None

    @property
    def revision(self) -> Revision | None:
        """Its number."""
        return self.newest.decision.revision if self.newest else None

    @property
    def receipt(self) -> Receipt | None:
        """Its receipt."""
        return self.newest.receipt if self.newest else None

    @property
    def load(self) -> LoadResult | None:
        """What its Spark job counted."""
        return self.newest.load if self.newest else None

    @property
    def stage(self) -> Span | None:
        """The stage under way."""
        return next((span for span in self.spans if span.end is None), None)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ("loaded", "partial", "failed", "discarded")

    @property
    def rows(self) -> int | None:
        """Rows of the run in the table, as its newest receipt counted them there."""
        receipts = [entry.receipt for entry in self.revisions if entry.receipt and entry.receipt.warehouse]
        counted = receipts[-1].warehouse if receipts else None
        return counted.rows if counted else None

    @property
    def waits_for(self) -> str | None:
        """What Google refused last for a revision that is not loaded yet: machine type, zone, and Google's words."""
        claim = self.clusters[-1] if self.clusters else None
        newest = self.newest
        if claim is None or newest is None or newest.receipt or claim.revision != newest.decision.revision:
            return None
        kind = f", {claim.machine_type}" if claim.machine_type else ""
        where = f" in {claim.zone}" if claim.zone else ""
        return claim.refused and f"{claim.cluster}{kind}{where}: {claim.refused}"

    def count(self, state: MarketState) -> int:
        """How many markets are in a state."""
        return sum(market.state == state for market in self.markets)

    def market(self, code: str) -> MarketStatus | None:
        """One market, or None where the run does not expect it."""
        return next((market for market in self.markets if market.market == code), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What the bucket holds of a run."""

    manifest: Manifest
    parts: Mapping[str, Part] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What the fetcher wrote beside each part."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """By market, why the object in its part's place is not a part."""
    decisions: tuple[Decision, ...] = ()
    receipts: Mapping[int, Receipt] = field(default_factory=dict)
    loads: Mapping[int, LoadResult] = field(default_factory=dict)
    clusters: tuple[ClusterClaim, ...] = ()
    jobs: tuple[JobClaim, ...] = ()
    orders: tuple[Order, ...] = ()
    given_up: Mapping[str, GivenUpMarket] = field(default_factory=dict)
    throttled: Mapping[str, ThrottledMarket] = field(default_factory=dict)
    bucket: str = ""
    archived: bool = False
    set_aside: tuple[SetAside, ...] = ()
    newest_decision: int = 0
    """Its number, also where it cannot be read."""


def status_of(found: Documents, now: datetime) -> RunStatus:
    """Judge a run."""
    manifest = found.manifest
    markets = tuple(_market(market, found, now) for market in manifest.markets)
    return RunStatus(
        run_id=manifest.run_id,
        state=_state(found),
        reason=manifest.reason,
        requested_at=manifest.created_at,
        requested_by=manifest.requested_by,
        deadline=manifest.deadline,
        policy=manifest.policy,
        markets=markets,
        revisions=tuple(_revision(decision, found) for decision in found.decisions),
        clusters=found.clusters,
        jobs=found.jobs,
        orders=found.orders,
        dead_letters=tuple(found.given_up.values()),
        spans=spans_of(found),
        outlook=outlook_of(found, markets),
        trace_id=trace_id(manifest.run_id),
        seen_at=now,
        archived=found.archived,
        set_aside=found.set_aside,
        left_out=manifest.left_out,
    )


def _state(found: Documents) -> RunState:
    if found.orders and found.orders[-1].kind == "discard":
        return "discarded"
    newest = found.decisions[-1].revision if found.decisions else 0
    if found.newest_decision > newest:
        return "loading"
    if not found.decisions:
        return "fetching"
    receipt = found.receipts.get(found.decisions[-1].revision)
    return receipt.outcome if receipt else "loading"


def outlook_of(found: Documents, markets: Collection[MarketStatus]) -> tuple[str, ...]:
    """What can be foretold about a run that is being fetched; nothing once it is decided, or a person gave an order."""
    if found.decisions or found.orders:
        return ()
    waiting = [found.throttled[market.market] for market in markets if market.state == "throttled"]
    late = [record for record in waiting if record.until >= found.manifest.deadline]
    given_up = [market for market in markets if market.state == "dead_lettered"]
    told = (
        _needs_a_person(waiting),
        _comes_too_late(late),
        _short_of_quota(waiting, markets) if not late else None,
        _misses_the_quorum(found.manifest, len(late) + len(given_up)),
    )
    return tuple(line for line in told if line)


def _needs_a_person(waiting: Iterable[ThrottledMarket]) -> str | None:
    reason = next((record.reason for record in waiting if record.needs_a_person), None)
    return reason and f"no market lands until somebody mends it: {reason}"


def _comes_too_late(late: Collection[ThrottledMarket]) -> str | None:
    if not late:
        return None
    until, names = min(record.until for record in late), " ".join(record.market for record in late)
    return f"Spotify lets {names} wait until {until:%Y-%m-%d %H:%M} UTC, after the deadline: the run closes before"


def _short_of_quota(waiting: Collection[ThrottledMarket], markets: Collection[MarketStatus]) -> str | None:
    """Judged by the calls of the markets that have landed, once the account's quota has run out."""
    calls = [market.calls for market in markets if market.calls is not None]
    left = len(markets) - sum(market.state == "landed" for market in markets)
    if not calls or not any(record.account and not record.needs_a_person for record in waiting):
        return None
    spent, needed = sum(calls), ceil(sum(calls) / len(calls) * left)
    if needed <= spent:
        return None
    return f"Spotify's quota ended after about {spent:,} calls, and the {left} markets left need about {needed:,} more"


def _misses_the_quorum(manifest: Manifest, lost: int) -> str | None:
    most, least = len(manifest.markets) - lost, manifest.least_markets
    if most >= least:
        return None
    return (
        f"at most {most} of {len(manifest.markets)} markets can land by the deadline and {least} must: nothing will be "
        "loaded, unless an order to close loads what there is"
    )


def _market(market: str, found: Documents, now: datetime) -> MarketStatus:
    if (part := found.parts.get(market)) is not None:
        return _landed(part, found)
    if (waits := found.throttled.get(market)) is not None and now < waits.until:
        return MarketStatus(market=market, state="throttled", reason=waits.reason, until=waits.until)
    if (dead := found.given_up.get(market)) is not None:
        return MarketStatus(market=market, state="dead_lettered", reason=dead.reason)
    newest = found.decisions[-1] if found.decisions else None
    for part in newest.parts if newest else ():
        if part.market == market:
            return _landed(part, found).model_copy(update={"is_gone": True})
    for entry in newest.missing if newest else ():
        if entry.market == market:
            return MarketStatus(market=market, state="missing", reason=entry.reason)
    return MarketStatus(market=market, state="requested", reason=found.unusable.get(market))


def _landed(part: Part, found: Documents) -> MarketStatus:
    loaded = [
        receipt
        for decision in found.decisions
        if (receipt := found.receipts.get(decision.revision)) is not None and receipt.outcome != "failed"
    ]
    generations = {decision.revision: _generation(decision, part.market) for decision in found.decisions}
    return MarketStatus(
        market=part.market,
        state="landed",
        landed_at=part.landed_at,
        generation=part.generation,
        size=part.size,
        calls=count_of(found.metadata.get(part.market, {}).get("calls", "")),
        is_loaded=bool(loaded)
        and part.market not in {entry.market for entry in loaded[-1].missing}
        and part.generation == generations[loaded[-1].revision],
    )


def _generation(decision: Decision, market: str) -> int | None:
    return next((part.generation for part in decision.parts if part.market == market), None)


def _revision(decision: Decision, found: Documents) -> RevisionStatus:
    load = found.loads.get(decision.revision)
    bad = f"gs://{found.bucket}/{quarantine_prefix(decision.run_id, decision.revision)}"
    return RevisionStatus(
        decision=decision,
        receipt=found.receipts.get(decision.revision),
        load=load,
        quarantine_uri=bad if load and load.quarantined else None,
    )


def spans_of(found: Documents) -> tuple[Span, ...]:
    """The stages of the first decision until it stands, and of the newest one from there.

    A job is claimed as soon as its cluster takes it: until there is a receipt, that is when the cluster was ready.
    """
    manifest = found.manifest
    landed = max((part.landed_at for part in found.parts.values()), default=None)
    if not found.decisions:
        return (Span(stage="fetch", begin=manifest.created_at, end=None),)
    decision = found.decisions[-1]
    fetched = landed if landed is not None and landed <= decision.decided_at else decision.decided_at
    # A later revision begins with the part that made it.
    begin = manifest.created_at if decision.revision == 1 else fetched
    spans = [
        Span(stage="fetch", begin=begin, end=fetched),
        Span(stage="decide", begin=fetched, end=decision.decided_at),
    ]
    receipt = found.receipts.get(decision.revision)
    loading = _loading(decision, found.jobs) if receipt is None else _loaded(decision, receipt)
    return (*spans, *loading)


def _loading(decision: Decision, jobs: Sequence[JobClaim]) -> tuple[Span, ...]:
    """What is under way."""
    if decision.verdict != "load":
        return ()
    claims = [claim.claimed_at for claim in jobs if claim.revision == decision.revision]
    if not claims:
        return (Span(stage="cluster", begin=decision.decided_at, end=None),)
    return (
        Span(stage="cluster", begin=decision.decided_at, end=claims[0]),
        Span(stage="spark", begin=claims[0], end=None),
    )


def _loaded(decision: Decision, receipt: Receipt) -> tuple[Span, ...]:
    at = decision.decided_at
    spans = []
    for stage in ("cluster", "spark"):
        if stage in receipt.seconds:
            end = at + timedelta(seconds=receipt.seconds[stage])
            spans.append(Span(stage="cluster" if stage == "cluster" else "spark", begin=at, end=end))
            at = end
    return (*spans, Span(stage="receipt", begin=at, end=max(at, receipt.finished_at)))


# --- reading ---------------------------------------------------------------------------------------------------


async def read(
    run_id: str, *, store: ObjectStore, bucket: str, now: datetime, raw_days: int = RAW_DAYS
) -> RunStatus | None:
    """Read a run, or None where it is not known.

    Raises:
        Retryable: the bucket cannot be reached.
        Unreadable: its manifest cannot be read.
    """
    aside: list[SetAside] = []
    ledger = RunLedger(store, lambda name, reason: aside.append(SetAside(name=name, reason=reason)))
    manifest = await ledger.manifest(run_id)
    if manifest is None:
        return None
    index = await ledger.index(run_id)
    found = await _documents(manifest, index, ledger, bucket)
    archived, unused = index.is_archived(now, raw_days), (*aside, *_strangers(index))
    return status_of(replace(found, archived=archived, set_aside=unused), now)


async def read_each(
    runs: Sequence[str], *, store: ObjectStore, bucket: str, now: datetime, raw_days: int = RAW_DAYS
) -> list[RunStatus | UnreadableRun]:
    """Read runs, in order; one that cannot be read does not hide the others.

    Raises:
        Retryable: the bucket cannot be reached.
    """

    async def one(run_id: str) -> RunStatus | UnreadableRun | None:
        try:
            return await read(run_id, store=store, bucket=bucket, now=now, raw_days=raw_days)
        except Unreadable as error:
            return UnreadableRun(run_id=run_id, reason=str(error))

    found = await asyncio.gather(*(one(run_id) for run_id in runs))
    return [run for run in found if run is not None]


def _strangers(index: RunIndex) -> tuple[SetAside, ...]:
    why = "its name is not that of a run's document, so nobody reads it; remove it"
    return tuple(SetAside(name=name, reason=why) for name in index.strangers)


async def _documents(manifest: Manifest, index: RunIndex, ledger: RunLedger, bucket: str) -> Documents:
    run_id = manifest.run_id
    landing = await ledger.landing(run_id)
    receipts = await asyncio.gather(*(ledger.receipt(run_id, number) for number in index.receipts))
    loads = await asyncio.gather(*(ledger.load_result(run_id, number) for number in index.decisions))
    return Documents(
        manifest=manifest,
        parts=landing.parts,
        unusable=landing.unusable,
        metadata=await ledger.parts_metadata(run_id),
        decisions=tuple(await ledger.decisions(index)),
        newest_decision=index.newest_decision,
        receipts={receipt.revision: receipt for receipt in receipts if receipt},
        loads={load.revision: load for load in loads if load},
        clusters=(await ledger.cluster_claims(run_id)).readable,
        jobs=(await ledger.job_claims(run_id)).readable,
        orders=tuple(await ledger.orders(index)),
        given_up=await ledger.given_up(index),
        throttled=await ledger.throttled(index),
        bucket=bucket,
    )


def job_ids(status: RunStatus) -> tuple[str, ...]:
    """Ids of the run's jobs in the order in which they were claimed."""
    return tuple(job_id(claim.run_id, claim.revision, claim.attempt) for claim in status.jobs)
