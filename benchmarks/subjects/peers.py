"""The transformation by DuckDB or Polars, or the files' bytes read and unpacked and no more.

    python peers.py duckdb|polars|bytes BUCKET_FOLDER OUT

Run by the peers' own environment, so it imports nothing of ours but the names of the table's columns. Same files, same
columns, rows as Parquet, two threads. Neither judges its lines, quarantines or counts.
"""

import gzip
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spark_job.columns import COLUMNS

THREADS = 2
_TRACK = "album.tracks.items"
_PLACES = ("", "album", _TRACK, "derived")
_TYPES = {"STRING": "VARCHAR", "INT64": "BIGINT", "BOOL": "BOOLEAN"}
WORKED_OUT = {
    "artists": "array_to_string([a.name FOR a IN track.artists IF a.name IS NOT NULL], ', ')",
    "load_date": "run_id::DATE",
    "release_day": "CASE WHEN album.release_date_precision = 'day' THEN TRY_CAST(album.release_date AS DATE) END",
    "artist_ids": "[a.id FOR a IN track.artists IF a.id IS NOT NULL]",
    "run_id": "run_id",
    "revision": "1::BIGINT",
}
"""The columns that are not taken as they stand, for DuckDB."""
_SQL = """
COPY (
  SELECT COLUMNS
  FROM (SELECT *, unnest(album.tracks.items) AS track
        FROM read_json($files, format = 'newline_delimited', columns = FIELDS))
  WHERE track IS NOT NULL
) TO 'OUT' (FORMAT parquet)
"""


def _taken(place: str) -> dict[str, str]:
    """Fields that are taken from there as they stand, and their kinds."""
    found = [(source.rpartition("."), kind) for _, kind, _, source in COLUMNS if source is not None]
    return {field: kind for (at, _, field), kind in found if at == place}


def _fields() -> dict[str, str]:
    """What DuckDB reads of a line."""
    line, album, track, derived = (
        {field: _TYPES[kind] for field, kind in _taken(place).items()} for place in _PLACES
    )
    track["artists"] = "STRUCT(id VARCHAR, name VARCHAR)[]"
    album["tracks"] = f"STRUCT(items {_struct(track)}[])"
    return {**line, "run_id": "VARCHAR", "derived": _struct(derived), "album": _struct(album)}


def _struct(fields: dict[str, str]) -> str:
    return f"STRUCT({', '.join(f'{name} {kind}' for name, kind in fields.items())})"


def duckdb_rows(files: list[str], out: Path) -> int:
    """By DuckDB."""
    import duckdb  # type: ignore[import-not-found]  # noqa: PLC0415 -- each run loads its own library

    connection = duckdb.connect(config={"threads": THREADS})
    fields = "{" + ", ".join(f"{name}: '{kind}'" for name, kind in _fields().items()) + "}"
    columns = ", ".join(
        f"{WORKED_OUT[name] if source is None else source.replace(_TRACK, 'track')} AS {name}"
        for name, _, _, source in COLUMNS
    )
    statement = _SQL.replace("COLUMNS", columns).replace("FIELDS", fields).replace("OUT", str(out))
    connection.execute(statement, {"files": files})
    return int(connection.sql(f"SELECT count(*) FROM '{out}'").fetchall()[0][0])  # noqa: S608 -- a path made here


def polars_rows(files: list[str], out: Path) -> int:
    """By Polars, file by file in its own threads; it reads gzip only as unpacked bytes."""
    import polars as pl  # type: ignore[import-not-found]  # noqa: PLC0415 -- each run loads its own library

    kinds = {"STRING": pl.String, "INT64": pl.Int64, "BOOL": pl.Boolean}
    line, album, track, derived = (
        {field: kinds[kind] for field, kind in _taken(place).items()} for place in _PLACES
    )
    track["artists"] = pl.List(pl.Struct({"id": pl.String, "name": pl.String}))
    album["tracks"] = pl.Struct({"items": pl.List(pl.Struct(track))})
    schema = {**line, "run_id": pl.String, "derived": pl.Struct(derived), "album": pl.Struct(album)}
    structs = {"album": "album", _TRACK: "track", "derived": "derived"}
    places = {"": pl.col} | {place: pl.col(name).struct.field for place, name in structs.items()}
    artists, released = places[_TRACK]("artists").list, places["album"]("release_date")
    precision = places["album"]("release_date_precision")
    worked_out = {
        "artists": artists.eval(pl.element().struct.field("name").drop_nulls()).list.join(", "),
        "load_date": pl.col("run_id").str.to_date(),
        "release_day": pl.when(precision == "day").then(released.str.to_date(strict=False)),
        "artist_ids": artists.eval(pl.element().struct.field("id").drop_nulls()),
        "run_id": pl.col("run_id"),
        "revision": pl.lit(1, pl.Int64),
    }
    sources = ((name, (source or "").rpartition("."), source is None) for name, _, _, source in COLUMNS)
    columns = [
        (worked_out[name] if ours else places[at](field)).alias(name) for name, (at, _, field), ours in sources
    ]
    frames = []
    for file in files:
        lines = pl.read_ndjson(gzip.decompress(Path(file).read_bytes()), schema=schema)
        tracks = lines.with_columns(pl.col("album").struct.field("tracks").struct.field("items").alias("track"))
        frames.append(tracks.explode("track").drop_nulls("track").select(columns))
    rows = pl.concat(frames)
    rows.write_parquet(out)
    return int(rows.height)


def read_bytes(files: list[str], _out: Path) -> int:
    """No transformation: every file read and unpacked."""
    with ThreadPoolExecutor(THREADS) as pool:
        sizes = list(pool.map(lambda file: len(gzip.decompress(Path(file).read_bytes())), files))
    return sum(sizes)


WHAT: dict[str, Callable[[list[str], Path], int]] = {
    "duckdb": duckdb_rows,
    "polars": polars_rows,
    "bytes": read_bytes,
}


def main(what: str, bucket: Path, out: Path) -> None:
    """Run and tell, as a line of JSON."""
    files = sorted(str(file) for file in bucket.rglob("*.jsonl.gz"))
    started = time.monotonic()
    rows = WHAT[what](files, out)
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "seconds": seconds,
        "rows": rows,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
