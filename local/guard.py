"""The process between a supervisor and one child: when the supervisor is gone, so is the child.

Run as a script by `local.processes`: `guard.py GRACE COMMAND...`. Its standard input is a pipe whose other end
only the supervisor holds. End of file there, whether the supervisor closed it or was killed, ends the child's
whole process group: SIGTERM, then SIGKILL after GRACE seconds. That one mechanism is orderly shutdown and
protection from orphans alike, on Linux and macOS. Standard library only and few imports: every child of the
stack waits for this to start.

It does not reach a grandchild that moves to a process group of its own; such a parent starts it under a guard.
"""

import contextlib
import os
import select
import signal
import sys
import time

NOT_STARTED = 127
"""Exit status when the command cannot be started, as shells have it."""

_KILLED = 128  # a child that a signal ended has this and the signal's number as its status, as in shells
_PAUSE = 0.02  # seconds between looks at a group that was asked to end


def main(grace: float, command: list[str]) -> int:
    """Run the command until it ends or the supervisor does; gives the status to exit with."""
    wakeup = _wake_on_signals()
    try:
        child = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setpgroup=0,
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD],
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        return NOT_STARTED
    status = _wait(child, wakeup)
    if status is None:
        _signal(child, signal.SIGTERM)
        status = _reap(child, time.monotonic() + grace)
    # What the child left behind ends with it, and a child that would not end is ended.
    _signal(child, signal.SIGKILL)
    if status is None:
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _KILLED - code


def _wake_on_signals() -> int:
    """Make signals readable from a file; handlers, unlike ignored signals, are not inherited by the child."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return read


def _wait(child: int, wakeup: int) -> int | None:
    """The child's wait status once it ends, or None when it has to be ended."""
    while True:
        ready, _, _ = select.select([0, wakeup], [], [])
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if 0 in ready:
            return None
        if signal.SIGTERM in os.read(wakeup, 64):
            return None


def _reap(child: int, deadline: float) -> int | None:
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(_PAUSE)
    return None


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or on macOS nothing but zombies
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
