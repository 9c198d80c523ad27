"""What must hold of the infrastructure, whoever changes it next."""

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cronsim import CronSim
from typer.testing import CliRunner

from contracts import events, names, registry, topology
from contracts.documents import Order
from contracts.envelope import dead_letters
from contracts.envelope.messages import Message
from contracts.envelope.reading import parse_message
from dashboard.settings import Settings as DashboardSettings
from ops.cli.app import app
from services.cluster_manager.ports import APP_LABEL
from spark_job import decision
from tests.infra.configuration import (
    INFRA,
    Resource,
    files,
    local,
    module,
    parsed,
    project_roles,
    resource,
    resources,
    strings,
)
from tests.registry import SETTINGS, TOPOLOGY

ROOT = INFRA.parent
RUN = "2026-11-23"
REGISTRY = registry.services()
DEPLOYED = json.loads((INFRA / "topology.json").read_bytes())["services"]
LEFT_ALONE = {"PORT", "HOST", "PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "DRAIN_SECONDS", "LOG_LEVEL"}
"""Settings of every service whose defaults are right in a project, so that Terraform does not name them."""
IAM = [entry for entry in resources() if entry.kind.endswith("_iam_member")]


def address(entry: Resource) -> str:
    return entry.address


# --- topology --------------------------------------------------------------------------------------------------


def test_names_are_read_from_the_topology() -> None:
    """A topic or subscription that Terraform spells itself would one day differ from the services'."""
    assert local("topology") == '${jsondecode(file("${path.module}/topology.json"))}'
    assert module("topic")["for_each"] == "${toset(local.topology.topics)}"
    assert local("push_subscriptions") == "${local.topology.push_subscriptions}"
    assert local("pull_subscriptions") == "${local.topology.pull_subscriptions}"
    # Topics are made in one module and subscriptions in two, from variables alone.
    for kind in ("google_pubsub_topic", "google_pubsub_subscription"):
        for entry in resources(kind):
            assert "modules" in entry.path.parts
            assert entry.body["name"] in ("${var.name}", "${each.key}")


def test_every_local_that_is_read_is_declared() -> None:
    """Where Terraform is not at hand nothing else notices: two changes that fit one by one need not fit together."""
    for folder in {path.parent for path in files()}:
        found = [parsed(path) for path in files() if path.parent == folder]
        declared = {name for each in found for block in each.get("locals", []) for name in block}
        read = {name for each in found for text in strings(each) for name in re.findall(r"\blocal\.(\w+)", text)}
        assert read <= declared, folder


def test_terraform_makes_what_the_topology_names() -> None:
    """The doctor looks for these names; a project that has others would be called broken, or well."""
    assert resource("google_project_service", "this")["for_each"] == "${toset(local.topology.apis)}"
    assert resource("google_logging_project_sink", "dataproc_operations")["name"] == "${local.sink.name}"
    secret = resource("google_secret_manager_secret", "spotify")
    prefix = secret["secret_id"].removesuffix("${each.key}")
    parts = re.findall(r'"([\w-]+)\\?"', secret["for_each"])
    assert {f"{prefix}{part}" for part in parts} == set(TOPOLOGY.secrets)
    optional = {
        entry.body["secret_id"] for entry in resources("google_secret_manager_secret") if "count" in entry.body
    }
    assert optional == set(TOPOLOGY.optional_secrets)
    prefix = resource("google_cloud_scheduler_job", "this")["name"].removesuffix("${each.key}")
    ticks = {(f"{prefix}{name}", tick["topic"]) for name, tick in local("ticks").items()}
    assert ticks == {(job.name, job.topic) for job in TOPOLOGY.scheduler_jobs}
    accounts = {entry.name: entry.body["account_id"] for entry in resources("google_service_account")}
    assert accounts.pop("service") == "new-releases-${local.short_names[each.key]}"
    assert {*accounts.values(), *map(topology.run_name, TOPOLOGY.services)} == set(TOPOLOGY.service_accounts)
    assert accounts["pusher"] == topology.PUSHER
    assert module("service")["name"] == "new-releases-${local.short_names[each.key]}"
    assert resource("google_cloud_run_v2_service", "dashboard")["name"] == topology.run_name("dashboard")
    assert "https://new-releases-${local.short_names[service]}" in local("audiences")
    assert topology.audience_of("batch_trigger") == "https://new-releases-batch-trigger"


def test_every_topic_that_is_named_exists() -> None:
    """A publisher of a topic that is not there is a right on nothing."""
    assert {*local("viewers"), *(tick["topic"] for tick in local("ticks").values())} <= set(TOPOLOGY.topics)


def test_every_topic_has_a_publisher() -> None:
    """A topic nobody may publish to is a pipeline that stops there, silently."""
    dead = {push.dead_letter_topic for push in TOPOLOGY.push_subscriptions}
    ticks = {tick["topic"] for tick in local("ticks").values()}
    ours = {topic for service in REGISTRY.values() for topic in service.sends}
    google = {TOPOLOGY.bucket_notification.topic, TOPOLOGY.logging_sink.topic}
    assert set(TOPOLOGY.topics) == {*ours, *dead, *ticks, *google}


def test_our_services_may_publish_what_their_code_publishes() -> None:
    """An event without the right to publish it is given back until it is dead-lettered."""
    sources = {service: _text(ROOT / "services" / service) for service in SETTINGS}
    in_code = {
        (event.topic, service)
        for event in events.OWN_EVENTS
        for service, source in sources.items()
        if re.search(rf"{event.__name__}\(\n?\s*(run_id|reason)", source)
    }
    assert in_code == {(topic, name) for name, service in REGISTRY.items() for topic in service.sends}
    assert "=> local.members[name] if contains(service.sends, topic)" in local("publishers")


def test_readiness_may_look_at_the_topic_it_asks_for() -> None:
    """A service that publishes asks for this topic when it is asked whether it is ready."""
    assert local("viewers").keys() == {events.RunFinished.topic}
    asking = {service for service in SETTINGS if "publisher.ping" in _text(ROOT / "services" / service)}
    assert "=> local.members[name] if length(service.sends) > 0" in local("viewers")[events.RunFinished.topic]
    assert {name for name, service in REGISTRY.items() if service.sends} == asking


def test_push_subscriptions_are_made_safe() -> None:
    """Each push is signed, retried with a pause, dead-lettered at last, and never expires."""
    push = resource("google_pubsub_subscription", "push")
    assert push["for_each"] == "${var.subscriptions}"
    token = push["push_config"][0]["oidc_token"][0]
    assert token == {"service_account_email": "${var.push_service_account}", "audience": "${var.audience}"}
    assert push["expiration_policy"] == [{"ttl": ""}]
    assert push["retry_policy"][0]["minimum_backoff"] == "${each.value.min_backoff}s"
    assert push["retry_policy"][0]["maximum_backoff"] == "${each.value.max_backoff}s"
    dead = push["dead_letter_policy"][0]
    assert dead["dead_letter_topic"] == "${var.topic_ids[each.value.dead_letter_topic]}"
    assert dead["max_delivery_attempts"] == "${each.value.max_delivery_attempts}"


def test_dead_lettering_has_its_rights() -> None:
    """Without both roles Pub/Sub neither publishes a dead letter nor acknowledges what it dead-lettered."""
    subscriber = resource("google_pubsub_subscription_iam_member", "dead_letter_subscriber")
    assert subscriber["for_each"] == "${var.subscriptions}"
    assert subscriber["role"] == "roles/pubsub.subscriber"
    publisher = resource("google_pubsub_topic_iam_member", "dead_letter_publisher")
    assert publisher["role"] == "roles/pubsub.publisher"
    assert subscriber["member"] == publisher["member"] == "${var.pubsub_agent}"
    assert module("topic")["takes_dead_letters"] == "${contains(local.dead_letter_topics, each.key)}"


def test_every_dead_letter_topic_is_recorded_or_pulled() -> None:
    """A dead-letter topic without a subscription loses what it is there to keep; a second list is one too many."""
    dead = {push.dead_letter_topic for push in TOPOLOGY.push_subscriptions}
    recorded = {push.topic: push for push in TOPOLOGY.push_subscriptions if push.topic in dead}
    assert (
        dead & {pull.topic for pull in TOPOLOGY.pull_subscriptions} == dead - set(recorded) == {"unhandled-dead"}
    )
    for push in recorded.values():
        # What cannot be recorded is tried for hours, and then kept where a person pulls it.
        assert (push.service, push.max_delivery_attempts, push.max_backoff) == ("batch_trigger", 100, 600)
        assert push.dead_letter_topic == "unhandled-dead"


def test_dead_letters_are_known_by_the_name_of_their_subscription() -> None:
    """A dead letter without Pub/Sub's attributes is one by who brings it, and nothing else is taken for one."""
    dead = {push.dead_letter_topic for push in TOPOLOGY.push_subscriptions}
    for push in TOPOLOGY.push_subscriptions:
        assert push.name.endswith(dead_letters.DEAD) == (push.topic in dead)
        assert names.source_subscription(push.name) == push.name


def test_dead_letters_outlive_a_missing_subscription() -> None:
    """Between two applies there may be none; the topic itself keeps what comes then, for as long as Pub/Sub can."""
    days = "${var.takes_dead_letters ? var.dead_letter_retention : "
    assert resource("google_pubsub_topic", "this")["message_retention_duration"] == f"{days}null}}"
    assert resource("google_pubsub_subscription", "pull")["message_retention_duration"] == f"{days}var.retention}}"
    variables = parsed(INFRA / "modules/topic/variables.tf")["variable"]
    kept = {name: body.get("default") for block in variables for name, body in block.items()}
    assert kept["dead_letter_retention"] == f"{31 * 24 * 3600}s"
    assert module("topic")["pushed"] == "${contains(local.pushed_topics, each.key)}"


def test_pull_subscriptions_never_expire() -> None:
    """A dead-letter queue that nobody reads for a month must still be there."""
    assert resource("google_pubsub_subscription", "pull")["expiration_policy"] == [{"ttl": ""}]


def test_a_request_may_take_as_long_as_pubsub_waits() -> None:
    """A request that is cut before its ack deadline is done twice; one that runs on after it, too."""
    assert "ack_deadline" in local("request_timeouts")
    assert module("service")["request_timeout"] == "${local.request_timeouts[each.key]}"
    budget = SETTINGS["market_fetcher"].model_fields["fetch_budget"].default.total_seconds()
    deadline = max(push.ack_deadline for push in TOPOLOGY.push_subscriptions if push.service == "market_fetcher")
    assert budget < deadline


def test_one_fetcher_takes_all_markets_at_once() -> None:
    """Two fetchers would each spend Spotify's whole quota; one that takes few requests would leave markets waiting."""
    shape = REGISTRY["market_fetcher"].on_cloud_run
    assert shape.max_instances == 1
    assert shape.concurrency >= 2 * len(SETTINGS["scheduler"].model_fields["markets"].default)


# --- services --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SETTINGS)
def test_variables_of_a_service_are_its_settings(service: str) -> None:
    """A misspelt variable is ignored at start, and the default then holds where nobody looks."""
    known = {field.upper() for field in SETTINGS[service].model_fields}
    assert _variables(service) <= known


@pytest.mark.parametrize("service", SETTINGS)
def test_settings_without_a_working_default_are_set(service: str) -> None:
    """A service that lacks a setting exits at start; it must not be Cloud Run that finds out."""
    required = {name.upper() for name, field in SETTINGS[service].model_fields.items() if field.is_required()}
    pushes = {"PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT"}
    assert required | pushes <= _variables(service)


@pytest.mark.parametrize("service", SETTINGS)
def test_settings_that_terraform_leaves_out_are_left_out_on_purpose(service: str) -> None:
    """A new setting is either Terraform's to set, or listed here as one whose default is right in a project."""
    own = {field.upper() for field in SETTINGS[service].model_fields}
    assert own - _variables(service) == {*LEFT_ALONE, *REGISTRY[service].left_alone}


@pytest.mark.parametrize("service", SETTINGS)
def test_no_emulator_is_named_in_the_cloud(service: str) -> None:
    """With an emulator's address pushes are no longer verified."""
    assert not [name for name in _variables(service) if "EMULATOR" in name or name == "PORT"]


def test_settings_accept_what_they_are_given() -> None:
    """The names being right is not enough: the values must pass, once Terraform has filled them in."""
    for service, model in SETTINGS.items():
        values = {name.lower(): _example(name) for name in _variables(service)}
        given = {name: value for name, value in values.items() if value}
        assert model.model_validate(given).google_cloud_project == "p-12345"


def test_services_are_those_of_the_topology() -> None:
    """Each has what it is told, and how much of it there may be; Terraform names none of them for that."""
    assert local("services") == "${local.topology.services}"
    assert set(REGISTRY) == set(TOPOLOGY.services)
    assert {name for service in REGISTRY.values() for name in service.told} == set(local("settings"))
    assert module("service")["for_each"] == "${local.runs ? toset(keys(local.services)) : toset([])}"
    told = "{for name in local.services[each.key].told : name => local.settings[name]}"
    assert told in module("service")["env"]
    for size in registry.CloudRun.model_fields:
        assert module("service")[size] == f"${{local.services[each.key].on_cloud_run.{size}}}"


def test_a_market_is_written_alike_everywhere() -> None:
    """Terraform and the Spark job, which cannot ask the contracts, take what they take."""
    (variable,) = [block["markets"] for block in parsed(INFRA / "variables.tf")["variable"] if "markets" in block]
    assert f"^{names._MARKET}$" in variable["validation"][0]["condition"]
    assert decision._MARKET.pattern == names._MARKET


def test_one_apply_builds_before_it_runs() -> None:
    """Without its image Cloud Run refuses a service, without rights a build fails, without a column BigQuery a load."""
    build = resource("terraform_data", "images")
    assert build["triggers_replace"] == ["${local.tag}"]
    assert "${terraform_data.images}" in module("service")["depends_on"]
    of_builder = {
        f"${{{entry.kind}.{entry.name}}}"
        for entry in IAM
        if "builder" in json.dumps(entry.body) or "local.members[each" in json.dumps(entry.body)
    }
    assert of_builder - {"${google_bigquery_dataset_iam_member.this}"} <= set(build["depends_on"])
    assert "${google_bigquery_table.new_releases}" in build["depends_on"]
    command = (INFRA / "images.tf").read_text(encoding="utf-8")
    for substitution in re.findall(
        r"^  (_[A-Z]+): \"\"", (ROOT / "cloudbuild.yaml").read_text("utf-8"), re.MULTILINE
    ):
        assert f"{substitution}=" in command


def test_only_the_pusher_may_call_a_service() -> None:
    """Whoever can call a service can write into a run."""
    callers = {
        entry.body["name"]: (entry.body["role"], entry.body["member"])
        for entry in resources("google_cloud_run_v2_service_iam_member")
    }
    assert callers == {
        "${google_cloud_run_v2_service.this.name}": (
            "roles/run.invoker",
            "serviceAccount:${var.push_service_account}",
        ),
        "${google_cloud_run_v2_service.dashboard[0].name}": ("${each.value.role}", "${each.value.member}"),
    }
    run = resource("google_cloud_run_v2_service", "this")
    assert run["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    assert run["custom_audiences"] == ["${var.audience}"]
    assert "invoker_iam_disabled" not in run
    assert module("service")["audience"] == "${local.audiences[each.key]}"
    assert "PUSH_AUDIENCE = local.audiences[each.key]" in module("service")["env"]


# --- rights ----------------------------------------------------------------------------------------------------


def test_nothing_is_public() -> None:
    """Neither a bucket nor a service answers strangers."""
    public = [
        text for path in files() for text in strings(parsed(path)) if re.search("all(Authenticated)?Users", text)
    ]
    assert not public


def test_no_role_reaches_over_the_whole_project() -> None:
    """Basic roles hold thousands of rights; those on the project itself are listed here, one by one."""
    roles = {text for path in files() for text in strings(parsed(path)) if text.startswith("roles/")}
    assert not roles & {"roles/owner", "roles/editor", "roles/viewer"}
    assert not [role for role in roles if role.endswith((".admin", "Admin"))]
    assert resource("google_project_iam_member", "this")["for_each"] == "${local.project_roles}"
    assert {(grant["who"], grant["role"]) for grant in project_roles()} == {
        ("cluster_manager", "roles/dataproc.editor"),
        ("cluster_manager", "roles/bigquery.jobUser"),
        ("notifier", "roles/bigquery.jobUser"),
        ("cluster", "roles/bigquery.jobUser"),
        ("builder", "roles/logging.logWriter"),
    }


@pytest.mark.parametrize("entry", IAM, ids=address)
def test_rights_are_added_one_by_one(entry: Resource) -> None:
    """A binding or a policy would take away what somebody else granted."""
    assert entry.body["role"]
    assert not resources(entry.kind.replace("_member", "_binding"))
    assert not resources(entry.kind.replace("_member", "_policy"))


def test_each_secret_is_for_one_service_alone() -> None:
    """Nobody else asks Spotify, and nobody else tells people."""
    accessors = [entry for entry in IAM if entry.body["role"] == "roles/secretmanager.secretAccessor"]
    assert {(entry.name, entry.body["secret_id"], entry.body["member"]) for entry in accessors} == {
        ("fetcher", "${each.value.id}", '${local.members["market_fetcher"]}'),
        ("notifier", "${google_secret_manager_secret.notify[0].id}", '${local.members["notifier"]}'),
    }


@pytest.mark.parametrize(
    ("name", "writers"),
    [
        (names.manifest_name(RUN), {"scheduler"}),
        (names.asking_name(RUN, 1), {"scheduler"}),
        (names.canary_name("canary-1", "scheduler-run-requested"), set(SETTINGS)),
        (names.part_name(RUN, "DK"), {"market_fetcher"}),
        (names.album_cache_name("4aawyAB9vmqN3uQ7FjRGTy"), {"market_fetcher"}),
        (names.throttled_name(RUN, "DK"), {"market_fetcher"}),
        (names.decision_name(RUN, 1), {"batch_trigger"}),
        (names.given_up_name(RUN, "DK"), {"batch_trigger", "scheduler"}),
        (names.dead_letter_name("scheduler-run-requested", "1"), {"batch_trigger"}),
        (names.reopening_name(RUN, 1), {"batch_trigger"}),
        (names.repair_name(RUN, 1), {"batch_trigger"}),
        (names.cluster_claim_name(RUN, 1), {"cluster_manager"}),
        (names.job_claim_name(RUN, 1), {"cluster_manager"}),
        (names.announced_name(RUN, 1), {"cluster_manager"}),
        (names.receipt_name(RUN, 1), {"cluster_manager"}),
        (names.look_name(RUN, 1), {"cluster_manager"}),
        (names.notice_name(RUN, 1, "1f0c9a2e"), {"notifier"}),
        (names.load_name(RUN, 1), {"cluster"}),
        (names.quarantine_prefix(RUN, 1) + "part-0.json", {"cluster"}),
        ("jobs/spark_job.zip", {"builder"}),
        (names.order_name(RUN, 1), set()),
    ],
)
def test_each_object_has_its_writers(name: str, writers: set[str]) -> None:
    """An account writes what its code writes and nothing else; an operator's orders are the operator's."""
    changes = {who: service["writes"] for who, service in DEPLOYED.items()}
    changes |= {who: grant["change"] for who, grant in local("further_grants").items()}
    assert {who for who, prefixes in changes.items() if _covers(prefixes, name)} == writers
    assert "change = service.writes" in local("grants")


def test_services_read_what_their_code_reads() -> None:
    """Those that wait or decide look at documents of runs, the fetcher at manifests alone, the notifier at receipts."""
    for name, service in REGISTRY.items():
        code = _text(ROOT / "services" / name)
        whole = any(ask in code for ask in (".indexes(", ".index(", ".decisions("))
        read = {".manifest(": "runs/{run}/manifest.json", ".receipt(": "runs/{run}/receipts/"}
        some = tuple(name for ask, name in read.items() if ask in code)
        assert service.reads == (("runs/",) if whole else some)
    assert "read = service.reads" in local("grants")
    job = {who: grant["read"] for who, grant in local("further_grants").items()}
    assert job == {"cluster": ["raw/", "jobs/", "runs/{run}/decisions/"], "builder": []}


def test_the_cluster_is_ours_and_nobody_elses() -> None:
    """The cluster manager may act as the cluster's account and as no other."""
    acting = [entry.body for entry in IAM if entry.body["role"] == "roles/iam.serviceAccountUser"]
    assert [body["service_account_id"] for body in acting] == ["${google_service_account.cluster.name}"]
    assert [body["member"] for body in acting] == ['${local.members["cluster_manager"]}']


def test_the_dashboard_only_reads() -> None:
    """Whoever takes it over can look at what it shows, and at nothing else: no raw answers, no write, no message."""
    account = "${google_service_account.dashboard.member}"
    assert sorted(entry.body["role"] for entry in IAM if entry.body["member"] == account) == [
        "roles/bigquery.dataViewer",
        "roles/bigquery.jobUser",
        "roles/storage.legacyBucketReader",
        "roles/storage.objectViewer",
    ]
    reads = resource("google_storage_bucket_iam_member", "dashboard_reads_runs")["condition"][0]["expression"]
    assert reads.count("/objects/") == reads.count("/objects/runs/") == 1


def test_the_dashboard_is_for_named_people() -> None:
    """Nobody is let in by default, and each by name; without anybody there is no service."""
    viewer = resource("google_cloud_run_v2_service_iam_member", "viewer")
    assert viewer["for_each"] == "${local.has_dashboard ? local.viewer_grants : {}}"
    assert local("has_dashboard") == "${local.runs && length(var.dashboard_viewers) > 0}"
    run = resource("google_cloud_run_v2_service", "dashboard")
    assert run["count"] == "${local.has_dashboard ? 1 : 0}"
    assert "invoker_iam_disabled" not in run


def test_the_dashboard_is_told_what_it_needs() -> None:
    """A misspelt variable is ignored, a missing one ends the start; an emulator has no place in a project."""
    container = resource("google_cloud_run_v2_service", "dashboard")["template"][0]["containers"][0]
    given = set(container["dynamic"][0]["env"]["for_each"])
    known = {name.upper(): field for name, field in DashboardSettings.model_fields.items()}
    assert {name for name, field in known.items() if field.is_required()} <= given <= set(known)
    assert not [name for name in given if "EMULATOR" in name]


# --- storage, secrets, table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", resources("google_storage_bucket"), ids=address)
def test_buckets_are_private(entry: Resource) -> None:
    """One careless grant must not be enough to publish a bucket."""
    assert entry.body["uniform_bucket_level_access"] is True
    assert entry.body["public_access_prevention"] == "enforced"


def test_no_rule_removes_a_runs_documents() -> None:
    """Deleting a decision re-opens it."""
    rules = resource("google_storage_bucket", "data")
    assert set(local("data_days")) == {"raw/", "cache/", "quarantine/", "canaries/", names.DEAD_LETTERS_PREFIX}
    (by_age,) = [block["lifecycle_rule"] for block in rules["dynamic"] if "lifecycle_rule" in block]
    assert by_age["content"][0]["condition"][0]["matches_prefix"] == ["${lifecycle_rule.key}"]
    (old_versions,) = rules["lifecycle_rule"]
    assert old_versions["condition"][0]["matches_prefix"] == '${concat(keys(local.data_days), ["jobs/"])}'


def test_only_raw_objects_are_announced() -> None:
    """A receipt that woke the batch trigger would be work for nothing."""
    notification = resource("google_storage_notification", "raw")
    assert notification["object_name_prefix"] == "${local.topology.bucket_notification.object_prefix}"
    assert notification["event_types"] == ["${local.topology.bucket_notification.event}"]
    assert notification["topic"] == "${module.topic[local.topology.bucket_notification.topic].id}"


def test_no_secret_is_in_the_configuration() -> None:
    """What Terraform knows is in its state, readable by whoever may read that."""
    assert not resources("google_secret_manager_secret_version")
    assert not resources("google_service_account_key")
    texts = "\n".join(text for path in files() for text in strings(parsed(path)))
    assert not re.search(r"\b[0-9a-f]{32}\b|-----BEGIN|AIza[0-9A-Za-z_-]{30}", texts)
    plain = {"SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET"}
    assert not plain & {name for service in SETTINGS for name in _variables(service)}


def test_the_table_is_made_from_the_one_schema() -> None:
    """Two descriptions of one table drift apart."""
    table = resource("google_bigquery_table", "new_releases")
    assert table["schema"] == '${file("${path.module}/bigquery/new_releases.schema.json")}'
    assert table["time_partitioning"][0]["type"] == "DAY"
    columns = {field["name"] for field in json.loads((INFRA / "bigquery/new_releases.schema.json").read_bytes())}
    assert table["time_partitioning"][0]["field"] in columns
    assert set(table["clustering"]) <= columns


@pytest.mark.parametrize("path", sorted(INFRA.glob("bigquery/views/*.sql")), ids=lambda path: path.stem)
def test_views_explain_themselves_and_read_no_more_than_they_must(path: Path) -> None:
    """A view's first line is its description; it reads 60 days, or groups by run so that a filter on runs helps."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- ")
    bounds = ("load_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 60 DAY)", "GROUP BY load_date")
    for scan in text.split("FROM `${table}`")[1:]:
        assert any(bound in scan.split("\nFROM ")[0] for bound in bounds)


# --- events from outside ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tick", "event"), [("weekly-tick", events.RunRequested), ("sweep", events.SweepRequested)]
)
def test_ticks_can_be_read_by_the_services(tick: str, event: type[events.OwnEvent]) -> None:
    """What Cloud Scheduler publishes is the contract's event, on its topic; the message tells one tick from another."""
    target = resource("google_cloud_scheduler_job", "this")["pubsub_target"][0]
    values = {"each.key": tick, **{f"each.value.{name}": value for name, value in local("ticks")[tick].items()}}
    assert target["data"] == "${base64encode(jsonencode({reason = each.value.reason}))}"
    data = json.dumps({"reason": values["each.value.reason"]}).encode()
    attributes = {name: _filled(text, values) for name, text in target["attributes"].items()}
    delivery = parse_message(Message(data, attributes), message_id="1")
    assert type(delivery.event) is event
    assert delivery.event_id == f"{tick}/1"
    assert values["each.value.topic"] == event.topic
    assert target["topic_name"] == "${module.topic[each.value.topic].id}"


def test_the_tick_comes_in_the_zone_that_dates_the_run() -> None:
    """A tick at midnight in one zone would be dated the day before in another."""
    assert resource("google_cloud_scheduler_job", "this")["time_zone"] == "${var.time_zone}"
    assert local("settings")["TIME_ZONE"] == "${var.time_zone}"


def test_the_sink_passes_what_the_topology_names() -> None:
    """Its filter is read from the topology, as is the topic; the doctor compares it word for word."""
    sink = resource("google_logging_project_sink", "dataproc_operations")
    assert local("sink") == "${local.topology.logging_sink}"
    assert sink["filter"] == "${local.sink.filter}"
    assert sink["destination"] == "pubsub.googleapis.com/${module.topic[local.sink.topic].id}"
    assert sink["unique_writer_identity"] is True
    writes = resource("google_pubsub_topic_iam_member", "sink_writes")
    assert writes["member"] == "${google_logging_project_sink.dataproc_operations.writer_identity}"


# --- monitoring ------------------------------------------------------------------------------------------------


def test_metrics_count_lines_that_are_logged() -> None:
    """A metric on a line that nobody writes stays at nought, and its alert is silent for ever."""
    logged = _logged_events()
    for name, condition in local("log_metrics").items():
        for message in re.findall(r'jsonPayload\.message=\\?"(\w+)', condition):
            assert message in logged, f"{name} counts {message!r}, which no service logs"
            for field in set(re.findall(r"jsonPayload\.(\w+)", condition)) - {"message"}:
                assert f'"{field}"' in logged[message], (
                    f"{name} looks at {field!r}, which {message!r} does not have"
                )


ALERTS = {entry.name: entry.body for entry in resources("google_monitoring_alert_policy")}
OF_MANY = {"told": "told_alerts", "log": "log_alerts"}
"""Policies that are made for each entry of a local."""


def _alerts() -> dict[str, str]:
    """What each alert's message says, as Google is sent it."""
    said = {}
    for policy, body in ALERTS.items():
        content = body["documentation"][0]["content"]
        for name in local(OF_MANY[policy]) if policy in OF_MANY else [policy]:
            said[name] = _spelt(content.replace("[each.key]", f".{name}").replace("${each.key}", name))
    return said


def _spelt(text: str) -> str:
    """With each local in its place; what Google fills in stays."""
    text = text.replace("${local.options}", "OPTIONS")
    while found := re.search(r"(?<!\$)\$\{local\.(look\.)?(\w+)\}", text):
        value = local("look")[found[2]] if found[1] else local(found[2])
        text = text.replace(found[0], value.replace("${local.options}", "OPTIONS"))
    return text


def test_every_alert_has_its_page() -> None:
    """An alert at night is worth what its reader can do about it."""
    runbook = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    for section in _alerts():
        assert f"\n## {section}\n" in runbook


def test_every_alert_says_what_to_type_first() -> None:
    """It is read on a telephone at night: a page to look for is one step too many, and each command is one there is."""
    for name, said in _alerts().items():
        commands = re.findall(r"`releases OPTIONS (.*?)`", said)
        assert commands, name
        for command in commands:
            typed = re.sub(r"RUN|\$\$\{log\.extracted_label\.run\}", RUN, command)
            assert CliRunner().invoke(app, [*typed.split(), "--help"]).exit_code == 0, typed


def test_an_alert_that_one_line_raises_says_why_first() -> None:
    """What a line has no field for stays an empty place in the message; without a bound on them Google refuses it."""
    (condition,), (strategy,) = ALERTS["told"]["conditions"], ALERTS["told"]["alert_strategy"]
    taken = condition["condition_matched_log"][0]["label_extractors"]
    fields = {label: re.findall(r"^EXTRACT\(jsonPayload\.(\w+)\)$", text)[0] for label, text in taken.items()}
    assert strategy["notification_rate_limit"][0]["period"]
    logged, said = _logged_events(), _alerts()
    for name, alert in local("told_alerts").items():
        (message,) = re.findall(r'jsonPayload\.message=\\?"(\w+)', local("log_metrics")[alert["lines"]])
        assert said[name].startswith("Run $${log.extracted_label.run}: $${log.extracted_label.reason}\n")
        for label in re.findall(r"\$\$\{log\.extracted_label\.(\w+)\}", said[name]):
            assert f'"{fields[label]}"' in logged[message], (name, label)


def test_what_the_runbook_tells_a_person_to_publish_is_understood() -> None:
    """A command that is wrong is found out at night, by somebody who has no time for it."""
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r'topics publish ([\w-]+) .*?--message="(.*?)"\s+--attribute="(.*?)"', text)
    assert len(commands) == 2
    for topic, message, attributes in commands:
        data = message.replace('\\"', '"').replace("$RUN", RUN).encode()
        pairs = dict(pair.split("=", 1) for pair in attributes.split(","))
        delivery = parse_message(Message(data, pairs), message_id="1")
        assert delivery.event.topic == topic
    (order,) = re.findall(r"echo '(\{.*?\})' \| gcloud storage cp", text)
    filled = order.replace("'$RUN'", RUN).replace("'$(date -u +%FT%TZ)'", "2026-11-23T06:00:00Z")
    assert Order.model_validate_json(filled).kind == "close"


def test_alerts_count_metrics_that_exist() -> None:
    """A misspelt metric is a query without an answer."""
    known = set(local("log_metrics"))
    used = set(
        re.findall(r'local\.counted\[\\?"(\w+)\\?"\]', json.dumps(local("log_alerts")).replace('\\\\"', '\\"'))
    )
    told = {alert["lines"] for alert in local("told_alerts").values()}
    assert used
    assert used | told <= known
    shown = re.findall(
        r"user/new_releases_(\w+)", (INFRA / "monitoring/dashboard.json").read_text(encoding="utf-8")
    )
    assert set(shown) == known


def test_the_alert_on_silence_knows_the_topic_of_the_sweeps() -> None:
    """It counts messages of one topic; a topic of another name is silent for ever."""
    (sweep,) = [job for job in TOPOLOGY.scheduler_jobs if job.name == "new-releases-sweep"]
    assert f'topic_id="{sweep.topic}"' in local("swept")


def test_what_is_missed_is_what_was_scheduled() -> None:
    """The service is told the tick's own schedule and zone, and can read the one it has by default."""
    told = local("settings")
    assert {"SCHEDULE", "TIME_ZONE"} <= set(REGISTRY["scheduler"].told)
    job = resource("google_cloud_scheduler_job", "this")
    assert (told["SCHEDULE"], told["TIME_ZONE"]) == ("${var.schedule}", job["time_zone"])
    assert local("ticks")["weekly-tick"]["schedule"] == told["SCHEDULE"]
    (variable,) = [
        block["schedule"] for block in parsed(INFRA / "variables.tf")["variable"] if "schedule" in block
    ]
    CronSim(variable["default"], datetime.min.replace(tzinfo=UTC))


def test_the_cost_page_counts_the_conditions() -> None:
    """Each may be billed, and together they may cost more than all the rest."""
    page = (ROOT / "docs/cost.md").read_text(encoding="utf-8")
    assert f"| alerting, {len(_alerts())} conditions |" in page


def test_the_alert_on_old_clusters_knows_our_label() -> None:
    """It finds machines by the label that the cluster manager puts on clusters."""
    (condition,) = resource("google_monitoring_alert_policy", "cluster_too_old")["conditions"]
    assert f'metadata.user_labels.app="{APP_LABEL}"' in condition["condition_threshold"][0]["filter"]


# --- helpers ---------------------------------------------------------------------------------------------------


def _text(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))


