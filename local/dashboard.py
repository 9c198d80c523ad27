"""Writes the dashboard of a stack as one file; `make up` serves it instead.

    python -m local.dashboard FILE

gets ready and writes when told by a line on its standard input. Most of what an export takes, imports and the chart
library, needs no rows, so it happens while Spark starts, which leaves one of two cores idle.

Not here: what the dashboard shows (`dashboard/`).
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.processes import ProcessError
from local.tools import ROOT

_KEEP = ROOT / ".tools" / "chart-library"
_LIMIT = 120.0  # seconds; about 1 once it is ready


@contextmanager
def prepared(environment: Mapping[str, str], file: Path) -> Iterator[Callable[[], None]]:
    """Get ready to write the file while the block runs; when the given function is called, it is written.

    Args:
        environment: With it a Google client reaches the stack.
        file: Where to; replaced.

    The function raises:
        ProcessError: it could not be written; says why.
    """
    file.unlink(missing_ok=True)
    export = subprocess.Popen(
        [sys.executable, "-m", "local.dashboard", str(file)],
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def write() -> None:
        _, said = export.communicate("now\n", timeout=_LIMIT)
        if export.returncode:
            raise ProcessError(f"the dashboard could not be written to {file}: {said.strip()[-2000:]}")

    try:
        yield write
    finally:
        if export.poll() is None:
            export.kill()
            export.communicate()


def _main(file: Path) -> None:
    # Here, not above: who prepares an export needs none of it.
    from dashboard import assets, export  # noqa: PLC0415
    from dashboard.settings import Settings  # noqa: PLC0415
    from eventing.errors import Permanent, Retryable  # noqa: PLC0415
    from eventing.settings import load_or_exit  # noqa: PLC0415

    settings = load_or_exit(Settings, os.environ)
    assets.load(_KEEP)
    if not sys.stdin.readline():
        return  # whoever would have asked is gone
    try:
        asyncio.run(export.to_file(settings, file, keep=_KEEP))
    except (Retryable, Permanent) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
