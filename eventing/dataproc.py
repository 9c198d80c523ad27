"""Dataproc's clients, of the region or of the stand-in at an address; whoever speaks to Dataproc makes them here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.api_core.client_options import ClientOptions
from google.cloud import dataproc_v1


@dataclass(frozen=True, slots=True)
class AsyncDataproc:
    """For a service; the caller closes their transports."""

    clusters: dataproc_v1.ClusterControllerAsyncClient
    jobs: dataproc_v1.JobControllerAsyncClient


@dataclass(frozen=True, slots=True)
class Dataproc:
    """For a person's tools."""

    clusters: dataproc_v1.ClusterControllerClient
    jobs: dataproc_v1.JobControllerClient


def async_dataproc(region: str, emulator: str | None) -> AsyncDataproc:
    """Clients for an event loop."""
    given = _transport("grpc_asyncio", grpc.aio.insecure_channel, region, emulator)
    clusters, jobs = dataproc_v1.ClusterControllerAsyncClient, dataproc_v1.JobControllerAsyncClient
    return AsyncDataproc(clusters(**given(clusters)), jobs(**given(jobs)))


@contextmanager
def dataproc(region: str, emulator: str | None) -> Iterator[Dataproc]:
    """Clients that are closed at the end of the block."""
    given = _transport("grpc", grpc.insecure_channel, region, emulator)
    kinds = dataproc_v1.ClusterControllerClient, dataproc_v1.JobControllerClient
    with kinds[0](**given(kinds[0])) as clusters, kinds[1](**given(kinds[1])) as jobs:
        yield Dataproc(clusters, jobs)


def _transport(
    kind: str, channel: Callable[[str], Any], region: str, emulator: str | None
) -> Callable[[Any], dict[str, Any]]:
    """What a class of clients is made with: a stand-in is spoken to without TLS and without credentials."""
    if emulator:
        return lambda client: {"transport": client.get_transport_class(kind)(channel=channel(emulator))}
    options = ClientOptions(api_endpoint=f"{region}-dataproc.googleapis.com:443")
    return lambda _: {"client_options": options}
