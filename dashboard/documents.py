"""From rows to the documents that the page reads. Pure.

A week's document holds every market, so that changing the market asks nothing; what only the charts need is a document
of its own. Markets are written as numbers into `markets`, and releases as lists, because names repeated ten thousand
times would be most of the document.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from dashboard.comparing import LastLists, News, compared_week, missing

Row = Mapping[str, Any]
Json = dict[str, Any]

RELEASE_COLUMNS: Final = (
    "id",
    "name",
    "artists",
    "artist_ids",
    "type",
    "released",
    "weekday",
    "days",
    "tracks",
    "ms",
    "explicit",
    "image",
    "markets",
    "new_in",
    "is_new",
)
YOUNG_DAYS: Final = 60
"""A release older than this when it is first listed is a re-issue and says nothing about how soon it came."""


def weeks_document(weeks: Sequence[Row], runs: Sequence[Row]) -> Json:
    """All weeks, newest first: how much there is of each, and which markets it lacks.

    `others` are the runs that the table does not hold: under way, or failed.
    """
    by_run = {run["run"]: run for run in runs}
    there = {row["load_date"].isoformat() for row in weeks}
    return {
        "weeks": [_week(row, weeks, by_run.get(row["load_date"].isoformat())) for row in weeks],
        "others": [
            {"week": run["run"], "state": run["state"], "cause": run.get("cause")}
            for run in runs
            if run["run"] not in there
        ],
    }


def _week(row: Row, weeks: Sequence[Row], run: Row | None) -> Json:
    return {
        "week": row["load_date"].isoformat(),
        "markets": list(row["market_codes"]),
        "albums": row["albums"],
        "rows": row["row_count"],
        "revision": row["revision"],
        "state": run["state"] if run else None,
        "cause": run.get("cause") if run else None,
        "missing": missing(row["load_date"], weeks, run),
    }


def history_document(rows: Iterable[Row]) -> Json:
    """How much was listed and new: lists of [week, market or "all", releases, new]."""
    return {
        "history": [
            [row["load_date"].isoformat(), row["market"], row["albums"], row["new_albums"]] for row in rows
        ]
    }


def week_document(
    week: date, before: Mapping[str, date], releases: Sequence[Row], listings: Iterable[Row], *, images: str
) -> Json:
    """One week's releases.

    Args:
        week: The week.
        before: For each market, the run it is compared with.
        releases: The releases of the week.
        listings: What the markets listed in those runs.
        images: Where covers lie; one that lies elsewhere is not shown.
    """
    markets = sorted({market for row in releases for market in row["markets"]})
    number = {market: place for place, market in enumerate(markets)}
    last = LastLists(before, listings)
    compared = compared_week(markets, before)
    return {
        "week": week.isoformat(),
        "before": compared and compared.isoformat(),
        "compared": {market: before[market].isoformat() for market in markets if market in before},
        "markets": markets,
        "images": images,
        "columns": list(RELEASE_COLUMNS),
        "releases": [_release(row, last.news(row), number, images) for row in releases],
    }


def _release(row: Row, news: News, number: Mapping[str, int], images: str) -> list[Any]:
    return [
        row["album_id"],
        row["album_name"],
        row["artists"],
        row["artist_ids"],
        row["album_type"],
        row["release_date"],
        row["weekday"],
        row["days_since_release"],
        row["tracks"],
        row["duration_ms"],
        row["explicit_tracks"],
        cover(row["image_url"], images),
        _numbers(row["markets"], number),
        _numbers(news.markets, number),
        news.everywhere,
    ]


def cover(address: str | None, images: str) -> str | None:
    """A cover's address below `images`; None where there is none, or where it lies elsewhere."""
    return address.removeprefix(f"{images}/") if address and address.startswith(f"{images}/") else None


def _numbers(markets: Iterable[str], number: Mapping[str, int]) -> list[int]:
    return sorted(number[market] for market in markets)


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRows:
    """The answers that a week's figures are made of; the names are those of `dashboard.queries`."""

    overlap: Sequence[Row]
    artists: Sequence[Row]
    lengths: Sequence[Row]


def figures_document(week: Json, rows: FigureRows) -> Json:
    """What the charts of one week need beside its releases."""
    markets: list[str] = week["markets"]
    number = {market: place for place, market in enumerate(markets)}
    return {
        "order": [number[market] for market in by_likeness(markets, rows.overlap)],
        "overlap": [[number[row["market"]], number[row["other_market"]], row["shared"]] for row in rows.overlap],
        "artists": [
            [row["artist_id"], row["artist"], _numbers(row["markets"], number), row["albums"], row["tracks"]]
            for row in rows.artists
        ],
        "lengths": [[number[row["market"]], row["half_minute"], row["tracks"]] for row in rows.lengths],
        "delays": delays(week),
    }


def delays(week: Json) -> list[list[Any]]:
    """For each market with a list to compare with: [market, releases, quartiles, mean] of the days until they came."""
    taken: dict[int, list[int]] = {}
    for row in week["releases"]:
        release = dict(zip(week["columns"], row, strict=True))
        if release["days"] is not None and 0 <= release["days"] <= YOUNG_DAYS:
            for market in release["new_in"]:
                taken.setdefault(market, []).append(release["days"])
    return [
        [market, len(days), _quartiles(days), round(statistics.fmean(days), 2)]
        for market, days in sorted(taken.items())
        if week["markets"][market] in week["compared"]
    ]


def _quartiles(days: Sequence[int]) -> list[float]:
    """Least, quarter, half, three quarters, most."""
    inner = statistics.quantiles(days, n=4, method="inclusive") if len(days) > 1 else [days[0]] * 3
    return [min(days), *inner, max(days)]


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


def album_document(release: Json, tracks: Sequence[Row], listings: Sequence[Row]) -> Json:
    """A release: as its newest week has it, its tracks, and in which weeks which markets listed it."""
    return {
        "release": release,
        "tracks": [
            {
                "id": row["track_id"],
                "disc": row["disc_number"],
                "number": row["track_number"],
                "name": row["track_name"],
                "artists": row["artists"],
                "artist_ids": row["artist_ids"],
                "ms": row["duration_ms"],
                "explicit": row["is_explicit"],
                "markets": list(row["markets"]),
            }
            for row in tracks
        ],
        "listed": [[row["load_date"].isoformat(), list(row["markets"])] for row in listings],
    }


def artist_document(artist: str, name: str, releases: Sequence[Row], *, images: str) -> Json:
    """An artist: every release, and how many markets listed one of them in each week."""
    albums: dict[str, Json] = {}
    reach: dict[str, set[str]] = {}
    for row in releases:
        week = row["load_date"].isoformat()
        album = albums.setdefault(row["album_id"], _of_artist(row, images))
        album["first"] = week  # the oldest comes last
        album["markets"] = sorted({*album["markets"], *row["markets"]})
        reach.setdefault(week, set()).update(row["markets"])
    return {
        "id": artist,
        "name": name,
        "images": images,
        "releases": list(albums.values()),
        "reach": [[week, len(markets)] for week, markets in reach.items()],
    }


def _of_artist(row: Row, images: str) -> Json:
    return {
        "id": row["album_id"],
        "name": row["album_name"],
        "type": row["album_type"],
        "released": row["release_date"],
        "image": cover(row["image_url"], images),
        "markets": [],
        "last": row["load_date"].isoformat(),
    }
