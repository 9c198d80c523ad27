"""Asks the views what a week brought."""

from datetime import date, timedelta
from typing import Final

from eventing.bigquery import BigQuery
from services.notifier.ports import Release, Week

_BACK: Final = timedelta(days=60)
"""How long ago the run before may have been; no older partition is read."""
_WEEK: Final = """
WITH before AS (
  SELECT load_date, album_id, markets
  FROM `{views}.album_reach`
  WHERE load_date >= @since AND load_date < @week
  QUALIFY load_date = MAX(load_date) OVER ()
)
SELECT
  reach.album_id,
  reach.markets,
  MAX(listed.album_name) AS album_name,
  MAX(listed.artists) AS artists,
  ANY_VALUE(before.markets) AS known,
  (SELECT MAX(load_date) FROM before) AS before_date
FROM `{views}.album_reach` AS reach
JOIN `{views}.releases` AS listed ON listed.album_id = reach.album_id
LEFT JOIN before ON before.album_id = reach.album_id
WHERE reach.load_date = @week AND listed.load_date = @week
GROUP BY reach.album_id, reach.markets, reach.market_count
ORDER BY reach.market_count DESC, reach.album_id
"""


class ViewsWarehouse:
    """A `Warehouse` on the views of a dataset, `PROJECT.DATASET`."""

    def __init__(self, asked: BigQuery, views: str) -> None:
        self._asked = asked
        self._sql = _WEEK.format(views=views)

    async def week(self, run_id: str) -> Week:
        """See `Warehouse.week`."""
        day = date.fromisoformat(run_id)
        rows = await self._asked.rows(
            "asking what the week brought", self._sql, {"week": day, "since": day - _BACK}
        )
        releases = (
            Release(
                row["album_name"] or "?",
                row["artists"] or "?",
                frozenset(row["markets"]),
                frozenset(row["known"] or ()),
            )
            for row in rows
        )
        return Week(tuple(releases), rows[0]["before_date"] if rows else None)
