"""The simulator over HTTP: every bound, limit and fault, and a real client (spotipy) that nobody here wrote."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import pytest
import requests
import spotipy
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiohttp.test_utils import TestServer
from spotipy.cache_handler import MemoryCacheHandler
from spotipy.oauth2 import SpotifyClientCredentials, SpotifyOauthError

from contracts.names import MARKETS
from local.spotify import SIMULATOR, Catalogue, Limits, Rule, Settings, Simulator, create_app, presets
from local.spotify.faults import RULES
from local.spotify.presets import PRESETS
from tests.builders import TestClock
from tests.waiting import eventually

WEEK = date(2026, 11, 23)
BASIC = {"Authorization": f"Basic {b64encode(b'id:secret').decode()}"}
GRANT = {"grant_type": "client_credentials"}


@cache
def catalogue() -> Catalogue:
    return Catalogue(1, WEEK)


@cache
def long_album() -> str:
    """An album of more than 100 tracks."""
    albums = sorted(catalogue().distinct(MARKETS, "browse", 50))
    return max(albums, key=lambda album: len(catalogue().record(album).tracks))


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: Any


class Client:
    """A plain client of one simulator; holds a token."""

    def __init__(self, server: TestServer, session: ClientSession, clock: TestClock) -> None:
        self.url = str(server.make_url("")).rstrip("/")
        self.simulator: Simulator = server.app[SIMULATOR]
        self.clock = clock
        self._session = session
        self.headers: dict[str, str] = {}

    async def sign_in(self) -> "Client":
        """Get a token and use it from now on."""
        got = await self.post("/api/token", GRANT, BASIC)
        self.headers = {"Authorization": f"Bearer {got.body.get('access_token')}"}
        return self

    async def get(self, path: str, **query: object) -> Answer:
        """GET below /v1, or a whole address."""
        url = path if path.startswith("http") else f"{self.url}/v1{path}"
        params = {name: str(value) for name, value in query.items()} or None
        async with self._session.get(url, params=params, headers=self.headers) as response:
            return Answer(response.status, response.headers, await response.json())

    async def text(self, path: str) -> str:
        """The body of a GET below /v1, whatever it is."""
        async with self._session.get(f"{self.url}/v1{path}", headers=self.headers) as response:
            return await response.text()

    async def post(self, path: str, data: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """POST at the root."""
        async with self._session.post(f"{self.url}{path}", data=data, headers=headers) as response:
            return Answer(response.status, response.headers, await response.json())

    async def walk(self, path: str, **query: object) -> list[str]:
        """Ids of all entries of a list, by following `next`."""
        page = (await self.get(path, **query)).body
        page = page.get("albums", page)
        found = [entry["id"] for entry in page["items"]]
        return found + (await self.walk(page["next"]) if page["next"] else [])


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start simulators; clients are signed in unless told otherwise."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(sleep: Any = asyncio.sleep, **settings: Any) -> Client:
            clock = TestClock()
            app = create_app(catalogue(), Settings(**settings), clock=clock, rng=random.Random(1), sleep=sleep)
            server = TestServer(app)
            await stack.enter_async_context(server)
            session = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=5)))
            return await Client(server, session, clock).sign_in()

        yield start


def rule(effect: str, **fields: Any) -> tuple[Rule, ...]:
    return (Rule.model_validate({"effect": effect, **fields}),)


# -- tokens ------------------------------------------------------------------------------------------------------


async def test_a_token_is_a_bearer_token_of_an_hour(serve: Serve) -> None:
    """Client-credentials flow: access_token, token_type Bearer, expires_in 3600, no refresh token."""
    got = await (await serve()).post("/api/token", GRANT, BASIC)
    assert (got.status, got.body.keys()) == (200, {"access_token", "token_type", "expires_in"})
    assert (got.body["token_type"], got.body["expires_in"]) == ("Bearer", 3600)


@pytest.mark.parametrize(
    ("form", "header", "body"),
    [
        ({}, BASIC, {"error": "unsupported_grant_type", "error_description": "grant_type parameter is missing"}),
        (GRANT, {}, {"error": "invalid_client", "error_description": "Invalid client"}),
        (GRANT, {"Authorization": "Basic %%"}, {"error": "invalid_client", "error_description": "Invalid client"}),
        (
            GRANT,
            {"Authorization": f"Basic {b64encode(b'id:wrong').decode()}"},
            {"error": "invalid_client", "error_description": "Invalid client secret"},
        ),
    ],
)
async def test_wrong_credentials_are_400_in_oauth_form(
    serve: Serve, form: dict[str, str], header: dict[str, str], body: dict[str, str]
) -> None:
    """The accounts service words errors unlike the API: a string and a description, status 400."""
    got = await (await serve(client=("id", "secret"))).post("/api/token", form, header)
    assert (got.status, got.body) == (400, body)


async def test_tokens_expire(serve: Serve) -> None:
    """A long run meets the end of its token: 401 "The access token expired", and a new one is good."""
    client = await serve()
    client.clock.advance(seconds=3599)
    assert (await client.get("/markets")).status == 200
    client.clock.advance(seconds=1)
    got = await client.get("/markets")
    assert (got.status, got.body["error"]["message"]) == (401, "The access token expired")
    assert "invalid_token" in got.headers["WWW-Authenticate"]
    assert (await (await client.sign_in()).get("/markets")).status == 200


@pytest.mark.parametrize(
    ("header", "status", "message"),
    [
        ({}, 401, "No token provided"),
        ({"Authorization": "Bearer nobody"}, 401, "Invalid access token"),
        (BASIC, 400, "Only valid bearer authentication supported"),
    ],
)
async def test_calls_need_a_token(serve: Serve, header: dict[str, str], status: int, message: str) -> None:
    """No endpoint answers strangers; the error has Spotify's form."""
    client = await serve()
    client.headers = header
    got = await client.get("/search", q="tag:new", type="album")
    assert (got.status, got.body) == (status, {"error": {"status": status, "message": message}})


