"""Spotify's objects as they come, and a part as we write it: pure, and lenient where the specification is.

Nothing of an album is renamed, added or dropped, but null tracks and repeated ones; `tracks.items` becomes the
whole list and `tracks.next` null, since nothing is left to be read.
"""

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from contracts.names import is_spotify_id
from services.market_fetcher.ports import Json, SourceName

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    items: tuple[dict[str, Any], ...]
    nulls: int
    """Entries that were null, or no object."""
    following: int | None
    """Offset of the next page; None at the end."""
    looks_cut: bool
    """Whether it is empty although the list says that there is more."""


def read_page(paging: object, *, offset: int, limit: int) -> Page:
    """Read a paging object that was asked for at `offset` with `limit`; anything else is an empty last page."""
    fields: Mapping[str, Any] = paging if isinstance(paging, dict) else {}
    entries = fields.get("items")
    entries = entries if isinstance(entries, list) else []
    items = tuple(entry for entry in entries if isinstance(entry, dict))
    following = _following(fields, offset, limit)
    total = fields.get("total")
    more = following is not None or (isinstance(total, int) and total > offset)
    return Page(items, len(entries) - len(items), following, looks_cut=not entries and more)


def _following(fields: Mapping[str, Any], offset: int, limit: int) -> int | None:
    """Where the next page begins: told by `next`, but never backwards nor beyond what was asked.

    The link itself is not followed: it could lead in a circle, or lead the token elsewhere.
    """
    link = fields.get("next")
    if not isinstance(link, str) or not link:
        return None
    told = parse_qs(urlsplit(link).query).get("offset", [""])[0]
    begins = int(told) if told.isdecimal() and len(told) < 10 else 0  # noqa: PLR2004 -- longer is no offset
    return begins if offset < begins <= offset + limit else offset + limit


def album_key(album: Json) -> Hashable:
    """What makes two entries of a listing one album; None where it has no usable id."""
    return album["id"] if is_spotify_id(album.get("id")) else None


def track_key(track: Json) -> Hashable:
    """What makes two entries of an album one track. A local or broken track has no id; its place tells it."""
    place = (track.get("disc_number"), track.get("track_number"))
    identity = track.get("id") or track.get("uri") or track.get("name")
    return json.dumps([identity, *place], default=str)


KeyOf = Callable[[Json], Hashable]


def whole_album(album: Json, tracks: list[dict[str, Any]]) -> dict[str, Any]:
    """The album with all its tracks in place of the first page."""
    paging = album.get("tracks")
    paging = paging if isinstance(paging, dict) else {"total": len(tracks)}
    return {**album, "tracks": {**paging, "items": tracks, "next": None}}


@dataclass(frozen=True, slots=True)
class Album:
    """An album with all its tracks, compressed: thousands fit in memory, and a part copies it through unparsed."""

    id: str
    fetched_at: datetime
    """When its reading began, UTC."""
    body: bytes | None
    """As it is cached: gzip of `{"fetched_at", "skipped_nulls", "album"}`; None for an album that is gone."""
    tracks: int = 0
    nulls: int = 0
    """Null tracks left out."""
    released: str = ""
    """Its release date where that is a day, else empty."""


_ALBUM = b',"album":'  # stands last of the keys, in the cache as in a line of a part, and first in this spelling


def pack(album_id: str, album: Json, *, nulls: int, fetched_at: datetime) -> Album:
    """Compress a whole album. JSON stays ASCII, since names may hold lone surrogates that UTF-8 cannot."""
    kept = {"fetched_at": fetched_at.isoformat(), "skipped_nulls": nulls, "album": album}
    body = _gzip([json.dumps(kept, separators=(",", ":")).encode()])
    return Album(album_id, fetched_at, body, len(album["tracks"]["items"]), nulls, _day(album))


def unpack(album_id: str, body: bytes) -> Album | None:
    """An album out of the cache, or None where the object is not what `pack` made."""
    try:
        kept = json.loads(gzip.decompress(body))
        fetched_at, album = datetime.fromisoformat(kept["fetched_at"]), kept["album"]
        tracks = len(album["tracks"]["items"])
        return Album(album_id, fetched_at, body, tracks, int(kept["skipped_nulls"]), _day(album))
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError):
        return None


def _day(album: Json) -> str:
    """The release date, where it is a real day; Spotify has `1981`, `1981-12` and `0000` too."""
    told = album.get("release_date")
    if not isinstance(told, str) or not _DAY.fullmatch(told):
        return ""
    try:
        return date.fromisoformat(told).isoformat()
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The newest albums of a market, in Spotify's order, each once."""

    source: SourceName
    ids: tuple[str, ...]
    nulls: int
    fetched_at: datetime


def part_body(run_id: str, market: str, listing: Listing, albums: Iterable[Album]) -> bytes:
    """The raw object: gzip JSON lines, one album each; the same bytes for the same content."""
    head = {
        "market": market,
        "run_id": run_id,
        "source": listing.source,
        "fetched_at": listing.fetched_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    opening = json.dumps(head, separators=(",", ":")).encode()[:-1] + _ALBUM
    bodies = (album.body for album in albums)
    return _gzip(
        opening + gzip.decompress(body).partition(_ALBUM)[2] + b"\n" for body in bodies if body is not None
    )


def _gzip(chunks: Iterable[bytes]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as file:
        for chunk in chunks:
            file.write(chunk)
    return out.getvalue()


def part_metadata(
    listing: Listing, albums: Iterable[Album], *, run_id: str, app: str, calls: int, event_id: str
) -> dict[str, str]:
    """What a listing of the bucket tells about a part without reading it; all values are text.

    `calls` are the calls the process has made since it wrote the part before: shared albums belong to no one
    market, but over a run the figures add up.
    """
    found = list(albums)
    there = [album for album in found if album.body is not None]
    return {
        "source": listing.source,
        "app": app,
        "album-count": str(len(there)),
        "track-count": str(sum(album.tracks for album in there)),
        "calls": str(calls),
        "skipped-nulls": str(listing.nulls + sum(album.nulls for album in there)),
        "skipped-albums": str(len(found) - len(there)),
        "event-id": event_id,
        "list-hash": list_hash(listing.ids),
        "newest-release": _newest(there, run_id),
    }


def list_hash(ids: Iterable[str]) -> str:
    """The same for the same set of albums, whatever their order."""
    return hashlib.sha256("\n".join(sorted(set(ids))).encode()).hexdigest()[:32]


def _newest(albums: Iterable[Album], run_id: str) -> str:
    """The newest release, up to the day after the run: it is tomorrow somewhere, and later is but announced."""
    last = (date.fromisoformat(run_id) + timedelta(days=1)).isoformat()
    return max((album.released for album in albums if album.released <= last), default="")
