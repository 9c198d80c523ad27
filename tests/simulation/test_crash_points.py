"""Wherever a process dies in a quiet run, the run comes to the same end, by events alone."""

import pytest

from tests.simulation.crash_points import CASES, Plan

SAMPLE = 20


@pytest.mark.parametrize("name", CASES)
def test_every_crash_point_comes_to_the_end_of_a_quiet_run(name: str) -> None:
    """Each call fails; each effect is crashed before, crashed after, and done with its answer lost."""
    plan = Plan.of(CASES[name])
    print(f"{name}: {plan}")
    assert list(plan.failures(plan.singles)) == []


@pytest.mark.parametrize("name", CASES)
def test_two_faults_in_one_run_come_to_the_same_end(name: str) -> None:
    """Recovery itself may be interrupted: a sample of the ordered pairs; the command line runs all."""
    plan = Plan.of(CASES[name])
    assert list(plan.failures(plan.sample(seed=1, size=SAMPLE))) == []
