"""The table's columns: name, type, mode, and the field of a line that it is taken from.

Written by `python -m contracts` from `contracts/columns.py`, since the job is shipped without that package.
"""

from typing import Final

COLUMNS: Final[tuple[tuple[str, str, str, str | None], ...]] = (
    ("market", "STRING", "NULLABLE", "market"),
    ("release_date", "STRING", "NULLABLE", "album.release_date"),
    ("track_name", "STRING", "NULLABLE", "album.tracks.items.name"),
    ("duration_ms", "INT64", "NULLABLE", "album.tracks.items.duration_ms"),
    ("artists", "STRING", "NULLABLE", None),
    ("load_date", "DATE", "NULLABLE", None),
    ("release_day", "DATE", "NULLABLE", None),
    ("release_date_precision", "STRING", "NULLABLE", "album.release_date_precision"),
    ("album_id", "STRING", "NULLABLE", "album.id"),
    ("album_name", "STRING", "NULLABLE", "album.name"),
    ("album_type", "STRING", "NULLABLE", "album.album_type"),
    ("track_id", "STRING", "NULLABLE", "album.tracks.items.id"),
    ("disc_number", "INT64", "NULLABLE", "album.tracks.items.disc_number"),
    ("track_number", "INT64", "NULLABLE", "album.tracks.items.track_number"),
    ("explicit", "BOOL", "NULLABLE", "album.tracks.items.explicit"),
    ("artist_ids", "STRING", "REPEATED", None),
    ("source", "STRING", "NULLABLE", "source"),
    ("run_id", "STRING", "NULLABLE", None),
    ("revision", "INT64", "NULLABLE", None),
    ("image_url", "STRING", "NULLABLE", "derived.image_url"),
)
