"""What happened to one market of a run, from the tick to the table, in order of time. Pure but for `read`.

Every step names the ids by which it can be found elsewhere: event, generation, decision, job. The times are those at
which the documents were written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from contracts import names
from contracts.documents import ClusterClaim, Document, Part, Receipt
from eventing.objects import ObjectInfo, ObjectStore
from runs.cause import Cause, cause_of
from runs.status import MarketStatus, RevisionStatus, RunStatus, job_ids

Kind = Literal[
    "requested",
    "asked_again",
    "throttled",
    "dead_lettered",
    "landed",
    "decided",
    "order",
    "cluster",
    "job",
    "receipt",
    "announced",
]


class Step(Document):
    """One thing that happened."""

    at: datetime
    kind: Kind
    what: str
    ids: dict[str, str] = Field(default_factory=dict)


class Story(Document):
    """All steps, and how the market stands."""

    run_id: str
    market: str
    state: str
    steps: tuple[Step, ...]
    rows: int | None = None
    """Rows of the market in the run's partition, counted in the table; None where they were not."""
    uncounted: str | None = None
    """Why they were not."""
    trace_id: str
    archived: bool = False
    cause: Cause | None = None
    """What keeps the run from being whole in the table."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What a listing of the run's documents and parts tells."""

    documents: Sequence[ObjectInfo]
    part: ObjectInfo | None


def story_of(status: RunStatus, market: MarketStatus, objects: Objects, rows: int | str) -> Story:
    """Tell what happened to a market; `rows` are those in the table, or why they were not counted."""
    code = market.market
    steps = [
        Step(
            at=status.requested_at,
            kind="requested",
            what=f"the scheduler asked for {len(status.markets)} markets ({status.reason})",
            ids={"event": status.requested_by},
        ),
        *_notes(status.run_id, code, objects.documents),
        *_landing(objects.part),
        *_earlier_landings(status, code, objects.part),
        *(step for entry in status.revisions for step in _revision(entry, code)),
        *(
            Step(at=order.ordered_at, kind="order", what=f"an operator ordered: {order.kind} ({order.reason})")
            for order in status.orders
        ),
        *_claims(status),
    ]
    return Story(
        run_id=status.run_id,
        market=code,
        state=_standing(market),
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        rows=rows if isinstance(rows, int) else None,
        uncounted=rows if isinstance(rows, str) else None,
        trace_id=status.trace_id,
        archived=status.archived,
        cause=cause_of(status),
    )


def _standing(market: MarketStatus) -> str:
    if market.is_gone:
        return f"{'loaded' if market.is_loaded else 'decided'}, its raw part has gone since"
    if market.state == "landed":
        return "landed and loaded" if market.is_loaded else "landed, not loaded yet"
    until = f" until {market.until:%Y-%m-%d %H:%M:%S} UTC" if market.until else ""
    return f"{market.state.replace('_', '-')}{until}" + (f": {market.reason}" if market.reason else "")


def _notes(run_id: str, market: str, documents: Sequence[ObjectInfo]) -> list[Step]:
    """Steps that are known because a document exists, at the time it was written."""
    known: Mapping[str, tuple[Kind, str]] = {
        names.throttled_name(run_id, market): (
            "throttled",
            "Spotify asked for patience; the market waits for quota",
        ),
        names.given_up_name(run_id, market): ("dead_lettered", "its message was given up"),
    }
    steps = [
        Step(at=info.updated, kind=known[info.name][0], what=known[info.name][1], ids={"document": info.name})
        for info in documents
        if info.name in known
    ]
    for info in documents:
        found = names.parse_run_object(info.name)
        if found is not None and found.folder == "askings":
            what = "a sweep asked again for the markets that were missing"
            steps.append(Step(at=info.updated, kind="asked_again", what=what, ids={"document": info.name}))
        if found is not None and found.folder == "announced":
            what = f"revision {found.number} was announced"
            steps.append(Step(at=info.updated, kind="announced", what=what))
    return steps


