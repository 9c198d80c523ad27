"""The decision tables that docs/decision-tables.md shows are what the code does."""

from typing import get_args

import pytest

from services.batch_trigger.decisions import decide
from services.cluster_manager.decisions import decide as decide_cluster
from services.cluster_manager.ports import ClusterState, JobState
from tests.builders import NOW
from tests.decision_tables import barrier, cluster


@pytest.mark.parametrize("case", barrier.CASES, ids=lambda case: case.id)
def test_the_barrier_does_what_its_table_says(case: barrier.Case) -> None:
    """A row of the page is a promise: situation, step, and the reason why it is this step."""
    assert barrier.told(decide(case.facts, case.now)) == case.step


@pytest.mark.parametrize(("states", "done"), cluster.CELLS.items(), ids=str)
def test_the_cluster_manager_does_what_its_table_says(
    states: tuple[ClusterState | None, JobState | None], done: str
) -> None:
    """Every cell of the page is a promise, those that a run passes through and those that it must never be stuck in."""
    assert cluster.told(decide_cluster(cluster.facts(*states), NOW, cluster.LIMITS)) == done


def test_the_table_has_every_state_once() -> None:
    """A state that Dataproc adds has no answer until somebody wrote one."""
    rows = [state for states in cluster.TABLE for state in states]
    columns = [state for states in cluster.JOBS for state in states]
    assert sorted(rows, key=str) == sorted((None, *get_args(ClusterState)), key=str)
    assert sorted(columns, key=str) == sorted((None, *get_args(JobState)), key=str)


@pytest.mark.parametrize("case", cluster.BESIDES, ids=lambda case: case.situation)
def test_what_states_do_not_tell_is_done_as_the_page_says(case: cluster.Case) -> None:
    """Waiting has an end, a run that cannot be loaded ends with a receipt, and ownership is by label, not by name."""
    assert cluster.told(decide_cluster(case.facts, case.now, cluster.LIMITS)) == case.done
