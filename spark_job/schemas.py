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

UNPARSED: Final = "_unparsed"
"""Where Spark puts a line that is not JSON, or in which a field has another type than stated."""


def _struct(**fields: StringType | LongType | BooleanType | ArrayType | StructType) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields.items()])


_TEXT, _NUMBER = StringType(), LongType()
_ARTIST = _struct(id=_TEXT, name=_TEXT)
_TRACK = _struct(
    id=_TEXT,
    name=_TEXT,
    duration_ms=_NUMBER,
    disc_number=_NUMBER,
    track_number=_NUMBER,
    explicit=BooleanType(),
    artists=ArrayType(_ARTIST),
)
_ALBUM = _struct(
    id=_TEXT,
    name=_TEXT,
    album_type=_TEXT,
    release_date=_TEXT,
    release_date_precision=_TEXT,
    tracks=_struct(items=ArrayType(_TRACK)),
)

RECORD: Final = _struct(market=_TEXT, run_id=_TEXT, source=_TEXT, album=_ALBUM)
"""One raw line: our four fields (when it was fetched does not reach the table) and Spotify's album."""

LINE: Final = _struct(records=ArrayType(RECORD), whole=BooleanType(), **{UNPARSED: _TEXT})
"""A raw line in the brackets in which it is parsed: one record, then a mark."""

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
