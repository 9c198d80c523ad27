"""Spotify's objects as they come, lists read to their end, and parts as they are written."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.market_fetcher.paging import collect
from services.market_fetcher.shapes import (
    Absent,
    Album,
    ForeignError,
    Listing,
    Page,
    album_key,
    list_hash,
    pack,
    part_body,
    part_metadata,
    read_page,
    track_key,
    unpack,
    whole_album,
)
from tests.virtual_time import run

NOW = datetime(2026, 11, 23, 0, 0, 7, tzinfo=UTC)
IMAGES = "https://i.scdn.co"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def paging(items: list[Any], following: object = None, total: object = None) -> dict[str, Any]:
    return {"items": items, "next": following, "total": total}


@pytest.mark.parametrize(
    ("following", "begins"),
    [
        (None, None),
        ("", None),
        ("https://x/?offset=70&limit=20", 70),
        ("https://x/?offset=100", 100),
        ("https://x/?offset=50", 100),
        ("https://x/?offset=0", 100),
        ("https://x/?offset=5000", 100),
        ("https://x/?offset=" + "9" * 30, 100),
        ("https://x/?offset=no", 100),
        ("https://[x/?offset=70", 70),
        ("https://a\u2100b/?offset=70", 70),
        ("https://x/", 100),
        (7, None),
    ],
)
def test_the_next_page_is_ahead_and_skips_nothing(following: object, begins: int | None) -> None:
    """A link that leads back, or ahead over entries, must neither loop nor lose any."""
    assert read_page(paging([{}], following), offset=50, limit=50).following == begins


def test_nulls_are_counted_and_an_empty_page_in_the_middle_is_noticed() -> None:
    """Null entries were reported in every list; an empty page is a fault where more is to come."""
    assert read_page(paging([None, {"id": "a"}, 3]), offset=0, limit=50) == Page(
        ({"id": "a"},), 2, None, looks_cut=False
    )
    assert read_page(paging([], "https://x/?offset=10"), offset=0, limit=10).looks_cut
    assert read_page(paging([], None, 30), offset=10, limit=10).looks_cut
    assert not read_page(paging([], None, 10), offset=10, limit=10).looks_cut
    assert not read_page(paging([None], "https://x/?offset=10"), offset=0, limit=10).looks_cut


@given(JSON)
def test_any_json_is_a_page(data: object) -> None:
    """A paging object of an odd shape is an empty page, never an exception."""
    read_page(data, offset=0, limit=50)


def read_all(
    pages: list[dict[str, Any]], enough: int | None = None, most: int = 20
) -> tuple[list[str], int, list[int]]:
    """Ids, nulls and offsets asked for, reading a list of pages of ten places; the last page repeats for ever."""
    asked: list[int] = []

    async def read(offset: int) -> Page:
        asked.append(offset)
        return read_page(pages[min(offset // 10, len(pages) - 1)], offset=offset, limit=10)

    found = run(lambda: collect(read, album_key, pages=most, enough=enough))
    return list(map(str, found.items)), found.nulls, asked


def entries(*ids: str | None) -> list[dict[str, Any] | None]:
    return [None if entry is None else {"id": entry} for entry in ids]


MORE = "https://x/?offset=0"


def test_a_list_is_read_to_its_end() -> None:
    """Every page counts once, repeats and nulls do not."""
    pages = [
        paging(entries("a", "b"), MORE),
        paging(entries("b", None, "c"), MORE),
        paging(entries("d", "not an id")),
    ]
    assert read_all(pages) == (["a", "b", "c", "d"], 2, [0, 10, 20])


def test_enough_is_enough() -> None:
    """No page is read beyond the albums that are wanted."""
    pages = [paging(entries("a", "b"), MORE), paging(entries("c"), MORE)]
    assert read_all(pages, enough=2)[2] == [0]


def test_an_empty_page_in_the_middle_is_asked_for_again_and_passed() -> None:
    """An empty page may be a passing fault; if it stays empty the list goes on behind it."""
    pages = [paging(entries("a"), MORE), paging([], MORE), paging(entries("b"))]
    assert read_all(pages) == (["a", "b"], 0, [0, 10, 10, 20])


def test_a_list_that_goes_in_a_circle_ends() -> None:
    """The same page for ever, with `next` for ever, is bounded after two pages without anything new."""
    assert read_all([paging(entries("a", "b"), MORE)]) == (["a", "b"], 0, [0, 10, 20])


def test_the_number_of_pages_is_bounded() -> None:
    """A list that never ends and always has something new is cut at the bound."""
    pages = [paging(entries(f"a{number}"), MORE) for number in range(100)]
    assert len(read_all(pages, most=7)[2]) == 7


def test_a_track_is_told_by_id_and_place() -> None:
    """One track may stand twice on an album, on two places; the same place twice is a repeat."""
    first = {"id": "t", "disc_number": 1, "track_number": 1, "name": "x"}
    assert track_key(first) == track_key({**first, "name": "y"})
    assert track_key(first) != track_key({**first, "track_number": 2})
    assert track_key({"name": "local"}) != track_key({"name": "other"})
    assert track_key({}) == track_key({})


album_objects = st.fixed_dictionaries(
    {
        "id": st.just("abc"),
        "tracks": st.fixed_dictionaries({"items": st.lists(st.dictionaries(st.text(), JSON), max_size=3)}),
    },
    optional={"name": JSON, "release_date": JSON, 'a,"derived":b': JSON},
)


@given(album_objects)
def test_an_album_goes_unchanged_through_cache_and_part(album: dict[str, Any]) -> None:
    """What Spotify gave stands in the part to the letter: nulls, unicode, lone surrogates, unknown fields."""
    packed = pack("abc", album, nulls=2, fetched_at=NOW, derived={"image_url": "here"})
    assert unpack("abc", packed.body, IMAGES) == packed
    body = part_body("2026-11-23", "DK", Listing("search", ("abc",), 0, NOW), [packed])
    assert json.loads(gzip.decompress(body)) == {
        "market": "DK",
        "run_id": "2026-11-23",
        "source": "search",
        "fetched_at": "2026-11-23T00:00:07Z",
        "number": 1,
        "derived": {"image_url": "here"},
        "album": album,
    }


def test_an_album_that_was_cached_before_a_column_gets_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached albums are used for weeks: without this a new column would be empty for as long."""
    album = {"id": "said", "images": [{"url": f"{IMAGES}/image/a", "width": 300}], "tracks": {"items": []}}
    with monkeypatch.context() as before:
        before.setattr("services.market_fetcher.shapes.KNOWN", "others")
        packed = pack("abc", album, nulls=2, fetched_at=NOW, odd=3, told=4)
    found = unpack("abc", packed.body, IMAGES)
    assert found == pack(
        "abc", album, nulls=2, fetched_at=NOW, odd=3, told=4, derived={"image_url": f"{IMAGES}/image/a"}
    )
    assert found.answered == "said"


