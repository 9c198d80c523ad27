"""What the doctor makes of facts: every fault has a finding with its name and a remedy, and health has no complaint."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from google.api_core.exceptions import NotFound
from google.auth.exceptions import RefreshError

from contracts.topology import BucketNotification, PushSubscription, audience_of, read
from local.tools import ROOT
from ops.doctor import data, examination, messaging, project, proof, rights, running
from ops.doctor.findings import Finding, each_exists, is_healthy
from ops.doctor.messaging import Seen

TOPOLOGY = read(ROOT / "infra/topology.json")
PUSH = next(push for push in TOPOLOGY.push_subscriptions if push.name == "cluster-manager-batch-ready")
ACCOUNT = "new-releases-pusher@p.iam.gserviceaccount.com"
CLOUD: Any = {"endpoint": "https://cm.run.app", "account": ACCOUNT}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SITE: Any = None
"""Where no check looks."""


def as_described(push: PushSubscription, **changes: Any) -> Seen:
    seen = Seen(
        topic=push.topic,
        endpoint="https://cm.run.app/",
        audience=audience_of(push.service),
        account=ACCOUNT,
        ack_deadline=push.ack_deadline,
        min_backoff=push.min_backoff,
        max_backoff=push.max_backoff,
        dead_letter_topic=push.dead_letter_topic,
        max_delivery_attempts=push.max_delivery_attempts,
    )
    return replace(seen, **changes)


def whats(findings: list[Finding]) -> list[str]:
    """Of the complaints alone; each must say what to do."""
    bad = [finding for finding in findings if finding.status != "ok"]
    assert all(finding.remedy for finding in bad)
    return [finding.what for finding in bad]


# --- messaging -----------------------------------------------------------------------------------------------------


def test_missing_topics_are_named() -> None:
    """Each by name: a list of what is there would leave the comparing to the reader."""
    found = set(TOPOLOGY.topics) - {"batch-ready"}
    assert whats(each_exists("topics", TOPOLOGY.topics, found, "make it")) == ["batch-ready does not exist"]
    assert whats(each_exists("topics", TOPOLOGY.topics, set(TOPOLOGY.topics), "make it")) == []


def test_a_subscription_as_described_is_well() -> None:
    """In a project and on a local stack, whose emulator signs nothing and lets nothing expire."""
    assert whats(messaging.judge_push(PUSH, as_described(PUSH), **CLOUD)) == []
    local = as_described(PUSH, audience="", account="", endpoint="http://127.0.0.1:1/", expires=True)
    assert whats(messaging.judge_push(PUSH, local, endpoint="http://127.0.0.1:1", account=None)) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"topic": "other"}, "topic is other, should be batch-ready"),
        (
            {"endpoint": "https://old.run.app"},
            "push endpoint is https://old.run.app, should be https://cm.run.app",
        ),
        ({"endpoint": ""}, "push endpoint is none, should be https://cm.run.app"),
        ({"audience": "https://x"}, "token audience is https://x, should be https://new-releases-cluster-manager"),
        ({"account": "me@x"}, f"token account is me@x, should be {ACCOUNT}"),
        ({"ack_deadline": 10}, "ack deadline is 10, should be 60"),
        ({"min_backoff": 10}, "minimum backoff is 10, should be 1"),
        ({"max_backoff": 600}, "maximum backoff is 600, should be 300"),
        ({"dead_letter_topic": ""}, "dead-letter topic is none, should be batch-ready-dead"),
        ({"max_delivery_attempts": 5}, "delivery attempts is 5, should be 20"),
        ({"filter": "attributes.x"}, "filter is attributes.x, should be none"),
    ],
)
def test_each_difference_of_a_subscription_is_a_finding(change: dict[str, Any], complaint: str) -> None:
    """One wrong value loses messages, or brings them too often; the finding says which and what it should be."""
    assert whats(messaging.judge_push(PUSH, as_described(PUSH, **change), **CLOUD)) == [
        f"{PUSH.name}: {complaint}"
    ]


def test_what_ends_a_subscription_is_a_finding() -> None:
    """Gone, detached, or about to expire after a quiet month."""
    assert "does not exist" in whats(messaging.judge_push(PUSH, None, **CLOUD))[0]
    assert "is detached" in whats(messaging.judge_push(PUSH, as_described(PUSH, is_detached=True), **CLOUD))[0]
    assert "expires" in whats(messaging.judge_push(PUSH, as_described(PUSH, expires=True), **CLOUD))[0]


def test_a_pull_subscription_must_not_push() -> None:
    """What waits for a person would be posted somewhere instead."""
    well = Seen(topic="unhandled-dead")
    assert whats(messaging.judge_pull("o", "unhandled-dead", well, is_local=False)) == []
    pushing = replace(well, endpoint="https://x")
    assert whats(messaging.judge_pull("o", "unhandled-dead", pushing, is_local=False)) == [
        "o: push endpoint is https://x, should be none"
    ]
    assert "does not exist" in whats(messaging.judge_pull("o", "unhandled-dead", None, is_local=False))[0]


def test_dead_lettering_needs_both_rights_everywhere() -> None:
    """Without the one Pub/Sub cannot publish the dead letter, without the other it delivers for ever."""
    agent = rights.pubsub_agent("42")
    topics = {topic: frozenset({("roles/pubsub.publisher", agent)}) for topic in TOPOLOGY.dead_letter_topics}
    pushes = {push.name: frozenset({("roles/pubsub.subscriber", agent)}) for push in TOPOLOGY.push_subscriptions}
    assert whats(messaging.judge_dead_lettering(TOPOLOGY, topics, pushes, agent)) == []
    topics["batch-ready-dead"] = frozenset({("roles/pubsub.publisher", "serviceAccount:other")})
    pushes[PUSH.name] = frozenset({("roles/pubsub.viewer", agent)})
    lacking = whats(messaging.judge_dead_lettering(TOPOLOGY, topics, pushes, agent))
    assert lacking == [
        "Pub/Sub may not publish to batch-ready-dead: dead letters stay where they are",
        f"Pub/Sub may not acknowledge on {PUSH.name}: nothing is dead-lettered",
    ]


# --- bucket and table ----------------------------------------------------------------------------------------------


WANTED = BucketNotification(topic="raw-finalized", event="OBJECT_FINALIZE", object_prefix="raw/")
WELL = data.Notification("raw-finalized", "raw/", frozenset({"OBJECT_FINALIZE"}))


@pytest.mark.parametrize(
    ("seen", "complaint"),
    [
        ([], "announces nothing to raw-finalized"),
        ([replace(WELL, topic="other")], "announces nothing to raw-finalized"),
        ([replace(WELL, prefix="")], "of every object, should announce OBJECT_FINALIZE of 'raw/'"),
        (
            [replace(WELL, events=frozenset({"OBJECT_DELETE"}))],
            "announces OBJECT_DELETE of 'raw/', should announce OBJECT_FINALIZE of",
        ),
        ([replace(WELL, events=frozenset())], "announces every event of 'raw/'"),
        ([WELL, WELL], "2 notifications to raw-finalized"),
    ],
)
def test_a_bucket_that_announces_otherwise_is_a_finding(seen: list[data.Notification], complaint: str) -> None:
    """Without the notification parts land unheard; without its prefix every receipt wakes the barrier."""
    [what] = whats(data.judge_notifications(WANTED, seen))
    assert complaint in what


def test_a_bucket_as_described_is_well() -> None:
    """A notification to somebody else's topic is not ours to judge."""
    assert whats(data.judge_notifications(WANTED, [WELL, replace(WELL, topic="theirs")])) == []