# -- endpoints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/browse/new-releases", f"/albums?ids={'0' * 22}", "/markets"])
async def test_development_apps_get_403_for_what_was_removed(serve: Serve, path: str) -> None:
    """Since 2026 these three are for extended-quota apps; a 403 is a missing capability."""
    got = await (await serve(mode="developer")).get(path)
    assert (got.status, got.body["error"]["status"]) == (403, 403)


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("/search", {"q": "tag:new", "type": "album", "limit": 11}, "Invalid limit"),
        ("/search", {"q": "tag:new", "type": "album", "limit": 0}, "Invalid limit"),
        ("/search", {"q": "tag:new", "type": "album", "offset": 1001}, "Invalid offset"),
        ("/search", {"q": "tag:new", "type": "album", "market": "ZZ"}, "Invalid market code"),
        ("/search", {"q": "tag:new", "type": "albums"}, "Bad search type field"),
        ("/search", {"q": "tag:new"}, "Missing parameter type"),
        ("/search", {"type": "album"}, "No search query"),
        ("/browse/new-releases", {"limit": 51}, "Invalid limit"),
        ("/browse/new-releases", {"limit": "many"}, "Invalid limit"),
        ("/browse/new-releases", {"offset": -1}, "Invalid offset"),
        ("/browse/new-releases", {"market": "dk"}, "Invalid market code"),
        ("/albums", {}, "Missing required field: ids"),
        ("/albums", {"ids": ",".join(["0" * 22] * 21)}, "Too many ids requested"),
        ("/albums", {"ids": "short"}, "Invalid base62 id"),
        ("/albums/no-id", {}, "Invalid base62 id"),
        (f"/albums/{'0' * 22}/tracks", {"limit": 51, "market": "DK"}, None),
    ],
)
async def test_bounds_are_those_of_the_description(
    serve: Serve, path: str, query: dict[str, object], message: str | None
) -> None:
    """A client that asks for more than the real API gives must fail here too, and be told what."""
    got = await (await serve()).get(path, **query)
    if message is None:
        assert (got.status, got.body) == (404, {"error": {"status": 404, "message": "Resource not found"}})
    else:
        assert (got.status, got.body) == (400, {"error": {"status": 400, "message": message}})


@pytest.mark.parametrize(
    ("path", "query", "limit"),
    [
        ("/search", {"q": "tag:new", "type": "album"}, 5),
        ("/browse/new-releases", {}, 20),
        (f"/albums/{long_album()}/tracks", {}, 20),
    ],
)
async def test_defaults_of_pages(serve: Serve, path: str, query: dict[str, object], limit: int) -> None:
    """Who gives no limit gets 5 search results, 20 releases, 20 tracks: the reference lost tracks to this."""
    body = (await (await serve()).get(path, **query)).body
    page = body.get("albums", body)
    assert (len(page["items"]), page["limit"], page["offset"], page["previous"]) == (limit, limit, 0, None)


@pytest.mark.parametrize(
    ("mode", "path", "query", "source"),
    [
        ("extended", "/browse/new-releases", {"limit": 50, "market": "DK"}, "browse"),
        ("extended", "/browse/new-releases", {"limit": 33, "country": "DK"}, "browse"),
        ("developer", "/search", {"q": "tag:new", "type": "album", "limit": 10, "market": "DK"}, "search"),
    ],
)
async def test_following_next_gives_the_list_of_the_market(
    serve: Serve, mode: str, path: str, query: dict[str, object], source: Any
) -> None:
    """The links carry what was asked, to the last page; together the pages are the catalogue's list."""
    found = await (await serve(mode=mode)).walk(path, **query)
    assert found == catalogue().releases("DK", source)


