"""How fast the Spark job is: against the reference job, against the least Spark can do, and against other engines.

Each run is a fresh process on the same albums, each pipeline on its own files. Seconds are those of the job from the
moment the session stands: the start of a JVM is the same for all and says nothing about a job.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import corpus, report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from contracts.parts import FORM
from local import tools
from local.spark import class_archive, connectors

CORPORA: Final = tools.ROOT / ".local" / "benchmarks"
PEERS: Final = tools.ROOT / ".venv-bench" / "bin" / "python"
SCALES: Final[dict[Size, tuple[int, ...]]] = {"full": (1, 10, 100), "small": (1, 2)}
_REPEATS: Final = {1: 3, 10: 2}
_REFERENCE_UP_TO: Final = 10  # at 100 its files are 6 GB, and nothing new would be learnt
FASTER: Final = {1: 1.3, 10: 2.0}
NEAR_READ: Final = 2.0
LINEAR: Final = 1.15
"""How much dearer a track may be at the largest scale than at the one before."""

Run = dict[str, float]


def measure(size: Size) -> Figures:
    """Every subject at every scale."""
    java = tools.java(os.environ, tools.ROOT / ".tools")
    found: Figures = {
        "scales": [],
        "archived": class_archive.existing(java.home, connectors.found(java.home, os.environ)) is not None,
    }
    with tempfile.TemporaryDirectory() as scratch:
        for scale in SCALES[size]:
            found["scales"].append(_at(scale, java.home, Path(scratch)))
    return found


def folder_of(scale: int) -> Path:
    """Where the bucket with our parts is kept."""
    return CORPORA / f"{scale}" / f"form-{FORM}" / "corpus"


def _at(scale: int, java_home: Path, scratch: Path) -> dict[str, Any]:
    folder = folder_of(scale)
    mine = corpus.make(folder, "ours", scale)
    told: dict[str, Any] = {"scale": scale, "tracks": mine.tracks, "runs": {}}
    subjects: dict[str, tuple[Sequence[str | Path], Path]] = {
        "ours": (spark_subject("ours"), folder),
        "read": (spark_subject("read"), folder),
    }
    if scale <= _REFERENCE_UP_TO:
        theirs = CORPORA / f"{scale}" / "reference"
        corpus.make(theirs, "reference", scale)
        subjects["reference"] = (spark_subject("reference"), theirs)
        peer = tools.ROOT / "benchmarks/subjects/peers.py"
        subjects |= {name: ((PEERS, peer, name), folder) for name in ("duckdb", "polars", "bytes")}
    if scale == 1:
        subjects["text"] = (spark_subject("text"), folder)
    # One after the other, and that several times, so that a disturbance does not fall on one alone.
    for _ in range(_REPEATS.get(scale, 1)):
        for name, (command, place) in subjects.items():
            run = run_subject(command, place, scratch, java_home)
            if name not in ("read", "text", "bytes") and run["rows"] != mine.tracks:
                raise RuntimeError(
                    f"{name} made {run['rows']} rows of {mine.tracks} tracks; the comparison is void"
                )
            told["runs"].setdefault(name, []).append(run)
            print(f"  x{scale:<4} {name:<10} {run['seconds']:7.1f} s", flush=True)
    return told


def spark_subject(what: str) -> tuple[str | Path, ...]:
    """The command of a Spark job; see `benchmarks.subjects.spark`."""
    return sys.executable, "-m", "benchmarks.subjects.spark", what


def run_subject(command: Sequence[str | Path], folder: Path, scratch: Path, java_home: Path) -> Run:
    """Run a subject in a process of its own; gives what its last line tells."""
    environment = {"PATH": os.environ["PATH"], "JAVA_HOME": str(java_home), "PYTHONPATH": str(tools.ROOT)}
    done = subprocess.run(
        [*command, folder, scratch / "out.parquet"],
        cwd=scratch,
        env={**environment, "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[-1]} failed:\n{done.stderr[-4000:]}")
    subprocess.run(["rm", "-rf", scratch / "out.parquet"], check=True)  # noqa: S607 -- a file or a folder
    run: Run = json.loads(done.stdout.splitlines()[-1])
    return run


# --- what the figures say: pure --------------------------------------------------------------------------------


def seconds(at: dict[str, Any], name: str, field: str = "seconds") -> float:
    """The median of a subject's runs at one scale."""
    return float(median(run[field] for run in at["runs"][name]))


