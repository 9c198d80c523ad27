"""What the scheduler needs of the outside."""

from dataclasses import dataclass

from contracts.names import RAW_DAYS
from eventing.clock import Clock
from eventing.ledger import RunLedger
from eventing.publisher import Publisher


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handlers act on."""

    ledger: RunLedger
    publisher: Publisher
    clock: Clock
    raw_days: int = RAW_DAYS
    """How long a part lives; older runs are archived."""
