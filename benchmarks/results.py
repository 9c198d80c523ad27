"""What was measured, kept in one file a benchmark, so that a benchmark that fails loses nothing of the others."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.benchmark import Figures, Size

FOLDER = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measurement of one benchmark."""

    name: str
    size: Size
    machine: str
    measured: str
    """UTC, to the minute."""
    seconds: float
    """How long the benchmark itself took."""
    figures: Figures


def machine() -> str:
    """Where it was measured."""
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return f"{where}, Python {platform.python_version()}"


def result_of(name: str, size: Size, figures: Figures, *, seconds: float) -> Result:
    """A result of here and now."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return Result(
        name=name, size=size, machine=machine(), measured=now, seconds=round(seconds, 1), figures=figures
    )


def save(result: Result, folder: Path = FOLDER) -> None:
    """Keep a result in place of the last one of this benchmark and size."""
    folder.mkdir(parents=True, exist_ok=True)
    _file(result.name, result.size, folder).write_text(json.dumps(asdict(result), indent=2) + "\n")


def load(name: str, size: Size, folder: Path = FOLDER) -> Result | None:
    """The last result of a benchmark at this size, if there is one."""
    file = _file(name, size, folder)
    return Result(**json.loads(file.read_text())) if file.exists() else None


def _file(name: str, size: Size, folder: Path) -> Path:
    return folder / f"{name}.{size}.json"
