"""Draws the albums that are new in one week: who made them, what is on them, in which markets they are available.

Pure: the same seed and week give the same albums in every process and Python. A week's listing is made of this
week's cohort and the one before, which is why two weeks share about half of what they list.

Not here: the order in which a market lists them (`catalogue`) and their JSON (`shapes`).
"""

import hashlib
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Literal

from contracts.names import MARKETS
from local.spotify import names

AlbumType = Literal["album", "single", "compilation"]
Precision = Literal["day", "month", "year"]

EVERYWHERE: Final = 46
"""Albums a week that every market has."""
NEARLY: Final = 6
"""Albums a week that a few markets lack."""
REGIONAL: Final = 24
"""Albums a week of one to three languages' markets."""
LOCAL: Final = 4
"""Albums a week and market that only this market, or a neighbour too, has. With EVERYWHERE it makes 50: half
a list of 100 for every market, whatever chance decides about the others."""

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LONG_SIZES: Final = (51, 64, 77, 100, 101, 130)

# Shares of what chance decides.
_TRAVELS: Final = 0.3  # of the local albums, to a neighbour
_BAND: Final = 0.25
_GUEST: Final = 0.15
_EXPLICIT: Final = 0.12
_AWKWARD: Final = 0.02
_VERSION: Final = 0.08


