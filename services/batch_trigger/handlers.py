"""Events wake the barrier; what it does comes from what the bucket shows. Dead letters of every kind are recorded."""

import logging
from collections.abc import Mapping
from functools import partial

from contracts.documents import Decision
from contracts.events import BatchReady, DeadLettered, Delivery, MarketRequested, ObjectFinalized, SweepRequested
from contracts.names import parse_part_name
from contracts.wording import shown
from eventing import logs, sweeping
from eventing.app import Handler
from eventing.coalescing import Coalescer
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunLedger
from services.batch_trigger.dead_letters import dead_letter_of, given_up_market
from services.batch_trigger.decisions import (
    Announce,
    AskAgain,
    Close,
    Facts,
    Repair,
    Step,
    Wait,
    WaitQuiet,
    decide,
)
from services.batch_trigger.ports import Ports

log = logging.getLogger(__name__)


def handlers(ports: Ports, coalescer: Coalescer) -> Mapping[type, Handler]:
    """The events this service takes; the coalescer calls `reconcile`, once for many of them."""
    return {
        ObjectFinalized: partial(on_object_finalized, ports=ports, coalescer=coalescer),
        DeadLettered: partial(on_dead_lettered, ports=ports, coalescer=coalescer),
        SweepRequested: partial(on_sweep, ports=ports, coalescer=coalescer),
    }


async def on_object_finalized(delivery: Delivery, *, ports: Ports, coalescer: Coalescer) -> None:
    """A part may have landed."""
    event: ObjectFinalized = delivery.event
    if event.bucket != ports.bucket:
        raise Permanent(f"bucket: {shown(event.bucket)} is not ours; point its notification elsewhere")
    key = parse_part_name(event.name)
    if key is None:
        log.warning("not_a_part", extra={"object": event.name})
        return
    logs.bind_run(key.run_id, key.market)
    await coalescer.run(key.run_id)


async def on_dead_lettered(delivery: Delivery, *, ports: Ports, coalescer: Coalescer) -> None:
    """Record a message that was given up; where it asked for a market, its run need not wait for that one."""
    event: DeadLettered = delivery.event
    dead_letter = dead_letter_of(event, ports.clock())
    if not await ports.ledger.has_dead_letter(dead_letter.subscription, dead_letter.message_id):
        # The message's own record comes last: once it stands, a redelivery records nothing again, and so a market
        # that was asked for again meanwhile is not given up once more by an old message.
        if (record := given_up_market(event, ports.clock())) is not None:
            await ports.ledger.record_given_up(record)
            log.error("market_dead_lettered", extra={"deliveries": event.delivery_count})
        if await ports.ledger.create_dead_letter(dead_letter):
            told = dead_letter.model_dump(include={"subscription", "event", "reason"})
            log.warning("dead_letter_recorded", extra={**told, "dead_letter": dead_letter.message_id})
    request = event.original
    if isinstance(request, MarketRequested) and await ports.ledger.manifest(request.run_id) is not None:
        await coalescer.run(request.run_id)


async def on_sweep(_delivery: Delivery, *, ports: Ports, coalescer: Coalescer) -> None:
    """Look at every run that a lost event may have left behind; an archived one has nothing that could be loaded."""
    now = ports.clock()
    known = {index.run_id: index for index in await ports.ledger.indexes() if index.has_manifest}

    async def look(run_id: str) -> None:
        if not await ports.ledger.is_discarded(known[run_id]):
            await coalescer.run(run_id)

    await sweeping.each(
        (run_id for run_id, index in known.items() if not index.is_archived(now, ports.raw_days)), look
    )


async def reconcile(run_id: str, *, ports: Ports) -> None:
    """Bring one run's barrier to where its parts say it should be.

    Raises:
        Retryable: the run is unknown as yet, or a late part must wait for quiet.
    """
    facts = await _facts(run_id, ports.ledger)
    step = decide(facts, ports.clock())
    await _act(step, facts, ports)


