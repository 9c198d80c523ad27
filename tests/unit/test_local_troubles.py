"""What the demo says of a Spotify that does not serve it: from the fetcher's log, in one line."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from local.troubles import Trouble, reasons_of, trouble_of

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
QUOTA = "Spotify's quota for the account"
PATIENCE = timedelta(minutes=3)


def line(message: str, *, after: float = 0, **fields: object) -> str:
    """A line of the fetcher's log, so many seconds after the first."""
    return json.dumps({"message": message, "time": (NOW + timedelta(seconds=after)).isoformat(), **fields})


def paused(seconds: float, *, needs_a_person: bool = False, reason: str = QUOTA) -> str:
    """The line of a pause of the whole account."""
    until = (NOW + timedelta(seconds=seconds)).isoformat()
    return line("account_throttled", until=until, reason=reason, needs_a_person=needs_a_person)


def found(*log: str) -> Trouble:
    """The trouble that a log tells; it must tell one."""
    trouble = trouble_of(log, NOW)
    assert trouble is not None
    return trouble


FAILED = line("call_failed", url="http://accounts/api/token", reason="status 500", failures=1)
LANDED = line("market_fetched", market="DK")


def test_what_a_person_must_mend_ends_the_demo_at_once() -> None:
    """A wrong secret and a lapsed Premium are not better in an hour; the fetcher's own words hold the remedy."""
    trouble = found(paused(300, needs_a_person=True, reason="mend SPOTIFY_CLIENT_SECRET"))
    assert trouble.what == "mend SPOTIFY_CLIENT_SECRET"
    assert trouble.outlasts(timedelta(hours=9), NOW)


@pytest.mark.parametrize(("seconds", "in_vain"), [(80_000, True), (181, True), (179, False)])
def test_a_quota_is_waited_for_where_it_comes_back_in_time(seconds: float, *, in_vain: bool) -> None:
    """Nobody sits in front of a terminal for a day, and nobody is sent away for two minutes."""
    trouble = found(paused(seconds))
    assert QUOTA in trouble.what
    assert "start again after that" in trouble.what
    assert trouble.outlasts(PATIENCE, NOW) is in_vain


def test_a_pause_that_is_over_is_no_trouble() -> None:
    """The log keeps it; the terminal must not."""
    assert trouble_of([paused(-1), line("market_throttled", throttled="DK", until=NOW.isoformat())], NOW) is None


def test_a_call_that_fails_is_told_while_it_does() -> None:
    """Where and how it fails, and that nothing is to be done; the same words each time, or lines would pile up."""
    again = line("call_failed", url="http://accounts/api/token", reason="status 500", failures=2)
    assert found(FAILED) == found(FAILED, again) == found(FAILED, line("given_back", reason="failed 6 times"))
    assert found(FAILED).what.startswith("http://accounts/api/token: status 500; ")
    assert not found(FAILED).outlasts(PATIENCE, NOW)
    assert trouble_of([FAILED, LANDED], NOW) is None


@pytest.mark.parametrize("message", ["call_failed", "given_back"])
def test_what_fails_for_two_minutes_ends_the_demo(message: str) -> None:
    """Nobody sits an hour before a token endpoint that answers 500; when it ends is said with the first refusal."""
    ends = (NOW + timedelta(minutes=2)).astimezone()
    first, later, last = (
        line(message, after=after, url="http://accounts/api/token", reason="status 500") for after in (0, 119, 120)
    )
    assert f"at {ends:%H:%M:%S}, this ends" in found(first, later).what
    assert not found(first, later).needs_a_person
    assert found(first, last).needs_a_person
    assert "http://accounts/api/token: status 500, and so since" in found(first, last).what
    assert "then start again" in found(first, last).what
    much_later = line(message, after=2 * 60 + 600, reason="status 500")
    assert not found(first, LANDED, last).needs_a_person
    assert found(first, LANDED, last, much_later).needs_a_person


def test_a_market_that_is_given_back_for_another_reason_is_told() -> None:
    """A secret that cannot be read makes no call that could fail."""
    assert found(line("given_back", reason="secret manager: no such version")).what.startswith("secret manager")


def test_what_concerns_most_markets_is_told_first() -> None:
    """One market that waits is the least of it, and it does not end the demo."""
    waits = line("market_throttled", throttled="DK", until=(NOW + timedelta(hours=2)).isoformat())
    assert "market DK" in found(waits).what
    assert not found(waits).outlasts(PATIENCE, NOW)
    assert found(waits, FAILED) == found(FAILED)
    assert found(FAILED, paused(300), waits, LANDED) == found(paused(300))


def test_a_line_that_is_being_written_is_left_for_the_next_look() -> None:
    """The log is read while the fetcher writes it, and holds what Python itself writes."""
    assert trouble_of(["Traceback", FAILED[:20], "{", ""], NOW) is None


def test_a_market_that_does_not_come_is_named_with_its_last_reason() -> None:
    """Who waits in vain must read which market it is and why, not only where to look."""
    log = [
        "starting",
        '{"message": "given_back", "market": "SE", "reason": "first"}',
        '{"message": "given_back", "market": "DK", "reason": "landed since"}',
        '{"message": "given_back", "market": "SE", "reason": "a listing that is no list"}',
        '{"message": "refused", "market": "NO", "faults": ["event: is not one of the run"]}',
        '{"message": "handled", "market": "SE"}',
    ]
    assert reasons_of(log, ["NO", "SE", "FI"]) == {
        "NO": "event: is not one of the run",
        "SE": "a listing that is no list",
    }
