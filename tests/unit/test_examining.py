"""How `releases doctor` ends: a script that calls it goes by the exit status."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli.app import app
from ops.doctor import examination, proof, site
from ops.doctor.findings import Finding, fail, ok, warn
from tests.fakes.objects import MemoryObjectStore

CLOUD = ["--project", "p", "--bucket", "b"]
ARRIVED, UNHEARD = ok("delivery", "heard"), fail("delivery", "heard nothing", "look at its log")


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Finding]]:
    """What each part of the doctor finds; every stack is this one, and nothing of it is opened."""
    found = {"differences": [ok("topics", "a")], "quick": [ARRIVED], "dead": [ok("dead letter", "a")]}

    @asynccontextmanager
    async def stack(target: Any, _: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(
            target=target, store=MemoryObjectStore(), clock=lambda: datetime(2026, 11, 23, tzinfo=UTC)
        )

    @contextmanager
    def opened(*_: Any) -> Iterator[None]:
        yield None

    monkeypatch.setattr("ops.target.opened", stack)
    monkeypatch.setattr(site, "opened", opened)
    monkeypatch.setattr(examination, "examine", lambda *_: iter(found["differences"]))
    monkeypatch.setattr(proof, "quick", lambda *_: iter(found["quick"]))
    monkeypatch.setattr(proof, "dead_letters", lambda *_: iter(found["dead"]))
    return found


def ended(*options: str) -> int:
    return CliRunner().invoke(app, [*CLOUD, "doctor", *options]).exit_code


@pytest.mark.parametrize("options", [(), ("--canary",), ("--prove",)])
def test_it_ends_well_where_all_is_well(doctor: dict[str, list[Finding]], options: tuple[str, ...]) -> None:
    """A warning wants a person's eye, and is no reason to fail a deployment."""
    for findings in doctor.values():
        findings.append(warn("x", "a", "b"))
    assert ended(*options) == 0


@pytest.mark.parametrize(
    "bad", [UNHEARD, Finding("announcement", "nobody could listen", "unreachable", "with more rights")]
)
def test_a_canary_that_was_not_heard_fails(doctor: dict[str, list[Finding]], bad: Finding) -> None:
    """Neither silence nor what could not be looked at may pass for a delivery."""
    doctor["quick"].append(bad)
    assert (ended(), ended("--canary"), ended("--prove")) == (0, 1, 1)


def test_a_canary_looks_at_nothing_else(doctor: dict[str, list[Finding]]) -> None:
    """Right after the first apply the secrets have no values, and dead letters take hours."""
    doctor["differences"].append(fail("secrets", "has no value", "add one"))
    doctor["dead"].append(fail("dead letter", "not recorded", "look"))
    assert (ended("--canary"), ended(), ended("--prove")) == (0, 1, 1)


def test_one_of_both_is_asked_for(doctor: dict[str, list[Finding]]) -> None:
    """Who writes both expects something that the command does not do."""
    assert doctor
    assert ended("--canary", "--prove") == 2
