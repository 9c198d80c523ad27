"""A year of runs for the dashboard: the simulator's catalogue, straight into the emulator by Parquet load jobs."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

from contracts.columns import COLUMNS
from contracts.names import MARKETS
from local import tools
from local.bigquery import BigQuery
from local.choices import DATASET, PROJECT, TABLE
from local.spotify import shapes
from local.spotify.catalogue import Catalogue
from local.spotify.shapes import Json

SCHEMA = tools.ROOT / "infra/bigquery/new_releases.schema.json"
VIEWS = tools.ROOT / "infra/bigquery/views"
NEWEST = date(2026, 11, 23)
_KINDS = {"STRING": pa.string(), "INT64": pa.int64(), "BOOL": pa.bool_(), "DATE": pa.date32()}
_COLUMNS = pa.schema(
    (column.name, pa.list_(_KINDS[column.kind]) if column.repeated else _KINDS[column.kind]) for column in COLUMNS
)


def furnish(warehouse: BigQuery, *, dataset: str = DATASET) -> None:
    """Table and views, as the stack makes them."""
    warehouse.ensure_table(PROJECT, dataset, TABLE, schema=SCHEMA)
    warehouse.ensure_views(PROJECT, dataset, TABLE, folder=VIEWS)


def load(
    warehouse: BigQuery,
    weeks: int,
    *,
    dataset: str = DATASET,
    newest: date = NEWEST,
    markets: Sequence[str] = MARKETS,
    without: Mapping[date, str] = MappingProxyType({}),
    images: str = shapes.IMAGES,
) -> int:
    """Load so many weeks up to the newest; gives the number of rows.

    Args:
        warehouse: The emulator.
        weeks: How many.
        dataset: Of the table.
        newest: The newest week.
        markets: The markets of every week.
        without: The market that a week lacks.
        images: Where covers lie.
    """
    # One job for all weeks: the emulator takes seconds for each, however little it holds.
    runs = _runs(weeks, newest, markets, without, images)
    return load_rows(warehouse, runs, dataset=dataset)


def load_rows(warehouse: BigQuery, runs: Iterable[Sequence[Json]], *, dataset: str = DATASET) -> int:
    """Append the rows of runs to the table; gives their number."""
    # Run by run: a year of rows as dicts would be a gigabyte.
    table = pa.concat_tables([pa.Table.from_pylist(list(rows), schema=_COLUMNS) for rows in runs])
    file = io.BytesIO()
    pq.write_table(table, file)
    wanted = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    client = warehouse.client(PROJECT)
    target = f"{PROJECT}.{dataset}.{TABLE}"
    client.load_table_from_file(file, target, rewind=True, job_config=wanted).result()
    client.close()
    return int(table.num_rows)


def _runs(
    weeks: int, newest: date, markets: Sequence[str], without: Mapping[date, str], images: str
) -> Iterator[list[Json]]:
    catalogue = Catalogue(seed=1, week=newest)
    for _ in range(weeks):
        there = [market for market in markets if market != without.get(catalogue.week)]
        yield catalogue.expected_rows(there, "browse", 50, run_id=catalogue.week.isoformat(), images=images)
        catalogue = catalogue.preceding()
