"""What Google and Spotify send, in their own shapes, is read as what it means: every file in `reality/`.

Each is written by hand after its `source`, with made-up names; docs/reality.md lists them, and what nobody here has
seen yet. Our own events, as they have been published, are in `golden/`.
"""

import base64
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import dataproc_v1
from google.longrunning import operations_pb2
from google.protobuf import json_format

from contracts.envelope import reading
from contracts.events import DataprocOperation
from contracts.names import part_name, throttled_name
from services.cluster_manager.adapters.dataproc import _cluster, _translated
from services.cluster_manager.capacity import is_refusal
from services.market_fetcher.adapters.http import Request
from services.market_fetcher.decisions import Answer
from tests import fetching, virtual_time
from tests.builders import RUN
from tests.fakes.spotify import FakeSpotify

REALITY = {path.stem: path for path in sorted((Path(__file__).parent / "reality").glob("*.json"))}
PAGE = Path(__file__).parents[2] / "docs" / "reality.md"
KINDS = {"headers", "entry", "error", "cluster", "operation", "spotify"}
LISTED = "madeUpAlbum1 madeUpAlbum2"
KNOWN = [dataproc_v1.ClusterOperationMetadata.pb(dataproc_v1.ClusterOperationMetadata())]
"""Registers the message that operations carry, so that its JSON can be read."""


