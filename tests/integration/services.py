"""Real services as real processes against real emulators: what the integration tests share."""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client

from contracts.envelope.messages import Message, Origin, to_message
from contracts.envelope.reading import parse_message
from contracts.events import Event, OwnEvent
from local import topology
from local.processes import Supervisor, answers
from local.pubsub import PubSub
from local.tools import ROOT
from tests.builders import START

_READY = 30.0


@dataclass
class Cloud:
    """A project of its own on the session's emulators, with topics and pull subscriptions but no pushes."""

    project: str
    bucket: Bucket
    pubsub: PubSub
    environment: Mapping[str, str]

    def pull(self, subscription: str, *, within: float = 20.0) -> list[Event]:
        """Take what has arrived at a subscription; waits until there is something."""
        with self.pubsub.subscriber() as subscriber:
            path = f"projects/{self.project}/subscriptions/{subscription}"
            response = subscriber.pull(subscription=path, max_messages=1000, timeout=within)
            ids = [received.ack_id for received in response.received_messages]
            subscriber.acknowledge(subscription=path, ack_ids=ids)
        return [_event(received.message) for received in response.received_messages]


def _event(message: Any) -> Event:
    parsed: Event = parse_message(
        Message(message.data, dict(message.attributes)), message_id=message.message_id
    ).event
    return parsed


@contextmanager
def cloud(pubsub: PubSub, storage_url: str, *, name: str, environment: Mapping[str, str]) -> Iterator[Cloud]:
    """A fresh project and bucket; every topic has a pull subscription `seen-<topic>`."""
    described = topology.read(ROOT / "infra/topology.json")
    seen = tuple(topology.PullSubscription(name=f"seen-{topic}", topic=topic) for topic in described.topics)
    pulled = described.model_copy(update={"push_subscriptions": (), "pull_subscriptions": seen})
    with pubsub.publisher() as publisher, pubsub.subscriber() as subscriber:
        topology.create(pulled, project=name, service_urls={}, publisher=publisher, subscriber=subscriber)
    client = Client(project=name, credentials=AnonymousCredentials(), client_options={"api_endpoint": storage_url})
    settings = {
        "GOOGLE_CLOUD_PROJECT": name,
        "BUCKET": name,
        "PUBSUB_EMULATOR_HOST": pubsub.host,
        "STORAGE_EMULATOR_HOST": storage_url,
    }
    yield Cloud(name, client.create_bucket(name), pubsub, {"PATH": os.environ["PATH"], **settings, **environment})
    client.close()


@dataclass
class Running:
    """A service process that is ready."""

    url: str
    log: Path

    def post(self, event: OwnEvent, *, message_id: str = "1", at: datetime = START) -> requests.Response:
        """Push an event as Pub/Sub does; `at` is when it was asked for."""
        message = to_message(event, Origin("test", message_id, at))
        pushed = {
            "attributes": message.attributes,
            "data": base64.b64encode(message.data).decode(),
            "messageId": message_id,
            "publishTime": at.isoformat(),
        }
        return self.post_raw({"message": pushed, "subscription": "projects/p/subscriptions/s"})

    def post_raw(self, body: object) -> requests.Response:
        """Post any JSON."""
        return requests.post(self.url, json=body, timeout=60)

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log lines of one event name."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["message"] == message]


@contextmanager
def service(supervisor: Supervisor, name: str, environment: Mapping[str, str]) -> Iterator[Running]:
    """Start `python -m services.<name>` and wait until it is ready."""
    port = supervisor.ports.take()
    command: list[str | Path] = [ROOT / ".venv/bin/python", "-m", f"services.{name}"]
    child = supervisor.start(name, command, {**environment, "PORT": str(port)}, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    child.wait_until(answers(f"{url}/health/ready"), within=_READY)
    yield Running(f"{url}/", child.log)
    child.stop()
