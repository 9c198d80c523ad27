"""What comes in and what goes out, stated once.

Only the fields that reach the table are read; Spark skips the rest of an album without building it. Every field may
be missing or null: in Spotify's description a simplified track has no required field.
"""

from typing import Final

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    LongType,
    StringType,
    StructField,
    StructType,
)

LINE: Final = "_line"
"""Where Spark puts the text of a line that is not JSON, or in which a field has another type than stated."""

_Type = StringType | LongType | BooleanType | ArrayType | StructType


def _struct(**fields: _Type) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields.items()])


_TEXT = StringType()
_ARTIST = _struct(id=_TEXT, name=_TEXT)


def _record(number: _Type, truth: _Type) -> StructType:
    """One raw line (when it was fetched does not reach the table), and the line itself where something is odd."""
    track = _struct(
        id=_TEXT,
        name=_TEXT,
        duration_ms=number,
        disc_number=number,
        track_number=number,
        explicit=truth,
        artists=ArrayType(_ARTIST),
    )
    album = _struct(
        id=_TEXT,
        name=_TEXT,
        album_type=_TEXT,
        release_date=_TEXT,
        release_date_precision=_TEXT,
        tracks=_struct(items=ArrayType(track)),
    )
    return _struct(market=_TEXT, run_id=_TEXT, source=_TEXT, number=number, album=album, **{LINE: _TEXT})


RECORD: Final = _record(LongType(), BooleanType())
"""A record: our fields and Spotify's album."""

LENIENT: Final = _record(_TEXT, _TEXT)
"""The same with every value as its text, to see what stands where another type was expected."""

NUMBERS: Final = ("duration_ms", "disc_number", "track_number")
"""The fields of a track that are whole numbers."""

ROWS: Final = StructType(
    [
        StructField("market", StringType()),
        StructField("release_date", StringType()),
        StructField("track_name", StringType()),
        StructField("duration_ms", LongType()),
        StructField("artists", StringType()),
        StructField("load_date", DateType()),
        StructField("release_day", DateType()),
        StructField("release_date_precision", StringType()),
        StructField("album_id", StringType()),
        StructField("album_name", StringType()),
        StructField("album_type", StringType()),
        StructField("track_id", StringType()),
        StructField("disc_number", LongType()),
        StructField("track_number", LongType()),
        StructField("explicit", BooleanType()),
        StructField("artist_ids", ArrayType(StringType())),
        StructField("source", StringType()),
        StructField("run_id", StringType()),
        StructField("revision", LongType()),
    ]
)
"""One row of the table, in its order; a test compares it with the table's schema file."""
