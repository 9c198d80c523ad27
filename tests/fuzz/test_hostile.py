"""`POST /` of each service, with bodies that someone made to do harm. `make fuzz` tries more."""

import base64
import json
import os
import socket
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.envelope import google_events, reading
from contracts.envelope.push import PUBSUB_PUBLISHED
from contracts.events import OWN_EVENTS, Canary, RunRequested
from contracts.faults import ContractError
from contracts.names import is_run_id
from tests.fuzz.serving import Running, serving
from tests.registry import SERVICES

EXAMPLES = int(os.environ.get("FUZZ", "50"))
MIB = 1024 * 1024
BOMB = 512 * MIB

NASTY = (
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "2026-11-23/../../x",
    "2026-11-23\n",
    "2026-11-23\x00",
    "\uff12\uff10\uff12\uff16-11-23",
    "2026-11-31",
    "0000-01-01",
    "9999-99-99",
    "DK\n",
    "dk",
    "D\x00",
    "ÆØ",
    "\ud800",
    "%2e%2e%2f",
    "raw/2026-11-23/../DK.jsonl.gz",
    "raw/2026-11-23/DK.jsonl.gz",
    "new-releases-20261123-1",
    "projects/p/subscriptions/../../x",
    "projects/p/subscriptions/x-dead",
    "1e400",
    "9" * 4000,
    "x" * 5000,
)
TIMES = (
    "2026-11-23T00:00:00Z",
    "2026-11-23T00:00:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "1e99",
    "-1",
)

CONTEXT = {"ce-type": OWN_EVENTS[0].type, "ce-id": "1", "ce-source": "x", "ce-specversion": "1.0"}

text = st.sampled_from(NASTY) | st.text(max_size=20)
run_ids = st.dates(date(1, 1, 1), date(9999, 12, 31)).map(lambda day: day.isoformat()) | st.just("2026-11-23")
markets = st.sampled_from(["DK", "SE", "XX"])
numbers = st.integers(-5, 10001) | st.sampled_from([10**400, -(10**400), 2**63, 0.5, 1e308, -0.0])
deep = st.integers(1, 400).map(lambda depth: json.loads("[" * depth + "]" * depth))
anything = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
value = text | numbers | anything | deep
data = st.fixed_dictionaries(
    {},
    optional={
        "run_id": run_ids | value,
        "market": markets | value,
        "markets": st.lists(markets, max_size=3) | value,
        "revision": st.integers(1, 9999) | value,
        "outcome": st.sampled_from(["loaded", "partial", "failed"]) | value,
        "receipt_uri": st.just("gs://bucket/runs/x.json") | value,
        "reason": text,
        "replay": st.booleans() | value,
        "fresh": st.booleans() | value,
        "bucket": st.just("bucket") | value,
        "name": text,
        "generation": numbers | text,
        "id": st.just("canary-12345678") | text,
        "refuse": st.booleans() | value,
    },
)
audit = st.fixed_dictionaries(
    {
        "protoPayload": st.fixed_dictionaries(
            {"serviceName": st.just("dataproc.googleapis.com")},
            optional={"methodName": value, "resourceName": text | value},
        )
    },
    optional={"operation": st.fixed_dictionaries({"last": value}) | value},
)
kinds = st.sampled_from(
    [
        *(event.type for event in OWN_EVENTS),
        Canary.type,
        google_events.STORAGE_FINALIZED,
        PUBSUB_PUBLISHED,
        google_events.AUDIT_WRITTEN,
    ]
)
context = st.fixed_dictionaries(
    {"id": st.just("1") | text, "source": st.just("x") | text, "specversion": st.just("1.0"), "type": kinds},
    optional={"time": st.sampled_from(TIMES), "subject": text, "datacontenttype": text, "traceparent": text},
)
dead_letter = st.fixed_dictionaries(
    {"CloudPubSubDeadLetterSourceSubscription": text},
    optional={
        "CloudPubSubDeadLetterSourceDeliveryCount": text,
        "CloudPubSubDeadLetterSourceTopicPublishTime": st.sampled_from(TIMES) | text,
        "redrives": text,
        "redrive_to": text,
    },
)
notification = st.fixed_dictionaries(
    {"eventType": st.just("OBJECT_FINALIZE"), "bucketId": st.just("bucket") | text, "objectId": text},
    optional={"objectGeneration": text},
)


