"""The bucket that the job reads and writes, as everybody else sees it: through the emulator's API."""

from typing import Self

from local.storage import Storage

PROJECT = "new-releases-test"


class Bucket:
    """A bucket of the fake Cloud Storage; a context manager."""

    def __init__(self, storage: Storage, name: str) -> None:
        storage.ensure_bucket(PROJECT, name)
        self.name = name
        self._client = storage.client(PROJECT)
        self._bucket = self._client.bucket(name)

    def write(self, name: str, content: bytes) -> str:
        """Upload an object, and give its name."""
        self._bucket.blob(name).upload_from_string(content)
        return name

    def read(self, name: str) -> bytes:
        """An object's bytes."""
        content: bytes = self._bucket.blob(name).download_as_bytes()
        return content

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._bucket.blob(name).delete()

    def names(self, prefix: str) -> list[str]:
        """Names of the objects that begin so, sorted."""
        return sorted(blob.name for blob in self._bucket.list_blobs(prefix=prefix))

    def empty(self, prefix: str) -> None:
        """Delete all that begin so."""
        for name in self.names(prefix):
            self.delete(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
