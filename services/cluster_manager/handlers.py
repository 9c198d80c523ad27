"""Events wake the manager; what it does comes from what the bucket and Dataproc show."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from contracts.documents import ClusterClaim, Decision, JobClaim, Receipt, SecondLook
from contracts.events import BatchReady, DataprocOperation, Delivery, RunFinished, SweepRequested
from contracts.names import is_run_id, receipt_name, run_of_resource
from contracts.truth import source_report
from eventing import logs, sweeping
from eventing.app import Handler
from eventing.coalescing import Coalescer
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunIndex, RunLedger, Unreadable
from services.cluster_manager.decisions import (
    Action,
    AnnounceAgain,
    CancelJob,
    ClaimCluster,
    ClaimJob,
    CreateCluster,
    DeleteCluster,
    Facts,
    Finish,
    Limits,
    NoteLook,
    NoteRefusal,
    SubmitJob,
    Wait,
    decide,
    expected_cluster,
    look_is_due,
    needs_table,
)
from services.cluster_manager.driver_output import MOST_BYTES, folder_of, last_error
from services.cluster_manager.ports import Cluster, Job, JobRequest, NoMachines, Ports
from services.cluster_manager.receipts import Evidence, receipt_of
from services.cluster_manager.sizing import ClusterSize

log = logging.getLogger(__name__)

_COMPARED = 8  # earlier runs that are looked at for one that was loaded


def handlers(ports: Ports, coalescer: Coalescer) -> Mapping[type, Handler]:
    """The events this service takes; the coalescer calls `reconcile`, once for many of them."""
    return {
        BatchReady: partial(on_batch_ready, coalescer=coalescer),
        DataprocOperation: partial(on_dataproc_operation, coalescer=coalescer),
        SweepRequested: partial(on_sweep, ports=ports, coalescer=coalescer),
    }


async def on_batch_ready(delivery: Delivery, *, coalescer: Coalescer) -> None:
    """A decision stands."""
    event: BatchReady = delivery.event
    await coalescer.run(event.run_id)


async def on_dataproc_operation(delivery: Delivery, *, coalescer: Coalescer) -> None:
    """A cluster or job has ended something. Whoever asked for it knows already what was begun, or refused at once."""
    event: DataprocOperation = delivery.event
    if not event.last:
        log.info("no_operation_ended", extra={"resource": event.resource, "method": event.method})
        return
    run_id = run_of_resource(event.resource)
    if run_id is None:
        log.info("not_our_resource", extra={"resource": event.resource})
        return
    logs.bind_run(run_id)
    await coalescer.run(run_id)


async def on_sweep(_delivery: Delivery, *, ports: Ports, coalescer: Coalescer) -> None:
    """Look at every run that has something left to do, unless it is archived, and at every run with a cluster."""
    now = ports.clock()
    known = [index for index in await ports.ledger.indexes() if not index.is_archived(now, ports.raw_days)]
    decided = [index for index in known if index.decisions]
    unsettled = {index.run_id for index in decided if not index.is_settled or look_is_due(index, now)}
    labelled = {cluster.labels.get("run", "") for cluster in await ports.dataproc.clusters()}
    open_runs = sorted(unsettled | {run for run in labelled if is_run_id(run)})
    await sweeping.each(open_runs, coalescer.run)


async def reconcile(run_id: str, *, ports: Ports, limits: Limits) -> None:
    """Take the next step of one run. A refused action does not stop the others.

    Raises:
        Permanent: an action was refused, or the newest decision cannot be read.
    """
    facts = await _facts(run_id, ports)
    refused = [Permanent(facts.unreadable)] if facts.unreadable else []
    for action in decide(facts, ports.clock(), limits):
        try:
            await _act(action, facts, ports)
        except Permanent as error:
            refused.append(error)
    if refused:
        raise refused[0]


async def _facts(run_id: str, ports: Ports) -> Facts:
    """Look at the run. The index is read last: what Dataproc shows is then never newer than the decisions known."""
    clusters = await ports.dataproc.clusters(run_id)
    jobs = await ports.dataproc.jobs(run_id)
    claims = await ports.ledger.cluster_claims(run_id)
    job_claims = await ports.ledger.job_claims(run_id)
    index = await ports.ledger.index(run_id)
    newest, unreadable = await _newest(index, ports.ledger)
    facts = Facts(
        run_id=run_id,
        newest=newest,
        unreadable=unreadable,
        receipts=frozenset(index.receipts),
        announced=frozenset(index.announced),
        job_claims=job_claims.readable,
        last_job=job_claims.last,
        claims=claims.readable,
        last_attempt=claims.last,
        clusters=clusters,
        jobs=jobs,
    )
    if look_is_due(index, ports.clock()):
        facts = await _with_second_look(facts, index, ports)
    elif needs_table(facts):
        facts = replace(facts, table=await ports.warehouse.count(run_id))
    return await _with_claimed_cluster(facts, ports)


async def _with_second_look(facts: Facts, index: RunIndex, ports: Ports) -> Facts:
    return replace(
        facts,
        table=await ports.warehouse.count(facts.run_id),
        receipt=await ports.ledger.receipt(facts.run_id, index.newest_decision),
    )


async def _newest(index: RunIndex, ledger: RunLedger) -> tuple[Decision | None, str]:
    """The newest decision, or why it cannot be read."""
    try:
        return await ledger.decision(index.run_id, index.newest_decision) if index.newest_decision else None, ""
    except Unreadable as error:
        return None, str(error)


async def _with_claimed_cluster(facts: Facts, ports: Ports) -> Facts:
    """Add the cluster of the claimed name: a listing by label does not show a stranger's."""
    name = expected_cluster(facts)
    if name is None or any(cluster.name == name for cluster in facts.clusters):
        return facts
    found = await ports.dataproc.cluster(name)
    if found is None:
        return facts
    return replace(facts, clusters=[*facts.clusters, found])