def _landing(part: ObjectInfo | None) -> list[Step]:
    if part is None:
        return []
    told = part.metadata
    albums, tracks = told.get("album-count", "?"), told.get("track-count", "?")
    what = f"its part landed: {albums} albums, {tracks} tracks, {part.size:,} bytes from {told.get('source', '?')}"
    ids = {"object": part.name, "generation": str(part.generation), "crc32c": part.crc32c}
    return [
        Step(at=part.updated, kind="landed", what=what, ids=ids | {"event": told.get("event-id", "?")}),
    ]


def _earlier_landings(status: RunStatus, market: str, part: ObjectInfo | None) -> list[Step]:
    """Parts that a later one has replaced; they are still in the decisions."""
    known = {
        loaded.generation: loaded
        for entry in status.revisions
        for loaded in entry.decision.parts
        if loaded.market == market and (part is None or loaded.generation != part.generation)
    }
    return [
        Step(
            at=replaced.landed_at,
            kind="landed",
            what=f"a part landed that was replaced since: {replaced.size:,} bytes",
            ids={"generation": str(replaced.generation), "crc32c": replaced.crc32c},
        )
        for replaced in known.values()
    ]


def _revision(entry: RevisionStatus, market: str) -> list[Step]:
    decision, receipt = entry.decision, entry.receipt
    decided = next((part for part in decision.parts if part.market == market), None)
    missing = next((gone.reason for gone in decision.missing if gone.market == market), None)
    name = names.decision_name(decision.run_id, decision.revision)
    part = f"with its {_part(decided)}" if decided else f"without it ({missing or 'not expected'})"
    verdict = "" if decision.verdict == "load" else "; too little had landed, nothing is loaded"
    what = f"revision {decision.revision} closed ({decision.close_reason}) {part}{verdict}"
    steps = [Step(at=decision.decided_at, kind="decided", what=what, ids={"document": name})]
    if receipt is not None:
        counted = f", {receipt.warehouse.rows:,} rows of the run in the table" if receipt.warehouse else ""
        failed = f": {receipt.error}" if receipt.error else ""
        ids = {"job": receipt.job_id or "none", "cluster": receipt.cluster or "none"}
        found = f"; {_found(receipt, market)}" if decided else ""
        what = f"revision {receipt.revision} is {receipt.outcome}{counted}{failed}{found}"
        steps.append(Step(at=receipt.finished_at, kind="receipt", what=what, ids=ids))
    return steps


def _part(decided: Part) -> str:
    """What a decision says about a part; parts of the first form may not say how much they hold."""
    if decided.empty:
        holds = ", empty"
    elif decided.albums is None:
        holds = ""
    else:
        holds = f", {decided.albums} albums" + ("" if decided.tracks is None else f", {decided.tracks} tracks")
    return f"part of generation {decided.generation}{holds}"


def _found(receipt: Receipt, market: str) -> str:
    """What the job found in the market's part."""
    parts = receipt.load.parts if receipt.load else ()
    result = next((part for part in parts if part.market == market), None)
    if result is None:
        return "what the job found in its part is not on record"
    if result.reason:
        return f"its part was left out: {result.reason}"
    bad = f", {result.quarantined} records in quarantine" if result.quarantined else ""
    return f"found in its part: {result.albums} albums, {result.rows} rows{bad}"


def _claims(status: RunStatus) -> list[Step]:
    clusters = [Step(at=claim.claimed_at, kind="cluster", what=_cluster(claim)) for claim in status.clusters]
    jobs = [
        Step(at=claim.claimed_at, kind="job", what=f"job {job_id} (attempt {claim.attempt})", ids={"job": job_id})
        for claim, job_id in zip(status.jobs, job_ids(status), strict=True)
    ]
    return [*clusters, *jobs]


def _cluster(claim: ClusterClaim) -> str:
    """A refused cluster says so: whoever waits for a load must see that it waits for machines."""
    refused = f", refused: {claim.refused}" if claim.refused else ""
    return f"cluster {claim.cluster} for revision {claim.revision}{refused}"


async def read_objects(run_id: str, market: str, store: ObjectStore) -> Objects:
    """List what there is of a run and of one of its parts."""
    return Objects(
        documents=await store.listing(names.run_prefix(run_id)),
        part=await store.stat(names.part_name(run_id, market)),
    )
