"""What BigQuery can and its emulator cannot, asked with BigQuery's own client through the proxy."""

import io
import json
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery
from google.cloud.bigquery import LoadJob, LoadJobConfig, SchemaField

from local.bigquery import BigQuery
from local.bigquery_proxy import amended
from local.storage import Storage

PROJECT = "proxy-test"
BUCKET = "proxy-test"
DAY, OTHER = date(2030, 1, 2), date(2030, 1, 3)
SCHEMA = [SchemaField("load_date", "DATE"), SchemaField("pieces", "INTEGER"), SchemaField("paid", "BOOLEAN")]
emulator = pytest.mark.emulator


class Shop:
    """A table of a test's own, partitioned by day."""

    def __init__(self, client: bigquery.Client, storage: Storage) -> None:
        self.client = client
        self._storage = storage
        self.name = f"{PROJECT}.shop.t_{uuid.uuid4().hex}"
        table = bigquery.Table(self.name, schema=SCHEMA)
        table.time_partitioning = bigquery.TimePartitioning(field="load_date")
        table.clustering_fields = ["pieces"]
        client.create_dataset("shop", exists_ok=True)
        client.create_table(table)

    def load(self, to: str, rows: list[tuple[date | None, int]], **load: Any) -> LoadJob:
        """Put rows into an object, ask for it to be loaded, and give the job however it ended."""
        content = io.BytesIO()
        shape = pa.schema([("load_date", pa.date32()), ("pieces", pa.int64()), ("paid", pa.bool_())])
        told = [{"load_date": day, "pieces": pieces, "paid": True} for day, pieces in rows]
        pq.write_table(pa.Table.from_pylist(told, shape), content)
        client = self._storage.client(PROJECT)
        blob = client.bucket(BUCKET).blob(f"{uuid.uuid4().hex}.parquet")
        blob.upload_from_string(content.getvalue())
        client.close()
        asked = {
            "sourceFormat": "PARQUET",
            "writeDisposition": "WRITE_TRUNCATE",
            "createDisposition": "CREATE_NEVER",
        }
        config: Any = LoadJobConfig.from_api_repr({"load": asked | load})
        return self.client.load_table_from_uri(f"gs://{BUCKET}/{blob.name}", to, job_config=config)

    def rows(self) -> list[tuple[date, int]]:
        """What the table holds."""
        found = self.client.query_and_wait(f"SELECT load_date, pieces FROM `{self.name}` ORDER BY 1, 2")  # noqa: S608
        return [tuple(row) for row in found]


@pytest.fixture
def shop(bigquery: BigQuery, storage: Storage) -> Iterator[Shop]:
    """The table."""
    storage.ensure_bucket(PROJECT, BUCKET)
    client = bigquery.client(PROJECT)
    yield Shop(client, storage)
    client.close()


@emulator
def test_a_load_into_a_day_replaces_it_and_no_other(shop: Shop) -> None:
    """Twice is once; with WRITE_APPEND it is added; without rows the day is emptied."""
    shop.load(f"{shop.name}$20300103", [(OTHER, 9)]).result()
    for _ in range(2):
        job = shop.load(f"{shop.name}$20300102", [(DAY, 1), (DAY, 2)])
        job.result()
        assert (job.output_rows, job.output_bytes) == (2, 0)
    assert shop.rows() == [(DAY, 1), (DAY, 2), (OTHER, 9)]
    shop.load(f"{shop.name}$20300102", [(DAY, 3)], writeDisposition="WRITE_APPEND").result()
    assert shop.rows() == [(DAY, 1), (DAY, 2), (DAY, 3), (OTHER, 9)]
    shop.load(f"{shop.name}$20300102", []).result()
    assert shop.rows() == [(OTHER, 9)]
    assert [
        table.table_id for table in shop.client.list_tables("shop") if table.table_id.startswith("staging_")
    ] == []


