"""Writes the data page as one file: styles, scripts and the newest weeks inside, no server and no network needed."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Final

from dashboard import assets, wiring
from dashboard.documents import Json
from dashboard.library import Library
from dashboard.page import exported_page
from dashboard.settings import Settings
from eventing.clock import Clock, system_clock

WEEKS: Final = 8
"""Weeks in the file, at about 100 KiB each; the history of all weeks is in it anyway."""


async def to_file(
    settings: Settings,
    file: Path,
    *,
    keep: Path | None = None,
    weeks: int = WEEKS,
    clock: Clock = system_clock,
) -> int:
    """Write the file, and give its size in bytes; `keep` is that of `assets.load`.

    Raises:
        Retryable: the table could not be asked.
    """
    async with wiring.library(settings, clock=clock) as library:
        loaded, documents = await asyncio.gather(
            asyncio.to_thread(assets.load, keep), documents_of(library, weeks)
        )
    page = exported_page(loaded, documents, made_at=f"{clock():%Y-%m-%d %H:%M} UTC").encode()
    await asyncio.to_thread(_write, file, page)
    return len(page)


def _write(file: Path, page: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(page)


async def documents_of(library: Library, weeks: int) -> dict[str, Json]:
    """What the page would ask a server for, by path; only the newest weeks are offered."""
    index = await library.weeks()
    offered = index["weeks"][:weeks]
    found = await asyncio.gather(*(library.week(date.fromisoformat(entry["week"])) for entry in offered))
    return {
        "weeks": {**index, "weeks": offered},
        **{f"weeks/{document['week']}": document for document in found},
    }
