"""Why a job ended, from the output of its driver. Pure."""

import re
from typing import Final

from contracts.wording import cut

MOST_BYTES: Final = 64 * 1024
"""Bytes that are read, from the end: Spark says a lot, and says why it failed last."""
_LONGEST: Final = 500
_CAUSED: Final = "Caused by: "
_ERROR: Final = re.compile(r"\w(?:Error|Exception)\b|\b(?:ERROR|FATAL|Killed|error: )|OutOfMemory")


def folder_of(uri: str) -> str:
    """The prefix of the output's pieces, within the bucket that the address names."""
    return uri.removeprefix("gs://").partition("/")[2]


def last_error(output: bytes) -> str | None:
    """Java's innermost cause, else the last line that names an error, else the last line."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    causes = [line.removeprefix(_CAUSED) for line in lines if line.startswith(_CAUSED)]
    errors = [line for line in lines if _ERROR.search(line) and not line.startswith("at ")]
    found = causes or errors or lines
    return cut(found[-1], _LONGEST) if found else None
