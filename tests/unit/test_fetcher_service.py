"""The market fetcher as wired, in virtual time, over a fake Spotify and a bucket in memory."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from contracts.names import MARKETS, album_cache_name, part_name, throttled_name
from eventing.errors import Retryable
from eventing.objects import StoredObject
from services.market_fetcher.adapters.http import Request, Unreachable
from services.market_fetcher.albums import album_memory
from services.market_fetcher.decisions import Answer
from services.market_fetcher.shapes import pack, unpack
from tests import fetching
from tests.builders import NOW, RUN
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.spotify import FakeSpotify, album, answer, error
from tests.virtual_time import VirtualTime, let_pass, run

BROWSE, SEARCH, TOKEN = "/browse/new-releases", "/search", "/api/token"
Body = Callable[[fetching.Fetcher], Coroutine[Any, Any, None]]


def fetched(spotify: FakeSpotify, body: Body, store: MemoryObjectStore | None = None, **environment: str) -> None:
    """Run a test's body with the service open, in virtual time."""

    async def main() -> None:
        async with fetching.fetching(spotify, store, **environment) as fetcher:
            await body(fetcher)

    run(main)


def times(
    number: int, path: str, what: Answer | Unreachable, market: str | None = None
) -> Callable[[Request], Any]:
    """A trick: the first `number` requests to a path (of a market) get this instead."""
    left = [number]

    def trick(request: Request) -> Answer | Unreachable | None:
        right = urlsplit(request.url).path.removeprefix("/v1") == path
        if not right or left[0] == 0 or (market is not None and request.params.get("market") != market):
            return None
        left[0] -= 1
        return what

    return trick


def loop_time() -> float:
    return asyncio.get_running_loop().time()


# --- idempotence -----------------------------------------------------------------------------------------------


def test_a_part_that_stands_costs_no_call() -> None:
    """A redelivery after the write is acknowledged without asking Spotify anything."""
    spotify = FakeSpotify.of({"DK": "a b"})

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        made = len(spotify.requests)
        assert (await fetcher.fetch(event_id="another")).status == 204
        assert len(spotify.requests) == made
        assert await fetcher.albums() == ["a", "b"]

    fetched(spotify, body)


def test_deliveries_of_one_market_at_once_share_one_fetch() -> None:
    """Pub/Sub may deliver a message twice at the same time; the second finds the part of the first."""
    spotify = FakeSpotify.of({"DK": "a b"})

    async def body(fetcher: fetching.Fetcher) -> None:
        ended = await asyncio.gather(*(fetcher.fetch(event_id=f"e{number}") for number in range(3)))
        assert [settled.status for settled in ended] == [204] * 3
        assert spotify.count(BROWSE) == 1

    fetched(spotify, body)


def test_a_replay_replaces_the_part_once_for_each_event() -> None:
    """A replay makes a new generation, its redelivery none; the event is written beside the part."""
    spotify = FakeSpotify.of({"DK": "a b"})

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch()
        spotify.markets = {"DK": ["b"]}
        for _ in range(2):
            assert (await fetcher.fetch(event_id="replay", replay=True)).status == 204
        assert await fetcher.albums() == ["b"]
        assert (await fetcher.metadata())["event-id"] == "replay"
        assert spotify.count(BROWSE) == 2

    fetched(spotify, body)


def test_a_part_another_wrote_meanwhile_stands() -> None:
    """Two instances may fetch one market; the create that comes second loses and is acknowledged."""
    spotify = FakeSpotify.of({"DK": "a b"})
    store = MemoryObjectStore()

    async def body(fetcher: fetching.Fetcher) -> None:
        async def other() -> None:
            await let_pass(0.12)
            await store.create(part_name(RUN, "DK"), b"theirs")

        settled, _ = await asyncio.gather(fetcher.fetch(), other())
        assert settled.status == 204
        stored = await store.read(part_name(RUN, "DK"))
        assert stored is not None
        assert stored.body == b"theirs"

    fetched(spotify, body, store)


