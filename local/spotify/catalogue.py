"""What each market lists in a week, and what the warehouse must hold after it. Pure and deterministic.

A list has 100 albums: half of this week's cohort, half of last week's, alternating, so that a list of any
length shares half of itself with the week after. The two sources order (and, at the margin, choose)
differently.

Not here: HTTP, limits, faults. `expected_rows` is written apart from the fetcher and the Spark job, from the
drawn albums themselves, so that it can contradict them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final, Literal

from contracts.names import MARKETS
from local.spotify import shapes
from local.spotify.cohorts import Album, cohort, monday_of
from local.spotify.shapes import Json, View

Source = Literal["browse", "search"]

LISTED: Final = 100
"""Albums a market lists, by either source (`total` in recorded answers of both)."""

ELSEWHERE: Final = "--"
"""Stands for the listener nothing is known about, who sees what every market has."""

_WEEK: Final = timedelta(days=7)
_TASTE: Final = 0.3
"""How far a market's own taste moves an album whose appeal is between 0 and 1."""


@dataclass(frozen=True)
class Catalogue:
    """The catalogue of one seed in the week of one day.

    Raises:
        KeyError: where a method is given a market or an album that does not exist.
    """

    seed: int
    week: date
    _lists: dict[tuple[str, Source], tuple[str, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "week", monday_of(self.week))

    def following(self) -> "Catalogue":
        """The catalogue one week later."""
        return Catalogue(self.seed, self.week + _WEEK)

    def preceding(self) -> "Catalogue":
        """The catalogue one week earlier."""
        return Catalogue(self.seed, self.week - _WEEK)

    def releases(self, market: str | None, source: Source, limit: int = LISTED) -> list[str]:
        """Ids of the first albums a market lists; None is a listener of no known market."""
        key = (ELSEWHERE if market is None else market, source)
        if key[0] not in {*MARKETS, ELSEWHERE}:
            raise KeyError(market)
        if key not in self._lists:
            self._lists[key] = tuple(self._listing(*key))
        return list(self._lists[key][:limit])

    def distinct(self, markets: Sequence[str], source: Source, albums_per_market: int) -> set[str]:
        """Ids of all albums a run over these markets meets."""
        return {album for market in markets for album in self.releases(market, source, albums_per_market)}

    def record(self, album_id: str) -> Album:
        """The album as drawn."""
        return self._albums[album_id]

    def album(self, album_id: str) -> Json:
        """The album as an extended-quota app without a market gets it: the first 50 tracks embedded."""
        return shapes.full_album(self.record(album_id), View())

    def tracks(self, album_id: str) -> list[Json]:
        """All tracks of an album as an extended-quota app without a market gets them."""
        album = self.record(album_id)
        return [shapes.track(track, album, View()) for track in album.tracks]

    def expected_rows(
        self,
        markets: Sequence[str],
        source: Source,
        albums_per_market: int,
        *,
        run_id: str,
        revision: int = 1,
        images: str = shapes.IMAGES,
    ) -> list[Json]:
        """The rows of the table after a run, in the types in which BigQuery's client gives them.

        `images` is where covers lie. Ordered by market as given, then as listed, then as on the album; a row is a dict
        by column name.
        """
        run = {"load_date": date.fromisoformat(run_id), "source": source, "run_id": run_id, "revision": revision}
        return [
            {"market": market, **row, **run}
            for market in markets
            for album_id in self.releases(market, source, albums_per_market)
            for row in _rows(self.record(album_id), images)
        ]

    @cached_property
    def _albums(self) -> dict[str, Album]:
        # One cohort more than is listed: an album does not vanish when the lists move on.
        drawn = *self._cohorts, cohort(self.seed, self.week - 2 * _WEEK)
        return {album.id: album for albums in drawn for album in albums}

    @property
    def _cohorts(self) -> tuple[tuple[Album, ...], tuple[Album, ...]]:
        return cohort(self.seed, self.week), cohort(self.seed, self.week - _WEEK)

    def _listing(self, market: str, source: Source) -> Iterator[str]:
        fresh, known = (_best(drawn, market, source, LISTED // 2) for drawn in self._cohorts)
        for pair in zip(fresh, known, strict=True):
            yield from pair


def _best(albums: Sequence[Album], market: str, source: Source, count: int) -> list[str]:
    """Ids of the albums a market likes best; the same every week that the cohort is listed."""

    def liking(album: Album) -> float:
        digest = hashlib.sha256(f"{source}/{market}/{album.id}".encode()).digest()
        return album.appeal + _TASTE * int.from_bytes(digest[:4]) / 2**32

    everywhere = len(MARKETS) - 8  # the most that an album of nearly every market may lack
    had = [
        album
        for album in albums
        if market in album.markets or (market == ELSEWHERE and len(album.markets) >= everywhere)
    ]
    return [album.id for album in sorted(had, key=liking, reverse=True)[:count]]


def _rows(album: Album, images: str) -> Iterator[dict[str, Any]]:
    whole_day = album.release_date_precision == "day"
    for track in album.tracks:
        yield {
            "release_date": album.release_date,
            "track_name": track.name,
            "duration_ms": track.duration_ms,
            "artists": ", ".join(artist.name for artist in track.artists),
            "release_day": date.fromisoformat(album.release_date) if whole_day else None,
            "release_date_precision": album.release_date_precision,
            "album_id": album.id,
            "album_name": album.name,
            "album_type": album.album_type,
            "track_id": track.id,
            "disc_number": track.disc_number,
            "track_number": track.track_number,
            "explicit": track.explicit,
            "artist_ids": [artist.id for artist in track.artists],
            "image_url": shapes.image_url(images, album.id, 300),
        }