def plain(album_id: str, released: str = "2026-11-20", tracks: int = 1) -> Album:
    items = [{"id": str(number)} for number in range(tracks)]
    album = {"id": album_id, "release_date": released, "tracks": {"items": items}}
    return pack(album_id, album, nulls=1, fetched_at=NOW, odd=2)


def test_a_part_is_deterministic_and_leaves_gone_albums_out() -> None:
    """The same content makes the same bytes, so a repeated upload is recognised; a gone album has no line."""
    listing = Listing("browse", ("a", "b", "c"), 0, NOW)
    albums: list[Album | Absent] = [plain("a"), Absent("b", NOW, "gone", "404"), plain("c")]
    body = part_body("2026-11-23", "DK", listing, albums)
    assert body == part_body("2026-11-23", "DK", listing, albums)
    assert body[4:8] == bytes(4)  # the time of compression, by RFC 1952
    assert len(gzip.decompress(body).splitlines()) == 2


def test_the_metadata_tells_a_part_without_reading_it() -> None:
    """Counts, kind of app and newest release stand beside the part; a date far ahead is not the newest."""
    albums: list[Album | Absent] = [
        plain("a", tracks=3),
        Absent("b", NOW, "gone", "404"),
        plain("c", "2027-01-01"),
        plain("d", "2026-11-24"),
    ]
    found = part_metadata(
        Listing("browse", ("a", "b", "c", "d"), 4, NOW),
        albums,
        run_id="2026-11-23",
        app="extended",
        calls=7,
        event_id="e",
    )
    assert found == {
        "source": "browse",
        "app": "extended",
        "form": "3",
        "album-count": "3",
        "track-count": "5",
        "albums-listed": "4",
        "albums-gone": "1",
        "albums-unusable": "0",
        "albums-short": "0",
        "tracks-short": "0",
        "odd-values": "6",
        "empty": "false",
        "calls": "7",
        "skipped-nulls": "7",
        "skipped-albums": "1",
        "event-id": "e",
        "list-hash": list_hash(["d", "c", "b", "a"]),
        "newest-release": "2026-11-24",
    }


