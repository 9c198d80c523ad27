"""Reads albums with all their tracks, each once: for all markets of a run together, and across weeks.

An album wanted by many markets is one flight. A flight looks into memory, then into the bucket's cache, then asks
Spotify, pages through the tracks beyond the first fifty, and keeps what it got in both.

Where the app may, twenty albums are one call. A batch that is not full waits while a market is still being listed
or an album still being looked up, since those may fill it: so U albums take ceil(U/20) calls however many markets
they come from.

Albums are asked for without a market. With one, Spotify answers for that market (`is_playable` in place of
`available_markets`, tracks relinked to others), and the answer could not be shared; which market an album is new
in is what the listing says.

A null in a batch is asked for alone before it counts: Spotify also answers null for what it fails to read. An
album that is then 404 was taken down since it was listed; it is left out and counted, since no retry brings it.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from contracts.names import album_cache_name
from eventing.errors import Retryable
from eventing.objects import ObjectStore
from services.market_fetcher.flights import Flights
from services.market_fetcher.paging import collect
from services.market_fetcher.ports import Json, Refused, Time, WebApi
from services.market_fetcher.releases import Ability
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

_BATCH = 20  # ids in one call, by the specification
_TRACK_PAGE = 50
_TRACK_PAGES = 400  # 20,000 tracks; the longest albums have some thousand
_QUIET = 0.05  # seconds without a market on its way before a batch that is not full leaves
_LINGER = 30.0  # seconds a batch waits at most: one stalled listing must not hold up the others for ever
_GONE_FOR = timedelta(hours=1)
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST)
_REFUSED_AFTER = timedelta(minutes=10)


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


class Arrivals:
    """Counts what is on its way and may still ask for albums."""

    def __init__(self) -> None:
        self._coming = 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Something is on its way inside this block."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def __bool__(self) -> bool:
        return self._coming > 0


@dataclass(slots=True)
class _Batch:
    number: int
    ids: list[str] = field(default_factory=list)
    full: asyncio.Event = field(default_factory=asyncio.Event)


class AlbumReader:
    """Reads single albums by batches where the app may."""

    def __init__(self, api: WebApi, ability: Ability) -> None:
        self.arriving = Arrivals()
        self._api = api
        self._ability = ability
        self._reads: Flights[dict[str, Json]] = Flights()
        self._open: _Batch | None = None
        self._batches = 0

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._reads.aclose()

    def join(self, album_id: str) -> Awaitable[Json | None]:
        """Ask for an album, from this moment on; await the result to have it, None where it is gone.

        Raises:
            Retryable: see `WebApi.get`.
        """
        if self._ability.several is False:
            return self._single(album_id)
        return self._from_batch(self._join(album_id), album_id)

    def _join(self, album_id: str) -> _Batch:
        if self._open is None:
            self._batches += 1
            self._open = _Batch(self._batches)
        batch = self._open
        batch.ids.append(album_id)
        if len(batch.ids) == _BATCH:
            batch.full.set()
            self._open = None
        return batch

    async def _from_batch(self, batch: _Batch, album_id: str) -> Json | None:
        found = await self._reads.join(batch.number, lambda: self._read(batch))
        return found[album_id] if album_id in found else await self._single(album_id)

    async def _read(self, batch: _Batch) -> dict[str, Json]:
        with contextlib.suppress(TimeoutError):  # a batch need not be full
            async with asyncio.timeout(_LINGER):
                await self._filled(batch)
        if self._open is batch:
            self._open = None
        return await self._several(batch.ids)

    async def _filled(self, batch: _Batch) -> None:
        quiet = False
        while not batch.full.is_set() and not quiet:
            before = (bool(self.arriving), len(batch.ids))
            with contextlib.suppress(TimeoutError):  # the look around, not a fault
                await asyncio.wait_for(batch.full.wait(), _QUIET)
            quiet = before == (False, len(batch.ids)) and not self.arriving

    async def _several(self, ids: Sequence[str]) -> dict[str, Json]:
        """The albums of a batch by id; one that is missing is read alone by whoever wants it."""
        if self._ability.several is False:
            return {}
        try:
            answer = await self._api.get("/albums", {"ids": ",".join(ids)}, expect="albums")
        except Refused as error:
            if error.status == HTTPStatus.FORBIDDEN:
                self._ability.several = False
                log.info("albums_read_singly", extra={"app": self._ability.app})
            elif error.status not in _GONE:
                raise _refused(error) from error
            return {}
        self._ability.several = True
        albums = answer["albums"] if isinstance(answer["albums"], list) else []
        return {str(album.get("id")): album for album in albums if isinstance(album, dict)}

    async def _single(self, album_id: str) -> Json | None:
        try:
            return await self._api.get(f"/albums/{album_id}", {}, expect="id")
        except Refused as error:
            if error.status in _GONE:
                return None
            raise _refused(error) from error


def _refused(refusal: Refused) -> Retryable:
    return Retryable(f"albums: {refusal}", after=_REFUSED_AFTER)


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
            if error.status in _GONE:
                return None
            raise _refused(error) from error
        return whole_album(album, list(found.items.values())), found.nulls

    async def _keep(self, album: Album) -> None:
        try:
            await self._store.write(album_cache_name(album.id), album.body or b"")
        except Retryable as error:
            # The cache only spares calls; the part itself is what must be written.
            log.warning("cache_not_written", extra={"album": album.id, "reason": str(error)})