COLUMNS = ({"name": "market", "type": "STRING", "mode": "NULLABLE"}, {"name": "duration_ms", "type": "INT64"})
TABLE = data.Table(COLUMNS, "DAY load_date", ("market",))


@pytest.mark.parametrize(
    ("seen", "complaint"),
    [
        (None, "does not exist"),
        (replace(TABLE, fields=COLUMNS[:1]), "column duration_ms is missing"),
        (replace(TABLE, fields=(*COLUMNS, {"name": "x", "type": "DATE"})), "column x is not in the schema file"),
        (
            replace(TABLE, fields=(COLUMNS[0], {"name": "duration_ms", "type": "STRING"})),
            "column duration_ms is STRING NULLABLE, should be INTEGER NULLABLE",
        ),
        (replace(TABLE, partition=None), "partitioned by nothing, should be DAY load_date"),
        (replace(TABLE, clustering=()), "clustered by nothing, should be market"),
    ],
)
def test_a_table_that_differs_is_a_finding(seen: data.Table | None, complaint: str) -> None:
    """The job's rows fit the schema file; a table that does not fit it fails the load at night."""
    [what] = whats(data.judge_table("p.d.t", COLUMNS, seen))
    assert complaint in what


def test_a_table_with_the_same_columns_by_older_names_is_well() -> None:
    """BigQuery answers INTEGER where the schema file says INT64; the order of columns is nobody's business."""
    older = ({"name": "duration_ms", "type": "INTEGER", "mode": "NULLABLE"}, COLUMNS[0])
    assert whats(data.judge_table("p.d.t", COLUMNS, replace(TABLE, fields=older))) == []


