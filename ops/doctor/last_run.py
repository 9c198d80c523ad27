"""What only a loaded run can show about Google: its rows stay, its operations are logged, its job's labels are found.

docs/reality.md lists what nobody had seen before the first run. Before a first load there is nothing to check.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from contracts.documents import Receipt
from contracts.envelope.google_events import dataproc_operation
from contracts.events import DataprocOperation
from contracts.faults import ContractError
from ops.doctor.findings import Finding, fail, ok, warn
from ops.doctor.site import CALL_SECONDS, Site

_AFTER = timedelta(hours=3)  # clusters are deleted after the receipt, by Dataproc at the end of their time to live
_MOST_BYTES = 10 * 2**30
_LOOKED_BACK = timedelta(days=1)
_METHODS = "google.cloud.dataproc.v1."
_LOG = "https://logging.googleapis.com/v2/entries:list"


def receipt(site: Site) -> Receipt | None:
    """The newest receipt of a load; None before the first load."""
    bucket = site.storage.bucket(site.target.bucket)
    names = (blob.name for blob in bucket.list_blobs(prefix="runs/", timeout=CALL_SECONDS))
    for name in sorted((name for name in names if "/receipts/" in name), reverse=True):
        found = Receipt.model_validate_json(bucket.blob(name).download_as_bytes(timeout=CALL_SECONDS))
        if found.job_id is not None and found.warehouse is not None:
            return found
    return None


# --- its rows ------------------------------------------------------------------------------------------------------


def rows(site: Site) -> list[Finding]:
    """The table holds as many rows of the last run as its receipt says."""
    last = receipt(site)
    return [_none_yet("last load")] if last is None else judge_rows(last, _count(site, last.run_id))


def _count(site: Site, run_id: str) -> int:
    asked = bigquery.ScalarQueryParameter("load_date", "DATE", date.fromisoformat(run_id))
    config = bigquery.QueryJobConfig(query_parameters=[asked], maximum_bytes_billed=_MOST_BYTES)
    query = f"SELECT COUNT(*) AS n FROM `{site.target.table_id}` WHERE load_date = @load_date"  # noqa: S608 -- the target's own table
    found = site.bigquery.query(query, job_config=config, timeout=CALL_SECONDS).result(timeout=CALL_SECONDS)
    return int(next(iter(found))["n"])


def judge_rows(last: Receipt, seen: int) -> list[Finding]:
    """As many rows as were counted when the run ended."""
    wanted = last.warehouse.rows if last.warehouse else 0
    if seen == wanted:
        return [ok("last load", f"run {last.run_id}: {seen:,} rows, as its receipt says")]
    what = f"run {last.run_id}: the table holds {seen:,} rows, the receipt of revision {last.revision} says {wanted:,}"
    remedy = f"unless something is being loaded or the partition has expired: releases replay {last.run_id}"
    return [fail("last load", what, remedy)]


# --- its operations in the audit log -------------------------------------------------------------------------------


def audit(site: Site) -> list[Finding]:
    """The sink's own filter finds the end of each Dataproc call of the last run, and our reader understands it."""
    last = receipt(site)
    if last is None:
        return [_none_yet("audit log")]
    begun = last.finished_at - timedelta(seconds=last.seconds.get("total", 0.0)) - _AFTER
    until = last.finished_at + _AFTER
    moments = f'timestamp>="{begun.isoformat()}" AND timestamp<="{until.isoformat()}"'
    return judge_audit(last, entries(site, f"{site.topology.logging_sink.filter} AND {moments}"))


def entries(site: Site, query: str) -> list[dict[str, Any]]:
    """The entries that Cloud Logging has; the newest 1,000 where there are more."""
    asked = {
        "resourceNames": [f"projects/{site.target.project}"],
        "filter": query,
        "orderBy": "timestamp desc",
        "pageSize": 1000,
    }
    found: list[dict[str, Any]] = site.rest.post(_LOG, asked).get("entries", [])
    return found


