"""A finished run is told to each address, once a revision."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from contracts.documents import Receipt
from contracts.events import Delivery, RunFinished
from eventing.app import Handler
from eventing.errors import Permanent, Retryable
from services.notifier.decisions import MOST_ADDRESSES, addresses_of, claim, turn
from services.notifier.message import message_of
from services.notifier.ports import Address, Message, Ports

log = logging.getLogger(__name__)


def handlers(ports: Ports) -> Mapping[type, Handler]:
    """The events this service takes."""
    return {RunFinished: partial(on_run_finished, ports=ports)}


async def on_run_finished(delivery: Delivery, *, ports: Ports) -> None:
    """Tell every address that was not told yet."""
    event: RunFinished = delivery.event
    waiting = await _waiting(event, ports)
    if not waiting:
        return
    receipt = await ports.ledger.receipt(event.run_id, event.revision)
    if receipt is None:
        raise Permanent(f"run_id: {event.run_id} has no readable receipt {event.revision} to tell of")
    message = await _message(receipt, ports)
    troubles = await asyncio.gather(*(_try(address, message, event, ports) for address in waiting))
    if told := [trouble for trouble in troubles if trouble]:
        raise Retryable("; ".join(told))


async def _waiting(event: RunFinished, ports: Ports) -> list[Address]:
    """Whom nobody has told yet."""
    addresses = addresses_of(await ports.addresses.read()) if ports.addresses else ()
    if len(addresses) > MOST_ADDRESSES:
        raise Retryable(f"NOTIFY_URLS: names {len(addresses)} addresses; name at most {MOST_ADDRESSES}")
    standing = [await ports.ledger.notice(event.run_id, event.revision, address.digest) for address in addresses]
    turns = [turn(notice, ports.clock()) for notice in standing]
    return [address for address, whose in zip(addresses, turns, strict=True) if whose != "over"]


async def _message(receipt: Receipt, ports: Ports) -> Message:
    week = None if receipt.outcome == "failed" else await ports.warehouse.week(receipt.run_id)
    return message_of(receipt, week, ports.zone)


async def _try(address: Address, message: Message, event: RunFinished, ports: Ports) -> str | None:
    """Why an address could not be told now: no trouble with one keeps the others waiting."""
    try:
        await _tell(address, message, event, ports)
    except Retryable as error:
        return f"{address}: {error}"
    log.info("told", extra={"address": str(address), "revision": event.revision})
    return None


async def _tell(address: Address, message: Message, event: RunFinished, ports: Ports) -> None:
    """Claim, send, note. Who dies before the note has told somebody twice, which is better than never."""
    now = ports.clock()
    standing = await ports.ledger.notice(event.run_id, event.revision, address.digest)
    if (whose := turn(standing, now)) == "over":
        return
    mine = claim(event, address, owner=ports.draw_owner(), now=now)
    if whose == "another's" or not await ports.ledger.claim_notice(standing, mine):
        raise Retryable("another delivery is telling it")
    try:
        await ports.sender.send(address, message)
    except Retryable:
        await ports.ledger.note_notice(mine.model_copy(update={"until": ports.clock()}))
        raise
    await ports.ledger.note_notice(mine.model_copy(update={"told_at": ports.clock()}))
