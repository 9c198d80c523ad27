"""A stack that stays: started by `up`, ended by `down`, reached by whoever sources its environment file.

The stack is held by a process of its own, `serve`. A folder has one such stack at a time, told of by one record.
Whether it is there is told by the lock that `serve` holds on the folder, never by the record or by a process number,
which may by now be another process's (`ops.record`). Without its record nobody can reach the stack: then it ends.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError

from contracts.events import RunRequested
from local.choices import Choices
from local.processes import ProcessError
from local.stack import ROOT, FolderInUseError, Stack, publish, sole_use
from ops import record
from ops.record import NotRunningError, Record, RecordError

_LOOK = 0.2  # seconds
_UP = 120.0  # seconds until the stack must be there
_EXIT = 10.0  # seconds that a process without the hold may take to exit
_DOWN = 90.0  # seconds until it must be gone; deliveries under way are let end
_TICK = 10.0  # seconds that the emulator may take for a tick


@dataclass(frozen=True, slots=True)
class Files:
    """What tells others of the stack."""

    folder: Path

    @property
    def state(self) -> Path:
        """Process, folder and addresses, as JSON."""
        return self.folder / record.FILE

    @property
    def environment(self) -> Path:
        """Lines to source: with them any Google client reaches the stack."""
        return self.folder / "env"

    @property
    def holder(self) -> int | None:
        """The process that holds the stack, None where there is none; see `ops.record.holder`."""
        return record.holder(self.folder / record.LOCK)

    def remove(self) -> None:
        """Tell nobody any more."""
        self.state.unlink(missing_ok=True)
        self.environment.unlink(missing_ok=True)


def serve(files: Files, choices: Choices, environment: Mapping[str, str]) -> None:
    """Hold a stack until SIGTERM or SIGINT, or until its record is gone.

    Raises:
        FolderInUseError, ToolError, ProcessError: the stack did not come up, or did not stay.
    """
    with sole_use(files.folder, lock=record.LOCK), Stack(choices, environment) as stack:
        write_state(files, stack)
        while files.state.exists():
            time.sleep(_LOOK)
            stack.check()


def write_state(files: Files, stack: Stack) -> None:
    """Tell others of a stack: the command line, and whoever sources the environment file."""
    told = stack.client_environment
    exported = {**told, "SPOTIFY": stack.addresses.simulator or ""}  # by this name docs/operations.md speaks to it
    _write(files.environment, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exported.items()))
    found = Record(
        pid=os.getpid(),
        home=stack.choices.home,
        environment=told,
        services=dict(stack.addresses.services),
        spotify=stack.addresses.simulator,
        dashboard=stack.addresses.dashboard,
    )
    _write(files.state, found.model_dump_json(indent=2) + "\n")


def _write(file: Path, text: str) -> None:
    """All of it or nothing: a reader never sees half a file."""
    whole = file.with_name(f"{file.name}.new")
    whole.write_text(text)
    whole.replace(file)


def up(files: Files, home: Path, environment: Mapping[str, str]) -> Record:
    """Start a stack that stays, and give its record.

    Raises:
        FolderInUseError: one is there already, or another uses the data.
        ProcessError: it did not come up; names the log.
    """
    with sole_use(files.folder, lock="up.lock", by="another `make up`"):
        _refuse_a_second(files)
        with sole_use(home):
            files.remove()  # of a stack that is gone
        return _start(files, home / "stack.log", environment)


def _refuse_a_second(files: Files) -> None:
    pid = files.holder
    if pid is not None:
        home = _home(files)
        raise FolderInUseError(
            f"a stack is up already{f' on {home}' if home else ''}, process {pid}; end it first with: make down. For "
            f"one more beside it, give up, tick and down another folder: LOCAL_FOLDER={files.folder}-2 make up"
        )


def _home(files: Files) -> Path | None:
    """Where the data of a stack lie; unknown while it comes up, and where its record is damaged."""
    try:
        return record.read(files.state).home
    except (FileNotFoundError, RecordError):
        return None


def _start(files: Files, log: Path, environment: Mapping[str, str]) -> Record:
    with log.open("wb") as output:
        holder = subprocess.Popen(
            [sys.executable, "-m", "local", "serve"],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _wait_for_record(files, holder, log)
    except BaseException:
        holder.terminate()
        holder.wait()
        files.remove()
        raise


def _wait_for_record(files: Files, holder: subprocess.Popen[bytes], log: Path) -> Record:
    deadline = time.monotonic() + _UP
    while time.monotonic() < deadline:
        if holder.poll() is not None:
            raise ProcessError(
                f"the stack did not come up:\n{log.read_text(errors='replace').strip()}\n"
                f"Where its data are damaged: remove {log.parent}, or choose another folder with STACK_DATA"
            )
        if files.state.exists():
            holder.returncode = 0  # it stays on purpose; without this Python warns that it still runs
            return record.read(files.state)
        time.sleep(_LOOK)
    raise ProcessError(f"the stack is not up after {_UP:.0f} s. Read {log}")


def down(files: Files) -> Path | None:
    """End the stack, also one that is still coming up, and wait until all of it is gone; gives where its data stay.

    Raises:
        NotRunningError: there is none.
        ProcessError: it does not end.
    """
    pid, was_told_of, home = files.holder, files.state.exists(), _home(files)
    if pid:
        os.kill(pid, signal.SIGTERM)
        _await_release(files, pid)
    files.remove()
    if pid is None and was_told_of:
        raise NotRunningError("the stack ended without being told to; its record is cleared now")
    if pid is None:
        raise NotRunningError(f"no stack is up in {files.folder}; start one with: make up")
    if not pid:  # its lock is damaged: without the record it ends by itself
        _await_release(files, pid)
    _await_exit(pid)
    return home


def _await_release(files: Files, pid: int) -> None:
    deadline = time.monotonic() + _DOWN
    while files.holder == pid:
        if time.monotonic() > deadline:
            raise ProcessError(
                f"the stack has not ended after {_DOWN:.0f} s. Read stack.log in its data folder, or end its process, "
                f"{pid or 'unknown'}, with SIGKILL: what it started ends with it"
            )
        time.sleep(_LOOK)


def _await_exit(pid: int) -> None:
    """The hold ends a moment before the process does; where nobody reaps it, that moment never comes."""
    deadline = time.monotonic() + _EXIT
    while pid and time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, PermissionError):  # gone, or its number is another's by now
            return
        time.sleep(_LOOK)


def tick(files: Files, run_date: str | None) -> Path:
    """Ask the stack for a run, of a date or of today as the weekly tick does; gives the stack's data folder.

    Raises:
        NotRunningError, RecordError: there is no stack, or no way to tell where it is.
        ProcessError: it does not answer.
    """
    found = record.running(files.folder)
    event = RunRequested(run_id=run_date)
    try:
        publish(found.environment["PUBSUB_EMULATOR_HOST"], event, cause=str(time.time_ns()), within=_TICK)
    except GoogleAPIError as error:
        raise ProcessError(
            f"the stack does not take the tick ({error}). Read {found.home / 'logs' / 'pubsub.log'}, "
            "or start it again: make down, then make up"
        ) from error
    return found.home