def test_the_line_of_a_part_is_spotifys_album_and_six_facts() -> None:
    """All but the album are ours; it is as given, with every track, and the last key."""
    spotify = FakeSpotify.of({"DK": "a"}, albums={"a": album("a", 2, odd=None)})

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch()
        (line,) = await fetcher.part()
        assert {name: line[name] for name in line if name != "album"} == {
            "market": "DK",
            "run_id": RUN,
            "source": "browse",
            "fetched_at": "2026-11-22T23:05:00Z",
            "number": 1,
            "derived": {},
        }
        assert list(line)[-1] == "album"
        assert line["album"]["odd"] is None
        assert line["album"]["tracks"]["items"] == album("a", 2)["tracks"]

    fetched(spotify, body)


# --- two kinds of app ------------------------------------------------------------------------------------------

ALBUMS = [f"a{number:03}" for number in range(130)]
WEEK = len(MARKETS)
SHARED = {market: [ALBUMS[(2 * place + of) % 130] for of in range(50)] for place, market in enumerate(MARKETS)}


def world(app: str) -> FakeSpotify:
    """All markets, with lists that overlap; two albums are longer than a page, one of them by two pages."""
    known = {album_id: album(album_id, 4) for album_id in ALBUMS}
    known |= {"a000": album("a000", 120), "a049": album("a049", 51)}
    return FakeSpotify(SHARED, known, app="extended" if app == "extended" else "developer")


@pytest.mark.parametrize(("app", "bound"), [("extended", WEEK + 7 + 3 + 1), ("developer", WEEK * 5 + 130 + 3 + 2)])
def test_a_whole_run_stays_within_its_bound_of_calls(app: str, bound: int) -> None:
    """Each album is read once for all markets, twenty at a time where the app may; every track is there."""
    spotify = world(app)

    async def body(fetcher: fetching.Fetcher) -> None:
        ended = await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        assert {settled.status for settled in ended} == {204}
        assert len(spotify.requests) <= bound
        for market in MARKETS:
            found = {line["album"]["id"]: line["album"]["tracks"]["items"] for line in await fetcher.part(market)}
            assert list(found) == SHARED[market]
            assert all(found[album_id] == spotify.albums[album_id]["tracks"] for album_id in found)
        metadata = [await fetcher.metadata(market) for market in MARKETS]
        assert {beside["app"] for beside in metadata} == {app}
        assert sum(int(beside["calls"]) for beside in metadata) == len(spotify.requests)

    fetched(spotify, body, SPOTIFY_RATE="1000")


@pytest.mark.parametrize(("app", "calls"), [("extended", WEEK + 1), ("developer", WEEK * 5 + 2)])
def test_the_next_week_reads_known_albums_from_the_bucket(app: str, calls: int) -> None:
    """A new process on the same bucket asks Spotify for the listings alone."""
    store = MemoryObjectStore()

    async def first(fetcher: fetching.Fetcher) -> None:
        await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))

    fetched(world(app), first, store, SPOTIFY_RATE="1000")
    spotify = world(app)

    async def second(fetcher: fetching.Fetcher) -> None:
        await asyncio.gather(*(fetcher.fetch(market, run_id="2026-11-30") for market in MARKETS))
        assert await fetcher.albums("DK", "2026-11-30") == SHARED["DK"]
        assert len(spotify.requests) == calls

    fetched(spotify, second, store, SPOTIFY_RATE="1000")


def test_a_batch_waits_for_the_markets_on_their_way() -> None:
    """A market that is still being listed may fill the batch; one that hangs holds it up for 30 s at most."""
    spotify = FakeSpotify.of({"DK": "a", "SE": "b c", "NO": "d", "FI": "e", "IS": "f"}, slow={"SE": 5, "FI": 100})

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch("NO")
        made = spotify.count("/albums")
        await asyncio.gather(fetcher.fetch("DK"), fetcher.fetch("SE"))
        assert spotify.count("/albums") == made + 1
        hanging = asyncio.create_task(fetcher.fetch("FI"))
        await asyncio.sleep(0)
        before = loop_time()
        await fetcher.fetch("IS")
        assert 20 < loop_time() - before < 40
        assert (await hanging).status == 204

    fetched(spotify, body)


