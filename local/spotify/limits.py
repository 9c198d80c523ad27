"""How many calls are too many: Spotify's rolling window and its daily quota, on times that are given.

- The window: calls of the last 30 seconds, counted per app; the number is unpublished
  (developer.spotify.com/documentation/web-api/concepts/rate-limits). Here it is a setting.
- The quota: calls of the last 24 hours, answered with `QUOTA_EXCEEDED` and a Retry-After of hours (since July
  2026).
- Calling on while refused may lengthen the wait (spotify/web-api clients report it: spotipy#1158). Here by a
  setting.

Refused calls count in neither. Not here: clocks, HTTP, and Spotify's further limits for single endpoints.
"""

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an app may do; None is no limit."""

    calls_per_window: int | None = None
    window: timedelta = timedelta(seconds=30)
    daily_quota: int | None = None
    day: timedelta = timedelta(hours=24)
    lengthen: timedelta = timedelta(0)
    """What every call during a refusal adds to it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call is not admitted; after `retry_after` whole seconds it will be, if nobody calls meanwhile."""

    retry_after: int
    reason: Literal["RATE", "QUOTA_EXCEEDED"]


class Limiter:
    """Counts the calls of one app."""

    def __init__(self, limits: Limits) -> None:
        self._window = _Window(limits.calls_per_window, limits.window)
        self._day = _Window(limits.daily_quota, limits.day)
        self._lengthen = limits.lengthen
        self._closed_until = _NEVER

    def admit(self, now: datetime) -> Refusal | None:
        """Count a call and return None, or say why and for how long not. `now` never goes back."""
        day, window = self._day.opens(now), self._window.opens(now)
        opens = max(day, window, self._closed_until)
        if opens <= now:
            self._day.count(now)
            self._window.count(now)
            return None
        if self._lengthen:
            # The call that meets the limit learns of it; only the further ones pay.
            paying = self._closed_until > now
            self._closed_until = opens = opens + self._lengthen if paying else opens
        reason: Literal["RATE", "QUOTA_EXCEEDED"] = "QUOTA_EXCEEDED" if day > now else "RATE"
        return Refusal(max(1, math.ceil((opens - now).total_seconds())), reason)


class _Window:
    """The calls of the last while."""

    def __init__(self, most: int | None, length: timedelta) -> None:
        self._most, self._length = most, length
        self._calls: deque[datetime] = deque()

    def opens(self, now: datetime) -> datetime:
        """When the next call fits; never later than needed."""
        while self._calls and self._calls[0] + self._length <= now:
            self._calls.popleft()
        if self._most is None or len(self._calls) < self._most:
            return _NEVER
        return self._calls[0] + self._length if self._calls else now + self._length

    def count(self, now: datetime) -> None:
        """Remember an admitted call."""
        if self._most is not None:
            self._calls.append(now)
