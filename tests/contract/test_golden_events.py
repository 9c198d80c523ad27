"""Every event, in every shape it arrives in, stays readable for ever: these payloads are never edited."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contracts.__main__ import main
from contracts.catalogue import asyncapi, event_schema, files
from contracts.envelope import messages, reading
from contracts.envelope.messages import Origin
from contracts.events import BY_TYPE, OWN_EVENTS, DeadLettered, MarketRequested, RunFinished
from contracts.faults import ContractError
from contracts.names import traceparent

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
ROOT = Path(__file__).parents[2]


def load(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return parsed


def parse(golden: dict[str, Any]) -> Any:
    return reading.parse(golden["headers"], json.dumps(golden["body"]).encode())


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_payload_is_read_as_the_event_it_was(path: Path) -> None:
    """A payload once published must be understood by every later version."""
    golden = load(path)
    event = parse(golden).event
    assert type(event).__name__ == golden["expect"]["event"]
    read = event.model_dump(mode="json")
    assert {name: read[name] for name in golden["expect"]["data"]} == golden["expect"]["data"]


def test_there_is_a_golden_payload_for_every_event() -> None:
    """An event without a golden payload is not protected."""
    seen = {load(path)["expect"]["event"] for path in GOLDEN}
    google = {"ObjectFinalized", "DataprocOperation", "DeadLettered", "RedrivenElsewhere"}
    assert seen == {event.__name__ for event in OWN_EVENTS} | google


@pytest.mark.parametrize("path", [p for p in GOLDEN if p.name.endswith(".push.json")], ids=lambda p: p.stem)
@pytest.mark.parametrize("dropped", ["messageId", "message_id"])
def test_either_spelling_of_the_message_id_is_enough(path: Path, dropped: str) -> None:
    """Pub/Sub sends both today; neither may be relied upon alone."""
    golden = load(path)
    golden["body"]["message"].pop(dropped)
    assert parse(golden).message_id == "11223344"


@pytest.mark.parametrize("path", [p for p in GOLDEN if p.name.endswith(".push.json")], ids=lambda p: p.stem)
def test_unknown_fields_are_accepted(path: Path) -> None:
    """A newer producer must not break an older consumer."""
    golden = load(path)
    message = golden["body"]["message"]
    data = json.loads(base64.b64decode(message["data"]))
    message["data"] = base64.b64encode(json.dumps({**data, "from_the_future": 1}).encode()).decode()
    golden["body"]["alsoNew"] = message["alsoNew"] = {"x": 1}
    message["attributes"]["new-attribute"] = "x"
    assert type(parse(golden).event).__name__ == golden["expect"]["event"]


@pytest.mark.parametrize("path", [p for p in GOLDEN if p.name.endswith(".push.json")], ids=lambda p: p.stem)
def test_null_in_a_message_counts_as_not_there(path: Path) -> None:
    """So it does in all JSON of Google's services; the other spelling of a field may stand beside it."""
    golden = load(path)
    message = golden["body"]["message"]
    message["message_id"] = message.pop("messageId", None) or message["message_id"]
    message |= {"messageId": None, "orderingKey": None, "publishTime": None}
    assert type(parse(golden).event).__name__ == golden["expect"]["event"]


@pytest.mark.parametrize("field", ["operation", "last", "resourceName", "response"])
def test_null_in_an_audit_entry_counts_as_not_there(field: str) -> None:
    """An entry that is refused is delivered again until it is given up, and only its words were odd."""
    golden = load(next(path for path in GOLDEN if path.name == "dataproc-operation.push.json"))
    message = golden["body"]["message"]
    entry = json.loads(base64.b64decode(message["data"]))
    place = {"operation": entry, "last": entry["operation"]}.get(field, entry["protoPayload"])
    place[field] = None
    message["data"] = base64.b64encode(json.dumps(entry).encode()).decode()
    assert type(parse(golden).event).__name__ == "DataprocOperation"


