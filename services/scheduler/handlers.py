"""A tick creates or completes a run; a sweep asks again for what must be taken for lost, and reports a lost tick."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from contracts.documents import Manifest
from contracts.events import Delivery, MarketRequested, RunRequested, SweepRequested
from eventing import logs, sweeping
from eventing.app import Handler
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunIndex
from services.scheduler.decisions import (
    Due,
    Plan,
    Waiting,
    Watch,
    is_missing,
    is_recent,
    manifest_for,
    newest_due,
    requests_on_sweep,
    requests_on_tick,
    run_id_at,
    slot_of,
    why_refused,
    widened,
)
from services.scheduler.ports import Ports

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskAgain:
    """When a sweep asks for a missing market again."""

    every: timedelta
    during: timedelta


def handlers(ports: Ports, plan: Plan, ask_again: AskAgain, watch: Watch | None) -> Mapping[type, Handler]:
    """The events this service takes; where `watch` is None no lost tick is noticed."""
    return {
        RunRequested: partial(on_run_requested, ports=ports, plan=plan, watch=watch),
        SweepRequested: partial(on_sweep, ports=ports, ask_again=ask_again, watch=watch),
    }


async def on_run_requested(delivery: Delivery, *, ports: Ports, plan: Plan, watch: Watch | None) -> None:
    """Create the run's manifest once, or widen it, then ask for every market that has no part yet."""
    request: RunRequested = delivery.event
    now = ports.clock()
    if (refusal := why_refused(request, plan=plan, now=now)) is not None:
        raise Permanent(refusal)
    run_id = request.run_id or run_id_at(delivery.publish_time or now, plan.zone, watch)
    logs.bind_run(run_id)
    if await ports.ledger.is_discarded(await ports.ledger.index(run_id)):
        log.warning(
            "run_discarded", extra={"remedy": f"./releases run reopen {run_id}, if it is wanted after all"}
        )
        return
    wanted = manifest_for(request, run_id, plan=plan, now=now, event_id=delivery.event_id)
    manifest = await _widened(await ports.ledger.create_manifest(wanted), wanted, plan=plan, ports=ports)
    if request.markets and set(request.markets) != set(manifest.markets):
        log.warning("markets_stand", extra={"asked": request.markets, "manifest": manifest.markets})
    landing = await ports.ledger.landing(run_id)
    requests = requests_on_tick(manifest, landing)
    await ports.publisher.publish(requests, cause=delivery.event_id)
    log.info("markets_requested", extra={"requested": len(requests), "landed": len(landing.parts)})


async def _widened(standing: Manifest, wanted: Manifest, *, plan: Plan, ports: Ports) -> Manifest:
    """What the run expects from now on: a run first tried with a few markets can still get the others."""
    wider = widened(standing, wanted, plan=plan, now=ports.clock())
    if wider is None:
        return standing
    if not await ports.ledger.widen_manifest(standing, wider):
        raise Retryable(f"run {standing.run_id}: another request changed its manifest")
    added = wider.markets[len(standing.markets) :]
    log.warning("run_widened", extra={"run_id": standing.run_id, "added": added, "expected": len(wider.markets)})
    return wider


async def on_sweep(delivery: Delivery, *, ports: Ports, ask_again: AskAgain, watch: Watch | None) -> None:
    """Ask again, once per interval, for the missing markets of every recent run; report a run that never began."""
    now = ports.clock()
    owner = delivery.message_id or delivery.event_id
    indexes = {index.run_id: index for index in await ports.ledger.indexes() if index.has_manifest}
    recent = [
        run_id
        for run_id, index in indexes.items()
        if not index.is_archived(now, ports.raw_days) and is_recent(run_id, now, ask_again.during)
    ]
    due = newest_due(watch, now) if watch is not None else None
    if due is not None:
        _look_for_a_lost_tick({run_id: index.began_at for run_id, index in indexes.items()}, due)

    async def look(run_id: str) -> None:
        await _look_at(indexes[run_id], owner, ports=ports, ask_again=ask_again, due=due)

    await sweeping.each(recent, look)


async def _look_at(index: RunIndex, owner: str, *, ports: Ports, ask_again: AskAgain, due: Due | None) -> None:
    """Ask for the missing markets of one run."""
    now = ports.clock()
    if await ports.ledger.is_discarded(index):
        return
    manifest = await ports.ledger.manifest(index.run_id)
    if manifest is None or now - manifest.created_at > ask_again.during:
        return
    if due is not None and index.run_id == due.run_id and manifest.left_out:
        # A person asked for some markets, and the tick that asks for the others did not come.
        _tell_of(due, f"{len(manifest.left_out)} configured markets were never asked for")
    waiting = Waiting(
        landing=await ports.ledger.landing(index.run_id),
        given_up=index.given_up,
        throttled=await ports.ledger.throttled(index),
    )
    requests = requests_on_sweep(manifest, waiting, now)
    slot = slot_of(manifest, now, ask_again.every)
    if requests and slot > 0 and await ports.ledger.claim_asking(index.run_id, slot, owner):
        await _ask(requests, manifest, slot, ports=ports)


def _look_for_a_lost_tick(runs: Mapping[str, datetime | None], due: Due) -> None:
    """Report it, from the listing alone: the run before may be archived."""
    before = [began_at for run_id, began_at in runs.items() if run_id < due.run_id]
    if is_missing(due, runs, before[-1] if before else None):
        _tell_of(due, "the run has no manifest")


def _tell_of(due: Due, reason: str) -> None:
    remedy = f"./releases run start --date {due.run_id}; then see why new-releases-weekly-tick did not come"
    told = {"run_id": due.run_id, "due": due.at.isoformat(), "reason": reason, "remedy": remedy}
    log.error("run_missing", extra=told)


async def _ask(requests: list[MarketRequested], manifest: Manifest, slot: int, *, ports: Ports) -> None:
    for request in requests:
        await ports.ledger.clear_given_up(request.run_id, request.market)
    await ports.publisher.publish(requests, cause=f"{manifest.requested_by}/asked-again/{slot}")
    log.warning("markets_asked_again", extra={"run_id": manifest.run_id, "slot": slot, "requested": len(requests)})
