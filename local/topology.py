"""The making of the topology on the Pub/Sub emulator.

`infra/topology.json` is the description; the infrastructure reads it too. The emulator leaves two things
out that production has: `deliveryAttempt` in a push and the push's OIDC token.
"""

from collections.abc import Mapping

from google.api_core.exceptions import AlreadyExists
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, RetryPolicy, Subscription

from contracts.topology import (
    BucketNotification,
    LoggingSink,
    PullSubscription,
    PushSubscription,
    Topology,
    read,
)

__all__ = [
    "BucketNotification",
    "LoggingSink",
    "PullSubscription",
    "PushSubscription",
    "Topology",
    "create",
    "read",
]

_RETENTION = 7 * 24 * 3600  # seconds an unacknowledged message is kept; Pub/Sub's default, said aloud


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
