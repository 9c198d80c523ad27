"""The newest runs, in short."""

import asyncio
from collections.abc import Awaitable, Callable

from contracts.documents import Receipt
from eventing.ledger import RunIndex, RunLedger


async def recent(
    ledger: RunLedger, most: int, receipt_of: Callable[[RunIndex], Awaitable[Receipt | None]] | None = None
) -> list[tuple[RunIndex, Receipt | None]]:
    """Of the `most` newest runs those that are not discarded, newest first; a finished one with its newest receipt.

    `receipt_of` reads the newest receipt of a finished run; by default it is read from the bucket.

    Raises:
        Retryable: the bucket cannot be reached.
    """
    known = [index for index in reversed(await ledger.indexes()) if index.has_manifest][:most]
    discarded = await asyncio.gather(*(ledger.is_discarded(index) for index in known))
    indexes = [index for index, gone in zip(known, discarded, strict=True) if not gone]
    read = receipt_of or (lambda index: ledger.receipt(index.run_id, index.newest_decision))
    finished = [index for index in indexes if index.is_finished]
    receipts = await asyncio.gather(*(read(index) for index in finished))
    newest = {index.run_id: receipt for index, receipt in zip(finished, receipts, strict=True)}
    return [(index, newest.get(index.run_id)) for index in indexes]
