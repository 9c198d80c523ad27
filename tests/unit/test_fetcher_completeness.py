"""A market is complete or it is not: answers that are there and cannot be believed, in virtual time."""

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from contracts.envelope.messages import Origin, to_message
from contracts.envelope.reading import parse_message
from contracts.events import Delivery, MarketRequested
from contracts.names import album_cache_name, part_name, throttled_name
from contracts.parts import PartMetadata
from eventing.app import settle
from services.market_fetcher.adapters.http import Request
from services.market_fetcher.decisions import Answer
from services.market_fetcher.shapes import pack
from tests import fetching
from tests.builders import NOW, RUN
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.spotify import FakeSpotify, album, answer, error
from tests.unit.test_fetcher_service import BROWSE, SEARCH, TOKEN, fetched, times
from tests.virtual_time import let_pass

ALWAYS = 100_000
LISTINGS = [(BROWSE, "extended"), (SEARCH, "developer")]


async def counts(fetcher: fetching.Fetcher, market: str = "DK") -> PartMetadata:
    """What is written beside a part."""
    return PartMetadata.of(await fetcher.metadata(market))


def on_albums(status: int, message: str = "no") -> Callable[[Request], Answer | None]:
    """A trick: every album is answered with this status."""
    return lambda request: error(status, message) if "/albums" in urlsplit(request.url).path else None


# --- listings --------------------------------------------------------------------------------------------------

NO_LISTINGS: dict[str, Any] = {
    "null": None,
    "a list": [],
    "albums null": {"albums": None},
    "albums a list": {"albums": []},
    "items missing": {"albums": {"total": 0}},
    "items null": {"albums": {"items": None, "total": 0}},
    "items an object": {"albums": {"items": {}, "total": 0}},
    "only nulls": {"albums": {"items": [None, None], "total": 2}},
    "no objects": {"albums": {"items": ["a", 7], "total": 2}},
    "no ids": {"albums": {"items": [{"name": "x"}, {"id": None}, {"id": "../x"}], "total": 3}},
    "empty of many": {"albums": {"items": [], "total": 100, "next": None}},
    "empty of nothing said": {"albums": {"items": [], "next": None}},
    "empty with more": {"albums": {"items": [], "total": 0, "next": "http://x/?offset=10"}},
    "empty of false": {"albums": {"items": [], "total": False}},
}


@pytest.mark.parametrize(("path", "app"), LISTINGS)
@pytest.mark.parametrize("name", NO_LISTINGS)
def test_what_is_no_listing_is_asked_for_again_and_never_a_part(name: str, path: str, app: Any) -> None:
    """An answer's mere presence is no listing: six attempts, then 503 that says why; once it is mended, a part."""
    spotify = FakeSpotify.of({"DK": "a b"}, app=app)
    spotify.trick = times(ALWAYS, path, answer(NO_LISTINGS[name]))

    async def body(fetcher: fetching.Fetcher) -> None:
        settled = await fetcher.fetch()
        assert settled.status == 503
        assert spotify.count(path) == 6
        assert "market DK" in settled.faults[0].problem
        assert await fetcher.store.stat(part_name(RUN, "DK")) is None
        spotify.trick = lambda _: None
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "b"]

    fetched(spotify, body)


@pytest.mark.parametrize("items", [None, {}, "odd"])
def test_a_later_page_that_is_no_list_does_not_cut_the_listing(items: Any) -> None:
    """A search is five pages: nonsense on the second must not pass for the end of the list."""
    ids = [f"a{number:02}" for number in range(25)]
    spotify = FakeSpotify({"DK": ids}, {name: album(name) for name in ids}, app="developer")

    def second_page(request: Request) -> Answer | None:
        return answer({"albums": {"items": items}}) if request.params.get("offset") == "10" else None

    spotify.trick = second_page

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503
        spotify.trick = lambda _: None
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ids

    fetched(spotify, body)


def test_usable_entries_land_among_unusable_ones() -> None:
    """What can be used is, and what cannot is counted."""
    listing = answer({"albums": {"items": [None, {"id": "a"}, {"name": "no id"}, "odd", {"id": "b"}], "total": 5}})
    spotify = FakeSpotify.of({"DK": "a b"}, trick=times(1, BROWSE, listing))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "b"]
        assert (await fetcher.metadata())["skipped-nulls"] == "3"

    fetched(spotify, body)


