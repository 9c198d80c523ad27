"""Topics and subscriptions: they exist, and deliver, retry and dead-letter as described."""

from collections.abc import Mapping
from dataclasses import dataclass

from google.api_core.exceptions import NotFound
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from contracts.topology import PUSHER, PushSubscription, Seconds, Topology, audience_of
from ops.doctor.findings import Finding, each_exists, fail, ok
from ops.doctor.rights import Grants, of_policy, pubsub_agent
from ops.doctor.site import CALL_SECONDS, Site

_APPLY = "run terraform apply; on a local stack: make down, make up"


# --- topics ------------------------------------------------------------------------------------------------------


def topics(site: Site) -> list[Finding]:
    """Every topic exists."""
    request = {"project": f"projects/{site.target.project}"}
    listed = site.publisher.list_topics(request=request, timeout=CALL_SECONDS)
    return each_exists("topics", site.topology.topics, {topic.name.rsplit("/", 1)[-1] for topic in listed}, _APPLY)


# --- subscriptions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """A subscription as Pub/Sub shows it, with short names."""

    topic: str
    endpoint: str = ""
    audience: str = ""
    account: str = ""
    ack_deadline: Seconds = 0
    min_backoff: Seconds = 0
    max_backoff: Seconds = 0
    dead_letter_topic: str = ""
    max_delivery_attempts: int = 0
    filter: str = ""
    expires: bool = False
    is_detached: bool = False


def subscriptions(site: Site, endpoints: Mapping[str, str]) -> list[Finding]:
    """Every subscription exists and is as described.

    Args:
        site: Where.
        endpoints: Address of each service, as far as it is known.
    """
    findings: list[Finding] = []
    account = None if site.is_local else site.account(PUSHER)
    for push in site.topology.push_subscriptions:
        endpoint = endpoints.get(push.service)
        findings += judge_push(push, look(site, push.name), endpoint=endpoint, account=account)
    for pull in site.topology.pull_subscriptions:
        findings += judge_pull(pull.name, pull.topic, look(site, pull.name), is_local=site.is_local)
    return findings


def look(site: Site, name: str) -> Seen | None:
    """One subscription, or None where there is none."""
    try:
        found = site.subscriber.get_subscription(subscription=site.subscription(name), timeout=CALL_SECONDS)
    except NotFound:
        return None
    push, dead, retry = found.push_config, found.dead_letter_policy, found.retry_policy
    return Seen(
        topic=found.topic.rsplit("/", 1)[-1],
        endpoint=push.push_endpoint,
        audience=push.oidc_token.audience,
        account=push.oidc_token.service_account_email,
        ack_deadline=found.ack_deadline_seconds,
        min_backoff=int(retry.minimum_backoff.total_seconds()) if retry else 0,
        max_backoff=int(retry.maximum_backoff.total_seconds()) if retry else 0,
        dead_letter_topic=dead.dead_letter_topic.rsplit("/", 1)[-1],
        max_delivery_attempts=dead.max_delivery_attempts,
        filter=found.filter,
        expires="ttl" in found.expiration_policy,
        is_detached=found.detached,
    )


def judge_push(
    wanted: PushSubscription, seen: Seen | None, *, endpoint: str | None, account: str | None
) -> list[Finding]:
    """Every difference from the description, or one finding that all is well.

    Args:
        wanted: The description.
        seen: What there is; None where there is no such subscription.
        endpoint: Where its pushes go; None where the service's address is not known.
        account: Who signs them; None on a local stack, whose emulator signs nothing and lets nothing expire.
    """
    if seen is None:
        return [fail("subscriptions", f"{wanted.name} does not exist: its service hears nothing", _APPLY)]
    compared: dict[str, tuple[object, object]] = {
        "topic": (seen.topic, wanted.topic),
        "ack deadline": (seen.ack_deadline, wanted.ack_deadline),
        "minimum backoff": (seen.min_backoff, wanted.min_backoff),
        "maximum backoff": (seen.max_backoff, wanted.max_backoff),
        "dead-letter topic": (seen.dead_letter_topic, wanted.dead_letter_topic),
        "delivery attempts": (seen.max_delivery_attempts, wanted.max_delivery_attempts),
        "filter": (seen.filter, ""),
    }
    if endpoint is not None:
        compared["push endpoint"] = (seen.endpoint.rstrip("/"), endpoint.rstrip("/"))
    if account is not None:
        compared["token audience"] = (seen.audience, audience_of(wanted.service))
        compared["token account"] = (seen.account, account)
    return _differences(wanted.name, seen, compared, is_local=account is None)


