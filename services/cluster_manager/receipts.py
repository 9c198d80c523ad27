"""What a decision became, as a document: pure.

The table and the load result decide it together, not the job's end: a job may die between its load and its end, and one
that ends well may have loaded nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from contracts.documents import (
    ClusterClaim,
    Decision,
    LoadResult,
    Manifest,
    MissingMarket,
    Receipt,
    WarehouseCount,
)
from contracts.events import Outcome
from contracts.names import trace_id
from services.cluster_manager.costs import estimate
from services.cluster_manager.decisions import markets_with_albums
from services.cluster_manager.ports import Cluster, Job
from services.cluster_manager.sizing import ClusterSize

SMALL_SHARE: Final = 0.5
"""Of the rows a market had a run before. Weeks differ by some tens of percent; half is what a source that answers with
one page of several, or a market list that shrank by mistake, looks like. Counted by market, so that a run which lacks
markets, and names them, is not called small as well."""


A_WEEK: Final = 6
"""Days after which a list must have changed; one is less where a schedule moves."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known when a decision is finished."""

    manifest: Manifest
    decision: Decision
    job: Job | None
    error: str | None
    """Why the decision failed before its table was looked at."""
    load: LoadResult | None
    warehouse: WarehouseCount | None
    claims: tuple[ClusterClaim, ...]
    cluster: Cluster | None
    source: Mapping[str, Any]
    """What the parts say about their source (`contracts.truth`)."""
    before: Receipt | None = None
    """The newest receipt of an earlier run that was loaded."""
    driver: str | None = None
    """The last error of the driver's output, where the job failed and left no result."""
    dashboard_url: str | None = None


def receipt_of(evidence: Evidence, now: datetime) -> Receipt:
    """The receipt: an outcome only as good as the evidence for it."""
    decision, job = evidence.decision, evidence.job
    error, bad = _error(evidence), _bad(evidence.load)
    claim, size = _claim(evidence), _size(evidence)
    return Receipt(
        run_id=decision.run_id,
        revision=decision.revision,
        outcome=_outcome(decision, bad, error),
        close_reason=decision.close_reason,
        landed=_landed(decision, bad),
        missing=(*decision.missing, *bad),
        job_id=job.id if job else None,
        job_state=job.state if job else None,
        job_attempts=job.attempt if job else 0,
        cluster=job.cluster if job else (claim.cluster if claim else None),
        cluster_attempts=len(evidence.claims),
        refusals=tuple(claim.refused for claim in evidence.claims if claim.refused),
        machine_type=size.machine_type if size else None,
        workers=size.workers if size else None,
        cost_estimate=_cost(evidence, size, now),
        driver_output_uri=job.driver_output_uri if job else None,
        dashboard=page_of(decision.run_id, evidence.dashboard_url) if evidence.dashboard_url else None,
        load=evidence.load,
        warehouse=evidence.warehouse,
        warnings=() if error else _warnings(evidence, bad),
        error=error,
        seconds=_seconds(evidence, now),
        source=dict(evidence.source),
        trace_id=trace_id(decision.run_id),
        decided_at=decision.decided_at,
        finished_at=now,
    )


def page_of(run_id: str, dashboard: str) -> str:
    """Address that shows the run: its own page, which exists before any row; an exported page has only weeks."""
    return (
        f"{dashboard}?week={run_id}" if dashboard.endswith(".html") else f"{dashboard.rstrip('/')}/runs/{run_id}"
    )


def _outcome(decision: Decision, bad: tuple[MissingMarket, ...], error: str | None) -> Outcome:
    if error:
        return "failed"
    return "partial" if decision.missing or bad else "loaded"


def _bad(load: LoadResult | None) -> tuple[MissingMarket, ...]:
    """The parts that the job left out, each with why."""
    found = load.parts if load else ()
    return tuple(MissingMarket(market=part.market, reason=part.reason) for part in found if part.reason)


def _landed(decision: Decision, bad: tuple[MissingMarket, ...]) -> tuple[str, ...]:
    left_out = {entry.market for entry in bad}
    return tuple(part.market for part in decision.parts if part.market not in left_out)


def _error(evidence: Evidence) -> str | None:
    """Why the decision counts as failed, and what the table holds instead; None where it is in the table."""
    doubt, load, table = _doubt(evidence), evidence.load, evidence.warehouse
    if doubt is None:
        return None
    said = (load.error if load and not load.loaded else None) or _ended(evidence)
    if said is None or table is None:
        return said or doubt
    stands = f"revision {table.revision} stands, {table.rows:,} rows" if table.rows else "the table has none of it"
    return f"{said}; {stands}"


def _ended(evidence: Evidence) -> str | None:
    """How the job ended: in the driver's own words rather than Dataproc's, which knows only an exit code."""
    job = evidence.job
    return f"{evidence.driver} (job {job.id} ended {job.state})" if job and evidence.driver else evidence.error


