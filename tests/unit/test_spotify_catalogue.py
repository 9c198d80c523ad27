"""The simulator's catalogue: the same everywhere, believable in proportion, in the shapes of the Web API."""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

import jsonschema
import pytest

from contracts.columns import COLUMNS
from contracts.names import MARKETS, is_spotify_id
from local.spotify import names
from local.spotify.catalogue import LISTED, Catalogue, Source
from local.spotify.endpoints import Ask, album_tracks
from local.spotify.shapes import View, full_album, simplified_album
from services.market_fetcher.values import derive

WEEK = date(2026, 11, 23)
SOURCES: tuple[Source, ...] = ("browse", "search")

# The `required` lists of Spotify's Web API OpenAPI description, May 2026: PagingObject, AlbumBase, AlbumObject.
TEXT, LINKS, WHOLE = (
    {"type": "string"},
    {"type": "object", "required": ["spotify"]},
    {"type": "integer", "minimum": 0},
)
ARTIST = {
    "type": "object",
    "required": ["external_urls", "href", "id", "name", "type", "uri"],
    "properties": {"type": {"const": "artist"}, "name": TEXT, "external_urls": LINKS},
}
TRACK = {
    "type": "object",
    "properties": {
        "artists": {"type": "array", "items": ARTIST},
        "disc_number": WHOLE,
        "duration_ms": WHOLE,
        "explicit": {"type": "boolean"},
        "id": TEXT,
        "is_local": {"const": False},
        "name": TEXT,
        "preview_url": {"type": ["string", "null"]},
        "track_number": WHOLE,
        "type": {"const": "track"},
        "uri": {"type": "string", "pattern": "^spotify:track:"},
    },
}
ALBUM = {
    "type": "object",
    "required": (
        "album_type total_tracks external_urls href id images name release_date release_date_precision type uri artists"
    ).split(),
    "properties": {
        "album_type": {"enum": ["album", "single", "compilation"]},
        "total_tracks": WHOLE,
        "available_markets": {"type": "array", "items": {"enum": list(MARKETS)}},
        "images": {"type": "array", "items": {"type": "object", "required": ["url", "height", "width"]}},
        "release_date_precision": {"enum": ["year", "month", "day"]},
        "type": {"const": "album"},
        "artists": {"type": "array", "items": ARTIST, "minItems": 1},
    },
}
PAGE = {
    "type": "object",
    "required": ["href", "items", "limit", "next", "offset", "previous", "total"],
    "properties": {
        "items": {"type": "array"},
        "limit": WHOLE,
        "offset": WHOLE,
        "total": WHOLE,
        "next": {"type": ["string", "null"]},
        "previous": {"type": ["string", "null"]},
    },
}
TRACK_PAGE = {"allOf": [PAGE, {"properties": {"items": {"items": TRACK, "maxItems": 50}}}]}
FULL = {
    "allOf": [
        ALBUM,
        {
            "required": ["tracks", "copyrights", "external_ids", "genres"],
            "properties": {"tracks": TRACK_PAGE, "genres": {"const": []}},
        },
    ]
}


@cache
def catalogue() -> Catalogue:
    return Catalogue(1, WEEK)


def rows(catalogue: Catalogue, source: Source = "browse") -> list[dict[str, Any]]:
    return catalogue.expected_rows(MARKETS, source, 50, run_id="2026-11-23")


def test_languages_are_those_of_markets() -> None:
    """Local music is sung in the market's own language; one that is no market is sung to nobody."""
    assert set(names.LANGUAGE_OF) <= set(MARKETS)


