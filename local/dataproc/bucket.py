"""What Dataproc does with a bucket for a job: its files come from there, and its output goes there.

What the job itself reads and writes is not here: that goes through its connector.
"""

import logging
import re
from pathlib import Path
from typing import Final

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud.storage import Bucket

from local.dataproc.driver import DriverError

_ADDRESS: Final = re.compile(r"gs://(?P<bucket>[^/\s]+)/(?P<name>\S+)")

log = logging.getLogger(__name__)


def fetch(bucket: Bucket, uri: str, folder: Path) -> Path:
    """Download a file of the job into this folder, under its own name.

    Raises:
        DriverError: it is not an object of the bucket.
    """
    address = _ADDRESS.fullmatch(uri)
    if address is None or address["bucket"] != bucket.name:
        raise DriverError(
            f"{uri}: is not an object of the bucket; put it at gs://{bucket.name}/jobs/ and name it so"
        )
    file = folder / address["name"].rpartition("/")[2]
    try:
        bucket.blob(address["name"]).download_to_filename(str(file))
    except (GoogleAPICallError, RetryError, OSError) as error:
        raise DriverError(f"{uri}: cannot be read: {error}") from error
    return file


def publish(bucket: Bucket, output: Path, *, prefix: str) -> None:
    """Upload the driver's output; a failure is logged and leaves the job's end as it is.

    Dataproc numbers the pieces below `prefix`.
    """
    if not output.exists():
        return
    try:
        bucket.blob(f"{prefix}.000000000").upload_from_filename(str(output), content_type="text/plain")
    except (GoogleAPICallError, RetryError, OSError) as error:
        log.error("the output of the driver of %s is not in the bucket: %s", prefix, error)
