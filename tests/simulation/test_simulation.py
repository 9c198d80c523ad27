"""Storms of faults by seed: whatever was injected, the ten invariants hold and an end comes."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.simulation.__main__ import Totals
from tests.simulation.chance import MOST, Chance
from tests.simulation.hands import HARMS, Harm
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


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize(
    "at", [1.5, 100, 900], ids=["before it is decided", "before it is read", "once it is loaded"]
)
def test_a_part_that_is_spoilt_by_hand_comes_again(how: Harm, at: float) -> None:
    """Whenever it happens, and at whatever share the policy has: in the end the table is that of a quiet run."""
    for share in (0.5, 0.9):
        case = Case(storm=1800, share=share, harms=((at, "SE", how),), log_replayed=False)
        outcome = simulate("spoilt", case=case, chance=Chance.none())
        assert not outcome.broken, outcome.story()
        assert outcome.injected[f"part {how}"] == 1, outcome.story()
        (end,) = outcome.ends.values()
        assert (end[0], len(end[1])) == ("loaded", 18), outcome.story()


def test_a_year_of_runs_costs_nothing_once_their_raw_objects_are_gone() -> None:
    """Raw objects live 90 days: neither on the day they go nor ever after is anything asked, read or loaded."""
    outcome = simulate("year", case=Case.season(52), chance=Chance.none())
    assert not outcome.broken, outcome.story()
    assert [end for end, _ in outcome.ends.values()] == ["loaded"] * 52
    assert outcome.injected["part at the end of its life"] > 3 * 38
    decided = [line for _, line in outcome.history if "/decisions/" in line]
    assert len(decided) == 52


@pytest.mark.parametrize("kind", MOST)
def test_every_kind_of_fault_alone_is_overcome(kind: str) -> None:
    """A fault that is never injected is a promise that nobody checks; alone, nothing else hides what it does."""
    companions = {"job fails": 0.6, "cluster dies": 0.5} if kind == "load outlives its job" else {}
    injected = 0
    for seed in range(9):
        name = f"{kind}/{seed}"
        chance = Chance(name, {kind: max(MOST[kind], 0.3), **companions})
        outcome = simulate(name, case=Case(storm=3600, replays=((200, "SE", False),)), chance=chance)
        assert not outcome.broken, outcome.story()
        injected += outcome.injected[kind]
    assert injected, f"{kind} was never injected"