async def test_links_of_a_search_are_worded_as_recorded(serve: Serve) -> None:
    """Real links say `query` and `locale` where the call said `q`; rebuilding them from `q` is not enough."""
    got = await (await serve()).get("/search", q="tag:new", type="album", market="DK")
    following = got.body["albums"]["next"]
    assert "query=tag:new" in following.replace("%3A", ":")
    assert {"locale=*", "market=DK", "offset=5"} <= set(following.split("?")[1].split("&"))
    assert "?q=" not in following
    assert "&q=" not in following


async def test_the_last_page_has_no_next(serve: Serve) -> None:
    """A `next` that leads to nothing would cost a call for every market."""
    page = (await (await serve()).get("/search", q="tag:new", type="album", limit=10, offset=90)).body["albums"]
    assert (len(page["items"]), page["next"]) == (10, None)
    assert "offset=80" in page["previous"]


async def test_the_end_of_a_search_is_empty_not_wrong(serve: Serve) -> None:
    """Offset 1000 is allowed; beyond the 100 hits there is an empty last page."""
    page = (await (await serve()).get("/search", q="tag:new", type="album", offset=1000)).body["albums"]
    assert (page["items"], page["next"], page["total"]) == ([], None, 100)
    other = (await (await serve()).get("/search", q="abba", type="album")).body["albums"]
    assert (other["items"], other["total"]) == ([], 0)


async def test_several_albums_keep_their_places(serve: Serve) -> None:
    """albums?ids= answers in the order of the ids, null for what does not exist."""
    ids = catalogue().releases("DK", "browse", 19)
    got = await (await serve()).get("/albums", ids=",".join([*ids[:10], "0" * 22, *ids[10:]]))
    assert [album and album["id"] for album in got.body["albums"]] == [*ids[:10], None, *ids[10:]]


async def test_all_tracks_of_a_long_album(serve: Serve) -> None:
    """The album embeds 50 tracks; its `next` leads through the rest, on this server."""
    client = await serve(mode="developer")
    album = (await client.get(f"/albums/{long_album()}", market="DK")).body
    rest = await client.walk(album["tracks"]["next"])
    every = [track["id"] for track in album["tracks"]["items"]] + rest
    assert every == [track.id for track in catalogue().record(long_album()).tracks]
    assert len(album["tracks"]["items"]) == 50


async def test_names_travel_as_utf8(serve: Serve) -> None:
    """Spotify sends letters, not escapes; a client that guesses another encoding is found out."""
    names = {catalogue().record(album).name for album in catalogue().releases("GR", "browse", 50)}
    text = await (await serve()).text("/browse/new-releases?limit=50&market=GR")
    assert all(name in text for name in names if name.isalpha() and not name.isascii())
    assert "\\u" not in text


async def test_unknown_paths_are_404_in_spotifys_form(serve: Serve) -> None:
    """A client that parses errors as JSON must be able to parse this one."""
    got = await (await serve()).get("/charts")
    assert (got.status, got.body["error"]["message"]) == (404, "Service not found")


# -- limits ------------------------------------------------------------------------------------------------------


async def test_the_rolling_window_answers_429_with_whole_seconds(serve: Serve) -> None:
    """The (n+1)th call in 30 seconds is refused with the time until one fits; then one fits."""
    client = await serve(limits=Limits(calls_per_window=3))
    for _ in range(3):
        assert (await client.get("/markets")).status == 200
        client.clock.advance(seconds=4)
    got = await client.get("/markets")
    assert (got.status, got.headers["Retry-After"]) == (429, "18")
    assert got.body == {"error": {"status": 429, "message": "API rate limit exceeded"}}
    client.clock.advance(seconds=18)
    assert [(await client.get("/markets")).status for _ in range(2)] == [200, 429]


async def test_tokens_are_not_counted_as_calls(serve: Serve) -> None:
    """The accounts service is another service; renewing a token must not cost the budget."""
    client = await serve(limits=Limits(calls_per_window=1))
    for _ in range(3):
        await client.sign_in()
    assert (await client.get("/markets")).status == 200


async def test_the_daily_quota_says_quota_exceeded_and_hours(serve: Serve) -> None:
    """July 2026: reason QUOTA_EXCEEDED and a Retry-After that no process may sleep."""
    client = await serve(limits=Limits(daily_quota=2))
    statuses = [(await client.get("/markets")).status for _ in range(2)]
    client.clock.advance(hours=3)
    await client.sign_in()
    got = await client.get("/markets")
    assert (statuses, got.status, got.headers["Retry-After"]) == ([200, 200], 429, str(21 * 3600))
    assert got.body["error"] == {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}
    client.clock.advance(hours=21)
    await client.sign_in()
    assert (await client.get("/markets")).status == 200


