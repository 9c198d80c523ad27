"""A stack that stays: started by `up`, ended by `down`, reached by whoever sources its environment file.

The stack is held by a process of its own, `serve`. Whether it is there is told by the lock on its folder, never
by a process number alone, which may by now be another process's.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.events import RunRequested
from local.choices import Choices
from local.processes import ProcessError
from local.stack import ROOT, FolderInUseError, Stack, publish, sole_use

_LOOK = 0.2  # seconds
_UP = 120.0  # seconds until the stack must be there
_EXIT = 10.0  # seconds that a process without the hold may take to exit
_DOWN = 90.0  # seconds until it must be gone; deliveries under way are let end


@dataclass(frozen=True, slots=True)
class Files:
    """What tells others of the stack."""

    folder: Path

    @property
    def state(self) -> Path:
        """Process, folder and addresses, as JSON."""
        return self.folder / "stack.json"

    @property
    def environment(self) -> Path:
        """Lines to source: with them any Google client reaches the stack."""
        return self.folder / "env"

    def remove(self) -> None:
        """Tell nobody any more."""
        self.state.unlink(missing_ok=True)
        self.environment.unlink(missing_ok=True)


class NotRunningError(RuntimeError):
    """There is no stack to talk to."""


def serve(files: Files, choices: Choices, environment: Mapping[str, str]) -> None:
    """Hold a stack until SIGTERM or SIGINT; ends with an error if one of its processes does.

    Raises:
        FolderInUseError, ToolError, ProcessError: the stack did not come up, or did not stay.
    """
    with Stack(choices, environment) as stack:
        try:
            write_state(files, stack)
            print("ready", flush=True)
            while True:
                time.sleep(_LOOK)
                stack.check()
        finally:
            files.remove()


def write_state(files: Files, stack: Stack) -> None:
    """Tell others of a stack: the command line, and whoever sources the environment file."""
    told = stack.client_environment
    files.folder.mkdir(parents=True, exist_ok=True)
    files.environment.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in told.items()))
    state = {
        "pid": os.getpid(),
        "home": str(stack.choices.home),
        "environment": told,
        "services": dict(stack.addresses.services),
        "spotify": stack.addresses.simulator,
        "dashboard": stack.addresses.dashboard,
    }
    files.state.write_text(json.dumps(state, indent=2) + "\n")


def up(files: Files, home: Path, environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Start a stack that stays, and give its state.

    Raises:
        FolderInUseError: one is there already.
        ProcessError: it did not come up; names the log.
    """
    log = home / "stack.log"
    with sole_use(home):
        pass
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
        return _wait_for_state(files, holder, log)
    except BaseException:
        holder.terminate()
        holder.wait()
        raise


def _wait_for_state(files: Files, holder: subprocess.Popen[bytes], log: Path) -> Mapping[str, Any]:
    deadline = time.monotonic() + _UP
    while time.monotonic() < deadline:
        if holder.poll() is not None:
            raise ProcessError(f"the stack did not come up:\n{log.read_text(errors='replace').strip()}")
        if log.read_bytes().endswith(b"ready\n"):
            holder.returncode = 0  # it stays on purpose; without this Python warns that it still runs
            return state(files)
        time.sleep(_LOOK)
    raise ProcessError(f"the stack is not up after {_UP:.0f} s. Read {log}")


def state(files: Files) -> dict[str, Any]:
    """What `up` wrote about the stack.

    Raises:
        NotRunningError: there is none.
    """
    try:
        found: dict[str, Any] = json.loads(files.state.read_text())
    except FileNotFoundError:
        raise NotRunningError("no stack is up in this clone; start one with: make up") from None
    return found


def down(files: Files) -> Path:
    """End the stack and wait until all of it is gone; gives the folder its data stay in.

    Raises:
        NotRunningError: there is none.
        ProcessError: it does not end.
    """
    found = state(files)
    home = Path(found["home"])
    if not _is_held(home):
        files.remove()
        raise NotRunningError("the stack ended without being told to; its state is cleared now")
    os.kill(found["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _DOWN
    while _is_held(home):
        if time.monotonic() > deadline:
            raise ProcessError(f"process {found['pid']} does not end. Read {home / 'stack.log'}")
        time.sleep(_LOOK)
    _await_exit(found["pid"])
    return home


def _await_exit(pid: int) -> None:
    """The hold ends a moment before the process does; where nobody reaps it, that moment never comes."""
    deadline = time.monotonic() + _EXIT
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(_LOOK)


def _is_held(home: Path) -> bool:
    try:
        with sole_use(home):
            return False
    except FolderInUseError:
        return True


def tick(files: Files, environment: Mapping[str, str]) -> Path:
    """Ask the stack for a run, of RUN_DATE or of today as the weekly tick does; gives the stack's folder.

    Raises:
        NotRunningError: there is no stack.
    """
    found = state(files)
    event = RunRequested(run_id=environment.get("RUN_DATE") or None)
    publish(found["environment"]["PUBSUB_EMULATOR_HOST"], event, cause=str(time.time_ns()))
    return Path(found["home"])
