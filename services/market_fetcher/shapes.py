"""Spotify's objects as they come, and a part as we write it: pure, and lenient where the specification is.

Nothing of an album is renamed, added or dropped, but null tracks and repeated ones; `tracks.items` becomes the
whole list and `tracks.next` null, since nothing is left to be read; `id` is the one under which it was listed. Fields
that reach the table are brought to their types before, and what is worked out of an album stands beside it (`values`).

A list is believed only if it has the shape of one (`listing_flaw`): that there was an answer says nothing.
"""

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qs

from contracts.names import is_spotify_id
from contracts.parts import FORM, PartMetadata
from services.market_fetcher.ports import Flaw, Json, SourceName
from services.market_fetcher.values import KNOWN, derive, normal, parse, whole

CACHED_MOST_BYTES: Final = 12 * 1024 * 1024
"""Bytes that a cached album may take, compressed; the longest take some MiB."""
_PLAIN_MOST = 64 * 1024 * 1024  # bytes; 20,000 tracks with their market lists take about 45 MiB
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ForeignError(Exception):
    """What lies in the cache is not what `pack` made of the album; says how one sees it."""


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
    odd: int = 0
    """1 where it is not a list at all."""


def token_flaw(answer: Json) -> str | None:
    """Find fault with an answer that is to hold an access token, which must be able to stand in a header."""
    token = answer.get("access_token")
    is_usable = isinstance(token, str) and re.fullmatch(r"[!-~]{1,8192}", token)
    return None if is_usable else "a body without an access_token that can be sent"


def listing_flaw(offset: int) -> Flaw:
    """Finds fault with a page of a listing: one that is not a list, or a first page without a usable entry.

    Only a well-formed page that says itself that there is nothing is an empty list.
    """

    def flaw(answer: Json) -> str | None:
        paging = answer.get("albums")
        entries = paging.get("items") if isinstance(paging, dict) else None
        if not isinstance(paging, dict) or not isinstance(entries, list):
            return "a listing that is no list of albums"
        if offset > 0 or any(isinstance(entry, dict) and is_spotify_id(entry.get("id")) for entry in entries):
            return None
        if entries:
            return f"a listing of {len(entries)} entries, none of which is an album with an id"
        says_so = whole(paging.get("total")) == 0 and not paging.get("next")
        return None if says_so else "a listing without an album, which does not say that it is empty"

    return flaw


def album_flaw(answer: Json) -> str | None:
    """Find fault with an answer that is to be an album."""
    return None if is_spotify_id(answer.get("id")) else "an album without an id"


def list_flaw(key: str) -> Flaw:
    """Finds fault with an answer that is to hold a list."""
    return lambda answer: None if isinstance(answer.get(key), list) else f"a body whose {key} is no list"


def by_asked_id(ids: Sequence[str], answered: Sequence[object]) -> dict[str, Json]:
    """The albums of a batch by the id they were asked for; one that is put under another id is told by its place."""
    albums = [entry if isinstance(entry, dict) and is_spotify_id(entry.get("id")) else None for entry in answered]
    found = {str(album["id"]): album for album in albums if album is not None}
    if len(albums) != len(ids):
        return {name: album for name, album in found.items() if name in ids}
    placed = {name: found.get(name, album) for name, album in zip(ids, albums, strict=True)}
    strangers = found.keys() - set(ids)
    return {
        name: album
        for name, album in placed.items()
        if album is not None and (name in found or album["id"] in strangers)
    }


def read_page(paging: object, *, offset: int, limit: int) -> Page:
    """Read a paging object that was asked for at `offset` with `limit`; anything else is an empty last page."""
    fields: Mapping[str, Any] = paging if isinstance(paging, dict) else {}
    listed = fields.get("items")
    entries = listed if isinstance(listed, list) else []
    items = tuple(entry for entry in entries if isinstance(entry, dict))
    following = _following(fields, offset, limit)
    more = following is not None or (whole(fields.get("total")) or 0) > offset
    nulls, odd = len(entries) - len(items), int(not isinstance(listed, list))
    return Page(items, nulls, following, looks_cut=not entries and more, odd=odd)


