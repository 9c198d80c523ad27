"""What the market fetcher needs from outside, and the errors of its own that cross these lines.

The adapters translate their libraries' errors into `Refused`, `Throttled` and `Retryable`; nothing else comes
through.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from eventing.errors import Retryable
from eventing.ledger import RunLedger
from eventing.objects import ObjectStore
from eventing.turns import Turns

if TYPE_CHECKING:  # each is made of the protocols below
    from services.market_fetcher.admission import Admission
    from services.market_fetcher.albums import Albums
    from services.market_fetcher.batches import AlbumReader
    from services.market_fetcher.releases import Ability, Listings

Json = Mapping[str, Any]
SourceName = Literal["browse", "search"]
Flaw = Callable[[Json], str | None]
"""Says what is wrong with a JSON object that came as an answer; None if it can be used."""


class Refused(Exception):  # noqa: N818 -- Spotify's verdict on a call, named as one
    """Spotify refuses this call; the same call again would get the same answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Spotify answers {status}: {message}")
        self.status = status
        self.message = message


class Nonsense(Retryable):
    """Every one of several answers lacks what was asked for."""


class Throttled(Retryable):
    """Spotify, or our own caution, allows no such call until `until`.

    The limiter obeys it by making none before, and the sweep, which reads it in the market's record.
    """

    def __init__(self, reason: str, *, until: datetime, account: bool, needs_a_person: bool = False) -> None:
        super().__init__(reason)
        self.until = until
        self.account = account
        self.needs_a_person = needs_a_person


class Time(Protocol):
    """The present, and waiting: one port, so that a test's clock moves when its sleepers sleep."""

    def now(self) -> datetime:
        """The present, aware, UTC."""
        ...

    def sleep(self, seconds: float, /) -> Awaitable[None]:
        """Wait."""
        ...


class WebApi(Protocol):
    """Spotify's Web API: authorised, within the budget, retried."""

    async def get(self, path: str, params: Mapping[str, str], *, flaw: Flaw, market: str | None = None) -> Json:
        """The answer's JSON object, in which there is no `flaw`.

        `market` names the market the call is for, where it is for one alone: a long wait then concerns that
        market before it concerns all.

        Raises:
            Refused: a 4xx that is neither 401 nor 429.
            Throttled: no such call may be made now; none was made, or Spotify has just said so.
            Nonsense: every one of several answers had a flaw.
            Retryable: the service cannot be reached, after several attempts.
        """
        ...

    def rest(self, duration: timedelta, reason: str, *, needs_a_person: bool = False) -> Throttled:
        """Make no call at all for a while, or until a person has mended it; gives the error to raise."""
        ...


class CallBudget(Protocol):
    """How many calls were made, and until when none may be."""

    def calls_untold(self) -> int:
        """Calls to Spotify since this was asked last."""
        ...

    def recall(self, until: datetime, reason: str, *, market: str | None) -> None:
        """Make no call until then, for one market or for any: so it stands on record."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handler acts on."""

    store: ObjectStore
    ledger: RunLedger
    ability: "Ability"
    listings: "Listings"
    reader: "AlbumReader"
    albums: "Albums"
    time: Time
    admission: "Admission"
    calls: CallBudget
    turns: Turns = field(default_factory=Turns)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Parts are put together one at a time: each is some MiB while it is not compressed."""