@emulator
@pytest.mark.parametrize("day", [OTHER, None])
def test_a_row_of_another_day_fails_the_job(shop: Shop, day: date | None) -> None:
    """The table stays as it was, and whoever asks for the job later is told the same."""
    shop.load(f"{shop.name}$20300102", [(DAY, 1)]).result()
    job = shop.load(f"{shop.name}$20300102", [(DAY, 2), (day, 3)])
    with pytest.raises(BadRequest, match=r"Some rows belong to different partitions .*\$20300102"):
        job.result()
    again = shop.client.get_job(job.job_id, location=job.location)
    assert (again.state, again.error_result) == ("DONE", job.error_result)
    assert shop.rows() == [(DAY, 1)]


@emulator
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"clustering": {"fields": ["paid"]}}, "Incompatible table partitioning specification: clustering"),
        ({"timePartitioning": {"type": "DAY", "field": "sold"}}, "specification: timePartitioning"),
        ({"writeDisposition": "WRITE_EMPTY"}, "no WRITE_EMPTY"),
    ],
)
def test_what_does_not_fit_the_table_is_refused(shop: Shop, changed: dict[str, Any], why: str) -> None:
    """As BigQuery refuses it, and what is not imitated is not done in some other way."""
    with pytest.raises(BadRequest, match=why):
        shop.load(f"{shop.name}$20300102", [(DAY, 1)], **changed).result()
    assert shop.rows() == []


@emulator
def test_no_table_and_no_day_are_refused(shop: Shop) -> None:
    """Nothing is made under a misspelt name, and a day that there is not is none."""
    with pytest.raises(BadRequest, match=r"Not found: .*nowhere"):
        shop.load(f"{PROJECT}.shop.nowhere$20300102", [(DAY, 1)]).result()
    with pytest.raises(BadRequest, match="20301301 is not a day"):
        shop.load(f"{shop.name}$20301301", [(DAY, 1)]).result()
    with pytest.raises(NotFound):
        shop.client.get_table(f"{PROJECT}.shop.nowhere$20300102")


@emulator
def test_a_job_id_is_used_once(shop: Shop) -> None:
    """A load that is sent twice is not done twice."""
    job = shop.load(f"{shop.name}$20300102", [(DAY, 1)])
    with pytest.raises(BadRequest, match="Already Exists"):
        shop.client.load_table_from_uri(
            f"gs://{BUCKET}/x", f"{shop.name}$20300102", job_id=job.job_id, job_config=LoadJobConfig()
        )


@emulator
def test_a_day_is_described_as_its_table(shop: Shop) -> None:
    """Under the name that was asked for, with the columns in BigQuery's older words."""
    found = shop.client.get_table(f"{shop.name}$20300102")
    assert found.table_id == f"{shop.name.rpartition('.')[2]}$20300102"
    assert [field.field_type for field in found.schema] == ["DATE", "INTEGER", "BOOLEAN"]


@emulator
def test_a_load_of_the_whole_table_is_passed_on(shop: Shop) -> None:
    """Without a day in the name the emulator replaces all of it, as BigQuery does."""
    shop.load(f"{shop.name}$20300103", [(OTHER, 9)]).result()
    job = shop.load(shop.name, [(DAY, 1)])
    job.result()
    assert (shop.rows(), job.output_bytes) == ([(DAY, 1)], 0)


def test_answers_have_bigquery_s_words() -> None:
    """In columns at any depth, and nowhere else; a number of bytes that is there stays."""
    fields = [
        {"name": "a", "type": "STRUCT", "fields": [{"name": "b", "type": "INT64"}, {"name": "c", "type": "BOOL"}]}
    ]
    told = {"schema": {"fields": fields}, "rows": [{"f": [{"v": "INT64"}]}], "type": "BOOL"}
    assert json.dumps(amended(told)) == json.dumps(told).replace("STRUCT", "RECORD").replace(
        '"type": "INT64"', '"type": "INTEGER"'
    ).replace('"c", "type": "BOOL"', '"c", "type": "BOOLEAN"')
    loaded = {"load": {"outputRows": "1", "outputBytes": "7"}}
    assert amended(loaded) == loaded
