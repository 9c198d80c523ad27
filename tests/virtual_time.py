"""An event loop whose clock jumps: whenever nothing can run, the time of the next sleeper comes at once.

Hours of waiting take milliseconds, and everything that waits through the loop (sleeps, timeouts) agrees on the
time. Real sockets on this machine work too: they get a moment before the clock jumps. Threads do not: work for an
executor runs in place.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tests.builders import NOW

ResultT = TypeVar("ResultT")

_OWN_SOCKETS = 1  # the loop's own, for waking it
_SOCKETS_GET = 0.005  # real seconds; loopback delivers before `send` returns, unless the machine is very busy


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, moves the clock to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What can be read or written now; else nothing, with the time advanced."""
        ready = super().select(0)
        if not ready and timeout != 0 and len(self.get_map()) > _OWN_SOCKETS:
            ready = super().select(_SOCKETS_GET)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise AssertionError("everything waits for something that no timer and no socket will bring")
        self.now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # The loop adds it to the time. A nanosecond is lost in the seconds of half a year, and nothing is ever due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]  # its type variables add nothing here
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """Run in place: the clock must not run on while a thread works."""
        future = self.create_future()
        future.set_result(func(*args))
        return future


@dataclass(frozen=True, slots=True)
class VirtualTime:
    """The service's `Time`, on the running loop's clock; begins at `NOW`."""

    def now(self) -> datetime:
        """The present."""
        return NOW + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        await let_pass(seconds)


async def let_pass(seconds: float) -> None:
    """Let virtual seconds pass; where seconds are real, a test has to wait for a condition.

    Raises:
        AssertionError: the running loop's clock does not jump.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop), "seconds are real here: wait for a condition (tests.waiting)"
    await asyncio.sleep(seconds)


def run(main: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run a coroutine function on a virtual loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())
