"""What import contracts and linters cannot see: clocks in decisions, services of one shape, tests that explain."""

import json
from pathlib import Path

import pytest

from eventing.settings import ServiceSettings
from services.batch_trigger.settings import Settings as BatchTriggerSettings
from services.cluster_manager.settings import Settings as ClusterManagerSettings
from services.market_fetcher.settings import Settings as MarketFetcherSettings
from services.scheduler.settings import Settings as SchedulerSettings
from tests.architecture import rules

ROOT = Path(__file__).parents[2]
SETTINGS: list[type[ServiceSettings]] = [
    SchedulerSettings,
    MarketFetcherSettings,
    BatchTriggerSettings,
    ClusterManagerSettings,
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: rules.Rule) -> None:
    """What a rule protects stands in its docstring; each was seen to fail (`test_planted_violations.py`)."""
    assert rule(ROOT) == []


def test_every_dead_letter_topic_has_a_subscription() -> None:
    """A dead-letter topic without a subscription loses messages without a word."""
    topology = json.loads((ROOT / "infra/topology.json").read_text(encoding="utf-8"))
    listened = {entry["topic"] for kind in ("push", "pull") for entry in topology[f"{kind}_subscriptions"]}
    dead = {entry["dead_letter_topic"] for entry in topology["push_subscriptions"]}
    assert dead <= listened
    assert dead <= set(topology["topics"])
    assert {entry["service"] for entry in topology["push_subscriptions"]} == set(rules.SERVICES)


@pytest.mark.parametrize("model", SETTINGS, ids=lambda model: model.__module__)
def test_every_setting_says_what_it_is_for(model: type[ServiceSettings]) -> None:
    """A variable without a meaning cannot be set by anyone but its author."""
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
