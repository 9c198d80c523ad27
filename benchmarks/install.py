"""How long a newcomer waits: from a fresh clone with an empty package cache to the rows in the table.

Clones this repository's last commit into an empty folder, sets nothing, and runs `make demo` there. What is downloaded
is measured with the rest, so the figure is of one machine's way to its package index.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from requirements.find_uv import TOOLS

WITHIN: Final = 75.0
"""Seconds on two cores."""

_INSTALLED: Final = re.compile(r"^installed (\S+) in ([0-9.]+) s$", re.MULTILINE)
_NOT_A_NEWCOMERS: Final = ("LOCAL_FOLDER", "MAKEFLAGS", "MAKELEVEL", "PYTHONPATH", "STACK_DATA", "VIRTUAL_ENV")


def measure(size: Size) -> Figures:
    """Clone, install, run: each stage's seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        clone, cache = Path(scratch) / "clone", Path(scratch) / "cache"
        began = time.monotonic()
        _run("git", "clone", "--quiet", str(TOOLS.parent), str(clone), cwd=Path(scratch), told=os.environ)
        cloned = time.monotonic()
        told = {name: value for name, value in os.environ.items() if name not in _NOT_A_NEWCOMERS}
        told |= {"UV_CACHE_DIR": str(cache)} | ({"MARKETS": "DK,SE"} if size == "small" else {})
        said = _run("make", "demo", cwd=clone, told=told)
        ended = time.monotonic()
        demo: dict[str, Any] = json.loads((clone / ".local" / "demo.json").read_text())
        cached = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    return {
        "clone": cloned - began,
        "total": ended - began,
        "demo": demo["seconds"],
        "rows": demo["rows"],
        "lists": {name: float(seconds) for name, seconds in _INSTALLED.findall(said)},
        "cached_bytes": cached,
    }


def _run(*command: str, cwd: Path, told: Mapping[str, str]) -> str:
    return subprocess.run(command, cwd=cwd, env=dict(told), stdout=subprocess.PIPE, text=True, check=True).stdout


# --- what the figures say: pure --------------------------------------------------------------------------------


def claims(figures: Figures) -> list[Claim]:
    """The whole way."""
    total, demo = figures["total"], figures["demo"]["total"]
    return [
        Claim(
            what="clone to table, empty package cache",
            ours=f"{total:.0f} s",
            limit=f"{demo:.0f} s: the run itself",
            target=f"below {WITHIN:.0f} s",
            held=total < WITHIN,
        )
    ]


def stages(figures: Figures) -> list[tuple[str, float, str]]:
    """Each stage and what it took; the environments are made at the same time."""
    run = figures["demo"]
    lists = ", ".join(f"{name} {seconds:.1f}" for name, seconds in figures["lists"].items())
    installation = figures["total"] - figures["clone"] - run["total"]
    return [
        ("clone", figures["clone"], "from this disk"),
        ("installation", installation, f"side by side: {lists}; and the start of the demo's own Python"),
        ("emulators", run["emulators"], "until what fetches is up"),
        ("fetch", run["fetch"], "meanwhile all else starts"),
        ("cluster and Spark", run["cluster"] + run["spark"], "without an archive of Spark's classes"),
        ("the rest", run["total"] - sum(run[stage] for stage in ("emulators", "fetch", "cluster", "spark")), ""),
    ]


def section(figures: Figures) -> str:
    """The section of the page."""
    rows = [(stage, f"{seconds:.1f}", note) for stage, seconds, note in stages(figures)]
    rows.append(("total", f"{figures['total']:.1f}", f"{figures['rows']} rows"))
    return f"""
`git clone`, then `make demo`, with nothing installed but Python, Java, make and git; in seconds.

{report.table(("stage", "took", "what"), rows)}

The package cache held {figures["cached_bytes"] / 1e9:.1f} GB afterwards, unpacked. The longest wait is for pyspark:
it is published as source and packed here.
"""


BENCHMARK = Benchmark(name="install", title="Clone to table", measure=measure, claims=claims, section=section)