@pytest.mark.parametrize("total", [0, 0.0])
def test_a_market_that_says_it_is_empty_is_a_whole_part(total: float) -> None:
    """Nothing new is an answer where Spotify says so: a part without lines, marked as empty on purpose."""
    nothing = answer({"albums": {"items": [], "total": total, "next": None}})
    spotify = FakeSpotify.of({"DK": "a"}, trick=times(ALWAYS, BROWSE, nothing))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.part() == []
        told = await counts(fetcher)
        assert (told.empty, told.album_count, told.albums_listed) == (True, 0, 0)
        assert spotify.count(BROWSE) == 1

    fetched(spotify, body)


@pytest.mark.parametrize("name", ["said to be empty", "metadata unreadable", *NO_LISTINGS])
def test_nothing_never_replaces_albums(name: str) -> None:
    """A replay that lists nothing leaves the part as it is and says so; when the list is back it is obeyed."""
    spotify = FakeSpotify.of({"DK": "a b"})

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch()
        stored = await fetcher.store.read(part_name(RUN, "DK"))
        assert stored is not None
        if name == "metadata unreadable":
            await fetcher.store.write(part_name(RUN, "DK"), stored.body, {"album-count": "many"})
        before = await fetcher.store.stat(part_name(RUN, "DK"))
        spotify.trick = times(ALWAYS, BROWSE, answer(NO_LISTINGS.get(name, {"albums": {"items": [], "total": 0}})))
        settled = await fetcher.fetch(replay=True, event_id="replay")
        assert settled.status == 503
        assert await fetcher.store.stat(part_name(RUN, "DK")) == before
        spotify.trick = lambda _: None
        assert (await fetcher.fetch(replay=True, event_id="replay")).status == 204
        assert (await fetcher.metadata())["event-id"] == "replay"

    fetched(spotify, body)


def test_an_empty_part_is_replaced_by_whatever_comes() -> None:
    """What was empty on purpose may be empty again, or not."""
    spotify = FakeSpotify.of({"DK": ""})

    async def body(fetcher: fetching.Fetcher) -> None:
        for event_id in ("first", "second"):
            assert (await fetcher.fetch(replay=True, event_id=event_id)).status == 204
            assert (await fetcher.metadata())["event-id"] == event_id
        spotify.markets, spotify.albums = {"DK": ["a"]}, {"a": album("a")}
        assert (await fetcher.fetch(replay=True, event_id="third")).status == 204
        assert await fetcher.albums() == ["a"]
        assert not (await counts(fetcher)).empty

    fetched(spotify, body)


@pytest.mark.parametrize("status", [403, 404, 410])
@pytest.mark.parametrize("known", [False, True])
def test_a_browse_that_is_closed_gives_way_to_the_search(status: int, *, known: bool) -> None:
    """Forbidden, not found and gone mean one thing: there is another way, also where it had worked before."""
    spotify = FakeSpotify.of({"DK": "a b", "SE": "b"})

    async def body(fetcher: fetching.Fetcher) -> None:
        if known:
            await fetcher.fetch("SE")
        spotify.trick = times(ALWAYS, BROWSE, error(status, "Not found."))
        assert (await fetcher.fetch("DK")).status == 204
        assert (await fetcher.metadata())["source"] == "search"
        assert await fetcher.albums() == ["a", "b"]

    fetched(spotify, body)


@pytest.mark.parametrize("status", [404, 410])
def test_a_search_that_is_not_found_for_a_moment_holds_nobody_up(status: int) -> None:
    """Every app may search, so it is no missing capability: 503 for this market alone, and no rest for all."""
    spotify = FakeSpotify.of({"DK": "a", "SE": "a"}, app="developer", trick=times(1, SEARCH, error(status)))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert [(await fetcher.fetch(market)).status for market in ("DK", "SE", "DK")] == [503, 204, 204]

    fetched(spotify, body)


# --- albums that are gone, or seem so --------------------------------------------------------------------------


@pytest.mark.parametrize("app", ["extended", "developer"])
@pytest.mark.parametrize("missing", [404, 410, 400, 405])
@pytest.mark.parametrize("often", [1, 2])
def test_an_album_that_is_missing_for_a_moment_is_in_the_part(missing: int, often: int, app: Any) -> None:
    """An album that is there must not be lost for one answer, nor for two: it comes in this delivery or the next."""
    spotify = FakeSpotify.of({"DK": "a b c d"}, app=app)
    nulls = answer({"albums": [album("a") | {"tracks": {"items": album("a")["tracks"]}}, None, None, None]})
    tricks = [times(1, "/albums", nulls), times(often, "/albums/b", error(missing, "Service not found"))]
    spotify.trick = lambda request: tricks[0](request) or tricks[1](request)

    async def body(fetcher: fetching.Fetcher) -> None:
        if (await fetcher.fetch()).status != 204:
            assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "b", "c", "d"]

    fetched(spotify, body)


