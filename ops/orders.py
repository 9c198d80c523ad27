"""An operator's orders about a run: each is written to the bucket, then the barrier is woken.

The next sweep finds an order that was written but not announced, so that none is lost in between.
"""

from datetime import datetime
from typing import Literal

from contracts.documents import Order
from contracts.events import SweepRequested
from eventing.ledger import RunLedger
from eventing.publisher import Publisher

Kind = Literal["close", "reopen", "reload", "discard"]


async def give_order(
    ledger: RunLedger, publisher: Publisher, *, run_id: str, kind: Kind, reason: str, now: datetime
) -> Order:
    """Write the run's next order, wake the barrier, and return the order.

    Raises:
        Retryable: the bucket or Pub/Sub cannot be reached; giving the order again is safe.
    """
    order = await _numbered(ledger, run_id=run_id, kind=kind, reason=reason, now=now)
    wake = SweepRequested(reason=f"order {order.number} for run {run_id}")
    await publisher.publish([wake], cause=f"{run_id}/order/{order.number}")
    return order


async def _numbered(ledger: RunLedger, *, run_id: str, kind: Kind, reason: str, now: datetime) -> Order:
    """Create the order under the next free number, which another operator may take at the same moment."""
    while True:
        index = await ledger.index(run_id)
        number = index.orders[-1] + 1 if index.orders else 1
        order = Order(run_id=run_id, number=number, kind=kind, reason=reason, ordered_at=now)
        if await ledger.create_order(order):
            return order
