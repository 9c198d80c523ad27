"""Raw lines to rows, as DataFrames: nothing here reads, writes, counts or decides.

`inspect` is the expensive half (it parses), `rows` the cheap one (it explodes). The job keeps the inspected frame
between the two, so that a line is parsed once although it is judged before anything is loaded.

No Python function runs on the data: all of it is Spark's own expressions.
"""

from datetime import date
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 -- the name the field uses

from spark_job.schemas import RECORD, ROWS, UNPARSED

PART_SUFFIX: Final = ".jsonl.gz"
_JSON_OPTIONS: Final = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": UNPARSED,
    "allowSingleQuotes": "false",  # Spark's default is more lenient than JSON
    "allowNonNumericNumbers": "false",
}
_BLANK: Final = " \t\r\n"
# Brace, brace, unescaped quote, letter: it never occurs in one valid record, since inside a string that quote would
# end the string and no letter can follow.
_SECOND_RECORD: Final = r'\}\s*\{\s*"[A-Za-z_]'
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
    """One row a line: either why it is bad and the line itself, or the album with its tracks ready to explode.

    Columns: file, position, reason and line (null where good), album (struct), tracks (array of struct),
    null_tracks, null_artists (how many were left out).
    """
    record = F.from_json("value", RECORD, _JSON_OPTIONS)
    judged = lines.select("file", "position", "value", record.alias("record")).withColumn("reason", _reason(run_id))
    good = F.col("reason").isNull()
    entries = F.coalesce(F.col("record.album.tracks.items"), F.array())
    flat = F.transform(F.filter(entries, lambda entry: entry.isNotNull()), _track)
    shaped = judged.select(
        "file",
        "position",
        "reason",
        F.when(~good, F.make_valid_utf8("value")).alias("line"),
        F.when(good, _album()).alias("album"),
        F.when(good, flat).alias("tracks"),
        F.when(good, F.size(entries)).alias("entries"),
    )
    return shaped.select(
        "file",
        "position",
        "reason",
        "line",
        "album",
        "tracks",
        (F.col("entries") - F.size("tracks")).alias("null_tracks"),
        F.aggregate("tracks", F.lit(0), lambda total, track: total + track.null_artists).alias("null_artists"),
    )


def summary(inspected: DataFrame) -> DataFrame:
    """One row a file with lines: file, first_position and the counts the job reports."""
    bad = F.col("reason").isNotNull()
    return inspected.groupBy("file").agg(
        F.min("position").alias("first_position"),
        F.count_if(bad).alias("quarantined"),
        F.count_if(~bad).alias("albums"),
        F.count_if(F.size("tracks") == 0).alias("albums_without_tracks"),
        F.coalesce(F.sum(F.size("tracks")), F.lit(0)).alias("rows"),
        F.coalesce(F.sum("null_tracks"), F.lit(0)).alias("null_tracks"),
        F.coalesce(F.sum("null_artists"), F.lit(0)).alias("null_artists"),
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
    tracks = inspected.select("album", F.explode("tracks").alias("track"))
    ours = (
        F.lit(load_date).alias("load_date"),
        F.lit(run_id).alias("run_id"),
        F.lit(revision).cast("bigint").alias("revision"),
    )
    return tracks.select("album.*", "track.*", *ours).select(*ROWS.names)


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


def _track(track: Column) -> Column:
    artists = F.coalesce(track.artists, F.array())
    ids = F.filter(F.transform(artists, lambda artist: artist.id), lambda artist_id: artist_id.isNotNull())
    nameless = F.filter(artists, lambda artist: artist["name"].isNull())
    return F.struct(
        track["name"].alias("track_name"),
        track.duration_ms.alias("duration_ms"),
        # concat_ws leaves nulls out, as in the reference.
        F.concat_ws(", ", F.transform(artists, lambda artist: artist["name"])).alias("artists"),
        track.id.alias("track_id"),
        track.disc_number.alias("disc_number"),
        track.track_number.alias("track_number"),
        track.explicit.alias("explicit"),
        ids.alias("artist_ids"),
        F.size(nameless).alias("null_artists"),
    )


def _release_day(release_date: Column, precision: Column) -> Column:
    # The pattern comes first because a cast alone takes "2026", "2026-1-3" and surrounding blanks for days.
    return F.when((precision == "day") & release_date.rlike(_DAY), release_date.try_cast("date"))


def _reason(run_id: str) -> Column:
    """Why a line is bad, or null. Never null by accident: each text is built of what was checked to be there."""
    value, record = F.col("value"), F.col("record")
    bare = F.btrim(value, F.lit(_BLANK))
    whole = bare.startswith("{") & bare.endswith("}") & record.isNotNull() & record[UNPARSED].isNull()
    unparsed = F.when(F.try_parse_json(value).isNull(), F.lit("is not JSON")).otherwise(
        F.lit("is not one JSON object whose fields have the expected types")
    )
    run = record.run_id
    return (
        F.when(~F.is_valid_utf8(value), F.lit("is not UTF-8"))
        .when(bare == "", F.lit("is an empty line"))
        .when(~whole, unparsed)
        .when(value.rlike(_SECOND_RECORD), F.lit("holds more than one record"))
        .when(record.market.isNull(), F.lit("has no market"))
        .when(
            F.concat(record.market, F.lit(PART_SUFFIX)) != F.col("file"),
            F.concat(F.lit("is of market "), record.market, F.lit(" in the file "), F.col("file")),
        )
        .when(run.isNull(), F.lit("has no run id"))
        .when(run != run_id, F.concat(F.lit("is of run "), run, F.lit(f" in the folder of {run_id}")))
        .when(F.coalesce(record.album.id, F.lit("")) == "", F.lit("has no album id"))
    )
