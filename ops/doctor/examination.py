"""The whole examination: every check, and what is said where one cannot look. Changes nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError, RefreshError

from ops.doctor import data, last_run, messaging, project, running
from ops.doctor.findings import Finding
from ops.doctor.site import Site

_UNREACHABLE = (GoogleAPIError, GoogleAuthError, requests.RequestException, LookupError)

CLOUD_ONLY: dict[str, Callable[[Site], list[Finding]]] = {
    "apis": project.apis,
    "accounts": project.accounts,
    "dead-letter rights": lambda site: messaging.dead_lettering(site, project.number(site)),
    "storage agent": project.storage_agent,
    "notification": data.notification,
    "log sink": project.sink,
    "secrets": project.secrets,
    "ticks": project.ticks,
    "expiration": data.expiration,
    "audit log": last_run.audit,
    "job labels": last_run.labels,
    "pushes": lambda site: last_run.refusals(site, datetime.now(UTC)),
}
"""Checks of what a local stack does not have, or does not show."""


def examine(site: Site, now: datetime) -> Iterator[Finding]:
    """Every finding, as soon as it is there."""
    seen: dict[str, running.Service | None] = {}

    def look_at_services() -> list[Finding]:
        seen.update(running.look(site))
        return running.services(site, seen)

    yield from _guarded("services", look_at_services)
    endpoints = {name: service.url for name, service in seen.items() if service is not None}
    yield from _guarded("topics", lambda: messaging.topics(site))
    yield from _guarded("subscriptions", lambda: messaging.subscriptions(site, endpoints))
    yield from _guarded("bucket", lambda: data.bucket(site))
    yield from _guarded("table", lambda: data.table(site))
    yield from _guarded("views", lambda: data.views(site))
    yield from _guarded("last load", lambda: last_run.rows(site))
    yield from _guarded("clusters", lambda: running.clusters(site, now))
    yield from _guarded("dashboard", lambda: running.dashboard(site))
    for name, check in CLOUD_ONLY.items():
        if site.is_local:
            yield Finding(name, "not in the local stack", "not_local")
        else:
            yield from _guarded(name, lambda check=check: check(site))  # type: ignore[misc]


def _guarded(name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """What could not be looked at is neither well nor broken: it is said, with why."""
    try:
        return look()
    except RefreshError:
        raise  # no other check could look either, and no other account is wanted
    except _UNREACHABLE as error:
        why = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        remedy = "look again with an account that may look at it (roles/viewer and roles/iam.securityReviewer do)"
        return [Finding(name, f"could not be looked at: {why}", "unreachable", remedy)]