async def _act(action: Action, facts: Facts, ports: Ports) -> None:  # noqa: C901 -- a line for each action of a closed set
    run_id = facts.run_id
    log.info("step", extra={"run_id": run_id, "action": type(action).__name__, "detail": str(action)})
    match action:
        case Wait():
            return
        case ClaimCluster():
            await _claim(run_id, action, ports)
        case CreateCluster(name, size):
            claim = next(claim for claim in facts.claims if claim.cluster == name)
            await _create(claim, size, ports)
        case NoteRefusal(claim, reason):
            await _note_refusal(claim, reason, ports)
        case ClaimJob():
            await _claim_job(run_id, action, ports)
        case SubmitJob(revision, attempt, cluster):
            await ports.dataproc.submit_job(JobRequest(run_id, revision, attempt, cluster))
        case CancelJob(job):
            await ports.dataproc.cancel_job(job)
        case Finish():
            await _finish(action, facts, ports)
        case AnnounceAgain(revision):
            await _announce(run_id, revision, ports)
        case DeleteCluster(name, uuid):
            await ports.dataproc.delete_cluster(name, uuid)
        case NoteLook():
            await _note_look(run_id, action, ports)


async def _note_look(run_id: str, found: NoteLook, ports: Ports) -> None:
    if found.taken_back:
        fields = {"run_id": run_id, "revision": found.revision, "stands": found.table.revision}
        log.warning("table_taken_back", extra=fields)
    look = SecondLook(
        run_id=run_id,
        revision=found.revision,
        table=found.table,
        taken_back=found.taken_back,
        looked_at=ports.clock(),
    )
    await ports.ledger.note_looked(look)


async def _claim(run_id: str, wanted: ClaimCluster, ports: Ports) -> None:
    claim = ClusterClaim(
        run_id=run_id,
        attempt=wanted.attempt,
        revision=wanted.revision,
        claimed_at=ports.clock(),
        machine_type=wanted.size.machine_type,
        workers=wanted.size.workers,
        zone=wanted.size.zone,
    )
    if not await ports.ledger.create_cluster_claim(claim):
        # Whoever won creates it, at the size that its claim says; if it fails to, the next look does.
        raise Retryable(f"run {run_id}: cluster {claim.cluster} was claimed first")
    await _create(claim, wanted.size, ports)


async def _create(claim: ClusterClaim, size: ClusterSize, ports: Ports) -> None:
    """A refusal settles the delivery: it is on record, and the first sweep after its pause asks again."""
    try:
        await ports.dataproc.create_cluster(claim.cluster, claim.run_id, size)
    except NoMachines as error:
        await _note_refusal(claim, str(error), ports)


async def _note_refusal(claim: ClusterClaim, reason: str, ports: Ports) -> None:
    log.warning("cluster_refused", extra={"run_id": claim.run_id, "cluster": claim.cluster, "reason": reason})
    await ports.ledger.note_refused(claim, reason)


