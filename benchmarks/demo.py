"""How long `make demo` takes once everything is installed, and how much of it is ours.

The limit is what the parts that are not ours take alone on the same machine: the emulators' start (all three at once),
the calls at the rate that is allowed, a Spark application that does nothing, the job on the same amount of data, and
what the BigQuery emulator says it took to load the rows. Everything else is ours, whether it could be avoided or not.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks import corpus, report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.transform import folder_of, run_subject, spark_subject
from local import tools
from local.bigquery import BigQuery
from local.choices import SIMULATOR_RATE
from local.processes import Supervisor
from local.pubsub import PubSub
from local.spark import class_archive, connectors, submit
from local.storage import Storage

WITHIN: Final = 60.0
OWN: Final = 10.0


def measure(size: Size) -> Figures:
    """The demo, then what it is made of; the second of two full demos counts, with its files in the page cache."""
    java = tools.java(os.environ, tools.ROOT / ".tools")
    with tempfile.TemporaryDirectory() as scratch:
        folder = folder_of(1)
        corpus.make(folder, "ours", 1)
        demos = [_demo(Path(scratch), size) for _ in range(2 if size == "full" else 1)]
        loading = loading_seconds((Path(scratch) / "stack" / "logs" / "bigquery.log").read_text())
        emulators = _emulators(Path(scratch) / "emulators", java)
        session = _session(Path(scratch) / "nothing", java.home)
        job = run_subject(spark_subject("ours"), folder, Path(scratch), java.home)
    archived = class_archive.existing(java.home, connectors.found(java.home, os.environ)) is not None
    return {
        "demo": demos[-1]["seconds"],
        "calls": demos[-1]["api_calls"],
        "loading": loading,
        "emulators": emulators,
        "session": session,
        "job": job["seconds"],
        "archived": archived,
    }


def _demo(scratch: Path, size: Size) -> dict[str, Any]:
    place = {"LOCAL_FOLDER": str(scratch / "local"), "STACK_DATA": str(scratch / "stack")}
    chosen = {} if size == "full" else {"MARKETS": "DK,SE"}
    command = [sys.executable, "-m", "local", "demo"]
    subprocess.run(command, cwd=tools.ROOT, env={**os.environ, **place, **chosen}, check=True)
    told: dict[str, Any] = json.loads((scratch / "local" / "demo.json").read_text())
    return told


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


def _session(folder: Path, java_home: Path) -> float:
    """Seconds of a Spark application that starts a session and ends, submitted as the demo's job is."""
    folder.mkdir()
    main = folder / "main.py"
    main.write_text("from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().stop()\n")
    found = connectors.found(java_home, os.environ)
    submission = submit.Submission(
        java_home=java_home,
        connectors=found,
        storage_emulator_host="",
        bigquery_emulator_host="",
        main_python_file=main,
        class_archive=class_archive.existing(java_home, found),
    )
    command = submit.command(submission, os.environ)
    started = time.monotonic()
    subprocess.run(command.argv, env=command.env, cwd=folder, capture_output=True, check=True)
    return time.monotonic() - started


# --- what the figures say: pure --------------------------------------------------------------------------------


def loading_seconds(log: str) -> float:
    """What the BigQuery emulator's log says it took from making the staging table until that was removed."""
    lines = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    requests = [line for line in lines if line.get("event") == "http.request"]
    asked = [(line["method"], line["path"].rpartition("/")[2]) for line in requests]
    last = next(
        at for at, (method, name) in enumerate(asked) if method == "DELETE" and name.startswith("staging_")
    )
    first = max(at for at, found in enumerate(asked[:last]) if found == ("POST", "tables"))
    milliseconds: float = sum(line["elapsed_ms"] for line in requests[first : last + 1])
    return milliseconds / 1000


def limits(figures: Figures) -> dict[str, float]:
    """Seconds that are not ours, by what they go to."""
    return {
        "emulators' start": figures["emulators"],
        "calls at the allowed rate": figures["calls"] / SIMULATOR_RATE,
        "Spark's start and end": figures["session"],
        "job": figures["job"],
        "BigQuery emulator's load": figures["loading"],
    }


_STAGES: Final = {
    "emulators": (("emulators' start",), "imports of three services, two stand-ins and the demo itself"),
    "fetch": (
        ("calls at the allowed rate",),
        "the Pub/Sub emulator pushes two markets at a time; meanwhile all that loads starts",
    ),
    "cluster": ((), "0.2 s that the stand-in takes for a cluster"),
    "spark": (
        ("Spark's start and end", "job", "BigQuery emulator's load"),
        "Python workers of the stand-in for BigQuery's connector, one after the other; the dashboard made ready",
    ),
    "load": ((), "the driver's output into the bucket, the rows counted, the receipt"),
    "dashboard": ((), "the dashboard's queries, the demo's own count"),
    "stop": ((), "services, stand-ins and emulators end in this order"),
}


def stages(figures: Figures) -> list[tuple[str, float, float, str]]:
    """Each stage, what it took, what of it is not ours, and what the rest is; in order, with what no stage has."""
    spent, taken = figures["demo"], limits(figures)
    rows = [
        (stage, spent[stage], sum(taken[name] for name in others), why) for stage, (others, why) in _STAGES.items()
    ]
    between = spent["total"] - sum(spent[stage] for stage in _STAGES)
    return [*rows, ("between", between, 0.0, "the tick and the events on their way, looks at the run")]


def claims(figures: Figures) -> list[Claim]:
    """The whole, and our share of it."""
    total, taken = figures["demo"]["total"], limits(figures)
    others = sum(taken.values())
    return [
        Claim(
            what="make demo, after installation",
            ours=f"{total:.0f} s",
            limit=f"{others:.0f} s: {', '.join(f'{name} {seconds:.1f}' for name, seconds in taken.items())}",
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
    rows = [
        (stage, f"{spent:.1f}", f"{others:.1f}", f"{spent - others:.1f}", why)
        for stage, spent, others, why in stages(figures)
    ]
    total, others = figures["demo"]["total"], sum(limits(figures).values())
    rows.append(("total", f"{total:.1f}", f"{others:.1f}", f"{total - others:.1f}", ""))
    return f"""
The stages as the demo reports them, in seconds; {"with" if figures["archived"] else "**without**"} the archive of
Spark's classes.

{report.table(("stage", "took", "not ours", "ours", "what ours is"), rows)}

Not ours, alone on the same machine: emulators' start {figures["emulators"]:.1f} s, {figures["calls"]} calls at
{SIMULATOR_RATE} a second, a Spark application that does nothing {figures["session"]:.1f} s, the job with Parquet
in place of the load {figures["job"]:.1f} s; and of the load what the BigQuery emulator's own log says,
{figures["loading"]:.1f} s.
BigQuery's emulator starts while the first markets are fetched, so the first stage can be shorter than what is not ours.
"""


BENCHMARK = Benchmark(name="demo", title="The whole demo", measure=measure, claims=claims, section=section)
