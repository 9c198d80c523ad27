"""The table's columns: what each means, and where it comes from."""

from contracts.columns import COLUMNS, Column
from docs.markdown import table

_INTRODUCTION = """# The table

One row for each track of each new release in each market and run. A run replaces its partition, which is its
`load_date`; rows are clustered by `market`. Views over it: [infra/bigquery/views](../infra/bigquery/views).

A column that is taken as it stands is a field of a [part's line](../contracts/schemas/PartLine.json), at `album` one of
Spotify's album and at `album.tracks.items` one of its tracks. The others are worked out by the Spark job
(`spark_job/transforms.py`). Every value may be null.

This page is written by `make docs` from `contracts/columns.py`;
[how to add a column](../CONTRIBUTING.md#6-add-a-column-to-the-table).
"""


def page() -> str:
    """docs/table.md."""
    rows = [
        (
            f"`{column.name}`",
            _kind(column),
            column.meaning,
            f"`{column.source}`" if column.source else "worked out",
        )
        for column in COLUMNS
    ]
    return f"{_INTRODUCTION}\n{table(('column', 'type', 'meaning', 'taken from'), rows)}\n"


def _kind(column: Column) -> str:
    return f"list of {column.kind}" if column.repeated else column.kind