def test_browse_is_probed_once(caplog: pytest.LogCaptureFixture) -> None:
    """A 403 is a missing capability: learnt once for the process, logged once, never retried."""
    spotify = FakeSpotify.of(dict.fromkeys(MARKETS, "a b"), app="developer")

    async def body(fetcher: fetching.Fetcher) -> None:
        await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        assert spotify.count(BROWSE) == 1
        assert spotify.count("/albums") == 0
        assert (await fetcher.part())[0]["source"] == "search"
        assert fetcher.service.status()["app"] == "developer"

    caplog.set_level("INFO")
    fetched(spotify, body)
    assert [record.getMessage() for record in caplog.records].count("source_learnt") == 1


def test_a_forced_search_learns_about_batches_by_itself() -> None:
    """SPOTIFY_SOURCE=search on a developer app asks for a batch once, and then singly."""
    spotify = FakeSpotify.of({"DK": "a b c", "SE": "c d"}, app="developer")

    async def body(fetcher: fetching.Fetcher) -> None:
        assert {(await fetcher.fetch(market)).status for market in ("DK", "SE")} == {204}
        assert (spotify.count(BROWSE), spotify.count("/albums")) == (0, 1)
        assert await fetcher.albums("SE") == ["c", "d"]

    fetched(spotify, body, SPOTIFY_SOURCE="search")


def test_an_app_that_may_nothing_rests_and_says_why() -> None:
    """403 on the last way stops all calls for an hour, gives back every market and names the remedy."""
    spotify = FakeSpotify.of(
        {"DK": "a", "SE": "a"}, trick=lambda request: None if TOKEN in request.url else error(403)
    )

    async def body(fetcher: fetching.Fetcher) -> None:
        settled = await fetcher.fetch("DK")
        assert settled.status == 503
        assert abs((await fetcher.throttled()).until - NOW - timedelta(hours=1)) < timedelta(seconds=5)
        assert "SPOTIFY_SOURCE" in settled.faults[0].problem
        made = len(spotify.requests)
        assert (await fetcher.fetch("SE")).status == 503
        assert len(spotify.requests) == made
        spotify.trick = lambda _: None
        await let_pass(3601)
        assert (await fetcher.fetch("SE")).status == 204
        assert (await fetcher.part("SE"))[0]["source"] == "browse"

    fetched(spotify, body)


def test_a_market_spotify_does_not_know_is_permanent() -> None:
    """No retry helps a market that Spotify refuses; the message goes to the dead letters with its reason."""

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.expect(fetching.all_markets(RUN, "XX"))
        settled = await fetcher.fetch("XX")
        assert settled.status == 400
        assert "Invalid market code" in settled.faults[0].problem

    fetched(FakeSpotify.of({"DK": "a"}), body)


# --- albums ----------------------------------------------------------------------------------------------------


def test_a_null_in_a_batch_is_asked_for_alone() -> None:
    """A null may be a passing fault, so it counts only when the album itself is gone, and still is minutes later."""
    spotify = FakeSpotify.of({"DK": "a b c"})
    known = dict(spotify.albums)
    del known["b"]
    spotify.albums = known
    nulled = times(1, "/albums", answer({"albums": [known["a"] | {"tracks": {"items": []}}, None, None]}))
    spotify.trick = nulled

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "c"]
        assert (await fetcher.metadata())["skipped-albums"] == "1"
        assert (spotify.count("/albums/b"), spotify.count("/albums/c")) == (3, 1)

    fetched(spotify, body)


def test_an_album_that_is_surely_gone_is_not_asked_for_by_other_markets() -> None:
    """After three looks the other markets believe it for an hour; a part without it is whole, and says so."""
    spotify = FakeSpotify({"DK": ["a", "x"], "SE": ["x", "a"]}, {"a": album("a")}, app="developer")

    async def body(fetcher: fetching.Fetcher) -> None:
        assert [(await fetcher.fetch(market)).status for market in ("DK", "SE")] == [204, 204]
        assert spotify.count("/albums/x") == 3
        await let_pass(2 * 3600)
        spotify.albums = {**spotify.albums, "x": album("x")}
        await fetcher.fetch("SE", replay=True, event_id="replay")
        assert await fetcher.albums("SE") == ["x", "a"]

    fetched(spotify, body)


def test_a_batch_with_a_bad_id_is_read_singly() -> None:
    """One id that Spotify finds invalid must not cost the nineteen others."""
    spotify = FakeSpotify.of({"DK": "a b"}, trick=times(1, "/albums", error(400, "Invalid base62 id")))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert await fetcher.albums() == ["a", "b"]

    fetched(spotify, body)


