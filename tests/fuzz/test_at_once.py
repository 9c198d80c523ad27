"""What is in order is read at once, all else by a closer look: both must come to the same, whatever is sent."""

import base64
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.receive import delivery
from contracts.envelope import checking, cloud_events, reading
from contracts.envelope.google_events import STORAGE_FINALIZED
from contracts.envelope.push import PUBSUB_PUBLISHED
from contracts.events import OWN_EVENTS
from contracts.faults import ContractError
from tests.fuzz.test_hostile import Sent, requests_made

EXAMPLES = 4 * int(os.environ.get("FUZZ", "50"))

ODD = ("", " ", "%", "%44K", "a+b", "æ", "\x7f", "\udcff")
TIMES = (
    "2026-11-23T00:00:00.5Z",
    "2026-11-23T00:00:00.123456789Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T23:59:60Z",
    "2026-11-31T00:00:00Z",
    "2026-11-23T00:00:00+02:00",
    "2026-11-23T00:00:00",
    "2026-11-23 00:00:00Z",
    "2026-W47-1T00:00:00Z",
    "20261123T000000Z",
    "2026-11-23T00%3A00%3A00Z",
    "1763852400",
    "\uff12026-11-23T00:00:00Z",
    "2026-11-23T00:00:00Z\n",
    "",
)


def mostly(usual: object, *odd: object) -> st.SearchStrategy[Any]:
    """The usual value, nine times of ten."""
    return st.integers(0, 9).flatmap(lambda drawn: st.sampled_from(odd) if drawn == 0 else st.just(usual))


times = mostly("2026-11-23T00:00:00Z", *TIMES)
kinds = st.sampled_from([*(kind.type for kind in OWN_EVENTS), STORAGE_FINALIZED])
context = st.fixed_dictionaries(
    {
        "ce-id": mostly("1", *ODD),
        "ce-source": mostly("x", *ODD),
        "ce-specversion": mostly("1.0", "0.3", "1%2E0", ""),
        "ce-type": kinds,
    },
    optional={
        "ce-time": times,
        "ce-subject": mostly("s", *ODD),
        "ce-traceparent": mostly("00-1-2-01", *ODD),
        "content-type": mostly("application/json", "text/plain", "application/cloudevents+json", "%", ""),
    },
)
stray: st.SearchStrategy[dict[str, str]] = st.just({}) | st.sampled_from(
    [{"CE-Subject": "S"}, {"ce-un_known": "u"}, {"ce-new": "n"}, {"other": "%"}]
)
data = st.fixed_dictionaries(
    {
        "run_id": mostly("2026-11-23", "2026-11-31", "2026-11-23\n", 5),
        "market": mostly("DK", "dk", 5),
        "revision": mostly(1, 1.0, "1", 0),
        "outcome": mostly("loaded", "great"),
        "receipt_uri": mostly("gs://b/o", "nowhere"),
        "bucket": mostly("b", ""),
        "name": mostly("n", 1),
        "generation": mostly(1, "1", 1.5, 10**30),
    },
    optional={
        "replay": mostly("true", 1, "yes", None) | st.booleans(),
        "markets": mostly(["DK"], ["DK", "DK"], [], None, "DK"),
        "unknown": mostly({"x": [1]}, 10**4299, float("nan"), "\ud83d\ude00", "\ud800"),
    },
)


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


@st.composite
def nearly_in_order(draw: st.DrawFn) -> Sent:
    """A push of an event as this project makes it, but for a few of its parts; plain, or wrapped by Eventarc."""
    message = {
        "data": base64.b64encode(_json(draw(data))).decode() + draw(mostly("", "\n", "=")),
        "attributes": draw(context) | draw(stray),
        "messageId": draw(mostly("7", 7, "", None)),
        **draw(st.fixed_dictionaries({}, optional={"message_id": st.just("8"), "publishTime": times})),
    }
    body = {
        "message": message,
        "subscription": draw(mostly("projects/p/subscriptions/s", "s-dead", "", 5)),
        **draw(st.fixed_dictionaries({}, optional={"deliveryAttempt": mostly(1, "1", 1.0, None)})),
    }
    headers = draw(st.just({}) | context.map(lambda given: {**given, "ce-type": PUBSUB_PUBLISHED}))
    return headers | draw(stray), _json(body)


def _outcome(sent: Sent) -> object:
    try:
        read = reading.parse(*sent)
    except ContractError as error:
        return error.faults
    return type(read.event), read


def _closely(sent: Sent) -> object:
    with pytest.MonkeyPatch.context() as patch:
        for module in (checking, reading):
            patch.setattr(module, "at_once", lambda _model, _body: None)
        patch.setattr(cloud_events, "plain", lambda _attributes: None)
        return _outcome(sent)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=nearly_in_order() | requests_made())
def test_at_once_and_closely_come_to_the_same(sent: Sent) -> None:
    """The quick way must neither take what the thorough one refuses, nor read it otherwise, nor hide a fault."""
    assert _outcome(sent) == _closely(sent)


ONE_ODD = [(name, value) for name in ("ce-id", "ce-subject", "ce-traceparent", "content-type") for value in ODD]


@pytest.mark.parametrize(("name", "value"), [*ONE_ODD, *(("ce-time", value) for value in TIMES)])
def test_one_odd_attribute_is_read_as_the_sdk_reads_it(name: str, value: str) -> None:
    """Encoded, empty or in another form: what an attribute means is for the SDK to say, in a header and in a push."""
    headers, body = delivery(1)
    push = json.loads(body)
    push["message"]["attributes"][name] = value
    for sent in ((headers | {name: value}, body), ({}, _json(push))):
        assert _outcome(sent) == _closely(sent)


def test_a_message_of_ours_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK is for what is unusual: a message as this project publishes it costs none of its time."""

    def refuse(*_: object) -> None:
        raise AssertionError("a closer look")

    monkeypatch.setattr(cloud_events, "read", refuse)
    monkeypatch.setattr(checking, "json_object", refuse)
    headers, body = delivery(1)
    assert reading.parse(headers, body).subscription == "s"
    assert reading.parse({}, body).subscription == "s"
