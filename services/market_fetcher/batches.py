"""Asks Spotify for albums: twenty in one call where the app may, else one by one.

A batch that is not full waits while a market is still being listed or an album still being looked up, since those may
fill it: so U albums take ceil(U/20) calls however many markets they come from.

An album that is missing in the answer is asked for alone before that counts: Spotify also answers null for what it
fails to read. Not here: what a refusal means, an album's further tracks, and what is kept of it (`albums`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from services.market_fetcher.decisions import is_closed
from services.market_fetcher.flights import Flights
from services.market_fetcher.ports import Json, Nonsense, Refused, WebApi
from services.market_fetcher.releases import Ability
from services.market_fetcher.shapes import album_flaw, by_asked_id, list_flaw

log = logging.getLogger(__name__)

_BATCH = 20  # ids in one call, by the specification
_LINGER_SECONDS = 30.0  # that a batch waits at most: one stalled listing must not hold up the others for ever


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
    """Reads single albums, by batches where the app may."""

    def __init__(self, api: WebApi, ability: Ability, quiet: timedelta) -> None:
        """With no market on its way for this long, a batch that is not full leaves."""
        self.arriving = Arrivals()
        self._quiet = quiet.total_seconds()
        self._api = api
        self._ability = ability
        self._reads: Flights[dict[str, Json]] = Flights()
        self._open: _Batch | None = None
        self._batches = 0

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._reads.aclose()

    def join(self, album_id: str) -> Awaitable[Json]:
        """Ask for an album, from this moment on; await the result to have it.

        Raises:
            Refused, Retryable: see `WebApi.get`.
        """
        if self._ability.several is False:
            return self.alone(album_id)
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

    async def alone(self, album_id: str) -> Json:
        """See `join`; in a call of its own."""
        return await self._api.get(f"/albums/{album_id}", {}, flaw=album_flaw)

    async def _from_batch(self, batch: _Batch, album_id: str) -> Json:
        found = await self._reads.join(batch.number, lambda: self._read(batch))
        return found[album_id] if album_id in found else await self.alone(album_id)

    async def _read(self, batch: _Batch) -> dict[str, Json]:
        with contextlib.suppress(TimeoutError):  # a batch need not be full
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._filled(batch)
        if self._open is batch:
            self._open = None
        return await self._several(batch.ids)

    async def _filled(self, batch: _Batch) -> None:
        quiet = False
        while not batch.full.is_set() and not quiet:
            before = (bool(self.arriving), len(batch.ids))
            with contextlib.suppress(TimeoutError):  # the look around, not a fault
                await asyncio.wait_for(batch.full.wait(), self._quiet)
            quiet = before == (False, len(batch.ids)) and not self.arriving

    async def _several(self, ids: Sequence[str]) -> dict[str, Json]:
        """The albums of a batch by id; one that is missing is read alone by whoever wants it."""
        if self._ability.several is False:
            return {}
        try:
            answer = await self._api.get("/albums", {"ids": ",".join(ids)}, flaw=list_flaw("albums"))
        except Nonsense:
            return {}
        except Refused as error:
            self._learn(error)
            return {}
        self._ability.several = True
        return by_asked_id(ids, answer["albums"])

    def _learn(self, refusal: Refused) -> None:
        """What is closed stays so; what has worked is not given up for a call that was not found."""
        forbidden = refusal.status == HTTPStatus.FORBIDDEN
        if forbidden or (is_closed(refusal) and self._ability.several is None):
            self._ability.several = False
            log.info("albums_read_singly", extra={"app": self._ability.app, "reason": str(refusal)})
