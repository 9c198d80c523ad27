"""Wherever a process dies in a quiet run, the run comes to the same end, by events alone."""

import pytest

from tests.simulation.crash_points import CASES, Plan

SAMPLE = 20
LONG = "an older load ends last"
"""Seven hours of sweeps for each point: all of them at night, and the effects here."""


@pytest.mark.parametrize("name", [name for name in CASES if name != LONG])
def test_every_crash_point_comes_to_the_end_of_a_quiet_run(name: str) -> None:
    """Each call fails; each effect is crashed before, crashed after, and done with its answer lost."""
    plan = Plan.of(CASES[name])
    print(f"{name}: {plan}")
    assert list(plan.failures(plan.singles)) == []


def test_every_crash_point_at_an_effect_of_the_second_look_comes_to_the_end_of_a_quiet_run() -> None:
    """The same where hours pass; a look that fails there is tried by the command line."""
    plan = Plan.of(CASES[LONG])
    assert list(plan.failures(single for single in plan.singles if single[0][0] in plan.effects)) == []


@pytest.mark.parametrize("name", CASES)
def test_two_faults_in_one_run_come_to_the_same_end(name: str) -> None:
    """Recovery itself may be interrupted: a sample of the ordered pairs; the command line runs all."""
    plan = Plan.of(CASES[name])
    assert list(plan.failures(plan.sample(seed=1, size=SAMPLE))) == []