async def test_calling_on_during_a_429_lengthens_it_where_set(serve: Serve) -> None:
    """A limiter that pauses all calls at once is rewarded, one that knocks on is not."""
    client = await serve(limits=Limits(calls_per_window=1, lengthen=timedelta(seconds=10)))
    answers = [await client.get("/markets") for _ in range(4)]
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "30", "40", "50"]


async def test_latency_is_waited_before_every_answer(serve: Serve) -> None:
    """The benchmark's 50 ms must be there for tokens and refusals too."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    client = await serve(sleep, latency=timedelta(milliseconds=50), limits=Limits(calls_per_window=1))
    await client.get("/markets")
    await client.get("/markets")
    assert waited == [0.05] * 3


# -- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_errors_on_the_nth_call(serve: Serve, status: int) -> None:
    """Which call fails is exactly said, so that a test can be about it."""
    client = await serve(faults=rule("status", status=status, path="/markets", nth=2))
    assert [(await client.get("/markets")).status for _ in range(3)] == [200, status, 200]


@pytest.mark.parametrize(
    ("fields", "header"),
    [({"retry_after": 0}, "0"), ({"retry_after": 7200}, "7200"), ({}, None), ({"retry_after": "soon"}, "soon")],
)
async def test_refusals_on_request(serve: Serve, fields: dict[str, Any], header: str | None) -> None:
    """Retry-After has been seen as zero, as hours and not at all; one market alone can be hit."""
    client = await serve(faults=rule("status", status=429, market="DK", times=1, **fields))
    assert (await client.get("/browse/new-releases", market="SE")).status == 200
    got = await client.get("/browse/new-releases", market="DK")
    assert (got.status, got.headers.get("Retry-After")) == (429, header)
    assert (await client.get("/browse/new-releases", market="DK")).status == 200


async def test_a_refusal_with_text_for_a_body(serve: Serve) -> None:
    """Bodies of 429 have been seen as plain text."""
    client = await serve(faults=rule("status", status=429, text="Too many requests"))
    assert await client.text("/markets") == "Too many requests"


async def test_a_refusal_that_lasts(serve: Serve) -> None:
    """A throttled market stays throttled until its time is over, and says how much is left."""
    client = await serve(
        faults=rule(
            "status", status=429, market="DK", retry_after="remaining", lasts=3000, reason="QUOTA_EXCEEDED"
        )
    )
    first = await client.get("/browse/new-releases", market="DK")
    client.clock.advance(seconds=1000)
    second = await client.get("/browse/new-releases", market="DK")
    client.clock.advance(seconds=2000)
    assert [first.headers["Retry-After"], second.headers["Retry-After"]] == ["3000", "2000"]
    assert first.body["error"]["reason"] == "QUOTA_EXCEEDED"
    assert (await client.get("/browse/new-releases", market="DK")).status == 200


async def test_a_token_can_be_refused_and_the_accounts_service_can_fail(serve: Serve) -> None:
    """A token may die before its time, and the place that gives new ones fails as other places do."""
    client = await serve()
    client.simulator.order(
        RULES.validate_python(
            [
                {"effect": "status", "status": 401, "path": "/v1/markets", "times": 1},
                {"effect": "status", "status": 503, "path": "/api/token", "times": 1},
            ]
        )
    )
    got = await client.get("/markets")
    assert (got.status, got.body["error"]["message"]) == (401, "The access token expired")
    assert [(await client.post("/api/token", GRANT, BASIC)).status for _ in range(2)] == [503, 200]


async def test_a_connection_is_cut_in_the_middle_of_the_body(serve: Serve) -> None:
    """The head said 200; only who reads to the end notices."""
    client = await serve(faults=rule("reset", times=1))
    with pytest.raises(ClientError):
        await client.get("/markets")
    assert (await client.get("/markets")).status == 200


async def test_a_body_that_ends_early_and_one_that_is_no_json(serve: Serve) -> None:
    """Both are proper HTTP with status 200; parsing must be part of what is retried."""
    client = await serve(
        faults=(*rule("truncated", nth=1, path="markets"), *rule("non_json", nth=2, path="markets"))
    )
    for _ in range(2):
        body = await client.text("/markets")
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
    assert json.loads(await client.text("/markets")) == {"markets": list(MARKETS)}


async def test_a_rule_that_another_forestalls_keeps_its_times(serve: Serve) -> None:
    """A call has one answer; the rule that did not give it has not acted yet."""
    client = await serve(
        faults=(*rule("status", status=500, nth=1), *rule("status", status=429, times=1), *rule("takedown"))
    )
    assert [(await client.get("/markets")).status for _ in range(3)] == [500, 429, 200]
    assert [call.faults for call in client.simulator.calls[1:]] == [
        ["status", "takedown"],
        ["status", "takedown"],
        ["takedown"],
    ]


async def test_a_stall_is_as_long_as_ordered_and_then_answers(serve: Serve) -> None:
    """Stalls of 30 to 45 seconds have been seen; the wait goes through the injected sleep."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    client = await serve(sleep, faults=rule("stall", seconds=45.0, path="markets"))
    assert (await client.get("/markets")).status == 200
    assert waited == [45.0]


