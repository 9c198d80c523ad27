"""The topology's description as types, and its making on the Pub/Sub emulator.

`infra/topology.json` is the one description; the infrastructure reads it too. The emulator leaves two things
out that production has: `deliveryAttempt` in a push and the push's OIDC token.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from google.api_core.exceptions import AlreadyExists
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, RetryPolicy, Subscription
from pydantic import BaseModel, ConfigDict, Field

_RETENTION = 7 * 24 * 3600  # seconds an unacknowledged message is kept; Pub/Sub's default, said aloud

Seconds = Annotated[int, Field(ge=0, le=600)]


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PushSubscription(_Described):
    """A subscription whose messages are posted to a service."""

    name: str
    topic: str
    service: str
    ack_deadline: Seconds
    min_backoff: Seconds
    max_backoff: Seconds
    max_delivery_attempts: Annotated[int, Field(ge=5, le=100)]
    dead_letter_topic: str


class PullSubscription(_Described):
    """A subscription a person pulls from."""

    name: str
    topic: str


class BucketNotification(_Described):
    """Which new objects of the bucket are announced, and where."""

    topic: str
    event: str
    object_prefix: str


class LoggingSink(_Described):
    """Where the entries of Dataproc's audit log go."""

    topic: str


class Topology(_Described):
    """Topics, subscriptions and their policies."""

    topics: tuple[str, ...]
    push_subscriptions: tuple[PushSubscription, ...]
    pull_subscriptions: tuple[PullSubscription, ...]
    bucket_notification: BucketNotification
    logging_sink: LoggingSink


def read(path: Path) -> Topology:
    """Read the description.

    Raises:
        pydantic.ValidationError: it is not as the types say.
    """
    return Topology.model_validate_json(path.read_bytes())


def create(
    topology: Topology,
    *,
    project: str,
    service_urls: Mapping[str, str],
    publisher: PublisherClient,
    subscriber: SubscriberClient,
) -> None:
    """Make all topics and subscriptions; what is there already stays as it is.

    Args:
        topology: What to make.
        project: Where to make it.
        service_urls: For each service, where its pushes go.
        publisher: Client of the topics.
        subscriber: Client of the subscriptions.
    """
    for topic in topology.topics:
        _ensure_topic(publisher, _topic(project, topic))
    for push in topology.push_subscriptions:
        _ensure_subscription(subscriber, _push(push, project, service_urls[push.service]))
    for pull in topology.pull_subscriptions:
        _ensure_subscription(subscriber, _pull(pull, project))


def _ensure_topic(publisher: PublisherClient, name: str) -> None:
    try:
        publisher.create_topic(name=name)
    except AlreadyExists:
        return


def _ensure_subscription(subscriber: SubscriberClient, wanted: Subscription) -> None:
    try:
        subscriber.create_subscription(request=wanted)
    except AlreadyExists:
        return


def _push(push: PushSubscription, project: str, url: str) -> Subscription:
    return Subscription(
        name=f"projects/{project}/subscriptions/{push.name}",
        topic=_topic(project, push.topic),
        push_config=PushConfig(push_endpoint=url),
        ack_deadline_seconds=push.ack_deadline,
        message_retention_duration=Duration(seconds=_RETENTION),
        retry_policy=RetryPolicy(
            minimum_backoff=Duration(seconds=push.min_backoff),
            maximum_backoff=Duration(seconds=push.max_backoff),
        ),
        dead_letter_policy=DeadLetterPolicy(
            dead_letter_topic=_topic(project, push.dead_letter_topic),
            max_delivery_attempts=push.max_delivery_attempts,
        ),
    )


def _pull(pull: PullSubscription, project: str) -> Subscription:
    return Subscription(
        name=f"projects/{project}/subscriptions/{pull.name}",
        topic=_topic(project, pull.topic),
        ack_deadline_seconds=60,
        message_retention_duration=Duration(seconds=_RETENTION),
    )


def _topic(project: str, name: str) -> str:
    return f"projects/{project}/topics/{name}"
