"""A tick makes or completes a run; a sweep asks again for what must be taken for lost, and tells of a lost tick."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from contracts.documents import Manifest
from contracts.events import Delivery, MarketRequested, RunRequested, SweepRequested
from eventing import logs
from eventing.app import Handler
from eventing.clock import Clock
from eventing.ledger import RunLedger
from eventing.publisher import Publisher
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

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handlers act on."""

    ledger: RunLedger
    publisher: Publisher
    clock: Clock


@dataclass(frozen=True, slots=True)
class AskAgain:
    """When a sweep asks for a missing market again."""

    every: timedelta
    during: timedelta


def handlers(ports: Ports, plan: Plan, ask_again: AskAgain, watch: Watch | None) -> Mapping[type, Handler]:
    """The events this service takes; without a watch no tick is missed."""
    return {
        RunRequested: partial(on_run_requested, ports=ports, plan=plan),
        SweepRequested: partial(on_sweep, ports=ports, ask_again=ask_again, watch=watch),
    }


async def on_run_requested(delivery: Delivery, *, ports: Ports, plan: Plan) -> None:
    """Create the run's manifest once, then ask for every market that has no part yet."""
    request: RunRequested = delivery.event
    now = ports.clock()
    run_id = request.run_id or run_id_at(delivery.publish_time or now, plan.zone)
    logs.bind_run(run_id)
    wanted = manifest_for(request, run_id, plan=plan, now=now, event_id=delivery.event_id)
    manifest = await ports.ledger.create_manifest(wanted)
    if request.markets and set(request.markets) != set(manifest.markets):
        log.warning("markets_stand", extra={"asked": request.markets, "manifest": manifest.markets})
    landed = await ports.ledger.parts(run_id)
    requests = requests_on_tick(manifest, landed)
    await ports.publisher.publish(requests, cause=delivery.event_id)
    log.info("markets_requested", extra={"requested": len(requests), "landed": len(landed)})


async def on_sweep(delivery: Delivery, *, ports: Ports, ask_again: AskAgain, watch: Watch | None) -> None:
    """Ask again, once per interval, for the missing markets of every recent run; tell of a run that never began."""
    now = ports.clock()
    owner = delivery.message_id or delivery.event_id
    indexes = [index for index in await ports.ledger.indexes() if index.has_manifest]
    for index in indexes:
        if not is_recent(index.run_id, now, ask_again.during):
            continue
        manifest = await ports.ledger.manifest(index.run_id)
        if manifest is None or now - manifest.created_at > ask_again.during:
            continue
        waiting = Waiting(
            landed=await ports.ledger.parts(index.run_id),
            dead=index.dead_letters,
            throttled=await ports.ledger.throttled(index),
        )
        requests = requests_on_sweep(manifest, waiting, now)
        slot = slot_of(manifest, now, ask_again.every)
        if requests and slot > 0 and await ports.ledger.claim_asking(index.run_id, slot, owner):
            await _ask(requests, manifest, slot, ports=ports)
    if watch is not None:
        await _look_for_a_lost_tick([index.run_id for index in indexes], watch, ports)


async def _look_for_a_lost_tick(runs: list[str], watch: Watch, ports: Ports) -> None:
    due = newest_due(watch, ports.clock())
    before = [run_id for run_id in runs if run_id < due.run_id]
    if is_missing(due, runs, await ports.ledger.manifest(before[-1]) if before else None):
        remedy = f"./releases run start --date {due.run_id}; then see why new-releases-weekly-tick did not come"
        log.error("run_missing", extra={"run_id": due.run_id, "due": due.at.isoformat(), "remedy": remedy})


async def _ask(requests: list[MarketRequested], manifest: Manifest, slot: int, *, ports: Ports) -> None:
    for request in requests:
        await ports.ledger.clear_dead_letter(request.run_id, request.market)
    await ports.publisher.publish(requests, cause=f"{manifest.requested_by}/asked-again/{slot}")
    log.warning("markets_asked_again", extra={"run_id": manifest.run_id, "slot": slot, "requested": len(requests)})