def test_a_page_of_tracks_that_is_missing_for_a_moment_is_not_lost() -> None:
    """The album and its second page are one thing; a 404 on either is looked at again."""
    spotify = FakeSpotify.of({"DK": "a b"}, albums={"b": album("b", 120)})
    spotify.trick = times(2, "/albums/b/tracks", error(404, "Not found."))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert [len(line["album"]["tracks"]["items"]) for line in await fetcher.part()] == [3, 120]

    fetched(spotify, body)


def test_a_page_of_tracks_that_stays_away_costs_its_tracks_and_no_more() -> None:
    """The album is there, so it lands with what there is, and what it lacks is counted."""
    spotify = FakeSpotify.of({"DK": "a b"}, albums={"b": album("b", 120)})
    spotify.trick = times(ALWAYS, "/albums/b/tracks", error(404, "Not found."))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert [len(line["album"]["tracks"]["items"]) for line in await fetcher.part()] == [3, 50]
        told = await counts(fetcher)
        assert (told.albums_gone, told.albums_short, told.tracks_short) == (0, 1, 70)

    fetched(spotify, body)


def test_an_album_is_gone_only_minutes_after_it_was_missed_first() -> None:
    """Two looks a second apart see one outage; the last is two minutes later, in the same delivery."""
    spotify = FakeSpotify({"DK": ["a", "x"]}, {"a": album("a")}, app="developer")

    async def body(fetcher: fetching.Fetcher) -> None:
        before = asyncio.get_running_loop().time()
        assert (await fetcher.fetch()).status == 204
        assert asyncio.get_running_loop().time() - before > 120
        told = await counts(fetcher)
        assert (told.albums_listed, told.album_count, told.albums_gone) == (2, 1, 1)

    fetched(spotify, body)


def test_an_album_that_comes_back_between_the_looks_is_for_all_markets() -> None:
    """What one market has missed once is not known to be gone: the other looks for itself."""
    spotify = FakeSpotify.of({"DK": "a b c d", "SE": "d"}, app="developer")
    spotify.trick = times(2, "/albums/d", error(404))

    async def body(fetcher: fetching.Fetcher) -> None:
        delivery = asyncio.create_task(fetcher.fetch("DK"))
        await let_pass(30)
        assert (await fetcher.fetch("SE")).status == 204
        assert await fetcher.albums("SE") == ["d"]
        assert (await delivery).status == 204
        assert await fetcher.albums("DK") == ["a", "b", "c", "d"]

    fetched(spotify, body)


@pytest.mark.parametrize("status", [404, 410, 400])
@pytest.mark.parametrize("albums", ["a", "a b c", "a b c d e f g h i j k l"])
def test_all_albums_missing_at_once_is_an_outage(status: int, albums: str) -> None:
    """A part without any album must never stand for a market that lists some."""
    spotify = FakeSpotify.of({"DK": albums}, app="developer")
    spotify.trick = on_albums(status)

    async def body(fetcher: fetching.Fetcher) -> None:
        settled = await fetcher.fetch()
        assert settled.status == 503
        assert "outage" in settled.faults[0].problem
        assert await fetcher.store.stat(part_name(RUN, "DK")) is None
        spotify.trick = lambda _: None
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == albums.split()

    fetched(spotify, body)


def test_a_fifth_of_a_list_missing_is_an_outage_and_costs_few_calls_while_it_lasts() -> None:
    """So many are not taken down at once; an outage that goes on stops all calls for ten minutes at a time."""
    ids = [f"a{number:02}" for number in range(50)]
    spotify = FakeSpotify({"DK": ids}, {name: album(name) for name in ids[10:]}, app="developer")

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503
        await let_pass(120)
        spotify.trick = on_albums(404)
        spotify.albums = {}
        assert (await fetcher.fetch()).status == 503
        await let_pass(90)
        assert (await fetcher.fetch()).status == 503
        made = len(spotify.requests)
        assert (await fetcher.fetch()).status == 503
        assert len(spotify.requests) == made
        assert await fetcher.store.stat(throttled_name(RUN, "DK")) is not None
        await let_pass(600)
        spotify.trick = lambda _: None
        spotify.albums = {name: album(name) for name in ids}
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ids

    fetched(spotify, body)


