"""`.format("bigquery")` on one machine: the few options the Spark job uses, against the BigQuery emulator.

Spark finds this module by its name (it must be importable at top level) and the job's code stays as it is in the
cloud. Like the connector's indirect method it has two phases: every task writes Parquet; then, once, the rows are
loaded and the partition is replaced. Since the emulator refuses `table$20261123`, the second phase loads into a
staging table and replaces the partition in one transaction. A job killed at any moment leaves the old rows or the
new; what it may leave behind is a temporary folder and a staging table that expires.

It refuses what it does not know. It deliberately does not imitate:

- reading, streaming, appending, direct writing, dynamic overwrite, any partitioning but one DATE column by day;
- the temporary bucket: Parquet lies in the system's temporary folder and is uploaded to the emulator file by file,
  since a foreign file in the folder of the fake Cloud Storage would break every listing that meets it;
- creating a table, changing its schema, labels or clustering: partitioning and clustering asked for must be those
  the table has (BigQuery refuses a load that disagrees);
- permissions, quotas, retries, job labels, Avro and ORC;
- column order and nullability checks of the load job: columns are matched by name and must all be in the table;
- the emulator does not act on a staging table's expiration: one left by a killed job stays until the emulator's
  data is removed.

Environment: BIGQUERY_EMULATOR_HOST (`http://127.0.0.1:P`).
"""

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery

_STAGING_LIFE: Final = timedelta(hours=6)
_FIXED: Final = {
    "writemethod": "indirect",
    "intermediateformat": "parquet",
    "enablelistinference": "true",
    "partitiontype": "DAY",
    "createdisposition": "CREATE_NEVER",
}
_FREE: Final = ("path", "temporarygcsbucket", "datepartition", "partitionfield", "clusteredfields")
_FOLDER: Final = "spark-bigquery-"
_TABLE: Final = re.compile(r"[A-Za-z0-9-]+\.[A-Za-z0-9_]+\.[A-Za-z0-9_-]+")
_DAY: Final = re.compile(r"[0-9]{8}")


class UnsupportedError(ValueError):
    """The local stand-in does not do what was asked; says what and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is replaced: one day of one table."""

    table: str
    field: str
    day: date
    clustered: tuple[str, ...]

    @classmethod
    def of(cls, options: Mapping[str, str], *, overwrite: bool) -> Self:
        """Read the options, whose names arrive in lower case.

        Raises:
            UnsupportedError: with every fault.
        """
        faults = [] if overwrite else ["mode: only overwrite is supported"]
        faults += [
            f"{name}: is not an option of the local stand-in" for name in sorted({*options} - {*_FIXED, *_FREE})
        ]
        faults += [f"{name}: is missing" for name in (*_FIXED, *_FREE) if name not in options]
        faults += [
            f"{name}: only {only} is supported, got {options[name]}"
            for name, only in _FIXED.items()
            if name in options and options[name] != only
        ]
        if not _TABLE.fullmatch(options.get("path", "")):
            faults.append(f"path: write the table as project.dataset.table, got {options.get('path')!r}")
        day = _day(options.get("datepartition", ""))
        if day is None:
            faults.append(f"datepartition: write the day as 20261123, got {options.get('datepartition')!r}")
        if faults or day is None:
            raise UnsupportedError(
                "the local stand-in for the BigQuery connector cannot do this: "
                + "; ".join(faults)
                + ". Change the job's options, or teach them to local/spark/data_source/pyspark_bigquery"
            )
        return cls(
            table=options["path"],
            field=options["partitionfield"],
            day=day,
            clustered=tuple(name.strip() for name in options["clusteredfields"].split(",")),
        )


