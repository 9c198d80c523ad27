"""One Spark job in a fresh JVM: `python -m benchmarks.subjects.spark WHAT FOLDER OUT`, which ends with a line of JSON.

WHAT: `ours` is the job as it is shipped, its rows written as Parquet in place of the load; `reference` is the
reference job, which counts after every step; `read` parses our files with our schema and drops what it parsed, the
least that a Spark job on them can do; `text` only reads their lines.

All with the same settings, those of the local stack: two cores, one JVM, and the archive of Spark's classes if
`make setup` has recorded it. FOLDER holds the reference's files, or the bucket with ours.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 -- the name the field uses
from pyspark.sql.types import StructType

from benchmarks.corpus import RUN
from benchmarks.subjects.usage import usage_of
from contracts.names import decision_name
from local.spark import class_archive, connectors, submit
from spark_job import job
from spark_job.arguments import Arguments, parse
from spark_job.schemas import LINE, RECORD

_BUCKET: Final = "corpus"
_RAW: Final = f"gs://{_BUCKET}/raw/{RUN}/"
_REFERENCE: Final = (
    "market string, data array<struct<release_date: string, tracks: array<struct<name: string, duration_ms: int, "
    "artists: array<struct<name: string>>>>>>"
)


def ours(spark: SparkSession, _folder: Path, out: Path) -> None:
    """The job, from its parts to its counts."""

    def to_parquet(rows: DataFrame, _arguments: Arguments) -> None:
        rows.write.mode("overwrite").parquet(out.as_uri())

    told = {
        "input": _RAW,
        "run-id": RUN,
        "revision": "1",
        "decision": f"gs://{_BUCKET}/{decision_name(RUN, 1)}",
        "table": "benchmark.music.new_releases",
        "temporary-bucket": _BUCKET,
        "result": f"gs://{_BUCKET}/loads/0001.json",
        "quarantine": f"gs://{_BUCKET}/quarantine/{RUN}/0001/",
    }
    job.run(spark, parse([f"--{name}={value}" for name, value in told.items()]), load=to_parquet)


def reference(spark: SparkSession, folder: Path, out: Path) -> None:
    """Whole files as single objects, exploded twice; rows are counted after each step, for the log."""
    markets = spark.read.schema(_REFERENCE).json(f"{folder.as_uri()}/*.json", multiLine=True)
    print("markets", markets.count())
    albums = markets.select("market", F.explode("data").alias("album"))
    print("albums", albums.count())
    tracks = albums.select("market", "album.release_date", F.explode("album.tracks").alias("track"))
    print("tracks", tracks.count())
    names = F.transform("track.artists", lambda artist: artist["name"])
    rows = tracks.select(
        "market",
        "release_date",
        F.col("track.name").alias("track_name"),
        "track.duration_ms",
        F.concat_ws(", ", names).alias("artists"),
        F.current_date().alias("load_date"),
    )
    print("rows", rows.count())
    rows.write.mode("overwrite").parquet(out.as_uri())


def read(spark: SparkSession, _folder: Path, _out: Path) -> None:
    """Parse and drop."""
    fields = [field for field in RECORD.fields if field.name != LINE]
    parsed = spark.read.schema(StructType(fields)).json(_RAW)
    parsed.write.format("noop").mode("overwrite").save()


def text(spark: SparkSession, _folder: Path, _out: Path) -> None:
    """Read lines and drop them."""
    spark.read.text(_RAW).write.format("noop").mode("overwrite").save()


_WHAT: Final[dict[str, Callable[[SparkSession, Path, Path], None]]] = {
    "ours": ours,
    "reference": reference,
    "read": read,
    "text": text,
}


def _from_disk(folder: Path) -> dict[str, str]:
    """Hadoop's mapping of the bucket to its folder: all engines read the same disk, and an emulator is not measured."""
    return {
        "spark.hadoop.fs.gs.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        f"spark.hadoop.fs.viewfs.mounttable.{_BUCKET}.linkFallback": (folder.parent / _BUCKET).resolve().as_uri(),
    }


def main(what: str, folder: Path, out: Path) -> None:
    """Start a session, run, tell."""
    started = time.monotonic()
    builder = SparkSession.builder.appName(what)
    java_home = Path(os.environ["JAVA_HOME"])
    found = connectors.found(java_home, os.environ)
    archive = class_archive.existing(java_home, found)
    for name, value in (submit.properties(found, "", archive) | _from_disk(folder)).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    begun = time.monotonic()
    _WHAT[what](spark, folder, out)
    ended = time.monotonic()
    gateway: Any = spark.sparkContext._gateway  # noqa: SLF001 -- the JVM's process id is told nowhere else
    used = usage_of(gateway.proc.pid)
    rows = 0 if what in ("read", "text") else spark.read.parquet(out.as_uri()).count()
    spark.stop()
    told = {"seconds": ended - begun, "start": begun - started, "rows": rows, **used}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
