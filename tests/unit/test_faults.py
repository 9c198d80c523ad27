"""What is wrong with a hostile input is told briefly, wherever the input comes in and however much is wrong with it."""

import json
from datetime import UTC, datetime

import pytest

from contracts.envelope import reading
from contracts.envelope.checking import validate
from contracts.envelope.google_events import dataproc_operation, object_finalized
from contracts.events import ObjectFinalized, RunRequested
from contracts.faults import MOST_TOLD, ContractError, Fault
from eventing.errors import Permanent, Retryable
from eventing.settings import load
from services.market_fetcher.decisions import Answer, No, judge
from services.market_fetcher.settings import Settings
from tests.fakes.spotify import lacks
from tests.unit.test_wording import HOSTILE, nested

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONTEXT = {"ce-id": "1", "ce-source": "x", "ce-specversion": "1.0", "ce-type": RunRequested.type}
STRUCTURED = {"content-type": "application/cloudevents+json"}
LONG = "x" * 500_000
DEEP = "[" * 900 + "]" * 900


def refused(headers: dict[str, str], content: object) -> ContractError:
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    with pytest.raises(ContractError) as caught:
        reading.parse(headers, body)
    return caught.value


def assert_is_brief(error: ContractError) -> None:
    assert 1 <= len(error.faults) <= MOST_TOLD
    assert all(len(fault.field) <= 200 and len(fault.problem) <= 1000 for fault in error.faults)
    assert len(str(error)) <= MOST_TOLD * 1300


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["run_id", "markets", "reason"])
def test_a_field_may_hold_anything(field: str, name: str) -> None:
    """The fault names the field and shows a little of what it holds, and is no fault of ours."""
    with pytest.raises(ContractError) as caught:
        validate(RunRequested, {field: HOSTILE[name]}, prefix="data")
    assert_is_brief(caught.value)
    assert caught.value.faults[0].field.startswith("data")


@pytest.mark.parametrize("name", HOSTILE)
def test_an_audit_entry_may_name_anything_as_its_resource(name: str) -> None:
    """The resource is looked for in a text; what is none is refused by name, never made into one."""
    payload = {"serviceName": "dataproc.googleapis.com", "methodName": "m", "resourceName": [HOSTILE[name]]}
    with pytest.raises(ContractError) as caught:
        dataproc_operation({"protoPayload": payload})
    assert [fault.field for fault in caught.value.faults] == ["protoPayload.resource"]


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({**CONTEXT, "ce-type": LONG}, {}),
        ({**CONTEXT, "ce-specversion": LONG}, {}),
        ({**CONTEXT, "ce-time": LONG}, {}),
        (STRUCTURED, {"id": "1", "source": "x", "type": RunRequested.type, "specversion": LONG}),
        (STRUCTURED, f'{{"id": "1", "source": "x", "type": "t", "specversion": {DEEP}}}'),
        (STRUCTURED, {"id": "1", "source": "x", "type": LONG, "specversion": "1.0"}),
        (STRUCTURED, {"id": "1", "source": "x", "type": "t", "specversion": "1.0", LONG: 1}),
        (
            STRUCTURED,
            {
                "id": "1",
                "source": "x",
                "type": "t",
                "specversion": "1.0",
                **{f"Not ok {n}": 1 for n in range(5000)},
            },
        ),
        (CONTEXT, {"markets": [LONG]}),
        ({}, {"message": {"messageId": "1", "attributes": {LONG: 1}}}),
        ({}, {"message": {"messageId": "1", "attributes": {"eventType": LONG, "bucketId": "b"}}}),
    ],
)
def test_no_part_of_a_request_is_repeated_whole(headers: dict[str, str], content: object) -> None:
    """Names and values alike: an answer that repeats them, and its log line, would grow with what was sent."""
    assert_is_brief(refused(headers, content))


