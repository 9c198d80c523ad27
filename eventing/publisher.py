"""Publishing events, batched by the official client."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Protocol

from google.api_core.exceptions import GoogleAPIError
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.pubsub_v1.publisher.futures import Future
from google.pubsub_v1 import PublisherClient as GeneratedClient
from google.pubsub_v1.types import PubsubMessage

from contracts.envelope.messages import Message, Origin, to_message
from contracts.events import OwnEvent, RunFinished
from contracts.names import traceparent
from eventing.clock import Clock
from eventing.errors import Retryable

_TIMEOUT = 30.0  # seconds until a publish is given up; the shortest ack deadline in use is 60 s


class Publisher(Protocol):
    """Where events go. A publish that returns has been accepted; one that raises may have been."""

    async def publish(self, events: Iterable[OwnEvent], *, cause: str) -> None:
        """Publish all events to their topics.

        Raises:
            Retryable: not all were accepted; publishing all again is safe, every consumer being idempotent.
        """
        ...


class PubSubPublisher:
    """A `Publisher` on Google Cloud Pub/Sub."""

    def __init__(self, client: PublisherClient, *, project: str, source: str, clock: Clock) -> None:
        self._client = client
        self._project = project
        self._source = source
        self._clock = clock

    async def aclose(self) -> None:
        """Flush and close."""
        await asyncio.to_thread(self._client.stop)

    async def ping(self) -> None:
        """Raise `Retryable` unless Pub/Sub answers."""
        topic = self._client.topic_path(self._project, RunFinished.topic)
        try:
            await asyncio.to_thread(self._client.get_topic, topic=topic, timeout=5.0, retry=None)
        except GoogleAPIError as error:
            reason = f"pub/sub: topic {RunFinished.topic} is not reachable: {type(error).__name__}"
            raise Retryable(reason, after=timedelta(seconds=5)) from error

    async def publish(self, events: Iterable[OwnEvent], *, cause: str) -> None:
        """See `Publisher.publish`."""
        origin = Origin(self._source, cause, self._clock())
        try:
            futures = [self._send(event, origin) for event in events]
            await asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
        except (GoogleAPIError, TimeoutError) as error:
            reason = f"pub/sub: publishing failed: {type(error).__name__}"
            raise Retryable(reason, after=timedelta(seconds=10)) from error

    async def forward(self, topic: str, message: Message) -> None:
        """Publish a message as it is, whatever its attributes are called.

        Raises:
            Retryable: it was not accepted.
        """
        path = self._client.topic_path(self._project, topic)
        pubsub_message = PubsubMessage(data=message.data, attributes=message.attributes)
        # The batching client takes attributes for its own arguments: one called `timeout` would be one.
        publish = partial(GeneratedClient.publish, self._client, topic=path, messages=[pubsub_message])
        try:
            await asyncio.to_thread(publish, timeout=_TIMEOUT)
        except GoogleAPIError as error:
            reason = f"pub/sub: forwarding to {topic} failed: {type(error).__name__}"
            raise Retryable(reason, after=timedelta(seconds=10)) from error

    def _send(self, event: OwnEvent, origin: Origin) -> Future:
        run_id = getattr(event, "run_id", None)
        parent = traceparent(run_id, f"{event.type}/{event.subject}") if run_id else None
        message = to_message(event, origin, traceparent=parent)
        path = self._client.topic_path(self._project, event.topic)
        return self._client.publish(path, message.data, timeout=_TIMEOUT, **message.attributes)
