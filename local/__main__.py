"""`python -m local demo | up | down | tick`: the commands behind the Makefile's verbs.

Exit status: 0 done; 1 it failed, and stderr says why and which log to read; 2 wrong usage; 130 interrupted.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType
from zoneinfo import ZoneInfo

from local import choices, demo, detached
from local.choices import ChoiceError
from local.processes import ProcessError
from local.stack import ROOT, FolderInUseError
from local.tools import ToolError

_STATE = ROOT / ".local"
_EXPECTED = (ChoiceError, ToolError, ProcessError, FolderInUseError, demo.DemoError, detached.NotRunningError)
_INTERRUPTED = 130
_SCHEDULE_ZONE = ZoneInfo("Europe/Copenhagen")  # the scheduler's default

Environment = Mapping[str, str]


def _demo(environment: Environment) -> None:
    chosen = replace(_choices(environment, "demo"), fresh=True)
    seconds = float(environment.get("INSTALL_SECONDS") or 0)
    demo.run(chosen, environment, report_to=_STATE / "demo.json", install_seconds=seconds)


def _up(environment: Environment) -> None:
    chosen = _choices(environment, "up")  # a fault is told here, not in a log
    _tell_how_to_use(detached.up(chosen.home, environment))


def _serve(environment: Environment) -> None:
    detached.serve(_choices(environment, "up"), environment)


def _down(_: Environment) -> None:
    home = detached.down()
    print(f"the stack is down; its data stay in {home}")


def _tick(environment: Environment) -> None:
    home = detached.tick(environment)
    print(f"the tick is published; follow {home}/logs/*.log")


VERBS: Mapping[str, Callable[[Environment], None]] = {
    "demo": _demo,
    "up": _up,
    "serve": _serve,
    "down": _down,
    "tick": _tick,
}


def _choices(environment: Environment, name: str) -> choices.Choices:
    home = Path(environment.get("STACK_DATA") or _STATE / name).resolve()
    return choices.read(environment, home=home, today=datetime.now(_SCHEDULE_ZONE).date())


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
    parser.add_argument("verb", choices=VERBS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        VERBS[arguments.verb](os.environ)
    except _EXPECTED as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        sys.exit(_INTERRUPTED)
