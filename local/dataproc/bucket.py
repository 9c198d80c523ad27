"""What a driver leaves in the bucket's folder, made into objects.

Locally a driver reaches `gs://BUCKET/…` as plain files below the storage fake's folder. The fake keeps each
object's metadata beside its bytes; a file that came to be without it is worse than none: reading it, and listing
any prefix that holds it, is 404. So when a driver has ended, whatever it wrote is uploaded over itself.

Not here: objects of other buckets; deletions, which the fake sees by itself.
"""

import base64
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import google_crc32c
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud.storage import Bucket

_ADDRESS = re.compile(r"gs://(?P<bucket>[^/\s]+)/(?P<name>[^\s]*)")
_CLOCK_TICK = 1.0  # seconds by which a file system's clock may lag behind
_SECOND_LOOK = 0.2  # seconds; a file that the fake itself is just writing is complete by then

log = logging.getLogger(__name__)


def publish(
    bucket: Bucket, folder: Path, *, output: Path, prefix: str, arguments: Sequence[str], since: float
) -> None:
    """Upload the driver's output and what it wrote; a failure is logged and leaves the job's end as it is.

    Args:
        bucket: The bucket.
        folder: The folder with its files.
        output: The file with the driver's output.
        prefix: Where the output goes: Dataproc numbers the pieces below it.
        arguments: The job's arguments; what it writes lies at or below the addresses they name.
        since: When the driver was started, seconds of the epoch.
    """
    try:
        if output.exists():
            bucket.blob(f"{prefix}.000000000").upload_from_filename(str(output), content_type="text/plain")
        names = named(arguments, bucket.name)
        written = {path.relative_to(folder).as_posix(): path for path in _written(folder, names, since)}
        _adopt(bucket, written)
    except (GoogleAPICallError, RetryError, OSError) as error:
        log.error("what the driver of %s wrote is not in the bucket: %s", prefix, error)


def named(arguments: Sequence[str], bucket: str) -> list[str]:
    """List the object names and prefixes in this bucket that the arguments hold, the whole bucket aside."""
    found = (match for text in arguments for match in _ADDRESS.finditer(text))
    return [match["name"] for match in found if match["bucket"] == bucket and match["name"]]


def _written(folder: Path, names: Sequence[str], since: float) -> Iterator[Path]:
    for name in names:
        place = folder / name
        for path in (place, *place.rglob("*")):
            if path.is_file() and path.stat().st_mtime >= since - _CLOCK_TICK:
                yield path


def _adopt(bucket: Bucket, written: Mapping[str, Path]) -> None:
    suspects = {name: path for name, path in written.items() if not _known(bucket, path, name)}
    if suspects:
        time.sleep(_SECOND_LOOK)
    for name, path in suspects.items():
        if path.exists() and not _known(bucket, path, name):
            bucket.blob(name).upload_from_string(path.read_bytes(), content_type="application/octet-stream")


def _known(bucket: Bucket, path: Path, name: str) -> bool:
    """Whether the API shows an object with these very bytes."""
    blob = bucket.get_blob(name)
    checksum = base64.b64encode(google_crc32c.value(path.read_bytes()).to_bytes(4, "big")).decode()
    return blob is not None and blob.crc32c == checksum
