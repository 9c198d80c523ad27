"""The simulator's limits, on times that the tests make up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.spotify.limits import Limiter, Limits

START = datetime(2026, 11, 23, tzinfo=UTC)
GAPS = st.lists(st.floats(min_value=0, max_value=20, allow_nan=False), min_size=1, max_size=60)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_without_limits_every_call_passes() -> None:
    """A limit that nobody asked for would slow every run."""
    limiter = Limiter(Limits())
    assert all(limiter.admit(START) is None for _ in range(1000))


@given(GAPS, st.integers(min_value=1, max_value=5))
def test_no_window_of_thirty_seconds_admits_more_than_the_rate(gaps: list[float], rate: int) -> None:
    """The window rolls: it holds at every moment, not only at multiples of thirty seconds."""
    limiter, now, admitted = Limiter(Limits(calls_per_window=rate)), START, []
    for gap in gaps:
        now += timedelta(seconds=gap)
        if limiter.admit(now) is None:
            admitted.append(now)
    for first in admitted:
        assert sum(1 for time in admitted if first <= time < first + timedelta(seconds=30)) <= rate


@given(GAPS, st.integers(min_value=1, max_value=5))
def test_retry_after_is_true_and_not_wasteful(gaps: list[float], rate: int) -> None:
    """Who waits as told is admitted; a whole second earlier he would not have been."""
    limiter, now = Limiter(Limits(calls_per_window=rate)), START
    for gap in gaps:
        now += timedelta(seconds=gap)
        refusal = limiter.admit(now)
        if refusal is None:
            continue
        early = now + timedelta(seconds=refusal.retry_after) - timedelta(seconds=1)
        assert refusal.retry_after == 1 or limiter.admit(early - timedelta(milliseconds=1)) is not None
        now += timedelta(seconds=refusal.retry_after)
        assert limiter.admit(now) is None


def test_refused_calls_do_not_count() -> None:
    """Knocking on a closed door keeps it closed only where Spotify is set to do that."""
    limiter = Limiter(Limits(calls_per_window=2))
    assert [limiter.admit(after(second)) is None for second in (0, 1, 2, 28, 30, 31, 32)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]


def test_the_quota_speaks_of_hours_and_comes_before_the_rate() -> None:
    """A quota is waited by giving the message back, a rate by waiting; the reason tells them apart."""
    limiter = Limiter(Limits(calls_per_window=3, daily_quota=3))
    assert [limiter.admit(after(second)) for second in (0, 1, 2)] == [None, None, None]
    refusal = limiter.admit(after(3))
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after) == ("QUOTA_EXCEEDED", 24 * 3600 - 3)
    assert limiter.admit(after(24 * 3600)) is None


def test_the_rate_has_its_own_reason() -> None:
    """A client that takes each 429 for a quota gives up for a day because of a second."""
    limiter = Limiter(Limits(calls_per_window=1, daily_quota=10))
    limiter.admit(START)
    refusal = limiter.admit(after(29.5))
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after) == ("RATE", 1)


@pytest.mark.parametrize(("calls", "wait"), [(1, 30), (2, 35), (4, 45)])
def test_calling_on_during_a_refusal_lengthens_it(calls: int, wait: int) -> None:
    """The first refusal only tells; each further call costs, so that impatience shows in tests."""
    limiter = Limiter(Limits(calls_per_window=1, lengthen=timedelta(seconds=5)))
    limiter.admit(START)
    refusals = [limiter.admit(START) for _ in range(calls)]
    assert [refusal.retry_after for refusal in refusals if refusal][-1] == wait
    assert limiter.admit(after(wait)) is None


def test_a_lengthened_wait_is_no_quota() -> None:
    """Impatience costs seconds; it must not read as the loss of a day."""
    limiter = Limiter(Limits(calls_per_window=1, lengthen=timedelta(seconds=60)))
    limiter.admit(START)
    refusals = [limiter.admit(START), limiter.admit(START), limiter.admit(after(40))]
    assert [refusal.reason for refusal in refusals if refusal] == ["RATE"] * 3
