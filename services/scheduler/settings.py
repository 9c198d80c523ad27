"""What the scheduler is told by its environment."""

import re
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from contracts.documents import CompletenessPolicy
from contracts.events import Markets
from contracts.names import MARKETS, RAW_DAYS, market_fault
from eventing.settings import Seconds, ServiceSettings, Words, ZoneName

WATCHED: Final = r"[0-5]?[0-9] ([01]?[0-9]|2[0-3]) \* \* [0-7*]"
"""Schedules whose ticks can be missed: weekly or daily."""


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
        description="Seconds after which a run closes with what has landed; a quota wait of minutes fits well.",
    )
    minimum_share: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Share of the markets without which nothing is loaded at the deadline.",
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
        description="Days that parts live; a run without a newer document is left in peace.",
    )
    schedule: str | None = Field(
        default=None,
        description="When a tick is due in TIME_ZONE, as `MINUTE HOUR * * WEEKDAY`; without it none is missed.",
    )
    tick_grace: Seconds = Field(
        default=timedelta(hours=3),
        gt=timedelta(0),
        description="Seconds after a tick was due in which its run must have begun; a lost one is then in the log.",
    )

    @field_validator("markets")
    @classmethod
    def _are_markets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if fault := market_fault(value):
            raise ValueError(fault)
        return value

    @field_validator("schedule")
    @classmethod
    def _is_weekly_or_daily(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(WATCHED, value):
            raise ValueError("is neither weekly nor daily; write it as 0 0 * * 1, or leave it out")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The schedule's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def policy(self) -> CompletenessPolicy:
        """When a run is complete enough."""
        return CompletenessPolicy(minimum_share=self.minimum_share, quiet_seconds=self.quiet.total_seconds())

    @property
    def default_markets(self) -> Markets:
        """The markets of a run whose request names none."""
        return self.markets
