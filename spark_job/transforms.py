"""Raw lines to rows, as DataFrames: nothing here reads, writes, counts or decides.

`inspect` is the expensive half (it parses), `rows` the cheap one (it explodes). The job keeps the inspected frame
between the two, so that a line is parsed once although it is judged before anything is loaded.

Spark's JSON source gives one record for each line, with two silent exceptions: an empty line gives none, and what
follows a line's first object is dropped. A record lost that way shows in the part's counts, and `bad_lines`, which
reads the lines of such parts as text, says where.

No Python function runs on the data: all of it is Spark's own expressions.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 -- the name the field uses

from spark_job.decision import PART_SUFFIX
from spark_job.schemas import LENIENT, LINE, RECORD, ROWS, taken

_JSON_OPTIONS: Final = {
    "mode": "PERMISSIVE",  # a field of another type becomes null, and the line is kept beside it
    "columnNameOfCorruptRecord": LINE,
    "allowSingleQuotes": "false",  # Spark's default is more lenient than JSON
    "allowNonNumericNumbers": "false",
}
_FILE_OPTIONS: Final = {
    "lineSep": "\n",
    # Half a file must not pass for a short one, whatever the cluster's defaults are.
    "ignoreCorruptFiles": "false",
    "ignoreMissingFiles": "false",
}
# What stands behind a line's record is a fault or a second record in these brackets, or hides the mark.
_BRACKETS: Final = ('{"records":[', '],"whole":true}')
_TRACK: Final = "album.tracks.items"
_BESIDE_TRACKS: Final = ("", "album", "derived")
_DAY: Final = r"\A(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}\z"  # BigQuery's dates begin in the year 1


def read_records(spark: SparkSession, folder: str, markets: Sequence[str]) -> DataFrame:
    """Every record of these markets' parts: file (its name), position, and the fields of `RECORD`.

    `position` grows by one from record to record of a file: a gzip file cannot be split, so it is read by one task from
    top to bottom, and the id counts the rows of that task. The least position of a file is thus its first record.
    """
    records = spark.read.schema(RECORD).options(**_JSON_OPTIONS, **_only(markets)).json(folder)
    return records.select(*_place(), *RECORD.names)


def read_lines(spark: SparkSession, folder: str, markets: Sequence[str]) -> DataFrame:
    """Every line of these markets' parts: file (its name), position (as above, of lines), value."""
    return spark.read.options(**_only(markets)).text(folder).select(*_place(), "value")


def _only(markets: Sequence[str]) -> dict[str, str]:
    return {**_FILE_OPTIONS, "pathGlobFilter": f"{{{','.join(markets)}}}{PART_SUFFIX}"}


def _place() -> tuple[Column, Column]:
    return F.col("_metadata.file_name").alias("file"), F.monotonically_increasing_id().alias("position")


def inspect(records: DataFrame, *, run_id: str) -> DataFrame:
    """One row a record: why it is bad, or the album and its tracks.

    Columns: file, position, number, foreign (of another market or run), reason (null where good), odd_values (fields
    that became null because their value had another type), album (a struct of table columns; null where bad), entries
    (the track entries as given, null ones too; empty where there is none, null where bad).
    """
    seen = records.withColumn("lenient", _lenient())
    judged = seen.withColumn("reason", _reason(run_id)).withColumn("foreign", _foreign(run_id))
    good = F.col("reason").isNull()
    return judged.select(
        "file",
        "position",
        "number",
        "foreign",
        "reason",
        F.when(good & F.col(LINE).isNotNull(), _odd_values()).otherwise(F.lit(0)).alias("odd_values"),
        F.when(good, _album()).alias("album"),
        F.when(good, _entries()).alias("entries"),
    )


def summary(inspected: DataFrame) -> DataFrame:
    """One row a file with records: file and the counts the job judges and reports."""
    good, tracks = F.col("reason").isNull(), F.size(F.array_compact("entries"))
    ahead = F.when(good, F.col("number") - F.col("position"))
    first = F.min("position")
    return inspected.groupBy("file").agg(
        F.count_if(good).alias("albums"),
        F.count_if(~good).alias("quarantined"),
        F.count_if("foreign").alias("foreign"),
        F.count(ahead).alias("numbered"),
        F.coalesce(F.min(ahead) + first - 1, F.lit(0)).alias("least_shift"),
        F.coalesce(F.max(ahead) + first - 1, F.lit(0)).alias("most_shift"),
        F.coalesce(F.sum(tracks), F.lit(0)).alias("rows"),
        F.count_if(tracks == 0).alias("albums_without_tracks"),
        F.coalesce(F.sum(F.size("entries") - tracks), F.lit(0)).alias("null_tracks"),
        F.coalesce(F.sum(_null_artists(F.col("entries"))), F.lit(0)).alias("null_artists"),
        F.sum("odd_values").alias("odd_values"),
    )


