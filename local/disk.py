"""Room on the disk: whether there is enough to start, and whether a failure comes of there being none."""

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

NEEDED: Final = 200 * 10**6
"""Bytes: ten times what a run of all markets was seen to take, 21 MB of data and logs; Spark's scratch took 1 MB."""
_SPENT: Final = 10**6  # with less than this nothing goes on
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_SAID: Final = "no space left on device"  # by Java, Go, DuckDB and Python alike

Free = Callable[[Path], int]


class DiskError(RuntimeError):
    """There is no room for a stack; says where, and how much there is."""


def free(folder: Path) -> int:
    """Bytes that are free where the folder is, or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def require_room(home: Path, *, measure: Free = free) -> None:
    """Look before a start: data and logs go to the stack's folder, Spark's scratch to the temporary one.

    Raises:
        DiskError: a folder has less than is needed.
    """
    scratch = Path(tempfile.gettempdir())
    for folder, remedy in ((home, "STACK_DATA=another folder"), (scratch, "TMPDIR=another folder")):
        there = measure(folder)
        if there < NEEDED:
            raise DiskError(
                f"the disk of {folder} has {_megabytes(there)} free and a stack needs {_megabytes(NEEDED)}: "
                f"make room, or choose another disk with {remedy}"
            )


def blamed(error: BaseException, home: Path, logs: Iterable[str], *, measure: Free = free) -> str | None:
    """In one line that the disk is full, where an error, or a log of a process that failed, comes of that."""
    there = measure(home)
    is_said = there < NEEDED and any(_SAID in log.lower() for log in logs)  # else it is a log of long ago
    if not (_means_no_space(error) or is_said or there < _SPENT):
        return None
    where = getattr(error, "filename", None) or home
    return f"the disk is full: {where} could not be written, {_megabytes(there)} are free. Make room and try again"


def _means_no_space(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno in _NO_SPACE) or _SAID in str(error).lower()


def _megabytes(count: int) -> str:
    return f"{count / 10**6:.0f} MB"
