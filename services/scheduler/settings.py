"""What the scheduler is told by its environment."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator

from contracts.documents import CompletenessPolicy
from contracts.names import MARKETS, RAW_DAYS, market_fault
from eventing.settings import Seconds, ServiceSettings, Words, ZoneName


class Settings(ServiceSettings):
    """The schedule and what a run expects."""

    markets: Words = Field(
        default=MARKETS, min_length=1, description="Markets of a run, by comma; a request may name others."
    )
    time_zone: ZoneName = Field(
        default="Europe/Copenhagen",
        description="Zone in which a tick's publish time becomes the run's date; the schedule's own zone.",
    )
    run_deadline: Seconds = Field(
        default=timedelta(hours=6),
        gt=timedelta(0),
        description="Seconds after which a run closes with what has landed; longer than a quota wait of minutes.",
    )
    minimum_share: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Share of the markets that must have landed at the deadline for anything to be loaded.",
    )
    quiet: Seconds = Field(
        default=timedelta(seconds=60),
        ge=timedelta(0),
        description="Seconds without a new part before late parts make a new revision.",
    )
    ask_again: Seconds = Field(
        default=timedelta(hours=1),
        gt=timedelta(0),
        description="Seconds after which a market without part, dead letter or quota wait is asked for again.",
    )
    ask_again_for: Seconds = Field(
        default=timedelta(days=7),
        gt=timedelta(0),
        description="Seconds after a run's start during which its missing markets are asked for again.",
    )
    raw_days: int = Field(
        default=RAW_DAYS,
        ge=1,
        description="Days that parts are kept; a run without a newer document is archived, and no sweep looks at it.",
    )
    schedule: str | None = Field(
        default=None,
        description="Cron expression of the tick, in TIME_ZONE; where it is not set, no lost tick is noticed.",
    )
    tick_grace: Seconds = Field(
        default=timedelta(hours=3),
        gt=timedelta(0),
        description="Seconds after a tick was due by which its run must have begun; else `run_missing` is logged.",
    )

    @field_validator("markets")
    @classmethod
    def _are_markets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if fault := market_fault(value):
            raise ValueError(fault)
        return value

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        try:
            CronSim(value or "* * * * *", datetime.min.replace(tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"is no cron expression ({error}); write it as 0 0 * * 1, or leave it out") from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The schedule's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def policy(self) -> CompletenessPolicy:
        """When a run is complete enough."""
        return CompletenessPolicy(minimum_share=self.minimum_share, quiet_seconds=self.quiet.total_seconds())
