"""What the notifier decides, as pure functions: whom to tell, and whose turn it is."""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Final, Literal

from contracts.documents import Notice
from contracts.events import RunFinished
from services.notifier.ports import Address

MOST_ADDRESSES: Final = 20
LEASE: Final = timedelta(seconds=60)
"""How long an attempt may take from its claim to its note; sending takes less than half (`eventing.deadlines`)."""

Turn = Literal["ours", "another's", "over"]


def addresses_of(text: str) -> tuple[Address, ...]:
    """The addresses of a text, each once."""
    return tuple(_address(url) for url in dict.fromkeys(text.split()))


def _address(url: str) -> Address:
    kind = re.match(r"[a-z0-9]{1,20}(?=://)", url.lower())
    return Address(url, kind[0] if kind else "unknown", hashlib.sha256(url.encode()).hexdigest()[:8])


def turn(standing: Notice | None, now: datetime) -> Turn:
    """Whose turn it is to tell an address; an attempt that is not noted in time is taken for dead."""
    if standing is None:
        return "ours"
    if standing.told_at is not None:
        return "over"
    return "another's" if now < standing.until else "ours"


def claim(event: RunFinished, address: Address, *, owner: str, now: datetime) -> Notice:
    """The claim on telling an address."""
    return Notice(
        run_id=event.run_id,
        revision=event.revision,
        address=address.digest,
        kind=address.kind,
        owner=owner,
        until=now + LEASE,
    )
