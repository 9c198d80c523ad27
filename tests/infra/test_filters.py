"""Every filter is one that Google's languages have: the provider takes any text, and Google refuses it."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.dataproc.audit import ends_an_operation
from ops.doctor import last_run
from tests.infra.configuration import INFRA, local, named, resources
from tests.infra.filters import NotJudgedError, fault_of_logging, fault_of_monitoring, passes

TOPOLOGY = json.loads((INFRA / "topology.json").read_bytes())
SINK = TOPOLOGY["logging_sink"]["filter"]
REALITY = INFRA.parent / "tests/contract/reality"
LOGGING = {"google_logging_metric", "google_logging_project_sink"}
RUNBOOK = (INFRA.parent / "docs/runbook.md").read_text(encoding="utf-8")
KNOWN = {
    "var.project_id": "new-releases-test",
    "local.sink.filter": TOPOLOGY["logging_sink"]["filter"],
    "local.operator_queues": ",".join(f'"{entry["name"]}"' for entry in TOPOLOGY["pull_subscriptions"]),
}
"""What Terraform fills in, beside strings among the locals."""
PAGE = (INFRA / "monitoring/dashboard.json").read_text(encoding="utf-8")
PANELS: list[dict[str, Any]] = [tile["widget"] for tile in json.loads(PAGE)["mosaicLayout"]["tiles"]]


def filled(text: str, each: str = "") -> str:
    """A filter as Google is sent it."""
    values = KNOWN | {"each.value": each}
    while found := re.search(r"\$\{([\w.]+)\}", text):
        name = found[1]
        value = values[name] if name in values else local(name.removeprefix("local."))
        text = text.replace(found[0], value)
    assert "${" not in text, f"a filter is plain text and references, so that it can be judged here: {text}"
    return text


def logging_filters() -> Iterator[tuple[str, str]]:
    """Where each stands that Cloud Logging reads, and it."""
    for entry in resources():
        for text in named(entry.body, "filter") if entry.kind in LOGGING else ():
            cases = local("log_metrics") if "each.value" in text else {"": ""}
            yield from ((f"{entry.address} {name}", filled(text, each)) for name, each in cases.items())
        for condition in named(entry.body, "condition_matched_log"):
            yield from matched_logs(entry.address, condition)
    yield from (("dashboard", panel["logsPanel"]["filter"]) for panel in PANELS if "logsPanel" in panel)
    yield "doctor", last_run.refused_query(datetime(2026, 11, 23, 12, tzinfo=UTC))
    commands = re.findall(r"gcloud logging read (?:'([^']*)'|\"((?:\\.|[^\"])*)\")", RUNBOOK)
    yield from (("runbook", single or re.sub(r"\\(.)", r"\1", double)) for single, double in commands)


def matched_logs(address: str, condition: Any) -> Iterator[tuple[str, str]]:
    """The query of each alert that one line raises: the metric's that counts the same line."""
    for name, alert in local("told_alerts").items():
        lines = local("log_metrics")[alert["lines"]]
        for text in named(condition, "filter"):
            yield f"{address} {name}", filled(text.replace("${local.log_metrics[each.value.lines]}", lines))


def monitoring_filters() -> Iterator[tuple[str, str]]:
    """Where each stands that Cloud Monitoring reads, and it."""
    for entry in resources("google_monitoring_alert_policy"):
        for condition in named(entry.body, "condition_threshold"):
            yield from ((entry.address, filled(text)) for text in named(condition, "filter"))
    for series in named(PANELS, "timeSeriesFilter"):
        yield "dashboard", series["filter"]


def test_every_filter_is_judged() -> None:
    """One in a place that nobody looks at would be refused by Google alone."""
    written = sum(len(list(named(entry.body, "filter"))) for entry in resources())
    cases = len(local("log_metrics")) + len(local("told_alerts"))
    of_resources = [place for place, _ in [*logging_filters(), *monitoring_filters()] if ".tf" in place]
    assert len(of_resources) == written - 2 + cases
    places = [place for place, _ in [*logging_filters(), *monitoring_filters()]]
    assert places.count("dashboard") == PAGE.count('"filter"') > 0
    assert places.count("runbook") == RUNBOOK.count("gcloud logging read") > 0


@pytest.mark.parametrize(("place", "query"), [*logging_filters()])
def test_cloud_logging_understands(place: str, query: str) -> None:
    """A metric, sink or panel whose query is refused is not made, and what hangs on it neither."""
    assert fault_of_logging(query) is None, place


