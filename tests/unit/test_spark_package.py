"""What is shipped to a cluster: complete, the same each time, and independent of everything else here."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

from spark_job import package
from spark_job.columns import COLUMNS
from spark_job.schemas import ROWS
from spark_job.transforms import OF_ALBUM, OF_TRACK, rows

ROOT = Path(__file__).resolve().parent.parent.parent
_LIST_MODULES = """
import importlib, json, pkgutil, sys
before = set(sys.modules)
import spark_job
for module in pkgutil.iter_modules(spark_job.__path__):
    importlib.import_module(f"spark_job.{module.name}")
new = {name.partition(".")[0] for name in set(sys.modules) - before}
foreign = {name for name in new - sys.stdlib_module_names if not name.startswith("_sysconfigdata_")}
print(json.dumps(sorted(foreign)), spark_job.__file__)
"""


def _bare(command: list[str], archive: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python away from the clone, with nothing but the zip beside what is installed."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(archive)}
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_zip_needs_spark_and_nothing_else(tmp_path: Path) -> None:
    """A cluster's image has Spark: importing every module of the zip brings in pyspark, py4j and itself, no more."""
    _, archive = package.build(tmp_path)
    done = _bare(["-c", _LIST_MODULES], archive, tmp_path)
    assert done.returncode == 0, done.stderr
    modules, _, origin = done.stdout.partition("] ")
    assert set(json.loads(f"{modules}]")) <= {"spark_job", "pyspark", "py4j"}
    assert str(archive) in origin


def test_wrong_arguments_end_the_shipped_job_at_once(tmp_path: Path) -> None:
    """The shipped entry reports all faults and exits with 2, without Java and without Spark being started."""
    main, archive = package.build(tmp_path)
    done = _bare([str(main), "--run-id", "2026-13-01"], archive, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "--run-id: got '2026-13-01'" in done.stderr
    assert "--table: is missing" in done.stderr


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    """An unchanged job is an unchanged object, whenever and wherever it is built."""
    first, second = package.build(tmp_path / "a"), package.build(tmp_path / "b")
    os.utime(package.SOURCES / "__init__.py")
    third = package.build(tmp_path / "c")
    assert len({(main.read_bytes(), archive.read_bytes()) for main, archive in (first, second, third)}) == 1


def test_the_job_writes_the_columns_of_the_table() -> None:
    """Names, order and types are those that Terraform makes the table of, the reference's six columns first."""
    kinds = {"string": "STRING", "bigint": "INT64", "date": "DATE", "boolean": "BOOL", "array<string>": "ARRAY"}
    described = json.loads((ROOT / "infra/bigquery/new_releases.schema.json").read_text())
    table = [(field["name"], "ARRAY" if field["mode"] == "REPEATED" else field["type"]) for field in described]
    assert [(field.name, kinds[field.dataType.simpleString()]) for field in ROWS.fields] == table
    assert ROWS.names[:6] == ["market", "release_date", "track_name", "duration_ms", "artists", "load_date"]


def test_every_column_has_one_origin() -> None:
    """A column that is taken from nowhere, or from two places, would stop the job on the cluster first."""
    as_they_stand = [name for name, _, _, source in COLUMNS if source is not None]
    of_the_run = [
        name for name, told in inspect.signature(rows).parameters.items() if told.kind is told.KEYWORD_ONLY
    ]
    assert sorted([*as_they_stand, *OF_ALBUM, *OF_TRACK, *of_the_run]) == sorted(ROWS.names)
