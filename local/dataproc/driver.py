"""Runs a job's driver as a real process which cannot outlive its job.

Not here: what the process is; `__main__` brings the command line of spark-submit.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from google.cloud import dataproc_v1

# Runs the driver of this job with its output in this file and returns the exit code. Cancelling it kills the driver
# with all its children before the cancellation goes on.
JobRunner = Callable[[dataproc_v1.Job, Path], Awaitable[int]]


async def run_process(command: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
    """Run a command in a process group of its own, both its outputs in one file.

    Raises:
        OSError: the command cannot be started.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        # On the normal way out too: a driver that ended may have left children behind in its group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def publish_output(output: Path, *, storage_root: Path, bucket: str, prefix: str) -> None:
    """Copy a driver's output to where the bucket's files lie, as the first piece below the prefix."""
    target = storage_root / bucket / f"{prefix}.000000000"
    target.parent.mkdir(parents=True, exist_ok=True)
    if output.exists():
        shutil.copyfile(output, target)
