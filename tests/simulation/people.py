"""Whom the notifier tells: they count what reaches them, and what may excuse that something reaches them twice."""

import re
from collections import Counter
from dataclasses import dataclass, field

from services.notifier.ports import Address, Message

ADDRESSES = "mail://somebody chat://a-token"
_TITLE = re.compile(r"New Releases (?P<run>[0-9-]{10})(?: \(revision (?P<revision>\d+)\))?: ")


@dataclass
class People:
    """A `Sender` that brings everything."""

    told: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """How often, by run, revision and kind of address."""
    troubles: int = 0
    """Calls of the notifier that failed, were lost or slow, and its deaths: between sending and its note each may cost
    one message too many, and nothing else may."""

    async def send(self, address: Address, message: Message) -> None:
        """See `Sender.send`."""
        found = _TITLE.match(message.title)
        assert found is not None, message.title
        self.told[found["run"], int(found["revision"] or 1), address.kind] += 1

    @property
    def doubled(self) -> int:
        """Messages that somebody had already."""
        return sum(self.told.values()) - len(self.told)