async def _claim_job(run_id: str, action: ClaimJob, ports: Ports) -> None:
    wanted = JobClaim(
        run_id=run_id,
        number=action.number,
        revision=action.revision,
        attempt=action.attempt,
        claimed_at=ports.clock(),
    )
    standing = await ports.ledger.claim_job(wanted)
    if (standing.revision, standing.attempt) != (action.revision, action.attempt):
        reason = f"run {run_id}: the job of revision {standing.revision} was claimed first"
        raise Retryable(reason)
    await ports.dataproc.submit_job(JobRequest(run_id, action.revision, action.attempt, action.cluster))


async def _finish(action: Finish, facts: Facts, ports: Ports) -> None:
    run_id, revision = facts.run_id, action.revision
    evidence = await _evidence(action, facts, ports)
    receipt = receipt_of(evidence, ports.clock())
    await ports.ledger.create_receipt(receipt)
    level = logging.ERROR if receipt.outcome == "failed" else logging.INFO
    fields = {"run_id": run_id, "revision": revision, "outcome": receipt.outcome, "reason": receipt.error}
    log.log(level, "run_finished", extra=fields)
    for warning in receipt.warnings:
        log.warning("run_doubtful", extra={"run_id": run_id, "revision": revision, "reason": warning})
    await _announce(run_id, revision, ports)


async def _evidence(action: Finish, facts: Facts, ports: Ports) -> Evidence:
    run_id, revision, job = facts.run_id, action.revision, action.job
    manifest = await ports.ledger.manifest(run_id)
    decision = await ports.ledger.decision(run_id, revision)
    if manifest is None or decision is None:
        raise Permanent(f"run {run_id} has a job for revision {revision} but no manifest or decision; restore it")
    load = await ports.ledger.load_result(run_id, revision) if job else None
    return Evidence(
        manifest=manifest,
        decision=decision,
        job=job,
        error=action.error,
        driver=await _driver_error(job, ports) if job and action.error and not load else None,
        load=load,
        warehouse=await ports.warehouse.count(run_id),
        claims=tuple(claim for claim in facts.claims if claim.revision == revision),
        cluster=_cluster_of(facts, job.cluster if job else None),
        source=await _source(run_id, ports.ledger),
        before=await _loaded_before(run_id, ports.ledger),
        dashboard_url=ports.dashboard_url,
    )


async def _driver_error(job: Job, ports: Ports) -> str | None:
    """The last error of the driver's output: nothing else says why a job left no result."""
    if ports.staging is None or job.driver_output_uri is None:
        return None
    try:
        written = [
            info.name for info in await ports.staging.listing(folder_of(job.driver_output_uri)) if info.size
        ]
        return last_error(await ports.staging.end(written[-1], MOST_BYTES)) if written else None
    except Retryable as error:
        # The receipt tells where the output is: it is not worth waiting for.
        log.warning("driver_output_unread", extra={"job": job.id, "reason": str(error)})
        return None


async def _source(run_id: str, ledger: RunLedger) -> dict[str, Any]:
    """What the parts say about their source, compared with the run before."""
    earlier = [index.run_id for index in await ledger.indexes() if index.run_id < run_id]
    before = await ledger.parts_metadata(earlier[-1]) if earlier else {}
    report = source_report(await ledger.parts_metadata(run_id), before)
    return {**report, "compared_with": earlier[-1]} if earlier else report


async def _loaded_before(run_id: str, ledger: RunLedger) -> Receipt | None:
    """The newest receipt of an earlier run that was loaded, of the few that are looked at."""
    earlier = [index for index in await ledger.indexes() if index.run_id < run_id and index.receipts]
    for index in reversed(earlier[-_COMPARED:]):
        receipt = await ledger.receipt(index.run_id, index.receipts[-1])
        if receipt is not None and receipt.outcome != "failed":
            return receipt
    return None


def _cluster_of(facts: Facts, name: str | None) -> Cluster | None:
    return next((cluster for cluster in facts.clusters if cluster.name == name), None)


async def _announce(run_id: str, revision: int, ports: Ports) -> None:
    """Publish what the standing receipt says."""
    standing = await ports.ledger.receipt(run_id, revision)
    if standing is None:
        raise Permanent(f"receipt {revision} of run {run_id} vanished or cannot be read; restore it")
    event = RunFinished(
        run_id=run_id,
        revision=revision,
        outcome=standing.outcome,
        receipt_uri=f"gs://{ports.bucket}/{receipt_name(run_id, revision)}",
    )
    await ports.publisher.publish([event], cause=f"{run_id}/receipt/{revision}")
    await ports.ledger.note_announced(run_id, revision)
