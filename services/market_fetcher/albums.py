"""Reads albums with all their tracks, each once: for all markets of a run together, and across weeks.

An album wanted by many markets is one flight. A flight looks into memory, then into the bucket's cache, then asks
Spotify, pages through the tracks beyond the first fifty, and keeps what it got in both.

Albums are asked for without a market. With one, Spotify answers for that market (`is_playable` in place of
`available_markets`, tracks relinked to others), and the answer could not be shared; which market an album is new
in is what the listing says.

An album that was taken down since it was listed is 404. One such answer says little: it is looked at again a second
later, and once more after some minutes, all within the delivery; an album that is still missing then is left out and
counted, for all markets and for an hour. An answer that can be no album is treated the same. Where many of one list are
missing it is an outage, and nothing lands; so it is where a call is refused for any other reason. Not here: how many
albums are one call (`batches`).
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from cachetools import LRUCache

from contracts.names import album_cache_name
from eventing.errors import Retryable
from eventing.objects import ObjectStore, TooLarge
from services.market_fetcher.batches import AlbumReader
from services.market_fetcher.decisions import absence, is_outage
from services.market_fetcher.flights import Flights
from services.market_fetcher.paging import Collected, PageSizes, collect
from services.market_fetcher.ports import Json, Nonsense, Refused, Time, WebApi
from services.market_fetcher.releases import CHECK_THE_APP, REFUSED_REST
from services.market_fetcher.shapes import (
    CACHED_MOST_BYTES,
    Absent,
    Album,
    ForeignError,
    Listing,
    Page,
    distinct,
    list_flaw,
    pack,
    read_page,
    track_key,
    tracks_told,
    unpack,
    whole_album,
)
from services.market_fetcher.values import derive, normal

log = logging.getLogger(__name__)

_TRACK_PAGE_SIZES = (50, 20, 10, 5)
_TRACK_PAGES = 400  # 20,000 tracks, 2,000 where pages are small; the longest albums have some thousand
_BELIEVED_FOR = timedelta(hours=1)  # that an album is gone, or has not the tracks that a listing names
_SECOND_LOOK, _LAST_LOOK = timedelta(seconds=1), timedelta(minutes=2)
_OUTAGE_REST = timedelta(minutes=10)
_OUTAGE_PATIENCE = timedelta(minutes=1)  # an outage that lasts longer must not cost a call for each album again


Memory = LRUCache[str, Album | Absent]
"""The albums used last, by id."""


def album_memory(most: int) -> Memory:
    """A memory of so many compressed bytes; the longest album must fit."""
    return LRUCache(most, getsizeof=_size)


def _size(known: Album | Absent) -> int:
    """Bytes that are taken; some hundred beside the body."""
    return 512 + (len(known.body) if isinstance(known, Album) else 0)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is wanted of an album."""

    id: str
    told: int | None
    """How many tracks the listing names."""
    since: datetime | None
    """Nothing that was read before is good enough."""
    last: bool = False
    """Whether no later look will be had."""


