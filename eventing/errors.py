"""The only two ways a handler fails. Adapters translate their library's errors into these."""

from contracts.faults import Fault
from contracts.wording import cut

_REASON = 1000  # characters; what a library or a message adds to a reason may be of any length


class Retryable(Exception):  # noqa: N818 -- it is a verdict on the delivery, named as one
    """Nothing is wrong with the message. Pub/Sub delivers it again, when its subscription's retry policy says."""

    def __init__(self, reason: str) -> None:
        super().__init__(cut(reason, _REASON))


class Permanent(Exception):  # noqa: N818 -- the same
    """A retry cannot help: the message is refused until Pub/Sub dead-letters it, and the reason is logged."""

    def __init__(self, reason: str) -> None:
        super().__init__(cut(reason, _REASON))
        self.faults = (Fault("event", reason),)
