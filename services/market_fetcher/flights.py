"""One task for each thing that is being got, shared by all who want it.

A flight does not end with those who wait for it: a delivery that runs out of time leaves it flying, and the next
delivery joins it or finds what it brought.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

ResultT = TypeVar("ResultT")


class Flights(Generic[ResultT]):
    """The flights under way, by key."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[ResultT]] = {}

    async def aclose(self) -> None:
        """Give up what is under way."""
        given_up = list(self._under_way.values())
        for flight in given_up:
            flight.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)

    async def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """Wait for the flight of this key, started now unless it is under way; raises what it raises."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = self._under_way[key] = asyncio.create_task(start())
            flight.add_done_callback(lambda _: self._under_way.pop(key))
        # Shielded: one who gives up must not take it from the others.
        return await asyncio.shield(flight)