def test_what_is_published_is_what_is_read() -> None:
    """Building and parsing are inverse for every event, with id, source, trace and time on the wire."""
    origin = Origin("scheduler", "cause-1", datetime(2026, 11, 23, tzinfo=UTC))
    event = MarketRequested(run_id="2026-11-23", market="DK", replay=True, reason="æøå")
    message = messages.to_message(event, origin, traceparent=traceparent("2026-11-23", "x"))
    delivery = reading.parse_message(message, message_id="5", subscription="s")
    assert delivery.event == event
    assert delivery.event_id == message.attributes["ce-id"]
    assert delivery.traceparent == traceparent("2026-11-23", "x")
    assert message.attributes["ce-source"] == "//new-releases/scheduler"
    assert message.attributes["ce-time"] == "2026-11-23T00:00:00Z"


@pytest.mark.parametrize(
    "path", [p for p in GOLDEN if p.stem.startswith("market-requested.")], ids=lambda p: p.stem
)
def test_an_event_without_a_time_has_none(path: Path) -> None:
    """A time drawn here would be another at every delivery, and a redelivered replay would never be done."""
    golden = load(path)
    for context in (golden["headers"], golden["body"], golden["body"].get("message", {}).get("attributes", {})):
        for name in ("ce-time", "time"):
            context.pop(name, None)
    assert parse(golden).event_time is None
    message = golden["body"].get("message", {})
    if "attributes" in message:
        message["attributes"]["ce-unknown"] = "read by the SDK"
        assert parse(golden).event_time is None


def test_the_same_event_of_the_same_cause_has_the_same_id() -> None:
    """A redelivery that publishes again must not look like something new."""
    event = MarketRequested(run_id="2026-11-23", market="DK")
    assert messages.event_id(event, "a") == messages.event_id(event, "a")
    assert messages.event_id(event, "a") != messages.event_id(event, "b")
    other = MarketRequested(run_id="2026-11-23", market="SE")
    assert messages.event_id(event, "a") != messages.event_id(other, "a")


BAD = [
    ("newreleases.market.requested.v1", {"run_id": "2026-11-31", "market": "dk"}, ["data.run_id", "data.market"]),
    ("newreleases.market.requested.v1", {}, ["data.run_id", "data.market"]),
    (
        "newreleases.market.requested.v1",
        {"run_id": "../../etc", "market": "DK/.."},
        ["data.run_id", "data.market"],
    ),
    (
        "newreleases.market.requested.v1",
        {"run_id": "2026-11-23\n", "market": "ÆØ"},
        ["data.run_id", "data.market"],
    ),
    ("newreleases.run.requested.v1", {"markets": ["DK", "dk"], "run_id": 5}, ["data.markets.1", "data.run_id"]),
    ("newreleases.run.requested.v1", {"markets": ["DK", "DK"]}, ["data.markets"]),
    ("newreleases.run.requested.v1", {"markets": []}, ["data.markets"]),
    ("newreleases.batch.ready.v1", {"run_id": "2026-11-23", "revision": 0}, ["data.revision"]),
    ("newreleases.batch.ready.v1", {"run_id": "2026-11-23", "revision": 10000}, ["data.revision"]),
    (
        "newreleases.run.finished.v1",
        {"run_id": "2026-11-23", "revision": 1, "outcome": "great", "receipt_uri": "/x"},
        ["data.outcome", "data.receipt_uri"],
    ),
    ("newreleases.sweep.requested.v1", {"reason": "x" * 501}, ["data.reason"]),
]


@pytest.mark.parametrize(("kind", "data", "fields"), BAD)
def test_each_bad_field_is_named_and_has_a_remedy(kind: str, data: dict[str, Any], fields: list[str]) -> None:
    """A producer learns of all its mistakes at once, before anything becomes a path."""
    headers = {
        "ce-id": "1",
        "ce-source": "x",
        "ce-specversion": "1.0",
        "ce-type": kind,
        "content-type": "application/json",
    }
    with pytest.raises(ContractError) as caught:
        reading.parse(headers, json.dumps(data).encode())
    assert sorted(fault.field for fault in caught.value.faults) == sorted(fields)
    assert all(";" in fault.problem for fault in caught.value.faults)


CONTEXT = {"ce-id": "1", "ce-source": "x", "ce-specversion": "1.0", "ce-type": "newreleases.batch.ready.v1"}
BATCH = b'{"run_id": "2026-11-23", "revision": 1}'