def test_missing_views_are_named() -> None:
    """A report on a view that is not there shows nothing but an error; a table of its name is no view."""
    listed = [SimpleNamespace(table_id=name, table_type=kind) for name, kind in (("a", "TABLE"), ("b", "VIEW"))]
    target = SimpleNamespace(project="p", dataset="d")
    site: Any = SimpleNamespace(
        target=target, views=("a", "b"), bigquery=SimpleNamespace(list_tables=lambda *_, **__: listed)
    )
    assert whats(data.views(site)) == ["a does not exist"]


# --- the project ---------------------------------------------------------------------------------------------------


def test_apis_that_are_off_are_named_with_the_command() -> None:
    """The remedy can be pasted."""
    [finding] = [f for f in project.judge_apis(("run.googleapis.com", "x"), {"x"}) if f.status == "fail"]
    assert finding.remedy == "gcloud services enable run.googleapis.com"
    assert whats(project.judge_apis(("x",), {"x"})) == []


def test_accounts_must_be_there_and_enabled() -> None:
    """A disabled account looks like a missing right in every log."""
    found = project.judge_accounts(["a@p", "b@p", "c@p"], {"a@p": False, "b@p": True})
    assert whats(found) == ["b@p is disabled", "c@p does not exist"]


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (project.Job("run-requested", "ENABLED"), "ok"),
        (project.Job("run-requested", "PAUSED"), "fail"),
        (project.Job("run-requested", "UPDATE_FAILED"), "fail"),
        (project.Job("sweep-requested", "ENABLED"), "fail"),
        (project.Job("run-requested", "ENABLED", "permission denied"), "warn"),
        (None, "fail"),
    ],
)
def test_a_tick_must_be_enabled_and_on_its_topic(job: project.Job | None, status: str) -> None:
    """A paused schedule is silent, and silence is what a quiet week sounds like, too."""
    tick = TOPOLOGY.scheduler_jobs[0]
    assert project.judge_ticks([tick], {tick.name: job} if job else {})[0].status == status


SINK = TOPOLOGY.logging_sink
GOOD_SINK = project.Sink(
    "pubsub.googleapis.com/projects/p/topics/dataproc-operations",
    SINK.filter,
    "serviceAccount:w",
)


@pytest.mark.parametrize(
    ("seen", "publishers", "complaint"),
    [
        (None, {"serviceAccount:w"}, "does not exist"),
        (replace(GOOD_SINK, is_disabled=True), {"serviceAccount:w"}, "is disabled"),
        (replace(GOOD_SINK, destination="bigquery"), {"serviceAccount:w"}, "writes to bigquery"),
        (
            replace(GOOD_SINK, filter=SINK.filter + " AND x=1"),
            {"serviceAccount:w"},
            "passes entries other than described",
        ),
        (replace(GOOD_SINK, filter=""), {"serviceAccount:w"}, "its filter is ''"),
        (GOOD_SINK, {"serviceAccount:x"}, "serviceAccount:w may not publish"),
    ],
)
def test_a_sink_that_does_not_wake_is_a_finding(
    seen: project.Sink | None, publishers: set[str], complaint: str
) -> None:
    """Without it a finished job is seen by the next sweep only."""
    found = project.judge_sink(SINK, seen, "projects/p/topics/dataproc-operations", frozenset(publishers))
    assert complaint in whats(found)[0]
    well = project.judge_sink(
        SINK, GOOD_SINK, "projects/p/topics/dataproc-operations", frozenset({GOOD_SINK.writer})
    )
    assert whats(well) == []


@pytest.mark.parametrize(
    ("states", "complaint"),
    [(None, "does not exist"), ([], "has no value"), (["DISABLED", "ENABLED"], "newest version is DISABLED")],
)
def test_a_secret_needs_a_newest_version_that_is_enabled(states: list[str] | None, complaint: str) -> None:
    """`latest` is what the service asks for; an older enabled version does not help."""
    [what] = whats(project.judge_secrets({"s": states}))
    assert complaint in what
    assert whats(project.judge_secrets({"s": ["ENABLED", "DISABLED"]})) == []


