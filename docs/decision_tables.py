"""docs/decision-tables.md: the rows and cells that the tests try."""

from collections.abc import Sequence

from docs.markdown import table
from tests.decision_tables import barrier, cluster

_INTRODUCTION = """# Decision tables

Written by `make docs` from the cases in `tests/decision_tables/`, which are written by hand and held against the
deciding functions by `tests/unit/test_decision_tables.py`: a change of one shows here, in the same commit.

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
    matrix = [(_named(states), *row) for states, row in cluster.TABLE.items()]
    besides = [(case.situation, case.done) for case in cluster.BESIDES]
    return "\n".join(
        [
            _INTRODUCTION,
            table(("situation", "step", "why"), rows),
            _CLUSTER,
            table(("cluster ↓ job →", *map(_named, cluster.JOBS)), matrix),
            "",
            table(("besides", "what is done"), besides),
            "",
        ]
    )


def _named(states: Sequence[str | None]) -> str:
    return ", ".join(state or "none" for state in states)
