"""Keeps what the page asks for: each document is made once, by however many ask, and again when a run has finished.

It is made again, too, when it is old. What is kept is bounded by the number of runs in the table's history, and
`_ALBUMS` of albums and artists. A document that could not be made is not kept, and neither is that there is nothing:
the first run is to be seen at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

from contracts.wording import shown
from dashboard import documents, queries
from dashboard.comparing import befores
from dashboard.documents import FigureRows, Json
from dashboard.queries import Query, Views
from dashboard.warehouse import Row, Warehouse
from eventing.clock import Clock

log = logging.getLogger(__name__)

KeptT = TypeVar("KeptT")
_ZONES: Final = timedelta(days=1)
Runs = Callable[[], Awaitable[Sequence[Json]]]
"""The entries of all runs (`dashboard.runs`), newest first."""

GLANCE: Final = timedelta(seconds=5)
"""How long it is not asked again which runs have finished."""
_ALBUMS: Final = 500


@dataclass(frozen=True, slots=True)
class _Kept:
    until: datetime
    document: "asyncio.Future[Any]"


class UnknownWeekError(LookupError):
    """There is no run of that date in the table; names it."""


class UnknownReleaseError(LookupError):
    """There is no release, or no artist, of that id in the table; names it."""


class Library:
    """The documents of `dashboard.documents`, over a `Warehouse`. All methods raise `Retryable` without an answer."""

    def __init__(
        self,
        warehouse: Warehouse,
        views: Views,
        *,
        runs: Runs,
        images: str,
        history: timedelta,
        keep: timedelta,
        clock: Clock,
    ) -> None:
        self._warehouse = warehouse
        self._views = views
        self._images = images
        self._history = history
        self._keep = keep
        self._clock = clock
        self._ask_runs = runs
        self._finished: frozenset[tuple[str, int]] | None = None
        self._kept: dict[str, _Kept] = {}

    async def weeks(self) -> Json:
        """All weeks in short."""
        runs, index = await asyncio.gather(self._runs(), self._index())
        return documents.weeks_document(index, runs)

    async def history(self) -> Json:
        """How much was listed and new in every week and market."""
        index = await self._index()
        rows = await self._cached("history", lambda: self._make_history(index)) if index else ()
        return documents.history_document(rows)

    async def newest(self) -> Json | None:
        """The newest week's releases; None where there is none."""
        index = await self._index()
        return await self.week(index[0]["load_date"]) if index else None

    async def week(self, week: date) -> Json:
        """One week's releases.

        Raises:
            UnknownWeekError: the table has no such run.
        """
        index = await self._index_with(week)
        return await self._cached(week.isoformat(), lambda: self._make_week(week, index))

    async def figures(self, week: date) -> Json:
        """What the charts of one week need beside its releases. Raises as `week` does."""
        await self._index_with(week)
        return await self._cached(f"figures/{week}", lambda: self._make_figures(week))

    async def album(self, album: str) -> Json:
        """A release, its tracks, and where it was listed.

        Raises:
            UnknownReleaseError: the table has no such release.
        """
        await self._index()
        return await self._cached(f"album/{album}", lambda: self._make_album(album))

    async def artist(self, artist: str) -> Json:
        """An artist's releases and reach.

        Raises:
            UnknownReleaseError: the table has no such artist.
        """
        await self._index()
        return await self._cached(f"artist/{artist}", lambda: self._make_artist(artist))

    async def warm(self) -> None:
        """Make what the data page asks for first; what cannot be made is logged, and left to who asks for it."""
        for outcome in await asyncio.gather(self.weeks(), self._warm_newest(), return_exceptions=True):
            if isinstance(outcome, Exception):
                log.warning("not_warmed", extra={"reason": str(outcome)}, exc_info=outcome)

    async def _warm_newest(self) -> None:
        """The releases first, since they are shown first."""
        if (newest := await self.newest()) is not None:
            await asyncio.gather(self.history(), self.figures(date.fromisoformat(newest["week"])))

    async def _runs(self) -> Sequence[Json]:
        """The runs; when one has finished, what the table said before it is forgotten."""
        runs = await self._cached("runs", self._ask_runs, keep=GLANCE)
        finished = frozenset((run["run"], run["revision"]) for run in runs if run["landed_markets"] is not None)
        if self._finished is not None and finished != self._finished:
            self._kept = {"runs": self._kept["runs"]}
        self._finished = finished
        return runs

    async def _index(self) -> Sequence[Row]:
        if self._finished is None:
            await asyncio.gather(self._runs(), self._cached("index", self._make_index))
        await self._runs()
        found = await self._cached("index", self._make_index)
        if not found:
            self._kept.pop("index", None)
        return found

    async def _index_with(self, week: date) -> Sequence[Row]:
        """The index; a week that is not in it costs no query."""
        index = await self._index()
        known = [row["load_date"] for row in index]
        if week not in known:
            stands = f"the newest is {max(known)}, and /api/weeks names all" if known else "it holds none yet"
            raise UnknownWeekError(f"there is no run of {week} in the table; {stands}")
        return index

    async def _make_index(self) -> Sequence[Row]:
        today = self._clock().date()
        since = today - self._history
        # A run of a mistyped year would hide all real weeks; a week begins a day sooner in some zones.
        found = await self._ask(queries.weeks(self._views, since=since, until=today + _ZONES))
        # An archive without a recent run is shown, too; it costs a second look at nothing but that archive.
        found = found or await self._ask(queries.weeks(self._views, since=date.min, until=since))
        return [row for row in found if row["load_date"] >= found[0]["load_date"] - self._history]

    async def _span(self) -> dict[str, date]:
        index = await self._index()
        today = self._clock().date()
        return {
            "since": index[-1]["load_date"] if index else today,
            "until": index[0]["load_date"] if index else today,
        }

    async def _make_history(self, index: Sequence[Row]) -> Sequence[Row]:
        since, until = index[-1]["load_date"], index[0]["load_date"]
        return await self._ask(queries.history(self._views, since=since, until=until))

    async def _make_week(self, week: date, index: Sequence[Row]) -> Json:
        before = befores(week, index)
        there = next(row["market_codes"] for row in index if row["load_date"] == week)
        compared = {before[market] for market in there if market in before}
        asked = [queries.releases(self._views, week=week)]
        if compared:
            asked.append(queries.listings(self._views, weeks=compared))
        releases, *listings = await asyncio.gather(*map(self._ask, asked))
        known = listings[0] if listings else ()
        return documents.week_document(week, before, releases, known, images=self._images)

    async def _make_figures(self, week: date) -> Json:
        asked = {
            "overlap": queries.overlap(self._views, week=week),
            "artists": queries.artists(self._views, week=week),
            "lengths": queries.lengths(self._views, week=week),
        }
        document, answers = await asyncio.gather(self.week(week), asyncio.gather(*map(self._ask, asked.values())))
        return documents.figures_document(document, FigureRows(**dict(zip(asked, answers, strict=True))))

    async def _make_album(self, album: str) -> Json:
        listings = await self._ask(queries.album_listings(self._views, album, **await self._span()))
        if not listings:
            raise UnknownReleaseError(f"there is no release {shown(album)} in the weeks of the table")
        newest = listings[0]["load_date"]
        week, tracks = await asyncio.gather(
            self.week(newest), self._ask(queries.album_tracks(self._views, album, week=newest))
        )
        row = next(row for row in week["releases"] if row[0] == album)
        release = {**dict(zip(week["columns"], row, strict=True)), "images": self._images, "week": week["week"]}
        return documents.album_document(release, tracks, listings)

    async def _make_artist(self, artist: str) -> Json:
        span = await self._span()
        releases, names = await asyncio.gather(
            self._ask(queries.artist_releases(self._views, artist, **span)),
            self._ask(queries.artist_names(self._views, artist, **span)),
        )
        if not releases:
            raise UnknownReleaseError(f"there is no artist {shown(artist)} in the weeks of the table")
        return documents.artist_document(artist, names[0]["artist"], releases, images=self._images)

    async def _ask(self, query: Query) -> list[Row]:
        return list(await self._warehouse.rows(query))

    async def _cached(
        self, key: str, make: Callable[[], Awaitable[KeptT]], *, keep: timedelta | None = None
    ) -> KeptT:
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            kept = _Kept(self._clock() + (keep or self._keep), asyncio.ensure_future(make()))
            self._kept[key] = kept
            self._forget_albums()
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

    def _forget_albums(self) -> None:
        """The oldest of too many albums and artists go."""
        single = [key for key in self._kept if key.startswith(("album/", "artist/"))]
        for key in single[:-_ALBUMS]:
            del self._kept[key]
