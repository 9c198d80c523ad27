"""Storms of faults by seed: whatever was injected, the seven invariants hold and an end comes."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.simulation.__main__ import Totals
from tests.simulation.chance import MOST, Chance
from tests.simulation.world import Case, simulate

BATCHES, IN_A_BATCH = 20, 8
SWEEPS_TO_SETTLE = 24
"""Within so many sweeps after the last fault, or the deadline where one is needed, everything is settled."""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_invariants_hold_in_every_storm(batch: int) -> None:
    """Never lost, never doubled, never left running; a failure shows its seed and its history."""
    totals = Totals()
    for seed in range(batch * IN_A_BATCH + 1, (batch + 1) * IN_A_BATCH + 1):
        outcome = simulate(str(seed))
        assert not outcome.broken, outcome.story()
        assert outcome.settled_after <= SWEEPS_TO_SETTLE * 600, outcome.story()
        totals.add(outcome)
    print(totals.report(0))


def test_a_seed_tells_the_same_story_twice() -> None:
    """A failure that cannot be repeated cannot be mended."""
    first, second = simulate("17"), simulate("17")
    assert first.history == second.history
    assert first.ends == second.ends


def test_a_failure_tells_how_to_repeat_it() -> None:
    """Whoever sees a seed fail in a log somewhere needs one command to see it fail here."""
    outcome = simulate("quiet", case=Case(sweeps=False), chance=Chance.none())
    told = replace(outcome, seed="17", broken=["a promise"]).story()
    assert (
        "seed 17: a promise\nrepeat it with: .venv/bin/python -m tests.simulation --start 17 --seeds 1\n" in told
    )
    assert "repeat it" not in outcome.story()


def test_a_quiet_run_needs_no_sweep() -> None:
    """Sweeps repair what events lost; a run in which nothing is lost must not wait for one."""
    outcome = simulate("quiet", case=Case(sweeps=False), chance=Chance.none())
    assert not outcome.broken, outcome.story()
    assert [end for end, _ in outcome.ends.values()] == ["loaded"]


def test_poison_on_every_topic_ends_on_record_and_dies_again_when_it_is_redriven() -> None:
    """Every subscription gives up what it cannot read; the letters tell whose, whole, and rounds are counted."""
    case = Case(attempts=3, storm=4 * 3600, poison=60, redrives=(3 * 3600,))
    outcome = simulate("poison", case=case, chance=Chance.none())
    assert not outcome.broken, outcome.story()
    assert [end for end, _ in outcome.ends.values()] == ["loaded"]
    redriven = [line for _, line in outcome.history if line.startswith("operator redrives")]
    assert redriven == ["operator redrives 8 dead letters"]
    died = Counter(line.split()[-1] for _, line in outcome.history if " dead-lettered by " in line)
    assert set(died.values()) == {2}
    assert len(died) == 8


def test_a_failed_run_that_is_reopened_closes_again() -> None:
    """The market is asked for once more; it is still unknown to Spotify, and the order comes to its end."""
    case = Case(unknown="NO", attempts=3, reopens=(9 * 3600,))
    outcome = simulate("reopened", case=case, chance=Chance.none())
    assert not outcome.broken, outcome.story()
    decided = [line for _, line in outcome.history if "create runs/2026-11-23/decisions/" in line]
    assert len(decided) == 2, outcome.story()


@pytest.mark.parametrize("kind", MOST)
def test_every_kind_of_fault_alone_is_overcome(kind: str) -> None:
    """A fault that is never injected is a promise that nobody checks; alone, nothing else hides what it does."""
    companions = {"job fails": 0.6, "cluster dies": 0.5} if kind == "load outlives its job" else {}
    injected = 0
    for seed in range(6):
        name = f"{kind}/{seed}"
        chance = Chance(name, {kind: max(MOST[kind], 0.3), **companions})
        outcome = simulate(name, case=Case(storm=3600, replays=((200, "SE", False),)), chance=chance)
        assert not outcome.broken, outcome.story()
        injected += outcome.injected[kind]
    assert injected, f"{kind} was never injected"