def _encoded(content: object) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


@st.composite
def valid(draw: st.DrawFn) -> dict[str, Any]:
    """A push of an event of ours that is right in itself; what Pub/Sub says about it need not be."""
    fields = {
        "newreleases.run.requested.v1": st.fixed_dictionaries({}, optional={"run_id": run_ids, "reason": text}),
        "newreleases.market.requested.v1": st.fixed_dictionaries(
            {"run_id": run_ids, "market": markets}, optional={"replay": st.booleans(), "fresh": st.booleans()}
        ),
        "newreleases.batch.ready.v1": st.fixed_dictionaries({"run_id": run_ids, "revision": st.integers(1, 9999)}),
        "newreleases.sweep.requested.v1": st.just({}),
    }
    kind = draw(st.sampled_from(sorted(fields)))
    attributes = {"ce-id": "1", "ce-source": "x", "ce-specversion": "1.0", "ce-type": kind}
    attributes |= draw(st.fixed_dictionaries({}, optional={"ce-time": st.sampled_from(TIMES)}))
    return {
        "message": {
            "data": _encoded(draw(fields[kind])),
            "attributes": attributes | draw(st.just({}) | dead_letter),
            "messageId": draw(st.just("7") | text),
            **draw(st.fixed_dictionaries({}, optional={"publishTime": st.sampled_from(TIMES)})),
        },
        "subscription": draw(st.sampled_from(["projects/p/subscriptions/s", "s-dead"]) | text),
    }


@st.composite
def push(draw: st.DrawFn) -> dict[str, Any]:
    """A wrapped push, hostile in any of its parts."""
    attributes: Any = {f"ce-{name}": value for name, value in draw(context).items()}
    attributes = draw(
        st.just(attributes) | notification | dead_letter | st.just({}) | st.dictionaries(text, text, max_size=3)
    )
    if draw(st.booleans()):
        attributes = attributes | draw(dead_letter)
    message = {
        "data": draw((data | audit).map(_encoded) | st.sampled_from(["!", "e30", "====", "e30=\n", ""]) | value),
        "attributes": draw(st.just(attributes) | value) if draw(st.integers(0, 9)) == 0 else attributes,
        "messageId": draw(st.just("7") | text | numbers),
        "publishTime": draw(st.sampled_from(TIMES) | text),
    }
    return {
        "message": {key: message[key] for key in message if draw(st.integers(0, 19))},
        "subscription": draw(st.sampled_from(["projects/p/subscriptions/s", "s-dead"]) | text),
        "deliveryAttempt": draw(st.integers(1, 100) | value),
    }


@st.composite
def structured(draw: st.DrawFn) -> dict[str, Any]:
    """A structured CloudEvent; its data may be a push again."""
    return {**draw(context), "data": draw(data | push() | audit | value)}


def _sendable(content: str) -> str:
    """What HTTP lets pass in a header."""
    return "".join(letter for letter in content[:2000] if " " < letter <= "~").strip()


def _as_json(content: object) -> bytes:
    return json.dumps(content).encode()


Sent = tuple[dict[str, str], bytes]


