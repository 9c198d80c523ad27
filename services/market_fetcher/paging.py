"""Reads a list to its end, page by page, whatever the list does meanwhile.

Totals change, entries repeat, pages come back empty and links lead in circles: the list ends where `next` is
null, where enough was found, after two pages in a row without anything new, or at a bound.
"""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from services.market_fetcher.decisions import is_refused_for_its_limit
from services.market_fetcher.ports import Json, Refused
from services.market_fetcher.shapes import KeyOf, Page

_BARREN = 2  # one empty page in the middle of a list has been reported, never two
ReadPage = Callable[[int], Awaitable[Page]]


class PageSizes:
    """How many entries a page may have: the most that Spotify has not refused, learnt for the process."""

    def __init__(self, *sizes: int) -> None:
        """Largest first."""
        self._sizes = sizes

    async def read(self, ask: Callable[[int], Awaitable[Json]]) -> tuple[Json, int]:
        """A page, by `ask` with the largest size that is given, and that size."""
        sizes = self._sizes
        while True:
            try:
                answer = await ask(sizes[0])
            except Refused as error:
                if len(sizes) == 1 or not is_refused_for_its_limit(error):
                    raise
                sizes = sizes[1:]
            else:
                self._sizes = min(self._sizes, sizes, key=len)
                return answer, sizes[0]


@dataclass(slots=True)
class Collected:
    """What a list held, each entry once, in order."""

    items: dict[Hashable, dict[str, Any]] = field(default_factory=dict)
    nulls: int = 0
    """Entries without anything usable."""
    odd: int = 0
    """Pages that were no list."""

    def take(self, page: Page, key_of: KeyOf) -> bool:
        """Take over a page; False where it brought nothing new."""
        before = len(self.items)
        for item in page.items:
            key = key_of(item)
            if key is None:
                self.nulls += 1
            else:
                self.items.setdefault(key, item)
        self.nulls += page.nulls
        self.odd += page.odd
        return len(self.items) > before


async def collect(
    read: ReadPage, key_of: KeyOf, *, pages: int, enough: int | None = None, first: Page | None = None
) -> Collected:
    """Read at most `pages` pages, from `first` on where it is known already."""
    found, barren, offset = Collected(), 0, 0
    for number in range(pages):
        page = first if number == 0 and first is not None else await _read_sure(read, offset)
        barren = 0 if found.take(page, key_of) else barren + 1
        if page.following is None or barren == _BARREN or (enough and len(found.items) >= enough):
            break
        offset = page.following
    return found


async def _read_sure(read: ReadPage, offset: int) -> Page:
    """Read a page, and once more where it is empty in the middle of a list."""
    page = await read(offset)
    return await read(offset) if page.looks_cut else page
