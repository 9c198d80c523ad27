"""Runs the commands of a document on the stack that is up, and writes what they print into it.

    python -m local.walkthrough docs/operations.md

Every line that begins with `$ ` in a block fenced as `console` is a command; what follows it, up to the next one, is
replaced by its output. The document is therefore what really happened, and a command that is no longer there is seen.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from local.tools import ROOT

_BLOCK: Final = re.compile(r"(^```console\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)
_PROMPT: Final = "$ "
_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")


def with_output(document: str, run: Callable[[str], str]) -> str:
    """The document with the output of each command put below it; `run` is called in order."""

    def rewritten(block: re.Match[str]) -> str:
        commands = [line for line in block[2].splitlines() if line.startswith(_PROMPT)]
        told = [f"{command}\n{run(command.removeprefix(_PROMPT))}" for command in commands]
        return block[1] + "\n".join(told) + block[3]

    return _BLOCK.sub(rewritten, document)


def shell(environment: Mapping[str, str]) -> Callable[[str], str]:
    """Runs a command as a person would type it; gives what it printed, trailing blanks removed."""

    def run(command: str) -> str:
        print(f"$ {command}", flush=True)
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
        )
        told = _STYLE.sub("", done.stdout).replace(str(ROOT), ".")  # where this clone lies is nobody's business
        lines = [line.rstrip() for line in told.splitlines()]
        return "".join(f"{line}\n" for line in lines)

    return run


def stack_environment(state: Path, caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with the stack's addresses, the simulator's as SPOTIFY, and `releases` on the path.

    Raises:
        FileNotFoundError: no stack is up.
    """
    found = json.loads(state.read_text())
    return {
        **caller,
        **found["environment"],
        "SPOTIFY": found["spotify"] or "",
        "RELEASES_STACK": str(state),
        "PATH": f"{ROOT}:{caller.get('PATH', '')}",
    }


def main(document: Path) -> None:
    """Run a document's commands and write it anew."""
    folder = Path(os.environ.get("LOCAL_FOLDER") or ROOT / ".local")
    environment = stack_environment(folder / "stack.json", os.environ)
    document.write_text(with_output(document.read_text(), shell(environment)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