@pytest.mark.parametrize("tracks", [None, "odd", [], {"items": None, "next": None}, {"items": [], "next": "x"}])
def test_an_album_without_its_first_page_is_paged_from_the_start(tracks: Any) -> None:
    """`tracks` missing, null or empty in the album object does not lose the tracks."""
    whole = album("a", 3)
    cut = {**whole, "tracks": {"items": [], "next": "x"} if tracks == [] else tracks}
    spotify = FakeSpotify.of({"DK": "a"}, app="developer", albums={"a": whole})
    spotify.trick = times(1, "/albums/a", answer(cut))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        found = (await fetcher.part())[0]["album"]["tracks"]["items"]
        assert found == whole["tracks"]

    fetched(spotify, body)


def test_nulls_and_repeats_among_tracks_are_left_out_and_nulls_counted() -> None:
    """A null track gives no row, a repeated one no second row."""
    whole = album("a", 2)
    tracks = [None, *whole["tracks"], whole["tracks"][0]]
    spotify = FakeSpotify.of({"DK": "a"}, albums={"a": {**whole, "tracks": tracks}})

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch()
        assert (await fetcher.part())[0]["album"]["tracks"]["items"] == whole["tracks"]
        metadata = await fetcher.metadata()
        assert (metadata["skipped-nulls"], metadata["track-count"]) == ("1", "2")

    fetched(spotify, body)


def test_a_fresh_replay_of_all_markets_reads_each_album_once() -> None:
    """`fresh` passes by what was read before the request, in memory and bucket, not by what was read for it."""
    spotify = FakeSpotify.of({"DK": "a b", "SE": "b c"})

    async def body(fetcher: fetching.Fetcher) -> None:
        await asyncio.gather(fetcher.fetch("DK"), fetcher.fetch("SE"))
        await let_pass(10)
        spotify.albums = {name: {**known, "name": "renamed"} for name, known in spotify.albums.items()}
        made = spotify.count("/albums")
        asked = NOW + timedelta(seconds=5)
        for market in ("DK", "SE"):
            delivery = fetching.request(market, event_id="replay", replay=True, fresh=True)
            await fetcher.deliver(delivery.model_copy(update={"publish_time": asked}))
            assert {line["album"]["name"] for line in await fetcher.part(market)} == {"renamed"}
        assert spotify.count("/albums") == made + 2
        stored = await fetcher.store.read(album_cache_name("a"))
        assert stored is not None
        assert json.loads(gzip.decompress(stored.body))["album"]["name"] == "renamed"

    fetched(spotify, body)