def faults_of(headers: dict[str, str], body: bytes) -> dict[str, str]:
    with pytest.raises(ContractError) as caught:
        reading.parse(headers, body)
    return {fault.field: fault.problem for fault in caught.value.faults}


def test_attributes_and_data_are_judged_together() -> None:
    """One reading names each fault of both, with what was there and what to write in its place."""
    faults = faults_of({**CONTEXT, "ce-id": "", "ce-time": "soon"}, b'{"run_id": "2026-11-31", "revision": 1}')
    assert faults.keys() == {"ce-id", "ce-time", "data.run_id"}
    assert faults["ce-time"] == "is not a time, got 'soon'; write it with its zone, as 2026-11-23T00:00:00Z"
    assert faults_of({**CONTEXT, "ce-source": ""}, b"[").keys() == {"ce-source", "body"}
    assert "known are" in faults_of({**CONTEXT, "ce-type": "x"}, BATCH)["ce-type"]


TIMES = [
    "2026-11-23T00:00:00Z",
    "2026-11-23T00:00:00.123456789Z",
    "2026-11-23T02:00:00+02:00",
    "2026-11-23t00:00:00z",
    "2026-11-23 00:00:00Z",
    "20261123T000000Z",
    "2026-11-23T00%3A00%3A00Z",
]
NO_TIMES = ["", "2026-11-23T00:00:00", "2026-11-31T00:00:00Z", "1763852400", "2026-11-23T00:00:00Z\n", "\uff12026"]


@pytest.mark.parametrize("time", TIMES)
def test_a_time_is_read_in_each_of_its_forms(time: str) -> None:
    """Whoever sends it writes it as their library does; as a header it may be percent-encoded."""
    found = reading.parse({**CONTEXT, "ce-time": time}, BATCH).event_time
    assert found is not None
    assert found.replace(microsecond=0) == datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize("time", NO_TIMES)
def test_what_is_no_time_is_refused_by_name(time: str) -> None:
    """A time without its zone could be any of a day; a number is a time only to whoever wrote it."""
    assert faults_of({**CONTEXT, "ce-time": time}, BATCH).keys() == {"ce-time"}


STRUCTURED = {"content-type": "application/cloudevents+json"}


@pytest.mark.parametrize(
    "data",
    [
        {"data": json.loads(BATCH)},
        {"data": BATCH.decode()},
        {"data_base64": base64.b64encode(BATCH).decode(), "data": None},
    ],
)
def test_data_is_read_in_each_form_that_json_has_for_it(data: dict[str, Any]) -> None:
    """The JSON format lets the producer choose."""
    event = {**{name.removeprefix("ce-"): value for name, value in CONTEXT.items()}, **data}
    assert reading.parse(STRUCTURED, json.dumps(event).encode()).event.revision == 1


@pytest.mark.parametrize(("given", "read"), [("00-1-2-01", "00-1-2-01"), (5, None)])
def test_an_extension_may_be_spelled_anyhow_and_hold_anything(given: object, read: str | None) -> None:
    """The trace is what we read of them; what is none is nothing to refuse an event for."""
    event = {**{name.removeprefix("ce-"): value for name, value in CONTEXT.items()}, "data": json.loads(BATCH)}
    sent = json.dumps({**event, "traceParent": given}).encode()
    assert reading.parse(STRUCTURED, sent).traceparent == read


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "data"),
        ({"data": "nonsense"}, "data"),
        ({"data": [1]}, "data"),
        ({"data_base64": "e"}, "data_base64"),
        ({"data_base64": 5}, "data_base64"),
        ({"data": {}, "data_base64": "e30="}, "data_base64"),
    ],
)
def test_data_that_is_none_is_refused_by_name(data: dict[str, Any], field: str) -> None:
    """What is meant must not be guessed, least of all between two."""
    event = {**{name.removeprefix("ce-"): value for name, value in CONTEXT.items()}, **data}
    assert faults_of(STRUCTURED, json.dumps(event).encode()).keys() == {field}


