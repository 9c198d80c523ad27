"""How long `make demo` takes once everything is installed, and how much of it is ours.

The limit is what the parts that are not ours take alone on the same machine: the emulators' start (at once, as the
demo does it), a Spark session's start, and the job on the same amount of data.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import corpus, report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.transform import CORPORA, run_subject, spark_subject
from local import tools
from local.bigquery import BigQuery
from local.processes import Supervisor
from local.pubsub import PubSub
from local.spark import class_archive
from local.storage import Storage

WITHIN: Final = 60.0
OWN: Final = 10.0


def measure(size: Size) -> Figures:
    """The demo, then what it is made of; the second of two full demos counts, with its files in the page cache."""
    java = tools.java(os.environ, tools.ROOT / ".tools")
    with tempfile.TemporaryDirectory() as scratch:
        folder = CORPORA / "1" / "corpus"
        corpus.make(folder, "ours", 1)
        demos = [_demo(Path(scratch), size) for _ in range(2 if size == "full" else 1)]
        emulators = _emulators(Path(scratch) / "emulators", java)
        job = run_subject(spark_subject("ours"), folder, Path(scratch), java.home)
    archived = class_archive.existing(java.home) is not None
    return {
        "demo": demos[-1],
        "emulators": emulators,
        "session": job["start"],
        "job": job["seconds"],
        "archived": archived,
    }


def _demo(scratch: Path, size: Size) -> dict[str, float]:
    place = {"LOCAL_FOLDER": str(scratch / "local"), "STACK_DATA": str(scratch / "stack")}
    chosen = {} if size == "full" else {"MARKETS": "DK,SE"}
    command = [sys.executable, "-m", "local", "demo"]
    subprocess.run(command, cwd=tools.ROOT, env={**os.environ, **place, **chosen}, check=True)
    report_of_demo = json.loads((scratch / "local" / "demo.json").read_text())
    seconds: dict[str, float] = report_of_demo["seconds"]
    return seconds


def _emulators(folder: Path, java: tools.Java) -> float:
    """Seconds until all three serve, started at once."""
    jar = tools.pubsub_jar(os.environ, tools.ROOT / ".tools")
    with Supervisor(folder) as supervisor:
        started = time.monotonic()
        pubsub = PubSub.start(supervisor, java=java.executable, jar=jar, environment=os.environ)
        storage = Storage.start(
            supervisor, binary=tools.storage_binary(), root=folder / "objects", environment=os.environ
        )
        bigquery = BigQuery.start(
            supervisor, python=tools.bigquery_python(tools.ROOT), data=folder / "data", environment=os.environ
        )
        for emulator in (storage, pubsub, bigquery):
            emulator.wait()
        return time.monotonic() - started


# --- what the figures say: pure --------------------------------------------------------------------------------


def claims(figures: Figures) -> list[Claim]:
    """The whole, and our share of it."""
    total = figures["demo"]["total"]
    others = figures["emulators"] + figures["session"] + figures["job"]
    limit = (
        f"{others:.0f} s: emulators {figures['emulators']:.0f}, "
        f"Spark's start {figures['session']:.0f}, job {figures['job']:.0f}"
    )
    return [
        Claim(
            what="make demo, after installation",
            ours=f"{total:.0f} s",
            limit=limit,
            target=f"below {WITHIN:.0f} s",
            held=total < WITHIN,
            ratio=others / total,
        ),
        Claim(
            what="our own share of it",
            ours=f"{total - others:.0f} s",
            target=f"below {OWN:.0f} s",
            held=total - others < OWN,
        ),
    ]


def section(figures: Figures) -> str:
    """The section of the page."""
    spent = {name: f"{seconds:.1f}" for name, seconds in figures["demo"].items() if name != "install"}
    return f"""
The stages as the demo reports them; {"with" if figures["archived"] else "**without**"} the archive of Spark's classes.

{report.table(tuple(spent), [list(spent.values())])}

Alone on the same machine: emulators {figures["emulators"]:.1f} s, a Spark session's start {figures["session"]:.1f} s,
the job with Parquet in place of the load {figures["job"]:.1f} s.
"""


BENCHMARK = Benchmark(name="demo", title="The whole demo", measure=measure, claims=claims, section=section)