@pytest.mark.parametrize(
    ("lies", "said"), [(b"cut", "no album as they are cached"), (b"x" * 2_001, "more than 2,000 bytes")]
)
def test_what_lies_in_the_cache_and_is_none_costs_a_call_and_is_mended(
    lies: bytes, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A cut or huge object in the cache stops no market: it is told of, and the album written in its place."""
    monkeypatch.setattr("services.market_fetcher.albums.CACHED_MOST_BYTES", 2_000)
    spotify = FakeSpotify.of({"DK": "a"})

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.store.write(album_cache_name("a"), lies)
        assert (await fetcher.fetch()).status == 204
        stored = await fetcher.store.read(album_cache_name("a"))
        assert stored is not None
        assert unpack("a", stored.body, "https://i.scdn.co").id == "a"

    fetched(spotify, body)
    (told,) = [vars(record) for record in caplog.records if record.getMessage() == "document_set_aside"]
    assert told["object"] == album_cache_name("a")
    assert said in told["reason"]


class NoCache(MemoryObjectStore):
    """A bucket that takes everything but cache objects."""

    async def write(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """See `ObjectStore.write`."""
        if name.startswith("cache/"):
            raise Retryable("full")
        return await super().write(name, body, metadata)


def test_a_cache_that_cannot_be_written_does_not_fail_the_market(caplog: pytest.LogCaptureFixture) -> None:
    """The cache spares calls; the part is what must be written. The log says so."""

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204

    fetched(FakeSpotify.of({"DK": "a"}), body, NoCache())
    assert "cache_not_written" in [record.getMessage() for record in caplog.records]


class Unreadable(MemoryObjectStore):
    """A bucket whose cache cannot be read."""

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        """See `ObjectStore.read`."""
        if name.startswith("cache/"):
            raise Retryable("away")
        return await super().read(name, most_bytes=most_bytes)


def test_a_bucket_that_does_not_answer_gives_the_market_back() -> None:
    """Without the bucket nothing could be written; the message comes again."""

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503

    fetched(FakeSpotify.of({"DK": "a"}), body, Unreadable())


def test_the_memory_of_albums_is_bounded() -> None:
    """The albums used last are kept, and no more bytes than allowed."""

    def made(number: int) -> Any:
        return pack(str(number), {"tracks": {"items": []}}, nulls=0, fetched_at=NOW)

    most = max(len(made(number).body) for number in range(10, 30))
    memory = album_memory(10 * (most + 512))
    for number in range(10, 30):
        memory[str(number)] = made(number)
        assert memory.get("10") is not None
    assert sum(memory.get(str(number)) is not None for number in range(10, 30)) == 10
    memory["10"] = made(10)
    assert sum(memory.get(str(number)) is not None for number in range(10, 30)) == 10


# --- faults ----------------------------------------------------------------------------------------------------

PASSING = [
    error(500),
    error(503, retry_after="3"),
    answer({"odd": 1}),
    Answer(200, b'{"albums": {"ite'),
    Answer(200, b"<html>"),
    Answer(502, b"<html>"),
    Unreachable("ServerDisconnectedError"),
    Unreachable("no answer in time"),
    error(429, retry_after="0"),
    error(429, retry_after="30"),
    Answer(429, b"Too many requests"),
]


@pytest.mark.parametrize("path", [TOKEN, BROWSE, "/albums", "/albums/long/tracks"])
@pytest.mark.parametrize("fault", PASSING, ids=[str(number) for number in range(len(PASSING))])
def test_a_fault_that_passes_is_sat_out_everywhere(path: str, fault: Answer | Unreachable) -> None:
    """Whatever passes within seconds is repeated, at the token endpoint too, and the part is whole."""
    spotify = FakeSpotify.of({"DK": "a long"}, albums={"long": album("long", 60)}, trick=times(2, path, fault))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert [len(line["album"]["tracks"]["items"]) for line in await fetcher.part()] == [3, 60]
        assert len(spotify.requests) == 4 + 2

    fetched(spotify, body)


@pytest.mark.parametrize("path", [TOKEN, BROWSE, "/albums"])
def test_a_fault_that_stays_gives_the_market_back_with_nothing_written(path: str) -> None:
    """Complete or nothing; after six attempts the message is given back."""
    spotify = FakeSpotify.of({"DK": "a b"}, trick=times(1000, path, error(500)))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503
        assert await fetcher.store.stat(part_name(RUN, "DK")) is None
        assert spotify.count(path) == 6

    fetched(spotify, body)


def test_a_service_that_asks_for_minutes_is_left_alone() -> None:
    """At a 503 with a long Retry-After the delivery is given back and says so; none of its attempts is spent on it."""
    spotify = FakeSpotify.of({"DK": "a"}, trick=times(1000, BROWSE, error(503, retry_after="300")))

    async def body(fetcher: fetching.Fetcher) -> None:
        settled = await fetcher.fetch()
        assert "asks for 300 s" in settled.faults[0].problem
        assert spotify.count(BROWSE) == 1

    fetched(spotify, body)


def test_endless_429_ends() -> None:
    """A server that says `Retry-After: 1` for ever costs twenty calls, not a hot loop."""
    spotify = FakeSpotify.of({"DK": "a"}, trick=times(1000, BROWSE, error(429, retry_after="0")))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503
        assert spotify.count(BROWSE) == 20
        assert loop_time() > 19

    fetched(spotify, body)


def test_a_refused_token_is_renewed_once() -> None:
    """An expired token costs one renewal, for all calls that met it."""
    spotify = FakeSpotify.of(dict.fromkeys(MARKETS, "a"))
    fetch_all = [True]

    def expired(request: Request) -> Answer | None:
        old = request.headers.get("Authorization") == "Bearer token1"
        return error(401, "The access token expired") if old and not fetch_all[0] else None

    spotify.trick = expired

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch("AD")
        fetch_all[0] = False
        ended = await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        assert {settled.status for settled in ended} == {204}
        assert spotify.count(TOKEN) == 2

    fetched(spotify, body)


def test_a_token_that_is_never_accepted_gives_the_market_back() -> None:
    """A second 401 is not the token's age; it is not tried a third time."""
    spotify = FakeSpotify.of({"DK": "a"}, trick=times(1000, BROWSE, error(401)))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503
        assert (spotify.count(BROWSE), spotify.count(TOKEN)) == (2, 2)

    fetched(spotify, body)


def test_a_token_is_renewed_before_it_ends() -> None:
    """A minute before its end a token is not used any more; until then it is."""
    spotify = FakeSpotify.of({"DK": "a", "SE": "a", "NO": "a"})

    async def body(fetcher: fetching.Fetcher) -> None:
        await fetcher.fetch("DK")
        await let_pass(3000)
        await fetcher.fetch("SE")
        assert spotify.count(TOKEN) == 1
        await let_pass(541)
        await fetcher.fetch("NO")
        assert spotify.count(TOKEN) == 2

    fetched(spotify, body)


@pytest.mark.parametrize("life", [1e300, 10**19, True, 1, 59.5, -5, "3600", None])
def test_a_token_lives_no_longer_or_shorter_than_one_can(life: object) -> None:
    """A life that no calendar holds must not break the fetcher, nor one of a second cost a token for each call."""
    spotify = FakeSpotify.of({"DK": "a"})
    spotify.trick = times(9, TOKEN, answer({"access_token": "token", "expires_in": life}))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert spotify.count(TOKEN) == 1

    fetched(spotify, body)


@pytest.mark.parametrize("token", ["", "a\nb", "a\x00", "\ud800", {"a": 1}, 7, "x" * 9000])
def test_what_cannot_stand_in_a_header_is_no_token(token: object) -> None:
    """It is asked for again, as any answer that is not what was asked for; the HTTP client would not send it."""
    spotify = FakeSpotify.of({"DK": "a"}, trick=times(1, TOKEN, answer({"access_token": token})))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 204
        assert spotify.count(TOKEN) == 2

    fetched(spotify, body)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_wrong_credentials_are_not_the_messages_fault(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong secret gives every market back, names the settings, and does not knock for each message."""
    refusal = answer({"error": "invalid_client", "error_description": "Invalid client"}, status)
    spotify = FakeSpotify.of({"DK": "a", "SE": "a"}, trick=times(1, TOKEN, refusal))

    async def body(fetcher: fetching.Fetcher) -> None:
        ended = await asyncio.gather(fetcher.fetch("DK"), fetcher.fetch("SE"))
        assert {settled.status for settled in ended} == {503}
        assert "SPOTIFY_CLIENT_SECRET" in ended[0].faults[0].problem
        assert len(spotify.requests) == 1
        await let_pass(301)
        assert (await fetcher.fetch("DK")).status == 204

    fetched(spotify, body)
    assert "account_throttled" in [record.getMessage() for record in caplog.records]


# --- quota -----------------------------------------------------------------------------------------------------


def test_one_market_that_waits_for_hours_holds_no_other_up() -> None:
    """The other 47 finish; it is shown as throttled, costs no call meanwhile, and completes by itself."""
    spotify = FakeSpotify.of(dict.fromkeys(MARKETS, "a b c"))
    spotify.trick = times(1, BROWSE, error(429, retry_after="7200"), market="DK")

    async def body(fetcher: fetching.Fetcher) -> None:
        ended = dict(
            zip(MARKETS, await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS)), strict=True)
        )
        assert {market for market in MARKETS if ended[market].status != 204} == {"DK"}
        assert abs((await fetcher.throttled()).until - (NOW + timedelta(seconds=7200))) < timedelta(seconds=5)
        assert list(fetcher.service.status()["throttled"]) == ["DK"]

        made, deliveries = len(spotify.requests), 0
        while (await fetcher.fetch("DK")).status != 204:
            assert len(spotify.requests) == made
            deliveries += 1
            await let_pass(600)  # Pub/Sub's longest backoff
        assert deliveries == 12
        assert loop_time() >= 7200
        assert await fetcher.albums("DK") == ["a", "b", "c"]
        assert await fetcher.store.read(throttled_name(RUN, "DK")) is None
        assert fetcher.service.status()["throttled"] == {}

    fetched(spotify, body)


def test_a_used_up_quota_stops_every_market_without_losing_what_was_read() -> None:
    """QUOTA_EXCEEDED is the account's: no call until then, all markets recorded, albums kept for the next time."""
    spotify = world("developer")
    used = [0]

    def quota(request: Request) -> Answer | None:
        used[0] += 1
        if used[0] > 300 and loop_time() < 40_000:
            return error(429, "Too many requests", "40000", reason="QUOTA_EXCEEDED")
        return None

    spotify.trick = quota

    async def body(fetcher: fetching.Fetcher) -> None:
        ended = await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        given_back = [settled for settled in ended if settled.status == 503]
        assert given_back
        made = len(spotify.requests)
        assert made <= 300 + 16  # those under way when the news came
        await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        assert len(spotify.requests) == made
        await let_pass(40_001)
        ended = await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        assert {settled.status for settled in ended} == {204}
        assert max(spotify.count(f"/albums/{album_id}") for album_id in ALBUMS) <= 2
        assert await fetcher.store.listing(f"runs/{RUN}/throttled/") == []

    fetched(spotify, body, SPOTIFY_RATE="1000")


def test_a_delivery_ends_before_the_push_deadline_and_the_next_goes_on() -> None:
    """When the budget runs out the message is given back; what was read until then is not read again."""
    spotify = world("developer")

    async def body(fetcher: fetching.Fetcher) -> None:
        ended = await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        assert 0 < [settled.status for settled in ended].count(204) < WEEK
        assert loop_time() == pytest.approx(100, abs=1)
        while {settled.status for settled in ended} != {204}:
            ended = await asyncio.gather(*(fetcher.fetch(market) for market in MARKETS))
        assert max(spotify.count(f"/albums/{album_id}") for album_id in ALBUMS) == 1

    fetched(spotify, body, FETCH_BUDGET="100", SPOTIFY_RATE="1")


def test_a_redelivery_goes_on_with_the_listing_it_has() -> None:
    """A listing is made once for a request, however often its albums fail; another request lists anew."""
    spotify = FakeSpotify.of({"DK": "a b"}, trick=times(6, "/albums", error(500)))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch()).status == 503
        assert (await fetcher.fetch()).status == 204
        assert spotify.count(BROWSE) == 1
        await fetcher.fetch(replay=True, event_id="replay")
        assert spotify.count(BROWSE) == 2

    fetched(spotify, body)


def test_a_kept_listing_never_replaces_a_newer_part() -> None:
    """A replay that failed may come again after another replay: what it had listed is older than what stands now."""
    spotify = FakeSpotify.of({"DK": "a b"}, trick=times(6, "/albums", error(500)))

    async def body(fetcher: fetching.Fetcher) -> None:
        assert (await fetcher.fetch(replay=True, fresh=True, event_id="first")).status == 503
        await VirtualTime().sleep(60)
        assert (await fetcher.fetch(replay=True, event_id="second")).status == 204
        second = await fetcher.store.stat(part_name(RUN, "DK"))
        assert (await fetcher.fetch(replay=True, fresh=True, event_id="first")).status == 204
        first = await fetcher.store.stat(part_name(RUN, "DK"))
        assert first is not None
        assert second is not None
        assert first.generation > second.generation
        assert first.metadata["listed-at"] >= second.metadata["listed-at"]
        assert spotify.count(BROWSE) == 3

    fetched(spotify, body)


@asynccontextmanager
async def closing_early() -> AsyncIterator[None]:
    """Nothing may be left running when the service closes."""
    yield
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


def test_closing_the_service_gives_up_what_is_under_way() -> None:
    """On SIGTERM no task is left behind that a later delivery would wait for."""

    async def main() -> None:
        async with closing_early():
            async with fetching.fetching(FakeSpotify.of({"DK": "a b"})) as fetcher:
                delivery = asyncio.create_task(fetcher.fetch())
                await VirtualTime().sleep(0.11)
                delivery.cancel()
            await asyncio.gather(delivery, return_exceptions=True)

    run(main)
