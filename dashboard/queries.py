"""The questions to the table, as SQL and parameters. Pure.

Every question reads the views of `infra/bigquery/views` and names its partitions by parameters, so that BigQuery
reads those alone. What a column means is said by the views; here is only which rows are wanted.
"""

# ruff: noqa: S608 -- what is put into the text are names from checked settings and numbers of ours; values are parameters

from dataclasses import dataclass
from datetime import date
from typing import Final

TOP_ARTISTS: Final = 200
"""Artists of a week that are given away: enough that each market has its own top."""

YOUNG_DAYS: Final = 60
"""A release older than this when it is first listed is a re-issue and says nothing about how soon it came."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question: its name (for logs), its SQL, and its parameters, which are all dates."""

    name: str
    sql: str
    dates: tuple[tuple[str, date], ...]


@dataclass(frozen=True, slots=True)
class Views:
    """The views of one dataset."""

    project: str
    dataset: str

    def __getitem__(self, name: str) -> str:
        return f"`{self.project}.{self.dataset}.{name}`"


def weeks(views: Views, *, since: date, until: date) -> Query:
    """Runs from `since` to `until`, newest first."""
    sql = f"""
SELECT load_date, markets, albums, row_count, revision
FROM {views["weeks"]}
WHERE load_date BETWEEN @since AND @until
ORDER BY load_date DESC"""
    return Query("weeks", sql, (("since", since), ("until", until)))


def history(views: Views, *, since: date, until: date) -> Query:
    """For each run and market, and for all markets together ('all'): releases, and how many of them are new.

    New is what the run before did not list there; null for the first run of the span.
    """
    sql = f"""
WITH listed AS (
  SELECT load_date, market, album_id FROM {views["releases"]} WHERE load_date BETWEEN @since AND @until
  UNION ALL
  SELECT load_date, 'all' AS market, album_id FROM {views["album_reach"]} WHERE load_date BETWEEN @since AND @until
),
runs AS (
  SELECT load_date, LAG(load_date) OVER (ORDER BY load_date) AS before_date
  FROM (SELECT DISTINCT load_date FROM listed)
)
SELECT
  listed.load_date,
  listed.market,
  COUNT(*) AS albums,
  IF(MAX(runs.before_date) IS NULL, NULL, COUNTIF(known.album_id IS NULL)) AS new_albums
FROM listed
JOIN runs ON runs.load_date = listed.load_date
LEFT JOIN listed AS known
  ON known.load_date = runs.before_date AND known.market = listed.market AND known.album_id = listed.album_id
GROUP BY listed.load_date, listed.market
ORDER BY listed.load_date, listed.market"""
    return Query("history", sql, (("since", since), ("until", until)))


def releases(views: Views, *, week: date) -> Query:
    """The releases of a run, each once, with the markets that list it."""
    sql = f"""
SELECT
  reach.album_id,
  reach.markets,
  MAX(listed.album_name) AS album_name,
  MAX(listed.artists) AS artists,
  MAX(listed.album_type) AS album_type,
  MAX(listed.release_date) AS release_date,
  MAX(listed.weekday) AS weekday,
  MAX(listed.tracks) AS tracks,
  MAX(listed.duration_ms) AS duration_ms,
  MAX(listed.explicit_tracks) AS explicit_tracks
FROM {views["album_reach"]} AS reach
JOIN {views["releases"]} AS listed ON listed.album_id = reach.album_id
WHERE reach.load_date = @week AND listed.load_date = @week
GROUP BY reach.album_id, reach.markets, reach.market_count
ORDER BY reach.market_count DESC, reach.album_id"""
    return Query("releases", sql, (("week", week),))


def arrivals(views: Views, *, week: date, before: date) -> Query:
    """The releases of a run that the run before did not list in some market: where, and whether it did anywhere."""
    sql = f"""
WITH known AS (SELECT album_id, markets FROM {views["album_reach"]} WHERE load_date = @before)
SELECT
  now.album_id,
  ARRAY_AGG(now.market ORDER BY now.market) AS markets,
  LOGICAL_OR(known.album_id IS NOT NULL) AS was_known
FROM {views["releases"]} AS now
LEFT JOIN known ON known.album_id = now.album_id
WHERE now.load_date = @week
  AND (known.album_id IS NULL OR now.market NOT IN UNNEST(known.markets))
GROUP BY now.album_id"""
    return Query("arrivals", sql, (("week", week), ("before", before)))


def delays(views: Views, *, week: date, before: date) -> Query:
    """For each market: days from release to first listing, as quartiles, over what is new there this week."""
    sql = f"""
WITH known AS (SELECT market, album_id FROM {views["releases"]} WHERE load_date = @before)
SELECT
  now.market,
  COUNT(*) AS releases,
  APPROX_QUANTILES(now.days_since_release, 4) AS quartiles,
  AVG(now.days_since_release) AS mean
FROM {views["releases"]} AS now
LEFT JOIN known ON known.market = now.market AND known.album_id = now.album_id
WHERE now.load_date = @week AND known.album_id IS NULL AND now.days_since_release BETWEEN 0 AND {YOUNG_DAYS}
GROUP BY now.market
ORDER BY now.market"""
    return Query("delays", sql, (("week", week), ("before", before)))


def overlap(views: Views, *, week: date) -> Query:
    """How many releases each pair of markets shares; a market with itself: how many it has."""
    sql = f"""
SELECT market, other_market, shared
FROM {views["market_overlap"]}
WHERE load_date = @week AND market <= other_market
ORDER BY market, other_market"""
    return Query("overlap", sql, (("week", week),))


def artists(views: Views, *, week: date) -> Query:
    """The artists in most markets."""
    sql = f"""
SELECT artist_id, artist, markets, market_count, albums, tracks
FROM {views["artist_reach"]}
WHERE load_date = @week
ORDER BY market_count DESC, albums DESC, tracks DESC, artist_id
LIMIT {TOP_ARTISTS}"""
    return Query("artists", sql, (("week", week),))


def lengths(views: Views, *, week: date) -> Query:
    """Tracks by market and half minute."""
    sql = f"""
SELECT market, half_minute, tracks
FROM {views["track_lengths"]}
WHERE load_date = @week
ORDER BY market, half_minute"""
    return Query("lengths", sql, (("week", week),))
