"""What only a project has: APIs, accounts, ticks, the log sink, secrets. Read by plain GETs, except the secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from google.api_core.exceptions import NotFound
from google.cloud import secretmanager_v1

from contracts.topology import LoggingSink, SchedulerJob
from contracts.wording import shown
from ops.doctor import messaging
from ops.doctor.findings import Finding, fail, ok, warn
from ops.doctor.site import CALL_SECONDS, Site

_APPLY = "run terraform apply"


def pages(site: Site, url: str, key: str, **parameters: str) -> list[dict[str, Any]]:
    """All entries of a paged listing; `key` is their field in each page."""
    entries: list[dict[str, Any]] = []
    token = ""
    while True:
        asked = urlencode({**parameters, **({"pageToken": token} if token else {})})
        page = site.rest.get(f"{url}?{asked}" if asked else url) or {}
        entries += page.get(key, [])
        token = page.get("nextPageToken", "")
        if not token:
            return entries


def number(site: Site) -> str:
    """The project's number, part of the names of Google's own accounts.

    Raises:
        LookupError: there is no such project, or it may not be read.
    """
    found = site.rest.get(f"https://cloudresourcemanager.googleapis.com/v1/projects/{site.target.project}")
    if not found or "projectNumber" not in found:
        raise LookupError(f"project {site.target.project} does not exist or is not yours")
    return str(found["projectNumber"])


# --- APIs and accounts -------------------------------------------------------------------------------------------


def apis(site: Site) -> list[Finding]:
    """Every API is enabled."""
    url = f"https://serviceusage.googleapis.com/v1/projects/{site.target.project}/services"
    listed = pages(site, url, "services", filter="state:ENABLED", pageSize="200")
    return judge_apis(site.topology.apis, {str(entry["name"]).rsplit("/", 1)[-1] for entry in listed})


def judge_apis(wanted: Sequence[str], enabled: set[str]) -> list[Finding]:
    """One finding for each that is missing."""
    missing = [name for name in wanted if name not in enabled]
    return [fail("apis", f"{name} is not enabled", f"gcloud services enable {name}") for name in missing] or [
        ok("apis", f"{len(wanted)} enabled")
    ]


def accounts(site: Site) -> list[Finding]:
    """Every service account exists and is enabled."""
    url = f"https://iam.googleapis.com/v1/projects/{site.target.project}/serviceAccounts"
    listed = pages(site, url, "accounts", pageSize="100")
    seen = {str(entry["email"]): bool(entry.get("disabled")) for entry in listed}
    return judge_accounts([site.account(identity) for identity in site.topology.service_accounts], seen)


def judge_accounts(wanted: Sequence[str], disabled: Mapping[str, bool]) -> list[Finding]:
    """One finding for each."""
    findings = []
    for email in wanted:
        if email not in disabled:
            findings.append(fail("accounts", f"{email} does not exist", _APPLY))
        elif disabled[email]:
            remedy = f"gcloud iam service-accounts enable {email}"
            findings.append(fail("accounts", f"{email} is disabled", remedy))
        else:
            findings.append(ok("accounts", email))
    return findings


# --- ticks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """A job of Cloud Scheduler."""

    topic: str
    state: str
    last_error: str = ""


def ticks(site: Site) -> list[Finding]:
    """Every job of Cloud Scheduler exists, runs, and publishes to its topic."""
    place = f"projects/{site.target.project}/locations/{site.target.region}"
    listed = pages(site, f"https://cloudscheduler.googleapis.com/v1/{place}/jobs", "jobs", pageSize="100")
    seen = {str(entry["name"]).rsplit("/", 1)[-1]: _job(entry) for entry in listed}
    return judge_ticks(site.topology.scheduler_jobs, seen)


def _job(entry: Mapping[str, Any]) -> Job:
    topic = str(entry.get("pubsubTarget", {}).get("topicName", "")).rsplit("/", 1)[-1]
    return Job(topic, str(entry.get("state", "")), str(entry.get("status", {}).get("message", "")))


def judge_ticks(wanted: Sequence[SchedulerJob], seen: Mapping[str, Job]) -> list[Finding]:
    """One finding for each tick."""
    return [_judge_tick(tick, seen.get(tick.name)) for tick in wanted]


def _judge_tick(wanted: SchedulerJob, seen: Job | None) -> Finding:
    if seen is None:
        return fail("ticks", f"{wanted.name} does not exist: nothing begins by itself", _APPLY)
    if seen.topic != wanted.topic:
        return fail("ticks", f"{wanted.name} publishes to {seen.topic or 'nothing'}, not {wanted.topic}", _APPLY)
    if seen.state == "PAUSED":
        return fail("ticks", f"{wanted.name} is paused", "set image_tag and apply (infra/README.md), or resume it")
    if seen.state != "ENABLED":
        return fail("ticks", f"{wanted.name} is {seen.state or 'in no state'}", _APPLY)
    if seen.last_error:
        return warn("ticks", f"{wanted.name} failed the last time: {seen.last_error}", "look at its log")
    return ok("ticks", wanted.name)


# --- the log sink --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink of Cloud Logging."""

    destination: str
    filter: str
    writer: str
    is_disabled: bool = False


