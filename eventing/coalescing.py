"""A burst of events about one run costs one look at it, not one each."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from eventing.turns import Turns


class Coalescer:
    """Runs `work(key)` for everyone who asks, joining those who ask before it has begun.

    Whoever asks while a run for the same key is under way waits for the next one, because the present one may
    have looked before the asker's change was visible. So n askers cost at most one run per `linger` plus the run's
    own length, and every asker's run begins after it asked. Two runs for one key never overlap.
    """

    def __init__(self, work: Callable[[str], Awaitable[None]], *, linger: timedelta) -> None:
        self._work = work
        self._linger_seconds = linger.total_seconds()
        self._next: dict[str, asyncio.Task[None]] = {}
        self._turns = Turns()

    async def run(self, key: str) -> None:
        """Wait for a run that begins after this call; raises what that run raises."""
        task = self._next.get(key)
        if task is None:
            task = asyncio.create_task(self._begin(key))
            self._next[key] = task
        # Shielded: one asker that goes away must not take the run from the others.
        await asyncio.shield(task)

    async def _begin(self, key: str) -> None:
        try:
            await asyncio.sleep(self._linger_seconds)
            async with self._turns(key):
                self._next.pop(key, None)
                await self._work(key)
        finally:
            if self._next.get(key) is asyncio.current_task():
                self._next.pop(key)
