"""What import contracts and linters cannot see: clocks in decisions, services of one shape, tests that explain."""

from pathlib import Path

import pytest

from eventing.settings import ServiceSettings
from tests.architecture import rules
from tests.registry import SETTINGS, TOPOLOGY

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: rules.Rule) -> None:
    """What a rule protects stands in its docstring; each was seen to fail (`test_planted_violations.py`)."""
    assert rule(ROOT) == []


def test_every_dead_letter_topic_has_a_subscription() -> None:
    """A dead-letter topic without a subscription loses messages without a word."""
    listened = {push.topic for push in TOPOLOGY.push_subscriptions}
    listened |= {pull.topic for pull in TOPOLOGY.pull_subscriptions}
    assert TOPOLOGY.dead_letter_topics <= listened
    assert TOPOLOGY.dead_letter_topics <= set(TOPOLOGY.topics)


@pytest.mark.parametrize("model", SETTINGS.values(), ids=lambda model: model.__module__)
def test_every_setting_says_what_it_is_for(model: type[ServiceSettings]) -> None:
    """A variable without a meaning cannot be set by anyone but its author."""
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
