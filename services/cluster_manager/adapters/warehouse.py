"""Counts what the table holds, in the table: the receipt never repeats what the job believes."""

from datetime import date

from google.cloud import bigquery

from contracts.documents import WarehouseCount
from eventing.bigquery import BigQuery
from eventing.deadlines import CALL, Deadline

_COUNT = """
SELECT COUNT(*) AS row_count, COUNT(DISTINCT market) AS markets, COUNT(DISTINCT album_id) AS albums,
       MAX(revision) AS revision
FROM `{table}` WHERE load_date = @load_date
"""


class BigQueryWarehouse:
    """A `Warehouse` on one BigQuery table."""

    def __init__(self, client: bigquery.Client, table: str, deadline: Deadline = CALL) -> None:
        self._bigquery = BigQuery(client, deadline)
        self._table = table

    async def count(self, run_id: str) -> WarehouseCount:
        """See `Warehouse.count`; reads the run's partition alone."""
        query = _COUNT.format(table=self._table)  # the name comes from checked settings, never from an event
        dates = {"load_date": date.fromisoformat(run_id)}
        (row,) = await self._bigquery.rows(f"counting {self._table}", query, dates)
        return WarehouseCount(
            rows=row["row_count"], markets=row["markets"], albums=row["albums"], revision=row["revision"]
        )
