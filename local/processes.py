"""Child processes of the local stack: started under a guard, waited for, and ended in order.

Every child has a process group of its own, so a Ctrl-C in the terminal reaches only the supervisor, which then
ends the children in order. If the supervisor itself is killed, each child's guard sees its pipe close and ends
the child (`local.guard`). Nothing here knows what the children are.
"""

import random
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

LOOPBACK = "127.0.0.1"
FoundT = TypeVar("FoundT")

_GUARD = Path(__file__).with_name("guard.py")
_LOOK = 0.03  # seconds between two looks at a readiness condition
_QUOTED_LINES = 15
_GRACE = 8.0  # seconds a child has between SIGTERM and SIGKILL
_PORT_BLOCKS = range(20000, 32000, 40)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever the environment names


class ProcessError(RuntimeError):
    """A child ended, or was not ready in time; says which, names its log and quotes the log's last lines."""


class Child:
    """One running child."""

    def __init__(self, name: str, spawn: Callable[[], subprocess.Popen[bytes]], log: Path) -> None:
        self.name = name
        self.log = log
        self._spawn = spawn
        self._popen = spawn()
        self._begun = 0

    @property
    def guard_pid(self) -> int:
        """The process id of the child's guard; the child itself is its only child."""
        return self._popen.pid

    def start_again(self) -> None:
        """Start the child once more after it has ended, as it was started; its log goes on."""
        self.stop()
        self._begun = self.log.stat().st_size
        self._popen = self._spawn()

    @property
    def running(self) -> bool:
        """Whether the child is still there."""
        return self._popen.poll() is None

    def wait_until(self, condition: Callable[[], FoundT | None], *, within: float) -> FoundT:
        """Wait until the condition gives something, and give that.

        Raises:
            ProcessError: the child ended before, or `within` seconds have passed.
        """
        deadline = time.monotonic() + within
        while True:
            # Asked first: a port that another process listens on must not pass for this child's.
            self.check()
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                raise self._error(f"is not ready after {within:.0f} s")
            time.sleep(_LOOK)

    def wait_for_line(self, pattern: str, *, within: float) -> re.Match[str]:
        """Wait for a line that the child has logged since it was started last. Raises as `wait_until`."""
        expression = re.compile(pattern, re.MULTILINE)
        return self.wait_until(lambda: expression.search(self._text_since_start()), within=within)

    def check(self) -> None:
        """Raise `ProcessError` if the child has ended."""
        status = self._popen.poll()
        if status is not None:
            raise self._error(f"ended with status {status}")

    def text(self) -> str:
        """What the child has written so far."""
        return self.log.read_text(errors="replace")

    def _text_since_start(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._begun)
            return log.read().decode(errors="replace")

    def ask_to_end(self) -> None:
        """Begin the end of the child and all of its group."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def stop(self) -> None:
        """End the child and all of its group; returns when it has ended."""
        self.ask_to_end()
        self._popen.wait()

    def _error(self, what: str) -> ProcessError:
        tail = "\n".join(f"  | {line}" for line in self.text().splitlines()[-_QUOTED_LINES:])
        return ProcessError(
            f"{self.name} {what}. Its log is {self.log}, which ends with:\n{tail or '  (nothing)'}"
        )


class Supervisor:
    """Starts children and ends them together; a context manager. For an order, nest one in another."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.children: list[Child] = []
        self.ports = Ports()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        grace: float = _GRACE,
    ) -> Child:
        """Start a child that writes to `<log_dir>/<name>.log` and sees this environment alone."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        log = self.log_dir / f"{name}.log"
        log.unlink(missing_ok=True)

        def spawn() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    guarded(command, grace=grace),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    cwd=cwd,
                    start_new_session=True,
                )

        child = Child(name, spawn, log)
        self.children.append(child)
        return child

    def check(self) -> None:
        """Raise `ProcessError` if any child has ended."""
        for child in self.children:
            child.check()

    def stop(self) -> None:
        """End all children and wait until they have ended."""
        for child in self.children:
            child.ask_to_end()
        while self.children:
            self.children.pop().stop()
        self.ports.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def guarded(command: Sequence[str | Path], *, grace: float) -> list[str]:
    """The command under a guard: it ends, with its group, when the guard's standard input is closed.

    For whoever starts processes in other ways: give the guard a pipe as standard input and keep the other end.
    """
    return [sys.executable, "-I", "-S", str(_GUARD), str(grace), *map(str, command)]


class Ports:
    """Free ports from a block that is claimed on the whole machine, so that two stacks never draw the same.

    The claim is the block's first port, bound for as long as the block is in use. Blocks lie below the range that
    systems hand out for connections and for port 0.
    """

    def __init__(self) -> None:
        self._claim: socket.socket | None = None
        self._rest: list[int] = []

    def take(self) -> int:
        """A port of the block that nobody listens on.

        Raises:
            ProcessError: there is none on this machine.
        """
        if self._claim is None:
            self._claim_block()
        while self._rest:
            port = self._rest.pop(0)
            probe = _bound(port)
            if probe is not None:
                probe.close()
                return port
        raise ProcessError("no port is free in this stack's block; end what listens there and start again")

    def release(self) -> None:
        """Give the block back."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _claim_block(self) -> None:
        for first in random.SystemRandom().sample(_PORT_BLOCKS, len(_PORT_BLOCKS)):
            self._claim = _bound(first)
            if self._claim is not None:
                self._rest = list(range(first + 1, first + _PORT_BLOCKS.step))
                return
        raise ProcessError(
            f"no free port from {_PORT_BLOCKS.start} to {_PORT_BLOCKS.stop}; end what listens there"
        )


def _bound(port: int) -> socket.socket | None:
    claim = socket.socket()
    try:
        claim.bind((LOOPBACK, port))
    except OSError:
        claim.close()
        return None
    return claim


def answers(url: str) -> Callable[[], bool | None]:
    """A condition: a GET of the URL is answered with 2xx."""

    def ask() -> bool | None:
        try:
            with _DIRECT.open(url, timeout=2) as response:
                return bool(response.status)
        except (urllib.error.URLError, OSError):
            return None

    return ask
