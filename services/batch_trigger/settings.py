"""What the batch trigger is told by its environment."""

from datetime import timedelta

from pydantic import Field

from contracts.names import RAW_DAYS
from eventing.settings import Seconds, ServiceSettings


class Settings(ServiceSettings):
    """How a burst of events is met."""

    linger: Seconds = Field(
        default=timedelta(milliseconds=200),
        ge=timedelta(0),
        le=timedelta(seconds=10),
        description="Seconds in which the events of one run are gathered before the bucket is listed once.",
    )
    raw_days: int = Field(
        default=RAW_DAYS,
        ge=1,
        description="Days that parts are kept; a run without a newer document is archived, and no sweep looks at it.",
    )
