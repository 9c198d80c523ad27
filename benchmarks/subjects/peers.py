"""The transformation by DuckDB or Polars, or the files' bytes read and unpacked and no more.

    python peers.py duckdb|polars|bytes BUCKET_FOLDER OUT

Run by the peers' own environment, so it imports nothing of ours. Same files, same 19 columns, rows as Parquet, two
threads. Neither judges its lines, quarantines or counts.
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

THREADS = 2
_TRACK = (
    "STRUCT(id VARCHAR, name VARCHAR, duration_ms BIGINT, disc_number BIGINT, track_number BIGINT, explicit BOOLEAN,"
    " artists STRUCT(id VARCHAR, name VARCHAR)[])"
)
_COLUMNS = {
    "market": "VARCHAR",
    "run_id": "VARCHAR",
    "source": "VARCHAR",
    "album": "STRUCT(id VARCHAR, name VARCHAR, album_type VARCHAR, release_date VARCHAR,"
    f" release_date_precision VARCHAR, tracks STRUCT(items {_TRACK}[]))",
}
_SQL = """
COPY (
  SELECT market, album.release_date, track.name AS track_name, track.duration_ms,
    array_to_string([a.name FOR a IN track.artists IF a.name IS NOT NULL], ', ') AS artists,
    run_id::DATE AS load_date,
    CASE WHEN album.release_date_precision = 'day' THEN TRY_CAST(album.release_date AS DATE) END AS release_day,
    album.release_date_precision, album.id AS album_id, album.name AS album_name, album.album_type,
    track.id AS track_id, track.disc_number, track.track_number, track.explicit,
    [a.id FOR a IN track.artists IF a.id IS NOT NULL] AS artist_ids, source, run_id, 1::BIGINT AS revision
  FROM (SELECT market, run_id, source, album, unnest(album.tracks.items) AS track
        FROM read_json($files, format = 'newline_delimited', columns = COLUMNS))
  WHERE track IS NOT NULL
) TO 'OUT' (FORMAT parquet)
"""


def duckdb_rows(files: list[str], out: Path) -> int:
    """By DuckDB."""
    import duckdb  # type: ignore[import-not-found]  # noqa: PLC0415 -- each run loads its own library

    connection = duckdb.connect(config={"threads": THREADS})
    columns = "{" + ", ".join(f"{name}: '{kind}'" for name, kind in _COLUMNS.items()) + "}"
    connection.execute(_SQL.replace("COLUMNS", columns).replace("OUT", str(out)), {"files": files})
    return int(connection.sql(f"SELECT count(*) FROM '{out}'").fetchall()[0][0])  # noqa: S608 -- a path made here


def polars_rows(files: list[str], out: Path) -> int:
    """By Polars, file by file in its own threads; it reads gzip only as unpacked bytes."""
    import polars as pl  # type: ignore[import-not-found]  # noqa: PLC0415 -- each run loads its own library

    text, number = pl.String, pl.Int64
    artist = pl.List(pl.Struct({"id": text, "name": text}))
    numbers = {"duration_ms": number, "disc_number": number, "track_number": number}
    track = pl.Struct({"id": text, "name": text, **numbers, "explicit": pl.Boolean, "artists": artist})
    names = ("id", "name", "album_type", "release_date", "release_date_precision")
    album = pl.Struct({**dict.fromkeys(names, text), "tracks": pl.Struct({"items": pl.List(track)})})
    schema = {"market": text, "run_id": text, "source": text, "album": album}
    frames = []
    for file in files:
        lines = pl.read_ndjson(gzip.decompress(Path(file).read_bytes()), schema=schema)
        tracks = lines.unnest("album").rename({"id": "album_id", "name": "album_name"})
        tracks = tracks.with_columns(pl.col("tracks").struct.field("items").alias("track")).drop("tracks")
        tracks = tracks.explode("track").drop_nulls("track").unnest("track")
        day = pl.when(pl.col("release_date_precision") == "day").then(
            pl.col("release_date").str.to_date(strict=False)
        )
        entries = pl.col("artists").list.eval(pl.element().struct.field("name").drop_nulls())
        ids = pl.col("artists").list.eval(pl.element().struct.field("id").drop_nulls())
        frames.append(
            tracks.rename({"id": "track_id", "name": "track_name"}).with_columns(
                entries.list.join(", ").alias("artists"),
                ids.alias("artist_ids"),
                day.alias("release_day"),
                pl.col("run_id").str.to_date().alias("load_date"),
                pl.lit(1).alias("revision"),
            )
        )
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