def test_an_album_that_is_refused_is_never_left_out() -> None:
    """A 400 says nothing of the album; the market is given back with the album and the reason, however long."""
    spotify = FakeSpotify.of({"DK": "a b c d"}, app="developer")
    spotify.trick = times(ALWAYS, "/albums/b", error(400, "Bad request"))

    async def body(fetcher: fetching.Fetcher) -> None:
        for _ in range(4):
            settled = await fetcher.fetch()
            assert settled.status == 503
            assert "album b" in settled.faults[0].problem
            assert "Bad request" in settled.faults[0].problem
            await let_pass(600)
        assert spotify.count("/albums/a") == 1
        spotify.trick = lambda _: None
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "b", "c", "d"]

    fetched(spotify, body)


@pytest.mark.parametrize(
    "what",
    [
        answer([]),
        answer({"name": "no id"}),
        answer({"id": None}),
        answer({"id": 7}),
        error(400, "Invalid base62 id"),
        Answer(200, b'{"id": "b", "name": "\xe9"}'),
        Answer(200, b'{"id": "b", "name": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
    ],
    ids=["a list", "no id", "null", "a number", "refused id", "latin-1", "too deep"],
)
def test_what_can_be_no_album_is_put_aside_and_counted(what: Answer) -> None:
    """One answer that is nonsense for good must not cost the market; minutes later it is still nonsense."""
    spotify = FakeSpotify.of({"DK": "a b"}, app="developer")
    spotify.trick = times(ALWAYS, "/albums/b", what)

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a"]
        told = await counts(fetcher)
        assert (told.albums_listed, told.albums_unusable, told.albums_gone) == (2, 1, 0)
        assert (await fetcher.metadata())["skipped-albums"] == "1"

    fetched(spotify, body)


@pytest.mark.parametrize("albums", [None, {}, "odd", [], [{}, 7, {"id": None}]])
def test_a_batch_that_is_no_list_is_read_singly(albums: Any) -> None:
    """Twenty albums in one call only spare calls: without a usable answer each is asked for alone."""
    spotify = FakeSpotify.of({"DK": "a b c"}, trick=times(ALWAYS, "/albums", answer({"albums": albums})))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "b", "c"]

    fetched(spotify, body)


def test_one_album_that_spoils_a_batch_costs_itself_alone() -> None:
    """Where one album makes an answer for twenty unreadable, the others are asked for alone."""
    spoilt = Answer(200, b'{"id": "b", "name": "\xe9"}')
    batch = times(ALWAYS, "/albums", Answer(200, b'{"albums": [' + spoilt.body + b"]}"))
    single = times(ALWAYS, "/albums/b", spoilt)
    spotify = FakeSpotify.of({"DK": "a b c"}, trick=lambda request: batch(request) or single(request))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "c"]
        assert (await counts(fetcher)).albums_unusable == 1

    fetched(spotify, body)


@pytest.mark.parametrize("path", ["/albums/b", "/albums/b/tracks"])
def test_albums_that_are_forbidden_rest_for_all_and_say_so(path: str) -> None:
    """403 is the app's, not the album's: no call for ten minutes, and every market shows why it waits."""
    spotify = FakeSpotify.of({"DK": "a b", "SE": "a"}, app="developer", albums={"b": album("b", 60)})
    spotify.trick = times(1, path, Answer(403, b"Active premium subscription required for the owner of the app."))

    async def body(fetcher: fetching.Fetcher) -> None:
        settled = await fetcher.fetch()
        assert settled.status == 503
        assert abs((await fetcher.throttled()).until - NOW - timedelta(hours=1)) < timedelta(seconds=5)
        made = len(spotify.requests)
        assert [(await fetcher.fetch(market)).status for market in ("DK", "SE")] == [503, 503]
        assert len(spotify.requests) == made
        assert "Premium" in (await fetcher.throttled("SE")).reason
        await let_pass(3601)
        assert (await fetcher.fetch()).status == 204

    fetched(spotify, body)


