"""Sends a canary through every edge: published to a topic, heard by each service, or refused until dead-lettered.

Three proofs. `announcement`: the bucket announces new objects. `deliveries`: each push subscription reaches its service
within seconds. `dead_letters`: what a service refuses ends as a record in the bucket. The last takes from a minute to
hours, by the subscription's attempts and backoff; what has not ended within the limit is reported as under way, with
where to look. A proof removes from the bucket what it wrote there.
"""

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError, RetryError
from google.cloud.storage import Blob, Bucket

from contracts.documents import DeadLetter
from contracts.envelope.dead_letters import DEAD
from contracts.envelope.messages import Origin, to_message
from contracts.events import Canary
from contracts.names import DEAD_LETTERS_PREFIX, UNKNOWN_SUBSCRIPTION, canary_name
from contracts.topology import PushSubscription
from ops.doctor.findings import Finding, fail, ok, warn
from ops.doctor.site import CALL_SECONDS, Site

T = TypeVar("T")
_TOPIC = "canary-topic"
_ONE_DAY = timedelta(days=1)  # the shortest expiry that Pub/Sub allows for an unused subscription
_PULL_SECONDS = 5.0  # for one pull
_LOOK_SECONDS = 1.0  # between two looks at the bucket


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait; clock and wait can be replaced, so that tests need not wait."""

    limit: timedelta
    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep


def dead_letter_after(push: PushSubscription) -> timedelta:
    """The least time until Pub/Sub gives a refused message up: its backoffs, doubling from the least to the most.

    Source: cloud.google.com/pubsub/docs/handling-failures (exponential backoff, best effort; attempts are a minimum).
    """
    pauses = (
        min(push.min_backoff * 2**attempt, push.max_backoff) for attempt in range(push.max_delivery_attempts - 1)
    )
    return timedelta(seconds=sum(pauses))


def quick(site: Site, canary_id: str, patience: Patience) -> Iterator[Finding]:
    """The proofs that take seconds, with which a deployment ends; `patience` is for each of the two."""
    yield from announcement(site, canary_id, patience)
    yield from deliveries(site, canary_id, patience)


# --- the bucket's announcement -------------------------------------------------------------------------------------


def announcement(site: Site, canary_id: str, patience: Patience) -> Iterator[Finding]:
    """Whether a new object below the prefix is announced; a subscription is made to hear it."""
    wanted = site.topology.bucket_notification
    listening = site.subscription(f"doctor-{canary_id}")
    blob = site.storage.bucket(site.target.bucket).blob(f"{wanted.object_prefix}canary-{canary_id}")
    try:
        site.subscriber.create_subscription(
            request={"name": listening, "topic": site.topic(wanted.topic), "expiration_policy": {"ttl": _ONE_DAY}},
            timeout=CALL_SECONDS,
        )
    except GoogleAPIError as error:
        what = f"no subscription to {wanted.topic} could be made: {str(error).splitlines()[0]}"
        yield Finding("announcement", what, "unreachable", "prove it with roles/pubsub.editor")
        return
    try:
        blob.upload_from_string(b"a canary of releases doctor", timeout=CALL_SECONDS)
        heard = any(_as_heard({blob.name: blob}, lambda sent: sent.name in _announced(site, listening), patience))
    finally:
        site.subscriber.delete_subscription(subscription=listening, timeout=CALL_SECONDS)
        blob.delete(timeout=CALL_SECONDS)
    if heard:
        yield ok("announcement", f"a new object below {wanted.object_prefix} is announced to {wanted.topic}")
    else:
        what = f"a new object below {wanted.object_prefix} was not announced to {wanted.topic}: parts land unheard"
        yield fail("announcement", what, "see the findings about the notification; then run terraform apply")


def _announced(site: Site, subscription: str) -> set[str]:
    """Names of objects that were announced since the last pull."""
    try:
        pulled = site.subscriber.pull(subscription=subscription, max_messages=100, timeout=_PULL_SECONDS)
    except (DeadlineExceeded, RetryError):
        return set()
    taken = pulled.received_messages
    if taken:
        ids = [message.ack_id for message in taken]
        site.subscriber.acknowledge(subscription=subscription, ack_ids=ids, timeout=CALL_SECONDS)
    return {message.message.attributes.get("objectId", "") for message in taken}


# --- deliveries ----------------------------------------------------------------------------------------------------


def deliveries(site: Site, canary_id: str, patience: Patience) -> Iterator[Finding]:
    """One finding for each push subscription, as soon as its canary was heard.

    On a dead-letter topic everything is recorded as a dead letter, so its canary is looked for among the records.
    """
    pushes = {push.name: push for push in site.topology.push_subscriptions}
    published = _publish(site, Canary(id=canary_id), {push.topic for push in pushes.values()})
    yield from (
        fail("delivery", f"{topic}: the canary could not be published: {error}", "see the findings about topics")
        for topic, error in published.items()
        if error
    )
    bucket = site.storage.bucket(site.target.bucket)
    waiting = {name: push for name, push in pushes.items() if not published[push.topic]}
    for name in _as_heard(waiting, lambda push: _is_heard(bucket, canary_id, push), patience):
        del waiting[name]
        yield ok("delivery", f"{name}: {pushes[name].service} heard the canary")
    yield from (_unheard(push, patience.limit) for push in waiting.values())
    _clear(bucket, canary_id)


def _unheard(push: PushSubscription, limit: timedelta) -> Finding:
    remedy = f"look at the log of {push.service}, and at the metrics of the subscription; then prove it again"
    what = f"{push.name}: {push.service} heard nothing within {limit.total_seconds():.0f} s"
    return fail("delivery", what, remedy)


def _is_heard(bucket: Bucket, canary_id: str, push: PushSubscription) -> bool:
    if push.topic.endswith(DEAD):
        return any(push.topic == _topic_of(found) for found in _recorded(bucket, UNKNOWN_SUBSCRIPTION, canary_id))
    return bool(bucket.blob(canary_name(canary_id, push.name)).exists(timeout=CALL_SECONDS))


# --- dead letters --------------------------------------------------------------------------------------------------


def dead_letters(site: Site, canary_id: str, patience: Patience) -> Iterator[Finding]:
    """One finding for each push subscription of an ordinary topic: its refused canary was recorded, or is under way."""
    pushes = {push.name: push for push in site.topology.push_subscriptions if not push.topic.endswith(DEAD)}
    published = _publish(site, Canary(id=canary_id, refuse=True), {push.topic for push in pushes.values()})
    bucket = site.storage.bucket(site.target.bucket)
    waiting = {name: push for name, push in pushes.items() if not published[push.topic]}
    for name in _as_heard(waiting, lambda push: bool(_recorded(bucket, push.name, canary_id)), patience):
        del waiting[name]
        yield ok("dead letter", f"{name}: refused, dead-lettered to {pushes[name].dead_letter_topic}, recorded")
    for push in waiting.values():
        yield _not_yet(push, canary_id, patience.limit)
    _clear(bucket, canary_id)


def _not_yet(push: PushSubscription, canary_id: str, limit: timedelta) -> Finding:
    least = dead_letter_after(push)
    where = f"{DEAD_LETTERS_PREFIX}{push.name}/"
    if least < limit / 2:
        remedy = f"look at the dead-letter rights, at {push.dead_letter_topic}, and at the log of its service"
        return fail("dead letter", f"{push.name}: not recorded within {limit.total_seconds():.0f} s", remedy)
    what = f"{push.name}: still under way; {push.max_delivery_attempts} deliveries take at least {_spoken(least)}"
    return warn("dead letter", what, f"look for canary {canary_id} in {where} then")


def _spoken(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"  # noqa: PLR2004 -- where hours read better


# --- what both need ------------------------------------------------------------------------------------------------


def _publish(site: Site, canary: Canary, topics: set[str]) -> dict[str, str]:
    """Publish to each topic; gives by topic why that failed, or nothing."""
    return {topic: _publish_one(site, canary, topic) for topic in sorted(topics)}


def _publish_one(site: Site, canary: Canary, topic: str) -> str:
    message = to_message(canary, Origin("doctor", topic, datetime.now(UTC)))
    # The message names its topic: a dead letter without a source does not say where it was published.
    attributes = {**message.attributes, _TOPIC: topic}
    try:
        site.publisher.publish(site.topic(topic), message.data, **attributes).result(timeout=CALL_SECONDS)
    except (GoogleAPIError, TimeoutError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


def _as_heard(awaited: Mapping[str, T], is_heard: Callable[[T], bool], patience: Patience) -> Iterator[str]:
    """Names in the order in which they are heard, until all were or the time is over."""
    waiting, end = dict(awaited), patience.now() + patience.limit.total_seconds()
    while waiting:
        for name in [name for name, one in waiting.items() if is_heard(one)]:
            del waiting[name]
            yield name
        if not waiting or patience.now() >= end:
            return
        patience.wait(_LOOK_SECONDS)


def _recorded(bucket: Bucket, subscription: str, canary_id: str) -> list[tuple[Blob, DeadLetter]]:
    """The records of a subscription that hold this canary."""
    found = []
    for blob in bucket.list_blobs(prefix=f"{DEAD_LETTERS_PREFIX}{subscription}/", timeout=CALL_SECONDS):
        dead_letter = DeadLetter.model_validate_json(blob.download_as_bytes(timeout=CALL_SECONDS))
        if canary_id.encode() in base64.b64decode(dead_letter.data):
            found.append((blob, dead_letter))
    return found


def _topic_of(found: tuple[Blob, DeadLetter]) -> str:
    return found[1].attributes.get(_TOPIC, "")


def _clear(bucket: Bucket, canary_id: str) -> None:
    """Remove the notes and records of this canary."""
    for blob in bucket.list_blobs(prefix=f"canaries/{canary_id}/", timeout=CALL_SECONDS):
        blob.delete(timeout=CALL_SECONDS)
    prefixes: set[str] = {
        blob.name.split("/")[1] for blob in bucket.list_blobs(prefix=DEAD_LETTERS_PREFIX, timeout=CALL_SECONDS)
    }
    for subscription in prefixes:
        for blob, _ in _recorded(bucket, subscription, canary_id):
            blob.delete(timeout=CALL_SECONDS)
