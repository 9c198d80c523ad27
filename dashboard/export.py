"""Writes the data page as one file: styles, scripts and the newest weeks inside, no server and no network needed."""

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from dashboard import assets, wiring
from dashboard.documents import Json
from dashboard.library import Library
from dashboard.page import exported_page
from dashboard.settings import Settings
from eventing.clock import Clock, system_clock
from eventing.errors import Retryable

WEEKS: Final = 8
"""Weeks in the file, at about 150 KiB each."""
_AT_ONCE: Final = 8
_LONGEST: Final = 20.0  # seconds


async def to_file(
    settings: Settings,
    file: Path,
    *,
    keep: Path | None = None,
    weeks: int = WEEKS,
    covers: bool = False,
    clock: Clock = system_clock,
) -> int:
    """Write the file, and give its size in bytes; `keep` is that of `assets.load`.

    With `covers` the newest week's are inside; without, the file shows none, since it asks nobody.

    Raises:
        Retryable: the table, the bucket or a cover could not be asked for.
    """
    async with wiring.opened(settings, clock=clock) as (library, _):
        loaded, documents = await asyncio.gather(
            asyncio.to_thread(assets.load, keep),
            documents_of(library, weeks, has_figures="figures" not in settings.left_out),
        )
    told = replace(wiring.told(settings), images="", embed_in="")
    documents["covers"] = await _covers(documents) if covers else {}
    page = exported_page(loaded, documents, told, made_at=f"{clock():%Y-%m-%d %H:%M} UTC").encode()
    await asyncio.to_thread(_write, file, page)
    return len(page)


def _write(file: Path, page: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(page)


async def documents_of(library: Library, weeks: int, *, has_figures: bool) -> dict[str, Json]:
    """What the page would ask a server for, by path; only the newest weeks are offered."""
    index = await library.weeks()
    offered = index["weeks"][:weeks]
    dates = [date.fromisoformat(entry["week"]) for entry in offered]
    asked = {f"weeks/{day}": library.week(day) for day in dates}
    if has_figures:
        asked |= {"history": library.history()} | {f"weeks/{day}/figures": library.figures(day) for day in dates}
    found = await asyncio.gather(*asked.values())
    return {"weeks": {**index, "weeks": offered}, **dict(zip(asked, found, strict=True))}


async def _covers(documents: dict[str, Json]) -> dict[str, str]:
    """The newest week's covers as data addresses, by name."""
    weeks = documents["weeks"]["weeks"]
    if not weeks:
        return {}
    newest = documents[f"weeks/{weeks[0]['week']}"]
    place = newest["columns"].index("image")
    names = {row[place] for row in newest["releases"] if row[place]}
    return await fetched(newest["images"], names)


async def fetched(images: str, names: Iterable[str]) -> dict[str, str]:
    """Covers by name, as data addresses.

    Raises:
        Retryable: one could not be had.
    """
    wanted = sorted(names)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> str:
        async with turns:
            return await asyncio.to_thread(_fetch, f"{images}/{name}")

    return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))


def _fetch(address: str) -> str:
    try:
        with urlopen(address, timeout=_LONGEST) as answer:  # noqa: S310 -- the setting admits nothing but http and https
            kind, body = answer.headers.get_content_type(), answer.read()
    except OSError as error:
        raise Retryable(f"the cover {address} could not be had: {error}") from error
    return f"data:{kind};base64,{base64.b64encode(body).decode()}"
