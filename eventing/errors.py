"""The only two ways a handler fails. Adapters translate their library's errors into these."""

from collections.abc import Iterable
from datetime import timedelta

from contracts.faults import Fault


class Retryable(Exception):  # noqa: N818 -- it is a verdict on the delivery, named as one
    """Nothing is wrong with the message; deliver it again after `after`."""

    def __init__(self, reason: str, *, after: timedelta) -> None:
        super().__init__(reason)
        self.after = after


class Permanent(Exception):  # noqa: N818 -- the same
    """No retry can help: the message is refused until Pub/Sub dead-letters it, with its reason logged."""

    def __init__(self, reason: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(reason)
        self.faults = tuple(faults) or (Fault("event", reason),)
