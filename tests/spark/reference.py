"""The transformation again, in plain Python and on its own: what the Spark job must give, row for row.

Also the albums it is compared on. Nothing of the job is imported here. The decision is the contract's, and so is where
a column that is taken as it stands is taken from.
"""

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from contracts.columns import COLUMNS
from contracts.documents import Decision, Part
from tests.spark.bucket import Bucket

RUN = "2026-11-23"
Record = Mapping[str, Any]
Row = dict[str, Any]


def rows_of(record: Record, *, revision: int = 1) -> list[Row]:
    """The rows of one good raw line, in the order of its tracks."""
    album = record["album"]
    entries = (album.get("tracks") or {}).get("items") or []
    return [_row(record, album, track, revision) for track in entries if track is not None]


def _row(record: Record, album: Record, track: Record, revision: int) -> Row:
    artists = [artist or {} for artist in track.get("artists") or []]
    return {
        **_as_they_stand(record, track),
        "artists": ", ".join(artist["name"] for artist in artists if artist.get("name") is not None),
        "load_date": date.fromisoformat(record["run_id"]),
        "release_day": release_day(album.get("release_date"), album.get("release_date_precision")),
        "artist_ids": [artist["id"] for artist in artists if artist.get("id") is not None],
        "run_id": record["run_id"],
        "revision": revision,
    }


def _as_they_stand(record: Record, track: Record) -> Row:
    derived = record.get("derived") or {}
    places = {"": record, "album": record["album"], "album.tracks.items": track, "derived": derived}
    found = [(column.name, *column.source.rpartition(".")) for column in COLUMNS if column.source is not None]
    return {name: places[at].get(field) for name, at, _, field in found}


def release_day(text: str | None, precision: str | None) -> date | None:
    """The release date where it is a whole, real day."""
    if precision != "day" or text is None or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def counts_of(records: Iterable[Record]) -> dict[str, int]:
    """What the job must count in these good lines."""
    entries = [(record["album"].get("tracks") or {}).get("items") or [] for record in records]
    tracks = [track for items in entries for track in items if track is not None]
    artists = [artist or {} for track in tracks for artist in track.get("artists") or []]
    return {
        "albums_without_tracks": sum(all(track is None for track in items) for items in entries),
        "null_tracks": sum(track is None for items in entries for track in items),
        "null_artists": sum(artist.get("name") is None for artist in artists),
        "odd_values": 0,
    }


def sortable(rows: Iterable[Row]) -> list[str]:
    """Rows as comparable texts in a fixed order, doubles kept."""
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in rows)


def record(album: Record, *, market: str = "DK", run_id: str = RUN, number: int | None = None) -> dict[str, Any]:
    """A raw line with this album; with a number it is one of form 2."""
    return {
        "market": market,
        "run_id": run_id,
        "source": "browse",
        "fetched_at": "2026-11-23T00:00:07Z",
        **({} if number is None else {"number": number}),
        "album": album,
    }


def album(name: str, *tracks: str) -> dict[str, Any]:
    """A plain album with these tracks."""
    items = [
        {
            "id": f"{name}{number}",
            "name": track,
            "duration_ms": 1000 * number,
            "disc_number": 1,
            "track_number": number,
            "explicit": False,
            "artists": [{"id": "a1", "name": "One"}, {"id": "a2", "name": "Two"}],
        }
        for number, track in enumerate(tracks, 1)
    ]
    return {
        "id": name,
        "name": f"Album {name}",
        "album_type": "album",
        "release_date": "2026-11-20",
        "release_date_precision": "day",
        "tracks": {"items": items, "total": len(items)},
    }


def write_part(bucket: Bucket, market: str, lines: Iterable[bytes | dict[str, Any]], *, run_id: str = RUN) -> str:
    """Upload a part, and give its name; a line is given raw or as a record."""
    encoded = (
        line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines
    )
    packed = gzip.compress(b"".join(line + b"\n" for line in encoded))
    return bucket.write(f"raw/{run_id}/{market}.jsonl.gz", packed)