def _following(fields: Mapping[str, Any], offset: int, limit: int) -> int | None:
    """Where the next page begins: told by `next`, but never backwards nor beyond what was asked.

    The link itself is not followed: it could lead in a circle, or lead the token elsewhere.
    """
    link = fields.get("next")
    if not isinstance(link, str) or not link:
        return None
    told = parse_qs(link.partition("?")[2]).get("offset", [""])[0]
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


def tracks_told(album: Json) -> int:
    """How many tracks Spotify says an album has; 0 where it does not say."""
    paging = album.get("tracks")
    told = (album.get("total_tracks"), paging.get("total") if isinstance(paging, dict) else None)
    return max(whole(count) or 0 for count in told)


@dataclass(frozen=True, slots=True)
class Album:
    """An album with all its tracks, compressed: thousands fit in memory, and a part copies it through unparsed."""

    id: str
    """Under which it is listed."""
    fetched_at: datetime
    """When its reading began, UTC."""
    body: bytes
    """As it is cached: gzip of what was found beside it, and the album."""
    tracks: int = 0
    nulls: int = 0
    """Null tracks left out."""
    released: str = ""
    """Its release date where that is a day, else empty."""
    odd: int = 0
    """Values that became null, since they were not of their type."""
    short: int = 0
    """Tracks that Spotify says it has, and did not give."""
    answered: str = ""
    """The id in the answer; another than the listed one where Spotify has put two albums together."""
    told: int | None = None
    """How many tracks the listing named for which it was read."""

    def agrees(self, told: int | None) -> bool:
        """Whether it has the tracks that a listing names."""
        return told is None or told in (self.tracks, self.tracks + self.nulls)


@dataclass(frozen=True, slots=True)
class Absent:
    """An album that is listed and cannot be had."""

    id: str
    seen_at: datetime
    cause: Literal["gone", "unusable", "refused"]
    reason: str
    sure: bool = False
    """Whether a look some minutes after the first saw the same."""


_DERIVED = (
    b',"derived":'  # it and the album stand last, in the cache as in a part's line, and first in this spelling
)


def pack(
    album_id: str,
    album: Json,
    *,
    nulls: int,
    fetched_at: datetime,
    odd: int = 0,
    told: int | None = None,
    derived: Json | None = None,
) -> Album:
    """Compress a whole album. JSON stays ASCII, since names may hold lone surrogates that UTF-8 cannot."""
    kept = {
        "fetched_at": fetched_at.isoformat(),
        "skipped_nulls": nulls,
        "odd_values": odd,
        "answered": str(album.get("id") or album_id),
        "told": told,
        "columns": KNOWN,
        "derived": derived or {},
        "album": {**album, "id": album_id},
    }
    return _packed(album_id, _gzip([json.dumps(kept, separators=(",", ":")).encode()]), kept)


def unpack(album_id: str, body: bytes, images: str) -> Album:
    """An album out of the cache; `images` as in `derive`.

    Raises:
        ForeignError: it is not what `pack` made of this album.
    """
    try:
        kept, is_split = _kept(_plain(body))
        if kept["album"]["id"] != album_id:
            raise ForeignError("holds another album")
        if is_split and kept.get("columns") == KNOWN:
            return _packed(album_id, body, kept)
        return _modern(album_id, kept, images)
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ForeignError(f"is no album as they are cached ({type(error).__name__})") from error


def _plain(body: bytes) -> bytes:
    """What was compressed: one stream, whole, and no more than an album can be."""
    opened = zlib.decompressobj(wbits=31)  # gzip
    plain = opened.decompress(body, _PLAIN_MOST)
    if not opened.eof or opened.unused_data:
        raise ForeignError(f"is cut short, is followed by something, or holds more than {_PLAIN_MOST:,} bytes")
    return plain


def _kept(plain: bytes) -> tuple[Json, bool]:
    """What `pack` kept, and whether it can be cut where a part's line is cut out of it."""
    head, mark, rest = plain.partition(_DERIVED)
    if not mark:
        return parse(plain), False
    return parse(head + b"}") | parse(mark.replace(b",", b"{") + rest), True


