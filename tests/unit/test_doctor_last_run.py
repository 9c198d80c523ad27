"""What the doctor makes of the last run: whether Google did what nobody here has seen it do."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from google.api_core.exceptions import NotFound
from google.cloud import dataproc_v1

from contracts.documents import Receipt, WarehouseCount
from contracts.names import receipt_name
from contracts.topology import read
from local.dataproc import audit
from local.tools import ROOT
from ops.doctor import data, examination, last_run
from ops.doctor.findings import Finding
from ops.doctor.site import Rest
from tests.builders import NOW, RUN, receipt

TOPOLOGY = read(ROOT / "infra/topology.json")
CLUSTER, JOB = "new-releases-20261123-c1", "new-releases-20261123-r1-a1"
LAST = receipt(
    job_id=JOB, cluster=CLUSTER, warehouse=WarehouseCount(rows=5, markets=2, albums=3), seconds={"total": 600.0}
)


class Answering:
    """A session that answers as Google's REST APIs do, and keeps what it was asked."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._answer = requests.Response()
        self._answer.status_code = status
        self._answer.json = lambda **_: dict(answer)  # type: ignore[method-assign]

    def post(self, url: str, *, json: Any, timeout: float) -> requests.Response:
        assert timeout > 0
        self.asked.append((url, json))
        return self._answer


def bucket(receipts: Mapping[str, Receipt]) -> Any:
    """Cloud Storage with the receipts of runs, and other things beside them."""
    held = {name: found.model_dump_json().encode() for name, found in receipts.items()}
    names = [*held, f"runs/{RUN}/manifest.json", f"runs/{RUN}/loads/0001.json"]
    opened = SimpleNamespace(
        list_blobs=lambda **_: [SimpleNamespace(name=name) for name in names],
        blob=lambda name: SimpleNamespace(download_as_bytes=lambda **_: held[name]),
    )
    return SimpleNamespace(bucket=lambda _: opened)


def site(receipts: Mapping[str, Receipt] | None = None, **more: Any) -> Any:
    found = {receipt_name(RUN, 1): LAST} if receipts is None else receipts
    target = SimpleNamespace(project="p", region="r", bucket="b", table_id="p.d.t")
    return SimpleNamespace(target=target, topology=TOPOLOGY, storage=bucket(found), **more)


def statuses(findings: list[Finding]) -> list[str]:
    assert all(finding.remedy for finding in findings if finding.status != "ok")
    return [finding.status for finding in findings]


# --- which run -----------------------------------------------------------------------------------------------------


def test_the_newest_receipt_of_a_load_is_looked_at() -> None:
    """A later run that came to nothing has nothing in the table, the log and Dataproc."""
    nothing = receipt(run_id="2026-11-30", job_id=None, outcome="failed")
    second = LAST.model_copy(update={"revision": 2})
    receipts = {receipt_name("2026-11-30", 1): nothing, receipt_name(RUN, 1): LAST, receipt_name(RUN, 2): second}
    found = last_run.receipt(site(receipts))
    assert found is not None
    assert (found.run_id, found.revision) == (RUN, 2)


@pytest.mark.parametrize("look", [last_run.rows, last_run.audit, last_run.labels])
def test_before_the_first_run_there_is_nothing_to_complain_about(look: Any) -> None:
    """A new project is well; what it has not done yet is said."""
    [finding] = look(site({}))
    assert (finding.status, "no run has been loaded yet" in finding.what) == ("ok", True)


# --- its rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "status"), [(5, "ok"), (0, "fail"), (10, "fail")])
def test_the_table_holds_what_the_receipt_says(held: int, status: str) -> None:
    """The first load of a week writes a partition that was not there; emulators have none."""
    asked: list[Any] = []

    def query(text: str, *, job_config: Any, timeout: float) -> Any:
        asked.append((text, job_config.query_parameters[0].value.isoformat(), timeout > 0))
        return SimpleNamespace(result=lambda **_: iter([{"n": held}]))

    found = last_run.rows(site(bigquery=SimpleNamespace(query=query)))
    assert statuses(found) == [status]
    assert asked == [("SELECT COUNT(*) AS n FROM `p.d.t` WHERE load_date = @load_date", RUN, True)]


@pytest.mark.parametrize(
    ("asked", "milliseconds", "status"),
    [
        ("never", None, "ok"),
        ("365", 365 * 86_400_000, "ok"),
        ("365", None, "fail"),
        ("never", 86_400_000, "fail"),
        ("365", 86_400_000, "fail"),
        (None, None, "fail"),
    ],
)
def test_a_load_must_leave_the_expiration_alone(asked: str | None, milliseconds: int | None, status: str) -> None:
    """The connector's load sends `expirationMs: null`; rows that stay for ever are against Spotify's terms."""
    table = SimpleNamespace(
        labels={} if asked is None else {data.LABEL: asked},
        time_partitioning=SimpleNamespace(expiration_ms=milliseconds),
    )
    patient = site(bigquery=SimpleNamespace(get_table=lambda *_, **__: table))
    assert statuses(data.expiration(patient)) == [status]


# --- its operations ------------------------------------------------------------------------------------------------


def entry(method: str, name: str, **response: Any) -> dict[str, Any]:
    call = audit.Call(
        method=method,
        project="p",
        region="r",
        cluster_name=CLUSTER,
        cluster_uuid="u",
        resource_name=f"projects/p/regions/r/x/{name}",
        operation="projects/p/regions/r/operations/o",
        request={},
    )
    return audit.last_entry(call, at=NOW, response=response, failure=None)