@st.composite
def requests_made(draw: st.DrawFn) -> Sent:
    """Headers and body of a request in one of the shapes."""
    shape = draw(st.sampled_from(["valid", "push", "structured", "binary", "nonsense"]))
    if shape == "valid":
        return {}, _as_json(draw(valid()))
    if shape == "push":
        return {"Content-Type": "application/json"}, _as_json(draw(push()))
    if shape == "structured":
        return {"Content-Type": "application/cloudevents+json"}, _as_json(draw(structured()))
    if shape == "binary":
        headers = {f"ce-{name}": _sendable(str(content)) for name, content in draw(context).items()}
        return {**headers, "Content-Type": "application/json"}, _as_json(draw(data | push() | value))
    return {"Content-Type": _sendable(draw(text))}, draw(
        st.binary(max_size=200) | value.map(json.dumps).map(str.encode)
    )


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Each service in turn."""
    with serving(request.param) as running:
        yield running


def _is_understood(headers: dict[str, str], body: bytes) -> bool:
    try:
        reading.parse(headers, body)
    except ContractError:
        return False
    return True


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=requests_made())
def test_nobody_outside_chooses_a_path_or_a_crash(service: Running, sent: Sent) -> None:
    """What is no event is refused; what is one is handled, refused or given back, and touches its own run alone."""
    headers, body = sent
    service.store.forget()
    response = requests.post(service.url, data=body, headers=headers, timeout=30)
    assert "unexpected fault" not in response.text, response.text
    allowed = {204, 400, 503} if _is_understood(headers, body) else {400}
    assert response.status_code in allowed, response.text
    assert service.store.strays() == []
    # Every letter of a run's name that reached the bucket stood in the request, as a date.
    sent_text = body.decode(errors="replace") + json.dumps(headers) + _decoded(body)
    for run_id in service.store.runs():
        assert is_run_id(run_id)
        assert _mentions(sent_text, run_id) or service.name == "scheduler", run_id


RUN_REQUESTED = {**CONTEXT, "ce-type": RunRequested.type}
HALF = "\ud800"  # half a character: JSON can say it, UTF-8 cannot


@pytest.mark.parametrize(
    ("content_type", "body", "field"),
    [
        (
            "application/cloudevents+json",
            {"id": "1", "source": "x", "specversion": "1.0", "type": RunRequested.type, "data": HALF},
            "body",
        ),
        (
            "application/json",
            {"message": {"messageId": "1", "attributes": {"CloudPubSubDeadLetterSourceSubscription": HALF}}},
            "body",
        ),
        (
            "application/json",
            {"message": {"messageId": "1", "attributes": {HALF: "x"}}, "subscription": "s-dead"},
            "body",
        ),
        *(
            (
                "application/json",
                {
                    "message": {
                        "messageId": "1",
                        "publishTime": moment,
                        "attributes": RUN_REQUESTED,
                        "data": "e30=",
                    }
                },
                "message.publishTime",
            )
            for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z")
        ),
    ],
)
def test_what_was_found_once_stays_refused(
    service: Running, content_type: str, body: dict[str, Any], field: str
) -> None:
    """Each of these was a 5xx before: halves of characters, and times from which the calendar ends."""
    headers = {"Content-Type": content_type}
    response = requests.post(service.url, data=_as_json(body), headers=headers, timeout=30)
    assert response.status_code == 400
    assert [fault["field"] for fault in response.json()["faults"]] == [field]


def test_a_time_without_a_zone_is_utc(service: Running) -> None:
    """Compared with an aware time it would be an error of ours for something a caller left out."""
    message = {"messageId": "1", "publishTime": "2026-11-22T23:30:00", "attributes": RUN_REQUESTED, "data": "e30="}
    delivery = reading.parse({}, _as_json({"message": message}))
    assert delivery.publish_time == datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    response = requests.post(service.url, json={"message": message}, timeout=30)
    assert response.status_code == (204 if service.name == "scheduler" else 400)


def _decoded(body: bytes) -> str:
    """What stands in the base64 of a push, also of one that is wrapped once more."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    texts = []
    while isinstance(found, dict):
        message = found.get("message")
        if isinstance(message, dict) and isinstance(message.get("data"), str):
            try:
                texts.append(base64.b64decode(message["data"]).decode(errors="replace"))
            except ValueError:
                texts.append("")
        found = found.get("data")
    return " ".join(texts)


def _mentions(sent: str, run_id: str) -> bool:
    return run_id in sent or run_id.replace("-", "") in sent


