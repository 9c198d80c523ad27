"""`python -m local demo | up | down | tick`: the commands behind the Makefile's verbs.

Exit status: 0 done; 1 it failed, and stderr says why and which log to read; 2 wrong usage; 130 interrupted.
"""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

from local import choices, demo, detached
from local.choices import ChoiceError
from local.processes import ProcessError
from local.stack import ROOT, FolderInUse
from local.tools import ToolError

_STATE = ROOT / ".local"
_EXPECTED = (ChoiceError, ToolError, ProcessError, FolderInUse, demo.DemoFailed, detached.NotRunning)
_INTERRUPTED = 130


def main(verb: str, environment: Mapping[str, str]) -> None:
    """Do what the verb says."""
    home = Path(environment.get("STACK_DATA") or _STATE / ("demo" if verb == "demo" else "up")).resolve()
    match verb:
        case "demo":
            chosen = replace(choices.read(environment, home=home), fresh=True)
            seconds = float(environment.get("INSTALL_SECONDS") or 0)
            demo.run(chosen, environment, report_to=_STATE / "demo.json", install_seconds=seconds)
        case "up":
            choices.read(environment, home=home)  # a fault is told here, not in the log
            _tell_how_to_use(detached.up(home, environment))
        case "serve":
            detached.serve(choices.read(environment, home=home), environment)
        case "down":
            detached.down()
            print("the stack is down; its data stay in .local/up")
        case "tick":
            detached.tick(environment)
            print("the tick is published; follow .local/up/logs/*.log")


def _tell_how_to_use(state: Mapping[str, object]) -> None:
    print(
        f"""the stack is up; its data and logs are in {state["home"]}

  . .local/env          point any Google client in this shell at it
  make tick             ask for this week's run (RUN_DATE=2026-11-23 make tick for another)
  make down             end it
"""
    )


def _as_interrupt(number: int, _frame: FrameType | None) -> None:
    """A polite kill ends the stack as Ctrl-C does: in order."""
    raise KeyboardInterrupt(signal.Signals(number).name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local", description="The pipeline on this machine.")
    parser.add_argument("verb", choices=["demo", "up", "serve", "down", "tick"])
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        main(arguments.verb, os.environ)
    except _EXPECTED as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        sys.exit(_INTERRUPTED)
