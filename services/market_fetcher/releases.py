"""Lists what is new in a market, in whichever of Spotify's two ways the app is allowed.

Extended-quota apps list by `/browse/new-releases`, 50 a page. Since 2026 developer apps get 403 there and search
for `tag:new` instead, 10 a page. With `auto` the first listing of the process tries browse; its answer is kept for
the life of the process. A 403 or a 404 means that the app lacks the capability: it is remembered, never retried.

An answer that is not a listing counts as failed, and so does an empty one that does not say that it is (`shapes`).

The market is told to browse as `country`, the documented name until 2024-02-11, and as `market`, as many clients
do; whether Spotify heeds either is not known, so the parts of a run are compared afterwards (`contracts.truth`).
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Literal

from services.market_fetcher.decisions import is_closed, listing_refused
from services.market_fetcher.flights import Flights
from services.market_fetcher.paging import Collected, ReadPage, collect
from services.market_fetcher.ports import Nonsense, Refused, SourceName, Throttled, Time, WebApi
from services.market_fetcher.shapes import Listing, Page, album_key, listing_flaw, read_page
from services.market_fetcher.values import whole

log = logging.getLogger(__name__)

_BROWSE_PAGE = 50
_SEARCH_PAGE = 10
_SEARCH_LAST_OFFSET = 1000
_SPARE_PAGES = 3  # beyond those that hold the albums wanted: for nulls, repeats and an empty page
_KEPT_FOR = timedelta(hours=1)
_KEPT_MOST = 1024  # listings of fifty ids; a run has 48
REFUSED_REST = timedelta(hours=1)  # "can take a few hours" after a subscription is renewed
CHECK_THE_APP = "check SPOTIFY_SOURCE, and that the app's owner has Premium; looking again in an hour"


@dataclass(slots=True)
class Ability:
    """What the app may call, as far as it is known; shared by all who call."""

    browse: bool | None = None
    several: bool | None = None
    """Whether albums may be read twenty at a time."""

    @property
    def app(self) -> Literal["extended", "developer", "unknown"]:
        """The kind of the app."""
        known = {self.browse, self.several} - {None}
        if not known:
            return "unknown"
        return "extended" if True in known else "developer"


@dataclass(frozen=True, slots=True)
class Releases:
    """The listings. `wanted` is how many albums of a market, `source` how they are listed."""

    api: WebApi
    ability: Ability
    time: Time
    wanted: int
    source: SourceName | Literal["auto"]
    _learning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def newest(self, market: str) -> Listing:
        """The newest albums of a market.

        Raises:
            Permanent: Spotify does not know the market.
            Throttled: the app may list in neither way, or calls must wait.
            Retryable: see `WebApi.get`.
        """
        try:
            return await self._newest(market)
        except Nonsense as error:
            raise Nonsense(f"market {market}: {error}") from error
        except Refused as error:
            if error.status == HTTPStatus.FORBIDDEN or (is_closed(error) and self.source == "browse"):
                raise self._not_allowed(error) from error
            raise listing_refused(error, market) from error

    async def _newest(self, market: str) -> Listing:
        if self.source != "auto":
            return await self._listing(self.source, market)
        async with self._learning:
            if self.ability.browse is None and (listing := await self._learn(market)):
                return listing
        listing = await self._learn(market) if self.ability.browse else None
        return listing or await self._listing("search", market)

    async def _learn(self, market: str) -> Listing | None:
        """Try browse: the listing where the app may, None where it is closed to the app."""
        listing, known = None, self.ability.browse
        try:
            listing = await self._listing("browse", market)
        except Refused as error:
            if not is_closed(error):
                raise
            if error.status == HTTPStatus.FORBIDDEN:
                self.ability.several = False  # both calls were taken from developer apps on the same day
        self.ability.browse = listing is not None
        if self.ability.browse == known:
            return listing
        log.info("source_learnt", extra={"browse": self.ability.browse, "app": self.ability.app})
        return listing

    async def _listing(self, source: SourceName, market: str) -> Listing:
        now = self.time.now()
        found = await (self._browse(market) if source == "browse" else self._search(market))
        ids = tuple(map(str, found.items))[: self.wanted]
        told = {name: whole(found.items[name].get("total_tracks")) for name in ids}
        named = {name: count for name, count in told.items() if count is not None}
        return Listing(source, ids, found.nulls, now, named)

    async def _browse(self, market: str) -> Collected:
        limit = min(_BROWSE_PAGE, self.wanted)

        async def read(offset: int) -> Page:
            asked = {"limit": str(limit), "offset": str(offset), "country": market, "market": market}
            return await self._page("/browse/new-releases", asked, market)

        return await self._collect(read, limit)

    async def _search(self, market: str) -> Collected:
        async def read(offset: int) -> Page:
            if offset > _SEARCH_LAST_OFFSET:
                return Page((), 0, None, looks_cut=False)
            asked = {"limit": str(_SEARCH_PAGE), "offset": str(offset), "market": market}
            return await self._page("/search", {"q": "tag:new", "type": "album", **asked}, market)

        return await self._collect(read, _SEARCH_PAGE)

    async def _page(self, path: str, asked: dict[str, str], market: str) -> Page:
        offset = int(asked["offset"])
        answer = await self.api.get(path, asked, flaw=listing_flaw(offset), market=market)
        return read_page(answer["albums"], offset=offset, limit=int(asked["limit"]))

    async def _collect(self, read: ReadPage, limit: int) -> Collected:
        pages = -(-self.wanted // limit) + _SPARE_PAGES
        return await collect(read, album_key, pages=pages, enough=self.wanted)

    def _not_allowed(self, refusal: Refused) -> Throttled:
        """Not even what every app may do, or not what SPOTIFY_SOURCE says: the deployment's fault, so all rest."""
        self.ability.browse = None
        way = "by search" if self.source == "auto" else f"by {self.source}"
        reason = f"the Spotify app may not list {way} ({refusal}); {CHECK_THE_APP}"
        return self.api.rest(REFUSED_REST, reason, needs_a_person=True)


class Listings:
    """Listings by the request they were made for, so that a redelivery goes on where the delivery before ended.

    Without it, 48 markets at a low rate would all list from the start again and again, and none would finish.
    """

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self._flights: Flights[Listing] = Flights()
        self._kept: OrderedDict[str, Listing] = OrderedDict()

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._flights.aclose()

    async def newest(self, market: str, *, request_id: str) -> Listing:
        """See `Releases.newest`; the same listing for the same request within an hour."""
        kept = self._kept.get(request_id)
        if kept is not None and abs(self._releases.time.now() - kept.fetched_at) <= _KEPT_FOR:
            return kept
        return await self._flights.join(request_id, lambda: self._list(market, request_id))

    async def _list(self, market: str, request_id: str) -> Listing:
        listing = await self._releases.newest(market)
        if not listing.ids:
            return listing  # what may be a fault is looked at again by each delivery
        self._kept[request_id] = listing
        if len(self._kept) > _KEPT_MOST:
            self._kept.popitem(last=False)
        return listing