@dataclass(frozen=True, slots=True)
class Artist:
    """Somebody who makes music."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A track; `duration_ms` in milliseconds, disc and number from 1."""

    id: str
    name: str
    duration_ms: int
    explicit: bool
    disc_number: int
    track_number: int
    artists: tuple[Artist, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """An album with all its tracks and the markets that have it; `appeal` orders lists."""

    id: str
    name: str
    album_type: AlbumType
    artists: tuple[Artist, ...]
    release_date: str
    release_date_precision: Precision
    label: str
    markets: frozenset[str]
    appeal: float
    tracks: tuple[Track, ...]


def spotify_id(*parts: object) -> str:
    """A base-62 id of 22 characters, always the same for the same parts.

    Source of the form: developer.spotify.com/documentation/web-api/concepts/spotify-uris-ids.
    """
    number = int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest())
    return "".join(_BASE62[number // 62**place % 62] for place in range(22))


def monday_of(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is settled about an album before chance fills it."""

    key: str
    language: str
    markets: frozenset[str]
    appeal: float
    tracks: int | None = None


@lru_cache(maxsize=16)
def cohort(seed: int, monday: date) -> tuple[Album, ...]:
    """The albums that are new in the week of this Monday, in no particular order."""
    plans = list(_plans(seed, monday))
    return tuple(_album(seed, monday, plan) for plan in plans)


def _plans(seed: int, monday: date) -> Iterator[_Plan]:
    rng = random.Random(f"{seed}/{monday}/plans")
    long_homes = set(rng.sample(MARKETS, 2))
    every = frozenset(MARKETS)
    languages = sorted(names.LANGUAGES)
    for number in range(EVERYWHERE):
        yield _Plan(key=f"all-{number}", language=rng.choice(languages), markets=every, appeal=rng.random())
    for number in range(NEARLY):
        lacking = frozenset(rng.sample(MARKETS, rng.randint(1, 8)))
        yield _Plan(key=f"most-{number}", language="english", markets=every - lacking, appeal=rng.random())
    for number in range(REGIONAL):
        yield _regional(rng, number, languages)
    for market in MARKETS:
        for number in range(LOCAL):
            yield _local(rng, market, number, long_album=number == 0 and market in long_homes)


def _regional(rng: random.Random, number: int, languages: Sequence[str]) -> _Plan:
    chosen = rng.sample(languages, rng.randint(1, 3))
    return _Plan(
        key=f"region-{number}",
        language=chosen[0],
        markets=frozenset(market for name in chosen for market in names.LANGUAGES[name].markets),
        # One a week is long, and at the top of its lists, so that a short list has it too.
        appeal=2.0 if number == 0 else 0.1 + rng.random(),
        tracks=rng.choice(_LONG_SIZES) if number == 0 else None,
    )


def _local(rng: random.Random, market: str, number: int, *, long_album: bool) -> _Plan:
    language = names.LANGUAGE_OF.get(market, "english")
    neighbours = names.LANGUAGES[language].markets
    also = {rng.choice(neighbours)} if rng.random() < _TRAVELS else set()
    return _Plan(
        key=f"local-{market}-{number}",
        language=language,
        markets=frozenset({market, *also}),
        appeal=2.0 if long_album else 0.9 * rng.random(),
        tracks=rng.choice(_LONG_SIZES) if long_album else None,
    )


def _album(seed: int, monday: date, plan: _Plan) -> Album:
    rng = random.Random(f"{seed}/{monday}/{plan.key}")
    album_id = spotify_id(seed, monday, plan.key)
    album_type, count = _format(rng, plan.tracks)
    artists = tuple(_artist(rng, plan.language) for _ in range(rng.choice((1, 1, 1, 1, 2))))
    release_date, precision = _release(rng, monday)
    tracks = tuple(_track(rng, plan.language, album_id, number, artists) for number in range(count))
    return Album(
        id=album_id,
        name=tracks[0].name if album_type == "single" else _title(rng, plan.language),
        album_type=album_type,
        artists=artists,
        release_date=release_date,
        release_date_precision=precision,
        label=names.spaced(rng.choice(names.LABELS)),
        markets=plan.markets,
        appeal=plan.appeal,
        tracks=tracks,
    )


def _format(rng: random.Random, forced: int | None) -> tuple[AlbumType, int]:
    """Kind and number of tracks; Spotify calls a short extended play a single as well."""
    if forced is not None:
        return "compilation", forced
    kind = rng.choices(("single", "extended", "album", "compilation"), weights=(38, 14, 43, 5))[0]
    match kind:
        case "single":
            return "single", rng.choice((1, 1, 1, 2, 3))
        case "extended":
            return "single", rng.randint(4, 6)
        case "album":
            return "album", rng.randint(8, 17)
        case _:
            return "compilation", rng.randint(12, 20)


def _release(rng: random.Random, monday: date) -> tuple[str, Precision]:
    """Mostly the Friday before; a few are re-issues that keep the date of the original, however rough."""
    old = date(rng.randint(1958, 2019), rng.randint(1, 12), rng.randint(1, 28))
    friday, any_day = monday - timedelta(days=3), monday - timedelta(days=rng.randint(1, 7))
    fate = rng.choices(("year", "month", "old", "friday", "any"), weights=(1, 1, 2, 76, 20))[0]
    match fate:
        case "year":
            return f"{old.year}", "year"
        case "month":
            return f"{old:%Y-%m}", "month"
        case _:
            day = {"old": old, "friday": friday}.get(fate, any_day)
            return day.isoformat(), "day"


def _track(rng: random.Random, language: str, album_id: str, index: int, artists: tuple[Artist, ...]) -> Track:
    disc, number = divmod(index, 50)  # as long boxes are: fifty a disc
    guests = (_artist(rng, rng.choice(sorted(names.LANGUAGES))),) if rng.random() < _GUEST else ()
    title = _title(rng, language)
    return Track(
        id=spotify_id(album_id, index),
        name=f"{title} (feat. {guests[0].name})" if guests else title,
        duration_ms=rng.randint(35_000, 480_000),
        explicit=rng.random() < _EXPLICIT,
        disc_number=disc + 1,
        track_number=number + 1,
        artists=artists + guests,
    )


def _artist(rng: random.Random, language: str) -> Artist:
    chosen = names.LANGUAGES[language]
    if rng.random() < _BAND:
        name = f"{rng.choice(chosen.words)} {names.spaced(rng.choice(names.BAND_NOUNS))}"
    else:
        name = f"{rng.choice(chosen.first)} {names.spaced(rng.choice(chosen.last))}"
    return Artist(spotify_id("artist", name), name)


def _title(rng: random.Random, language: str) -> str:
    words = names.LANGUAGES[language].words
    if rng.random() < _AWKWARD:
        return rng.choice(names.AWKWARD_TITLES)
    title = " ".join(rng.sample(words, rng.choice((1, 1, 2, 2, 2))))
    return f"{title} - {rng.choice(names.VERSIONS)}" if rng.random() < _VERSION else title
