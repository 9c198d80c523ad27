"""What Cloud Logging is given: one JSON object a line, with severity, run, market and trace."""

import json
import logging
import sys

import pytest

from eventing import logs
from eventing.logs import CloudLoggingFormatter


def line(record: logging.LogRecord) -> dict[str, object]:
    formatted = CloudLoggingFormatter(project="p", service="scheduler").format(record)
    assert "\n" not in formatted
    parsed: dict[str, object] = json.loads(formatted)
    return parsed


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "WARNING", "created": 1_763_852_400.0})
    vars(made).update(fields)
    return made


def test_a_line_carries_its_event_its_fields_and_its_trace() -> None:
    """One trace id leads from tick to table, so every line of a run must carry it where the console looks."""
    logs.bind(run_id="2026-11-23", market="DK", trace_id="abc", nothing=None)
    read = line(record("markets_requested", requested=48))
    assert read == {
        "severity": "WARNING",
        "message": "markets_requested",
        "time": "2025-11-22T23:00:00+00:00",
        "service": "scheduler",
        "run_id": "2026-11-23",
        "market": "DK",
        "requested": 48,
        "logging.googleapis.com/trace": "projects/p/traces/abc",
    }


def test_an_exception_stays_on_its_line() -> None:
    """A traceback over many lines would be many log entries."""
    made = record("unexpected")
    try:
        int("boom")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: invalid literal" in str(line(made)["exception"])


@pytest.mark.parametrize("value", ["\ud800", b"\xff", {1, 2}, ValueError("x"), object(), 10**400, float("nan")])
def test_no_value_costs_a_line(value: object) -> None:
    """What a caller sent is logged where it is refused: half a character in it must not swallow the refusal."""
    read = line(record("refused", found=[value]))
    assert read["message"] == "refused"
    assert read["found"]


def test_a_line_has_an_end() -> None:
    """Whoever sends us an id or a name chooses its length; Cloud Logging drops an entry above 256 KiB."""
    made = record("m" * 1_000_000, event_id="i" * 1_000_000, object="begins" + "x" * 1_000_000 + "ends")
    try:
        vars(made)["x" * 1_000_000]
    except KeyError:
        made.exc_info = sys.exc_info()
    read = line(made)
    assert len(json.dumps(read)) < 100_000
    assert str(read["object"]).startswith("begins")
    assert str(read["object"]).endswith("ends")
    assert str(read["exception"]).endswith("x'")


def test_a_line_is_text_that_a_stream_takes() -> None:
    """A line with half a character in it would fail where it is written, after it was formatted."""
    formatted = CloudLoggingFormatter(project="p", service="s").format(record("refused", found="\ud800 æ"))
    assert json.loads(formatted.encode())["found"] == "\ud800 æ"