@pytest.mark.parametrize("opening", ["[", '{"run_id":', '{"message":', '{"x":['])
def test_nesting_of_any_depth_is_refused(service: Running, opening: str) -> None:
    """The parser's own limit is met somewhere on the way; just below and just above it the answer is the same."""
    closing = "".join({"[": "]", "{": "}"}[letter] for letter in reversed(opening) if letter in "[{")
    with requests.Session() as session:
        for headers in ({}, CONTEXT):

            def answer(depth: int, headers: dict[str, str] = headers) -> str:
                body = f'{{"run_id":{opening * depth}1{closing * depth}}}'
                response = session.post(service.url, data=body, headers=headers, timeout=30)
                assert response.status_code == 400, (depth, response.text[:300])
                return str(response.json()["faults"])

            shallow, deep = 1, 60_000
            assert _is_too_deep(answer(deep))
            while deep - shallow > 1:
                middle = (shallow + deep) // 2
                shallow, deep = (shallow, middle) if _is_too_deep(answer(middle)) else (middle, deep)
            for depth in range(max(1, shallow - 40), deep + 5):
                answer(depth)


def _is_too_deep(faults: str) -> bool:
    return "is not JSON;" in faults or "recursion" in faults


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        (RUN_REQUESTED, {"markets": ["DK", *["denmark"] * 5000]}, "4951 more faults"),
        (RUN_REQUESTED, {"markets": ["DK", *[1] * 100_000]}, "has 100000 faults"),
        (
            {},
            {"message": {"messageId": "1", "attributes": {f"{n}" * 20: [] for n in range(5000)}}},
            "4951 more faults",
        ),
        ({}, {"message": {"messageId": "1", "attributes": {f"{n}" * 5000: [] for n in range(10, 40)}}}, "got []"),
        (
            {"Content-Type": "application/cloudevents+json"},
            {
                "id": "1",
                "source": "x",
                "specversion": "1.0",
                "type": "t",
                **{f"Not ok {n}": n for n in range(5000)},
            },
            "is not known here",
        ),
    ],
)
def test_the_answer_to_thousands_of_faults_is_short(
    service: Running, caplog: pytest.LogCaptureFixture, headers: dict[str, str], body: dict[str, Any], said: str
) -> None:
    """Neither the answer nor the log line grows with what was sent; how much is wrong with it is said."""
    response = requests.post(service.url, data=_as_json(body), headers=headers, timeout=30)
    assert response.status_code == 400
    assert said in response.text
    assert len(response.content) < 64 * 1024
    logged = [str(vars(record)["faults"]) for record in caplog.records if record.msg == "refused"]
    assert [said in told and len(told) < 64 * 1024 for told in logged] == [True]


@pytest.mark.parametrize("bomb", ["plain", "gzip", "deflate"])
def test_no_body_makes_a_service_allocate_without_bound(service: Running, bomb: str) -> None:
    """A body above the limit is 413 and never held whole, also where a few bytes of it would unpack to very many."""
    body = {"plain": b" " * (64 * MIB), "gzip": _packed(31), "deflate": _packed(15)}[bomb]
    headers = {} if bomb == "plain" else {"Content-Encoding": bomb}
    tracemalloc.start()
    try:
        status = _status_of(service.url, headers, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status in (400, 413)
    assert peak < 10 * service.body_limit + 16 * MIB < BOMB


@cache
def _packed(window: int) -> bytes:
    """Half a GiB of blanks in half a MiB; 31 makes gzip, 15 makes zlib's own, which HTTP calls deflate."""
    packer = zlib.compressobj(9, wbits=window)
    return b"".join(packer.compress(b" " * MIB) for _ in range(BOMB // MIB)) + packer.flush()


def _status_of(url: str, headers: dict[str, str], body: bytes) -> int:
    """Send until the server answers or has had enough, without a copy of the body on this side."""
    address = urlsplit(url)
    lines = ["POST / HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {content}" for name, content in headers.items()]
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            connection.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            print("the server stopped reading")
        answer = connection.recv(4096)
    return int(answer.split(b" ", 2)[1])
