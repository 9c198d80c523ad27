"""Keeps what the page asks for: each document is made once, by however many ask, and again when it is old.

What is kept is bounded by the number of runs in the table's history. A document that could not be made is not kept, and
neither is that there is nothing: the first run is to be seen at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

from dashboard import queries
from dashboard.documents import Json, WeekRows, week_document, weeks_document
from dashboard.queries import Query, Views
from dashboard.warehouse import Row, Warehouse
from eventing.clock import Clock

log = logging.getLogger(__name__)

KeptT = TypeVar("KeptT")
_ZONES: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Kept:
    until: datetime
    document: "asyncio.Future[Any]"


class UnknownWeekError(LookupError):
    """There is no run of that date in the table; names it."""


class Library:
    """The documents of `dashboard.documents`, over a `Warehouse`. All methods raise `Retryable` without an answer."""

    def __init__(
        self, warehouse: Warehouse, views: Views, *, history: timedelta, keep: timedelta, clock: Clock
    ) -> None:
        self._warehouse = warehouse
        self._views = views
        self._history = history
        self._keep = keep
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def weeks(self) -> Json:
        """All weeks in short."""
        index = await self._index()
        history = await self._cached("history", lambda: self._make_history(index)) if index else ()
        return weeks_document(index, history)

    async def newest(self) -> Json | None:
        """The newest week in full; None where there is none."""
        index = await self._index()
        return await self.week(index[0]["load_date"]) if index else None

    async def week(self, week: date) -> Json:
        """One week in full.

        Raises:
            UnknownWeekError: the table has no such run.
        """
        known = [row["load_date"] for row in await self._index()]
        if week not in known:
            raise UnknownWeekError(
                f"there is no run of {week} in the table; the newest is {max(known, default=None)}"
            )
        before = max((other for other in known if other < week), default=None)
        return await self._cached(week.isoformat(), lambda: self._make_week(week, before))

    async def warm(self) -> None:
        """Make what the data page asks for first; what cannot be made is logged, and left to who asks for it."""
        for outcome in await asyncio.gather(self.weeks(), self.newest(), return_exceptions=True):
            if isinstance(outcome, Exception):
                log.warning("not_warmed", extra={"reason": str(outcome)}, exc_info=outcome)

    async def _index(self) -> Sequence[Row]:
        found = await self._cached("index", self._make_index)
        if not found:
            self._kept.pop("index", None)
        return found

    async def _make_index(self) -> Sequence[Row]:
        today = self._clock().date()
        since = today - self._history
        # A run of a mistyped year would hide all real weeks; a week begins a day sooner in some zones.
        found = await self._ask(queries.weeks(self._views, since=since, until=today + _ZONES))
        # An archive without a recent run is shown, too; it costs a second look at nothing but that archive.
        found = found or await self._ask(queries.weeks(self._views, since=date.min, until=since))
        return [row for row in found if row["load_date"] >= found[0]["load_date"] - self._history]

    async def _make_history(self, index: Sequence[Row]) -> Sequence[Row]:
        since, until = index[-1]["load_date"], index[0]["load_date"]
        return await self._ask(queries.history(self._views, since=since, until=until))

    async def _make_week(self, week: date, before: date | None) -> Json:
        asked = {
            "releases": queries.releases(self._views, week=week),
            "overlap": queries.overlap(self._views, week=week),
            "artists": queries.artists(self._views, week=week),
            "lengths": queries.lengths(self._views, week=week),
        }
        if before is not None:
            asked["arrivals"] = queries.arrivals(self._views, week=week, before=before)
            asked["delays"] = queries.delays(self._views, week=week, before=before)
        answers = await asyncio.gather(*(self._ask(query) for query in asked.values()))
        return week_document(week, before, WeekRows(**dict(zip(asked, answers, strict=True))))

    async def _ask(self, query: Query) -> list[Row]:
        return list(await self._warehouse.rows(query))

    async def _cached(self, key: str, make: Callable[[], Awaitable[KeptT]]) -> KeptT:
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            kept = _Kept(self._clock() + self._keep, asyncio.ensure_future(make()))
            self._kept[key] = kept
        try:
            # Shielded: whoever goes away must not take the answer from those who wait for it, too.
            document: KeptT = await asyncio.shield(kept.document)
        except asyncio.CancelledError:
            raise
        except Exception:
            if self._kept.get(key) is kept:
                del self._kept[key]
            raise
        return document
