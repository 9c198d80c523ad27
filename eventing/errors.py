"""The only two ways a handler fails. Adapters translate their library's errors into these."""

from datetime import timedelta

from contracts.faults import Fault
from contracts.wording import cut

_REASON = 1000  # characters; what a library or a message adds to a reason may be of any length


class Retryable(Exception):  # noqa: N818 -- it is a verdict on the delivery, named as one
    """Nothing is wrong with the message; deliver it again after `after`."""

    def __init__(self, reason: str, *, after: timedelta) -> None:
        super().__init__(cut(reason, _REASON))
        self.after = after


class Permanent(Exception):  # noqa: N818 -- the same
    """No retry can help: the message is refused until Pub/Sub dead-letters it, with its reason logged."""

    def __init__(self, reason: str) -> None:
        super().__init__(cut(reason, _REASON))
        self.faults = (Fault("event", reason),)
