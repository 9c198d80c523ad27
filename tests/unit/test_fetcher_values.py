"""Values of the fields that reach the table, brought to their documented types."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_fetcher.values import NoNumber, derive, normal, parse, whole

ODD_NUMBERS = ["204053", True, {}, [], -1, -0.5, 1.5, 2**63, 1e300, NoNumber("NaN"), NoNumber("9" * 400)]
ODD_TEXTS = [7, 7.0, True, False, {}, [], NoNumber("NaN")]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def of(track: Any = None, **changes: Any) -> dict[str, Any]:
    """An album with one track."""
    return {"id": "a", "name": "A", "tracks": {"items": [track or {"id": "t"}], "total": 1}, **changes}


def track_of(track: dict[str, Any]) -> tuple[Any, int]:
    """A track as it is made, and how many of its values became null."""
    album, odd = normal(of(track))
    return album["tracks"]["items"][0], odd


@pytest.mark.parametrize("name", ["duration_ms", "disc_number", "track_number"])
def test_a_whole_number_is_one_however_it_is_spelt(name: str) -> None:
    """204053.0 is 204053 and no fault; anything else is null, and counted."""
    for good in (0, 204053, 2**63 - 1):
        assert track_of({name: good}) == ({name: good}, 0)
    made, odd = track_of({name: 204053.0})
    assert (made, odd) == ({name: 204053}, 0)
    assert isinstance(made[name], int)
    assert track_of({name: None}) == ({name: None}, 0)
    for value in ODD_NUMBERS:
        assert track_of({name: value}) == ({name: None}, 1), value


def test_text_is_text() -> None:
    """A number or a truth where a name was is no name; an empty one is."""
    for name in ("id", "name", "album_type", "release_date", "release_date_precision"):
        for value in ODD_TEXTS:
            album, odd = normal(of(**{name: value}))
            assert (album[name], odd) == (None, 1), (name, value)
        assert normal(of(**{name: ""})) == (of(**{name: ""}), 0)
    for value in ODD_TEXTS:
        assert track_of({"id": value, "name": "x"}) == ({"id": None, "name": "x"}, 1)


@pytest.mark.parametrize("value", [0, 1, 1.0, "true", {}, []])
def test_explicit_is_true_or_false(value: Any) -> None:
    """A one is not a yes: the column is a boolean."""
    assert track_of({"explicit": value}) == ({"explicit": None}, 1)
    assert track_of({"explicit": False}) == ({"explicit": False}, 0)


@pytest.mark.parametrize("value", [None, {}, "x", 3])
def test_artists_that_are_no_list_are_none_and_counted(value: Any) -> None:
    """The job explodes no artists, but reads a list."""
    assert track_of({"artists": value}) == ({"artists": []}, 1)


def test_artists_are_objects() -> None:
    """Null artists were reported and stay; anything else that is no object becomes null."""
    artists = [None, {"id": "x", "name": 3, "more": 1}, "odd", {}]
    assert track_of({"artists": artists}) == (
        {"artists": [None, {"id": "x", "name": None, "more": 1}, None, {}]},
        2,
    )


def test_what_nobody_reads_stays_as_it_came() -> None:
    """The raw part keeps all of the album, in its order."""
    album = of({"id": "t", "popularity": "high", "duration_ms": 1}, images=None, popularity=1.0)
    assert normal(album) == (album, 0)
    assert list(normal(album)[0]) == list(album)


def test_json_that_python_alone_would_read_is_written_again_as_json() -> None:
    """NaN, 1e999 and numbers of a thousand digits are text, and no numbers; such a body is not lost."""
    found = parse(b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": %b, "e": 1.5, "f": -7}' % (b"9" * 5000))
    assert [type(value) for value in found.values()] == [NoNumber] * 4 + [float, int]
    assert json.loads(json.dumps(found), parse_constant=pytest.fail)["a"] == "NaN"
    assert [whole(value) for value in found.values()] == [None] * 6


@settings(deadline=None)
@given(JSON)
def test_any_album_has_a_strict_form(value: Any) -> None:
    """Whatever comes, what reaches the table is of its type, and a second time changes nothing."""
    track = dict.fromkeys(("id", "name", "duration_ms", "disc_number", "explicit", "artists"), value)
    album, _ = normal(of(track, name=value, release_date=value))
    (made,) = album["tracks"]["items"]
    assert album["name"] is None or type(album["name"]) is str
    assert made["duration_ms"] is None or 0 <= made["duration_ms"] < 2**63
    assert made["explicit"] is None or isinstance(made["explicit"], bool)
    assert all(artist is None or isinstance(artist, dict) for artist in made["artists"])
    assert normal(album) == (album, 0)


IMAGES = "https://i.scdn.co"


def image(name: str, width: Any = None, **changes: Any) -> dict[str, Any]:
    """An entry of an album's images."""
    return {"url": f"{IMAGES}/image/{name}", "height": width, "width": width, **changes}


def cover_of(images: Any) -> tuple[Any, int]:
    """The cover that is chosen, and whether something was odd."""
    made, odd = derive({"images": images}, IMAGES)
    return made.get("image_url"), odd


@pytest.mark.parametrize(
    ("images", "chosen"),
    [
        ([image("l", 640), image("m", 300), image("s", 64)], "m"),
        ([image("l", 640), image("s", 64)], "s"),
        ([image("l", 640.0), image("m", 301.0)], "m"),
        ([image("first", 310), image("second", 290)], "first"),
        ([image("unknown"), image("l", 640)], "l"),
        ([image("unknown", "300"), image("also")], "unknown"),
        ([None, image("l", 640)], "l"),
        ([image("m", 300, url="https://elsewhere/m"), image("l", 640)], "l"),
    ],
)
def test_the_cover_is_the_image_nearest_to_300_pixels(images: Any, chosen: str) -> None:
    """The page shows covers in that size; Spotify names no order, and a width may be missing."""
    assert cover_of(images) == (f"{IMAGES}/image/{chosen}", 0)


@pytest.mark.parametrize("images", [None, [], [None]])
def test_an_album_without_images_has_no_cover_and_is_not_odd(images: Any) -> None:
    """Spotify lists albums before their covers are there."""
    assert cover_of(images) == (None, 0)
    assert derive({}, IMAGES) == ({}, 0)


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "https://i.scdn.co",
        "https://i.scdn.co.evil.example/image/a",
        "https://i.scdn.co@evil.example/image/a",
        "https://i-scdn.co/image/a",
        "http://i.scdn.co/image/a",
        "HTTPS://evil.example/https://i.scdn.co/a",
        "https://i.scdn.co/image/a b",
        "https://i.scdn.co/image/a\n",
        'https://i.scdn.co/image/a"onerror=',
        "https://i.scdn.co/image/\u00e6",
        f"https://i.scdn.co/{'a' * 1001}",
        "javascript:alert(1)",
    ],
)
def test_an_address_elsewhere_is_no_cover_and_is_counted(url: Any) -> None:
    """Pages load what the column says: it says nothing but addresses where Spotify keeps its images."""
    assert cover_of([image("a", 300, url=url)]) == (None, 1)


@pytest.mark.parametrize("images", ["x", {}, 3, ["x"], [7, None], [{"height": 3}]])
def test_images_of_another_type_are_counted(images: Any) -> None:
    """As any other value that reaches the table and is not of its type: null, and one odd value."""
    assert cover_of(images) == (None, 1)
