"""The command line as processes of their own, without each having to import it anew.

A server imports the command line once and forks for every command, so that there are real processes, with exit
statuses, streams and an environment of their own; what `./releases` does before that is tried where it is typed.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

from ops.cli.app import main

_LONGEST: Final = 300.0  # seconds


def forking() -> ForkServerContext:
    """Where commands come from; the server starts with the first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def releases(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Give a command to `releases`, and wait for it."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = forking().Process(target=_run, args=(words, out, err))
        process.start()
        process.join(_LONGEST)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, _LONGEST, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(words, process.exitcode, out.read_text(), err.read_text())


def _run(words: list[str], out: Path, err: Path) -> None:
    """In the forked process: the streams are the files, and all else is as in a shell."""
    for stream, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    sys.argv = ["releases", *words]
    main()
