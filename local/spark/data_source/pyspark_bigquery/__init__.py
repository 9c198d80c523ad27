"""`.format("bigquery")` where Google's connector is not there: what its indirect method does, for the job's options.

Spark finds this module by its name (it must be importable at top level) and the job's code stays as it is in the
cloud. It asks what the connector was seen to ask (`tests/contract/bigquery_connector`), of the same servers:

- the table is looked at by the name of the day, `table$20261123`;
- each task with rows writes a Parquet file into a folder `.spark-bigquery-…/` of the temporary bucket; without any row
  there is one file with the columns alone;
- one load job, WRITE_TRUNCATE and CREATE_NEVER, puts them into `table$20261123`; what does not fit is BigQuery's to
  refuse, a row of another day for one;
- the folder is removed, also when the load was refused. A job that is killed leaves it behind.

It refuses what it does not know. It deliberately does not imitate: reading, streaming, appending, direct writing,
dynamic overwrite, any partitioning but one DATE column by day, creating a table, retries, Avro and ORC.

Environment: BIGQUERY_EMULATOR_HOST and STORAGE_EMULATOR_HOST (`http://127.0.0.1:P`).
"""

import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

from pyspark import TaskContext
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import GcsFileSystem

_FIXED: Final = {
    "writemethod": "indirect",
    "intermediateformat": "parquet",
    "enablelistinference": "true",
    "partitiontype": "DAY",
    "createdisposition": "CREATE_NEVER",
    "partitionoverwritemode": "STATIC",
}
_LABEL: Final = "bigqueryjoblabel."
_FREE: Final = (
    *("path", "temporarygcsbucket", "datepartition", "partitionfield", "clusteredfields"),
    *(f"{_LABEL}run", f"{_LABEL}revision"),
)
_MOST_NAMED: Final = 9
"""Files that a load job names one by one; of more it names their pattern."""
_WITHIN: Final = 300.0  # seconds for one request
_LOOK: Final = 0.2  # seconds between two looks at a job
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever the environment names
_TABLE: Final = re.compile(r"[A-Za-z0-9-]+\.[A-Za-z0-9_]+\.[A-Za-z0-9_-]+")
_DAY: Final = re.compile(r"[0-9]{8}")


class UnsupportedError(ValueError):
    """The local stand-in does not do what was asked; says what and what to do."""


class LoadError(RuntimeError):
    """BigQuery refused the load; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is replaced: one day of one table."""

    table: str
    field: str
    day: date
    clustered: tuple[str, ...]
    bucket: str
    """Where the files lie on their way."""
    labels: Mapping[str, str]
    """Of the load job."""

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
            bucket=options["temporarygcsbucket"],
            labels={name.removeprefix(_LABEL): told for name, told in options.items() if name.startswith(_LABEL)},
        )

    @property
    def partition(self) -> str:
        """The day by its name, `project.dataset.table$20261123`."""
        return f"{self.table}${self.day:%Y%m%d}"


def load_job(target: Target, columns: Sequence[Mapping[str, Any]], files: Sequence[str]) -> dict[str, Any]:
    """The configuration of the load job; `columns` are the table's own, `files` paths that begin with the bucket."""
    project, dataset, table = target.partition.split(".")
    named = files if len(files) <= _MOST_NAMED else [f"{files[0].rpartition('/')[0]}/part-*.snappy.parquet"]
    return {
        "clustering": {"fields": list(target.clustered)},
        "createDisposition": "CREATE_NEVER",
        "destinationTable": {"projectId": project, "datasetId": dataset, "tableId": table},
        "parquetOptions": {"enableListInference": True},
        "schema": {"fields": list(columns)},
        "sourceFormat": "PARQUET",
        "sourceUris": [f"gs://{file}" for file in named],
        "timePartitioning": {"type": "DAY", "field": target.field, "expirationMs": None},
        "writeDisposition": "WRITE_TRUNCATE",
    }


