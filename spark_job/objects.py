"""Objects in the bucket, through Hadoop's FileSystem: the driver reaches `gs://` with nothing but Spark installed.

Spark has no public Python API for it, so this is the one module that goes through the JVM gateway.
"""

from fnmatch import fnmatch
from typing import Any

from pyspark.sql import SparkSession


class Objects:
    """List, write and delete by `gs://` address. Errors are Hadoop's, as Py4JJavaError."""

    def __init__(self, spark: SparkSession) -> None:
        context: Any = spark.sparkContext
        self._path = context._jvm.org.apache.hadoop.fs.Path  # noqa: SLF001 -- see the module's docstring
        self._configuration = context._jsc.hadoopConfiguration()  # noqa: SLF001 -- the same

    def names(self, folder: str, pattern: str) -> list[str]:
        """Names of the files right in the folder that fit the pattern; none if there is no such folder."""
        path, system = self._open(folder)
        if not system.exists(path):
            return []
        statuses = system.listStatus(path)
        names = [str(status.getPath().getName()) for status in statuses if status.isFile()]
        return sorted(name for name in names if fnmatch(name, pattern))

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
