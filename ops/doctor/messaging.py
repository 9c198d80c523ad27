"""Topics and subscriptions: they exist, and deliver, retry and dead-letter as described."""

from collections.abc import Mapping
from dataclasses import dataclass

from google.api_core.exceptions import NotFound

from contracts.topology import PUSHER, PushSubscription, Seconds, Topology, audience_of
from ops.doctor.findings import Finding, fail, ok
from ops.doctor.rights import Grants, of_policy, pubsub_agent
from ops.doctor.site import CALL_SECONDS, Site

_APPLY = "run terraform apply; on a local stack: make down, make up"


# --- topics ------------------------------------------------------------------------------------------------------


def topics(site: Site) -> list[Finding]:
    """Every topic exists."""
    request = {"project": f"projects/{site.target.project}"}
    listed = site.publisher.list_topics(request=request, timeout=CALL_SECONDS)
    return judge_topics({topic.name.rsplit("/", 1)[-1] for topic in listed}, site.topology)


def judge_topics(found: set[str], wanted: Topology) -> list[Finding]:
    """One finding for each topic of the description."""
    return [
        ok("topics", topic) if topic in found else fail("topics", f"{topic} does not exist", _APPLY)
        for topic in wanted.topics
    ]


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


@dataclass(frozen=True, slots=True)
class Edge:
    """What of a subscription depends on the stack."""

    endpoint: str | None
    """Where its pushes go; None where the service's address is not known."""
    account: str | None
    """Who signs them; None on a local stack, whose emulator signs nothing and lets nothing expire."""


def subscriptions(site: Site, endpoints: Mapping[str, str]) -> list[Finding]:
    """Every subscription exists and is as described.

    Args:
        site: Where.
        endpoints: Address of each service, as far as it is known.
    """
    findings: list[Finding] = []
    account = None if site.is_local else site.account(PUSHER)
    for push in site.topology.push_subscriptions:
        seen = look(site, push.name)
        findings += judge_push(push, seen, Edge(endpoints.get(push.service), account))
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


def judge_push(wanted: PushSubscription, seen: Seen | None, edge: Edge) -> list[Finding]:
    """Every difference from the description, or one finding that all is well."""
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
    if edge.endpoint is not None:
        compared["push endpoint"] = (seen.endpoint.rstrip("/"), edge.endpoint.rstrip("/"))
    if edge.account is not None:
        compared["token audience"] = (seen.audience, audience_of(wanted.service))
        compared["token account"] = (seen.account, edge.account)
    return _differences(wanted.name, seen, compared, is_local=edge.account is None)


def judge_pull(name: str, topic: str, seen: Seen | None, *, is_local: bool) -> list[Finding]:
    """The same for what a person pulls from."""
    if seen is None:
        return [fail("subscriptions", f"{name} does not exist: what it should keep is lost", _APPLY)]
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
        found.append(fail("subscriptions", f"{name} expires when nobody uses it for a while", _APPLY))
    return found or [ok("subscriptions", name)]


# --- rights of Pub/Sub itself --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessagingRights:
    """Grants by short name."""

    topics: Mapping[str, Grants]
    subscriptions: Mapping[str, Grants]


def dead_lettering(site: Site, project_number: str) -> list[Finding]:
    """Pub/Sub may do its part of dead-lettering; without it messages are delivered for ever, or vanish."""
    wanted = site.topology
    seen = MessagingRights(
        {topic: _topic_grants(site, topic) for topic in sorted(wanted.dead_letter_topics)},
        {push.name: _subscription_grants(site, push.name) for push in wanted.push_subscriptions},
    )
    return judge_dead_lettering(wanted, seen, pubsub_agent(project_number))


def judge_dead_lettering(wanted: Topology, seen: MessagingRights, agent: str) -> list[Finding]:
    """Both rights for each dead letter: publish to the topic, acknowledge on the subscription."""
    publishing, taking = ("roles/pubsub.publisher", agent), ("roles/pubsub.subscriber", agent)
    lacking = [
        fail("dead-letter rights", f"Pub/Sub may not publish to {topic}: dead letters stay where they are", _APPLY)
        for topic in sorted(wanted.dead_letter_topics)
        if publishing not in seen.topics.get(topic, frozenset())
    ]
    lacking += [
        fail("dead-letter rights", f"Pub/Sub may not acknowledge on {push.name}: nothing is dead-lettered", _APPLY)
        for push in wanted.push_subscriptions
        if taking not in seen.subscriptions.get(push.name, frozenset())
    ]
    return lacking or [ok("dead-letter rights", f"{agent} on every dead-letter topic and push subscription")]


def topic_publishers(site: Site, topic: str) -> frozenset[str]:
    """Who may publish to a topic."""
    return frozenset(member for role, member in _topic_grants(site, topic) if role == "roles/pubsub.publisher")


def _topic_grants(site: Site, topic: str) -> Grants:
    request = {"resource": site.topic(topic)}
    try:
        return of_policy(site.publisher.get_iam_policy(request=request, timeout=CALL_SECONDS))
    except NotFound:
        return frozenset()


def _subscription_grants(site: Site, subscription: str) -> Grants:
    request = {"resource": site.subscription(subscription)}
    try:
        return of_policy(site.subscriber.get_iam_policy(request=request, timeout=CALL_SECONDS))
    except NotFound:
        return frozenset()
