"""An object store in memory; it passes the contract suite that the real one passes."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime

import google_crc32c

from eventing.clock import Clock
from eventing.objects import ObjectInfo, StoredObject, TooLarge


class MemoryObjectStore:
    """An `ObjectStore` as a dictionary. Generations only ever grow, as in Cloud Storage."""

    def __init__(self, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, ObjectInfo]] = {}
        self._generation = 1_763_000_000_000_000
        self.listings: list[str] = []
        """Every prefix that was listed, in order."""

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        """See `ObjectStore.read`."""
        found = self._objects.get(name)
        if found and most_bytes is not None and len(found[0]) > most_bytes:
            raise TooLarge(name, most_bytes)
        return StoredObject(found[0], found[1].generation) if found else None

    async def end(self, name: str, most_bytes: int) -> bytes:
        """See `GcsObjectStore.end`."""
        return (self.body(name) or b"")[-most_bytes:]

    async def stat(self, name: str) -> ObjectInfo | None:
        """See `ObjectStore.stat`."""
        found = self._objects.get(name)
        return found[1] if found else None

    async def create(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """See `ObjectStore.create`."""
        if name in self._objects:
            return self._objects[name][0] == body
        await self.write(name, body, metadata)
        return True

    async def write(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """See `ObjectStore.write`."""
        self._generation += 1
        info = ObjectInfo(name, self._generation, _crc32c(body), len(body), self._clock(), dict(metadata or {}))
        self._objects[name] = (body, info)
        return self._generation

    async def replace(self, name: str, body: bytes, generation: int) -> bool:
        """See `ObjectStore.replace`."""
        found = self._objects.get(name)
        if found is None or found[1].generation != generation:
            return found is not None and found[0] == body
        await self.write(name, body)
        return True

    async def delete(self, name: str) -> None:
        """See `ObjectStore.delete`."""
        self._objects.pop(name, None)

    async def listing(self, prefix: str) -> list[ObjectInfo]:
        """See `ObjectStore.listing`."""
        self.listings.append(prefix)
        found = sorted(name for name in self._objects if name.startswith(prefix))
        return [self._objects[name][1] for name in found]

    async def ping(self) -> None:
        """Always there."""

    def body(self, name: str) -> bytes | None:
        """The content of an object, looked at from outside."""
        found = self._objects.get(name)
        return found[0] if found else None

    def names(self) -> list[str]:
        """Every object there is."""
        return sorted(self._objects)


def _crc32c(body: bytes) -> str:
    return base64.b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode()
