"""What runs: the services, the dashboard, and clusters that should no longer run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from contracts.topology import PUSHER, run_name
from ops.doctor.findings import Finding, fail, ok, warn
from ops.doctor.rights import of_json
from ops.doctor.site import CALL_SECONDS, Site

_APP = "new-releases"  # the label that the cluster manager puts on clusters
_GRACE = timedelta(minutes=15)  # Dataproc deletes at its own pace


# --- services ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Service:
    """A service as Cloud Run describes it, or a local one as its readiness endpoint does."""

    url: str
    problem: str = ""
    """Why it is not ready; empty where it is."""
    invokers: frozenset[str] = frozenset()


def services(site: Site, seen: Mapping[str, Service | None]) -> list[Finding]:
    """Every service is ready, and only the account that signs the pushes may call it."""
    pusher = None if site.is_local else f"serviceAccount:{site.account(PUSHER)}"
    return [finding for name in site.topology.services for finding in judge_service(name, seen.get(name), pusher)]


def look(site: Site) -> dict[str, Service | None]:
    """Every service by name; None where it does not exist."""
    return {name: _look(site, name, site.target.services.get(name)) for name in site.topology.services}


def _look(site: Site, name: str, local_url: str | None) -> Service | None:
    return _local(local_url) if site.is_local else _cloud_run(site, name)


def _local(url: str | None) -> Service | None:
    if url is None:
        return None
    try:
        answer = requests.get(f"{url}/health/ready", timeout=10)
        failures = answer.json().get("failures", {})
    except (requests.RequestException, ValueError) as error:
        return Service(url, f"does not answer: {type(error).__name__}")
    return Service(url, "; ".join(f"{what}: {why}" for what, why in failures.items()))


def _cloud_run(site: Site, name: str) -> Service | None:
    place = f"projects/{site.target.project}/locations/{site.target.region}"
    address = f"https://run.googleapis.com/v2/{place}/services/{run_name(name)}"
    found = site.rest.get(address)
    if found is None:
        return None
    condition: dict[str, Any] = found.get("terminalCondition", {})
    is_ready = condition.get("state") == "CONDITION_SUCCEEDED"
    problem = "" if is_ready else str(condition.get("message") or condition.get("state") or "not ready")
    policy = of_json(site.rest.get(f"{address}:getIamPolicy"))
    invokers = frozenset(member for role, member in policy if role == "roles/run.invoker")
    return Service(str(found.get("uri", "")), problem, invokers)


def judge_service(name: str, seen: Service | None, pusher: str | None) -> list[Finding]:
    """Ready; in a project also open to the pusher alone."""
    if seen is None:
        remedy = "build the images, set image_tag and apply (infra/README.md); on a local stack: make up"
        return [fail("services", f"{name} does not exist", remedy)]
    findings = []
    if seen.problem:
        findings.append(fail("services", f"{name} is not ready: {seen.problem}", f"look at the log of {name}"))
    if pusher is not None and pusher not in seen.invokers:
        findings.append(
            fail("services", f"{pusher} may not call {name}: every push is refused", "terraform apply")
        )
    if pusher is not None and (others := seen.invokers - {pusher}):
        remedy = f"take roles/run.invoker on {run_name(name)} away from them"
        findings.append(fail("services", f"{name} may be called by {', '.join(sorted(others))}", remedy))
    return findings or [ok("services", f"{name} is ready")]


# --- dashboard -----------------------------------------------------------------------------------------------------


_EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})


def dashboard(site: Site) -> list[Finding]:
    """The dashboard, where there is one, is ready, open to those who are named and closed to everybody else."""
    return judge_dashboard(_look(site, "dashboard", site.target.dashboard), is_local=site.is_local)


def judge_dashboard(seen: Service | None, *, is_local: bool) -> list[Finding]:
    """No run needs it, so only its being open to everybody is a failure."""
    if seen is None:
        return [ok("dashboard", "there is none, and no run needs one")]
    findings = []
    if seen.problem:
        findings.append(warn("dashboard", f"is not ready: {seen.problem}", "look at its log"))
    if everybody := seen.invokers & _EVERYBODY:
        remedy = f"take roles/run.invoker on {run_name('dashboard')} away from them"
        findings.append(fail("dashboard", f"may be seen by {', '.join(sorted(everybody))}", remedy))
    if not is_local and not seen.invokers:
        remedy = "name them in dashboard_viewers and run terraform apply"
        findings.append(warn("dashboard", "nobody may see it", remedy))
    return findings or [ok("dashboard", "is ready")]


# --- clusters ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of ours."""

    name: str
    state: str
    created: datetime
    max_age: timedelta | None
    """Its own time to live; None where it has none."""


def clusters(site: Site, now: datetime) -> list[Finding]:
    """No cluster of ours is older than its time to live."""
    request = {
        "project_id": site.target.project,
        "region": site.target.region,
        "filter": f"labels.app = {_APP}",
    }
    return judge_clusters(
        [_cluster(found) for found in site.clusters.list_clusters(request=request, timeout=CALL_SECONDS)], now
    )


def _cluster(found: Any) -> Cluster:
    first = found.status_history[0] if found.status_history else found.status
    life = found.config.lifecycle_config
    return Cluster(
        name=found.cluster_name,
        state=found.status.state.name,
        created=datetime.fromtimestamp(first.state_start_time.timestamp(), UTC),
        max_age=life.auto_delete_ttl if "auto_delete_ttl" in life else None,
    )


def judge_clusters(seen: Sequence[Cluster], now: datetime) -> list[Finding]:
    """One finding for each cluster, or one that there is none."""
    return [_judge_cluster(cluster, now - cluster.created) for cluster in seen] or [ok("clusters", "none is up")]


def _judge_cluster(cluster: Cluster, age: timedelta) -> Finding:
    remedy = f"gcloud dataproc clusters delete {cluster.name}; then see why in the cluster manager's log"
    minutes = f"{age.total_seconds() / 60:.0f} minutes old, {cluster.state}"
    if cluster.max_age is None:
        return fail("clusters", f"{cluster.name} has no time to live ({minutes})", remedy)
    if age > cluster.max_age + _GRACE:
        return fail("clusters", f"{cluster.name} is older than its time to live: {minutes}", remedy)
    return ok("clusters", f"{cluster.name}: {minutes}")