def test_the_same_seed_and_week_give_the_same_catalogue_in_another_process() -> None:
    """A test in one process compares with a simulator in another; hash randomisation must not show."""
    program = (
        "import datetime, hashlib; from local.spotify.catalogue import Catalogue;"
        "week = Catalogue(1, datetime.date(2026, 11, 23));"
        "rows = week.expected_rows(['DK', 'XK'], 'search', 50, run_id='2026-11-23');"
        "print(hashlib.sha256(repr(rows).encode()).hexdigest())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_any_day_of_a_week_means_the_same_week() -> None:
    """A stack that starts on a Thursday lists what the run of Monday lists."""
    assert Catalogue(1, date(2026, 11, 26)) == catalogue()
    assert Catalogue(1, date(2026, 11, 26)).releases("DK", "browse") == catalogue().releases("DK", "browse")


def test_another_seed_is_another_catalogue() -> None:
    """A seed that changed nothing would make every seeded test the same test."""
    assert not set(Catalogue(2, WEEK).releases("DK", "browse")) & set(catalogue().releases("DK", "browse"))


@pytest.mark.parametrize("source", SOURCES)
def test_a_list_has_a_hundred_different_albums_that_the_market_has(source: Source) -> None:
    """Recorded answers have a total of 100; a list never offers what the market cannot play."""
    for market in MARKETS:
        listed = catalogue().releases(market, source)
        assert len(set(listed)) == len(listed) == LISTED
        assert all(market in catalogue().record(album).markets for album in listed)
        assert catalogue().releases(market, source, 7) == listed[:7]


def test_the_two_sources_order_differently() -> None:
    """The search is not the editors' list; code that mixes the sources up must be seen."""
    assert catalogue().releases("DK", "browse", 50) != catalogue().releases("DK", "search", 50)


def test_most_of_a_list_is_shared_between_markets_and_some_is_not() -> None:
    """Fetching each album once must pay, and joining by market and album must matter."""
    listed = Counter(album for market in MARKETS for album in catalogue().releases(market, "browse", 50))
    assert 150 < len(listed) < 400
    assert sum(count for count in listed.values() if count > 24) > 0.6 * listed.total()
    assert sum(1 for count in listed.values() if count <= 2) > 20
    assert len({tuple(sorted(catalogue().releases(market, "browse", 50))) for market in MARKETS}) == len(MARKETS)


@pytest.mark.parametrize("limit", [50, 100])
def test_next_week_shares_half(limit: int) -> None:
    """`tag:new` spans two weeks, so a cache of albums saves half of next week's calls."""
    for market in MARKETS:
        this, then = (
            set(week.releases(market, "search", limit)) for week in (catalogue(), catalogue().following())
        )
        assert len(this & then) == limit // 2


def test_an_album_is_the_same_in_both_weeks_that_list_it() -> None:
    """A cached album stands for the real one only if it does not change."""
    shared = set(catalogue().releases("DK", "browse")) & set(catalogue().following().releases("DK", "browse"))
    assert all(catalogue().album(album) == catalogue().following().album(album) for album in shared)
    assert catalogue().following().preceding() == catalogue()


def test_a_run_is_about_twenty_thousand_rows() -> None:
    """The stack is measured at the size of the real thing."""
    assert 17_000 < len(rows(catalogue())) < 23_000


def as_they_stand(places: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the columns that nobody works out must hold, from where they are said to be taken."""
    found = [(column.name, *column.source.rpartition(".")) for column in COLUMNS if column.source is not None]
    return {name: places[at][field] for name, at, _, field in found}


def derived(album: Mapping[str, Any]) -> dict[str, Any]:
    """What the fetcher works out of an album that lies at Spotify."""
    found, odd = derive(album, "https://i.scdn.co")
    assert odd == 0
    return found


def test_rows_are_what_the_tracks_say() -> None:
    """The expectation is made from records; the answers over HTTP must say the same, field by field."""
    found = catalogue().expected_rows(["IS"], "search", 50, run_id="2026-11-23", revision=3)
    line = {"market": "IS", "source": "search"}
    said = [
        {
            **as_they_stand({"": line, "album": album, "album.tracks.items": track, "derived": derived(album)}),
            "artists": ", ".join(artist["name"] for artist in track["artists"]),
            "load_date": date(2026, 11, 23),
            "release_day": date.fromisoformat(album["release_date"])
            if album["release_date_precision"] == "day"
            else None,
            "artist_ids": [artist["id"] for artist in track["artists"]],
            "run_id": "2026-11-23",
            "revision": 3,
        }
        for album in map(catalogue().album, catalogue().releases("IS", "search", 50))
        for track in catalogue().tracks(album["id"])
    ]
    assert found == said


def test_a_few_albums_are_long_and_a_few_dates_are_rough() -> None:
    """Paging beyond 50 tracks and partial dates happen in every run, not only in tests about them."""
    for seed in range(1, 4):
        week = Catalogue(seed, WEEK)
        records = [week.record(album) for album in week.distinct(MARKETS, "browse", 50)]
        assert 2 <= sum(1 for album in records if len(album.tracks) > 50) <= 10
        assert 0 < sum(1 for album in records if album.release_date_precision != "day") < 0.1 * len(records)
        shared = [album for album in records if len(album.tracks) > 50 and len(album.markets) > 2]
        assert shared
        assert all(album.id in week.releases(market, "browse", 50) for album in shared for market in album.markets)
        assert {album.album_type for album in records} == {"album", "single", "compilation"}
        assert sum(1 for album in records if len(album.tracks) <= 20) > 0.9 * len(records)


def test_names_are_of_the_whole_world() -> None:
    """Encodings break on real names; ours have accents, other alphabets, quotes, commas and slashes."""
    titles = "".join({row["track_name"] + row["artists"] for row in rows(catalogue())})
    assert {"ø", "Ž", "Θ", "Љ", "Գ", "ა", '"', "\\", "🌊"} <= set(titles)


def test_ids_are_spotify_ids_and_unique() -> None:
    """An id becomes part of a path; two tracks with one id would be one row."""
    albums = catalogue().distinct(MARKETS, "browse", 100)
    tracks = [track.id for album in albums for track in catalogue().record(album).tracks]
    assert all(len(found) == 22 and is_spotify_id(found) for found in (*albums, *tracks))
    assert len(set(tracks)) == len(tracks)


def test_albums_and_tracks_have_the_shape_of_the_description() -> None:
    """A mock that drifts from the description proves nothing about the real service."""
    albums, tracks = jsonschema.Draft202012Validator(FULL), jsonschema.Draft202012Validator({"items": TRACK})
    for album in sorted(catalogue().distinct(MARKETS, "browse", 10)):
        albums.validate(catalogue().album(album))
        tracks.validate(catalogue().tracks(album))


def test_development_apps_do_not_see_the_removed_fields() -> None:
    """February 2026: available_markets, label and popularity are gone for them; the rest of the shape stays."""
    record = catalogue().record(catalogue().releases("DK", "search")[0])
    seen, whole = full_album(record, View(mode="developer")), full_album(record, View())
    jsonschema.validate(seen, FULL)
    assert whole.keys() - seen.keys() == {"available_markets", "label", "popularity"}
    assert whole["tracks"]["items"][0].keys() - seen["tracks"]["items"][0].keys() == {"available_markets"}


def test_with_a_market_availability_becomes_playability() -> None:
    """With `market` Spotify says is_playable in place of the list, and why not where it is not."""
    local = next(
        record
        for record in map(catalogue().record, catalogue().releases("XK", "browse"))
        if "DK" not in record.markets
    )
    here, there = (simplified_album(local, View(market=market)) for market in ("XK", "DK"))
    assert "available_markets" not in here
    assert here["is_playable"] is True
    assert (there["is_playable"], there["restrictions"]) == (False, {"reason": "market"})


def test_a_long_album_embeds_fifty_tracks_and_pages_give_the_rest() -> None:
    """The first page comes with the album; the pages together are the album, once and in order."""
    long = next(
        record
        for record in map(catalogue().record, sorted(catalogue().distinct(MARKETS, "browse", 50)))
        if len(record.tracks) > 50
    )
    whole = catalogue().album(long.id)
    assert (len(whole["tracks"]["items"]), whole["tracks"]["total"]) == (50, len(long.tracks))
    assert whole["tracks"]["next"].endswith(f"/albums/{long.id}/tracks?offset=50&limit=50")
    found: list[str] = []
    for offset in range(0, len(long.tracks), 50):
        page = album_tracks(
            Ask(
                catalogue=catalogue(),
                mode="extended",
                base_url="http://x/v1",
                path=f"/albums/{long.id}/tracks",
                query={"limit": "50", "offset": str(offset)},
                album_id=long.id,
            )
        )
        jsonschema.validate(page, TRACK_PAGE)
        found += [track["id"] for track in page["items"]]
    assert found == [track.id for track in long.tracks]


def test_what_does_not_exist_is_a_key_error() -> None:
    """A misspelt market in a test must not look like an empty one."""
    with pytest.raises(KeyError):
        catalogue().releases("US", "browse")
    with pytest.raises(KeyError):
        catalogue().record("0" * 22)
