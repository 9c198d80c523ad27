"""For any faults that end, the parts equal the catalogue, and no call is repeated without reason.

Input: which of the requests go wrong and how, and when the process dies. Output: the parts, and the requests made.
Real: everything of the service. Not here: the push subscription, but for its redelivery.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_fetcher.adapters.http import Request, Unreachable
from services.market_fetcher.decisions import Answer
from tests import fetching
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.spotify import FakeSpotify, album, answer, error
from tests.virtual_time import let_pass, run

MARKETS = "DK SE NO FI DE".split()
IDS = [f"a{number:02}" for number in range(25)]
LISTS = {market: [IDS[(3 * place + of) % 25] for of in range(12)] for place, market in enumerate(MARKETS)}
DISTINCT = len({album_id for listed in LISTS.values() for album_id in listed})
OVERFLOW = 2  # a00 has three pages of tracks
WHOLE = {album_id: album(album_id, 120 if album_id == "a00" else 3) for album_id in IDS}
BOUND = {"extended": 5 + -(-DISTINCT // 20) + OVERFLOW + 1, "developer": 5 * 2 + DISTINCT + OVERFLOW + 2}

Change = Callable[[dict[str, Any]], None]
PASSING: Mapping[str, Answer | Unreachable] = {
    "500": error(500),
    "503": error(503, retry_after="2"),
    "503 for minutes": error(503, retry_after="200"),
    "reset": Unreachable("ServerDisconnectedError"),
    "cut": Answer(200, b'{"albums": {"items": [{"id'),
    "text": Answer(200, b"Too many requests"),
    "empty object": answer({}),
    "401": error(401, "The access token expired"),
    "429": error(429),
    "429 at once": error(429, retry_after="0"),
    "429 short": error(429, retry_after="20"),
    "429 long": error(429, retry_after="7200"),
    "quota": error(429, retry_after="50000", reason="QUOTA_EXCEEDED"),
}


def _empty(page: dict[str, Any]) -> None:
    page["items"] = []


def _null(page: dict[str, Any]) -> None:
    page["items"].insert(1, None)


def _repeat(page: dict[str, Any]) -> None:
    page["items"] += page["items"][:1]


def _circle(page: dict[str, Any]) -> None:
    page["next"] = f"http://elsewhere.test/?offset={page['offset']}"


def _total(page: dict[str, Any]) -> None:
    page["total"] = page["total"] * 2 + 7


DISTORTING: Mapping[str, Change] = {
    "empty": _empty,
    "null": _null,
    "repeat": _repeat,
    "circle": _circle,
    "total": _total,
}


@dataclass
class Faulty(FakeSpotify):
    """Spotify with a fault on each of the requests that the schedule numbers."""

    schedule: Mapping[int, str] = field(default_factory=dict)
    good: Counter[str] = field(default_factory=Counter)
    """Requests that were answered truly, by what was asked."""
    emptied: set[str] = field(default_factory=set)

    async def __call__(self, request: Request) -> Answer:
        """See `Send`."""
        number = len(self.requests)
        what = f"{urlsplit(request.url).path}?{sorted(request.params.items())}"
        fault = self.schedule.get(number, "")
        found = await super().__call__(request)
        if fault in PASSING:
            return _passing(PASSING[fault])
        if fault in DISTORTING and self.good[what] == 0 and what not in self.emptied:
            found = _distorted(found, DISTORTING[fault])
        if fault == "empty" and what not in self.emptied:
            self.emptied.add(what)  # one empty page in a row, since two are the list's end
        else:
            self.good[what] += 1
        return found


def _passing(fault: Answer | Unreachable) -> Answer:
    if isinstance(fault, Unreachable):
        raise fault
    return fault


def _distorted(found: Answer, change: Change) -> Answer:
    data = json.loads(found.body)
    for page in (data, data.get("albums"), data.get("tracks")):
        if isinstance(page, dict) and isinstance(page.get("items"), list):
            change(page)
    return Answer(found.status, json.dumps(data).encode(), found.retry_after)


async def deliver_until_done(fetcher: fetching.Fetcher, market: str) -> int:
    """As Pub/Sub: deliver again, after ten minutes at most; gives how often it was given back."""
    for given_back in range(2500):  # twenty-five quota waits of 50,000 s, ten minutes each
        settled = await fetcher.fetch(market, event_id=market)
        assert settled.status in {204, 503}
        if settled.status == 204:
            return given_back
        await let_pass(min(10 * 2.0 ** min(given_back, 6), 600))
    raise AssertionError(f"{market} never lands")


async def all_markets(spotify: Faulty, store: MemoryObjectStore, dies_after: float | None) -> int:
    """Deliver every market until its part stands, by a second process when the first dies."""
    if dies_after is not None:
        async with fetching.fetching(spotify, store, ALBUMS_PER_MARKET="12") as fetcher:
            try:
                async with asyncio.timeout(dies_after):
                    await asyncio.gather(*(deliver_until_done(fetcher, market) for market in MARKETS))
            except TimeoutError:
                pass  # it has died
    async with fetching.fetching(spotify, store, ALBUMS_PER_MARKET="12") as fetcher:
        given_back = await asyncio.gather(*(deliver_until_done(fetcher, market) for market in MARKETS))
        for market in MARKETS:
            assert await fetcher.albums(market) == LISTS[market]
            for line in await fetcher.part(market):
                found = line["album"]
                assert found["tracks"]["items"] == WHOLE[found["id"]]["tracks"]
    return sum(given_back)


schedules = st.dictionaries(
    st.integers(0, 60), st.sampled_from(sorted([*PASSING, *DISTORTING])), max_size=25
) | st.dictionaries(st.integers(0, 200), st.sampled_from(["500", "reset", "cut"]), min_size=40, max_size=150)


@pytest.mark.parametrize("app", ["extended", "developer"])
@settings(max_examples=60, deadline=None)
@given(schedule=schedules, dies_after=st.none() | st.floats(0.01, 3))
def test_whatever_fails_for_a_while_the_parts_equal_the_catalogue(
    app: Literal["extended", "developer"], schedule: Mapping[int, str], dies_after: float | None
) -> None:
    """Every album and every track, in order; and without a restart no good answer is asked for twice.

    But for one: an album that claims more tracks than came is read once more, to its end.
    """
    spotify = Faulty(LISTS, WHOLE, app=app, schedule=schedule)
    store = MemoryObjectStore()
    given_back = run(lambda: all_markets(spotify, store, dies_after))
    if given_back == 0 and dies_after is None:
        asked = {what: times for what, times in spotify.good.items() if not what.startswith("/api/token")}
        assert max(asked.values()) <= (2 if "total" in schedule.values() else 1)
        assert len(spotify.requests) <= BOUND[app] + 2 * len(schedule)


@pytest.mark.parametrize("app", ["extended", "developer"])
def test_without_faults_the_calls_are_those_of_the_bound(app: Literal["extended", "developer"]) -> None:
    """The bound is reached exactly: listings, batches or albums, further pages, token and probe."""
    spotify = Faulty(LISTS, WHOLE, app=app)
    run(lambda: all_markets(spotify, MemoryObjectStore(), None))
    assert len(spotify.requests) == BOUND[app]
