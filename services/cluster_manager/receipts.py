"""What a decision became, as a document: pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contracts.documents import ClusterClaim, Decision, LoadResult, Manifest, Receipt, WarehouseCount
from contracts.events import Outcome
from contracts.names import trace_id
from services.cluster_manager.costs import estimate
from services.cluster_manager.ports import Cluster, Job
from services.cluster_manager.sizing import ClusterSize


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
    """What the parts tell of their source (`contracts.truth`)."""
    dashboard_url: str | None = None


def receipt_of(evidence: Evidence, now: datetime) -> Receipt:
    """The receipt: an outcome only as good as the evidence for it."""
    decision, job = evidence.decision, evidence.job
    error = evidence.error or _doubt(evidence)
    claim, size = _claim(evidence), _size(evidence)
    return Receipt(
        run_id=decision.run_id,
        revision=decision.revision,
        outcome=_outcome(decision, error),
        close_reason=decision.close_reason,
        landed=tuple(part.market for part in decision.parts),
        missing=decision.missing,
        job_id=job.id if job else None,
        job_state=job.state if job else None,
        job_attempts=job.attempt if job else 0,
        cluster=job.cluster if job else (claim.cluster if claim else None),
        cluster_attempts=len(evidence.claims),
        machine_type=size.machine_type if size else None,
        workers=size.workers if size else None,
        cost_estimate=_cost(evidence, size, now),
        driver_output_uri=job.driver_output_uri if job else None,
        dashboard=f"{evidence.dashboard_url}?week={decision.run_id}" if evidence.dashboard_url else None,
        load=evidence.load,
        warehouse=evidence.warehouse,
        error=error,
        seconds=_seconds(evidence, now),
        source=dict(evidence.source),
        trace_id=trace_id(decision.run_id),
        decided_at=decision.decided_at,
        finished_at=now,
    )


def _outcome(decision: Decision, error: str | None) -> Outcome:
    if error:
        return "failed"
    return "partial" if decision.missing else "loaded"


def _doubt(evidence: Evidence) -> str | None:
    """What keeps a job that ended DONE from counting as loaded."""
    load, table, revision = evidence.load, evidence.warehouse, evidence.decision.revision
    if load is None:
        return "the job ended DONE but left no load result"
    if table is None:
        return "the table was not counted"
    if table.rows != load.rows:
        return f"the table holds {table.rows} rows of the run, the job loaded {load.rows}"
    if load.rows and table.revision != revision:
        return f"the table holds revision {table.revision} of the run, not {revision}"
    return None


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
    """From the first claim on, since one cluster follows the other; from its job where it used another revision's."""
    starts = [claim.claimed_at for claim in evidence.claims]
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
