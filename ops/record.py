"""The record that a local stack writes about itself, and whether that stack still runs.

The process of the stack holds a lock on a file beside the record as long as it lives. Only the lock shows that the
stack runs: the record may be left over, and its process id may by now be another process's.
"""

import fcntl
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

FILE: Final = "stack.json"
LOCK: Final = "stack.lock"
_AGAIN: Final = "end that stack and start it again: make down, then make up"


class Record(BaseModel, frozen=True):
    """Process, folder and addresses of a stack."""

    pid: int
    home: Path
    """The folder of its data and logs."""
    environment: dict[str, str]
    """Variables with which any Google client reaches it."""
    services: dict[str, str]
    spotify: str | None = None
    dashboard: str | None = None


class RecordError(Exception):
    """A record that is damaged, of another version, or may not be read; says what to do."""


class NotRunningError(RuntimeError):
    """No stack is running; says what to do."""


def read(file: Path) -> Record:
    """The record, whether its stack still runs or not.

    Raises:
        FileNotFoundError: there is no record.
        RecordError: it cannot be read.
    """
    try:
        return Record.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise
    except ValidationError as error:
        wrong = "; ".join(": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors())
        raise RecordError(f"{file}: cannot be read ({wrong}); {_AGAIN}") from error
    except OSError as error:
        raise RecordError(f"{file}: cannot be read ({error.strerror}); {_AGAIN}") from error


def running(folder: Path) -> Record:
    """The record of the stack that is up.

    Raises:
        NotRunningError: none is up, or one is just starting or ending.
        RecordError: its record cannot be read.
    """
    pid = holder(folder / LOCK)
    try:
        found = read(folder / FILE)
    except FileNotFoundError:
        if pid is None:
            raise NotRunningError(f"no stack is up in {folder}; start one with: make up") from None
        raise NotRunningError(f"a stack starts or ends just now, process {pid}; try again in a moment") from None
    if pid is None:
        raise NotRunningError(
            f"the stack that was up on {found.home} is gone; {found.home / 'stack.log'} may tell why. "
            "Start it again with: make up"
        )
    return found


def holder(lock: Path) -> int | None:
    """Id of the process that holds a lock file; None where none does, 0 where the file does not say which."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        number = lock.read_text(errors="replace").strip()
        return int(number) if number.isdecimal() else 0
    return None
