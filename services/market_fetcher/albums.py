"""Reads albums with all their tracks, each once: for all markets of a run together, and across weeks.

An album wanted by many markets is one flight. A flight looks into memory, then into the bucket's cache, then asks
Spotify, pages through the tracks beyond the first fifty, and keeps what it got in both.

Albums are asked for without a market. With one, Spotify answers for that market (`is_playable` in place of
`available_markets`, tracks relinked to others), and the answer could not be shared; which market an album is new
in is what the listing says.

An album that is 404 was taken down since it was listed; it is left out and counted, since no retry brings it. Not here:
how many albums are one call (`batches`).
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Iterable
from datetime import datetime, timedelta
from typing import Any

from contracts.names import album_cache_name
from eventing.errors import Retryable
from eventing.objects import ObjectStore
from services.market_fetcher.batches import GONE, AlbumReader, refused
from services.market_fetcher.flights import Flights
from services.market_fetcher.paging import collect
from services.market_fetcher.ports import Json, Refused, Time, WebApi
from services.market_fetcher.shapes import (
    Album,
    Page,
    pack,
    read_page,
    track_key,
    unpack,
    whole_album,
)

log = logging.getLogger(__name__)

_TRACK_PAGE = 50
_TRACK_PAGES = 400  # 20,000 tracks; the longest albums have some thousand
_GONE_FOR = timedelta(hours=1)


class AlbumMemory:
    """The albums used last, by id, up to a number of compressed bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[str, Album] = OrderedDict()

    def get(self, album_id: str) -> Album | None:
        """An album, which thereby is the one used last."""
        if album_id in self._kept:
            self._kept.move_to_end(album_id)
        return self._kept.get(album_id)

    def put(self, album: Album) -> None:
        """Keep an album in place of its older reading, and drop those not used for longest."""
        self._size += _size(album) - _size(self._kept.pop(album.id, None))
        self._kept[album.id] = album
        while self._size > self._most and self._kept:
            self._size -= _size(self._kept.popitem(last=False)[1])


def _size(album: Album | None) -> int:
    """Bytes an album takes; some hundred beside its body."""
    return 0 if album is None else len(album.body or b"") + 512


class Albums:
    """Albums with all their tracks. `kept` bounds the memory."""

    def __init__(
        self, api: WebApi, reader: AlbumReader, store: ObjectStore, time: Time, kept: AlbumMemory
    ) -> None:
        self._api = api
        self._reader = reader
        self._store = store
        self._time = time
        self._memory = kept
        self._flights: Flights[Album] = Flights()

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._flights.aclose()

    async def all(self, ids: Iterable[str], *, since: datetime | None) -> list[Album]:
        """Every album, in order; none read before `since`. Ids are checked (`is_spotify_id`).

        Raises:
            Throttled, Retryable: not all can be had now; those that can are kept for the next time.
        """
        return list(await asyncio.gather(*(self._one(album_id, since) for album_id in ids)))

    async def _one(self, album_id: str, since: datetime | None) -> Album:
        album = self._memory.get(album_id)
        while album is None or not self._counts(album, since):
            album = await self._flights.join(album_id, lambda: self._fly(album_id, since))
        return album

    def _counts(self, album: Album, since: datetime | None) -> bool:
        """Whether a reading is new enough; that an album is gone is believed for an hour."""
        if album.body is None and self._time.now() - album.fetched_at > _GONE_FOR:
            return False
        return since is None or album.fetched_at >= since

    async def _fly(self, album_id: str, since: datetime | None) -> Album:
        with self._reader.arriving():
            began = self._time.now()
            cached = await self._cached(album_id)
            hit = cached is not None and self._counts(cached, since)
            reading = None if hit else self._reader.join(album_id)
        album = cached if reading is None else await self._read(album_id, reading, began)
        assert album is not None  # noqa: S101 -- a hit is an album
        self._memory.put(album)
        return album

    async def _cached(self, album_id: str) -> Album | None:
        stored = await self._store.read(album_cache_name(album_id))
        if stored is None:
            return None
        album = unpack(album_id, stored.body)
        if album is None:
            log.warning("cache_unreadable", extra={"album": album_id})
        return album

    async def _read(self, album_id: str, reading: Awaitable[Json | None], began: datetime) -> Album:
        album = await reading
        whole = None if album is None else await self._whole(album_id, album)
        if whole is None:
            log.warning("album_gone", extra={"album": album_id})
            return Album(album_id, began, None)
        packed = pack(album_id, whole[0], nulls=whole[1], fetched_at=began)
        await self._keep(packed)
        return packed

    async def _whole(self, album_id: str, album: Json) -> tuple[dict[str, Any], int] | None:
        """The album with all tracks, and how many were null; None where it goes away meanwhile."""

        async def read(offset: int) -> Page:
            asked = {"limit": str(_TRACK_PAGE), "offset": str(offset)}
            answer = await self._api.get(f"/albums/{album_id}/tracks", asked, expect="items")
            return read_page(answer, offset=offset, limit=_TRACK_PAGE)

        embedded = album.get("tracks")
        first = read_page(embedded, offset=0, limit=_TRACK_PAGE) if isinstance(embedded, dict) else None
        if first is not None and first.looks_cut:
            first = None
        try:
            found = await collect(read, track_key, pages=_TRACK_PAGES, first=first)
        except Refused as error:
            if error.status in GONE:
                return None
            raise refused(error) from error
        return whole_album(album, list(found.items.values())), found.nulls

    async def _keep(self, album: Album) -> None:
        try:
            await self._store.write(album_cache_name(album.id), album.body or b"")
        except Retryable as error:
            # The cache only spares calls; the part itself is what must be written.
            log.warning("cache_not_written", extra={"album": album.id, "reason": str(error)})