def test_two_ids_of_one_album_land_it_once() -> None:
    """Spotify answers for an album it has put together with another; the id that is listed first counts."""
    spotify = FakeSpotify.of({"DK": "old new c", "SE": "new"}, app="developer")
    spotify.albums = {**spotify.albums, "old": spotify.albums["new"]}

    async def body(fetcher: fetching.Fetcher) -> None:
        assert {(await fetcher.fetch(market)).status for market in ("DK", "SE")} == {204}
        assert (await fetcher.albums("DK"), await fetcher.albums("SE")) == (["old", "c"], ["new"])
        told = await counts(fetcher)
        assert (told.albums_listed, told.album_count, told.albums_gone) == (2, 2, 0)

    fetched(spotify, body)


def test_a_batch_tells_relinked_albums_by_their_place() -> None:
    """The answer's order is that of the ids, so no album is asked for twice."""
    spotify = FakeSpotify.of({"DK": "old b"})
    spotify.albums = {**spotify.albums, "old": album("new")}

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["old", "b"]
        assert spotify.count("/albums/old") == 0

    fetched(spotify, body)


# --- tracks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "pages"), [(20, 4), (10, 7), (5, 14)])
def test_a_page_refused_for_its_limit_is_asked_for_smaller(most: int, pages: int) -> None:
    """A limit that is no longer allowed must not cost an album its tracks; it is learnt once for the process."""
    known = {name: album(name, 120) for name in ("a", "b")}
    spotify = FakeSpotify({"DK": ["a"], "SE": ["b"]}, known, app="developer")

    def too_large(request: Request) -> Answer | None:
        large = request.url.endswith("/tracks") and int(request.params["limit"]) > most
        return error(400, "Invalid limit") if large else None

    spotify.trick = too_large

    async def body(fetcher: fetching.Fetcher) -> None:
        for market in ("DK", "SE"):
            assert (await fetcher.fetch(market)).status == 204
            (line,) = await fetcher.part(market)
            assert line["album"]["tracks"]["items"] == spotify.albums[line["album"]["id"]]["tracks"]
        assert spotify.count("/albums/b/tracks") == pages

    fetched(spotify, body)


@pytest.mark.parametrize("message", ["Invalid limit", "Bad request", ""])
def test_a_page_of_tracks_refused_at_any_size_gives_the_market_back(message: str) -> None:
    """Where no size is allowed the album is not gone: 503, and never the fifty tracks that came along."""
    spotify = FakeSpotify.of({"DK": "a b"}, albums={"b": album("b", 60)})
    spotify.trick = times(ALWAYS, "/albums/b/tracks", error(400, message))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503
        assert await fetcher.store.stat(part_name(RUN, "DK")) is None

    fetched(spotify, body)


def short(album_id: str, tracks: int, said: int) -> Answer:
    """An album that says it has more tracks than it brings, and has no next page."""
    listed = {"items": album(album_id, tracks)["tracks"], "next": None, "total": said, "limit": 50, "offset": 0}
    return answer(album(album_id, tracks) | {"total_tracks": said, "tracks": listed})


def test_a_short_album_is_read_once_more_and_may_be_whole() -> None:
    """A list that ends too early may have been cut by chance."""
    spotify = FakeSpotify.of({"DK": "a b"}, app="developer", albums={"b": album("b", 9)})
    spotify.trick = times(1, "/albums/b", short("b", 2, 9))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert [len(line["album"]["tracks"]["items"]) for line in await fetcher.part()] == [3, 9]
        assert spotify.count("/albums/b/tracks") == 1
        assert (await counts(fetcher)).albums_short == 0

    fetched(spotify, body)


@pytest.mark.parametrize("tracks", [200, 404])
def test_an_album_that_stays_short_lands_and_is_counted(tracks: int) -> None:
    """What Spotify does not give cannot land; that it said so must be seen, in this run and from the cache."""
    spotify = FakeSpotify.of({"DK": "a b", "SE": "b"}, app="developer", albums={"b": album("b", 2)})
    again = times(ALWAYS, "/albums/b/tracks", error(404)) if tracks == 404 else lambda _: None
    trick = times(ALWAYS, "/albums/b", short("b", 2, 9))
    spotify.trick = lambda request: trick(request) or again(request)

    async def body(fetcher: fetching.Fetcher) -> None:
        for market in ("DK", "SE"):
            assert (await fetcher.fetch(market)).status == 204
            told = await counts(fetcher, market)
            assert (told.albums_short, told.tracks_short) == (1, 7)
        assert spotify.count("/albums/b/tracks") == 1

    fetched(spotify, body)


