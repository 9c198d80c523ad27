"""Raw lines to rows, as DataFrames: nothing here reads, writes, counts or decides.

`inspect` is the expensive half (it parses), `rows` the cheap one (it explodes). The job keeps the inspected frame
between the two, so that a line is parsed once although it is judged before anything is loaded.

No Python function runs on the data: all of it is Spark's own expressions.
"""

from datetime import date
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 -- the name the field uses

from spark_job.schemas import LINE, ROWS, UNPARSED

PART_SUFFIX: Final = ".jsonl.gz"
_JSON_OPTIONS: Final = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": UNPARSED,
    "allowSingleQuotes": "false",  # Spark's default is more lenient than JSON
    "allowNonNumericNumbers": "false",
}
# Spark's parser stops at the end of the first object without a word. In these brackets a line is read to its end: what
# follows its record is a fault or a second record, or the mark is not seen.
_BRACKETS: Final = ('{"records":[', '],"whole":true}')
_DAY: Final = r"\A(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}\z"  # BigQuery's dates begin in the year 1


def read_lines(spark: SparkSession, folder: str) -> DataFrame:
    """Every line of every part: file (its name), position, value.

    `position` grows by one from line to line of a file: a gzip file cannot be split, so it is read by one task from
    top to bottom, and the id counts the rows of that task. The least position of a file is thus its first line.
    """
    text = spark.read.text(folder, lineSep="\n", pathGlobFilter=f"*{PART_SUFFIX}")
    return text.select(
        F.col("_metadata.file_name").alias("file"), F.monotonically_increasing_id().alias("position"), "value"
    )


def inspect(lines: DataFrame, *, run_id: str) -> DataFrame:
    """One row a line: either why it is bad and the line itself, or the album and its tracks.

    Columns: file, position, reason and line (null where good), album (a struct of table columns; null where bad),
    entries (the track entries as given, null ones too; empty where there is none, null where bad).
    """
    before, after = _BRACKETS
    line = F.from_json(F.concat(F.lit(before), "value", F.lit(after)), LINE, _JSON_OPTIONS)
    parsed = lines.select("file", "position", "value", line.alias("parsed"))
    record = F.get("parsed.records", 0)
    judged = parsed.withColumn("record", record).withColumn("reason", _reason(run_id))
    good = F.col("reason").isNull()
    return judged.select(
        "file",
        "position",
        "reason",
        F.when(~good, F.make_valid_utf8("value")).alias("line"),
        F.when(good, _album()).alias("album"),
        F.when(good, F.coalesce("record.album.tracks.items", F.array())).alias("entries"),
    )


def summary(inspected: DataFrame) -> DataFrame:
    """One row a file with lines: file, first_position and the counts the job reports."""
    bad = F.col("reason").isNotNull()
    tracks = F.size(F.array_compact("entries"))
    return inspected.groupBy("file").agg(
        F.min("position").alias("first_position"),
        F.count_if(bad).alias("quarantined"),
        F.count_if(~bad).alias("albums"),
        F.count_if(tracks == 0).alias("albums_without_tracks"),
        F.coalesce(F.sum(tracks), F.lit(0)).alias("rows"),
        F.coalesce(F.sum(F.size("entries") - tracks), F.lit(0)).alias("null_tracks"),
        F.coalesce(F.sum(_null_artists(F.col("entries"))), F.lit(0)).alias("null_artists"),
    )


def quarantined(inspected: DataFrame, first_positions: DataFrame) -> DataFrame:
    """The bad lines: reason, file, line (its number in the file, from 1), record (the line itself).

    `first_positions` has file and first_position, one row a file.
    """
    bad = inspected.where(F.col("reason").isNotNull())
    number = F.col("position") - F.col("first_position") + 1
    return bad.join(F.broadcast(first_positions), on="file", how="inner").select(
        "reason", "file", number.alias("line"), F.col("line").alias("record")
    )


def rows(inspected: DataFrame, *, run_id: str, load_date: date, revision: int) -> DataFrame:
    """One row a track, in the table's columns. An album without tracks and a null track give no row."""
    tracks = inspected.select("album", F.explode("entries").alias("track")).where(F.col("track").isNotNull())
    ours = (
        F.lit(load_date).alias("load_date"),
        F.lit(run_id).alias("run_id"),
        F.lit(revision).cast("bigint").alias("revision"),
    )
    return tracks.select("album.*", *_track(), *ours).select(*ROWS.names)


def _album() -> Column:
    album = F.col("record.album")
    return F.struct(
        F.col("record.market"),
        album.release_date,
        _release_day(album.release_date, album.release_date_precision).alias("release_day"),
        album.release_date_precision,
        album.id.alias("album_id"),
        album["name"].alias("album_name"),
        album.album_type,
        F.col("record.source"),
    )


def _track() -> tuple[Column, ...]:
    track = F.col("track")
    return (
        track["name"].alias("track_name"),
        F.col("track.duration_ms"),
        # A null or nameless artist is left out by concat_ws, as in the reference.
        F.concat_ws(", ", track.artists["name"]).alias("artists"),
        track.id.alias("track_id"),
        F.col("track.disc_number"),
        F.col("track.track_number"),
        F.col("track.explicit"),
        F.coalesce(F.array_compact(track.artists.id), F.array()).alias("artist_ids"),
    )


def _null_artists(entries: Column) -> Column:
    """How many artists of these tracks have no name."""
    return F.aggregate(
        entries,
        F.lit(0),
        lambda total, track: (
            total
            + F.coalesce(F.size(track.artists["name"]) - F.size(F.array_compact(track.artists["name"])), F.lit(0))
        ),
    )


def _release_day(release_date: Column, precision: Column) -> Column:
    # The pattern comes first because a cast alone takes "2026", "2026-1-3" and surrounding blanks for days.
    return F.when((precision == "day") & release_date.rlike(_DAY), release_date.try_cast("date"))


def _reason(run_id: str) -> Column:
    """Why a line is bad, or null. Never null by accident: each text is built of what was checked to be there."""
    value, parsed, record = F.col("value"), F.col("parsed"), F.col("record")
    one = (F.size(parsed.records) == 1) & record.isNotNull() & parsed.whole & parsed[UNPARSED].isNull()
    unparsed = F.when(F.try_parse_json(value).isNull(), F.lit("is not JSON")).otherwise(
        F.lit("is not one JSON object whose fields have the expected types")
    )
    run = record.run_id
    return (
        F.when(~F.is_valid_utf8(value), F.lit("is not UTF-8"))
        .when(value == "", F.lit("is an empty line"))
        .when(~F.coalesce(one, F.lit(False)), unparsed)  # noqa: FBT003 -- a value
        .when(record.market.isNull(), F.lit("has no market"))
        .when(
            F.concat(record.market, F.lit(PART_SUFFIX)) != F.col("file"),
            F.concat(F.lit("is of market "), record.market, F.lit(" in the file "), F.col("file")),
        )
        .when(run.isNull(), F.lit("has no run id"))
        .when(run != run_id, F.concat(F.lit("is of run "), run, F.lit(f" in the folder of {run_id}")))
        .when(F.coalesce(record.album.id, F.lit("")) == "", F.lit("has no album id"))
    )