def decide(bucket: Bucket, *, run_id: str = RUN, revision: int = 1, **changes: Any) -> str:
    """Upload a decision that names every part of the run, all of which must be good, as the contract has it.

    What a part must hold is what can be read of it, by lines; nothing is said of one that cannot be unpacked.
    """
    parts = changes.pop("parts", None)
    if parts is None:
        parts = tuple(part_of(bucket, name) for name in bucket.names(f"raw/{run_id}/"))
    decision = Decision(
        run_id=run_id,
        revision=revision,
        verdict="load",
        close_reason="complete",
        parts=parts,
        decided_at=datetime(2026, 11, 23, tzinfo=UTC),
        owner="test",
        **{"least": len(parts)} | changes,
    )
    return bucket.write(f"runs/{run_id}/decisions/{revision:04}.json", decision.to_json())


def part_of(bucket: Bucket, name: str, **changes: Any) -> Part:
    """The part as a decision names it."""
    content = bucket.read(name)
    try:
        lines = gzip.decompress(content).count(b"\n")
    except (OSError, EOFError):
        lines = None
    told: dict[str, Any] = {"generation": 1, "crc32c": "AAAAAA==", "size": len(content), "albums": lines}
    landed = datetime(2026, 11, 23, tzinfo=UTC)
    market = name.rpartition("/")[2].partition(".")[0]
    return Part(market=market, landed_at=landed, **told | changes)


_TEXT = st.text(max_size=6)  # all of Unicode but lone surrogates, which UTF-8 cannot carry
_NUMBER = st.integers(-(2**63), 2**63 - 1)
_DATES = [
    *(
        "2026-11-20 2026-02-28 2024-02-29 2026-02-29 2026-02-30 2026-1-3 2026-11 1981 1981-12 0000 0000-00-00 "
        "0000-01-01 0001-01-01 1582-10-10 9999-12-31 20261120 +2026-11-20 2026-11-20T00:00:00 २०२६-११-२०"
    ).split(),
    *(" 2026-11-20", "2026-11-20 ", "2026-11-20\n", ""),
]


def _maybe(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | value


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object in which every field may be missing or null."""
    return st.fixed_dictionaries({}, optional={name: _maybe(value) for name, value in fields.items()})


_ARTISTS = st.lists(_maybe(_object(id=_TEXT, name=_TEXT, uri=_TEXT)), max_size=3)
_TRACKS = st.lists(
    _maybe(
        _object(
            id=_TEXT,
            name=_TEXT,
            duration_ms=_NUMBER,
            disc_number=_NUMBER,
            track_number=_NUMBER,
            explicit=st.booleans(),
            artists=_ARTISTS,
            restrictions=st.just({"reason": "market"}),
        )
    ),
    max_size=4,
)
_ALBUM = st.tuples(
    st.text(min_size=1, max_size=6),
    _object(
        name=_TEXT,
        album_type=st.sampled_from(["album", "single", "compilation", "ep"]),
        release_date=st.sampled_from(_DATES) | _TEXT,
        release_date_precision=st.sampled_from(["day", "day", "day", "month", "year", "DAY"]),
        tracks=_object(items=_TRACKS, total=_NUMBER),
        images=st.just([]),
    ),
).map(lambda given: {"id": given[0], **given[1]})
RECORDS = st.lists(
    st.tuples(st.sampled_from(["DK", "XK"]), _maybe(_TEXT), _ALBUM).map(
        lambda given: {**record(given[2], market=given[0]), "source": given[1]}
    ),
    min_size=25,
    max_size=40,
)
"""Good raw lines of two markets, with everything in the albums that Spotify's description allows."""

DATED = [record({**album(f"d{number}", "t"), "release_date": text}) for number, text in enumerate(_DATES)]
"""One album for each shape of a release date, all of them said to be days."""