def bad_lines(lines: DataFrame, *, run_id: str) -> DataFrame:
    """The bad ones of these lines: reason, file, line (its number in the file, from 1), record (the line itself)."""
    records = lines.withColumn("record", F.from_json("value", RECORD, _JSON_OPTIONS))
    fields = [F.col("record")[name].alias(name) for name in RECORD.names if name != LINE]
    seen = records.select("file", "position", *fields, F.col("value").alias(LINE)).withColumn(
        "lenient", _lenient()
    )
    reason = F.coalesce(F.when(F.col(LINE) == "", F.lit("is an empty line")), _reason(run_id), _more())
    firsts = lines.groupBy("file").agg(F.min("position").alias("first_position"))
    judged = seen.select("file", "position", LINE, reason.alias("reason")).where(F.col("reason").isNotNull())
    number = F.col("position") - F.col("first_position") + 1
    return judged.join(F.broadcast(firsts), on="file", how="inner").select(
        "reason", "file", number.alias("line"), F.make_valid_utf8(LINE).alias("record")
    )


def rows(inspected: DataFrame, *, run_id: str, load_date: date, revision: int) -> DataFrame:
    """One row a track, in the table's columns. An album without tracks and a null track give no row.

    What is told here of the run is named as the columns are.
    """
    tracks = inspected.select("album", F.explode("entries").alias("track")).where(F.col("track").isNotNull())
    ours = (
        F.lit(load_date).alias("load_date"),
        F.lit(run_id).alias("run_id"),
        F.lit(revision).cast("bigint").alias("revision"),
    )
    return tracks.select("album.*", *_track(), *ours).select(*ROWS.names)


def _lenient() -> Column:
    """The record once more, each value as its text; null where nothing is odd, which costs nothing."""
    return F.when(F.col(LINE).isNotNull(), F.from_json(LINE, LENIENT, _JSON_OPTIONS))


def _album() -> Column:
    """The columns in which the tracks of an album agree."""
    as_they_stand = [
        _value(f"{place}.{field}".lstrip("."), kind).alias(column)
        for place in _BESIDE_TRACKS
        for field, (column, kind) in taken(place).items()
    ]
    return F.struct(*as_they_stand, *(work_out().alias(column) for column, work_out in OF_ALBUM.items()))


def _value(path: str, kind: str) -> Column:
    """The value at a path as it was parsed, or of a line with odd values by itself."""
    if kind not in _MENDED:
        return F.col(path)
    return F.when(F.col(LINE).isNull(), F.col(path)).otherwise(_MENDED[kind](F.col(f"lenient.{path}")))


def _entries() -> Column:
    """The tracks as they were parsed, or those of a line with odd values, each value for itself."""
    lenient = F.transform(f"lenient.{_TRACK}", lambda track: F.when(track.isNotNull(), _mended(track)))
    parsed = F.when(F.col(LINE).isNull(), F.col(_TRACK)).otherwise(lenient)
    return F.coalesce(parsed, F.array())


def _mended(track: Column) -> Column:
    values = [_mend(track[field], kind).alias(field) for field, (_, kind) in taken(_TRACK).items()]
    return F.struct(*values, track.artists)


def _mend(text: Column, kind: str) -> Column:
    return _MENDED[kind](text) if kind in _MENDED else text


def _whole(text: Column) -> Column:
    """The whole number that a text of JSON is, also where it is written as 204053.0."""
    exact = text.try_cast("decimal(38,6)")
    return F.when(exact == F.floor(exact), exact.try_cast("bigint"))


def _truth(text: Column) -> Column:
    return F.when(text.isin("true", "false"), text == "true")


_MENDED: Final[Mapping[str, Callable[[Column], Column]]] = {"INT64": _whole, "BOOL": _truth}
"""The value that a text of JSON is, by the column's kind; a text is itself."""


