"""Objects in the bucket, through Hadoop's FileSystem: the driver reaches `gs://` with nothing but Spark installed.

Spark has no public Python API for it, so this is the one module that goes through the JVM gateway.
"""

from typing import Any, Final

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

_CHUNK: Final = 65536


class Objects:
    """List, read, write and delete by `gs://` address. Errors are Hadoop's, as Py4JJavaError."""

    def __init__(self, spark: SparkSession) -> None:
        context: Any = spark.sparkContext
        java = context._jvm  # noqa: SLF001 -- see the module's docstring
        self._configuration = context._jsc.hadoopConfiguration()  # noqa: SLF001 -- the same
        hadoop = java.org.apache.hadoop
        self._path = hadoop.fs.Path
        self._copy = hadoop.io.IOUtils.copyBytes
        self._codecs = hadoop.io.compress.CompressionCodecFactory(self._configuration)
        self._nowhere = java.java.io.OutputStream.nullOutputStream

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files right in the folder, by name; none if there is no such folder."""
        path, system = self._open(folder)
        if not system.exists(path):
            return {}
        statuses = [status for status in system.listStatus(path) if status.isFile()]
        return {str(status.getPath().getName()): int(status.getLen()) for status in statuses}

    def read(self, address: str) -> bytes:
        """The object's bytes."""
        path, system = self._open(address)
        stream = system.open(path)
        try:
            return bytes(stream.readAllBytes())
        finally:
            stream.close()

    def damage(self, address: str) -> str | None:
        """What Hadoop meets when it unpacks the object as Spark does, to its end; None where it is whole."""
        path, system = self._open(address)
        try:
            stream = self._codecs.getCodec(path).createInputStream(system.open(path))
            self._copy(stream, self._nowhere(), _CHUNK, True)  # noqa: FBT003 -- a Java method: close both
        except Py4JJavaError as error:
            return str(error.java_exception.getMessage())
        return None

    def write(self, address: str, content: bytes) -> None:
        """Write the object, whatever was there; on Cloud Storage it appears whole when the stream is closed."""
        path, system = self._open(address)
        stream = system.create(path, True)  # noqa: FBT003 -- a Java method: overwrite
        try:
            stream.write(bytearray(content))
        finally:
            stream.close()

    def delete_folder(self, folder: str) -> None:
        """Delete everything below the folder; nothing there is fine."""
        path, system = self._open(folder)
        system.delete(path, True)  # noqa: FBT003 -- a Java method: recursive

    def _open(self, address: str) -> tuple[Any, Any]:
        path = self._path(address)
        return path, path.getFileSystem(self._configuration)
