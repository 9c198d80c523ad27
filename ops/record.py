"""What a local stack that keeps running says about itself in a file, and whether it still runs.

Whoever holds the stack locks a file beside the record for as long as it lives, however it ends. That lock alone says
that there is a stack: the record may have outlived it, and the number of its process may be another's by now.
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
    """Where its data and logs lie."""
    environment: dict[str, str]
    """With these any Google client reaches it."""
    services: dict[str, str]
    spotify: str | None = None
    dashboard: str | None = None


class RecordError(Exception):
    """A record that says nothing: damaged, of another version, or not to be read; says what to do."""


class NotRunningError(RuntimeError):
    """There is no stack to talk to; says what to do."""


def read(file: Path) -> Record:
    """What a stack said about itself, whether it still runs or not.

    Raises:
        FileNotFoundError: there is no record.
        RecordError: it says nothing.
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
        NotRunningError: there is none, or it is gone, or on its way.
        RecordError: nobody can tell how to reach it.
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
    """The process that holds a lock file; None where nobody does, 0 where the file does not tell its number."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        number = lock.read_text(errors="replace").strip()
        return int(number) if number.isdecimal() else 0
    return None
