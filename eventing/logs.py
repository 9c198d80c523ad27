"""Logs as Cloud Logging reads them: one JSON object a line, with run, market and trace.

A log line is a constant event name plus fields. Source of the special fields:
cloud.google.com/logging/docs/structured-logging.
"""

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from contracts.names import trace_id
from contracts.wording import cut

_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 -- never mutated
_LONGEST = 16_000
"""Characters of a field. Senders choose how long theirs are, and Cloud Logging takes 256 KiB an entry."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def bind(**fields: str | None) -> None:
    """Add fields to every further log line of this task, such as `run_id` and `market`."""
    _context.set({**_context.get(), **{name: value for name, value in fields.items() if value is not None}})


def bind_run(run_id: str, market: str | None = None, **fields: str | None) -> None:
    """Every further log line of this task is about this run: it carries the run's trace, too."""
    bind(run_id=run_id, market=market, trace_id=trace_id(run_id), **fields)


class CloudLoggingFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, *, project: str, service: str) -> None:
        super().__init__()
        self._project = project
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object with severity, message, time, trace and all fields."""
        line: dict[str, Any] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "service": self._service,
            **_context.get(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if trace := line.pop("trace_id", None):
            line["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace}"
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: _short(value) for name, value in line.items()}, default=str)


def _short(value: object) -> object:
    return cut(value, _LONGEST) if isinstance(value, str) else value


def configure(*, project: str, service: str, level: str) -> None:
    """Send everything to stdout in Cloud Logging's format."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(CloudLoggingFormatter(project=project, service=service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