@pytest.mark.parametrize(
    ("headers", "body", "field"),
    [
        ({}, b"", "body"),
        ({}, b"[]", "body"),
        ({}, b"[" * 100_000, "body"),
        ({}, b"\xff\xfe", "body"),
        ({}, b"{}", "message"),
        ({}, b'{"message": {"data": "e30="}}', "message.messageId"),
        ({}, b'{"message": {"data": "!", "messageId": "1"}}', "message.data"),
        ({}, b'{"message": {"data": "e30=", "messageId": "1"}}', "message"),
        ({}, b'{"message": {"messageId": "1", "attributes": {"ce-type": "x"}}}', "ce-id"),
        ({"ce-type": "x"}, b"{}", "ce-id"),
        ({"ce-type": "x", "ce-id": "1", "ce-source": "s", "ce-specversion": "1.0"}, b"[" * 100_000, "body"),
        ({"ce-type": "x", "ce-id": "1", "ce-source": "s", "ce-specversion": "1.0"}, b"{}", "ce-type"),
        ({"ce-type": "x", "ce-id": "1", "ce-source": "s", "ce-specversion": "9.0"}, b"{}", "ce-specversion"),
        ({"content-type": "application/cloudevents+json"}, b'{"type": "x"}', "ce-id"),
        ({"content-type": "application/cloudevents+json"}, b"nonsense", "body"),
        ({"content-type": "application/cloudevents+json"}, b"[1]", "body"),
    ],
)
def test_what_is_no_event_is_refused_with_the_field(headers: dict[str, str], body: bytes, field: str) -> None:
    """Anything may arrive at an HTTP endpoint; it never becomes more than a list of faults."""
    with pytest.raises(ContractError) as caught:
        reading.parse(headers, body)
    assert field in [fault.field for fault in caught.value.faults]


def test_a_dead_letter_keeps_what_it_was_or_why_it_cannot_be_read() -> None:
    """Whoever looks into a dead letter must find the market, or the fault."""
    golden = {path.name: load(path) for path in GOLDEN}
    readable: DeadLettered = parse(golden["dead-lettered.push.json"]).event
    assert readable.original == MarketRequested(run_id="2026-11-23", market="DK")
    unreadable: DeadLettered = parse(golden["dead-lettered-unreadable.push.json"]).event
    assert unreadable.original is None
    assert any(fault.startswith("data.run_id") for fault in unreadable.unreadable)


@pytest.mark.parametrize("event", OWN_EVENTS)
def test_golden_data_satisfies_the_generated_schema(event: Any) -> None:
    """The schema that is handed out describes what is on the wire."""
    goldens = [load(path) for path in GOLDEN if path.name.endswith(".push.json")]
    checked = 0
    for golden in goldens:
        if golden["expect"]["event"] == event.__name__:
            data = json.loads(base64.b64decode(golden["body"]["message"]["data"]))
            jsonschema.validate(data, event_schema(event))
            checked += 1
    assert checked


def test_the_schema_refuses_what_the_model_refuses() -> None:
    """A consumer in another language must come to the same verdict."""
    data = {"run_id": "2026-11-23", "revision": 1, "outcome": "loaded", "receipt_uri": "nowhere"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, event_schema(RunFinished))


def test_the_generated_files_are_fresh() -> None:
    """Documents that lie are worse than none: `python -m contracts` writes them anew."""
    assert main(["--check"]) == 0
    kept = {str(path.relative_to(ROOT)) for path in (ROOT / "contracts/schemas").glob("*.json")}
    assert kept == {path for path in files() if path.startswith("contracts/schemas/")}


def test_asyncapi_names_every_topic_of_the_topology_that_carries_events() -> None:
    """The catalogue and the deployed topology must not drift apart."""
    topology = json.loads((ROOT / "infra/topology.json").read_text(encoding="utf-8"))
    channels = set(asyncapi()["channels"])
    assert channels <= set(topology["topics"])
    assert {push["topic"] for push in topology["push_subscriptions"]} <= channels
    takes = {(push["service"], push["topic"]) for push in topology["push_subscriptions"]}
    operations = asyncapi()["operations"]
    documented = {tuple(name.split(".takes.")) for name in operations if ".takes." in name}
    assert takes == documented


def test_every_type_is_versioned() -> None:
    """A new meaning needs a new type, so each carries its version."""
    assert all(kind.rsplit(".v", 1)[1].isdecimal() for kind in BY_TYPE)
