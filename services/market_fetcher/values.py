"""JSON as it comes, and an album's values as they are documented: pure.

Spotify's numbers come as floats at times, or as text, or not at all. What reaches the table is brought to its type
here, so that the job reads a strict form: a whole number that came as a float is converted; any other value of a wrong
type becomes null, and is counted. Fields that nobody reads stay as they came.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from contracts import columns

Json = Mapping[str, Any]

_MOST: Final = 2**63 - 1  # what a 64-bit column holds
_DIGITS: Final = 20  # more are not taken for a number, and Python itself refuses to read thousands


class NoNumber(str):
    """A number that JSON cannot say or no column can hold (NaN, 1e999, hundreds of digits), as it was spelt."""

    __slots__ = ()


def parse(body: bytes | str) -> Any:
    """Read JSON, and what Python would otherwise write again as no JSON.

    Raises:
        ValueError, RecursionError: it is not JSON.
    """
    return json.loads(body, parse_constant=NoNumber, parse_float=_float, parse_int=_int)


def _float(text: str) -> float | NoNumber:
    number = float(text)
    return number if math.isfinite(number) else NoNumber(text)


def _int(text: str) -> int | NoNumber:
    return int(text) if len(text) <= _DIGITS else NoNumber(text)


def whole(value: object) -> int | None:
    """A count or a length, also where it came as a float; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and not isinstance(value, NoNumber) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_Value = Callable[[object], object]
_KINDS: Final[Mapping[columns.Kind, _Value]] = {"STRING": _text, "INT64": whole, "BOOL": _truth}


def _typed(place: str) -> dict[str, _Value]:
    """How each field that reaches the table from there is brought to its type."""
    return {field: _KINDS[column.kind] for field, column in columns.taken(place).items()}


_ALBUM: Final = _typed(columns.ALBUM)
_TRACK: Final = _typed(columns.TRACK)
_ARTIST: Final = dict.fromkeys(("id", "name"), _text)


@dataclass(slots=True)
class _Odd:
    """Brings values to their types, and counts those it cannot."""

    count: int = 0

    def album(self, album: Json) -> dict[str, Any]:
        tracks = [self.track(track) for track in album["tracks"]["items"]]
        return {**self.fields(album, _ALBUM), "tracks": {**album["tracks"], "items": tracks}}

    def track(self, track: Json) -> dict[str, Any]:
        made = self.fields(track, _TRACK)
        if "artists" in made:
            made["artists"] = [self.artist(entry) for entry in self.entries(made["artists"])]
        return made

    def artist(self, artist: object) -> dict[str, Any] | None:
        if isinstance(artist, dict):
            return self.fields(artist, _ARTIST)
        self.count += artist is not None
        return None

    def entries(self, value: object) -> list[Any]:
        self.count += not isinstance(value, list)
        return value if isinstance(value, list) else []

    def fields(self, found: Json, kinds: Mapping[str, _Value]) -> dict[str, Any]:
        made = {name: kind(found[name]) for name, kind in kinds.items() if name in found}
        self.count += sum(value is None and found[name] is not None for name, value in made.items())
        return {**found, **made}


def normal(album: Json) -> tuple[dict[str, Any], int]:
    """A whole album with every field that reaches the table of its documented type, and how many became null."""
    odd = _Odd()
    return odd.album(album), odd.count


_COVER_WIDTH: Final = 300  # pixels; Spotify has 640, 300 and 64
_COVER_PATH: Final = r"/[\w./%~-]{1,1000}"


def _cover(album: Json, images: str) -> tuple[str | None, int]:
    """The cover's address; odd where Spotify lists images and none of them has an address below `images`."""
    told = album.get("images")
    if not isinstance(told, list):
        return None, int(told is not None)
    entries = [entry for entry in told if entry is not None]
    address = re.compile(re.escape(images.rstrip("/")) + _COVER_PATH, re.ASCII)
    objects = [entry for entry in entries if isinstance(entry, dict)]
    usable = [entry for entry in objects if address.fullmatch(_text(entry.get("url")) or "")]
    if not usable:
        return None, int(bool(entries))
    return min(usable, key=_beside_cover_width)["url"], 0


def _beside_cover_width(image: Json) -> float:
    width = whole(image.get("width"))
    return math.inf if width is None else abs(width - _COVER_WIDTH)


DERIVED: Final[Mapping[str, Callable[[Json, str], tuple[Any, int]]]] = {"image_url": _cover}
"""By column, how its value is worked out of an album and the address below which images lie."""


def derive(album: Json, images: str) -> tuple[dict[str, Any], int]:
    """By column, the values worked out of an album for the table, and how many of them were odd."""
    made = {name: work_out(album, images) for name, work_out in DERIVED.items()}
    odd = sum(odd for _, odd in made.values())
    return {name: value for name, (value, _) in made.items() if value is not None}, odd


KNOWN: Final = f"{crc32(repr([(column.source, column.kind) for column in columns.COLUMNS]).encode()):08x}"
"""Digest of the columns whose values were brought to their types; an album cached for other columns has another one."""
