"""What an answer of Spotify means, and how long to wait."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.documents import ThrottledMarket
from contracts.events import Delivery, MarketRequested
from eventing.errors import Permanent, Retryable
from services.market_fetcher.decisions import (
    Again,
    Answer,
    Good,
    No,
    Wait,
    absence,
    already_done,
    backoff,
    is_outage,
    judge,
    listing_refused,
    retry_after,
    run_refused,
    still_waits,
    times_of,
    would_empty,
)
from services.market_fetcher.ports import Refused
from tests.fakes.spotify import error, lacks

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0", 1.0),
        ("-5", 1.0),
        ("0.2", 1.0),
        ("86400", 86400.0),
        ("1e300", 604800.0),
        ("inf", 604800.0),
        ("nan", None),
        ("Mon, 23 Nov 2026 00:02:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 00:02:00 GMT", 1.0),
        ("Mon, 23 Nov 2026 00:02:00 -0000", None),
        ("Mon, 23 Nov 2026 00:02:00 +99999999999999999999", None),
        ("Mon, 23 Nov 999999999999999999999999999999 00:02:00 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_with_a_floor_and_a_ceiling(header: str | None, seconds: float | None) -> None:
    """`Retry-After: 0` must never become a hot loop, and no header may break the fetcher."""
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(200, b'{"albums": {"items": []}}'), Good({"albums": {"items": []}})),
        (Answer(203, b'{"albums": {"items": []}}'), Good({"albums": {"items": []}})),
        (Answer(200, b'{"albums": {"it'), Again("a body that is not JSON")),
        (Answer(200, b"<html>"), Again("a body that is not JSON")),
        (Answer(200, b""), Again("a body that is not JSON")),
        (Answer(200, b'{"albums": "\xe9"}'), Again("a body that is not JSON", nonsense=True)),
        (Answer(204, b""), Again("a body that is not JSON")),
        (Answer(200, b'{"albums": NaN}'), Good({"albums": "NaN"})),
        (Answer(200, b"[" * 100_000), Again("a body that is not JSON")),
        (
            Answer(200, b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"),
            Again("a body that is not JSON", nonsense=True),
        ),
        (Answer(200, b"[]"), Again("a body that is no JSON object", nonsense=True)),
        (Answer(200, b"{}"), Again("a body without albums", nonsense=True)),
        (Answer(200, b'{"albums": null}'), Again("a body without albums", nonsense=True)),
        (Answer(429, b"Too many requests", "7"), Wait(7.0, quota=False)),
        (Answer(429, b"", None), Wait(4.0, quota=False)),
        (error(429, "Too many requests", "60", reason="QUOTA_EXCEEDED"), Wait(60.0, quota=True)),
        (error(429, "Too many requests", None, reason="QUOTA_EXCEEDED"), Wait(3600.0, quota=True)),
        (error(429, "Too many requests", "soon", reason="QUOTA_EXCEEDED"), Wait(3600.0, quota=True)),
        (error(429, "Too many requests", "0", reason="QUOTA_EXCEEDED"), Wait(3600.0, quota=True)),
        (Answer(429, b"QUOTA_EXCEEDED"), Wait(3600.0, quota=True)),
        (Answer(500, b""), Again("status 500")),
        (Answer(502, b"<html>"), Again("status 502")),
        (Answer(503, b"", "12"), Again("status 503", 12.0)),
        (Answer(408, b""), Again("status 408")),
        (error(400, "Invalid market code"), No(400, "Invalid market code")),
        (error(401, "The access token expired"), No(401, "The access token expired")),
        (Answer(403, b"", "5"), No(403, "")),
        (Answer(403, b"Check settings on the dashboard"), No(403, "Check settings on the dashboard")),
        (
            Answer(400, b'{"error": "invalid_client", "error_description": "Invalid client"}'),
            No(400, "Invalid client"),
        ),
        (Answer(400, b'{"error": "invalid_client"}'), No(400, "invalid_client")),
        (Answer(404, b'["odd"]'), No(404, "['odd']")),
        (Answer(302, b""), No(302, "")),
    ],
)
def test_every_kind_of_answer_has_its_verdict(answer: Answer, verdict: object) -> None:
    """429 waits, a passing fault is repeated, a refusal is not; a body that is cut counts as a passing fault."""
    assert judge(answer, flaw=lacks("albums"), waits=2, now=NOW) == verdict


@pytest.mark.parametrize(
    ("header", "waits", "seconds"), [(None, 4, 16.0), (None, 5, 3600.0), ("3", 18, 3.0), ("3", 19, 3600.0)]
)
def test_who_is_told_to_wait_again_and_again_rests(header: str | None, waits: int, seconds: float) -> None:
    """Neither a server that never says how long nor one that always says a second is knocked at for a day."""
    verdict = judge(Answer(429, b"", header), flaw=lacks("albums"), waits=waits, now=NOW)
    assert verdict == Wait(seconds, quota=False)


@settings(deadline=None)
@given(st.integers(100, 599), st.binary(max_size=200), st.none() | st.text(max_size=30))
def test_judging_never_fails(status: int, body: bytes, header: str | None) -> None:
    """Whatever bytes come back, the fetcher has a verdict: nothing from outside raises."""
    verdict = judge(Answer(status, body, header), flaw=lacks("id"), waits=0, now=NOW)
    assert isinstance(verdict, Good | Wait | Again | No)
    assert not isinstance(verdict, Wait) or verdict.seconds >= 1


def test_a_long_message_is_cut() -> None:
    """An error body of any size must fit into a log line."""
    verdict = judge(
        Answer(400, json.dumps({"error": {"message": "x" * 10_000}}).encode()), flaw=lacks("id"), waits=0, now=NOW
    )
    assert isinstance(verdict, No)
    assert len(verdict.message) == 300


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_and_is_bounded(failures: int, draw: float) -> None:
    """Repeats spread out, and no wait is longer than eight seconds or shorter than a quarter."""
    assert 0.25 <= backoff(failures, draw) <= 8.0
    assert backoff(failures, draw) <= backoff(failures + 1, draw)


def asked(*, at: datetime | None = None, replay: bool = False, fresh: bool = False) -> Delivery:
    request = MarketRequested(run_id="2026-11-23", market="DK", replay=replay, fresh=fresh)
    return Delivery(event=request, event_id="e1", publish_time=at)


def test_a_part_that_stands_is_done_but_for_a_new_replay() -> None:
    """A redelivery makes no call; a replay replaces the part once for each event."""
    assert not already_done(None, asked())
    assert already_done({"event-id": "e0"}, asked())
    assert not already_done({"event-id": "e0"}, asked(replay=True))
    assert not already_done({}, asked(replay=True))
    assert already_done({"event-id": "e1"}, asked(replay=True))


def test_a_replay_is_done_by_any_part_listed_after_it_was_asked_for() -> None:
    """An old log of events that is delivered again, one replay after the other, changes nothing."""
    later = {"event-id": "e2", "listed-at": "2026-11-23T00:10:00+00:00"}
    before, after = datetime(2026, 11, 23, 0, 9, tzinfo=UTC), datetime(2026, 11, 23, 0, 11, tzinfo=UTC)
    assert already_done(later, asked(at=before, replay=True))
    assert not already_done(later, asked(at=after, replay=True))
    assert not already_done(later, asked(at=None, replay=True))
    assert not already_done(later | {"listed-at": "soon"}, asked(at=before, replay=True))
    assert not already_done(later, asked(at=before, replay=True, fresh=True)), "it may have come from the cache"
    fresh = later | {"fresh-at": later["listed-at"]}
    assert already_done(fresh, asked(at=before, replay=True, fresh=True))


def test_a_fresh_reading_is_remembered_by_the_parts_that_follow() -> None:
    """A plain replay after a fresh one must not make the fresh one look undone when the log comes again."""
    first, second = datetime(2026, 11, 23, 0, 9, tzinfo=UTC), datetime(2026, 11, 23, 0, 11, tzinfo=UTC)
    assert times_of(first, fresh=False, before={}) == {"listed-at": first.isoformat()}
    fresh = times_of(first, fresh=True, before={})
    assert times_of(second, fresh=False, before=fresh) == {
        "listed-at": second.isoformat(),
        "fresh-at": first.isoformat(),
    }


def test_a_refused_listing_is_the_messages_fault_only_where_spotify_says_so() -> None:
    """A market Spotify does not know is dead-lettered at once by its reason; any other refusal may pass."""
    assert isinstance(listing_refused(Refused(400, "Invalid market code"), "XX"), Permanent)
    assert "XX" in str(listing_refused(Refused(400, "Invalid market code"), "XX"))
    assert isinstance(listing_refused(Refused(400, "Invalid limit"), "DK"), Retryable)
    for status in (401, 404, 405, 451):
        assert isinstance(listing_refused(Refused(status, "no"), "DK"), Retryable)


def test_the_time_that_counts_is_that_of_the_service_that_delivers() -> None:
    """Its maker's clock may be hours off; it is looked at only where no transport told another time."""
    standing = {"event-id": "e2", "listed-at": "2026-11-23T00:10:00+00:00"}
    before, after = datetime(2026, 11, 23, 0, 9, tzinfo=UTC), datetime(2026, 11, 23, 0, 11, tzinfo=UTC)
    replay = asked(at=after, replay=True).model_copy(update={"event_time": before})
    assert not already_done(standing, replay)
    assert already_done(standing, replay.model_copy(update={"publish_time": before, "event_time": after}))
    assert already_done(standing, replay.model_copy(update={"publish_time": None}))