def load(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(REALITY[name].read_text(encoding="utf-8"))
    return parsed


def of(kind: str) -> list[str]:
    return [name for name in REALITY if kind in load(name)]


@pytest.mark.parametrize("name", REALITY)
def test_every_shape_has_a_source_a_kind_and_a_line_in_the_page(name: str) -> None:
    """A shape from nowhere is a belief; one that no test reads protects nothing."""
    shape = load(name)
    assert all(source.startswith("https://") for source in shape["source"])
    assert len(KINDS & shape.keys()) == 1
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", of("headers"))
def test_a_request_is_read_as_its_event(name: str) -> None:
    """A delivery that is refused for its form is dead-lettered, and nobody told us that the form was wrong."""
    shape = load(name)
    delivery = reading.parse(shape["headers"], json.dumps(shape["body"]).encode())
    expect = shape["expect"]
    read = delivery.event.model_dump(mode="json")
    assert type(delivery.event).__name__ == expect["event"]
    assert {field: read[field] for field in expect["data"]} == expect["data"]
    assert delivery.event_id == expect.get("id", delivery.event_id)


@pytest.mark.parametrize("name", of("entry"))
def test_an_audit_entry_is_read_as_its_operation(name: str) -> None:
    """Through the sink and through Eventarc alike; only `last` may wake the manager."""
    shape = load(name)
    encoded = base64.b64encode(json.dumps(shape["entry"]).encode()).decode()
    attributes = {"logging.googleapis.com/timestamp": shape["entry"]["timestamp"]}
    push = {"message": {"data": encoded, "attributes": attributes, "messageId": "1"}, "subscription": "a/b/c"}
    eventarc = {
        "ce-id": "1",
        "ce-source": "//cloudaudit.googleapis.com/projects/quiet-meadow-7/logs/activity",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.audit.log.v1.written",
        "ce-methodName": "google.cloud.dataproc.v1.JobController.SubmitJob",
        "ce-recordedTime": "2026-11-23T00:10:00.123456Z",
    }
    for headers, body in (({}, push), (eventarc, shape["entry"])):
        event = reading.parse(headers, json.dumps(body).encode()).event
        assert event == DataprocOperation.model_validate(shape["expect"])


@pytest.mark.parametrize("name", of("error"))
def test_an_error_of_dataproc_gets_its_verdict(name: str) -> None:
    """Quota is waited for, a fault of the request is not, and all else is tried again soon."""
    shape = load(name)
    code, message = shape["error"]["code"], shape["error"]["message"]
    from_status: Any = exceptions.from_grpc_status
    verdict = _translated("create cluster", from_status(grpc.StatusCode[code], message))
    assert type(verdict).__name__ == shape["expect"]


@pytest.mark.parametrize("name", of("cluster"))
def test_a_cluster_that_ended_is_known_for_refused_or_broken(name: str) -> None:
    """The first is asked for again for hours, the second a few times."""
    shape = load(name)
    message = dataproc_v1.Cluster()
    json_format.ParseDict(shape["cluster"], dataproc_v1.Cluster.pb(message))
    cluster, expect = _cluster(message), shape["expect"]
    assert (cluster.name, cluster.state) == (expect["name"], expect["state"])
    assert cluster.size is not None
    assert cluster.size.machine_type == expect["machine_type"]
    assert is_refusal(cluster.details) == expect["refused"]
    assert cluster.is_ours("2026-11-23")


@pytest.mark.parametrize("name", of("operation"))
def test_an_operation_is_of_the_form_that_the_client_reads(name: str) -> None:
    """Its words are those that an operator finds with `gcloud dataproc operations`; they are known as well."""
    shape = load(name)
    operation = json_format.ParseDict(shape["operation"], operations_pb2.Operation())
    metadata = dataproc_v1.ClusterOperationMetadata.deserialize(operation.metadata.value)
    assert operation.done == shape["expect"]["done"]
    assert metadata.cluster_name
    assert is_refusal(operation.error.message) == shape["expect"]["refused"]


# --- Spotify -----------------------------------------------------------------------------------------------------


def spotify_of(told: dict[str, Any]) -> FakeSpotify:
    """A Spotify with two albums that answers one path in a way of its own, so often or always."""
    body = told["text"] if "text" in told else json.dumps(told["body"])
    odd = Answer(told.get("status", 200), body.encode(), told.get("retry_after"))
    left = iter(range(told.get("times", 1000)))

    def trick(request: Request) -> Answer | None:
        is_asked = urlsplit(request.url).path.removeprefix("/v1") == told["path"]
        return odd if is_asked and next(left, None) is not None else None

    return FakeSpotify.of({"DK": LISTED}, app=told.get("app", "extended"), trick=trick)


@pytest.mark.parametrize("name", of("spotify"))
def test_an_answer_of_spotify_becomes_what_it_means(name: str) -> None:
    """Through the whole fetcher: the market lands with what is usable, or is given back with why and for how long."""
    shape = load(name)
    expect = shape["expect"]

    async def body() -> None:
        async with fetching.fetching(spotify_of(shape["spotify"])) as fetcher:
            settled = await fetcher.fetch()
            said = " ".join(str(fault) for fault in settled.faults)
            assert settled.status == expect["status"], said
            if settled.status == HTTPStatus.NO_CONTENT:
                await _landed(fetcher, expect)
                return
            assert await _waits(fetcher) == expect["waits"]
            assert [word for word in expect["says"] if word not in said] == [], said
            assert await fetcher.store.stat(part_name(RUN, "DK")) is None

    virtual_time.run(body)


async def _waits(fetcher: fetching.Fetcher) -> float | None:
    """Seconds for which the market rests by its record; None where Pub/Sub brings it again when it likes."""
    if await fetcher.store.stat(throttled_name(RUN, "DK")) is None:
        return None
    return ((await fetcher.throttled()).until - virtual_time.VirtualTime().now()).total_seconds()


async def _landed(fetcher: fetching.Fetcher, expect: dict[str, Any]) -> None:
    albums = [line["album"] for line in await fetcher.part()]
    assert [album["id"] for album in albums] == expect["albums"]
    assert [len(album["tracks"]["items"]) for album in albums] == expect["tracks"]
    assert (await fetcher.metadata()).items() >= expect.get("metadata", {}).items()
    assert albums[0].items() >= expect.get("first_album", {}).items()
    assert albums[0]["tracks"]["items"][0].items() >= expect.get("first_track", {}).items()