def sink(site: Site) -> list[Finding]:
    """The log sink that wakes the cluster manager exists and is as described."""
    wanted = site.topology.logging_sink
    found = site.rest.get(f"https://logging.googleapis.com/v2/projects/{site.target.project}/sinks/{wanted.name}")
    if found is None:
        return judge_sink(wanted, None, site.topic(wanted.topic), frozenset())
    seen = Sink(
        destination=str(found.get("destination", "")),
        filter=str(found.get("filter", "")),
        writer=str(found.get("writerIdentity", "")),
        is_disabled=bool(found.get("disabled")),
    )
    return judge_sink(wanted, seen, site.topic(wanted.topic), messaging.topic_publishers(site, wanted.topic))


def judge_sink(wanted: LoggingSink, seen: Sink | None, topic: str, publishers: frozenset[str]) -> list[Finding]:
    """It exists, has the described filter and topic, and its writer may publish there."""
    if seen is None:
        return [fail("log sink", f"{wanted.name} does not exist: only the sweep sees clusters and jobs", _APPLY)]
    findings = []
    if seen.is_disabled:
        findings.append(fail("log sink", f"{wanted.name} is disabled", _APPLY))
    if seen.destination != f"pubsub.googleapis.com/{topic}":
        findings.append(fail("log sink", f"{wanted.name} writes to {seen.destination}, not to {topic}", _APPLY))
    if seen.filter != wanted.filter:
        what = f"{wanted.name} passes entries other than described: its filter is {shown(seen.filter)}"
        findings.append(fail("log sink", what, _APPLY))
    if seen.writer not in publishers:
        writer = seen.writer or "its writer"
        findings.append(fail("log sink", f"{writer} may not publish to {wanted.topic}", _APPLY))
    return findings or [ok("log sink", f"{wanted.name} to {wanted.topic}")]


def storage_agent(site: Site) -> list[Finding]:
    """Cloud Storage may announce new objects."""
    topic = site.topology.bucket_notification.topic
    member = f"serviceAccount:{site.storage.get_service_account_email(timeout=CALL_SECONDS)}"
    return judge_storage_agent(member, topic, messaging.topic_publishers(site, topic))


def judge_storage_agent(member: str, topic: str, publishers: frozenset[str]) -> list[Finding]:
    """Cloud Storage's account is among the topic's publishers."""
    if member in publishers:
        return [ok("storage agent", f"{member} may publish to {topic}")]
    return [fail("storage agent", f"{member} may not publish to {topic}: parts land unheard", _APPLY)]


# --- secrets -------------------------------------------------------------------------------------------------------


def secrets(site: Site) -> list[Finding]:
    """Every secret that is needed, or exists, has an enabled version. Its value is never read."""
    client = site.secrets
    if client is None:
        raise LookupError("there is no Secret Manager to ask")
    needed, optional = site.topology.secrets, site.topology.optional_secrets
    seen = {
        name: _states(client, f"projects/{site.target.project}/secrets/{name}") for name in (*needed, *optional)
    }
    return judge_secrets({name: states for name, states in seen.items() if name in needed or states is not None})


def _states(client: secretmanager_v1.SecretManagerServiceClient, secret: str) -> list[str] | None:
    """States of a secret's versions, newest first; None where there is no such secret."""
    try:
        listed = client.list_secret_versions(request={"parent": secret}, timeout=CALL_SECONDS)
        return [version.state.name for version in listed]
    except NotFound:
        return None


def judge_secrets(seen: Mapping[str, Sequence[str] | None]) -> list[Finding]:
    """The newest version counts, since it is the one that is used."""
    return [_judge_secret(name, states) for name, states in seen.items()]


def _judge_secret(name: str, states: Sequence[str] | None) -> Finding:
    if states is None:
        return fail("secrets", f"{name} does not exist", _APPLY)
    if not states:
        return fail("secrets", f"{name} has no value", f"gcloud secrets versions add {name} --data-file=-")
    if states[0] != "ENABLED":
        remedy = f"enable it, or: gcloud secrets versions add {name} --data-file=-"
        return fail("secrets", f"{name}: its newest version is {states[0]}, and that is the one used", remedy)
    return ok("secrets", f"{name} has a value")