@pytest.mark.parametrize(
    ("status", "message", "cause"),
    [
        (404, "Non existing id", "gone"),
        (410, "", "gone"),
        (400, "Invalid base62 id", "unusable"),
        (400, "invalid album ID: x", "unusable"),
        (400, "Invalid limit", "refused"),
        (400, "Service not found", "refused"),
        (400, "", "refused"),
        (405, "", "refused"),
        (451, "", "refused"),
    ],
)
def test_only_not_found_is_gone(status: int, message: str, cause: str) -> None:
    """A call that is refused says nothing of the album, but for an id that can be none."""
    assert absence(Refused(status, message)) == cause


@pytest.mark.parametrize(
    ("absent", "listed", "outage"),
    [
        (0, 0, False),
        (0, 50, False),
        (1, 1, True),
        (1, 2, False),
        (2, 2, True),
        (2, 3, False),
        (3, 15, True),
        (3, 16, False),
        (9, 50, False),
        (10, 50, True),
    ],
)
def test_so_many_are_not_taken_down_at_once(absent: int, listed: int, *, outage: bool) -> None:
    """All of a list, or three and a fifth of it."""
    assert is_outage(absent, listed) is outage


@pytest.mark.parametrize(("days", "waits"), [(-0.1, False), (0.1, True), (7, True), (7.1, False), (400, False)])
def test_a_wait_that_nobody_asks_for_is_not_obeyed(days: float, *, waits: bool) -> None:
    """A process whose clock was a year ahead must not keep all markets of all others waiting for a year."""
    until = NOW + timedelta(days=days)
    record = ThrottledMarket(run_id="2026-11-23", market="DK", until=until, reason="r", account=True)
    assert still_waits(record, NOW) == waits


def test_a_request_is_for_a_market_of_its_run() -> None:
    """A manifest may be late, a market that it does not name will never be in it."""
    request = MarketRequested(run_id="2026-11-23", market="DK")
    assert run_refused(request, ("SE", "DK")) is None
    assert isinstance(run_refused(request, None), Retryable)
    refusal = run_refused(request, ("SE", "NO"))
    assert isinstance(refusal, Permanent)
    assert "DK" in str(refusal)
    assert "NO, SE" in str(refusal)


def test_only_a_part_without_albums_may_be_replaced_by_none() -> None:
    """A part of any form that holds albums stays, and so does one that does not say what it holds."""
    assert would_empty(None) is None
    assert would_empty({"album-count": "0", "track-count": "0", "event-id": "e"}) is None
    assert "where 3 stand" in str(would_empty({"album-count": "3", "track-count": "9"}))
    assert isinstance(would_empty({"album-count": "3", "track-count": "9"}), Retryable)
    assert isinstance(would_empty({}), Retryable)