class DefaultSource(DataSource):
    """What Spark looks for in a module named `pyspark_*`."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return "bigquery"

    def writer(self, schema: StructType, overwrite: bool) -> "Writer":  # noqa: FBT001 -- Spark's signature
        """Check options and table before any row is written, as the connector does."""
        target = Target.of(self.options, overwrite=overwrite)
        host = _emulator()
        with _client(host, target) as client:
            _check_table(client.get_table(target.table), target, schema.names)
        return Writer(target, host, Path(tempfile.mkdtemp(prefix=_FOLDER)))


@dataclass(frozen=True)
class Written(WriterCommitMessage):
    """The Parquet file of one task, or none where it had no rows."""

    file: Path | None


class Writer(DataSourceArrowWriter):
    """Phase one on the workers, phase two on the driver. Pickled between the processes."""

    def __init__(self, target: Target, host: str, folder: Path) -> None:
        self.target = target
        self.host = host
        self.folder = folder

    def write(self, iterator: "Iterator[pa.RecordBatch]") -> Written:
        """Write one task's rows; refuse a row outside the partition, as the load job would."""
        import pyarrow.parquet as pq  # noqa: PLC0415 -- costs the driver's planner time it does not need

        filled = (batch for batch in iterator if batch.num_rows)
        first = next(filled, None)
        if first is None:
            return Written(None)
        file = self.folder / f"part-{uuid.uuid4().hex}.parquet"
        with pq.ParquetWriter(file, first.schema) as parquet:
            for batch in chain([first], filled):
                self._check_day(batch)
                parquet.write_batch(batch)
        return Written(file)

    def _check_day(self, batch: "pa.RecordBatch") -> None:
        import pyarrow as pa  # noqa: PLC0415 -- as above
        import pyarrow.compute as pc  # noqa: PLC0415 -- as above

        column = batch.column(self.target.field)
        inside = pc.fill_null(pc.equal(column, pa.scalar(self.target.day, pa.date32())), False)  # noqa: FBT003
        if not pc.all(inside).as_py():
            outside = column.filter(pc.invert(inside))[0].as_py()
            raise UnsupportedError(
                f"a row has {self.target.field} {outside}, which is outside the partition {self.target.day}; "
                "nothing was loaded. Give every row the partition's date"
            )

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Load the files into a staging table and replace the partition in one transaction."""
        files = [message.file for message in messages if isinstance(message, Written) and message.file is not None]
        with _client(self.host, self.target) as client, self._staged(client, files) as staged:
            client.query(_replacement(self.target, staged)).result()
        self._remove_files()

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:  # noqa: ARG002 -- Spark's signature
        """A task failed: nothing was loaded, so only files are to be removed."""
        self._remove_files()

    @contextmanager
    def _staged(self, client: "bigquery.Client", files: Sequence[Path]) -> "Iterator[bigquery.Table]":
        from google.cloud import bigquery  # noqa: PLC0415 -- the workers do not need it, and it is slow to import

        table = client.get_table(self.target.table)
        name = f"{table.project}.{table.dataset_id}.staging_{table.table_id}_{uuid.uuid4().hex}"
        staged = bigquery.Table(name, schema=table.schema)
        staged.expires = datetime.now(UTC) + _STAGING_LIFE
        staged = client.create_table(staged)
        try:
            for file in files:
                with file.open("rb") as content:
                    client.load_table_from_file(content, staged, job_config=_load_config()).result()
            yield staged
        finally:
            client.delete_table(staged, not_found_ok=True)

    def _remove_files(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _replacement(target: Target, staged: "bigquery.Table") -> str:
    columns = ", ".join(f"`{field.name}`" for field in staged.schema)
    source = f"{staged.project}.{staged.dataset_id}.{staged.table_id}"
    # Names come from BigQuery and from checked options, never from data.
    delete = f"DELETE FROM `{target.table}` WHERE `{target.field}` = DATE '{target.day}'"
    insert = f"INSERT INTO `{target.table}` ({columns}) SELECT {columns} FROM `{source}`"
    return f"BEGIN TRANSACTION; {delete}; {insert}; COMMIT TRANSACTION;"


def _load_config() -> "bigquery.LoadJobConfig":
    from google.cloud import bigquery  # noqa: PLC0415 -- the workers do not need it, and it is slow to import

    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    config.parquet_options = bigquery.ParquetOptions()
    config.parquet_options.enable_list_inference = True
    return config


@contextmanager
def _client(host: str, target: Target) -> "Iterator[bigquery.Client]":
    from google.api_core.client_options import ClientOptions  # noqa: PLC0415 -- the workers need no client
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 -- the same
    from google.cloud import bigquery  # noqa: PLC0415 -- the same

    client = bigquery.Client(
        project=target.table.partition(".")[0],
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=host),
    )
    try:
        yield client
    finally:
        client.close()


def _check_table(table: "bigquery.Table", target: Target, columns: Sequence[str]) -> None:
    partitioning = table.time_partitioning
    field, kind = (partitioning.field, partitioning.type_) if partitioning else (None, None)
    clustered = tuple(table.clustering_fields or ())
    known = {column.name for column in table.schema}
    faults = [f"it has no column {name}" for name in columns if name not in known]
    if (field, kind) != (target.field, "DAY"):
        faults.append(f"it is partitioned by {field} ({kind}), not by {target.field} (DAY)")
    if clustered != target.clustered:
        faults.append(f"it is clustered by {', '.join(clustered)}, not by {', '.join(target.clustered)}")
    if faults:
        raise UnsupportedError(f"{target.table} does not fit the rows: {'; '.join(faults)}. Change it or the job")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}") if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _emulator() -> str:
    host = os.environ.get("BIGQUERY_EMULATOR_HOST", "")
    if not host:
        raise UnsupportedError(
            "BIGQUERY_EMULATOR_HOST is not set; local/spark/submit.py words a command that sets it"
        )
    return host
