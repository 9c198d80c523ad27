"""The one budget of calls to Spotify, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_fetcher.adapters.limiter import Budget, Limiter
from services.market_fetcher.ports import Throttled
from tests.builders import NOW
from tests.virtual_time import VirtualTime, let_pass, run

HOURS = 7200.0
SECONDS_30 = 30.0


def limited(main: Callable[[Limiter], Coroutine[Any, Any, None]], rate: float = 1.0, parallel: int = 4) -> None:
    """Run with a limiter of its own in virtual time."""

    async def body() -> None:
        await main(Limiter(Budget(rate, parallel, timedelta(seconds=60)), VirtualTime()))

    run(body)


def loop_time() -> float:
    return asyncio.get_running_loop().time()


async def call(limiter: Limiter, market: str | None = None) -> float:
    """Make one call of no length; gives when it left."""
    async with limiter.turn(market):
        return loop_time()


async def told_to_wait(
    limiter: Limiter, seconds: float, market: str | None = None, *, quota: bool = False
) -> None:
    """Make one call whose answer is 429."""
    async with limiter.turn(market) as sent_at:
        pass
    limiter.slow_down(seconds, market=market, quota=quota, sent_at=sent_at)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.lists(st.floats(0, 40), min_size=30, max_size=120))
def test_no_window_holds_more_than_the_rate_allows(rate: int, starts: list[float]) -> None:
    """In no 30 seconds, wherever they begin, leave more calls than rate x 30."""
    left: list[float] = []

    async def main(limiter: Limiter) -> None:
        async def later(start: float) -> None:
            await let_pass(start)
            left.append(await call(limiter))

        await asyncio.gather(*(later(start) for start in starts))

    limited(main, rate=rate / 10)
    assert len(left) == len(starts)
    for begin in left:
        assert sum(begin <= other < begin + SECONDS_30 for other in left) <= 3 * rate


def test_a_run_that_fits_into_a_window_never_waits() -> None:
    """Pacing would only cost time: Spotify counts windows, not seconds."""

    async def main(limiter: Limiter) -> None:
        await asyncio.gather(*(call(limiter) for _ in range(30)))
        assert loop_time() == 0
        assert await call(limiter) > SECONDS_30

    limited(main)


def test_a_long_run_keeps_to_the_rate_closely() -> None:
    """Over many windows the calls reach the allowed rate within 1.15."""

    async def main(limiter: Limiter) -> None:
        for _ in range(901):
            await call(limiter)
        assert loop_time() <= 900 * 1.15

    limited(main)


def test_calls_under_way_are_bounded() -> None:
    """No more connections at once than the operator allows."""

    async def main(limiter: Limiter) -> None:
        under_way, most = 0, 0

        async def slow() -> None:
            nonlocal under_way, most
            async with limiter.turn(None):
                under_way += 1
                most = max(most, under_way)
                await let_pass(1)
                under_way -= 1

        await asyncio.gather(*(slow() for _ in range(10)))
        assert most == 4

    limited(main)


def test_a_short_wait_pauses_every_call() -> None:
    """Calling on during a 429 makes it longer, whoever calls."""

    async def main(limiter: Limiter) -> None:
        await told_to_wait(limiter, 20, "DK")
        assert set(await asyncio.gather(call(limiter, "SE"), call(limiter, "DK"), call(limiter))) == {20.0}

    limited(main)


def test_the_rate_halves_on_429_and_grows_back() -> None:
    """After a 429 half the calls fit into a window; ten minutes later all do again, and never more."""

    async def main(limiter: Limiter) -> None:
        await told_to_wait(limiter, 1)
        await let_pass(31)
        times = [await call(limiter) for _ in range(20)]
        assert times[14] - times[0] < 1
        assert times[-1] - times[0] > 10
        await let_pass(3600)
        times = [await call(limiter) for _ in range(31)]
        assert times[29] == times[0]
        assert times[30] > times[0] + SECONDS_30

    limited(main)


def test_one_burst_of_429_is_one_piece_of_news() -> None:
    """Sixteen calls under way may all be refused for one reason: the rate halves once."""

    async def main(limiter: Limiter) -> None:
        async def refused() -> None:
            async with limiter.turn(None) as sent_at:
                await let_pass(1)
            limiter.slow_down(1, market=None, quota=False, sent_at=sent_at)

        await asyncio.gather(*(refused() for _ in range(4)))
        await let_pass(40)
        times = [await call(limiter) for _ in range(50)]
        assert sum(time < times[0] + 1 for time in times) >= 50

    limited(main, rate=4)


def test_a_long_wait_of_one_market_leaves_the_others_free() -> None:
    """A market that is told to wait for hours fails at once; no other does, and none of its calls is made."""

    async def main(limiter: Limiter) -> None:
        await told_to_wait(limiter, HOURS, "DK")
        with pytest.raises(Throttled) as caught:
            await call(limiter, "DK")
        assert caught.value.until == NOW + timedelta(seconds=HOURS)
        assert await call(limiter, "SE") == 0
        assert await call(limiter) == 0
        assert list(limiter.status()) == ["DK"]
        await let_pass(HOURS - 30)
        assert await call(limiter, "DK") == HOURS
        assert limiter.status() == {}

    limited(main)


@pytest.mark.parametrize(("market", "quota"), [(None, False), ("DK", True)])
def test_a_long_wait_of_the_account_stops_all(market: str | None, *, quota: bool) -> None:
    """QUOTA_EXCEEDED counts by account, and a shared album belongs to no market: all wait, no call is made."""

    async def main(limiter: Limiter) -> None:
        await told_to_wait(limiter, HOURS, market, quota=quota)
        for other in (None, "SE"):
            with pytest.raises(Throttled):
                await call(limiter, other)
        assert limiter.calls_untold() == 1
        assert list(limiter.status()) == ["account"]

    limited(main)


def test_a_second_market_shows_that_it_is_the_account() -> None:
    """Two markets told to wait for hours are no accident of one market; the same market twice is."""

    async def main(limiter: Limiter) -> None:
        async with limiter.turn("DK") as first, limiter.turn("DK") as second, limiter.turn("SE") as third:
            pass
        limiter.slow_down(HOURS, market="DK", quota=False, sent_at=first)
        limiter.slow_down(HOURS, market="DK", quota=False, sent_at=second)
        assert await call(limiter, "NO") == 0
        limiter.slow_down(HOURS, market="SE", quota=False, sent_at=third)
        with pytest.raises(Throttled):
            await call(limiter, "NO")

    limited(main)


def test_those_who_wait_already_hear_of_a_longer_wait() -> None:
    """A call in line when the account is stopped is given back, not made."""

    async def main(limiter: Limiter) -> None:
        await told_to_wait(limiter, 10)
        waiting = asyncio.create_task(call(limiter))
        await let_pass(1)
        limiter.rest(timedelta(hours=1), "mend the credentials")
        with pytest.raises(Throttled, match="mend the credentials"):
            await waiting

    limited(main)


def test_a_call_is_told_once() -> None:
    """The calls beside the parts of a run add up to the calls that were made."""

    async def main(limiter: Limiter) -> None:
        await asyncio.gather(*(call(limiter) for _ in range(3)))
        assert (limiter.calls_untold(), limiter.calls_untold()) == (3, 0)

    limited(main)


@dataclass
class Set:
    """A clock that somebody sets; its sleepers need no time."""

    present: datetime = NOW
    slept: float = 0.0

    def now(self) -> datetime:
        """What it shows."""
        return self.present

    async def sleep(self, seconds: float, /) -> None:
        """Let time pass at once."""
        self.slept += seconds
        self.present += timedelta(seconds=seconds)


SET_BY = [
    timedelta(hours=-9),
    timedelta(hours=-1),
    timedelta(seconds=-40),
    timedelta(hours=1),
    timedelta(days=400),
]


@pytest.mark.parametrize("by", SET_BY)
async def test_a_clock_that_is_set_makes_no_wait_longer(by: timedelta) -> None:
    """A laptop that wakes sets its clock; a full window and a short pause stay what they were: seconds."""
    clock = Set()
    limiter = Limiter(Budget(1.0, 1, timedelta(seconds=60)), clock)
    for _ in range(30):
        async with limiter.turn(None) as sent_at:
            pass
    limiter.slow_down(5, market=None, quota=False, sent_at=sent_at)
    clock.present += by
    for _ in range(2):
        async with limiter.turn(None):
            pass
    assert clock.slept <= 2 * 31


@pytest.mark.parametrize("by", SET_BY)
async def test_a_long_wait_is_told_by_the_clock_as_it_is_set(by: timedelta) -> None:
    """Until when a market waits is written for others: it is so long from now, by the clock that they see."""
    clock = Set()
    limiter = Limiter(Budget(1.0, 1, timedelta(seconds=60)), clock)
    clock.present += by
    raised = limiter.rest(timedelta(hours=1), "mend the credentials")
    assert raised.until == clock.present + timedelta(hours=1)
    clock.present -= timedelta(minutes=30)
    with pytest.raises(Throttled) as caught:
        limiter.check("DK")
    assert caught.value.until == clock.present + timedelta(hours=1)
    shown = {"until": caught.value.until.isoformat(), "reason": "mend the credentials"}
    assert limiter.status()["account"] == shown
