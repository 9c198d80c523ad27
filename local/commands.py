"""What the verbs of `python -m local` do; each takes the caller's environment."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from local import choices, demo, detached
from local.choices import ChoiceError
from local.processes import ProcessError
from local.stack import ROOT, FolderInUseError
from local.tools import ToolError

EXPECTED: Final = (
    ChoiceError,
    ToolError,
    ProcessError,
    FolderInUseError,
    demo.DemoError,
    detached.NotRunningError,
)
_SCHEDULE_ZONE = ZoneInfo("Europe/Copenhagen")  # the scheduler's default

Environment = Mapping[str, str]


def _demo(environment: Environment) -> None:
    report = _generated(environment) / "demo.json"
    page = report.with_name(demo.DASHBOARD).as_uri()
    chosen = replace(_choices(environment, "demo"), fresh=True, service_settings={"DASHBOARD_URL": page})
    seconds = float(environment.get("INSTALL_SECONDS") or 0)
    demo.run(chosen, environment, report_to=report, install_seconds=seconds)


def _up(environment: Environment) -> None:
    chosen = _choices(environment, "up")  # a fault is told here, not in a log
    _tell_how_to_use(detached.up(_files(environment), chosen.home, environment), _files(environment))


def _serve(environment: Environment) -> None:
    detached.serve(_files(environment), replace(_choices(environment, "up"), dashboard=True), environment)


def _down(environment: Environment) -> None:
    home = detached.down(_files(environment))
    print(f"the stack is down; its data stay in {home}")


def _tick(environment: Environment) -> None:
    home = detached.tick(_files(environment), environment)
    print(f"the tick is published; follow {home}/logs/*.log")


VERBS: Mapping[str, Callable[[Environment], None]] = {
    "demo": _demo,
    "up": _up,
    "serve": _serve,
    "down": _down,
    "tick": _tick,
}


def _generated(environment: Environment) -> Path:
    return Path(environment.get("LOCAL_FOLDER") or ROOT / ".local").resolve()


def _files(environment: Environment) -> detached.Files:
    return detached.Files(_generated(environment))


def _choices(environment: Environment, name: str) -> choices.Choices:
    home = Path(environment.get("STACK_DATA") or _generated(environment) / name).resolve()
    return choices.read(environment, home=home, today=datetime.now(_SCHEDULE_ZONE).date())


def _tell_how_to_use(state: Mapping[str, object], files: detached.Files) -> None:
    print(
        f"""the stack is up; its data and logs are in {state["home"]}

  {state["dashboard"]}
                        what the table holds, and how the runs go
  . {shlex.quote(str(files.environment))}
                        points any Google client in this shell at it
  make tick             asks for this week's run; RUN_DATE=2026-11-23 make tick for that of another
  make down             ends it
"""
    )