def _doubt(evidence: Evidence) -> str | None:
    """What keeps a decision from counting as loaded: the table holds something else, or was not counted."""
    decision, load, table = evidence.decision, evidence.load, evidence.warehouse
    if table is None:
        return "the table was not counted"
    if evidence.job is None:
        return "no job has run"
    if load is not None and load.loaded and table.rows != load.rows:
        return f"the table holds {table.rows:,} rows of the run, the job loaded {load.rows:,}"
    if not table.rows:
        return "the run has no row in the table"
    if table.revision != decision.revision:
        return f"the table holds revision {table.revision} of the run, not {decision.revision}"
    return _doubt_of_markets(decision, load, table)


def _doubt_of_markets(decision: Decision, load: LoadResult | None, table: WarehouseCount) -> str | None:
    """More markets than were decided are always wrong; fewer are right where the job says which it left out."""
    expected = markets_with_albums(decision)
    if load is None and table.markets < expected:
        return f"the table holds {table.markets} of {expected} markets with albums, and no load result says why"
    found, decided = max(table.markets, load.files if load else 0), len(decision.parts)
    return f"{decided} markets were decided, {found} were loaded" if found > decided else None


def _warnings(evidence: Evidence, bad: tuple[MissingMarket, ...]) -> tuple[str, ...]:
    """What a person should know about a decision that was loaded all the same."""
    load = evidence.load
    told = (
        f"{_ended(evidence)}, after its load: the table holds what was decided" if evidence.error else None,
        "the job left no load result; the table alone says that it loaded" if load is None else None,
        "the load result says that nothing was loaded, the table holds it" if load and not load.loaded else None,
        _small(evidence, len(_landed(evidence.decision, bad))),
        _one_list(evidence),
        _frozen(evidence),
    )
    return tuple(warning for warning in told if warning)


def _small(evidence: Evidence, markets: int) -> str | None:
    """That the run is much smaller than the one before; both were counted in the table."""
    now, before = evidence.warehouse, evidence.before
    if not now or not markets or before is None or not before.warehouse or not before.landed:
        return None
    share = (now.rows / markets) / (before.warehouse.rows / len(before.landed)) if before.warehouse.rows else 1
    if share >= SMALL_SHARE:
        return None
    return (
        f"much smaller than run {before.run_id}: {now.rows:,} rows of {markets} markets, {share:.0%} of the "
        f"{before.warehouse.rows:,} rows of {len(before.landed)} markets there, counted by market"
    )


def _one_list(evidence: Evidence) -> str | None:
    """That the market was ignored; no single part shows it."""
    if not evidence.source.get("identical_markets"):
        return None
    return f"all {len(evidence.decision.parts)} markets list the very same albums: Spotify did not heed the market"


def _frozen(evidence: Evidence) -> str | None:
    """That nothing is new; a run of the same week may well be the same."""
    before = evidence.source.get("compared_with")
    if not before or not evidence.source.get("same_as_before"):
        return None
    days = (date.fromisoformat(evidence.decision.run_id) - date.fromisoformat(before)).days
    return (
        f"every market lists the very same albums as run {before}, {days} days before" if days >= A_WEEK else None
    )


def _claim(evidence: Evidence) -> ClusterClaim | None:
    names = {evidence.job.cluster} if evidence.job else {claim.cluster for claim in evidence.claims[-1:]}
    return next((claim for claim in evidence.claims if claim.cluster in names), None)


def _size(evidence: Evidence) -> ClusterSize | None:
    """What Dataproc shows of the cluster; what was claimed where it is gone or never came."""
    if evidence.cluster is not None and evidence.cluster.size is not None:
        return evidence.cluster.size
    claim = _claim(evidence)
    return ClusterSize(claim.machine_type, claim.workers) if claim and claim.machine_type else None


def _cost(evidence: Evidence, size: ClusterSize | None, now: datetime) -> float | None:
    """From the first claim not refused on: one cluster follows the other; from its job where it used another's."""
    starts = [claim.claimed_at for claim in evidence.claims if claim.refused is None]
    began = min(starts) if starts else (evidence.job.started_at if evidence.job else None)
    return estimate(size, now - began) if size and began else None


def _seconds(evidence: Evidence, now: datetime) -> dict[str, float]:
    claim, cluster, job = _claim(evidence), evidence.cluster, evidence.job
    spans = {
        "fetch": (evidence.manifest.created_at, evidence.decision.decided_at),
        "cluster": (claim.claimed_at if claim else None, cluster.running_since if cluster else None),
        "spark": (job.started_at if job else None, job.ended_at if job else None),
        "total": (evidence.manifest.created_at, now),
    }
    return {name: _span(begin, end) for name, (begin, end) in spans.items() if begin and end}


def _span(begin: datetime, end: datetime) -> float:
    return round(max(end - begin, timedelta(0)).total_seconds(), 3)