async def test_every_market_gets_one_list_when_the_market_is_ignored(serve: Serve) -> None:
    """What the real endpoint may do today must be detectable, so it must be orderable."""
    client = await serve(faults=rule("market_ignored", path="new-releases"))
    found = [await client.walk("/browse/new-releases", limit=50, market=market) for market in ("DK", "XK")]
    assert found[0] == found[1] == catalogue().releases(None, "browse")


async def test_a_frozen_list_is_last_weeks_and_its_albums_exist(serve: Serve) -> None:
    """The list stood still for weeks in 2024; albums of a frozen list can still be read."""
    client = await serve(faults=rule("frozen", path="new-releases"))
    found = await client.walk("/browse/new-releases", limit=50, market="DK")
    assert found == catalogue().preceding().releases("DK", "browse")
    read = (await client.get("/albums", ids=",".join(found[-2:]))).body["albums"]
    assert [album["id"] for album in read] == found[-2:]


async def test_an_empty_page_in_the_middle_goes_on(serve: Serve) -> None:
    """Who stops at an empty page loses the rest; the end is where `next` is null."""
    client = await serve(faults=rule("empty_page", path="search", nth=3))
    found = await client.walk("/search", q="tag:new", type="album", limit=10, market="DK")
    listed = catalogue().releases("DK", "search")
    assert found == listed[:20] + listed[30:]


async def test_totals_can_change_from_page_to_page(serve: Serve) -> None:
    """A loop that counts to `total` ends early or never; ours must not."""
    client = await serve(faults=rule("unstable_total"))
    asked = [await client.get("/search", q="tag:new", type="album") for _ in range(3)]
    assert len({answer.body["albums"]["total"] for answer in asked}) == 3


async def test_albums_can_be_listed_twice(serve: Serve) -> None:
    """A repeated album must not double its rows; nothing else is lost by the repetition."""
    client = await serve(faults=rule("repeated", path="search"))
    found = await client.walk("/search", q="tag:new", type="album", limit=10, market="DK")
    assert len(found) == 110
    assert list(dict.fromkeys(found)) == catalogue().releases("DK", "search")


async def test_next_can_point_to_the_page_itself(serve: Serve) -> None:
    """Following `next` blindly would never end."""
    client = await serve(faults=rule("loop"))
    page = (await client.get("/browse/new-releases", market="DK")).body["albums"]
    again = (await client.get(page["next"])).body["albums"]
    assert page["next"] == page["href"] == again["href"]
    assert page["items"] == again["items"]


async def test_nulls_inside_arrays_lose_nothing(serve: Serve) -> None:
    """Nulls are added to items, artists and images; skipping them gives the whole again."""
    client = await serve(faults=rule("null_entries"))
    album = (await client.get(f"/albums/{long_album()}")).body
    assert None in album["tracks"]["items"]
    assert None in album["artists"]
    assert None in album["tracks"]["items"][0]["artists"]
    whole = catalogue().album(long_album())
    assert [track["id"] for track in album["tracks"]["items"] if track] == [
        track["id"] for track in whole["tracks"]["items"]
    ]


async def test_an_existing_album_can_come_as_null(serve: Serve) -> None:
    """albums?ids= has given null for albums that exist, for a time; the place in the list stays."""
    ids = catalogue().releases("DK", "browse", 3)
    client = await serve(faults=rule("null_albums", album=ids[1], times=1))
    asked = [(await client.get("/albums", ids=",".join(ids))).body["albums"] for _ in range(2)]
    assert [[album and album["id"] for album in albums] for albums in asked] == [[ids[0], None, ids[2]], ids]


async def test_fields_can_be_null_or_missing(serve: Serve) -> None:
    """The description requires nothing of a track; an album has been seen without required fields."""
    client = await serve(
        faults=(
            *rule("null_fields", fields=["duration_ms", "explicit"]),
            *rule("missing_fields", fields=["images"], of="album"),
        )
    )
    album = (await client.get(f"/albums/{long_album()}")).body
    assert "images" not in album
    assert {track["duration_ms"] for track in album["tracks"]["items"]} == {None}
    assert all("explicit" in track for track in album["tracks"]["items"])


