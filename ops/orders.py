"""An operator's orders about a run: written to the bucket first, then the barrier is woken.

An order that was written but not announced is found by the next sweep, so nothing is lost between the two.
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
    """Write the run's next order and wake the barrier; gives the order.

    Raises:
        Retryable: the bucket or Pub/Sub cannot be reached; giving the order again is safe.
    """
    order = await _numbered(ledger, run_id=run_id, kind=kind, reason=reason, now=now)
    wake = SweepRequested(reason=f"order {order.number} for run {run_id}")
    await publisher.publish([wake], cause=f"{run_id}/order/{order.number}")
    return order


async def _numbered(ledger: RunLedger, *, run_id: str, kind: Kind, reason: str, now: datetime) -> Order:
    """Two operators may order at once: the number that is taken is another's, and the next is tried."""
    while True:
        index = await ledger.index(run_id)
        number = index.orders[-1] + 1 if index.orders else 1
        order = Order(run_id=run_id, number=number, kind=kind, reason=reason, ordered_at=now)
        if await ledger.create_order(order):
            return order