def test_secrets_are_asked_for_their_versions_and_never_their_value() -> None:
    """A doctor who reads secrets is one more place they can leak from."""
    asked: list[str] = []

    class Client:
        def list_secret_versions(self, *, request: dict[str, str], timeout: float) -> list[Any]:
            asked.append(request["parent"])
            return [SimpleNamespace(state=SimpleNamespace(name="ENABLED"))]

    site: Any = SimpleNamespace(secrets=Client(), target=SimpleNamespace(project="p"), topology=TOPOLOGY)
    assert whats(project.secrets(site)) == []
    assert asked == [f"projects/p/secrets/{name}" for name in (*TOPOLOGY.secrets, *TOPOLOGY.optional_secrets)]


def test_a_secret_that_a_project_may_do_without_is_not_missed() -> None:
    """Who tells nobody needs no addresses; who made the secret waits for its value."""

    def found(optional: list[str] | None) -> list[str]:
        class Client:
            def list_secret_versions(self, *, request: dict[str, str], timeout: float) -> list[Any]:
                states = optional if request["parent"].endswith("notify-urls") else ["ENABLED"]
                if states is None:
                    raise NotFound("no such secret")
                return [SimpleNamespace(state=SimpleNamespace(name=state)) for state in states]

        site: Any = SimpleNamespace(secrets=Client(), target=SimpleNamespace(project="p"), topology=TOPOLOGY)
        return whats(project.secrets(site))

    assert found(None) == []
    assert found([]) == ["new-releases-notify-urls has no value"]


def test_a_listing_is_read_to_its_last_page() -> None:
    """The API that is missing on the first page may be on the second."""
    answers = {
        "u?filter=f": {"services": [{"name": "a"}], "nextPageToken": "t"},
        "u?filter=f&pageToken=t": {"services": [{"name": "b"}]},
    }
    site: Any = SimpleNamespace(rest=SimpleNamespace(get=answers.get))
    assert [entry["name"] for entry in project.pages(site, "u", "services", filter="f")] == ["a", "b"]


def test_cloud_storage_must_be_allowed_to_announce() -> None:
    """Its own account, not ours, publishes what lands."""
    assert whats(project.judge_storage_agent("m", "t", frozenset({"m"}))) == []
    assert "m may not publish to t" in whats(project.judge_storage_agent("m", "t", frozenset()))[0]


# --- what runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "complaint"),
    [
        (None, "scheduler does not exist"),
        (running.Service("u", "image not found", frozenset({"pusher"})), "is not ready: image not found"),
        (running.Service("u", invokers=frozenset()), "pusher may not call scheduler"),
        (running.Service("u", invokers=frozenset({"pusher", "allUsers"})), "may be called by allUsers"),
    ],
)
def test_a_service_that_is_not_ready_or_open_is_a_finding(seen: running.Service | None, complaint: str) -> None:
    """It hears nothing, or it hears everybody."""
    assert complaint in whats(running.judge_service("scheduler", seen, "pusher"))[0]
    assert (
        whats(running.judge_service("scheduler", running.Service("u", invokers=frozenset({"pusher"})), "pusher"))
        == []
    )


VIEWER = frozenset({"user:a@b.org"})


@pytest.mark.parametrize(
    ("seen", "is_local", "status", "says"),
    [
        (None, False, "ok", "there is none"),
        (running.Service("u", invokers=VIEWER), False, "ok", "is ready"),
        (running.Service("u"), True, "ok", "is ready"),
        (running.Service("u"), False, "warn", "nobody may see it"),
        (running.Service("u", "image not found", VIEWER), False, "warn", "is not ready: image not found"),
        (running.Service("u", invokers=VIEWER | {"allUsers"}), False, "fail", "may be seen by allUsers"),
        (
            running.Service("u", invokers=frozenset({"allAuthenticatedUsers"})),
            False,
            "fail",
            "may be seen by allAuthenticatedUsers",
        ),
    ],
)
def test_a_dashboard_may_be_away_but_not_open(
    seen: running.Service | None,
    is_local: bool,  # noqa: FBT001 -- a fact of the case
    status: str,
    says: str,
) -> None:
    """No run needs it; but what it shows is for those who were named."""
    [finding] = running.judge_dashboard(seen, is_local=is_local)
    assert (finding.status, finding.check) == (status, "dashboard")
    assert says in finding.what
    assert bool(finding.remedy) == (status != "ok")


