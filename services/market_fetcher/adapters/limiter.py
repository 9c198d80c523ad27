"""The one budget of calls to Spotify: how many in any 30 seconds, and when none.

Spotify counts calls over a rolling 30 s window and publishes no figure
(developer.spotify.com/documentation/web-api/concepts/rate-limits). So we count the same way: at most `rate` x 30
calls in any window, halved on a 429, growing back to `rate` in ten minutes. Calls go out as fast as the window
allows: a run that fits into one window never waits.

Who pauses when Spotify asks to wait:

- up to `max_wait`: all calls, in process; calling on during a 429 makes it longer.
- longer, on a call for one market alone: that market. Its other calls fail at once, without being made, until
  then. A second market that meets the same while the first still waits shows that it is the account.
- longer, on any other call, or with QUOTA_EXCEEDED, which counts by account: all calls.

It measures in time that passes: a clock that is set back or forward in between makes no wait longer than it was asked
for. It deliberately knows neither HTTP nor what a call is for. The rate does not outlive the process: after a restart
Spotify's first 429 teaches it anew. Long pauses do: whoever has them on record says so (`recall`).
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.market_fetcher.ports import Throttled, Time

log = logging.getLogger(__name__)

_WINDOW = timedelta(seconds=31)  # Spotify's 30 s, and one for the way: it counts arrivals, we count departures
_SPOTIFY_WINDOW_SECONDS = 30.0
_LEAST = 15.0  # calls a window; half a call a second still ends a run of 300 calls in ten minutes
_RECOVERY_SECONDS = 600.0  # in which the whole rate grows back; slowly, since too soon only meets the next 429


@dataclass(frozen=True, slots=True)
class Budget:
    """What the operator allows."""

    rate: float
    """Calls a second."""
    parallel: int
    """Calls under way at once."""
    max_wait: timedelta


class Passing:
    """A present that never goes back: where the clock is set back, it goes on from where it was."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._ahead = timedelta(0)
        self._last = time.now()

    def now(self) -> datetime:
        """The present, as far as time has passed."""
        now = self._time.now()
        self._ahead = max(self._ahead, self._last - now)
        self._last = now + self._ahead
        return self._last

    def of_the_clock(self, moment: datetime) -> datetime:
        """The moment that the clock shows so."""
        return moment + self._ahead

    def on_the_clock(self, moment: datetime) -> datetime:
        """What the clock shows at a moment, for people and for others."""
        return moment - self._ahead


@dataclass(frozen=True, slots=True)
class Pause:
    """No call until then."""

    until: datetime
    reason: str
    market: str | None = None
    """None: nobody may call."""
    needs_a_person: bool = False


