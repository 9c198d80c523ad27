"""The table's columns, in its order: what each is, and which field of a part it is taken from. The only list of them.

From here `python -m contracts` writes the schema that Terraform makes the table of and the Spark job's own copy, which
is shipped without this package; `python -m docs` writes the page. The market fetcher brings fields to these types.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic.config import JsonDict

Kind = Literal["STRING", "INT64", "BOOL", "DATE"]

LINE: Final = ""
"""A field of the line itself."""
DERIVED: Final = "derived"
"""What the market fetcher works out of an album, under the column's name."""
ALBUM: Final = "album"
TRACK: Final = "album.tracks.items"


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    kind: Kind
    meaning: str
    source: str | None = None
    """The field of a part's line that it is taken from as it stands; None where the Spark job works it out."""
    repeated: bool = False
    """Whether it is a list."""

    @property
    def mode(self) -> Literal["NULLABLE", "REPEATED"]:
        """As BigQuery calls it. None is required: Spotify's description of a track requires nothing."""
        return "REPEATED" if self.repeated else "NULLABLE"


COLUMNS: Final = (
    Column("market", "STRING", "Two-letter market the release was listed in.", "market"),
    Column(
        "release_date",
        "STRING",
        "Release date as Spotify gave it: day, month, year or 0000.",
        "album.release_date",
    ),
    Column("track_name", "STRING", "Name of the track.", "album.tracks.items.name"),
    Column("duration_ms", "INT64", "Length of the track in milliseconds.", "album.tracks.items.duration_ms"),
    Column("artists", "STRING", "Names of the track's artists, joined by comma and space."),
    Column("load_date", "DATE", "Date of the run, in the schedule's time zone; the partition."),
    Column("release_day", "DATE", "The release date as a date where it is a whole day, else null."),
    Column("release_date_precision", "STRING", "day, month or year.", "album.release_date_precision"),
    Column("album_id", "STRING", "Spotify's id of the album.", "album.id"),
    Column("album_name", "STRING", "Name of the album; may be empty after a takedown.", "album.name"),
    Column("album_type", "STRING", "album, single or compilation.", "album.album_type"),
    Column("track_id", "STRING", "Spotify's id of the track.", "album.tracks.items.id"),
    Column("disc_number", "INT64", "Disc of the track, from 1.", "album.tracks.items.disc_number"),
    Column(
        "track_number",
        "INT64",
        "Number of the track on its disc, from 1.",
        "album.tracks.items.track_number",
    ),
    Column("explicit", "BOOL", "Whether the track has explicit lyrics.", "album.tracks.items.explicit"),
    Column("artist_ids", "STRING", "Spotify's ids of the track's artists, in order.", repeated=True),
    Column("source", "STRING", "How the market was listed: browse or search.", "source"),
    Column("run_id", "STRING", "Run that loaded the row."),
    Column("revision", "INT64", "Decision of the run that loaded the row."),
    Column(
        "image_url",
        "STRING",
        "Address of the album's cover, of its images the one whose width is nearest to 300 pixels.",
        "derived.image_url",
    ),
)


def taken(place: str) -> dict[str, Column]:
    """The columns that are taken as they stand from one place of a line, by their field there."""
    found = [(column.source.rpartition("."), column) for column in COLUMNS if column.source is not None]
    return {field: column for (at, _, field), column in found if at == place}


def derived_schema() -> JsonDict:
    """What the market fetcher works out of an album, as JSON Schema has it."""
    types = {"STRING": "string", "INT64": "integer", "BOOL": "boolean"}
    return {
        field: {"type": types[column.kind], "description": column.meaning}
        for field, column in taken(DERIVED).items()
    }


def table_schema() -> list[dict[str, str]]:
    """The table as BigQuery describes it."""
    return [
        {"name": column.name, "type": column.kind, "mode": column.mode, "description": column.meaning}
        for column in COLUMNS
    ]


_SHIPPED: Final = '''"""The table's columns: name, type, mode, and the field of a line that it is taken from.

Written by `python -m contracts` from `contracts/columns.py`, since the job is shipped without that package.
"""

from typing import Final

COLUMNS: Final[tuple[tuple[str, str, str, str | None], ...]] = (
%s)
'''


def shipped() -> str:
    """The Spark job's copy, as a module."""
    rows = ((column.name, column.kind, column.mode, column.source) for column in COLUMNS)
    return _SHIPPED % "".join(f"    ({', '.join(map(_literal, row))}),\n" for row in rows)


def _literal(value: str | None) -> str:
    return "None" if value is None else f'"{value}"'
