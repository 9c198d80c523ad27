"""Asks BigQuery in bounded time, for no more bytes than a question may cost."""

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY
from requests.exceptions import RequestException

from eventing.deadlines import CALL, Deadline
from eventing.errors import OF_ANOTHER_FORM, Retryable

_MAXIMUM_BYTES: Final = 10 * 1024**3  # one partition is some megabytes; a runaway query must not cost
Row = Mapping[str, Any]


class BigQuery:
    """Questions to tables and views, through the official (blocking) client."""

    def __init__(self, client: bigquery.Client, deadline: Deadline = CALL) -> None:
        self._client = client
        self._deadline = deadline

    async def rows(self, what: str, sql: str, dates: Mapping[str, date]) -> list[Row]:
        """The rows of the answer; `what` names the question in the reason of the `Retryable` raised if none comes."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._rows, sql, dates), self._deadline.seconds)
        except (GoogleAPIError, GoogleAuthError, RequestException, TimeoutError, *OF_ANOTHER_FORM) as error:
            raise Retryable(f"bigquery: {what} failed: {type(error).__name__}: {error}") from error

    def _rows(self, sql: str, dates: Mapping[str, date]) -> list[Row]:
        parameters = [bigquery.ScalarQueryParameter(name, "DATE", value) for name, value in dates.items()]
        config = bigquery.QueryJobConfig(query_parameters=parameters, maximum_bytes_billed=_MAXIMUM_BYTES)
        # A job that failed is not begun anew here: the delivery comes back.
        bounds: dict[str, Any] = {
            "retry": DEFAULT_RETRY.with_timeout(self._deadline.retries_seconds),
            "job_retry": None,
        }
        job = self._client.query(sql, job_config=config, timeout=self._deadline.attempt_seconds, **bounds)
        return [dict(row.items()) for row in job.result(timeout=self._deadline.attempt_seconds, **bounds)]
