"""Runs a job's driver as a real process that outlives neither its job nor the stand-in.

Not here: what the process is; `local.dataproc.spark` brings the command line of spark-submit.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from google.cloud import dataproc_v1

from local import guard

# Runs the driver of this job with its output in this file and returns the exit code. Cancelling it kills the
# driver with all its children before the cancellation goes on. Raises DriverError.
JobRunner = Callable[[dataproc_v1.Job, Path], Awaitable[int]]


class DriverError(Exception):
    """A driver cannot be started, and why."""


async def run_process(command: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
    """Run a command under a guard, both its outputs in one file; gives its exit code.

    The guard kills the command's process group as soon as this coroutine is cancelled or this process is gone.
    """
    # Not asyncio's own subprocesses: cancelled while one starts, they kill the guard and orphan the command.
    process = _start(command, environment, output)
    ending = asyncio.ensure_future(asyncio.to_thread(process.wait))
    try:
        return await asyncio.shield(ending)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await ending


def _start(command: Sequence[str], environment: Mapping[str, str], output: Path) -> subprocess.Popen[bytes]:
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, "0", *command],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