def claims(figures: Figures) -> list[Claim]:
    """Against the reference where it runs, against the no-op read, and along the scales."""
    scales = figures["scales"]
    found = [_against_reference(at) for at in scales if "reference" in at["runs"]]
    found += [_against_read(at) for at in scales[1:]]
    return [*found, _linear(scales[-2], scales[-1])]


def _against_reference(at: dict[str, Any]) -> Claim:
    scale, ours, theirs = at["scale"], seconds(at, "ours"), seconds(at, "reference")
    peers = ", ".join(f"{label} {seconds(at, name):.1f}" for name, label in _PEERS)
    return Claim(
        what=f"transform {at['tracks']:,} tracks ({scale} x 48 markets)",
        ours=f"{ours:.1f} s",
        reference=f"{theirs:.1f} s",
        limit=f"{peers} s",
        target=f"{FASTER.get(scale, 1.3):g} times the reference",
        held=theirs / ours >= FASTER.get(scale, 1.3),
        ratio=theirs / ours,
    )


_PEERS: Final = (("duckdb", "DuckDB"), ("polars", "Polars"), ("bytes", "bytes alone"))


def _against_read(at: dict[str, Any]) -> Claim:
    ours, least = seconds(at, "ours"), seconds(at, "read")
    return Claim(
        what=f"the same beside Spark's no-op read ({at['scale']} x)",
        ours=f"{ours:.1f} s",
        limit=f"{least:.1f} s",
        target=f"within {NEAR_READ:g} times",
        held=ours <= NEAR_READ * least,
        ratio=least / ours,
    )


def _linear(before: dict[str, Any], last: dict[str, Any]) -> Claim:
    """Time and memory of a track, at the largest scale beside the one before."""
    more = last["tracks"] / before["tracks"]
    time = seconds(last, "ours") / seconds(before, "ours")
    memory = seconds(last, "ours", "peak_mib") / seconds(before, "ours", "peak_mib")
    return Claim(
        what=f"transform {last['tracks']:,} tracks ({last['scale']} x)",
        ours=f"{time:.1f} times the time, {memory:.1f} times the memory of {before['scale']} x",
        limit=f"{more:.1f} times the tracks",
        target="no more than linear",
        held=max(time, memory) <= LINEAR * more,
        ratio=more / time,
    )


def section(figures: Figures) -> str:
    """The section of the page."""
    rows = [
        [
            f"{at['scale']} x",
            f"{at['tracks']:,}",
            label,
            f"{seconds(at, name):.1f}",
            f"{seconds(at, name, 'cpu'):.1f}",
            f"{seconds(at, name, 'peak_mib'):.0f}",
            f"{seconds(at, name, 'start'):.1f}" if "start" in at["runs"][name][0] else "",
        ]
        for at in figures["scales"]
        for name, label in _LABELS.items()
        if name in at["runs"]
    ]
    archived = "with the archive of Spark's classes" if figures["archived"] else "without an archive of classes"
    header = ("scale", "tracks", "what", "seconds", "CPU seconds", "peak MiB", "start of the session")
    return f"""
The same albums, field for field, as each pipeline stores them; rows as Parquet in place of the load; two cores, one
JVM of 1 GB heap, the local stack's settings for all, {archived}. Seconds are the
median, from the session's start on; CPU seconds and memory are those of the whole process.

{report.table(header, rows)}
"""


_LABELS: Final = {
    "ours": "ours",
    "reference": "reference: multiline objects, counted after each step",
    "read": "Spark: our files parsed by our schema, no output",
    "text": "Spark: our files' lines, no output",
    "duckdb": "DuckDB on our files, without judging lines",
    "polars": "Polars on our files, without judging lines",
    "bytes": "Python: our files' bytes read and unpacked",
}

BENCHMARK = Benchmark(
    name="transform",
    title="Transforming raw albums to rows",
    measure=measure,
    claims=claims,
    section=section,
)
