"""The body in which Pub/Sub pushes a message.

Source: cloud.google.com/pubsub/docs/push; real pushes say ids and times in both spellings.
"""

import base64
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

from contracts.envelope.checking import json_object, validate, without_nulls
from contracts.envelope.messages import Message
from contracts.faults import ContractError, Fault
from contracts.moments import plausible

PUBSUB_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
"""The type of the CloudEvent in which Eventarc wraps a push."""
BODY_LIMIT_BYTES = 1024 * 1024
"""Bytes. Our largest event, a request for all markets, is below 10 KiB."""
ANY_MESSAGE_BYTES = 16 * 1024 * 1024
"""Bytes. A message has at most 10 MB, which are 13.4 MB in base64, and its attributes."""


def _usable(moment: datetime) -> datetime:
    """Aware, and one that can be calculated with."""
    return plausible(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


class PushedMessage(BaseModel):
    """A Pub/Sub message inside a push body."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    _set = model_validator(mode="before")(without_nulls)

    data: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    message_id: str = Field(validation_alias=AliasChoices("messageId", "message_id"), min_length=1)
    publish_time: Annotated[datetime, AfterValidator(_usable)] | None = Field(
        default=None, validation_alias=AliasChoices("publishTime", "publish_time")
    )


class Push(BaseModel):
    """A wrapped push."""

    model_config = ConfigDict(extra="ignore")

    message: PushedMessage
    subscription: str | None = None
    delivery_attempt: int | None = Field(
        default=None, validation_alias=AliasChoices("deliveryAttempt", "delivery_attempt")
    )

    @classmethod
    def of(cls, message: Message, *, message_id: str, subscription: str | None) -> "Push":
        """A pulled message as if it had been pushed."""
        pushed = {
            "data": base64.b64encode(message.data).decode(),
            "attributes": message.attributes,
            "messageId": message_id,
        }
        return validate(cls, {"message": pushed, "subscription": subscription})

    def with_attributes(self, attributes: dict[str, str]) -> "Push":
        """The same push with other attributes of its message."""
        return self.model_copy(update={"message": self.message.model_copy(update={"attributes": attributes})})

    def receiver(self) -> str | None:
        """Short name of the subscription that brings the message."""
        return self.subscription.rsplit("/", 1)[-1] if self.subscription else None

    def content(self) -> dict[str, Any]:
        """The JSON object that the message's data is.

        Raises:
            ContractError: the data is not a JSON object.
        """
        try:
            data = base64.b64decode(self.message.data, validate=True)
        except ValueError:
            raise ContractError([Fault("message.data", "is not base64; encode the data")]) from None
        return json_object(data, "message.data")