def test_of_thousands_of_faults_some_are_told_and_the_others_counted() -> None:
    """The first faults show what is wrong; the answer and the log line stay small."""
    error = refused(CONTEXT, {"markets": ["DK", *["denmark"] * 5000]})
    assert_is_brief(error)
    assert error.faults[0].field == "data.markets.1"
    assert error.faults[-1] == Fault("and more", f"{5000 - MOST_TOLD + 1} more faults; mend these first")


@pytest.mark.parametrize("count", [1, MOST_TOLD - 1, MOST_TOLD])
def test_as_many_as_are_read_are_all_told(count: int) -> None:
    """Whoever mends an input mends it once."""
    error = refused(CONTEXT, {"markets": ["DK", *["denmark"] * count]})
    assert [fault.field for fault in error.faults] == [f"data.markets.{number + 1}" for number in range(count)]


def test_absurdly_many_faults_are_only_counted() -> None:
    """To tell one of them they would all have to be read: as many as an input has bytes."""
    error = refused(CONTEXT, {"markets": ["DK", *[1] * 100_000]})
    assert [str(fault) for fault in error.faults] == ["data: has 100000 faults; see the event's JSON Schema"]


def test_an_error_of_an_error_tells_the_same() -> None:
    """A dead letter's record repeats the faults that were found in it: their number must not be cut once more."""
    error = ContractError(Fault(str(number), "is wrong") for number in range(200))
    assert ContractError(error.faults).faults == error.faults


@pytest.mark.parametrize("told", ["eventType", "bucketId"])
def test_a_notification_is_not_repeated_either(told: str) -> None:
    """Its attributes are text of any length."""
    attributes = {"eventType": "OBJECT_FINALIZE", "bucketId": "b", "objectGeneration": LONG} | {told: LONG}
    with pytest.raises(ContractError) as caught:
        object_finalized(attributes)
    assert_is_brief(caught.value)


def test_an_integer_that_python_would_not_write_is_refused() -> None:
    """More than 4300 digits can be neither read from a text nor written into one."""
    with pytest.raises(ContractError) as caught:
        validate(ObjectFinalized, {"bucket": "b", "name": "n", "generation": "9" * 5000})
    assert_is_brief(caught.value)
    assert_is_brief(refused({**CONTEXT}, '{"run_id": %s}' % ("9" * 5000)))


def test_a_reason_is_brief_whatever_a_library_says() -> None:
    """Reasons go into answers and logs, and carry the words of Google's errors and of Spotify's."""
    retryable, permanent = Retryable(LONG), Permanent(LONG)
    assert max(len(str(retryable)), len(str(permanent)), len(permanent.faults[0].problem)) <= 1000


def test_spotify_may_answer_an_error_of_any_shape() -> None:
    """What its message says is shown where it is a text; anything else must not make an error of the error."""
    for message in (LONG, nested(500), {"a": nested(300)}, 10**4000, [1] * 5000):
        for body in ({"error": {"message": message}}, {"error_description": message}, {"error": message}):
            answer = Answer(400, json.dumps(body).encode())
            verdict = judge(answer, flaw=lacks("albums"), waits=0, now=NOW)
            assert isinstance(verdict, No)
            assert len(verdict.message) <= 300


def deep_answer(depth: int) -> Answer:
    return Answer(400, f'{{"error":{{"message":{"[" * depth}{"]" * depth}}}}}'.encode())


def test_no_depth_of_spotifys_error_is_too_deep() -> None:
    """Python's limits of reading and of writing a value differ from version to version, and from each other."""
    verdicts = [judge(deep_answer(depth), flaw=lacks("albums"), waits=0, now=NOW) for depth in range(0, 8000, 50)]
    assert all(isinstance(verdict, No) and len(verdict.message) <= 300 for verdict in verdicts)


def test_a_setting_is_not_repeated_whole() -> None:
    """The start's error is read in a log, too."""
    with pytest.raises(ContractError) as caught:
        load(Settings, {"PORT": LONG, "LOG_LEVEL": LONG})
    assert_is_brief(caught.value)
