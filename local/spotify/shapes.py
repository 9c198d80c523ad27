"""Words albums, tracks and pages as the Web API does. Pure.

Source: components/schemas of Spotify's Web API OpenAPI description (AlbumBase, SimplifiedAlbumObject,
AlbumObject, SimplifiedTrackObject, PagingObject), May 2026:

- a page requires href, items, limit, next (nullable), offset, previous (nullable), total;
- an album requires album_type, total_tracks, available_markets, external_urls, href, id, images, name,
  release_date, release_date_precision, type, uri, artists; the full one adds tracks, copyrights,
  external_ids, genres, label, popularity; `tracks` is a page of 50 with `next` where there are more;
- a track has artists, available_markets, disc_number, duration_ms, explicit, external_urls, href, id,
  is_local, name, preview_url (null), track_number, type, uri; none of them is required;
- with a market, available_markets gives way to is_playable, and restrictions say why not.

Development-mode apps do not see an album's available_markets, label and popularity nor a track's
available_markets (February 2026 changelog); external_ids was given back in March 2026.

Not here: parameters and errors (`endpoints`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from local.spotify.cohorts import Album, Artist, Track

Json = dict[str, Any]
Mode = Literal["developer", "extended"]

API: Final = "https://api.spotify.com/v1"
IMAGES: Final = "https://i.scdn.co/image"
IMAGE_WIDTHS: Final = (640, 300, 64)
TRACKS_EMBEDDED: Final = 50
"""Tracks a full album brings along; the rest are pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """For whom an object is worded: where links point and covers lie, in which market, for which kind of app."""

    base_url: str = API
    images: str = IMAGES
    market: str | None = None
    mode: Mode = "extended"


def page(items: Sequence[Any], *, offset: int, limit: int, total: int, link: Callable[[int], str]) -> Json:
    """Word one page of a list of `total` entries; `link` makes the address of the page at an offset."""
    return {
        "href": link(offset),
        "items": list(items),
        "limit": limit,
        "next": link(offset + limit) if offset + limit < total else None,
        "offset": offset,
        "previous": link(max(0, offset - limit)) if offset > 0 else None,
        "total": total,
    }


def simplified_album(album: Album, view: View) -> Json:
    """Word an album as lists have it: without tracks."""
    return {
        "album_type": album.album_type,
        "total_tracks": len(album.tracks),
        **_identity("album", album.id, view),
        "images": [
            {"url": image_url(view.images, album.id, width), "height": width, "width": width}
            for width in IMAGE_WIDTHS
        ],
        "name": album.name,
        "release_date": album.release_date,
        "release_date_precision": album.release_date_precision,
        "artists": [_artist(artist, view) for artist in album.artists],
        **_availability(album, view),
    }


def image_url(images: str, album_id: str, width: int) -> str:
    """Where the cover of an album lies in this width."""
    return f"{images}/{album_id}{width}"


def full_album(album: Album, view: View, link: Callable[[int], str] | None = None) -> Json:
    """Word an album with its first 50 tracks; `link` addresses its track pages."""
    tracks = [track(entry, album, view) for entry in album.tracks[:TRACKS_EMBEDDED]]
    link = link or _track_pages(album, view)
    for_extended: Json = {"label": album.label, "popularity": min(100, int(album.appeal * 100))}
    return {
        **simplified_album(album, view),
        "tracks": page(tracks, offset=0, limit=TRACKS_EMBEDDED, total=len(album.tracks), link=link),
        "copyrights": [{"text": f"2026 {album.label}", "type": "C"}],
        "external_ids": {"upc": f"{int(album.id.encode().hex(), 16) % 10**12:012}"},
        "genres": [],
        **(for_extended if view.mode == "extended" else {}),
    }


def track(entry: Track, album: Album, view: View) -> Json:
    """Word a track as albums have it."""
    return {
        **_identity("track", entry.id, view),
        "artists": [_artist(artist, view) for artist in entry.artists],
        "disc_number": entry.disc_number,
        "duration_ms": entry.duration_ms,
        "explicit": entry.explicit,
        "is_local": False,
        "name": entry.name,
        "preview_url": None,
        "track_number": entry.track_number,
        **_availability(album, view),
    }


def _track_pages(album: Album, view: View) -> Callable[[int], str]:
    return lambda offset: f"{view.base_url}/albums/{album.id}/tracks?offset={offset}&limit={TRACKS_EMBEDDED}"


def _artist(artist: Artist, view: View) -> Json:
    return {**_identity("artist", artist.id, view), "name": artist.name}


def _identity(kind: str, identifier: str, view: View) -> Json:
    return {
        "external_urls": {"spotify": f"https://open.spotify.com/{kind}/{identifier}"},
        "href": f"{view.base_url}/{kind}s/{identifier}",
        "id": identifier,
        "type": kind,
        "uri": f"spotify:{kind}:{identifier}",
    }


def _availability(album: Album, view: View) -> Json:
    if view.market is None:
        return {"available_markets": sorted(album.markets)} if view.mode == "extended" else {}
    if view.market in album.markets:
        return {"is_playable": True}
    return {"is_playable": False, "restrictions": {"reason": "market"}}
