"""The walk "add a column" of CONTRIBUTING.md, in a copy of the tree: it is enough, and all of it is needed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_BY_HAND = 3
BY_HAND = {
    "contracts/columns.py": (
        '        "derived.image_url",\n    ),\n',
        '    Column("album_tracks", "INT64", "Tracks of the album, by Spotify.", "album.total_tracks"),\n',
    ),
    "local/spotify/catalogue.py": (
        '            "album_type": album.album_type,\n',
        '            "album_tracks": len(album.tracks),\n',
    ),
}
"""What is done by hand: in which file, after which line, which line is put."""
GENERATED = {"infra/bigquery/new_releases.schema.json", "spark_job/columns.py", "docs/table.md"}
GENERATORS = ("contracts", "docs")
ROWS = "tests/unit/test_spotify_catalogue.py::test_rows_are_what_the_tracks_say"
QUICK = (
    ROWS,
    "tests/contract/test_columns.py",
    "tests/contract/test_evolution.py",
    "tests/unit/test_spark_package.py::test_the_job_writes_the_columns_of_the_table",
    "tests/unit/test_spark_package.py::test_every_column_has_one_origin",
    "benchmarks/tests/test_benchmarks.py::test_the_peers_make_the_columns_of_the_table",
    "tests/infra/test_configuration.py::test_the_table_is_made_from_the_one_schema",
)


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Python in the copy, with the packages of this one."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def stale(tree: Path) -> bool:
    """Whether a check refuses what is generated."""
    return any(run(tree, "-m", module, "--check").returncode for module in GENERATORS)


def complaints(tree: Path, *tests: str) -> str:
    """What these tests say in the copy; nothing where they are green."""
    done = run(tree, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests)
    return done.stdout if done.returncode else ""


def content(tree: Path, names: list[str]) -> dict[str, bytes]:
    """Every file that is there."""
    return {name: (tree / name).read_bytes() for name in names if (tree / name).is_file()}


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The files of the project, also those that are not committed yet."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in found.split("\0") if name})


@pytest.fixture(scope="module")
def tree(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the walk was walked; before what is generated was written, it was missed."""
    copy = tmp_path_factory.mktemp("tree")
    for name, held in content(ROOT, names).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(held)
    for name, (after, line) in BY_HAND.items():
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(after) == 1, name
        (copy / name).write_text(text.replace(after, after + line), encoding="utf-8")
    for module in GENERATORS:
        assert run(copy, "-m", module, "--check").returncode
        assert run(copy, "-m", module).returncode == 0
    return copy


def test_the_walk_names_what_is_done_by_hand() -> None:
    """Whoever follows the page does what is tried here, in three files at the most."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = page.partition("### 6. Add a column to the table\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\d\. `([^`]+\.py)`", walk, re.MULTILINE) == list(BY_HAND)
    assert len(BY_HAND) <= MOST_BY_HAND


def test_a_column_is_added_by_hand_in_three_files_at_the_most(tree: Path, names: list[str]) -> None:
    """The generators write the rest and nothing else, and every quick test and check is green."""
    before, after = content(ROOT, names), content(tree, names)
    assert {name for name in before if before[name] != after[name]} == {*BY_HAND, *GENERATED}
    assert not stale(tree)
    assert complaints(tree, *QUICK) == ""
    typed = run(tree, "-m", "mypy", "--cache-dir", os.devnull, "contracts/columns.py", "spark_job/columns.py")
    assert typed.returncode == 0, typed.stdout


@pytest.mark.parametrize("forgotten", BY_HAND)
def test_what_was_forgotten_is_red(tree: Path, forgotten: str) -> None:
    """No file of the walk can be left out without a quick test or check that says so."""
    changed = tree / forgotten
    kept = changed.read_bytes()
    changed.write_bytes((ROOT / forgotten).read_bytes())
    try:
        assert stale(tree) or complaints(tree, ROWS)
    finally:
        changed.write_bytes(kept)
