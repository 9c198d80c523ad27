"""The questions to the table, as SQL and parameters. Pure.

Every question reads the views of `infra/bigquery/views` and names its partitions by parameters, so that BigQuery
reads those alone. What a column means is said by the views; here is only which rows are wanted.
"""

# ruff: noqa: S608 -- what is put into the text are names from checked settings and numbers of ours; values are parameters

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Final

TOP_ARTISTS: Final = 200
"""Artists of a week that are given away: enough that each market has its own top."""

FRESH_DAYS: Final = 7
"""Where there is no list to compare with, what came out in so many days up to the run is called new."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question: its name (for logs), its SQL, and its parameters: dates, and ids of Spotify's."""

    name: str
    sql: str
    dates: tuple[tuple[str, date], ...]
    texts: tuple[tuple[str, str], ...] = ()


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
SELECT load_date, market_codes, albums, row_count, revision
FROM {views["weeks"]}
WHERE load_date BETWEEN @since AND @until
ORDER BY load_date DESC"""
    return Query("weeks", sql, (("since", since), ("until", until)))


def history(views: Views, *, since: date, until: date) -> Query:
    """For each run and market, and for all markets together ('all'): releases, and how many of them are new.

    The rule is that of `dashboard.documents`: new in a market is what its own last list did not hold; new for all is
    what no market's last list held; where there is no last list, the release date decides. A list holds until the
    market's next one: through weeks in which the market is missing.
    """
    sql = f"""
WITH reach AS (
  SELECT load_date, album_id, markets, release_day
  FROM {views["album_reach"]}
  WHERE load_date BETWEEN @since AND @until
),
listed AS (SELECT load_date, market, album_id, release_day FROM reach, UNNEST(markets) AS market),
held AS (
  SELECT
    load_date,
    market,
    LAG(load_date) OVER (PARTITION BY market ORDER BY load_date) AS before,
    COALESCE(LEAD(load_date) OVER (PARTITION BY market ORDER BY load_date), @until) AS holds_until
  FROM (SELECT DISTINCT load_date, market FROM listed)
),
seen AS (
  SELECT
    listed.load_date,
    listed.market,
    listed.album_id,
    held.before,
    held.holds_until,
    COALESCE(DATE_DIFF(listed.load_date, listed.release_day, DAY) BETWEEN 0 AND {FRESH_DAYS - 1}, FALSE) AS is_fresh,
    LAG(listed.load_date) OVER (PARTITION BY listed.market, listed.album_id ORDER BY listed.load_date) AS last_seen
  FROM listed
  JOIN held ON held.load_date = listed.load_date AND held.market = listed.market
),
anywhere AS (
  SELECT
    load_date,
    album_id,
    LOGICAL_OR(before IS NOT NULL) AS can_compare,
    LOGICAL_OR(is_fresh) AS is_fresh,
    MAX(MAX(holds_until)) OVER (
      PARTITION BY album_id ORDER BY load_date ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS held_until
  FROM seen
  GROUP BY load_date, album_id
)
SELECT
  load_date,
  market,
  COUNT(*) AS albums,
  COUNTIF(IF(before IS NULL, is_fresh, last_seen IS NULL OR last_seen < before)) AS new_albums
FROM seen
GROUP BY load_date, market
UNION ALL
SELECT
  load_date,
  'all' AS market,
  COUNT(*) AS albums,
  COUNTIF(COALESCE(held_until < load_date, TRUE) AND (can_compare OR is_fresh)) AS new_albums
FROM anywhere
GROUP BY load_date
ORDER BY load_date, market"""
    return Query("history", sql, (("since", since), ("until", until)))


def releases(views: Views, *, week: date) -> Query:
    """The releases of a run, each once, with the markets that list it."""
    sql = f"""
SELECT
  album_id,
  ARRAY_AGG(market ORDER BY market) AS markets,
  MAX(album_name) AS album_name,
  MAX(artists) AS artists,
  MAX(artist_ids) AS artist_ids,
  MAX(album_type) AS album_type,
  MAX(release_date) AS release_date,
  MAX(weekday) AS weekday,
  MAX(days_since_release) AS days_since_release,
  MAX(tracks) AS tracks,
  MAX(duration_ms) AS duration_ms,
  MAX(explicit_tracks) AS explicit_tracks,
  MAX(image_url) AS image_url
FROM {views["releases"]}
WHERE load_date = @week
GROUP BY album_id
ORDER BY COUNT(*) DESC, album_id"""
    return Query("releases", sql, (("week", week),))


def listings(views: Views, *, weeks: Collection[date]) -> Query:
    """Which markets list which release in some runs: what a week is compared with."""
    dates = tuple((f"week_{number}", week) for number, week in enumerate(sorted(weeks)))
    sql = f"""
SELECT load_date, album_id, markets
FROM {views["album_reach"]}
WHERE load_date IN ({", ".join(f"@{name}" for name, _ in dates)})"""
    return Query("listings", sql, dates)


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


def album_listings(views: Views, album: str, *, since: date, until: date) -> Query:
    """Where a release was listed, run by run, newest first."""
    sql = f"""
SELECT load_date, markets
FROM {views["album_reach"]}
WHERE load_date BETWEEN @since AND @until AND album_id = @album
ORDER BY load_date DESC"""
    return Query("album_listings", sql, (("since", since), ("until", until)), (("album", album),))


def album_tracks(views: Views, album: str, *, week: date) -> Query:
    """The tracks of a release, as one run has them."""
    sql = f"""
SELECT track_id, disc_number, track_number, track_name, artists, artist_ids, duration_ms, is_explicit, markets
FROM {views["album_tracks"]}
WHERE load_date = @week AND album_id = @album
ORDER BY disc_number, track_number, track_id"""
    return Query("album_tracks", sql, (("week", week),), (("album", album),))


def artist_names(views: Views, artist: str, *, since: date, until: date) -> Query:
    """What an artist is called, newest first."""
    sql = f"""
SELECT load_date, artist
FROM {views["artist_reach"]}
WHERE load_date BETWEEN @since AND @until AND artist_id = @artist
ORDER BY load_date DESC
LIMIT 1"""
    return Query("artist_names", sql, (("since", since), ("until", until)), (("artist", artist),))


def artist_releases(views: Views, artist: str, *, since: date, until: date) -> Query:
    """The releases with a track of an artist's, run by run, newest first."""
    sql = f"""
SELECT load_date, album_id, album_name, album_type, release_date, image_url, markets
FROM {views["artist_releases"]}
WHERE load_date BETWEEN @since AND @until AND artist_id = @artist
ORDER BY load_date DESC, release_date DESC, album_id"""
    return Query("artist_releases", sql, (("since", since), ("until", until)), (("artist", artist),))