def test_a_run_on_the_calendars_last_day_has_metadata() -> None:
    """Its date was mistyped; the day after it does not exist."""
    listing = Listing("browse", ("a",), 0, NOW)
    albums = [plain("a", "9999-12-31")]
    found = part_metadata(listing, albums, run_id="9999-12-31", app="extended", calls=0, event_id="e")
    assert found["newest-release"] == "9999-12-31"


@pytest.mark.parametrize("released", ["1981", "1981-12", "0000", "2026-02-30", "", None, 7, "0000-00-00"])
def test_a_release_date_that_is_no_day_is_no_newest_release(released: Any) -> None:
    """Spotify has years, months and `0000`; they stay raw in the album and are never taken for a day."""
    assert plain("a", released).released == ""


KEPT = gzip.decompress(pack("abc", {"tracks": {"items": []}}, nulls=0, fetched_at=NOW).body)
"""An album as it is cached."""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "cut short"),
        (b"no gzip at all", "no album as they are cached"),
        (gzip.compress(b"{}"), "no album as they are cached"),
        (gzip.compress(b"[]"), "no album as they are cached"),
        (gzip.compress(b"{")[:-3], "cut short"),
        (gzip.compress(KEPT) + b"more", "followed by something"),
        (gzip.compress(KEPT + b" " * 9_000), "more than 8,000 bytes"),
        (gzip.compress(KEPT.replace(b"abc", b"xyz")), "another album"),
        (gzip.compress(KEPT.replace(b"+00:00", b"")), "a time without a zone"),
        (gzip.compress(KEPT.replace(b'"items":[]', b'"items":"none"')), "no list of tracks"),
        (
            gzip.compress(KEPT.replace(b'"told":null', b'"told":{"a":1,"derived":2}')),
            "no album as they are cached",
        ),
    ],
    # gzip writes the time into what it makes
    ids=[
        "empty",
        "not gzip",
        "no album",
        "a list",
        "cut off",
        "followed",
        "huge",
        "another",
        "without a zone",
        "no tracks",
        "cut elsewhere",
    ],
)
def test_a_foreign_cache_object_is_set_aside_with_the_reason(
    body: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut, huge or foreign cache object costs a call, never a run, nor memory, nor a line of a part."""
    monkeypatch.setattr("services.market_fetcher.shapes._PLAIN_MOST", 8_000)
    with pytest.raises(ForeignError, match=said):
        unpack("abc", body, IMAGES)


def test_an_album_that_is_spelt_otherwise_becomes_one_of_ours() -> None:
    """A part's line is cut out of what is cached: one that cannot be cut there would be no line."""
    spelt = gzip.compress(json.dumps(json.loads(KEPT)).encode())
    found = unpack("abc", spelt, IMAGES)
    (line,) = gzip.decompress(
        part_body("2026-11-23", "DK", Listing("search", ("abc",), 0, NOW), [found])
    ).splitlines()
    assert json.loads(line)["album"] == {"id": "abc", "tracks": {"items": []}}


def test_all_tracks_replace_the_first_page() -> None:
    """Nothing is left to be read, so `next` is null; whatever else the paging object says stays."""
    whole = whole_album(
        {"id": "a", "tracks": {"items": [{}], "next": "x", "total": 2, "odd": 1}}, [{"id": "1"}, {"id": "2"}]
    )
    assert whole["tracks"] == {"items": [{"id": "1"}, {"id": "2"}], "next": None, "total": 2, "odd": 1}
    assert whole_album({"id": "a", "tracks": None}, [])["tracks"] == {"items": [], "next": None, "total": 0}