async def test_release_dates_and_takedowns_by_album(serve: Serve) -> None:
    """One album changes, in every answer that has it; its neighbours stay."""
    first, second = catalogue().releases("DK", "browse", 2)
    client = await serve(faults=(*rule("release_date", album=first), *rule("takedown", album=second)))
    listed = (await client.get("/browse/new-releases", market="DK")).body["albums"]["items"]
    read = (await client.get("/albums", ids=f"{first},{second}")).body["albums"]
    for albums in (listed, read):
        assert (albums[0]["release_date"], albums[0]["release_date_precision"]) == ("0000", "year")
        assert (albums[0]["name"] != "", albums[1]["name"]) == (True, "")
        assert albums[1]["release_date"] != "0000"


@pytest.mark.parametrize(
    ("effect", "seen"),
    [
        ("null_listing", None),
        ("null_items", {"items": None, "total": 100}),
        ("no_ids", {"items": [{"id": None}, {"id": None}], "total": 100}),
        ("empty_of_many", {"items": [], "next": None, "total": 100}),
        ("no_albums", {"items": [], "next": None, "total": 0}),
    ],
)
async def test_listings_that_are_none(serve: Serve, effect: str, seen: Any) -> None:
    """Well-formed JSON that is no listing, or an empty one, in each way that was met or can be thought of."""
    client = await serve(faults=rule(effect, path="search"))
    found = (await client.get("/search", q="tag:new", type="album", limit=2, market="DK")).body["albums"]
    if seen is not None:
        found = {name: found[name] for name in seen}
        found["items"] = found["items"] and [{"id": entry["id"]} for entry in found["items"]]
    assert found == seen


async def test_an_album_can_be_gone_for_good(serve: Serve) -> None:
    """Taken down between listing and reading: 404, null among others, and its neighbours stay."""
    first, second = catalogue().releases("DK", "browse", 2)
    client = await serve(faults=rule("gone", album=first))
    assert [(await client.get(f"/albums/{name}")).status for name in (first, second)] == [404, 200]
    several = (await client.get("/albums", ids=f"{first},{second}")).body["albums"]
    assert [album and album["id"] for album in several] == [None, second]


async def test_an_album_can_answer_with_another_id(serve: Serve) -> None:
    """Spotify answers for an album it has put together with another."""
    first, second = catalogue().releases("DK", "browse", 2)
    client = await serve(faults=rule("relinked", album=first))
    assert (await client.get(f"/albums/{first}")).body["id"] == first[::-1]
    several = (await client.get("/albums", ids=f"{first},{second}")).body["albums"]
    assert [album["id"] for album in several] == [first[::-1], second]


async def test_a_list_of_tracks_can_lack_its_last(serve: Serve) -> None:
    """The list ends, and `total` says that it should not have: with the album as on a page of its own."""
    client = await serve(faults=rule("short"))
    pages = [
        (await client.get(f"/albums/{long_album()}/tracks", limit=50, offset=offset)).body for offset in (0, 100)
    ]
    assert len(pages[0]["items"]) == 50
    assert len(pages[1]["items"]) == pages[1]["total"] - 100 - 1
    listed = catalogue().releases("DK", "browse", 50)
    albums = [(await client.get(f"/albums/{name}")).body["tracks"] for name in listed]
    lacking = {tracks["total"] - len(tracks["items"]) for tracks in albums if 1 < tracks["total"] <= 50}
    assert lacking == {1}


async def test_a_page_can_be_refused_for_its_limit(serve: Serve) -> None:
    """Spotify has lowered limits without notice: 400 above, all as before up to it."""
    client = await serve(faults=rule("too_large", path="/tracks", most=20))
    statuses = [(await client.get(f"/albums/{long_album()}/tracks", limit=limit)).status for limit in (50, 21, 20)]
    assert statuses == [400, 400, 200]
    assert (await client.get(f"/albums/{long_album()}/tracks", limit=50)).body["error"][
        "message"
    ] == "Invalid limit"


async def test_values_can_be_of_another_type(serve: Serve) -> None:
    """Numbers spelt as floats, and objects where numbers were."""
    faults = (*rule("floats"), *rule("odd_fields", fields=["explicit"], odd={"odd": 1}))
    client = await serve(faults=faults)
    track = (await client.get(f"/albums/{long_album()}")).body["tracks"]["items"][0]
    assert isinstance(track["duration_ms"], float)
    assert track["explicit"] == {"odd": 1}


def test_every_preset_can_be_ordered_by_its_name() -> None:
    """A name is for people: it must work, and a wrong one must say which there are."""
    for name, rules in PRESETS.items():
        assert presets.read(name) == rules
    with pytest.raises(presets.UnknownFaultsError, match="small-pages"):
        presets.read("big-pages")


