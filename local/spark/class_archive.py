"""An archive of the classes that a Spark job loads, from which later JVMs start with a third less processor time.

    python -m local.spark.class_archive

records one, once, into `.tools/`; it takes as long as a job and a half, and is part of the setup so that no demo pays
for it. It is a convenience: where it cannot be made, jobs start without it, and the command says so and ends well.

An archive fits one Java and the very files on one class path, those of Spark and the connectors, so its name carries
both: an archive of another path is passed over without a word, and a job then takes half as long again. Source: JEP
350, dynamic archives.
"""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import pyspark

from local import tools
from local.processes import ProcessError, Supervisor
from local.spark import connectors, submit
from local.spark.connectors import Connectors
from local.storage import Storage
from ops.surroundings import print_anywhere
from spark_job import package

FOLDER: Final = tools.ROOT / ".tools" / "spark-classes"
JARS: Final = Path(pyspark.__file__).parent / "jars"
_PROJECT: Final = "recording"
_BUCKET: Final = "recording"
_RUN: Final = "2026-11-23"
_LINES: Final = 200
_TIMEOUT: Final = 300.0  # seconds; about 25 on two quiet cores


def archive_of(java_home: Path, found: Connectors, folder: Path = FOLDER, jars: Path = JARS) -> Path:
    """Where the archive of this Java, this Spark and these connectors is, or would be."""
    release = java_home / "release"
    told = release.read_text() if release.exists() else ""
    # Java compares the paths, sizes and times of what was recorded, and goes without an archive that does not fit: it
    # says so where nobody looks, and Spark installed again would stay slow for ever.
    files = [
        f"{jar} {jar.stat().st_size} {jar.stat().st_mtime_ns}"
        for jar in (*found.jars, *sorted(jars.glob("*.jar")))
    ]
    identity = "\n".join((str(java_home.resolve()), told, *files))
    return folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.jsa"


def existing(java_home: Path, found: Connectors, folder: Path = FOLDER) -> Path | None:
    """The archive for these, if it was recorded."""
    archive = archive_of(java_home, found, folder)
    return archive if archive.exists() else None


def record(java_home: Path, found: Connectors, environment: Mapping[str, str], folder: Path = FOLDER) -> Path:
    """Record the archive, all or nothing; archives of other Javas, Sparks and connectors go.

    Raises:
        OSError, subprocess.SubprocessError, ProcessError, ToolError: the job did not run to its end.
    """
    archive = archive_of(java_home, found, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name, Supervisor(Path(name)) as supervisor:
        scratch = Path(name)
        storage = Storage.start(
            supervisor, binary=tools.storage_binary(), root=scratch / "objects", environment=environment
        )
        storage.wait()
        written = scratch / "spark.jsa"
        submission = _submission(java_home, found, storage, scratch, written)
        asked = submit.command(submission, environment)
        subprocess.run(asked.argv, env=asked.env, cwd=scratch, capture_output=True, check=True, timeout=_TIMEOUT)
        for old in folder.glob("*.jsa"):
            old.unlink()
        written.replace(archive)
    return archive


def _submission(
    java_home: Path, found: Connectors, storage: Storage, scratch: Path, archive: Path
) -> submit.Submission:
    _, shipped = package.build(scratch)
    return submit.Submission(
        java_home=java_home,
        connectors=found,
        storage_emulator_host=storage.url,
        bigquery_emulator_host="",
        main_python_file=Path(__file__).with_name("recorded.py"),
        python_files=[shipped],
        args=_arguments(storage),
        properties=submit.recording(archive),
    )


def _arguments(storage: Storage) -> list[str]:
    """Lay out a run, and give the job's command line."""
    lines = (json.dumps(_line(number)).encode() + b"\n" for number in range(1, _LINES + 1))
    part = gzip.compress(b"".join(lines))
    decision = f"runs/{_RUN}/decisions/0001.json"
    storage.ensure_bucket(_PROJECT, _BUCKET)
    with closing(storage.client(_PROJECT)) as client:
        bucket = client.bucket(_BUCKET)
        bucket.blob(f"raw/{_RUN}/DK.jsonl.gz").upload_from_string(part)
        bucket.blob(decision).upload_from_string(json.dumps(_decision(len(part))))
    at = f"gs://{_BUCKET}/"
    told = {
        "input": f"{at}raw/{_RUN}/",
        "run-id": _RUN,
        "revision": "1",
        "decision": f"{at}{decision}",
        "table": f"{_PROJECT}.music.new_releases",
        "temporary-bucket": _BUCKET,
        "result": f"{at}loads/0001.json",
        "quarantine": f"{at}quarantine/{_RUN}/0001/",
    }
    return [f"--{name}={value}" for name, value in told.items()]


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
    found = connectors.found(java.home, os.environ)
    if existing(java.home, found) is None:
        print("recording the classes of a Spark job (half a minute, once)", flush=True)
        record(java.home, found, os.environ)


if __name__ == "__main__":
    print_anywhere()
    try:
        _main()
    except (tools.ToolError, ProcessError, OSError, subprocess.SubprocessError) as error:
        print(
            f"Spark's classes were not recorded, so that jobs start some seconds later: {error}", file=sys.stderr
        )