def _modern(album_id: str, kept: Json, images: str) -> Album:
    """What a version with other columns cached: values are brought to their types, and derived, for today's columns."""
    album, odd = normal(kept["album"])
    derived, more = derive(album, images)
    return pack(
        album_id,
        {**album, "id": kept.get("answered") or album.get("id")},
        nulls=int(kept["skipped_nulls"]),
        fetched_at=datetime.fromisoformat(kept["fetched_at"]),
        odd=int(kept.get("odd_values", 0)) + odd + more,
        told=kept.get("told"),
        derived=derived,
    )


def _packed(album_id: str, body: bytes, kept: Json) -> Album:
    album, fetched_at = kept["album"], datetime.fromisoformat(kept["fetched_at"])
    if not isinstance(album["tracks"]["items"], list) or fetched_at.tzinfo is None:
        raise ForeignError("has no list of tracks, or a time without a zone")
    tracks = len(album["tracks"]["items"])
    return Album(
        album_id,
        fetched_at,
        body,
        tracks,
        int(kept["skipped_nulls"]),
        _day(album),
        int(kept["odd_values"]),
        max(0, tracks_told(album) - tracks),
        str(kept["answered"]),
        whole(kept["told"]),
    )


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
    told: Mapping[str, int] = field(default_factory=dict)
    """How many tracks the listing says an album has, by id, where it says so."""


def distinct(found: Iterable[Album | Absent]) -> list[Album | Absent]:
    """Each album once, under the id that is listed first, where two ids are answered by one album."""
    kept: dict[str, Album | Absent] = {}
    for entry in found:
        kept.setdefault(entry.answered if isinstance(entry, Album) else f"absent {entry.id}", entry)
    return list(kept.values())


def part_body(run_id: str, market: str, listing: Listing, found: Iterable[Album | Absent]) -> bytes:
    """The raw object: gzip JSON lines, one album each, numbered; the same bytes for the same content."""
    head = {
        "market": market,
        "run_id": run_id,
        "source": listing.source,
        "fetched_at": listing.fetched_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    opening = json.dumps(head, separators=(",", ":")).encode()[:-1]
    albums = (entry for entry in found if isinstance(entry, Album))
    return _gzip(
        b'%b,"number":%d%b%b\n' % (opening, number, _DERIVED, gzip.decompress(album.body).partition(_DERIVED)[2])
        for number, album in enumerate(albums, start=1)
    )


def _gzip(chunks: Iterable[bytes]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as file:
        for chunk in chunks:
            file.write(chunk)
    return out.getvalue()


def part_metadata(
    listing: Listing, found: Sequence[Album | Absent], *, run_id: str, app: str, calls: int, event_id: str
) -> dict[str, str]:
    """What a listing of the bucket tells about a part without reading it; all values are text.

    `calls` are the calls the process has made since it wrote the part before: shared albums belong to no one
    market, but over a run the figures add up.
    """
    there = [entry for entry in found if isinstance(entry, Album)]
    return _contract(listing, found, there).to_text() | {
        "source": listing.source,
        "app": app,
        "calls": str(calls),
        "skipped-nulls": str(listing.nulls + sum(album.nulls for album in there)),
        "skipped-albums": str(len(found) - len(there)),
        "event-id": event_id,
        "list-hash": list_hash(listing.ids),
        "newest-release": _newest(there, run_id),
    }


def _contract(listing: Listing, found: Sequence[Album | Absent], there: Sequence[Album]) -> PartMetadata:
    absent = [entry.cause for entry in found if isinstance(entry, Absent)]
    return PartMetadata(
        form=FORM,
        album_count=len(there),
        track_count=sum(album.tracks for album in there),
        albums_listed=len(found),
        albums_gone=absent.count("gone"),
        albums_unusable=absent.count("unusable"),
        albums_short=sum(album.short > 0 for album in there),
        tracks_short=sum(album.short for album in there),
        odd_values=sum(album.odd for album in there),
        empty=not listing.ids,
    )


def list_hash(ids: Iterable[str]) -> str:
    """The same for the same set of albums, whatever their order."""
    return hashlib.sha256("\n".join(sorted(set(ids))).encode()).hexdigest()[:32]


def _newest(albums: Iterable[Album], run_id: str) -> str:
    """The newest release, up to the day after the run: it is tomorrow somewhere, and later is but announced."""
    day = date.fromisoformat(run_id)
    last = (day + min(timedelta(days=1), date.max - day)).isoformat()
    return max((album.released for album in albums if album.released <= last), default="")
