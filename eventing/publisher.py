"""Publishing events, batched by the official client."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from google.api_core import retry
from google.api_core.exceptions import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    GoogleAPIError,
    InternalServerError,
    ResourceExhausted,
    ServiceUnavailable,
    Unknown,
)
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.pubsub_v1.publisher.futures import Future
from google.pubsub_v1 import PublisherClient as GeneratedClient
from google.pubsub_v1.types import PubsubMessage

from contracts.envelope.messages import Message, Origin, to_message
from contracts.events import OwnEvent, RunFinished
from contracts.names import traceparent
from eventing.clock import Clock
from eventing.deadlines import CALL, PING, Deadline
from eventing.errors import Retryable

_PASSES = retry.if_exception_type(
    Aborted, Cancelled, DeadlineExceeded, InternalServerError, ResourceExhausted, ServiceUnavailable, Unknown
)
"""What the client itself takes for passing, by its own settings for Publish; there it tries for ten minutes."""


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

    def __init__(
        self, client: PublisherClient, *, project: str, source: str, clock: Clock, deadline: Deadline = CALL
    ) -> None:
        self._client = client
        self._deadline = deadline
        self._retry = retry.Retry(predicate=_PASSES, initial=0.1, maximum=2, timeout=deadline.retries_seconds)
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
            getting = asyncio.to_thread(
                self._client.get_topic, topic=topic, timeout=PING.attempt_seconds, retry=None
            )
            await asyncio.wait_for(getting, PING.seconds)
        except (GoogleAPIError, TimeoutError) as error:
            reason = f"pub/sub: topic {RunFinished.topic} is not reachable: {type(error).__name__}"
            raise Retryable(reason) from error

    async def publish(self, events: Iterable[OwnEvent], *, cause: str) -> None:
        """See `Publisher.publish`."""
        origin = Origin(self._source, cause, self._clock())
        try:
            futures = [self._send(event, origin) for event in events]
            accepted = asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
            await asyncio.wait_for(accepted, self._deadline.seconds)
        except (GoogleAPIError, TimeoutError) as error:
            reason = f"pub/sub: publishing failed: {type(error).__name__}"
            raise Retryable(reason) from error

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
            forwarding = asyncio.to_thread(publish, timeout=self._deadline.attempt_seconds, retry=self._retry)
            await asyncio.wait_for(forwarding, self._deadline.seconds)
        except (GoogleAPIError, TimeoutError) as error:
            reason = f"pub/sub: forwarding to {topic} failed: {type(error).__name__}"
            raise Retryable(reason) from error

    def _send(self, event: OwnEvent, origin: Origin) -> Future:
        run_id = getattr(event, "run_id", None)
        parent = traceparent(run_id, f"{event.type}/{event.subject}") if run_id else None
        message = to_message(event, origin, traceparent=parent)
        path = self._client.topic_path(self._project, event.topic)
        bounds: dict[str, Any] = {"timeout": self._deadline.attempt_seconds, "retry": self._retry}
        return self._client.publish(path, message.data, **bounds, **message.attributes)
