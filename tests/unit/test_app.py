"""The HTTP skeleton: 204 acknowledges, 503 asks again, 400 refuses with every fault, nothing else is ever said."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.events import BatchReady, Delivery
from eventing.app import Service, create_app
from eventing.errors import Permanent, Retryable
from eventing.identity import CallerVerifier, Refused

Handler = Callable[[Delivery], Awaitable[None]]
HEADERS = {"ce-id": "1", "ce-source": "x", "ce-specversion": "1.0", "ce-type": BatchReady.type}
BODY = {"run_id": "2026-11-23", "revision": 1}


@asynccontextmanager
async def serving(
    handle: Handler, *, verifier: CallerVerifier | None = None, ready: Any = None
) -> AsyncIterator[TestClient[Any, Any]]:
    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        yield Service("test", {BatchReady: handle}, ready=ready or {}, status=lambda: {"throttled_until": None})

    async with TestClient(TestServer(create_app(opening, verifier=verifier))) as client:
        yield client


async def accept(_delivery: Delivery) -> None:
    """Everything is fine."""


def push(data: Any, attributes: dict[str, str]) -> dict[str, Any]:
    encoded = base64.b64encode(json.dumps(data).encode()).decode()
    return {"message": {"data": encoded, "attributes": attributes, "messageId": "7"}, "subscription": "x/y/s"}


@pytest.mark.parametrize("shape", ["binary", "push", "structured"])
async def test_a_handled_event_is_acknowledged_without_a_body(shape: str) -> None:
    """All three shapes reach the same handler."""
    seen: list[Delivery] = []

    async def keep(delivery: Delivery) -> None:
        seen.append(delivery)

    context = {name.removeprefix("ce-"): value for name, value in HEADERS.items()}
    requests: dict[str, dict[str, Any]] = {
        "binary": {"json": BODY, "headers": HEADERS},
        "push": {"json": push(BODY, HEADERS)},
        "structured": {
            "data": json.dumps({**context, "data": BODY}),
            "headers": {"Content-Type": "application/cloudevents+json"},
        },
    }
    async with serving(keep) as client:
        response = await client.post("/", **requests[shape])
        assert (response.status, await response.read()) == (204, b"")
    assert seen[0].event == BatchReady(run_id="2026-11-23", revision=1)


async def test_a_retryable_failure_asks_for_redelivery() -> None:
    """503 with its reason, and no time: Pub/Sub delivers again by its own policy and reads no header."""

    async def later(_delivery: Delivery) -> None:
        raise Retryable("quota")

    async with serving(later) as client:
        response = await client.post("/", json=BODY, headers=HEADERS)
        assert (response.status, "Retry-After" in response.headers) == (503, False)
        assert (await response.json())["faults"] == [{"field": "service", "problem": "quota"}]


async def test_a_permanent_failure_is_refused_with_its_reason() -> None:
    """Refused until Pub/Sub dead-letters it: never acknowledged, never lost."""

    async def never(_delivery: Delivery) -> None:
        raise Permanent("market: NX is not a Spotify market; use one of the list")

    async with serving(never) as client:
        response = await client.post("/", json=BODY, headers=HEADERS)
        assert response.status == 400
        assert "NX" in (await response.json())["faults"][0]["problem"]


async def test_an_unknown_fault_is_retried_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A bug must not lose a message, nor be silent, nor tell a caller about our insides."""

    async def broken(_delivery: Delivery) -> None:
        raise ZeroDivisionError("secret detail")

    async with serving(broken) as client:
        response = await client.post("/", json=BODY, headers=HEADERS)
        assert response.status == 503
        assert "secret detail" not in await response.text()
    assert "unexpected" in caplog.text
    assert "secret detail" in caplog.text


async def test_an_event_of_another_service_is_refused() -> None:
    """A wrongly pointed subscription must be seen in its dead-letter topic."""
    async with serving(accept) as client:
        headers = HEADERS | {"ce-type": "newreleases.sweep.requested.v1"}
        response = await client.post("/", json={}, headers=headers)
        assert response.status == 400
        problem = (await response.json())["faults"][0]["problem"]
        assert problem == "SweepRequested is not for test; it takes BatchReady"


