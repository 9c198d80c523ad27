"""How long one call to the outside may last: decided here for every client.

A delivery is to be acknowledged within its deadline; a client left to itself tries again for five to eleven minutes
while Google is away, and all that time its delivery is delivered again. So every call ends in time, retries included:
the library is told to, and the caller stops waiting whatever it does. Nothing is lost: the delivery comes back.

Not here: calls to Spotify (`services.market_fetcher.adapters.http`).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

SHORTEST_DELIVERY: Final = timedelta(seconds=60)
"""The shortest ack deadline of a push subscription (infra/topology.json)."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """What one call may take."""

    seconds: float
    """For all of it: attempts and the pauses between them."""

    @property
    def attempt_seconds(self) -> float:
        """For one attempt."""
        return 0.4 * self.seconds

    @property
    def retries_seconds(self) -> float:
        """After this time no further attempt is begun."""
        return 0.6 * self.seconds


CALL: Final = Deadline(25)
"""For one call: less than half of the shortest delivery. A delivery makes several, and the first that fails ends it."""
PING: Final = Deadline(5)
"""For a check whether something answers at all."""
