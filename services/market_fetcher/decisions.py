"""What Spotify's answers mean, and how long to wait: pure, total over every status, header and body."""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal

from contracts.documents import ThrottledMarket
from contracts.events import Delivery, MarketRequested
from contracts.faults import ContractError
from contracts.parts import PartMetadata
from contracts.wording import shown
from eventing.errors import Permanent, Retryable
from services.market_fetcher.ports import Flaw, Json, Refused, Throttled
from services.market_fetcher.values import parse

_FLOOR_SECONDS = 1.0  # `Retry-After: 0` must not become a hot loop
_CEILING_SECONDS = 7 * 86400.0  # Pub/Sub keeps a message no longer, and 86400 is the longest wait reported
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 0.5, 8.0
_MESSAGE_SHOWN = 300  # characters
_QUOTA_REST_SECONDS = 3600.0  # where Spotify does not say how long; asking on makes it longer
_MOST_WAITS = 20  # one after the other
_MOST_UNTOLD_WAITS = 6  # where Spotify does not say how long; half a minute together
_AT_ONCE, _AT_ONCE_SINGLY = 1000, 2  # markets; one's albums keep the calls going while the other waits for a page
_ERROR_READ_BYTES = 16 * 1024
_INVALID_ID = re.compile(r"invalid\b.*\bid\b", re.IGNORECASE)
_OUTAGE_LEAST, _OUTAGE_SHARE = 3, 5  # albums, and the part of a list that they are at least: a fifth

AbsenceCause = Literal["gone", "unusable", "refused"]


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
    at_least_seconds: float = 0.0
    """How long the service asks to be left alone."""
    nonsense: bool = False
    """Whether there was an answer, in good order, but not of the kind that was asked for."""


@dataclass(frozen=True, slots=True)
class No:
    """The call is refused."""

    status: int
    message: str


Verdict = Good | Wait | Again | No


def judge(answer: Answer, *, flaw: Flaw, waits: int, now: datetime) -> Verdict:
    """What to do about an answer.

    Args:
        answer: as it came.
        flaw: what is wrong with the JSON object of an answer.
        waits: how often such calls were told to wait since one was served; a missing Retry-After counts up from it.
        now: for a Retry-After that is a date.
    """
    told = retry_after(answer.retry_after, now)
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:  # a proxy may make 203 of 200
        return _good(answer.body, flaw)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _wait(told, b"QUOTA_EXCEEDED" in answer.body[:_ERROR_READ_BYTES], waits)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.REQUEST_TIMEOUT:
        return Again(f"status {answer.status}", told or 0.0)
    return No(answer.status, _error(answer.body))


def _wait(told_seconds: float | None, quota: bool, waits: int) -> Wait:  # noqa: FBT001 -- a fact, not a choice
    """How long to wait. A used-up quota is not back after a second: such a Retry-After is treated as missing.

    Calls that are told to wait again and again have met a quota, too, whatever the answer calls it.
    """
    if quota:
        told = told_seconds or 0.0
        return Wait(told if told > _FLOOR_SECONDS else _QUOTA_REST_SECONDS, quota=True)
    if waits + 1 >= (_MOST_UNTOLD_WAITS if told_seconds is None else _MOST_WAITS):
        return Wait(max(told_seconds or 0.0, _QUOTA_REST_SECONDS), quota=False)
    return Wait(told_seconds if told_seconds is not None else min(2.0**waits, 30.0), quota=False)


def _good(body: bytes, flaw: Flaw) -> Good | Again:
    try:
        data = parse(body)
    except (ValueError, RecursionError):
        # A page of somebody on the way, or half an answer, passes; a whole object that cannot be read is one for good.
        whole = body.strip()
        return Again("a body that is not JSON", nonsense=whole[:1] == b"{" and whole[-1:] == b"}")
    found = flaw(data) if isinstance(data, dict) else "a body that is no JSON object"
    return Good(data) if found is None else Again(found, nonsense=True)


def _error(body: bytes) -> str:
    """Message of an error body, which may be empty, plain text, or of either of Spotify's two forms."""
    text = body[:_ERROR_READ_BYTES].decode(errors="replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text[:_MESSAGE_SHOWN]
    error: Any = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, dict):
        return _words(error.get("message", ""))
    described = data.get("error_description", error) if isinstance(data, dict) else data
    return _words(described)


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
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, _FLOOR_SECONDS), _CEILING_SECONDS) if not math.isnan(seconds) else None


def backoff(failures: int, draw: float) -> float:
    """Seconds before the next attempt after `failures` (from 1); `draw` from [0, 1) spreads the callers."""
    most = min(_BACKOFF_FIRST_SECONDS * 2.0 ** (failures - 1), _BACKOFF_MOST_SECONDS)
    return most * (0.5 + draw / 2)


