"""The whole examination: every check, and what is said where one could not be made. Changes nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from ops.doctor import data, last_run, messaging, project, running
from ops.doctor.findings import Finding
from ops.doctor.site import Site
from ops.target import GOOGLE_ERRORS, LoginExpired

Check = Callable[[Site], list[Finding]]

CLOUD_ONLY: dict[str, Check] = {
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
"""Checks of what a local stack lacks, or does not show."""


def examine(site: Site, now: datetime) -> Iterator[Finding]:
    """Every finding, as soon as it is known."""
    for name, check in _everywhere(now).items():
        yield from _guarded(name, check, site)
    for name, check in CLOUD_ONLY.items():
        if site.is_local:
            yield Finding(name, "not in the local stack", "not_local")
        else:
            yield from _guarded(name, check, site)


def _everywhere(now: datetime) -> dict[str, Check]:
    """Checks of what every stack has, in their order: the services' addresses are needed by the subscriptions."""
    seen: dict[str, running.Service | None] = {}

    def services(site: Site) -> list[Finding]:
        seen.update(running.look(site))
        return running.services(site, seen)

    def subscriptions(site: Site) -> list[Finding]:
        return messaging.subscriptions(site, {name: service.url for name, service in seen.items() if service})

    return {
        "services": services,
        "topics": messaging.topics,
        "subscriptions": subscriptions,
        "bucket": data.bucket,
        "table": data.table,
        "views": data.views,
        "last load": last_run.rows,
        "clusters": lambda site: running.clusters(site, now),
        "dashboard": running.dashboard,
    }


def _guarded(name: str, check: Check, site: Site) -> list[Finding]:
    """A check that could not be made is neither passed nor failed: the finding says why it was not."""
    try:
        return check(site)
    except LoginExpired:
        raise  # no other check could be made either, and another account would not help
    except (*GOOGLE_ERRORS, LookupError) as error:
        why = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        remedy = "look again with an account that may read it (roles/viewer and roles/iam.securityReviewer do)"
        return [Finding(name, f"could not be looked at: {why}", "unreachable", remedy)]