class Limiter:
    """Hands out turns to call. One for the process."""

    def __init__(self, budget: Budget, time: Time) -> None:
        self._budget = budget
        self._time = time
        self._passing = Passing(time)
        self._slots = asyncio.Semaphore(budget.parallel)
        self._most = max(1.0, budget.rate * _SPOTIFY_WINDOW_SECONDS)
        self._allowed = self._most
        self._slowed_at: datetime | None = None
        self._sent: deque[datetime] = deque()
        self._account: Pause | None = None
        self._markets: dict[str, Pause] = {}
        self._refusals: Counter[bool] = Counter()
        self._untold = 0

    @asynccontextmanager
    async def turn(self, market: str | None) -> AsyncIterator[datetime]:
        """Wait for a turn; the block is the call. Gives the time of departure.

        Raises:
            Throttled: the wait is longer than is waited in process; no call may be made.
        """
        async with self._slots:
            while (wait := self._wait(market)) > 0:
                await self._time.sleep(wait)
            now = self._passing.now()
            self._sent.append(now)
            self._untold += 1
            yield now

    def check(self, market: str | None) -> None:
        """Raise `Throttled` where `turn` would; spares what leads up to a call, such as a new token."""
        self._wait(market)

    def slow_down(self, seconds: float, *, market: str | None, quota: bool, sent_at: datetime) -> None:
        """Spotify asked, on the call that left at `sent_at`, to wait; the next `turn` obeys."""
        now = self._passing.now()
        until = now + timedelta(seconds=seconds)
        if until - now <= self._budget.max_wait and not quota:
            self._halve(market, sent_at, now)
            self._pause_all(Pause(until, "Spotify's rate limit"))
        elif market is None or quota or self._others_wait(market, now):
            self._pause_all(Pause(until, "Spotify's quota for the account"))
        else:
            self._markets[market] = Pause(until, f"Spotify's quota for market {market}", market)
            log.warning("market_throttled", extra={"throttled": market, "until": self._shown(until)})

    def rest(self, duration: timedelta, reason: str, *, needs_a_person: bool = False) -> Throttled:
        """Make no call for a while, for a reason of our own; gives the error to raise."""
        now = self._passing.now()
        pause = Pause(now + duration, reason, needs_a_person=needs_a_person)
        self._pause_all(pause)
        return self._throttled(pause)

    def recall(self, until: datetime, reason: str, *, market: str | None) -> None:
        """Pause until then, by the clock, as this process or another was told before: one market, or all."""
        pause = Pause(self._passing.of_the_clock(until), reason, market)
        if market is None:
            self._pause_all(pause)
        else:
            self._markets[market] = max(pause, self._markets.get(market, pause), key=lambda known: known.until)

    def refusals(self, market: str | None) -> int:
        """How often, one after the other, calls were told to wait: those for a market, or those for none."""
        return self._refusals[market is None]

    def served(self, market: str | None) -> None:
        """Such a call was answered."""
        self._refusals[market is None] = 0

    def calls_untold(self) -> int:
        """Calls made since the last time this was called: each is counted once."""
        calls, self._untold = self._untold, 0
        return calls

    def status(self) -> dict[str, object]:
        """Until when who waits, for people: `account` for all, else by market."""
        now = self._passing.now()
        pauses = {"account": self._account, **self._markets}
        return {
            name: {"until": self._shown(pause.until), "reason": pause.reason}
            for name, pause in pauses.items()
            if pause is not None and pause.until - now > self._budget.max_wait
        }

    def _wait(self, market: str | None) -> float:
        """Seconds until the next call may leave, 0 for now."""
        now = self._passing.now()
        own = self._markets.get(market) if market else None
        waits = [self._window_wait(now)]
        for pause in (self._account, own):
            if pause is None or pause.until <= now:
                continue
            if pause.until - now > self._budget.max_wait:
                raise self._throttled(pause)
            waits.append((pause.until - now).total_seconds())
        return max(waits)

    def _shown(self, moment: datetime) -> str:
        return self._passing.on_the_clock(moment).isoformat()

    def _throttled(self, pause: Pause) -> Throttled:
        return Throttled(
            pause.reason,
            until=self._passing.on_the_clock(pause.until),
            account=pause.market is None,
            needs_a_person=pause.needs_a_person,
        )

    def _window_wait(self, now: datetime) -> float:
        while self._sent and now - self._sent[0] >= _WINDOW:
            self._sent.popleft()
        excess = len(self._sent) - int(self._allowed_at(now))
        if excess < 0:
            return 0.0
        return (self._sent[excess] + _WINDOW - now).total_seconds()

    def _allowed_at(self, now: datetime) -> float:
        """Calls a window, as they have grown back by now."""
        if self._slowed_at is None:
            return self._most
        grown = self._most * (now - self._slowed_at).total_seconds() / _RECOVERY_SECONDS
        return min(self._most, self._allowed + grown)

    def _halve(self, market: str | None, sent_at: datetime, now: datetime) -> None:
        if self._slowed_at is not None and sent_at <= self._slowed_at:
            return  # this call left before the last halving: it is the same news
        self._allowed = max(min(_LEAST, self._most), self._allowed_at(now) / 2)
        self._slowed_at = now
        self._refusals[market is None] += 1
        log.warning("rate_halved", extra={"calls_a_second": round(self._allowed / _SPOTIFY_WINDOW_SECONDS, 2)})

    def _pause_all(self, pause: Pause) -> None:
        if self._account is not None and self._account.until >= pause.until:
            return
        self._account = pause
        if pause.until - self._passing.now() > self._budget.max_wait:
            told = {"reason": pause.reason, "needs_a_person": pause.needs_a_person}
            log.error("account_throttled", extra={"until": self._shown(pause.until), **told})

    def _others_wait(self, market: str, now: datetime) -> bool:
        self._markets = {name: pause for name, pause in self._markets.items() if pause.until > now}
        return any(name != market for name in self._markets)
