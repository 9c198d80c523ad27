"""Counts what the table holds, in the table: the receipt never repeats what the job believes."""

import asyncio
from datetime import date
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY
from requests.exceptions import RequestException

from contracts.documents import WarehouseCount
from eventing.deadlines import CALL, Deadline
from eventing.errors import Retryable

_MAXIMUM_BYTES = 10 * 1024**3  # one partition is some megabytes; a runaway query must not cost

_COUNT = """
SELECT COUNT(*) AS row_count, COUNT(DISTINCT market) AS markets, COUNT(DISTINCT album_id) AS albums,
       MAX(revision) AS revision
FROM `{table}` WHERE load_date = @load_date
"""


class BigQueryWarehouse:
    """A `Warehouse` on one BigQuery table."""

    def __init__(self, client: bigquery.Client, table: str, deadline: Deadline = CALL) -> None:
        self._client = client
        self._table = table
        self._deadline = deadline

    async def count(self, run_id: str) -> WarehouseCount:
        """See `Warehouse.count`; reads the run's partition alone."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._count, run_id), self._deadline.seconds)
        except (GoogleAPIError, RequestException, TimeoutError) as error:
            reason = f"bigquery: counting {self._table} failed: {type(error).__name__}: {error}"
            raise Retryable(reason) from error

    def _count(self, run_id: str) -> WarehouseCount:
        parameter = bigquery.ScalarQueryParameter("load_date", "DATE", date.fromisoformat(run_id))
        config = bigquery.QueryJobConfig(query_parameters=[parameter], maximum_bytes_billed=_MAXIMUM_BYTES)
        query = _COUNT.format(table=self._table)  # the name comes from checked settings, never from an event
        # A job that failed is not begun anew here: the delivery comes back.
        bounds: dict[str, Any] = {
            "retry": DEFAULT_RETRY.with_timeout(self._deadline.retries_seconds),
            "job_retry": None,
        }
        job = self._client.query(query, job_config=config, timeout=self._deadline.attempt_seconds, **bounds)
        row = next(iter(job.result(timeout=self._deadline.attempt_seconds, **bounds)))
        return WarehouseCount(
            rows=row["row_count"], markets=row["markets"], albums=row["albums"], revision=row["revision"]
        )
