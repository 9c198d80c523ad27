"""Google's Pub/Sub emulator as a child process, and its two clients."""

from collections.abc import Mapping
from pathlib import Path

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from local.processes import LOOPBACK, Child, Supervisor

_START = 60.0  # seconds; about 1 alone, more while everything else starts on two cores
# One quick compiler tier and one collector thread: the emulator shares two cores with all the rest.
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m")


class PubSub:
    """A running emulator: `host` is what PUBSUB_EMULATOR_HOST wants."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self.host = f"{LOOPBACK}:{port}"

    @classmethod
    def start(cls, supervisor: Supervisor, *, java: Path, jar: Path, environment: Mapping[str, str]) -> "PubSub":
        """Start the jar itself: one process to end, where gcloud would leave a shell and its child."""
        port = supervisor.ports.take()
        command: list[str | Path] = [java, *_JVM, "-jar", jar, f"--host={LOOPBACK}", f"--port={port}"]
        return cls(supervisor.start("pubsub", command, environment), port)

    def wait(self) -> None:
        """Wait until it serves."""
        self.child.wait_for_line("Server started, listening on", within=_START)

    def publisher(self) -> PublisherClient:
        """A client of the topics."""
        return publisher_at(self.host)

    def subscriber(self) -> SubscriberClient:
        """A client of the subscriptions."""
        return SubscriberClient(transport=SubscriberGrpcTransport(channel=grpc.insecure_channel(self.host)))


def publisher_at(host: str) -> PublisherClient:
    """A client of an emulator's topics."""
    return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(host)))
