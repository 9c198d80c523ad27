"""Raw albums of one run as either pipeline would have stored them, at any multiple of a weekly run's size.

Both layouts hold the same albums with the same tracks, field for field, as the simulator's catalogue gives them:

- `ours`: `raw/<run>/<market>.jsonl.gz`, made by the market fetcher's own code, lines numbered anew, and the decision;
- `reference`: `<market>.json`, one indented object a market with all its albums, each with its tracks as a list.

A multiple puts that many weekly lists one after the other into each file; up to ten of them differ. A corpus is made
once and kept; its folder is complete if `corpus.json` lies beside it.
"""

import gzip
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from contracts.documents import Decision, Part
from contracts.names import MARKETS, decision_name, part_name
from contracts.parts import FORM
from local.spotify import Catalogue
from local.spotify.shapes import IMAGES
from services.market_fetcher.shapes import Listing, pack, part_body
from services.market_fetcher.values import derive

RUN = "2026-11-23"
_FETCHED = datetime(2026, 11, 22, 23, 5, tzinfo=UTC)
_DIFFERENT = 10
_ALBUMS = 50
_IN_A_LIST = "\n        "  # where an album begins in the reference's file

Layout = Literal["ours", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What lies in a folder."""

    albums: int
    tracks: int
    stored: int
    """Bytes of all files."""


def make(folder: Path, layout: Layout, scale: int) -> Corpus:
    """Write the corpus into this folder, unless it is there already."""
    told = folder.with_name(f"{folder.name}.corpus.json")
    if told.exists():
        return Corpus(**json.loads(told.read_text()))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [folder / (part_name(RUN, market) if layout == "ours" else f"{market}.json") for market in MARKETS]
    files[0].parent.mkdir(parents=True, exist_ok=True)
    weeks: dict[int, _Week] = {}
    for number in range(scale):
        week = weeks.setdefault(number % _DIFFERENT, _Week(number % _DIFFERENT))
        for market, file in zip(MARKETS, files, strict=True):
            with file.open("ab") as sink:
                chunk = week.part(market, number) if layout == "ours" else week.indented(market, number, scale)
                sink.write(chunk)
    if layout == "ours":
        _decide(folder, files, albums=_ALBUMS * scale)
    listed = [week for number in range(scale) for week in [weeks[number % _DIFFERENT]]]
    corpus = Corpus(
        albums=len(MARKETS) * _ALBUMS * scale,
        tracks=sum(week.tracks for week in listed),
        stored=sum(file.stat().st_size for file in files),
    )
    told.write_text(json.dumps(asdict(corpus)))
    return corpus


def _numbered(line: bytes, number: int) -> bytes:
    return re.sub(rb'"number":[0-9]+', b'"number":%d' % number, line, count=1)


def _decide(folder: Path, files: Iterable[Path], *, albums: int) -> None:
    """Write the decision beside the parts."""
    parts = [
        Part(
            market=file.name[:2],
            generation=1,
            crc32c="AAAAAA==",
            size=file.stat().st_size,
            landed_at=_FETCHED,
            form=FORM,
            albums=albums,
        )
        for file in files
    ]
    decision = Decision(
        run_id=RUN,
        revision=1,
        verdict="load",
        close_reason="complete",
        parts=tuple(parts),
        decided_at=_FETCHED,
        owner="benchmark",
        least=len(parts),
    )
    file = folder / decision_name(RUN, 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(decision.to_json())


class _Week:
    """One weekly list of every market."""

    def __init__(self, seed: int) -> None:
        self._catalogue = Catalogue(seed, date.fromisoformat(RUN))
        self._ids = {market: self._catalogue.releases(market, "browse", _ALBUMS) for market in MARKETS}
        self._albums = {album_id: self._whole(album_id) for ids in self._ids.values() for album_id in ids}
        self._texts: dict[str, str] = {}

    def _whole(self, album_id: str) -> dict[str, Any]:
        album = self._catalogue.album(album_id)
        return {**album, "tracks": {**album["tracks"], "items": self._catalogue.tracks(album_id), "next": None}}

    @property
    def tracks(self) -> int:
        """Tracks of all lists, each as often as it is listed."""
        return sum(
            len(self._albums[album_id]["tracks"]["items"]) for ids in self._ids.values() for album_id in ids
        )

    @cached_property
    def _lines(self) -> dict[str, list[bytes]]:
        """The lines of each market, each up to its number and from its album on."""
        packed = {
            album_id: pack(album_id, album, nulls=0, fetched_at=_FETCHED, derived=derive(album, IMAGES)[0])
            for album_id, album in self._albums.items()
        }
        bodies = {
            market: part_body(
                RUN, market, Listing("browse", tuple(ids), 0, _FETCHED), [packed[album_id] for album_id in ids]
            )
            for market, ids in self._ids.items()
        }
        return {market: gzip.decompress(body).splitlines(keepends=True) for market, body in bodies.items()}

    def part(self, market: str, number: int) -> bytes:
        """The market's list as one gzip file; several after each other are one gzip file again."""
        first = number * _ALBUMS + 1
        lines = (_numbered(line, at) for at, line in enumerate(self._lines[market], first))
        return gzip.compress(b"".join(lines), compresslevel=6, mtime=0)

    def indented(self, market: str, number: int, scale: int) -> bytes:
        """This week's share of the market's indented object."""
        begin = '{\n    "data": [' if number == 0 else ","
        end = f'\n    ],\n    "market": "{market}"\n}}' if number == scale - 1 else ""
        return (begin + ",".join(self._indented_albums(market)) + end).encode()

    def _indented_albums(self, market: str) -> Iterator[str]:
        for album_id in self._ids[market]:
            if album_id not in self._texts:
                album = self._albums[album_id]
                text = json.dumps({**album, "tracks": album["tracks"]["items"]}, indent=4)
                self._texts[album_id] = _IN_A_LIST + text.replace("\n", _IN_A_LIST)
            yield self._texts[album_id]
