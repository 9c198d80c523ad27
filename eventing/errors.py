"""The only two ways a handler fails. Adapters translate their library's errors into these."""

from typing import Final

from contracts.faults import Fault
from contracts.wording import cut

OF_ANOTHER_FORM: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What a client of Google's stumbles over where somebody on the way, such as a proxy, answers in Google's place."""

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