class DefaultSource(DataSource):
    """What Spark looks for in a module named `pyspark_*`."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return "bigquery"

    def writer(self, schema: StructType, overwrite: bool) -> "Writer":  # noqa: FBT001 -- Spark's signature
        """Check options and table before any row is written, as the connector does."""
        target = Target.of(self.options, overwrite=overwrite)
        at = Servers.of(os.environ)
        columns = _columns(at, target)
        if unknown := sorted({*schema.names} - {column["name"] for column in columns}):
            raise UnsupportedError(f"{target.table} has no column {', '.join(unknown)}. Change it or the job")
        return Writer(target, at, columns, schema)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where BigQuery and Cloud Storage are."""

    bigquery: str
    storage: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment.

        Raises:
            UnsupportedError: it does not say.
        """
        names = ("BIGQUERY_EMULATOR_HOST", "STORAGE_EMULATOR_HOST")
        if missing := [name for name in names if not environment.get(name)]:
            raise UnsupportedError(
                f"{' and '.join(missing)} not set; local/spark/submit.py words a command that sets them"
            )
        return cls(*(environment[name] for name in names))


@dataclass(frozen=True)
class Written(WriterCommitMessage):
    """The Parquet file of one task, or none where it had no rows."""

    file: str | None


class Writer(DataSourceArrowWriter):
    """Files on the workers, the load on the driver. Pickled between the processes."""

    def __init__(
        self, target: Target, at: Servers, columns: Sequence[Mapping[str, Any]], schema: StructType
    ) -> None:
        self.target = target
        self.at = at
        self.columns = columns
        self.schema = schema
        self.folder = f"{target.bucket}/.spark-bigquery-local-{uuid.uuid4()}"

    def write(self, iterator: "Iterator[pa.RecordBatch]") -> Written:
        """Write one task's rows; the first task writes its file also without any."""
        import pyarrow.parquet as pq  # noqa: PLC0415 -- costs the driver's planner time it does not need

        context = TaskContext.get()
        number = context.partitionId() if context else 0
        filled = (batch for batch in iterator if batch.num_rows)
        first = next(filled, None)
        if first is None and number:
            return Written(None)
        file = f"{self.folder}/part-{number:05}-{uuid.uuid4()}.snappy.parquet"
        shape = _shape(self.schema) if first is None else first.schema
        with pq.ParquetWriter(file, shape, filesystem=_files(self.at)) as parquet:
            for batch in chain([first] if first else [], filled):
                parquet.write_batch(batch)
        return Written(file)

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Load the files."""
        files = [message.file for message in messages if isinstance(message, Written) and message.file is not None]
        try:
            _load(self.at, load_job(self.target, self.columns, files), self.target.labels)
        finally:
            self._remove_files()

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:  # noqa: ARG002 -- Spark's signature
        """A task failed: nothing was loaded, so only files are to be removed."""
        self._remove_files()

    def _remove_files(self) -> None:
        from pyarrow.fs import FileSelector  # noqa: PLC0415 -- as above

        files = _files(self.at)
        for found in files.get_file_info(FileSelector(self.folder, allow_not_found=True, recursive=True)):
            if found.is_file:
                files.delete_file(found.path)


def _shape(schema: StructType) -> "pa.Schema":
    from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415 -- needed only where there is no row

    return to_arrow_schema(schema)


def _files(at: Servers) -> "GcsFileSystem":
    from pyarrow.fs import GcsFileSystem  # noqa: PLC0415 -- as above

    scheme, _, address = at.storage.partition("://")
    return GcsFileSystem(anonymous=True, scheme=scheme, endpoint_override=address)


def _columns(at: Servers, target: Target) -> list[dict[str, Any]]:
    project, dataset, table = target.partition.split(".")
    try:
        found = _ask(at, f"projects/{project}/datasets/{dataset}/tables/{table}")
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        raise UnsupportedError(
            f"createDisposition is CREATE_NEVER, and the table {target.table} does not exist; nothing was loaded"
        ) from error
    columns: list[dict[str, Any]] = found["schema"]["fields"]
    return columns


def _load(at: Servers, load: Mapping[str, Any], labels: Mapping[str, str]) -> None:
    """Have the job done, and wait for its end.

    Raises:
        LoadError: BigQuery refused it.
    """
    project = load["destinationTable"]["projectId"]
    reference = {"projectId": project, "jobId": str(uuid.uuid4())}
    configuration = {"load": load, "labels": labels}
    job = _ask(at, f"projects/{project}/jobs", {"jobReference": reference, "configuration": configuration})
    while job["status"]["state"] != "DONE":
        time.sleep(_LOOK)
        job = _ask(at, f"projects/{project}/jobs/{reference['jobId']}")
    if fault := job["status"].get("errorResult"):
        raise LoadError(f"BigQuery refused the load job {reference['jobId']}: {fault['message']}")


def _ask(at: Servers, path: str, body: object = None) -> dict[str, Any]:
    """One request. Not through Google's client, whose import in two processes costs more than all that is done here."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 -- the emulator's address
        f"{at.bigquery}/bigquery/v2/{path}?prettyPrint=false", content, {"Content-Type": "application/json"}
    )
    with _DIRECT.open(request, timeout=_WITHIN) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}") if _DAY.fullmatch(text) else None
    except ValueError:
        return None
