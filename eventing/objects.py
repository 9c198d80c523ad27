"""The bucket as the services see it: named bytes with generations, and create-only writes as the only locks."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any, Protocol, TypeVar

from google.api_core.exceptions import GoogleAPIError, NotFound, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob, Client
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from contracts.wording import shown
from eventing.deadlines import CALL, PING, Deadline
from eventing.errors import OF_ANOTHER_FORM, Permanent, Retryable

ResultT = TypeVar("ResultT")
_PARALLEL_CALLS = 32


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's content and which write of it this is."""

    body: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing tells about an object."""

    name: str
    generation: int
    crc32c: str
    size: int
    updated: datetime
    """When this generation was written, as the store tells it."""
    metadata: Mapping[str, str] = field(default_factory=dict)


class TooLarge(Permanent):
    """An object with more bytes than its reader takes."""

    def __init__(self, name: str, most_bytes: int) -> None:
        super().__init__(f"{shown(name)} has more than {most_bytes:,} bytes")


class _Bounded(BytesIO):
    """Takes no more bytes than are wanted: a huge object that somebody left in the bucket must not fill the memory."""

    def __init__(self, name: str, most_bytes: int | None) -> None:
        super().__init__()
        self._object = name
        self._most_bytes = most_bytes

    def write(self, data: Any) -> int:
        if self._most_bytes is not None and self.tell() + len(data) > self._most_bytes:
            raise TooLarge(self._object, self._most_bytes)
        return super().write(data)


class ObjectStore(Protocol):
    """Named bytes, strongly consistent. All methods raise `Retryable` when the store cannot be reached."""

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        """The object as it is now, or None.

        Raises:
            TooLarge: it has more bytes than `most_bytes`; no more of them were kept.
        """
        ...

    async def stat(self, name: str) -> ObjectInfo | None:
        """What is known about the object, its metadata included, without reading it; None if it does not exist."""
        ...

    async def create(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """Write where nothing is yet.

        True when this content stands, also if an earlier, uncertain attempt of ours wrote it; False when
        another's content was there first.
        """
        ...

    async def write(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """Write, replacing what is there; gives the new generation."""
        ...

    async def replace(self, name: str, body: bytes, generation: int) -> bool:
        """Write in place of this generation alone.

        True when this content stands, also if an earlier, uncertain attempt of ours wrote it; False when another
        wrote or removed the object meanwhile.
        """
        ...

    async def delete(self, name: str) -> None:
        """Remove the object, if it exists."""
        ...

    async def listing(self, prefix: str) -> list[ObjectInfo]:
        """All objects below a prefix, by name."""
        ...

    async def ping(self) -> None:
        """Raise `Retryable` unless the store answers."""
        ...


class GcsObjectStore:
    """An `ObjectStore` on one Cloud Storage bucket, through the official (blocking) client in a thread pool."""

    def __init__(self, client: Client, bucket: str, deadline: Deadline = CALL) -> None:
        self._client = client
        self._deadline = deadline
        self._bounds: dict[str, Any] = {
            "timeout": deadline.attempt_seconds,
            "retry": DEFAULT_RETRY.with_timeout(deadline.retries_seconds),
        }
        self._bucket = client.bucket(bucket)
        self._pool = ThreadPoolExecutor(_PARALLEL_CALLS, thread_name_prefix="gcs")
        # The client's session keeps 10 connections by default and drops the rest after each call.
        client._http.mount("https://", HTTPAdapter(pool_maxsize=_PARALLEL_CALLS))  # noqa: SLF001 -- no public way
        client._http.mount("http://", HTTPAdapter(pool_maxsize=_PARALLEL_CALLS))  # noqa: SLF001 -- the same

    async def aclose(self) -> None:
        """Wait for calls under way and close the connections."""
        await asyncio.to_thread(self._pool.shutdown)
        self._client.close()

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        """See `ObjectStore.read`."""
        return await self._call("read", name, lambda: self._read(name, most_bytes))

    def _read(self, name: str, most_bytes: int | None) -> StoredObject | None:
        blob, body = self._bucket.blob(name), _Bounded(name, most_bytes)
        try:
            # raw: the bytes as stored; a part is gzip by content, not by transport.
            blob.download_to_file(body, raw_download=True, **self._bounds)
        except NotFound:
            return None
        return StoredObject(body.getvalue(), int(blob.generation or 0))

    async def end(self, name: str, most_bytes: int) -> bytes:
        """At most so many bytes of the object, from its end; empty where there is no object."""
        return await self._call("read the end of", name, lambda: self._end(name, most_bytes))

    def _end(self, name: str, most_bytes: int) -> bytes:
        blob = self._bucket.get_blob(name, **self._bounds)
        if not blob or not blob.size:
            return b""
        begin = max(0, int(blob.size) - most_bytes)
        return bytes(
            blob.download_as_bytes(start=begin, end=int(blob.size) - 1, raw_download=True, **self._bounds)
        )

    async def stat(self, name: str) -> ObjectInfo | None:
        """See `ObjectStore.stat`."""
        return await self._call("stat", name, lambda: self._stat(name))

    def _stat(self, name: str) -> ObjectInfo | None:
        blob = self._bucket.get_blob(name, **self._bounds)
        return None if blob is None else _info(blob)

    async def create(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """See `ObjectStore.create`."""
        return await self._write_if(name, body, metadata, generation=0)

    async def replace(self, name: str, body: bytes, generation: int) -> bool:
        """See `ObjectStore.replace`."""
        return await self._write_if(name, body, None, generation=generation)

    async def _write_if(
        self, name: str, body: bytes, metadata: Mapping[str, str] | None, *, generation: int
    ) -> bool:
        what = "replace" if generation else "create"
        try:
            await self._call(what, name, lambda: self._upload(name, body, metadata, only_if=generation))
        except PreconditionFailed:
            return await self._stands(name, body)
        return True

    async def _stands(self, name: str, body: bytes) -> bool:
        """Whether it is our own object that was met: the client repeats an upload whose answer was lost."""
        try:
            standing = await self.read(name, most_bytes=len(body))
        except TooLarge:
            return False
        return standing is not None and standing.body == body

    async def write(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> int:
        """See `ObjectStore.write`."""
        return await self._call("write", name, lambda: self._upload(name, body, metadata, only_if=None))

    def _upload(self, name: str, body: bytes, metadata: Mapping[str, str] | None, *, only_if: int | None) -> int:
        blob = self._bucket.blob(name)
        if metadata:
            blob.metadata = dict(metadata)
        blob.upload_from_string(
            body,
            content_type=_content_type(name),
            if_generation_match=only_if,
            checksum="crc32c",
            # Tried again as well: whole objects of the same content, so that writing twice is writing once.
            **self._bounds,
        )
        return int(blob.generation or 0)

    async def delete(self, name: str) -> None:
        """See `ObjectStore.delete`."""
        await self._call("delete", name, lambda: self._delete(name))

    def _delete(self, name: str) -> None:
        try:
            self._bucket.blob(name).delete(**self._bounds)
        except NotFound:
            return

    async def listing(self, prefix: str) -> list[ObjectInfo]:
        """See `ObjectStore.listing`."""
        return await self._call("list", prefix, lambda: self._list(prefix))

    def _list(self, prefix: str) -> list[ObjectInfo]:
        blobs = self._client.list_blobs(self._bucket, prefix=prefix, **self._bounds)
        return sorted(map(_info, blobs), key=lambda info: info.name)

    async def ping(self) -> None:
        """See `ObjectStore.ping`."""
        await self._call("ping", "", lambda: self._bucket.exists(timeout=PING.attempt_seconds, retry=None))

    async def _call(self, what: str, name: str, call: Callable[[], ResultT]) -> ResultT:
        try:
            calling = asyncio.get_running_loop().run_in_executor(self._pool, call)
            return await asyncio.wait_for(calling, self._deadline.seconds)
        except PreconditionFailed:
            raise
        except (GoogleAPIError, GoogleAuthError, RequestException, TimeoutError, *OF_ANOTHER_FORM) as error:
            reason = f"cloud storage: {what} {shown(name)} failed: {type(error).__name__}"
            raise Retryable(reason) from error


def _content_type(name: str) -> str:
    return "application/gzip" if name.endswith(".gz") else "application/json"


def _info(blob: Blob) -> ObjectInfo:
    return ObjectInfo(
        name=blob.name,
        generation=int(blob.generation),
        crc32c=blob.crc32c or "",
        size=int(blob.size or 0),
        updated=blob.updated,
        metadata=dict(blob.metadata or {}),
    )
