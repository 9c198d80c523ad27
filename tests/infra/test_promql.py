"""Every alert's query is PromQL and asks for what there is: Terraform takes any text, and a wrong name never fires."""

import re

import pytest

from tests.infra.configuration import local, named, resources
from tests.infra.promql import fault_of, in_promql, metrics

KNOWN = metrics(local("log_metrics"))
SWEPT = local("swept")


def queries() -> dict[str, str]:
    """The query of each alert, as Google is sent it."""
    (written,) = re.findall(r'name => "((?:\\.|[^"\\])*)"', local("counted"))
    template = str(written).replace('\\"', '"')

    def filled(found: re.Match[str]) -> str:
        return template.replace("${name}", found[1])

    asked = {name: alert["query"] for name, alert in local("log_alerts").items()}
    return {
        name: re.sub(r'\$\{local\.counted\[\\?"(\w+)\\?"\]\}', filled, query).replace("${local.swept}", SWEPT)
        for name, query in asked.items()
    }


@pytest.mark.parametrize(("name", "query"), queries().items())
def test_an_alert_asks_for_what_there_is(name: str, query: str) -> None:
    """A query that is refused is no alert, and one of a metric that nobody has never fires."""
    assert "${" not in query
    assert fault_of(query, KNOWN) is None, name


def test_every_query_is_judged() -> None:
    """One in a place that nobody looks at would be refused by Google alone."""
    blocks = [
        block
        for entry in resources()
        for block in named(entry.body, "condition_prometheus_query_language")
        if block
    ]
    assert [list(named(block, "query")) for block in blocks] == [["${each.value.query}"]]


@pytest.mark.parametrize(
    ("google", "promql"),
    [
        ("compute.googleapis.com/instance/cpu/utilization", "compute_googleapis_com:instance_cpu_utilization"),
        ("logging.googleapis.com/log_entry_count", "logging_googleapis_com:log_entry_count"),
    ],
)
def test_names_are_mapped_as_google_does(google: str, promql: str) -> None:
    """The first two of the table in its page on the mapping."""
    assert in_promql(google) == promql


@pytest.mark.parametrize(
    "wrong",
    [
        f"sum(increase({SWEPT}[3h]) > 0",  # a bracket is missing
        f"sum(increase({SWEPT})) > 0",  # no window
        f"sum({SWEPT}[3h]) > 0",  # a window that nothing takes
        f"sum(increase({SWEPT}[3 h])) > 0",
        f"sum(increase({SWEPT}[0h])) > 0",
        f"sum(increase({SWEPT}[3h])) => 0",
        f"add(increase({SWEPT}[3h])) > 0",
        f"sum(increase({SWEPT}[3h])) > 0 but sum(increase({SWEPT}[3h])) > 0",
        f"sum(increase({SWEPT.replace('send_message', 'sent_message')}[3h])) > 0",
        f"sum(increase({SWEPT.replace('topic_id', 'topic')}[3h])) > 0",
        f"sum(increase({SWEPT.replace('pubsub_topic', 'pubsub_subscription')}[3h])) > 0",
        "sum(increase(pubsub_googleapis_com:topic_send_message_operation_count{topic_id=sweep}[3h])) > 0",
        'sum(increase(logging_googleapis_com:user_new_releases_lost{monitored_resource="cloud_run_revision"}[1h])) > 0',
        "sum(increase(logging_googleapis_com:user_new_releases_runs_failed[1h])) > 0",
    ],
)
def test_what_is_wrong_is_found(wrong: str) -> None:
    """A judge that lets everything pass protects nothing."""
    assert fault_of(wrong, KNOWN) is not None
