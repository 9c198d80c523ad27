"""The decision tables that docs/decision-tables.md shows are what the code does."""

import pytest

from services.batch_trigger.decisions import decide
from services.cluster_manager.ports import ClusterState, JobState
from tests.decision_tables import barrier, cluster


@pytest.mark.parametrize("case", barrier.CASES, ids=lambda case: case.id)
def test_the_barrier_does_what_its_table_says(case: barrier.Case) -> None:
    """A row of the page is a promise: situation, step, and the reason why it is this step."""
    assert barrier.told(decide(case.facts, case.now)) == case.step


@pytest.mark.parametrize(("states", "done"), cluster.NAMED.items(), ids=str)
def test_the_cluster_manager_does_what_its_table_says(
    states: tuple[ClusterState | None, JobState | None], done: str
) -> None:
    """The cells that a run passes through, and those that it must never leave without an answer."""
    assert cluster.cell(*states) == done


def test_a_late_cluster_is_replaced() -> None:
    """Waiting has an end: a cluster that does not come is not the only one that may be tried."""
    assert cluster.cell("CREATING", None, cluster.LATE) == "claim cluster 2, delete this one"


def test_the_last_failure_is_told() -> None:
    """A run that cannot be loaded ends, with a receipt that says so, and leaves nothing running."""
    assert cluster.failed_twice() == "write a failed receipt, delete this one"


def test_a_stranger_is_let_alone() -> None:
    """Ownership is by label: the name alone proves nothing, and the next attempt has another name."""
    assert cluster.stranger() == "claim cluster 2"


def test_the_second_look_reads_so() -> None:
    """An older load that ended late is put right once; what is right is noted, and costs nothing more."""
    assert cluster.second_look(2) == "note that the table is right"
    assert cluster.second_look(1) == "note that an older load took the table back"
