"""What Pub/Sub adds to a message that it gives up, and what we add to one that is sent again.

Source: cloud.google.com/pubsub/docs/handling-failures (attributes CloudPubSubDeadLetterSource*).
"""

import re
from datetime import UTC, datetime

from contracts.envelope.push import Push
from contracts.events import DataprocOperation, DeadLettered, ObjectFinalized, OwnEvent
from contracts.moments import plausible
from contracts.names import UNKNOWN_SUBSCRIPTION

DEAD_LETTER_SOURCE = "CloudPubSubDeadLetterSource"
_SOURCE_SUBSCRIPTION = f"{DEAD_LETTER_SOURCE}Subscription"
DEAD = "-dead"
"""How the names of dead-letter topics end, and of the push subscriptions on them."""
REDRIVE_TO = "redrive_to"
"""Attribute of a redriven message: short name of the one subscription it is for."""
REDRIVES = "redrives"
"""Attribute of a redriven message: how often it was redriven, this time included."""


def is_dead(push: Push) -> bool:
    """Whether the message was given up."""
    return _SOURCE_SUBSCRIPTION in push.message.attributes or (push.subscription or "").endswith(DEAD)


def as_published(push: Push) -> Push:
    """The push without what Pub/Sub added at the message's end."""
    attributes = push.message.attributes.items()
    return push.with_attributes(
        {name: value for name, value in attributes if not name.startswith(DEAD_LETTER_SOURCE)}
    )


def dead_lettered(
    push: Push, original: OwnEvent | ObjectFinalized | DataprocOperation | None, unreadable: tuple[str, ...]
) -> DeadLettered:
    """The end of a message: the event inside it, or why that cannot be read."""
    attributes = push.message.attributes
    source = attributes.get(_SOURCE_SUBSCRIPTION, "").rsplit("/", 1)[-1]
    return DeadLettered(
        subscription=source or UNKNOWN_SUBSCRIPTION,
        delivery_count=_count(attributes.get(f"{DEAD_LETTER_SOURCE}DeliveryCount")),
        message_id=push.message.message_id,
        original=original,
        unreadable=unreadable,
        data=push.message.data,
        attributes=attributes,
        published_at=_moment(attributes.get(f"{DEAD_LETTER_SOURCE}TopicPublishTime")),
        dead_lettered_at=push.message.publish_time,
        redrives=_count(attributes.get(REDRIVES)) or 0,
    )


def _count(text: str | None) -> int | None:
    """A small number in an attribute; whoever may publish may write anything there."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = plausible(datetime.fromisoformat(text)) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