def _odd_values() -> Column:
    """How many fields became null; a list whose entries are not objects counts as one."""
    tracks = F.coalesce(f"lenient.{_TRACK}", F.array())
    lists = F.when(F.col("lenient")[LINE].isNotNull(), 1).otherwise(0)
    of_tracks = F.aggregate(
        tracks, F.lit(0), lambda total, track: total + F.coalesce(_odd_of(track, _TRACK), F.lit(0))
    )
    beside = [_odd_of(F.col(f"lenient.{place}".rstrip(".")), place) for place in _BESIDE_TRACKS]
    return sum(beside, of_tracks) + lists


def _odd_of(texts: Column, place: str) -> Column:
    """How many of these fields have a text that is not a value of their kind."""
    kinds = [(field, kind) for field, (_, kind) in taken(place).items() if kind in _MENDED]
    known = [(texts[field], _mend(texts[field], kind)) for field, kind in kinds]
    return sum((F.when(text.isNotNull() & value.isNull(), 1).otherwise(0) for text, value in known), F.lit(0))


def _track() -> list[Column]:
    as_they_stand = [F.col(f"track.{field}").alias(column) for field, (column, _) in taken(_TRACK).items()]
    return [*as_they_stand, *(work_out().alias(column) for column, work_out in OF_TRACK.items())]


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


def _release_day() -> Column:
    text = F.col("album.release_date")
    # The pattern comes first because a cast alone takes "2026", "2026-1-3" and surrounding blanks for days.
    is_day = (F.col("album.release_date_precision") == "day") & text.rlike(_DAY)
    return F.when(is_day, text.try_cast("date"))


def _artists() -> Column:
    # A null or nameless artist is left out by concat_ws, as in the reference.
    return F.concat_ws(", ", F.col("track.artists")["name"])


def _artist_ids() -> Column:
    return F.coalesce(F.array_compact(F.col("track.artists.id")), F.array())


OF_ALBUM: Final[Mapping[str, Callable[[], Column]]] = {"release_day": _release_day}
"""The columns that are worked out of an album here; those of the run are told to `rows`."""
OF_TRACK: Final[Mapping[str, Callable[[], Column]]] = {"artists": _artists, "artist_ids": _artist_ids}
"""Those that are worked out of a track."""


def _reason(run_id: str) -> Column:
    """Why a record is bad, or null. Never null by accident: each text is built of what was checked to be there."""
    line, market, run, album = F.col(LINE), F.col("market"), F.col("run_id"), F.col("album")
    # The line is there where something is odd in it. Then all of it is looked at.
    unreadable = (
        F.when(~F.is_valid_utf8(line), F.lit("is not UTF-8"))
        .when(F.try_parse_json(line).isNull(), F.lit("is not JSON"))
        .when(~line.rlike(r"\A\s*\{"), F.lit("is not one JSON object"))
    )
    broken = F.col("lenient")[LINE].isNotNull() & F.col(f"lenient.{_TRACK}").isNull()
    return F.coalesce(
        F.when(line.isNotNull(), unreadable),
        F.when(market.isNull(), F.lit("has no market"))
        .when(
            F.concat(market, F.lit(PART_SUFFIX)) != F.col("file"),
            F.concat(F.lit("is of market "), market, F.lit(" in the file "), F.col("file")),
        )
        .when(run.isNull(), F.lit("has no run id"))
        .when(run != run_id, F.concat(F.lit("is of run "), run, F.lit(f" in the folder of {run_id}")))
        .when(F.coalesce(album.id, F.lit("")) == "", F.lit("has no album id")),
        F.when(broken, F.lit("has tracks that are not a list of objects")),
    )


def _foreign(run_id: str) -> Column:
    market, run = F.col("market"), F.col("run_id")
    return (F.concat(market, F.lit(PART_SUFFIX)) != F.col("file")) | (run != run_id)


def _more() -> Column:
    """Whether there is more in a line than its record, which Spark's source would drop."""
    before, after = _BRACKETS
    bracketed = F.try_parse_json(F.concat(F.lit(before), LINE, F.lit(after)))
    whole = (
        F.try_variant_get(bracketed, "$.whole", "boolean")
        & F.try_variant_get(bracketed, "$.records[1]", "string").isNull()
    )
    return F.when(~F.coalesce(whole, F.lit(False)), F.lit("has something behind its record"))  # noqa: FBT003 -- a value
