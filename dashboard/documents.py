"""From rows to the two documents that the page reads: all weeks in short, and one week in full. Pure.

A week's document holds every market, so that changing the market asks nothing. Markets are written as numbers
into `markets`, and releases as lists, because names repeated ten thousand times would be most of the document.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

Row = Mapping[str, Any]
Json = dict[str, Any]

RELEASE_COLUMNS: Final = (
    "id",
    "name",
    "artists",
    "type",
    "released",
    "weekday",
    "tracks",
    "ms",
    "explicit",
    "markets",
    "new_in",
    "was_known",
)


def weeks_document(weeks: Sequence[Row], history: Sequence[Row]) -> Json:
    """All weeks, newest first, and how much was new in each market and week.

    `history` is a list of [week, market or "all", releases, new or null].
    """
    return {
        "weeks": [
            {
                "week": row["load_date"].isoformat(),
                "markets": row["markets"],
                "albums": row["albums"],
                "rows": row["row_count"],
                "revision": row["revision"],
            }
            for row in weeks
        ],
        "history": [
            [row["load_date"].isoformat(), row["market"], row["albums"], row["new_albums"]] for row in history
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekRows:
    """The answers a week's document is made of; the names are those of `dashboard.queries`."""

    releases: Sequence[Row]
    overlap: Sequence[Row]
    artists: Sequence[Row]
    lengths: Sequence[Row]
    arrivals: Sequence[Row] = field(default_factory=tuple)
    """Empty where there is no run before."""
    delays: Sequence[Row] = field(default_factory=tuple)


def week_document(week: date, before: date | None, rows: WeekRows) -> Json:
    """One week. `before` is the run it is compared with; without one nothing is called new."""
    markets = sorted({market for row in rows.releases for market in row["markets"]})
    number = {market: place for place, market in enumerate(markets)}
    arrived = {row["album_id"]: row for row in rows.arrivals}
    return {
        "week": week.isoformat(),
        "before": None if before is None else before.isoformat(),
        "markets": markets,
        "order": [number[market] for market in by_likeness(markets, rows.overlap)],
        "columns": list(RELEASE_COLUMNS),
        "releases": [_release(row, arrived.get(row["album_id"]), number, before) for row in rows.releases],
        "overlap": [[number[row["market"]], number[row["other_market"]], row["shared"]] for row in rows.overlap],
        "artists": [
            [row["artist_id"], row["artist"], _numbers(row["markets"], number), row["albums"], row["tracks"]]
            for row in rows.artists
        ],
        "lengths": [[number[row["market"]], row["half_minute"], row["tracks"]] for row in rows.lengths],
        "delays": [
            [number[row["market"]], row["releases"], list(row["quartiles"]), round(row["mean"], 2)]
            for row in rows.delays
        ],
    }


def _release(row: Row, arrived: Row | None, number: Mapping[str, int], before: date | None) -> list[Any]:
    new_in = [] if arrived is None else _numbers(arrived["markets"], number)
    return [
        row["album_id"],
        row["album_name"],
        row["artists"],
        row["album_type"],
        row["release_date"],
        row["weekday"],
        row["tracks"],
        row["duration_ms"],
        row["explicit_tracks"],
        _numbers(row["markets"], number),
        new_in,
        None if before is None else arrived is None or bool(arrived["was_known"]),
    ]


def _numbers(markets: Iterable[str], number: Mapping[str, int]) -> list[int]:
    return sorted(number[market] for market in markets)


def by_likeness(markets: Sequence[str], overlap: Iterable[Row]) -> list[str]:
    """The markets in a row, each beside one that is like it, so that a heat map shows blocks.

    Begins with the market that shares least with the others and always goes on to the nearest that is left.
    """
    shared: dict[tuple[str, str], int] = {}
    for row in overlap:
        shared[row["market"], row["other_market"]] = shared[row["other_market"], row["market"]] = row["shared"]

    def likeness(one: str, other: str) -> float:
        both = shared.get((one, other), 0)
        either = shared.get((one, one), 0) + shared.get((other, other), 0) - both
        return both / either if either else 0.0

    left = sorted(markets, key=lambda market: (sum(likeness(market, other) for other in markets), market))
    ordered = left[:1]
    left = left[1:]
    while left:
        nearest = max(left, key=lambda market: (likeness(ordered[-1], market), market))
        left.remove(nearest)
        ordered.append(nearest)
    return ordered
