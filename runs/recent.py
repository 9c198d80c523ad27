"""The newest runs, in short."""

import asyncio

from contracts.documents import Receipt
from eventing.ledger import RunIndex, RunLedger


async def recent(ledger: RunLedger, most: int) -> list[tuple[RunIndex, Receipt | None]]:
    """The runs there are, newest first, each with its newest receipt, but for those that were discarded.

    Raises:
        Retryable: the bucket cannot be reached.
    """
    known = [index for index in reversed(await ledger.indexes()) if index.has_manifest][:most]
    discarded = await asyncio.gather(*(ledger.is_discarded(index) for index in known))
    indexes = [index for index, gone in zip(known, discarded, strict=True) if not gone]
    receipts = await asyncio.gather(*(_newest_receipt(index, ledger) for index in indexes))
    return list(zip(indexes, receipts, strict=True))


async def _newest_receipt(index: RunIndex, ledger: RunLedger) -> Receipt | None:
    return await ledger.receipt(index.run_id, index.newest_decision) if index.is_finished else None
