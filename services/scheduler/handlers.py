"""A tick makes or completes a run; a sweep asks again for what must be taken for lost, and tells of a lost tick."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from contracts.documents import Manifest
from contracts.events import Delivery, MarketRequested, RunRequested, SweepRequested
from eventing import logs
from eventing.app import Handler
from services.scheduler.decisions import (
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
)
from services.scheduler.ports import Ports

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskAgain:
    """When a sweep asks for a missing market again."""

    every: timedelta
    during: timedelta


def handlers(ports: Ports, plan: Plan, ask_again: AskAgain, watch: Watch | None) -> Mapping[type, Handler]:
    """The events this service takes; without a watch no lost tick is noticed."""
    return {
        RunRequested: partial(on_run_requested, ports=ports, plan=plan, watch=watch),
        SweepRequested: partial(on_sweep, ports=ports, ask_again=ask_again, watch=watch),
    }


async def on_run_requested(delivery: Delivery, *, ports: Ports, plan: Plan, watch: Watch | None) -> None:
    """Create the run's manifest once, then ask for every market that has no part yet."""
    request: RunRequested = delivery.event
    now = ports.clock()
    run_id = request.run_id or run_id_at(delivery.publish_time or now, plan.zone, watch)
    logs.bind_run(run_id)
    wanted = manifest_for(request, run_id, plan=plan, now=now, event_id=delivery.event_id)
    manifest = await ports.ledger.create_manifest(wanted)
    if request.markets and set(request.markets) != set(manifest.markets):
        log.warning("markets_stand", extra={"asked": request.markets, "manifest": manifest.markets})
    landing = await ports.ledger.landing(run_id)
    requests = requests_on_tick(manifest, landing)
    await ports.publisher.publish(requests, cause=delivery.event_id)
    log.info("markets_requested", extra={"requested": len(requests), "landed": len(landing.parts)})


async def on_sweep(delivery: Delivery, *, ports: Ports, ask_again: AskAgain, watch: Watch | None) -> None:
    """Ask again, once per interval, for the missing markets of every recent run; tell of a run that never began."""
    now = ports.clock()
    owner = delivery.message_id or delivery.event_id
    indexes = [index for index in await ports.ledger.indexes() if index.has_manifest]
    for index in indexes:
        if index.is_archived(now, ports.raw_days) or not is_recent(index.run_id, now, ask_again.during):
            continue
        manifest = await ports.ledger.manifest(index.run_id)
        if manifest is None or now - manifest.created_at > ask_again.during:
            continue
        waiting = Waiting(
            landing=await ports.ledger.landing(index.run_id),
            dead=index.dead_letters,
            throttled=await ports.ledger.throttled(index),
        )
        requests = requests_on_sweep(manifest, waiting, now)
        slot = slot_of(manifest, now, ask_again.every)
        if requests and slot > 0 and await ports.ledger.claim_asking(index.run_id, slot, owner):
            await _ask(requests, manifest, slot, ports=ports)
    if watch is not None:
        _look_for_a_lost_tick({index.run_id: index.began_at for index in indexes}, watch, now)


def _look_for_a_lost_tick(runs: Mapping[str, datetime | None], watch: Watch, now: datetime) -> None:
    """Tell of it, from a listing alone: the run before may be archived, or long gone from anybody's mind."""
    due = newest_due(watch, now)
    before = [began_at for run_id, began_at in runs.items() if run_id < due.run_id]
    if is_missing(due, runs, before[-1] if before else None):
        remedy = f"./releases run start --date {due.run_id}; then see why new-releases-weekly-tick did not come"
        log.error("run_missing", extra={"run_id": due.run_id, "due": due.at.isoformat(), "remedy": remedy})


async def _ask(requests: list[MarketRequested], manifest: Manifest, slot: int, *, ports: Ports) -> None:
    for request in requests:
        await ports.ledger.clear_dead_letter(request.run_id, request.market)
    await ports.publisher.publish(requests, cause=f"{manifest.requested_by}/asked-again/{slot}")
    log.warning("markets_asked_again", extra={"run_id": manifest.run_id, "slot": slot, "requested": len(requests)})
