"""Which markets call Spotify at the same time: all where they share their calls, else few, so that some are finished.

A quota that ends in the middle of a run leaves what was finished, and markets that are half fetched are worth nothing:
so those that have begun come first. An app that reads albums twenty at a time has all markets at once: what one lists
fills the batches of the others.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.market_fetcher.decisions import admitted, at_once
from services.market_fetcher.releases import Ability


class Admission:
    """Lets markets in."""

    def __init__(self, ability: Ability) -> None:
        self._ability = ability
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._inside: set[str] = set()
        self._begun: set[str] = set()

    @contextlib.asynccontextmanager
    async def __call__(self, name: str) -> AsyncIterator[None]:
        """Wait to be let in; inside this block calls are made. No two blocks of one name at a time."""
        entered = self._waiting[name] = asyncio.get_running_loop().create_future()
        self.look()
        try:
            await entered
            yield
            self._begun.discard(name)
        finally:
            self._waiting.pop(name, None)
            self._inside.discard(name)
            self.look()

    def look(self) -> None:
        """Let in who may: somebody has left, or more is known of the app."""
        for name in admitted(self._waiting, self._begun, at_once(self._ability.app) - len(self._inside)):
            self._inside.add(name)
            self._begun.add(name)
            self._waiting.pop(name).set_result(None)
