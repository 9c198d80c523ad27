"""What an answer of Spotify means and how long to wait: pure, total over every status, header and body."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from contracts.documents import ThrottledRecord
from contracts.events import Delivery, MarketRequested
from contracts.wording import shown
from eventing.errors import Permanent, Retryable
from services.market_fetcher.ports import Json, Refused, Throttled

_FLOOR = 1.0  # seconds; `Retry-After: 0` must not become a hot loop
_CEILING = 7 * 86400.0  # seconds; Pub/Sub keeps a message no longer, and 86400 is the longest wait reported
_BACKOFF_FIRST, _BACKOFF_MOST = 0.5, 8.0  # seconds
_MESSAGE_SHOWN = 300  # characters


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    body: bytes
    retry_after: str | None = None
    """The header, as it came."""


@dataclass(frozen=True, slots=True)
class Good:
    """A usable answer."""

    data: Json


@dataclass(frozen=True, slots=True)
class Wait:
    """Too many calls: all wait."""

    seconds: float
    quota: bool
    """Whether a quota of the account is used up, rather than the rate too high for a moment."""


@dataclass(frozen=True, slots=True)
class Again:
    """A fault that passes."""

    reason: str
    at_least: float = 0.0
    """Seconds the service asks to be left alone."""


@dataclass(frozen=True, slots=True)
class No:
    """The call is refused."""

    status: int
    message: str


Verdict = Good | Wait | Again | No


def judge(answer: Answer, *, expect: str, waits: int, now: datetime) -> Verdict:
    """What to do about an answer.

    Args:
        answer: as it came.
        expect: the key that the JSON object of a good answer holds.
        waits: how often this call was told to wait already; a missing Retry-After counts up from it.
        now: for a Retry-After that is a date.
    """
    told = retry_after(answer.retry_after, now)
    if answer.status == HTTPStatus.OK:
        return _good(answer.body, expect)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        fallback = min(2.0**waits, 30.0)
        return Wait(told if told is not None else fallback, _error(answer.body)[1] == "QUOTA_EXCEEDED")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.REQUEST_TIMEOUT:
        return Again(f"status {answer.status}", told or 0.0)
    return No(answer.status, _error(answer.body)[0])


def _good(body: bytes, expect: str) -> Good | Again:
    try:
        data = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return Again("a body that is not JSON")
    if not isinstance(data, dict) or expect not in data:
        return Again(f"a body without {shown(expect)}")
    return Good(data)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")  # Python alone would read NaN, and write it again


def _error(body: bytes) -> tuple[str, str]:
    """Message and reason of an error body, which may be empty, plain text, or of either of Spotify's two forms."""
    text = body[: 16 * 1024].decode(errors="replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text[:_MESSAGE_SHOWN], ""
    error: Any = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, dict):
        return _words(error.get("message", "")), _words(error.get("reason", ""))
    described = data.get("error_description", error) if isinstance(data, dict) else data
    return _words(described), ""


def _words(told: object) -> str:
    return told[:_MESSAGE_SHOWN] if isinstance(told, str) else shown(told)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, from 1 s to 7 days; None where it is missing or unreadable.

    Source: RFC 9110, section 10.2.3 (seconds, or a date); Spotify sends seconds.
    """
    text = (header or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, _FLOOR), _CEILING) if not math.isnan(seconds) else None


def backoff(failures: int, draw: float) -> float:
    """Seconds before the next attempt after `failures` (from 1); `draw` from [0, 1) spreads the callers."""
    most = min(_BACKOFF_FIRST * 2.0 ** (failures - 1), _BACKOFF_MOST)
    return most * (0.5 + draw / 2)


def listing_refused(refusal: Refused, request_market: str) -> Retryable | Permanent:
    """The end of a delivery whose listing was refused for the request's own sake."""
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        return Retryable(f"{refusal}; the token was renewed once already", after=timedelta(minutes=5))
    return Permanent(f"market {request_market}: {refusal}; take the market out of MARKETS, or see the message")


def throttled_record(request: MarketRequested, throttled: Throttled) -> ThrottledRecord:
    """What a run's status shows of a market that waits."""
    return ThrottledRecord(
        run_id=request.run_id, market=request.market, until=throttled.until, reason=str(throttled)
    )


def already_done(standing: Mapping[str, str] | None, delivery: Delivery) -> bool:
    """Whether the part that stands, told by its metadata, is what this delivery asks for.

    A replay asks for what Spotify lists after the time of its request. So it is done by its own part, however
    often it is delivered, and by any part whose listing is newer than the request: an old log of events that is
    replayed changes nothing.
    """
    request: MarketRequested = delivery.event
    if standing is None:
        return False
    if not request.replay or standing.get("event-id") == delivery.event_id:
        return True
    return _is_after(standing.get("fresh-at" if request.fresh else "listed-at", ""), delivery.event_time)


def times_of(listed_at: datetime, *, fresh: bool, before: Mapping[str, str]) -> dict[str, str]:
    """When a part was listed, and when last past the cache: what is read fresh stays so in the parts that follow."""
    listed = listed_at.isoformat()
    fresh_at = listed if fresh else before.get("fresh-at", "")
    return {"listed-at": listed, **({"fresh-at": fresh_at} if fresh_at else {})}


def _is_after(listed_at: str, asked_at: datetime | None) -> bool:
    try:
        return asked_at is not None and datetime.fromisoformat(listed_at) > asked_at
    except ValueError:
        return False
