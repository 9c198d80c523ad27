"""Writes the dashboard of a stack as one file, beside whatever else is going on; `make up` serves it instead.

Not here: what the dashboard shows (`dashboard/`).
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.processes import ProcessError
from local.tools import ROOT

_LIMIT = 120.0  # seconds; about 5 alone, most of them to put the chart library together


@contextmanager
def written(environment: Mapping[str, str], file: Path) -> Iterator[None]:
    """Write the file while the block runs; it is there when the block is left.

    Args:
        environment: With it a Google client reaches the stack.
        file: Where to; replaced.

    Raises:
        ProcessError: it could not be written; says why.
    """
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "dashboard", "export", str(file)]
    export = subprocess.Popen(
        command, cwd=ROOT, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield
        _, said = export.communicate(timeout=_LIMIT)
    except BaseException:
        export.kill()
        export.communicate()
        raise
    if export.returncode:
        raise ProcessError(f"the dashboard could not be written to {file}: {said.strip()[-2000:]}")