async def test_chance_is_decided_by_the_seed(serve: Serve) -> None:
    """A failing run can be repeated: the same seed and order of calls meet the same fates."""
    fates = []
    for _ in range(2):
        client = await serve(faults=rule("status", status=503, probability=0.5))
        fates.append([(await client.get("/charts")).status for _ in range(30)])
    assert fates[0] == fates[1]
    assert {404, 503} <= set(fates[0])


# -- control -----------------------------------------------------------------------------------------------------


async def test_faults_are_ordered_counted_and_taken_back_over_http(serve: Serve) -> None:
    """A test of the whole stack has nothing but HTTP to order faults with."""
    client = await serve(limits=Limits(calls_per_window=5))
    ordered = json.dumps([{"effect": "status", "status": 503, "path": "/v1/markets", "times": 2}])
    assert (await client.post("/_control/faults", ordered)).body == {"rules": 1}
    assert [(await client.get("/markets")).status for _ in range(3)] == [503, 503, 200]
    report = (await client.get(f"{client.url}/_control/calls")).body
    assert report["endpoints"] == {"POST /api/token": 1, "GET /v1/markets": 3}
    assert report["statuses"] == {"200": 2, "503": 2}
    assert [(entry["met"], entry["acted"]) for entry in report["faults"]] == [(3, 2)]
    assert report["calls"][1] == {
        "endpoint": "/v1/markets",
        "method": "GET",
        "path": "/v1/markets",
        "query": {},
        "time": client.clock().isoformat(),
        "status": 503,
        "faults": ["status"],
    }
    await client.post("/_control/reset")
    assert (await client.get(f"{client.url}/_control/calls")).body["total"] == 0
    await client.sign_in()
    assert [(await client.get("/markets")).status for _ in range(6)] == [200] * 5 + [429]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ('[{"effect": "fire"}]', "effect"),
        ('[{"effect": "status"}]', "needs a status"),
        ('[{"effect": "null_fields"}]', "needs fields"),
        ('[{"effect": "odd_fields"}]', "needs fields"),
        ('[{"effect": "too_large"}]', "needs most"),
        ('[{"effect": "reset", "path": "("}]', "regular expression"),
        ('[{"effect": "reset", "when": "now"}]', "when"),
        ("no json", "JSON"),
    ],
)
async def test_wrong_orders_are_refused_and_named(serve: Serve, rules: str, named: str) -> None:
    """A misspelt rule that never acts would make a test pass for nothing."""
    got = await (await serve()).post("/_control/faults", rules)
    assert got.status == 400
    assert named in json.dumps(got.body)


# -- a real client -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def spotipy_client(url: str, **options: Any) -> Any:
    """spotipy, as anyone would build it, pointed at a simulator."""
    auth = SpotifyClientCredentials("id", "secret", cache_handler=MemoryCacheHandler())
    auth.OAUTH_TOKEN_URL = f"{url}/api/token"
    client = spotipy.Spotify(auth_manager=auth, requests_timeout=5, **options)
    client.prefix = f"{url}/v1/"
    try:
        yield client
    finally:
        client._session.close()
        auth._session.close()


async def test_spotipy_reads_a_market_as_a_development_app(serve: Serve) -> None:
    """A client that nobody here wrote gets a token, pages a search to its end and reads an album."""
    url = (await serve(mode="developer")).url

    def read() -> tuple[list[str], list[str]]:
        with spotipy_client(url) as client:
            page, found = client.search("tag:new", limit=10, type="album", market="DK")["albums"], []
            while page:
                found += [album["id"] for album in page["items"]]
                page = (client.next(page) or {}).get("albums")
            tracks, ids = client.album(long_album())["tracks"], []
            while tracks:
                ids += [track["id"] for track in tracks["items"]]
                tracks = client.next(tracks)
            return found, ids

    found, tracks = await asyncio.to_thread(read)
    assert found == catalogue().releases("DK", "search")
    assert tracks == [track.id for track in catalogue().record(long_album()).tracks]


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # spotipy knows what development apps lost
async def test_spotipy_reads_a_market_as_an_extended_app(serve: Serve) -> None:
    """The multi-reads work for a real client: new releases, albums by twenty, markets, album tracks."""
    url = (await serve()).url

    def read() -> tuple[list[str], list[str], int, list[str]]:
        with spotipy_client(url) as client:
            listed = [album["id"] for album in client.new_releases(country="DK", limit=50)["albums"]["items"]]
            albums = [album["id"] for album in client.albums(listed[:20])["albums"]]
            tracks = client.album_tracks(long_album(), limit=50, offset=50)["items"]
            return listed, albums, len(tracks), client.available_markets()["markets"]

    listed, albums, tracks, markets = await asyncio.to_thread(read)
    assert listed == catalogue().releases("DK", "browse", 50)
    assert albums == listed[:20]
    assert tracks == min(50, len(catalogue().record(long_album()).tracks) - 50)
    assert markets == list(MARKETS)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
