"""What the verbs of `python -m local` do; each takes the caller's environment."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from local import choices, demo, detached, disk
from local.bigquery import DataError
from local.choices import ChoiceError
from local.processes import ProcessError
from local.stack import ROOT, FolderInUseError
from local.tools import ToolError
from ops.record import NotRunningError, Record, RecordError

_REFUSED: Final = (ChoiceError, FolderInUseError, DataError, disk.DiskError, NotRunningError, RecordError)
_FAILED: Final = (ToolError, ProcessError, demo.DemoError)
_LOG_END: Final = 64 * 1024  # bytes of a log in which the cause of a failure stands
_SCHEDULE_ZONE = ZoneInfo("Europe/Copenhagen")  # the scheduler's default

Environment = Mapping[str, str]


def explain(error: Exception, verb: str, environment: Environment) -> str | None:
    """What a person is told of an error that ended a verb; None where only its traceback tells enough."""
    if isinstance(error, _REFUSED):
        return str(error)
    home = _home(environment, verb)
    full = disk.blamed(error, home, _ends_of_logs(home))
    if full or isinstance(error, _FAILED):
        return full or str(error)
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename}: {error.strerror}; mend or remove it, or choose other folders: LOCAL_FOLDER for the "
            "stack's record, STACK_DATA for its data"
        )
    return None


def _ends_of_logs(home: Path) -> Iterator[str]:
    for log in (home / "logs").glob("*.log"):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_END))
            yield file.read().decode(errors="replace")


def _demo(environment: Environment) -> None:
    report = _generated(environment) / "demo.json"
    page = report.with_name(demo.DASHBOARD).as_uri()
    chosen = replace(_choices(environment, "demo"), fresh=True, service_settings={"DASHBOARD_URL": page})
    disk.require_room(chosen.home)
    seconds = float(environment.get("INSTALL_SECONDS") or 0)
    demo.run(chosen, environment, report_to=report, install_seconds=seconds)


def _up(environment: Environment) -> None:
    chosen = _choices(environment, "up")  # a fault is told here, not in a log
    disk.require_room(chosen.home)
    _tell_how_to_use(detached.up(_files(environment), chosen.home, environment), _files(environment))


def _serve(environment: Environment) -> None:
    detached.serve(_files(environment), replace(_choices(environment, "up"), dashboard=True), environment)


def _down(environment: Environment) -> None:
    home = detached.down(_files(environment))
    print(f"the stack is down{f'; its data stay in {home}' if home else ''}")


def _tick(environment: Environment) -> None:
    chosen = _choices(environment, "up")
    home = detached.tick(_files(environment), chosen.run_date)
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
    return choices.read(environment, home=_home(environment, name), today=datetime.now(_SCHEDULE_ZONE).date())


def _home(environment: Environment, verb: str) -> Path:
    name = "demo" if verb == "demo" else "up"
    return Path(environment.get("STACK_DATA") or _generated(environment) / name).resolve()


def _tell_how_to_use(found: Record, files: detached.Files) -> None:
    print(
        f"""the stack is up; its data and logs are in {found.home}

  {found.dashboard}
                        what the table holds, and how the runs go
  . {shlex.quote(str(files.environment))}
                        points any Google client in this shell at it
  make tick             asks for this week's run; RUN_DATE=2026-11-23 make tick for that of another
  make down             ends it
"""
    )
