"""What concerns the same run, or the same market, takes turns."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """One block at a time for each key."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __call__(self, key: str) -> asyncio.Lock:
        """The lock of this key; it is forgotten when nobody holds it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())