@pytest.mark.parametrize("path", sorted(REALITY.glob("audit-*.json")), ids=lambda path: path.stem)
def test_the_sink_passes_the_end_of_an_operation_alone(path: Path) -> None:
    """What began is known to whoever began it, and a refused creation that wakes the manager is asked for again."""
    entry = json.loads(path.read_bytes())["entry"]
    operation = entry.get("operation", {})
    assert passes(SINK, entry) == ("id" in operation and operation.get("last", False)) == ends_an_operation(entry)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("logName",), "projects/p/logs/cloudaudit.googleapis.com%2Fdata_access"),
        (("protoPayload", "serviceName"), "compute.googleapis.com"),
        (("protoPayload", "methodName"), "google.cloud.dataproc.v1.ClusterController.UpdateCluster"),
        (("operation", "last"), False),
        (("operation", "last"), None),
        (("operation", "id"), None),
        (("operation",), None),
    ],
)
def test_each_part_of_the_sinks_filter_keeps_something_out(place: tuple[str, ...], value: object) -> None:
    """A part that could be left out is not read as it was meant."""
    entry = json.loads((REALITY / "audit-delete-ended.json").read_bytes())["entry"]
    assert passes(SINK, entry)
    inner = entry
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    if value is None:
        del inner[place[-1]]
    assert not passes(SINK, entry)


@pytest.mark.parametrize(
    ("event", "subscription", "counted"),
    [
        ("Canary", "unknown", False),
        ("Canary", "scheduler-run-requested", True),
        ("MarketRequested", "unknown", True),
        (None, "unknown", True),
    ],
)
def test_a_deployment_wakes_nobody(event: str | None, subscription: str, *, counted: bool) -> None:
    """Its canary goes to the dead-letter topics, too; one that was really given up, and all else, is counted."""
    letter = {"message": "dead_letter_recorded", "event": event, "subscription": subscription}
    assert passes(local("log_metrics")["dead_letters"].replace("\\", ""), {"jsonPayload": letter}) == counted


@pytest.mark.parametrize(
    ("query", "found"), [("NOT a=1", False), ("-a=1", False), ("-b=1", True), ("a=1 AND NOT (a=1 AND a=2)", True)]
)
def test_what_is_negated_is_judged_so(query: str, *, found: bool) -> None:
    """A minus that is overlooked turns a filter round."""
    assert passes(query, {"a": "1"}) == found


@pytest.mark.parametrize("query", ["a=1 OR b=2", "a>1", 'a=~"x"', "a=(1 AND 2)", '"word"'])
def test_what_is_not_judged_is_not_taken_for_judged(query: str) -> None:
    """A filter that passes because nobody could read it would be a filter that is not tested."""
    with pytest.raises(NotJudgedError):
        passes(query, {"a": "1"})


@pytest.mark.parametrize(("place", "query"), [*monitoring_filters()])
def test_cloud_monitoring_understands(place: str, query: str) -> None:
    """The same for alerts and charts, whose language is another."""
    assert fault_of_monitoring(query) is None, place


@pytest.mark.parametrize(
    "query",
    [
        'resource.labels.service_name=starts_with("new-releases-")',
        'resource.labels.service_name=one_of("a", "b")',
        'lower(textPayload)="robot"',
        'textPayload=~"(unclosed"',
        'textPayload=~"(?=ahead)"',
        'textPayload=~"(a)\\\\1"',
        "textPayload=~robot",
        'severity=="ERROR"',
        'textPayload="unclosed',
        "insertId = abc:def",
        'severity="ERROR" AND',
        "sample(insertId, 2)",
        'ip_in_net(httpRequest.remoteIp, "10.0.0.1/8")',
        "cast(jsonPayload.size, INT) > 5",
        f'textPayload="{"a" * 20_000}"',
    ],
)
def test_what_cloud_logging_does_not_know_is_found(query: str) -> None:
    """A judge that lets everything pass protects nothing; `starts_with` stood in every metric once."""
    assert fault_of_logging(query) is not None


@pytest.mark.parametrize(
    "query",
    [
        'resource.type = ("k8s_cluster" OR "gce_instance") AND severity >= "ERROR" AND NOT textPayload:robot',
        'resource.type="x"\nseverity>=WARNING -- two lines are both\n-labels."a.b/c":*',
        'log_id("cloudaudit.googleapis.com/activity") OR source(folders/123)',
        'SEARCH("hello world") AND SEARCH(textPayload, "hello")',
        'sample(insertId, 0.25) AND ip_in_net(jsonPayload.ip, "10.0.0.0/8")',
        'cast(jsonPayload.size, INT64) > 5 AND regexp_extract(jsonPayload.name, "a(\\\\d+)") = "3"',
        '"unicorn" AND timestamp>="2026-11-23T00:00:00Z" AND textPayload!~"(?i)^a.*b$"',
    ],
)
def test_what_the_language_has_is_understood(query: str) -> None:
    """A judge that refuses what is right would be argued with, and then left out."""
    assert fault_of_logging(query) is None


@pytest.mark.parametrize(
    ("fault", "query"),
    [
        (fault_of_monitoring, 'metric.type=~"^a"'),
        (fault_of_monitoring, 'metric.label.code=monitoring.regex.full_match("(")'),
        (fault_of_monitoring, 'metric.type=ends("a")'),
        (fault_of_monitoring, 'jsonPayload.message="a"'),
    ],
)
def test_what_cloud_monitoring_does_not_know_is_found(fault: Callable[[str], str | None], query: str) -> None:
    """The operator of one language is no operator of the other."""
    assert fault(query) is not None
