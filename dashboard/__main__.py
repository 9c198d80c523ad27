"""`python -m dashboard` serves; `python -m dashboard export FILE` writes the data page as one file.

Both are configured by the environment alone (`dashboard.settings`).
"""

import asyncio
import os
import sys
from pathlib import Path

from dashboard import export, wiring
from dashboard.settings import Settings
from eventing import logs
from eventing.errors import Permanent, Retryable
from eventing.settings import load_or_exit

_USAGE = "usage: python -m dashboard [export FILE [--covers]]"


def main(arguments: list[str]) -> None:
    """Serve or export; exits with 1 where the data cannot be had, 2 after wrong usage or settings."""
    match arguments:
        case []:
            settings = load_or_exit(Settings, os.environ)
            logs.configure(project=settings.google_cloud_project, service="dashboard", level=settings.log_level)
            wiring.serve(settings)
        case ["export", file, *covers] if covers in ([], ["--covers"]):
            settings = load_or_exit(Settings, os.environ)
            try:
                size = asyncio.run(export.to_file(settings, Path(file), covers=bool(covers)))
            except (Retryable, Permanent) as error:
                sys.exit(str(error))
            sys.stdout.write(f"{file}: {size / 1024:.0f} KiB\n")
        case _:
            sys.stderr.write(f"{_USAGE}\n")
            sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
