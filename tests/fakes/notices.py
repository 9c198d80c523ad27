"""Whom messages are brought to, and what a week brought, in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from eventing.errors import Retryable
from services.notifier.ports import Address, Message, Release, Week

WEEK = Week(
    (
        Release("Everywhere", "Anna", frozenset({"DK", "SE", "NO"})),
        Release("Only here", "Bo", frozenset({"DK"})),
        Release("Known", "Cy", frozenset({"DK", "SE"}), frozenset({"DK"})),
    ),
    None,
)


@dataclass
class MemorySender:
    """A `Sender` that keeps what was taken."""

    taken: list[tuple[str, Message]] = field(default_factory=list)
    """Addresses with their messages."""
    refuses: Callable[[Address], bool] = lambda _address: False

    async def send(self, address: Address, message: Message) -> None:
        """See `Sender.send`."""
        await asyncio.sleep(0)  # as long as it takes another to come by
        if self.refuses(address):
            raise Retryable("was refused with 500")
        self.taken.append((address.url, message))


@dataclass
class MemoryWarehouse:
    """A `Warehouse` of one week."""

    week_found: Week = WEEK
    asked: int = 0

    async def week(self, _run_id: str) -> Week:
        """See `Warehouse.week`."""
        self.asked += 1
        return self.week_found
