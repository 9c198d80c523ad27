"""What import contracts and linters cannot see: clocks in decisions, services of one shape, tests that explain."""

import ast
import json
from pathlib import Path

import pytest

from eventing.settings import ServiceSettings
from services.__main__ import main as settings_page
from services.batch_trigger.settings import Settings as BatchTriggerSettings
from services.cluster_manager.settings import Settings as ClusterManagerSettings
from services.market_fetcher.settings import Settings as MarketFetcherSettings
from services.scheduler.settings import Settings as SchedulerSettings

ROOT = Path(__file__).parents[2]
SERVICES = ("scheduler", "market_fetcher", "batch_trigger", "cluster_manager")
PURE = [*sorted(ROOT.glob("services/*/decisions.py")), *sorted(ROOT.glob("contracts/*.py"))]
CLOCKS = {"now", "utcnow", "today", "uuid4", "uuid1", "monotonic", "time_ns", "random"}
SETTINGS: list[type[ServiceSettings]] = [
    SchedulerSettings,
    MarketFetcherSettings,
    BatchTriggerSettings,
    ClusterManagerSettings,
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_pure_modules_ask_neither_clock_nor_chance(path: Path) -> None:
    """A decision that looks at the clock cannot be replayed; time comes as an argument."""
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not called & CLOCKS


@pytest.mark.parametrize("service", SERVICES)
def test_services_have_the_same_files(service: str) -> None:
    """Knowing one service is knowing all four."""
    files = {path.name for path in (ROOT / "services" / service).glob("*.py")}
    assert {"__init__.py", "__main__.py", "settings.py", "decisions.py", "handlers.py", "wiring.py"} <= files


def test_only_settings_and_entry_points_read_the_environment() -> None:
    """A setting that is read deep inside is a setting that nobody finds."""
    readers = {
        name_of(path)
        for folder in ("contracts", "eventing", "services")
        for path in (ROOT / folder).rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in ("os.environ", "os.getenv"))
    }
    assert readers == {f"services/{service}/__main__.py" for service in SERVICES}


def test_the_settings_page_is_fresh() -> None:
    """A table of settings that lies is worse than none."""
    assert settings_page(["--check"]) == 0


def test_every_test_says_which_rule_it_protects() -> None:
    """A test that only says what it does cannot be judged when it breaks."""
    silent = [
        f"{name_of(path)}::{node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_dead_letter_topic_has_a_subscription() -> None:
    """A dead-letter topic without a subscription loses messages without a word."""
    topology = json.loads((ROOT / "infra/topology.json").read_text(encoding="utf-8"))
    listened = {entry["topic"] for kind in ("push", "pull") for entry in topology[f"{kind}_subscriptions"]}
    dead = {entry["dead_letter_topic"] for entry in topology["push_subscriptions"]}
    assert dead <= listened
    assert dead <= set(topology["topics"])
    assert {entry["service"] for entry in topology["push_subscriptions"]} == set(SERVICES)


@pytest.mark.parametrize("model", SETTINGS, ids=lambda model: model.__module__)
def test_every_setting_says_what_it_is_for(model: type[ServiceSettings]) -> None:
    """A variable without a meaning cannot be set by anyone but its author."""
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