async def _facts(run_id: str, ledger: RunLedger) -> Facts:
    manifest = await ledger.manifest(run_id)
    if manifest is None:
        raise Retryable(f"run {run_id} has no manifest (yet); request it first")
    index = await ledger.index(run_id)
    # The decision is read before the parts: a part that lands in between is then news, never overlooked.
    newest = await ledger.decision(run_id, index.newest_decision) if index.newest_decision else None
    look = await ledger.look(run_id, index.newest_decision) if index.newest_decision in index.looked else None
    landing = await ledger.landing(run_id)
    return Facts(
        manifest=manifest,
        parts={market: part for market, part in landing.parts.items() if market in manifest.markets},
        unusable=landing.unusable,
        newest=newest,
        newest_has_receipt=index.is_finished,
        load=await ledger.load_result(run_id, index.newest_decision) if index.is_finished else None,
        given_up=await ledger.given_up(index),
        throttled=await ledger.throttled(index),
        orders=await ledger.orders(index),
        reopened=index.reopened,
        taken_back=look is not None and look.taken_back,
        repaired=index.repaired,
    )


async def _act(step: Step, facts: Facts, ports: Ports) -> None:
    run_id = facts.manifest.run_id
    match step:
        case Wait(reason):
            log.info("batch_waits", extra={"run_id": run_id, "reason": reason})
        case WaitQuiet(remaining):
            raise Retryable(f"run {run_id} waits for quiet before a new revision, for {remaining}")
        case Announce(revision):
            await _announce(run_id, revision, ports)
        case AskAgain():
            await _ask_again(step, facts, ports)
        case Repair():
            await _repair(step, run_id, ports)
        case Close():
            await _close(step, facts, ports)


async def _ask_again(step: AskAgain, facts: Facts, ports: Ports) -> None:
    """Obey an order to reopen. The note comes last: a crash before it asks once more, which changes nothing."""
    run_id, order = facts.manifest.run_id, step.order
    # An object in a part's place that is not a part is replaced only by a replay.
    requests = [
        MarketRequested(run_id=run_id, market=market, replay=market in facts.unusable, reason=order.reason)
        for market in step.markets
    ]
    await _ask(requests, ports, cause=f"{run_id}/order/{order.number}")
    await ports.ledger.note_reopened(run_id, order.number)
    log.warning("run_reopened", extra={"run_id": run_id, "order": order.number, "requested": step.markets})


async def _repair(step: Repair, run_id: str, ports: Ports) -> None:
    """Have bad or vanished parts fetched again; noted last, as above."""
    reason = f"its part in revision {step.revision} proved bad or has gone"
    requests = [
        MarketRequested(run_id=run_id, market=market, replay=True, reason=reason) for market in step.markets
    ]
    await _ask(requests, ports, cause=f"{run_id}/repair/{step.revision}")
    await ports.ledger.note_repaired(run_id, step.revision)
    told = {"run_id": run_id, "revision": step.revision, "requested": step.markets}
    log.warning("parts_asked_again", extra=told)


async def _ask(requests: list[MarketRequested], ports: Ports, *, cause: str) -> None:
    """Publish requests, and forget that any of their markets was given up."""
    for request in requests:
        await ports.ledger.clear_given_up(request.run_id, request.market)
    await ports.publisher.publish(requests, cause=cause)


async def _close(step: Close, facts: Facts, ports: Ports) -> None:
    run_id = facts.manifest.run_id
    decision = Decision(
        run_id=run_id,
        revision=step.revision,
        verdict="load" if step.verdict_load else "fail",
        close_reason=step.close_reason,
        parts=step.parts,
        missing=step.missing,
        decided_at=ports.clock(),
        owner=ports.owner,
        order=facts.orders[-1].number if facts.orders else 0,
        note=step.note,
        least=step.least,
        holds=step.holds,
    )
    won = await ports.ledger.create_decision(decision)
    outcome = {"run_id": run_id, "revision": step.revision, "won": won, "missing": len(step.missing)}
    log.info("batch_closed", extra=outcome | {"close_reason": step.close_reason, "verdict": decision.verdict})
    # The loser announces it too: the winner may have died between its decision and its message.
    await _announce(run_id, step.revision, ports)


async def _announce(run_id: str, revision: int, ports: Ports) -> None:
    await ports.publisher.publish(
        [BatchReady(run_id=run_id, revision=revision)], cause=f"{run_id}/decision/{revision}"
    )
