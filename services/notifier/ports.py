"""What the notifier needs of the outside, in its own words. Adapters raise `Retryable`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol
from zoneinfo import ZoneInfo

from eventing.clock import Clock
from eventing.ledger import RunLedger
from eventing.secrets import Secret


@dataclass(frozen=True, slots=True)
class Address:
    """Where to tell somebody. It holds tokens, so that it is named by its kind and digest alone."""

    url: str = field(repr=False)
    kind: str
    """Such as `slack`."""
    digest: str

    def __str__(self) -> str:
        return f"{self.kind} {self.digest}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: plain text."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a week."""

    name: str
    artists: str
    markets: frozenset[str]
    known: frozenset[str] = frozenset()
    """Markets that had it the week before."""


@dataclass(frozen=True, slots=True)
class Week:
    """What the table holds of a run."""

    releases: tuple[Release, ...]
    before: date | None
    """The run that it is compared with; None for the table's first."""


class Warehouse(Protocol):
    """The views over the table."""

    async def week(self, run_id: str) -> Week:
        """A run's releases, those of the most markets first."""
        ...


class Sender(Protocol):
    """Whatever brings a message to an address."""

    async def send(self, address: Address, message: Message) -> None:
        """Send it; raises `Retryable`, with no word of the address, where it was not taken."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handlers act on."""

    ledger: RunLedger
    addresses: Secret | None
    """None: nobody is told."""
    sender: Sender
    warehouse: Warehouse
    clock: Clock
    zone: ZoneInfo
    draw_owner: Callable[[], str]
    """Names an attempt, never the same twice."""
