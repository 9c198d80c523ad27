"""Waiting in tests: for a condition, with a deadline, never for a span of time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

FoundT = TypeVar("FoundT")

_LOOK = 0.05  # seconds between two looks


@overload
async def eventually(probe: Callable[[], Awaitable[FoundT | None]], *, within: float) -> FoundT: ...


@overload
async def eventually(probe: Callable[[], FoundT | None], *, within: float) -> FoundT: ...


async def eventually(probe: Callable[[], Any], *, within: float) -> Any:
    """Ask the probe, plain or async, until it gives something true, and give that; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = probe()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {getattr(probe, '__doc__', None) or probe}")
        await asyncio.sleep(_LOOK)