class Albums:
    """Albums with all their tracks. `kept` bounds the memory; covers lie below the address `images`."""

    def __init__(
        self,
        api: WebApi,
        reader: AlbumReader,
        store: ObjectStore,
        time: Time,
        kept: Memory,
        *,
        images: str,
    ) -> None:
        self._api = api
        self._reader = reader
        self._store = store
        self._time = time
        self._memory = kept
        self._images = images
        self._flights: Flights[Album | Absent] = Flights()
        self._sizes = PageSizes(*_TRACK_PAGE_SIZES)
        self._failing_since: datetime | None = None

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._flights.aclose()

    async def seen(self, listing: Listing, *, since: datetime | None) -> list[Album | Absent]:
        """Every album of a listing, in order; none read before `since`. Ids are checked (`is_spotify_id`).

        Raises:
            Throttled, Retryable: not all can be had now; those that can are kept for the next time.
        """
        first = await asyncio.gather(
            *(self._one(_Wanted(name, listing.told.get(name), since)) for name in listing.ids)
        )
        self._expect_no_outage([entry for entry in first if isinstance(entry, Absent)], len(first))
        return first

    async def sure(self, seen: list[Album | Absent]) -> list[Album | Absent]:
        """Each of them once; what is missing has then been looked for minutes apart. Raises as `seen`."""
        return distinct(await asyncio.gather(*(self._sure(entry) for entry in seen)))

    async def _one(self, wanted: _Wanted) -> Album | Absent:
        found = self._memory.get(wanted.id)
        while found is None or not self._counts(found, wanted):
            found = await self._flights.join(wanted.id, lambda: self._fly(wanted))
            if isinstance(found, Absent) and not found.sure:
                return found
        return found

    def _counts(self, found: Album | Absent, wanted: _Wanted) -> bool:
        """Whether what is known is new enough, and is what is listed now."""
        if isinstance(found, Absent):
            return self._is_recent(found.seen_at) and self._is_since(wanted.since, found.seen_at)
        agrees = found.agrees(wanted.told)
        whole = agrees and not found.short
        asked_for_it = agrees or found.told == wanted.told
        settled = whole or (asked_for_it and self._is_recent(found.fetched_at))
        return settled and self._is_since(wanted.since, found.fetched_at)

    def _is_since(self, since: datetime | None, moment: datetime) -> bool:
        """Whether it was not before; what a clock that was ahead has written is as old as anything."""
        return since is None or since <= moment <= self._time.now()

    def _is_recent(self, moment: datetime) -> bool:
        return abs(self._time.now() - moment) <= _BELIEVED_FOR

    async def _fly(self, wanted: _Wanted) -> Album | Absent:
        with self._reader.arriving():
            began = self._time.now()
            cached = await self._cached(wanted.id)
            if cached is not None and self._counts(cached, wanted):
                self._memory[cached.id] = cached
                return cached
            reading = self._reader.join(wanted.id)
        found = await self._look_twice(wanted, reading, began)
        if isinstance(found, Album):
            self._memory[found.id] = found
        return found

    async def _cached(self, album_id: str) -> Album | None:
        """What was kept of it, if that can be used; what is read anew then replaces what cannot."""
        name = album_cache_name(album_id)
        try:
            stored = await self._store.read(name, most_bytes=CACHED_MOST_BYTES)
            return None if stored is None else unpack(album_id, stored.body, self._images)
        except (TooLarge, ForeignError) as error:
            reason = f"{error}; the album is read anew and written in its place"
            log.warning("document_set_aside", extra={"object": name, "reason": reason})
            return None

    # --- what cannot be had ------------------------------------------------------------------------------------

    async def _look_twice(self, wanted: _Wanted, reading: Awaitable[Json], began: datetime) -> Album | Absent:
        found = await self._look(wanted, reading, began)
        if isinstance(found, Absent):
            await self._time.sleep(_SECOND_LOOK.total_seconds())
            found = await self._look(wanted, self._reader.alone(wanted.id), self._time.now())
        return found

    async def _sure(self, found: Album | Absent) -> Album | Absent:
        if isinstance(found, Album) or found.sure:
            return found
        return await self._flights.join(("sure", found.id), lambda: self._make_sure(found.id))

    async def _make_sure(self, album_id: str) -> Album | Absent:
        """Look again, minutes later: what is gone for a moment is not gone."""
        await self._time.sleep(_LAST_LOOK.total_seconds())
        wanted = _Wanted(album_id, None, None, last=True)
        found = await self._look(wanted, self._reader.alone(album_id), self._time.now())
        if isinstance(found, Absent):
            if found.cause == "refused":
                raise Retryable(f"album {album_id}: {found.reason}")
            log.warning("album_absent", extra={"album": album_id, "cause": found.cause, "reason": found.reason})
            found = replace(found, sure=True)
        self._memory[found.id] = found
        return found

    def _expect_no_outage(self, absent: list[Absent], listed: int) -> None:
        """Raise where it is Spotify that fails; where it still does after a while, all rest."""
        if not is_outage(len(absent), listed):
            for entry in absent:
                if entry.cause == "refused":
                    raise Retryable(f"album {entry.id}: {entry.reason}")
            return
        reason = f"{len(absent)} of {listed} listed albums cannot be had, which is an outage: {absent[0].reason}"
        self._failing_since = self._failing_since or self._time.now()
        if self._time.now() - self._failing_since >= _OUTAGE_PATIENCE:
            raise self._api.rest(_OUTAGE_REST, reason)
        raise Retryable(reason)

    # --- one look ----------------------------------------------------------------------------------------------

    async def _look(self, wanted: _Wanted, reading: Awaitable[Json], began: datetime) -> Album | Absent:
        try:
            return await self._read(wanted, await reading, began)
        except Nonsense as error:
            return Absent(wanted.id, began, "unusable", str(error))
        except Refused as error:
            if error.status == HTTPStatus.FORBIDDEN:
                reason = f"the Spotify app may not read albums ({error}); {CHECK_THE_APP}"
                raise self._api.rest(REFUSED_REST, reason, needs_a_person=True) from error
            return Absent(wanted.id, began, absence(error), str(error))

    async def _read(self, wanted: _Wanted, answer: Json, began: datetime) -> Album:
        found = await self._whole(wanted, answer)
        album, odd = normal(whole_album(answer, list(found.items.values())))
        derived, more = derive(album, self._images)
        packed = pack(
            wanted.id,
            album,
            nulls=found.nulls,
            fetched_at=began,
            odd=odd + more + found.odd,
            told=wanted.told,
            derived=derived,
        )
        self._failing_since = None
        await self._keep(packed)
        return packed

    async def _whole(self, wanted: _Wanted, album: Json) -> Collected:
        """All tracks. A list that ends before what Spotify says it holds is read once more."""
        embedded = album.get("tracks")
        first = read_page(embedded, offset=0, limit=_TRACK_PAGE_SIZES[0])
        found = await self._tracks(wanted, None if first.looks_cut or first.odd else first)
        if len(found.items) >= tracks_told(album):
            return found
        try:
            again = await self._tracks(wanted, None)
        except (Refused, Nonsense) as error:
            if isinstance(error, Refused) and absence(error) == "refused":
                raise
            log.warning("album_short", extra={"album": wanted.id, "reason": str(error)})
            return found
        return max(found, again, key=lambda collected: len(collected.items))

    async def _tracks(self, wanted: _Wanted, first: Page | None) -> Collected:
        async def read(offset: int) -> Page:
            try:
                return await self._page(wanted.id, offset)
            except (Refused, Nonsense) as error:
                if not wanted.last or (isinstance(error, Refused) and absence(error) == "refused"):
                    raise
                return read_page(None, offset=offset, limit=1)  # the album is there: what it lacks is counted

        return await collect(read, track_key, pages=_TRACK_PAGES, first=first)

    async def _page(self, album_id: str, offset: int) -> Page:
        def ask(limit: int) -> Awaitable[Json]:
            asked = {"limit": str(limit), "offset": str(offset)}
            return self._api.get(f"/albums/{album_id}/tracks", asked, flaw=list_flaw("items"))

        answer, limit = await self._sizes.read(ask)
        return read_page(answer, offset=offset, limit=limit)

    async def _keep(self, album: Album) -> None:
        try:
            await self._store.write(album_cache_name(album.id), album.body)
        except Retryable as error:
            # The cache only spares calls; the part itself is what must be written.
            log.warning("cache_not_written", extra={"album": album.id, "reason": str(error)})
