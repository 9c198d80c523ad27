"""docs/decision-tables.md: the rows that the tests try, and what the cluster manager answers in every state."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from docs.markdown import table
from tests.decision_tables import barrier, cluster

StateT = TypeVar("StateT")

_INTRODUCTION = """# Decision tables

Written by `make docs` from the cases in `tests/decision_tables/`, which `tests/unit/test_decision_tables.py` tries,
and by asking the decisions themselves. `make check` fails where this page is not what the code does: a change of a
decision shows here, in the same commit.

## When is a batch closed?

`decide` in `services/batch_trigger/decisions.py`. The run expects DK, SE and NO, wants 60 % of them, is quiet for
60 s and has a deadline six hours after its start.
"""
_CLUSTER = """
## What is done about clusters and jobs?

`decide` in `services/cluster_manager/decisions.py`. Revision 1 is decided and has no receipt; its first cluster is
claimed; two clusters and two jobs are allowed. Down: the cluster's state. Across: the job's. States with the same
answers share a row or column.
"""


def page() -> str:
    """The whole page."""
    rows = [(case.situation, case.step, case.why) for case in barrier.CASES]
    also = [
        ("the cluster is still CREATING after its 20 minutes", cluster.cell("CREATING", None, cluster.LATE)),
        ("the second and last job failed", cluster.failed_twice()),
        ("the claimed name belongs to a cluster without our labels", cluster.stranger()),
        ("seven hours after revision 2 was finished, the table holds it", cluster.second_look(2)),
        ("the same; the table holds revision 1 again", cluster.second_look(1)),
    ]
    return "\n".join(
        [
            _INTRODUCTION,
            table(("situation", "step", "why"), rows),
            _CLUSTER,
            _matrix(),
            "",
            table(("besides", "what is done"), also),
            "",
        ]
    )


def _matrix() -> str:
    """The answers, with equal rows and equal columns put together."""
    columns = list(_grouped({job: tuple(cluster.cell(c, job) for c in cluster.CLUSTERS) for job in cluster.JOBS}))
    first = [names[0] for names in columns]
    found = {state: tuple(cluster.cell(state, job) for job in first) for state in cluster.CLUSTERS}
    rows = [(_named(states), *found[states[0]]) for states in _grouped(found)]
    return table(("cluster ↓ job →", *(_named(names) for names in columns)), rows)


def _grouped(answers: Mapping[StateT, tuple[str, ...]]) -> Iterator[list[StateT]]:
    together: dict[tuple[str, ...], list[StateT]] = {}
    for key, answer in answers.items():
        together.setdefault(answer, []).append(key)
    yield from together.values()


def _named(states: Sequence[str | None]) -> str:
    return ", ".join(state or "none" for state in states)