def _variables(service: str) -> set[str]:
    return {*local("common_env"), "PUSH_AUDIENCE", *REGISTRY[service].told}


def _covers(prefixes: list[str], name: str) -> bool:
    return any(re.match(re.escape(prefix).replace(r"\{run\}", "[^/]+"), name) for prefix in prefixes)


_EXAMPLES = {
    "PUSH_SIGNATURE_CHECKED_BY": "cloud-run",
    "GOOGLE_CLOUD_PROJECT": "p-12345",
    "SPOTIFY_CLIENT_ID_SECRET": "projects/p-12345/secrets/new-releases-spotify-client-id/versions/latest",
    "SPOTIFY_CLIENT_SECRET_SECRET": "projects/p-12345/secrets/new-releases-spotify-client-secret/versions/latest",
    "NOTIFY_URLS_SECRET": "projects/p-12345/secrets/new-releases-notify-urls/versions/latest",
    "SUBNETWORK": "projects/p-12345/regions/europe-west3/subnetworks/new-releases-cluster",
}


def _example(name: str) -> Any:
    """A value as Terraform would give it: a variable's default, or something of the kind."""
    everywhere = {**local("common_env"), **local("settings")}
    used = re.search(r"var\.(\w+)", everywhere.get(name, ""))
    if name in _EXAMPLES or used is None:
        return _EXAMPLES.get(name, "something")
    default = _variable_defaults()[used[1]]
    if default is None:
        return ""
    return ",".join(default) if isinstance(default, list) else str(default)


def _variable_defaults() -> dict[str, Any]:
    blocks = parsed(INFRA / "variables.tf")["variable"]
    return {name: body.get("default") for block in blocks for name, body in block.items()}


def _filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{([\w.]+)\}", lambda found: values[found[1]], text)


def _logged_events() -> dict[str, str]:
    """The constant names that our services log, each with the source of the functions that do."""
    found: dict[str, str] = {}
    for folder in ("services", "eventing"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            for function in ast.walk(ast.parse(source)):
                if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                for message in _logged_in(function):
                    found[message] = found.get(message, "") + (ast.get_source_segment(source, function) or "")
    return found


def _logged_in(function: ast.AST) -> set[str]:
    calls = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "log"
    ]
    arguments = [argument for call in calls for argument in call.args if isinstance(argument, ast.Constant)]
    return {argument.value for argument in arguments if isinstance(argument.value, str)}