def judge_audit(last: Receipt, told: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """One finding for each call whose end should have woken the cluster manager, and for each entry not understood."""
    ended, findings = set[tuple[str, str]](), list[Finding]()
    for entry in told:
        try:
            operation = dataproc_operation(dict(entry))
        except ContractError as error:
            what = f"entry {entry.get('insertId')} is not understood: {error}"
            findings.append(fail("audit log", what, "add it to tests/contract/reality, and follow it"))
        else:
            ended.add(_call(operation))
    calls = {
        ("ClusterController.CreateCluster", last.cluster),
        ("JobController.SubmitJob", last.job_id),
        ("ClusterController.DeleteCluster", last.cluster),
    }
    wanted = sorted((method, name) for method, name in calls if name is not None)
    return findings + [_judge_call(method, name, is_told=(method, name) in ended) for method, name in wanted]


def _call(operation: DataprocOperation) -> tuple[str, str]:
    return operation.method.removeprefix(_METHODS), operation.resource


def _judge_call(method: str, name: str, *, is_told: bool) -> Finding:
    if is_told:
        return ok("audit log", f"the end of {method} of {name} is in the log")
    remedy = "nothing is lost, the sweep finds it; docs/reality.md has the command that shows what Google writes"
    return warn("audit log", f"the end of {method} of {name} is not in the log under that name", remedy)


# --- its labels ----------------------------------------------------------------------------------------------------


def labels(site: Site) -> list[Finding]:
    """The filter with which the cluster manager looks for a run's jobs finds the last one."""
    last = receipt(site)
    if last is None or last.job_id is None:
        return [_none_yet("job labels")]
    where = {"project_id": site.target.project, "region": site.target.region}
    try:
        site.jobs.get_job(request={**where, "job_id": last.job_id}, timeout=CALL_SECONDS)
    except NotFound:
        return [ok("job labels", f"Dataproc no longer knows {last.job_id}: nothing to look for")]
    asked = f"labels.app = new-releases AND labels.run = {last.run_id}"
    found = site.jobs.list_jobs(request={**where, "filter": asked}, timeout=CALL_SECONDS)
    return judge_labels(last.job_id, asked, {job.reference.job_id for job in found})


def judge_labels(job: str, asked: str, found: set[str]) -> list[Finding]:
    """The job is among those with the labels."""
    if job in found:
        return [ok("job labels", f"{asked}: {job} is among {len(found)}")]
    remedy = "the manager treats a job that it does not find as lost: report what gcloud dataproc jobs list says"
    return [fail("job labels", f"{asked}: {job} exists and is not found", remedy)]


# --- pushes that were refused --------------------------------------------------------------------------------------


_REFUSED = (
    'log_id("run.googleapis.com/requests") AND resource.type="cloud_run_revision" '
    'AND resource.labels.service_name=~"^new-releases-" AND resource.labels.service_name!="new-releases-dashboard" '
    'AND httpRequest.status=(401 OR 403) AND timestamp>="{since}"'
)


def refused_query(now: datetime) -> str:
    """Cloud Logging's query for refused pushes of the last day."""
    return _REFUSED.format(since=(now - _LOOKED_BACK).isoformat())


def refusals(site: Site, now: datetime) -> list[Finding]:
    """No push was refused within a day; right after a deployment some may be, as new rights take minutes."""
    seen = entries(site, refused_query(now))
    return judge_refusals(
        [(entry["resource"]["labels"]["service_name"], int(entry["httpRequest"]["status"])) for entry in seen]
    )


def judge_refusals(seen: Sequence[tuple[str, int]]) -> list[Finding]:
    """One finding for each service and the status it answered with, or one that there is none."""
    remedies = {
        401: "see its log for `refused`; who checks the signature is PUSH_SIGNATURE_CHECKED_BY (docs/security.md)",
        403: "Cloud Run's IAM refused the caller: see the findings about services, then run terraform apply",
    }
    return [
        warn("pushes", f"{service} answered {number} requests of the last day with {status}", remedies[status])
        for (service, status), number in sorted(Counter(seen).items())
    ] or [ok("pushes", "none was refused within a day")]


def _none_yet(check: str) -> Finding:
    return ok(check, "no run has been loaded yet: nothing to check")