@pytest.mark.parametrize(("status", "rests"), [(403, True), (400, False)])
def test_a_short_album_that_may_not_be_read_once_more_does_not_land(status: int, *, rests: bool) -> None:
    """A refusal of the second reading says nothing of the tracks: the market is given back, for 403 with all."""
    spotify = FakeSpotify.of({"DK": "a b"}, app="developer", albums={"b": album("b", 9)})
    tricks = [times(1, "/albums/b", short("b", 2, 9)), times(2, "/albums/b/tracks", error(status))]
    spotify.trick = lambda request: tricks[0](request) or tricks[1](request)

    async def body(fetcher: fetching.Fetcher) -> None:
        if (await fetcher.fetch()).status != 204:
            assert (await fetcher.store.stat(throttled_name(RUN, "DK")) is not None) is rests
            await let_pass(3601)
            assert (await fetcher.fetch()).status == 204
        assert [len(line["album"]["tracks"]["items"]) for line in await fetcher.part()] == [3, 9]

    fetched(spotify, body)


def test_an_album_that_was_short_is_read_anew_a_week_later() -> None:
    """What Spotify lacked last week it may have now; the cache must not keep an album short for ever."""
    store = MemoryObjectStore()
    spotify = FakeSpotify.of({"DK": "b"}, app="developer", albums={"b": album("b", 9)})
    tricks = [times(1, "/albums/b", short("b", 2, 9)), times(1, "/albums/b/tracks", error(404))]
    spotify.trick = lambda request: tricks[0](request) or tricks[1](request)

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert (await counts(fetcher)).tracks_short == 7
        await let_pass(7 * 86_400)
        assert (await fetcher.fetch(run_id="2026-11-30")).status == 204
        (line,) = await fetcher.part(run_id="2026-11-30")
        assert len(line["album"]["tracks"]["items"]) == 9

    fetched(spotify, body, store)


def test_more_tracks_than_said_are_no_fault() -> None:
    """A total that is too small costs no call and no track."""
    spotify = FakeSpotify.of({"DK": "a"}, app="developer", trick=times(ALWAYS, "/albums/a", short("a", 5, 2)))

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch()
        assert (await counts(fetcher)).track_count == 5
        assert spotify.count("/albums/a/tracks") == 0

    fetched(spotify, body)


def listing_of(album_id: str, tracks: object) -> Answer:
    """A listing of one album that names its number of tracks."""
    return answer({"albums": {"items": [{"id": album_id, "total_tracks": tracks}], "total": 1, "next": None}})


