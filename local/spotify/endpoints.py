"""Answers one call of the Web API: parameters in, JSON or an error out. Pure.

Bounds are those of the OpenAPI description; wordings of errors are as clients quote them:

- browse/new-releases: limit 1..50 (20), offset; albums: at most 20 ids, an unknown one gives null; album
  tracks: limit 1..50 (20), offset; search: limit 1..10 (5), offset 0..1000, 400 "Invalid limit" (measured
  August 2026);
- development-mode apps get 403 for browse/new-releases, albums?ids= and markets (February 2026 changelog);
- errors are `{"error": {"status", "message"}}`, with `reason` in some.

Not here: tokens, limits, faults.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from yarl import URL

from contracts.names import MARKETS
from local.spotify import shapes
from local.spotify.catalogue import Catalogue, Source
from local.spotify.cohorts import Album
from local.spotify.shapes import Json, Mode, View

OFFSET_MOST: Final = 1000
IDS_MOST: Final = 20
_ID_LENGTH: Final = 22
_SEARCHED: Final = frozenset({"album", "artist", "playlist", "track", "show", "episode", "audiobook"})


class ApiError(Exception):
    """The call is refused with this status and message."""

    def __init__(self, status: int, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason

    def body(self) -> Json:
        """Word the error as the Web API does."""
        reason = {} if self.reason is None else {"reason": self.reason}
        return {"error": {"status": self.status, "message": self.message, **reason}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call, without what HTTP needs. `path` is below the base address; `market_ignored` is a fault."""

    catalogue: Catalogue
    mode: Mode
    base_url: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    album_id: str = ""
    market_ignored: bool = False

    @property
    def market(self) -> str | None:
        """The market asked for; `country` is what browse/new-releases called it until February 2024.

        Raises:
            ApiError: 400 for a market that is not one.
        """
        market = self.query.get("market") or self.query.get("country")
        if market is not None and market not in MARKETS:
            raise ApiError(400, "Invalid market code")
        return market

    @property
    def view(self) -> View:
        """For whom to word the answer."""
        images = f"{self.base_url.removesuffix('/v1')}/image"
        return View(base_url=self.base_url, images=images, market=self.market, mode=self.mode)

    def number(self, name: str, default: int, least: int, most: float = math.inf) -> int:
        """A whole number of the query.

        Raises:
            ApiError: 400 where it is no number or out of bounds.
        """
        text = self.query.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise ApiError(400, f"Invalid {name}")
        return int(text)


Endpoint = Callable[[Ask], Json]


def new_releases(ask: Ask) -> Json:
    """GET /browse/new-releases."""
    _extended_only(ask)
    limit, offset = ask.number("limit", 20, 1, 50), ask.number("offset", 0, 0)
    return {"albums": _listing(ask, "browse", limit, offset, dict(ask.query))}


def search(ask: Ask) -> Json:
    """GET /search. Links carry `query` for `q` and a `locale`, as recorded answers do, and can be followed."""
    wanted = ask.query.get("q") or ask.query.get("query")
    if not wanted:
        raise ApiError(400, "No search query")
    kinds = set(ask.query.get("type", "").split(","))
    if not kinds <= _SEARCHED:
        raise ApiError(400, "Bad search type field" if kinds - {""} else "Missing parameter type")
    limit, offset = ask.number("limit", 5, 1, 10), ask.number("offset", 0, 0, OFFSET_MOST)
    if "album" not in kinds:
        return {}
    carried = {name: value for name, value in ask.query.items() if name != "q"}
    carried |= {"query": wanted, "locale": ask.query.get("locale", "*")}
    if wanted.strip() == "tag:new":
        return {"albums": _listing(ask, "search", limit, offset, carried)}
    return {"albums": shapes.page([], offset=offset, limit=limit, total=0, link=_links(ask, carried, limit))}


def albums(ask: Ask) -> Json:
    """GET /albums."""
    _extended_only(ask)
    ids = [part for part in ask.query.get("ids", "").split(",") if part]
    if not ids:
        raise ApiError(400, "Missing required field: ids")
    if len(ids) > IDS_MOST:
        raise ApiError(400, "Too many ids requested")
    found = [_find(ask, album_id) for album_id in ids]
    return {"albums": [None if album is None else _full(ask, album) for album in found]}


def album(ask: Ask) -> Json:
    """GET /albums/{id}."""
    return _full(ask, _existing(ask))


def album_tracks(ask: Ask) -> Json:
    """GET /albums/{id}/tracks."""
    found, view = _existing(ask), ask.view
    limit, offset = ask.number("limit", 20, 1, 50), ask.number("offset", 0, 0)
    tracks = [shapes.track(entry, found, view) for entry in found.tracks[offset : offset + limit]]
    link = _links(ask, ask.query, limit)
    return shapes.page(tracks, offset=offset, limit=limit, total=len(found.tracks), link=link)


def markets(ask: Ask) -> Json:
    """GET /markets."""
    _extended_only(ask)
    return {"markets": list(MARKETS)}


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/browse/new-releases": new_releases,
    "/search": search,
    "/albums": albums,
    "/albums/{id}": album,
    "/albums/{id}/tracks": album_tracks,
    "/markets": markets,
}
"""What is served below the base address."""


def _extended_only(ask: Ask) -> None:
    if ask.mode == "developer":
        raise ApiError(403, "Forbidden")


def _listing(ask: Ask, source: Source, limit: int, offset: int, carried: Mapping[str, str]) -> Json:
    market, view = ask.market, ask.view
    listed = ask.catalogue.releases(None if ask.market_ignored else market, source)
    items = [
        shapes.simplified_album(ask.catalogue.record(album_id), view)
        for album_id in listed[offset : offset + limit]
    ]
    link = _links(ask, carried, limit)
    return shapes.page(items, offset=offset, limit=limit, total=len(listed), link=link)


def _links(ask: Ask, carried: Mapping[str, str], limit: int) -> Callable[[int], str]:
    url = URL(f"{ask.base_url}{ask.path}")
    return lambda offset: str(url.with_query({**carried, "offset": str(offset), "limit": str(limit)}))


def _find(ask: Ask, album_id: str) -> Album | None:
    if len(album_id) != _ID_LENGTH or not (album_id.isascii() and album_id.isalnum()):
        raise ApiError(400, "Invalid base62 id")
    try:
        return ask.catalogue.record(album_id)
    except KeyError:
        return None


def _existing(ask: Ask) -> Album:
    found = _find(ask, ask.album_id)
    if found is None:
        raise ApiError(404, "Resource not found")
    return found


def _full(ask: Ask, found: Album) -> Json:
    # The embedded page links to the page after it as /albums/{id}/tracks would.
    carried = {"market": ask.market} if ask.market else {}
    tracks = URL(f"{ask.base_url}/albums/{found.id}/tracks")

    def link(offset: int) -> str:
        return str(tracks.with_query({**carried, "offset": str(offset), "limit": str(shapes.TRACKS_EMBEDDED)}))

    return shapes.full_album(found, ask.view, link)