CREATED, DELETED = (
    entry("ClusterController.CreateCluster", CLUSTER),
    entry("ClusterController.DeleteCluster", CLUSTER),
)
ENDED = entry("JobController.SubmitJob", JOB)
BY_CLUSTER = entry("JobController.SubmitJob", CLUSTER)
BY_REFERENCE = entry("JobController.SubmitJob", CLUSTER, reference={"jobId": JOB})


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        ([CREATED, ENDED, DELETED], []),
        ([CREATED, BY_REFERENCE, DELETED], []),
        ([CREATED, BY_CLUSTER, DELETED], ["SubmitJob"]),
        ([CREATED, DELETED], ["SubmitJob"]),
        ([], ["CreateCluster", "DeleteCluster", "SubmitJob"]),
    ],
)
def test_each_end_that_the_log_does_not_tell_is_named(told: list[dict[str, Any]], missing: list[str]) -> None:
    """That a job's end is told, and names the job, is documented and was never seen; the sweep covers for it."""
    session = Answering(200, {"entries": told})
    found = last_run.audit(site(rest=Rest(session)))  # type: ignore[arg-type]
    warned = [finding.what for finding in found if finding.status == "warn"]
    assert len(warned) == len(missing)
    assert all(any(f".{method} of" in what for what in warned) for method in missing)
    [(url, question)] = session.asked
    assert url == "https://logging.googleapis.com/v2/entries:list"
    assert question["resourceNames"] == ["projects/p"]
    assert question["filter"].startswith(f"{TOPOLOGY.logging_sink.filter} AND timestamp>=")


def test_an_entry_that_is_not_understood_is_a_fault() -> None:
    """It passes the sink, is refused by the service, and ends in the dead letters."""
    strange = {**ENDED, "protoPayload": {**ENDED["protoPayload"], "resourceName": 7}}
    found = last_run.judge_audit(LAST, [CREATED, DELETED, strange])
    assert statuses(found) == ["fail", "ok", "ok", "warn"]


def test_a_log_that_may_not_be_read_says_so() -> None:
    """Without the right nothing is known, and the examination calls it unreachable."""
    with pytest.raises(requests.HTTPError):
        last_run.audit(site(rest=Rest(Answering(403, {}))))  # type: ignore[arg-type]


# --- its labels ----------------------------------------------------------------------------------------------------


class Jobs:
    """Dataproc with one job, which its list shows or not."""

    def __init__(self, *, there: bool, shown: bool) -> None:
        self._there = there
        self._listed = [dataproc_v1.Job(reference={"job_id": JOB})] if shown else []
        self.asked: list[str] = []

    def get_job(self, *, request: Mapping[str, str], timeout: float) -> None:
        assert (request["job_id"], timeout > 0) == (JOB, True)
        if not self._there:
            raise NotFound("gone")

    def list_jobs(self, *, request: Mapping[str, str], timeout: float) -> list[dataproc_v1.Job]:
        assert timeout > 0
        self.asked.append(request["filter"])
        return self._listed


@pytest.mark.parametrize(
    ("there", "shown", "status"), [(True, True, "ok"), (True, False, "fail"), (False, False, "ok")]
)
def test_a_job_must_be_found_by_its_labels(*, there: bool, shown: bool, status: str) -> None:
    """Two labels in one filter are documented for clusters alone; a job that is not found is taken for lost."""
    jobs = Jobs(there=there, shown=shown)
    assert statuses(last_run.labels(site(jobs=jobs))) == [status]
    assert jobs.asked == ([f"labels.app = new-releases AND labels.run = {RUN}"] if there else [])


# --- pushes --------------------------------------------------------------------------------------------------------


def request_of(service: str, status: int) -> dict[str, Any]:
    return {"resource": {"labels": {"service_name": service}}, "httpRequest": {"status": status}}


def test_refused_pushes_are_told_by_service_and_status() -> None:
    """401 is the service's own verifier, 403 Cloud Run's: the remedies are not the same."""
    refused = [request_of("new-releases-scheduler", 401)] * 3 + [request_of("new-releases-batch-trigger", 403)]
    session = Answering(200, {"entries": refused})
    found = last_run.refusals(site(rest=Rest(session)), datetime(2026, 11, 23, tzinfo=UTC))  # type: ignore[arg-type]
    assert statuses(found) == ["warn", "warn"]
    assert [finding.what.split(" of the last day")[0] for finding in found] == [
        "new-releases-batch-trigger answered 1 requests",
        "new-releases-scheduler answered 3 requests",
    ]
    assert "PUSH_SIGNATURE_CHECKED_BY" in found[1].remedy
    assert 'timestamp>="2026-11-22T00:00:00+00:00"' in session.asked[0][1]["filter"]
    assert statuses(last_run.judge_refusals([])) == ["ok"]


# --- the page ------------------------------------------------------------------------------------------------------


def test_the_page_says_of_each_thing_who_looks_at_it() -> None:
    """A check list whose reader does not know what is looked at already is not worked through."""
    page = (ROOT / "docs/reality.md").read_text(encoding="utf-8").split("## What nobody here has seen")[1]
    things = re.split(r"^\d+\. ", page, flags=re.MULTILINE)[1:]
    for thing in things:
        assert re.search(r"\*(Covered by [^*]+|By hand:)\*", thing), thing
    named = {check for thing in things for check in re.findall(r"\*Covered by [^*]*`([\w ]+)`", thing)}
    assert named == {"pushes", "audit log", "job labels", "last load", "expiration"}
    assert named - {"last load"} <= examination.CLOUD_ONLY.keys()