@pytest.mark.parametrize("same_process", [False, True])
@pytest.mark.parametrize("told", [12, 12.0])
def test_a_cached_album_with_another_number_of_tracks_is_read_anew(told: float, *, same_process: bool) -> None:
    """An album that has grown since last week must not land as it was; it is read once, not for every market."""
    store = MemoryObjectStore()
    spotify = FakeSpotify.of({"DK": "a", "SE": "a"}, app="developer", albums={"a": album("a", 2)})

    async def first(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        if same_process:
            await second(fetcher)

    async def second(fetcher: fetching.Fetcher) -> None:
        spotify.albums = {"a": album("a", 12)}
        spotify.trick = times(ALWAYS, SEARCH, listing_of("a", told))
        for market in ("DK", "SE"):
            assert (await fetcher.fetch(market, run_id="2026-11-30")).status == 204
            (line,) = await fetcher.part(market, "2026-11-30")
            assert len(line["album"]["tracks"]["items"]) == 12
        assert spotify.count("/albums/a") == 2

    fetched(spotify, first, store)
    if not same_process:
        fetched(spotify, second, store)


@pytest.mark.parametrize("told", [12, 1, "many", None, True])
def test_a_listing_that_contradicts_the_album_costs_one_call_an_hour(told: object) -> None:
    """Where listing and album do not agree for good, the album is believed for a while: 48 markets are one call."""
    spotify = FakeSpotify.of({"DK": "a", "SE": "a", "NO": "a"}, app="developer")
    spotify.trick = times(ALWAYS, SEARCH, listing_of("a", told))

    async def body(fetcher: fetching.Fetcher) -> None:
        for market in ("DK", "SE", "NO"):
            assert (await fetcher.fetch(market)).status == 204
        assert spotify.count("/albums/a") == 1

    fetched(spotify, body)


# --- values ----------------------------------------------------------------------------------------------------


def raw(text: str) -> Answer:
    """An answer whose body is spelt out."""
    return Answer(200, text.encode())


def test_odd_values_are_converted_or_null_and_counted_in_the_part() -> None:
    """The job reads a strict form; one odd field costs itself, not the album."""
    text = json.dumps(album("a", 1) | {"tracks": {"items": [{"id": "t"}], "total": 1}, "name": 7})
    odd = '{"id": "t", "name": true, "duration_ms": 204053.0, "disc_number": NaN, "track_number": 1e999}'
    spotify = FakeSpotify.of({"DK": "a"}, app="developer")
    spotify.trick = times(1, "/albums/a", raw(text.replace('{"id": "t"}', odd)))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        (line,) = await fetcher.part()
        assert line["album"]["name"] is None
        assert line["album"]["tracks"]["items"] == [
            {"id": "t", "name": None, "duration_ms": 204053, "disc_number": None, "track_number": None}
        ]
        assert (await counts(fetcher)).odd_values == 4

    fetched(spotify, body)


def test_the_cover_stands_in_the_line_and_one_elsewhere_is_counted() -> None:
    """What is worked out of an album lands beside it, and the album as it came."""
    here, elsewhere = ([{"url": f"https://{host}/image/1", "width": 300}] for host in ("i.scdn.co", "example.org"))
    albums = {"a": album("a", 1, images=here), "b": album("b", 1, images=elsewhere)}
    spotify = FakeSpotify.of({"DK": "a b"}, app="developer", albums=albums)

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        lines = await fetcher.part()
        assert [line["derived"] for line in lines] == [{"image_url": "https://i.scdn.co/image/1"}, {}]
        assert [line["album"]["images"] for line in lines] == [here, elsewhere]
        assert (await counts(fetcher)).odd_values == 1

    fetched(spotify, body)


# --- quota -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "soon", "0"])
def test_a_used_up_quota_without_a_time_rests_for_an_hour(header: str | None) -> None:
    """Sixteen callers knocking for hours lengthen the wait: one hour for all, on record for each market."""
    ids = [f"a{number:02}" for number in range(40)]
    spotify = FakeSpotify(dict.fromkeys(("DK", "SE"), ids), {name: album(name) for name in ids})
    quota = error(429, "Too many requests", header, reason="QUOTA_EXCEEDED")
    spotify.app = "developer"
    spotify.trick = lambda request: quota if "/albums/" in request.url else None

    async def body(fetcher: fetching.Fetcher) -> None:
        ended = await asyncio.gather(*(fetcher.fetch(market) for market in ("DK", "SE")))
        assert {settled.status for settled in ended} == {503}
        assert sum(path.startswith("/albums/") for path in spotify.paths()) <= 16
        for market in ("DK", "SE"):
            until = (await fetcher.throttled(market)).until
            assert timedelta(minutes=59) < until - NOW < timedelta(minutes=61)
        spotify.trick = lambda _: None
        made = len(spotify.requests)
        assert (await fetcher.fetch("DK")).status == 503
        assert len(spotify.requests) == made
        await let_pass(3700)
        assert (await fetcher.fetch("DK")).status == 204

    fetched(spotify, body)


# --- whose request ---------------------------------------------------------------------------------------------


def test_a_run_without_a_manifest_waits_for_it_without_a_call() -> None:
    """The manifest is written before the first request, so it may only be late; a forged run is given up at last."""
    spotify = FakeSpotify.of({"DK": "a"})

    async def body(fetcher: fetching.Fetcher) -> None:
        settled = await settle(fetcher.service, fetching.request())
        assert settled.status == 503
        assert "manifest" in settled.faults[0].problem
        assert spotify.requests == []
        assert (await fetcher.fetch()).status == 204

    fetched(spotify, body)


def test_a_market_that_is_not_of_the_run_is_refused_without_a_call() -> None:
    """A mistyped or forged market must cost no quota, and the reason names the markets there are."""
    spotify = FakeSpotify.of({"DK": "a", "XX": "a"})

    async def body(fetcher: fetching.Fetcher) -> None:
        settled = await fetcher.fetch("XX")
        assert settled.status == 400
        assert "XX" in settled.faults[0].problem
        assert "DK" in settled.faults[0].problem
        assert spotify.requests == []
        assert spotify.count(TOKEN) == 0

    fetched(spotify, body)


# --- clocks ----------------------------------------------------------------------------------------------------


def replay(*, said_at: float, published_at: float, fresh: bool = False) -> Delivery:
    """A replay as it comes from Pub/Sub, seconds after NOW by its maker's clock and by Pub/Sub's."""
    event = MarketRequested(run_id=RUN, market="DK", replay=True, fresh=fresh, reason="wrong list")
    made_at = NOW + timedelta(seconds=said_at)
    message = to_message(event, Origin("operator", f"replay {published_at}", made_at))
    delivery = parse_message(message, message_id="1", subscription="market-fetcher-market-requested")
    assert delivery.event_time == made_at
    return delivery.model_copy(update={"publish_time": NOW + timedelta(seconds=published_at)})


@pytest.mark.parametrize("behind", [-32_400, 0, 600, 32_400])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_replay_is_obeyed_whatever_clock_its_maker_has(behind: float, *, fresh: bool) -> None:
    """An operator's machine may be hours off; what counts is when Pub/Sub took the request. Once is enough."""
    spotify = FakeSpotify.of({"DK": "a b"})

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch(fresh=fresh, replay=fresh)).status == 204
        await let_pass(300)
        spotify.markets = {"DK": ["b"]}
        asked = replay(said_at=300 - behind, published_at=300, fresh=fresh)
        for _ in range(2):
            assert (await fetcher.deliver(asked)).status == 204
        assert await fetcher.albums() == ["b"]
        assert spotify.count(BROWSE) == 2

    fetched(spotify, body)