def is_closed(refusal: Refused) -> bool:
    """Whether a way to list or to read several is not open to the app: forbidden, or not there (any more)."""
    return refusal.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def is_refused_for_its_limit(refusal: Refused) -> bool:
    """Whether a smaller page may be had."""
    return refusal.status == HTTPStatus.BAD_REQUEST and "limit" in refusal.message.lower()


def listing_refused(refusal: Refused, request_market: str) -> Retryable | Permanent:
    """The end of a delivery whose listing was refused: the request's own fault only where Spotify says so."""
    if refusal.status == HTTPStatus.BAD_REQUEST and not is_refused_for_its_limit(refusal):
        return Permanent(f"market {request_market}: {refusal}; take the market out of MARKETS, or see the message")
    return Retryable(f"market {request_market}: {refusal}")


def absence(refusal: Refused) -> AbsenceCause:
    """What a refusal says about a listed album. Only `gone` and `unusable` concern the album itself."""
    if refusal.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return "gone"
    if refusal.status == HTTPStatus.BAD_REQUEST and _INVALID_ID.search(refusal.message):
        return "unusable"
    return "refused"


def is_outage(absent: int, listed: int) -> bool:
    """Whether so many albums of one list are missing that Spotify fails, rather than that they are gone.

    Albums are taken down one by one: never all of a list at once, nor three and a fifth of it.
    """
    return absent > 0 and (absent == listed or (absent >= _OUTAGE_LEAST and absent * _OUTAGE_SHARE >= listed))


def run_refused(request: MarketRequested, markets: Collection[str] | None) -> Retryable | Permanent | None:
    """Why a request does not belong to its run; `markets` are those of the run's manifest, None while it has none."""
    if markets is None:
        reason = f"run {request.run_id} has no manifest, which is written before any market is asked for"
        return Retryable(f"{reason}; ask for the run first")
    if request.market not in markets:
        reason = f"market {request.market} is not one of run {request.run_id}, by its manifest"
        return Permanent(f"{reason}; ask for one of {', '.join(sorted(markets))}")
    return None


def would_empty(standing: Mapping[str, str] | None) -> Retryable | None:
    """Why a listing of nothing must not take a part's place: an empty answer never replaces albums.

    The request is delivered again: a list that comes back is taken; else the replay is given up, and the part stays.
    """
    if standing is None:
        return None
    try:
        albums = PartMetadata.of(standing).album_count
    except ContractError as error:
        return Retryable(f"Spotify lists no album, and what stands cannot be told: {error}")
    reason = f"Spotify lists no album, where {albums} stand; an empty list never replaces albums"
    return Retryable(reason) if albums else None


def throttled_market(request: MarketRequested, throttled: Throttled) -> ThrottledMarket:
    """What a run's status shows of a market that waits."""
    return ThrottledMarket(
        run_id=request.run_id,
        market=request.market,
        until=throttled.until,
        reason=str(throttled),
        account=throttled.account,
        needs_a_person=throttled.needs_a_person,
    )


def still_waits(record: ThrottledMarket, now: datetime) -> bool:
    """Whether another process's wait goes on; where a person had to mend something, a restart means it is mended.

    A wait longer than any that Spotify asks for was written by a clock that is ahead.
    """
    return not record.needs_a_person and now < record.until <= now + timedelta(seconds=_CEILING_SECONDS)


def at_once(app: str) -> int:
    """How many markets may call at the same time, for an app of this kind."""
    return _AT_ONCE if app == "extended" else _AT_ONCE_SINGLY


def admitted(waiting: Iterable[str], begun: Collection[str], room: int) -> list[str]:
    """Which of the waiting markets may come in, in order of arrival; those that have begun go first."""
    return sorted(waiting, key=lambda name: name not in begun)[: max(room, 0)]


def already_done(standing: Mapping[str, str] | None, delivery: Delivery) -> bool:
    """Whether the part that stands, told by its metadata, is what this delivery asks for.

    A replay asks for what Spotify lists after it was published. So it is done by its own part, however often it is
    delivered, and by any part whose listing is newer: an old log of messages that is delivered again changes nothing.
    When it was published is what Pub/Sub says: the event's own time is that of some person's machine, which may be
    hours behind. It counts only where no transport told another.
    """
    request: MarketRequested = delivery.event
    if standing is None:
        return False
    if not request.replay or standing.get("event-id") == delivery.event_id:
        return True
    asked_at = delivery.publish_time or delivery.event_time
    return _is_after(standing.get("fresh-at" if request.fresh else "listed-at", ""), asked_at)


def times_of(listed_at: datetime, *, fresh: bool, before: Mapping[str, str]) -> dict[str, str]:
    """When a part was listed, and when it was last read past the cache; the parts that follow keep that time."""
    listed = listed_at.isoformat()
    fresh_at = listed if fresh else before.get("fresh-at", "")
    return {"listed-at": listed, **({"fresh-at": fresh_at} if fresh_at else {})}


def _is_after(listed_at: str, asked_at: datetime | None) -> bool:
    try:
        return asked_at is not None and datetime.fromisoformat(listed_at) > asked_at
    except ValueError:
        return False
