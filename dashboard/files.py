"""A week's data as files: what the tables and charts of the page show, one set of rows for each question.

Pure, but for asking the library.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dashboard.documents import Json
from dashboard.library import Library

Rows = Sequence[Json]


async def rows_of(name: str, week: date, library: Library) -> Rows:
    """The rows of one set. Raises as `Library.week` does."""
    return SETS[name](await library.week(week), await library.figures(week), await library.history())


def releases(week: Json, _figures: Json, _history: Json) -> Rows:
    """Each release of the week once."""
    number = dict(enumerate(week["markets"]))
    found = []
    for row in week["releases"]:
        release = dict(zip(week["columns"], row, strict=True))
        release["markets"] = ",".join(number[place] for place in release["markets"])
        release["new_in"] = ",".join(number[place] for place in release["new_in"])
        release["image"] = f"{week['images']}/{release['image']}" if release["image"] else None
        found.append({"week": week["week"], **release})
    return found


def history(_week: Json, _figures: Json, history: Json) -> Rows:
    """Every week and market: how much was listed, how much of it was new."""
    return _named(("week", "market", "releases", "new"), history["history"])


def overlap(week: Json, figures: Json, _history: Json) -> Rows:
    """Pairs of markets with what both list."""
    names = week["markets"]
    rows = [(names[one], names[other], shared) for one, other, shared in figures["overlap"]]
    return _named(("market", "other_market", "releases"), rows)


def artists(week: Json, figures: Json, _history: Json) -> Rows:
    """The artists in most markets."""
    names = week["markets"]
    rows = [
        (artist, name, ",".join(names[place] for place in markets), albums, tracks)
        for artist, name, markets, albums, tracks in figures["artists"]
    ]
    return _named(("id", "artist", "markets", "releases", "tracks"), rows)


def lengths(week: Json, figures: Json, _history: Json) -> Rows:
    """Tracks by market and half minute."""
    rows = [(week["markets"][market], half / 2, tracks) for market, half, tracks in figures["lengths"]]
    return _named(("market", "minutes_from", "tracks"), rows)


def delays(week: Json, figures: Json, _history: Json) -> Rows:
    """Days from release to list, by market."""
    rows = [(week["markets"][market], count, *days, mean) for market, count, days, mean in figures["delays"]]
    return _named(("market", "new_releases", "least", "quarter", "half", "three_quarters", "most", "mean"), rows)


def _named(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Rows:
    return [dict(zip(names, row, strict=True)) for row in rows]


SETS: Final[Mapping[str, Callable[[Json, Json, Json], Rows]]] = {
    make.__name__: make for make in (releases, history, overlap, artists, lengths, delays)
}
RELEASES: Final = releases.__name__
"""The one set that is no figures."""


def as_csv(rows: Rows) -> bytes:
    """With a heading; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(rows[0].keys() if rows else ())
    writer.writerows([_harmless(value) for value in row.values()] for row in rows)
    return text.getvalue().encode("utf-8-sig")  # spreadsheets take it for another encoding without the mark


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_parquet(rows: Rows) -> bytes:
    """With the types of the values."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), file, compression="zstd")
    return file.getvalue()


def as_json(rows: Rows) -> bytes:
    """A list of objects."""
    return json.dumps(list(rows), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Kind:
    """A format."""

    content_type: str
    write: Callable[[Rows], bytes]


KINDS: Final[Mapping[str, Kind]] = {
    "csv": Kind("text/csv", as_csv),
    "parquet": Kind("application/vnd.apache.parquet", as_parquet),
    "json": Kind("application/json", as_json),
}