@pytest.mark.parametrize("behind", [5, 600, 3600])
def test_a_fresh_reading_ends_although_the_fetchers_own_clock_is_behind(behind: float) -> None:
    """By that clock nothing was read since the request: each album was read again and again, as fast as is allowed."""
    spotify = FakeSpotify.of({"DK": "a b"}, app="developer")

    async def body(fetcher: fetching.Fetcher) -> None:
        asked = replay(said_at=behind, published_at=behind, fresh=True)
        for _ in range(2):
            assert (await fetcher.deliver(asked)).status == 204
        assert [spotify.count(f"/albums/{name}") for name in "ab"] == [1, 1]

    fetched(spotify, body)


def test_a_fresh_reading_passes_by_what_a_clock_that_was_ahead_has_cached() -> None:
    """It would stand for fresh until the clock has caught up."""
    spotify = FakeSpotify.of({"DK": "a"}, app="developer")
    store = MemoryObjectStore()

    async def body(fetcher: fetching.Fetcher) -> None:
        stale = album("a", name="as it was") | {"tracks": {"items": album("a")["tracks"]}}
        kept = pack("a", stale, nulls=0, fetched_at=NOW + timedelta(days=400))
        await store.write(album_cache_name("a"), kept.body)
        assert (await fetcher.deliver(replay(said_at=0, published_at=0, fresh=True))).status == 204
        assert (await fetcher.part())[0]["album"]["name"] == "Album a"

    fetched(spotify, body, store)


def test_an_old_log_of_replays_changes_nothing_whatever_its_events_say() -> None:
    """A seek delivers old messages with their old publish time: newer parts stand, though a clock ran ahead."""
    spotify = FakeSpotify.of({"DK": "a b"})

    async def body(fetcher: fetching.Fetcher) -> None:
        await let_pass(100)
        log = [replay(said_at=10 + ahead, published_at=10 + ahead / 1000) for ahead in (0, 9000)]
        newest = replay(said_at=50, published_at=100)
        assert (await fetcher.deliver(newest)).status == 204
        made = len(spotify.requests)
        for old in (*log, newest):
            assert (await fetcher.deliver(old)).status == 204
        assert len(spotify.requests) == made

    fetched(spotify, body)


def test_an_album_of_an_earlier_release_is_taken_from_the_cache_in_the_strict_form() -> None:
    """What was cached as it came is brought to its types, so that a new release costs no calls."""
    spotify = FakeSpotify.of({"DK": "a"}, app="developer", albums={"a": album("a", 1)})
    store = MemoryObjectStore()

    async def body(fetcher: fetching.Fetcher) -> None:
        whole = album("a", 1) | {"tracks": {"items": [{"id": "t", "duration_ms": 3.0}], "total": 1, "next": None}}
        kept = {"fetched_at": NOW.isoformat(), "skipped_nulls": 0, "album": whole}
        await store.write(album_cache_name("a"), gzip.compress(json.dumps(kept).encode()))
        assert (await fetcher.fetch()).status == 204
        assert spotify.count("/albums/a") == 0
        assert (await fetcher.part())[0]["album"]["tracks"]["items"] == [{"id": "t", "duration_ms": 3}]

    fetched(spotify, body, store)