async def test_spotipy_understands_our_refusals(serve: Serve) -> None:
    """A real client finds status, message, reason and Retry-After where it looks for them."""
    served = await serve(mode="developer", limits=Limits(daily_quota=3))

    def read() -> list[spotipy.SpotifyException]:
        raised = []
        # With a session of one's own spotipy does not retry.
        with requests.Session() as session, spotipy_client(served.url, requests_session=session) as client:
            for ask in (
                lambda: client.search("tag:new", limit=11, type="album"),
                lambda: client.album("0" * 22),
                client.available_markets,
                lambda: client.search("tag:new", limit=10, type="album"),
            ):
                with pytest.raises(spotipy.SpotifyException) as caught:
                    ask()
                raised.append(caught.value)
        return raised

    bad, unknown, forbidden, quota = await asyncio.to_thread(read)
    assert (bad.http_status, "Invalid limit" in bad.msg) == (400, True)
    assert (unknown.http_status, forbidden.http_status) == (404, 403)
    assert (quota.http_status, quota.reason, quota.headers["Retry-After"]) == (429, "QUOTA_EXCEEDED", "86400")


async def test_spotipy_waits_out_a_short_429(serve: Serve) -> None:
    """Its retries (urllib3's) read our Retry-After and succeed on the second call."""
    served = await serve(faults=rule("status", status=429, retry_after=1, path="search", times=1))

    def read() -> int:
        with spotipy_client(served.url) as client:
            return len(client.search("tag:new", limit=10, type="album")["albums"]["items"])

    assert await asyncio.to_thread(read) == 10
    assert [call.status for call in served.simulator.calls[-2:]] == [429, 200]


async def test_spotipy_is_told_of_wrong_credentials(serve: Serve) -> None:
    """The OAuth error form is what a real client parses."""
    served = await serve(client=("id", "other"))

    def read() -> SpotifyOauthError:
        with spotipy_client(served.url) as client, pytest.raises(SpotifyOauthError) as caught:
            client.search("tag:new", type="album")
        return caught.value

    refused = await asyncio.to_thread(read)
    assert (refused.error, refused.error_description) == ("invalid_client", "Invalid client secret")


# -- the process -------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The simulator as the stack starts it, and its address."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.spotify", *arguments, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    try:
        assert started.stdout is not None
        line = await asyncio.wait_for(started.stdout.readline(), 10)
        word, url = line.decode().split()
        assert word == "ready"
        yield started, url
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def test_the_process_says_when_it_serves_and_drains_on_sigterm() -> None:
    """The stack waits for `ready`; on SIGTERM the call under way is answered before the process ends."""
    stall = json.dumps([{"effect": "stall", "seconds": 0.5, "path": "search"}])
    async with process("--mode", "developer", "--week", "2026-11-23", "--faults", stall) as (started, url):
        async with ClientSession() as session:
            async with session.post(f"{url}/api/token", data=GRANT, headers=BASIC) as response:
                headers = {"Authorization": f"Bearer {(await response.json())['access_token']}"}
            query = {"q": "tag:new", "type": "album", "market": "DK"}
            asking = asyncio.create_task(session.get(f"{url}/v1/search", params=query, headers=headers))

            async def under_way() -> bool:
                """The search has arrived."""
                async with session.get(f"{url}/_control/calls") as response:
                    return "GET /v1/search" in (await response.json())["endpoints"]

            await eventually(under_way, within=5)
            started.send_signal(signal.SIGTERM)
            async with await asking as response:
                items = (await response.json())["albums"]["items"]
        assert [item["id"] for item in items] == catalogue().releases("DK", "search", 5)
        assert await asyncio.wait_for(started.wait(), 10) == 0


async def test_wrong_arguments_are_named() -> None:
    """A stack that starts with a misspelt fault must say which, not run without it."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.spotify", "--faults", '[{"effect": "fire"}]', stderr=asyncio.subprocess.PIPE
    )
    _, told = await started.communicate()
    assert started.returncode == 2
    assert b"--faults" in told
    assert b"fire" in told


async def test_covers_lie_where_albums_say(serve: Serve) -> None:
    """The addresses in the table lead to pictures also on one machine; they are no calls and want no token."""
    client = await serve()
    album = (await client.get(f"/albums/{long_album()}")).body
    calls = len(client.simulator.calls)
    async with ClientSession() as session:
        for image in album["images"]:
            async with session.get(image["url"]) as picture:
                assert (picture.status, picture.content_type) == (200, "image/svg+xml")
                assert f'width="{image["width"]}"' in await picture.text()
        async with session.get(f"{client.url}/image/{long_album()}1000") as picture:
            assert picture.status == 404
    assert len(client.simulator.calls) == calls