def judge_pull(name: str, topic: str, seen: Seen | None, *, is_local: bool) -> list[Finding]:
    """The same for a subscription that a person pulls from."""
    if seen is None:
        return [fail("subscriptions", f"{name} does not exist: the messages that it should keep are lost", _APPLY)]
    compared: dict[str, tuple[object, object]] = {
        "topic": (seen.topic, topic),
        "push endpoint": (seen.endpoint, ""),
        "filter": (seen.filter, ""),
    }
    return _differences(name, seen, compared, is_local=is_local)


def _differences(
    name: str, seen: Seen, compared: Mapping[str, tuple[object, object]], *, is_local: bool
) -> list[Finding]:
    found = [
        fail("subscriptions", f"{name}: {what} is {is_now or 'none'}, should be {should or 'none'}", _APPLY)
        for what, (is_now, should) in compared.items()
        if is_now != should
    ]
    if seen.is_detached:
        found.append(fail("subscriptions", f"{name} is detached from its topic", f"delete it, then {_APPLY}"))
    if seen.expires and not is_local:
        found.append(fail("subscriptions", f"{name} expires when it is not used for a while", _APPLY))
    return found or [ok("subscriptions", name)]


# --- rights of Pub/Sub itself --------------------------------------------------------------------------------------


def dead_lettering(site: Site, project_number: str) -> list[Finding]:
    """Pub/Sub has the rights it needs for dead-lettering; without them messages are delivered for ever, or vanish."""
    wanted = site.topology
    names = (push.name for push in wanted.push_subscriptions)
    topics = {topic: _grants(site.publisher, site.topic(topic)) for topic in sorted(wanted.dead_letter_topics)}
    subscriptions = {name: _grants(site.subscriber, site.subscription(name)) for name in names}
    return judge_dead_lettering(wanted, topics, subscriptions, pubsub_agent(project_number))


def judge_dead_lettering(
    wanted: Topology, topics: Mapping[str, Grants], subscriptions: Mapping[str, Grants], agent: str
) -> list[Finding]:
    """Both rights for each dead letter: publish to the topic, acknowledge on the subscription; grants by short name."""
    publishing, taking = ("roles/pubsub.publisher", agent), ("roles/pubsub.subscriber", agent)
    lacking = [
        fail("dead-letter rights", f"Pub/Sub may not publish to {topic}: dead letters stay where they are", _APPLY)
        for topic in sorted(wanted.dead_letter_topics)
        if publishing not in topics.get(topic, frozenset())
    ]
    lacking += [
        fail("dead-letter rights", f"Pub/Sub may not acknowledge on {push.name}: nothing is dead-lettered", _APPLY)
        for push in wanted.push_subscriptions
        if taking not in subscriptions.get(push.name, frozenset())
    ]
    return lacking or [ok("dead-letter rights", f"{agent} on every dead-letter topic and push subscription")]


def topic_publishers(site: Site, topic: str) -> frozenset[str]:
    """Who may publish to a topic."""
    return frozenset(
        member for role, member in _grants(site.publisher, site.topic(topic)) if role == "roles/pubsub.publisher"
    )


def _grants(client: PublisherClient | SubscriberClient, resource: str) -> Grants:
    """Who may do what with a topic or a subscription; nobody where it does not exist."""
    try:
        return of_policy(client.get_iam_policy(request={"resource": resource}, timeout=CALL_SECONDS))
    except NotFound:
        return frozenset()