async def test_every_fault_of_a_malformed_event_is_listed() -> None:
    """A producer mends everything at once."""
    async with serving(accept) as client:
        response = await client.post("/", json={"run_id": "x", "revision": 0}, headers=HEADERS)
        assert response.status == 400
        fields = [fault["field"] for fault in (await response.json())["faults"]]
        assert fields == ["data.run_id", "data.revision"]


async def test_a_huge_body_is_refused_before_it_is_read() -> None:
    """No caller can make a service allocate without bound."""
    async with serving(accept) as client:
        response = await client.post("/", data=io.BytesIO(b"x" * (1024 * 1024 + 1)))
        assert response.status == 413


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["message", "data", "attributes", "messageId", "type", "specversion", "id", "x"]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=15,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    content_type=st.sampled_from(["", "application/json", "application/cloudevents+json", "text/\u00e6"]),
    attributes=st.dictionaries(
        st.sampled_from(["ce-id", "ce-type", "ce-source", "ce-specversion", "ce-time", "ce-subject"]),
        st.sampled_from(["1.0", "x", BatchReady.type, "2026-11-23T00:00:00Z", "", "%zz"]),
    ),
)
def test_nonsense_is_always_refused_never_a_server_error(
    body: bytes, content_type: str, attributes: dict[str, str]
) -> None:
    """Malformed input is the caller's fault: a 5xx would have Pub/Sub deliver it for days."""

    async def send() -> int:
        async with serving(accept) as client:
            headers = attributes | ({"Content-Type": content_type} if content_type.isascii() else {})
            response = await client.post("/", data=body, headers=headers)
            return response.status

    assert asyncio.run(send()) == 400


async def test_a_body_that_is_not_what_its_encoding_says_is_refused() -> None:
    """Broken gzip is the sender's fault: 400, and never a server error."""
    async with serving(accept) as client:
        headers = {**HEADERS, "Content-Encoding": "gzip"}
        response = await client.post("/", data=b"this is no gzip", headers=headers)
        assert response.status == 400


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    """A sender that stalls must not keep the place of a delivery; the connection ends with the answer."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        yield Service("test", {BatchReady: accept})

    async with TestServer(create_app(opening, verifier=None, body_patience_seconds=0.05)) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = await asyncio.wait_for(reader.readuntil(b"}]}"), 10)
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer
    assert b"did not arrive" in answer


async def test_a_push_as_plain_text_is_refused_like_any_other_without_a_token() -> None:
    """No media type leads around the caller's check."""
    async with serving(accept, verifier=Nobody()) as client:
        response = await client.post("/", data="{}", headers={"Content-Type": "text/plain"})
        assert response.status == 401


class Nobody:
    """Refuses every caller."""

    async def verify(self, authorization: str | None) -> None:
        raise Refused(f"Authorization: {authorization!r} is not welcome")


async def test_a_refused_caller_reaches_no_handler() -> None:
    """Services trust no caller they have not verified; the body is not even parsed."""

    async def fail(_delivery: Delivery) -> None:
        raise AssertionError("handled")

    async with serving(fail, verifier=Nobody()) as client:
        response = await client.post("/", json=BODY, headers=HEADERS)
        assert response.status == 401
        health = await client.get("/health/live")
        assert health.status == 200


async def test_readiness_says_what_does_not_answer() -> None:
    """Ready means: what the service needs answers now; the state worth seeing is shown too."""

    async def up() -> None:
        """Answers."""

    async def down() -> None:
        raise Retryable("no answer")

    async with serving(accept, ready={"storage": up, "pubsub": down}) as client:
        response = await client.get("/health/ready")
        assert response.status == 503
        body = await response.json()
        assert body == {"ready": False, "failures": {"pubsub": "no answer"}, "throttled_until": None}
    async with serving(accept, ready={"storage": up}) as client:
        assert (await client.get("/health/ready")).status == 200