def test_the_dashboard_of_a_project_is_looked_at_by_its_name() -> None:
    """The name is Terraform's; readiness and callers are Cloud Run's own words."""
    address = "https://run.googleapis.com/v2/projects/p/locations/r/services/new-releases-dashboard"
    answers = {
        address: {"uri": "https://d", "terminalCondition": {"state": "CONDITION_FAILED", "message": "no image"}},
        f"{address}:getIamPolicy": {"bindings": [{"role": "roles/run.invoker", "members": ["user:a@b.org"]}]},
    }
    target = SimpleNamespace(project="p", region="r", dashboard=None)
    site: Any = SimpleNamespace(rest=SimpleNamespace(get=answers.get), target=target, is_local=False)
    assert whats(running.dashboard(site)) == ["is not ready: no image"]


@pytest.mark.parametrize(
    ("age", "ttl", "status"), [(100, 120, "ok"), (134, 120, "ok"), (136, 120, "fail"), (1, None, "fail")]
)
def test_a_cluster_older_than_it_may_become_is_a_finding(age: int, ttl: int | None, status: str) -> None:
    """Dataproc should have deleted it itself; it costs by the second."""
    cluster = running.Cluster(
        "c", "RUNNING", NOW - timedelta(minutes=age), timedelta(minutes=ttl) if ttl is not None else None
    )
    assert running.judge_clusters([cluster], NOW)[0].status == status
    assert running.judge_clusters([], NOW)[0].status == "ok"


# --- the whole -----------------------------------------------------------------------------------------------------


def test_what_cannot_be_looked_at_is_neither_well_nor_broken() -> None:
    """A right that the doctor lacks says nothing of the stack, and must not pass for health either."""

    def refused(_: Any) -> list[Finding]:
        raise requests.HTTPError("403 Client Error: Forbidden")

    [finding] = examination._guarded("apis", refused, SITE)
    assert (finding.status, finding.check) == ("unreachable", "apis")
    assert "403" in finding.what
    assert not is_healthy([finding])
    assert is_healthy([Finding("x", "w", "warn", "r"), Finding("x", "w", "not_local")])


def test_a_login_that_expires_ends_the_examination() -> None:
    """It is no lack of rights: twenty checks that ask for another account hide the one command that helps."""

    def expired(_: Any) -> list[Finding]:
        raise RefreshError("invalid_grant")

    with pytest.raises(RefreshError):
        examination._guarded("apis", expired, SITE)


# --- proof ---------------------------------------------------------------------------------------------------------


def test_how_long_dead_lettering_takes_at_least() -> None:
    """Backoffs double from the least to the most: 5 attempts are 5 + 10 + 20 + 40 seconds."""
    sweep = next(push for push in TOPOLOGY.push_subscriptions if push.name == "scheduler-sweep-requested")
    assert proof.dead_letter_after(sweep) == timedelta(seconds=75)
    fetcher = next(push for push in TOPOLOGY.push_subscriptions if push.service == "market_fetcher")
    assert proof.dead_letter_after(fetcher) > timedelta(hours=15)


def test_a_dead_letter_that_takes_hours_is_under_way_and_one_that_should_be_there_is_a_fault() -> None:
    """A limit that is shorter than the backoff proves nothing, and the finding says so."""
    slow = proof._not_yet(PUSH, "canary-1", timedelta(minutes=5))
    assert slow.status == "warn"
    assert "still under way" in slow.what
    assert "dead-letters/cluster-manager-batch-ready/" in slow.remedy
    quick = PUSH.model_copy(update={"max_delivery_attempts": 5, "max_backoff": 10})
    assert proof._not_yet(quick, "canary-1", timedelta(minutes=5)).status == "fail"


def test_waiting_for_canaries_ends_when_all_are_heard_or_time_is_over() -> None:
    """Neither a second longer than needed nor for ever."""
    ticks: Iterator[float] = iter(range(100))
    waits: list[float] = []
    patience = proof.Patience(timedelta(seconds=3), now=lambda: next(ticks), wait=waits.append)
    pushes = {push.name: push for push in TOPOLOGY.push_subscriptions[:2]}
    first = TOPOLOGY.push_subscriptions[0].name
    assert list(proof._as_heard(pushes, lambda push: push.name == first, patience)) == [first]
    assert len(waits) == 2
    assert list(proof._as_heard(pushes, lambda _: True, patience)) == list(pushes)
    assert len(waits) == 2
