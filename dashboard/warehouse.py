"""Asks BigQuery, and nothing more than it may cost."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from requests.exceptions import RequestException

from contracts.wording import shown
from dashboard.queries import Query
from eventing.errors import Retryable

log = logging.getLogger(__name__)
Row = Mapping[str, Any]


class Warehouse(Protocol):
    """Answers questions to the table."""

    async def rows(self, query: Query) -> Sequence[Row]:
        """The rows of the answer. Raises `Retryable` when there is none."""
        ...


class BigQueryWarehouse:
    """A `Warehouse` on BigQuery, through the official (blocking) client."""

    def __init__(self, client: bigquery.Client, *, maximum_bytes_billed: int, timeout: timedelta) -> None:
        self._client = client
        self._maximum = maximum_bytes_billed
        self._timeout = timeout.total_seconds()

    async def rows(self, query: Query) -> Sequence[Row]:
        """See `Warehouse.rows`."""
        try:
            return await asyncio.to_thread(self._rows, query)
        except (GoogleAPIError, RequestException, TimeoutError) as error:
            reason = (
                f"bigquery: the question {shown(query.name)} was not answered: {type(error).__name__}: {error}"
            )
            raise Retryable(reason) from error

    def _rows(self, query: Query) -> list[Row]:
        parameters = [
            *(bigquery.ScalarQueryParameter(name, "DATE", value) for name, value in query.dates),
            *(bigquery.ScalarQueryParameter(name, "STRING", value) for name, value in query.texts),
        ]
        config = bigquery.QueryJobConfig(query_parameters=parameters, maximum_bytes_billed=self._maximum)
        # One call for a short question, in place of one for the job and one or more for its rows.
        answer = self._client.query_and_wait(
            query.sql, job_config=config, api_timeout=self._timeout, wait_timeout=self._timeout
        )
        found: list[Row] = [dict(row.items()) for row in answer]
        told = {"query": query.name, "rows": len(found), "bytes_processed": answer.total_bytes_processed}
        log.info("asked", extra=told)
        return found
