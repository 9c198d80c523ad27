"""Raw albums of one run as either pipeline would have stored them, at any multiple of a weekly run's size.

Both layouts hold the same albums with the same tracks, field for field, as the simulator's catalogue gives them:

- `ours`: `raw/<run>/<market>.jsonl.gz`, made by the market fetcher's own code;
- `reference`: `<market>.json`, one indented object a market with all its albums, each with its tracks as a list.

A multiple puts that many weekly lists one after the other into each file; up to ten of them differ. A corpus is made
once and kept; its folder is complete if it holds `corpus.json`.
"""

import gzip
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from contracts.names import MARKETS, part_name
from local.spotify import Catalogue
from services.market_fetcher.shapes import Listing, pack, part_body

RUN = "2026-11-23"
_WEEK = date.fromisoformat(RUN)
_FETCHED = datetime(2026, 11, 22, 23, 5, tzinfo=UTC)
_SEEDS = 10
_ALBUMS = 50

Layout = Literal["ours", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What lies in a folder."""

    scale: int
    albums: int
    tracks: int
    stored: int
    """Bytes of all files."""


def make(folder: Path, layout: Layout, scale: int) -> Corpus:
    """Write the corpus into this folder, unless it is there already."""
    told = folder / "corpus.json"
    if told.exists():
        return Corpus(**json.loads(told.read_text()))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    albums = tracks = stored = 0
    weeks = [_Week(seed) for seed in range(min(scale, _SEEDS))]
    for market in MARKETS:
        lists = [weeks[number % len(weeks)].listed(market) for number in range(scale)]
        content = _part(market, lists) if layout == "ours" else _indented(market, lists)
        stored += _write(folder / (part_name(RUN, market) if layout == "ours" else f"{market}.json"), content)
        albums += sum(map(len, lists))
        tracks += sum(len(album["tracks"]["items"]) for listed in lists for album in listed)
    corpus = Corpus(scale=scale, albums=albums, tracks=tracks, stored=stored)
    told.write_text(json.dumps(asdict(corpus)))
    return corpus


class _Week:
    """The whole albums of one weekly list."""

    def __init__(self, seed: int) -> None:
        self._catalogue = Catalogue(seed, _WEEK)
        self._albums: dict[str, dict[str, Any]] = {}

    def listed(self, market: str) -> list[dict[str, Any]]:
        return [self._whole(album_id) for album_id in self._catalogue.releases(market, "browse", _ALBUMS)]

    def _whole(self, album_id: str) -> dict[str, Any]:
        if album_id not in self._albums:
            album = self._catalogue.album(album_id)
            tracks = {**album["tracks"], "items": self._catalogue.tracks(album_id), "next": None}
            self._albums[album_id] = {**album, "tracks": tracks}
        return self._albums[album_id]


def _part(market: str, lists: list[list[dict[str, Any]]]) -> Iterator[bytes]:
    """Several gzip members after each other are one gzip file; a list that comes again is compressed once."""
    made: dict[int, bytes] = {}
    for listed in lists:
        if id(listed[0]) not in made:
            packed = [pack(album["id"], album, nulls=0, fetched_at=_FETCHED) for album in listed]
            listing = Listing("browse", tuple(album["id"] for album in listed), 0, _FETCHED)
            made[id(listed[0])] = part_body(RUN, market, listing, packed)
        yield made[id(listed[0])]


def _indented(market: str, lists: list[list[dict[str, Any]]]) -> Iterator[bytes]:
    albums = [_flat(album) for listed in lists for album in listed]
    yield json.dumps({"data": albums, "market": market}, indent=4).encode()


def _flat(album: Mapping[str, Any]) -> dict[str, Any]:
    return {**album, "tracks": album["tracks"]["items"]}


def _write(file: Path, chunks: Iterator[bytes]) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as sink:
        return sum(sink.write(chunk) for chunk in chunks)


def lines(folder: Path, market: str) -> bytes:
    """The lines of one part, unpacked."""
    return gzip.decompress((folder / part_name(RUN, market)).read_bytes())
