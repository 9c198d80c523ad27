"""What comes in and what goes out, made of the table's columns.

Only the fields that reach the table are read; Spark skips the rest of an album without building it. Every field may
be missing or null: in Spotify's description a simplified track has no required field.
"""

from collections.abc import Mapping
from typing import Final

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from spark_job.columns import COLUMNS

LINE: Final = "_line"
"""Where Spark puts the text of a line that is not JSON, or in which a field has another type than stated."""

_KINDS: Final[Mapping[str, DataType]] = {
    "STRING": StringType(),
    "INT64": LongType(),
    "BOOL": BooleanType(),
    "DATE": DateType(),
}
_TEXTS: Final = dict.fromkeys(_KINDS, StringType())


def taken(place: str) -> dict[str, tuple[str, str]]:
    """The columns that stand in one place of a line as they reach the table: column and kind by field."""
    found = [(source.rpartition("."), name, kind) for name, kind, _, source in COLUMNS if source is not None]
    return {field: (name, kind) for (at, _, field), name, kind in found if at == place}


def _struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields.items()])


def _taken(place: str, kinds: Mapping[str, DataType]) -> dict[str, DataType]:
    return {field: kinds[kind] for field, (_, kind) in taken(place).items()}


def _record(kinds: Mapping[str, DataType]) -> StructType:
    """One raw line (when it was fetched does not reach the table), and the line itself where something is odd."""
    text = kinds["STRING"]
    artists = ArrayType(_struct(id=text, name=text))
    track = _struct(**_taken("album.tracks.items", kinds), artists=artists)
    album = _struct(**_taken("album", kinds), tracks=_struct(items=ArrayType(track)))
    line = {**_taken("", kinds), "run_id": text, "number": kinds["INT64"]}
    derived = _struct(**_taken("derived", kinds))
    return _struct(**line, derived=derived, album=album, **{LINE: text})


RECORD: Final = _record(_KINDS)
"""A record: our fields, what the fetcher derived, and Spotify's album."""

LENIENT: Final = _record(_TEXTS)
"""The same with every value as its text, to see what stands where another type was expected."""

ROWS: Final = StructType(
    [
        StructField(name, ArrayType(_KINDS[kind]) if mode == "REPEATED" else _KINDS[kind])
        for name, kind, mode, _ in COLUMNS
    ]
)
"""One row of the table, in its order."""
