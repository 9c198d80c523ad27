"""An archive of the classes that a Spark job loads, from which later JVMs start with a third less processor time.

    python -m local.spark.class_archive

records one, once, into `.tools/`; it takes as long as a job and a half, and is part of the setup so that no demo pays
for it. It is a convenience: where it cannot be made, jobs start without it, and the command says so and ends well.

An archive fits one Java and the very files of one Spark, so its name carries both. Source: JEP 350, dynamic archives.
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyspark

from local import tools
from local.spark import package, submit
from ops.surroundings import print_anywhere

FOLDER: Final = tools.ROOT / ".tools" / "spark-classes"
JARS: Final = Path(pyspark.__file__).parent / "jars"
_BUCKET: Final = "recording"
_RUN: Final = "2026-11-23"
_LINES: Final = 200
_TIMEOUT: Final = 300.0  # seconds; about 25 on two quiet cores


def archive_of(java_home: Path, folder: Path = FOLDER, jars: Path = JARS) -> Path:
    """Where the archive of this Java and this Spark is, or would be."""
    release = java_home / "release"
    told = release.read_text() if release.exists() else ""
    # Java compares the paths, sizes and times of what was recorded, and goes without an archive that does not fit: it
    # says so where nobody looks, and Spark installed again would stay slow for ever.
    files = [f"{jar} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in sorted(jars.glob("*.jar"))]
    identity = "\n".join((str(java_home.resolve()), told, *files))
    return folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.jsa"


def existing(java_home: Path, folder: Path = FOLDER) -> Path | None:
    """The archive of this Java and this Spark, if it was recorded."""
    archive = archive_of(java_home, folder)
    return archive if archive.exists() else None


def record(java_home: Path, environment: Mapping[str, str], folder: Path = FOLDER) -> Path:
    """Record the archive, all or nothing; archives of other Javas and Sparks go.

    Raises:
        OSError, subprocess.SubprocessError: the job did not run to its end.
    """
    archive = archive_of(java_home, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        written = Path(scratch) / "spark.jsa"
        asked = _command(java_home, environment, Path(scratch), written)
        subprocess.run(asked.argv, env=asked.env, cwd=scratch, capture_output=True, check=True, timeout=_TIMEOUT)
        for old in folder.glob("*.jsa"):
            old.unlink()
        written.replace(archive)
    return archive


def _command(java_home: Path, environment: Mapping[str, str], scratch: Path, archive: Path) -> submit.Command:
    bucket = scratch / _BUCKET
    package.build(bucket / "jobs")
    shutil.copyfile(Path(__file__).with_name("recorded.py"), bucket / "jobs" / "recorded.py")
    part = bucket / "raw" / _RUN / "DK.jsonl.gz"
    part.parent.mkdir(parents=True)
    lines = (json.dumps(_line(number)).encode() + b"\n" for number in range(1, _LINES + 1))
    part.write_bytes(gzip.compress(b"".join(lines)))
    decision = bucket / "runs" / _RUN / "decisions" / "0001.json"
    decision.parent.mkdir(parents=True)
    decision.write_text(json.dumps(_decision(part.stat().st_size)))
    at = f"gs://{_BUCKET}/"
    told = {
        "input": f"{at}raw/{_RUN}/",
        "run-id": _RUN,
        "revision": "1",
        "decision": f"{at}{decision.relative_to(bucket)}",
        "table": "recording.music.new_releases",
        "temporary-bucket": _BUCKET,
        "result": f"{at}loads/0001.json",
        "quarantine": f"{at}quarantine/{_RUN}/0001/",
    }
    submission = submit.Submission(
        java_home=java_home,
        storage_root=scratch,
        bucket=_BUCKET,
        bigquery_emulator_host="",
        main_python_file_uri=f"{at}jobs/recorded.py",
        python_file_uris=[f"{at}jobs/spark_job.zip"],
        args=[f"--{name}={value}" for name, value in told.items()],
        properties=submit.recording(archive),
    )
    return submit.command(submission, environment)


def _decision(size: int) -> dict[str, object]:
    part = {"market": "DK", "size": size, "form": 2, "albums": _LINES}
    return {"run_id": _RUN, "revision": 1, "verdict": "load", "parts": [part], "least": 1}


def _line(number: int) -> dict[str, object]:
    artists = [{"id": "a1", "name": "One"}, {"id": "a2", "name": "Two"}]
    track = {"id": f"t{number}", "name": "Track", "duration_ms": 1000, "disc_number": 1, "track_number": 1}
    tracks = {"items": [{**track, "explicit": False, "artists": artists}] * 3}
    day = {"release_date": "2026-11-20", "release_date_precision": "day"}
    album = {"id": f"x{number}", "name": "Album", "album_type": "album", **day, "tracks": tracks}
    return {"market": "DK", "run_id": _RUN, "source": "browse", "number": number, "album": album}


def _main() -> None:
    java = tools.java(os.environ, tools.ROOT / ".tools")
    if existing(java.home) is None:
        print("recording the classes of a Spark job (half a minute, once)", flush=True)
        record(java.home, os.environ)


if __name__ == "__main__":
    print_anywhere()
    try:
        _main()
    except (tools.ToolError, OSError, subprocess.SubprocessError) as error:
        print(
            f"Spark's classes were not recorded, so that jobs start some seconds later: {error}", file=sys.stderr
        )
