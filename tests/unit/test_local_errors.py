"""How the verbs end when something is in the way: one line that says what and where, and a traceback only for us."""

import errno
from pathlib import Path

import pytest

from local import commands, disk
from local.disk import DiskError
from local.processes import ProcessError
from local.stack import FolderInUseError

MUCH, LITTLE, NOTHING = 10**12, disk.NEEDED // 2, 0
FULL = OSError(errno.ENOSPC, "No space left on device", "/data/storage/part")


def test_a_start_needs_room_for_its_data_and_for_scratch(tmp_path: Path) -> None:
    """Better told before than after a minute, in the middle of a run; where, how much, and the way out."""
    disk.require_room(tmp_path, measure=lambda _: disk.NEEDED)
    with pytest.raises(DiskError, match=rf"{tmp_path} has 100 MB free .* needs 200 MB: .* STACK_DATA="):
        disk.require_room(tmp_path, measure=lambda folder: LITTLE if folder == tmp_path else MUCH)
    with pytest.raises(DiskError, match="TMPDIR="):
        disk.require_room(tmp_path, measure=lambda folder: MUCH if folder == tmp_path else NOTHING)


def test_room_is_measured_before_the_folder_is_there(tmp_path: Path) -> None:
    """The first start makes its folder; until then the one above it is on the same disk."""
    assert disk.free(tmp_path / "not" / "yet") > 0


@pytest.mark.parametrize(
    ("error", "logs", "there"),
    [
        (FULL, [], MUCH),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), [], MUCH),
        (RuntimeError("500 POST http://127.0.0.1: write /data/x: no space left on device"), [], MUCH),
        (ProcessError("nothing has moved for 180 s"), ["java.io.IOException: No space left on device"], LITTLE),
        (ProcessError("bigquery ended with status 1"), [], NOTHING),
    ],
)
def test_a_full_disk_is_said_in_one_line(error: Exception, logs: list[str], there: int) -> None:
    """From our own writes, from what an emulator answers or logs, and where nothing says it but the disk itself."""
    told = disk.blamed(error, Path("/data"), logs, measure=lambda _: there)
    assert told is not None
    assert told.startswith("the disk is full: /data")
    assert f"{there // 10**6} MB are free" in told
    assert "\n" not in told


@pytest.mark.parametrize("logs", [[], ["No space left on device"]])
def test_a_disk_with_room_is_not_blamed(logs: list[str]) -> None:
    """A log of long ago must not hide what is wrong today."""
    assert disk.blamed(ProcessError("bigquery ended"), Path("/data"), logs, measure=lambda _: MUCH) is None


def test_a_full_disk_ends_a_verb_in_that_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the error that it shows itself by, also one that would be a traceback; a refusal stays a refusal."""
    where = {"STACK_DATA": str(tmp_path)}
    told = commands.explain(FULL, "demo", where)
    assert told is not None
    assert told.startswith("the disk is full: /data/storage/part")
    assert commands.explain(RuntimeError("a mistake of ours"), "demo", where) is None

    monkeypatch.setattr(disk, "blamed", lambda error, _home, logs: f"{error}: {''.join(logs)}")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "storage.log").write_text("no space left on device")
    assert commands.explain(ProcessError("it ended"), "up", where) == "it ended: no space left on device"
    assert commands.explain(FolderInUseError("a stack is up already"), "up", where) == "a stack is up already"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.EISDIR, "Is a directory"),
        (errno.EROFS, "Read-only file system"),
    ],
)
def test_a_file_in_the_way_is_named_with_what_to_do(number: int, said: str, tmp_path: Path) -> None:
    """Not to be written, or not a file at all: which one, and how to go round it."""
    error = OSError(number, said, "/clone/.local/stack.json")
    told = commands.explain(error, "up", {"STACK_DATA": str(tmp_path)})
    assert told is not None
    assert told.startswith(f"/clone/.local/stack.json: {said}; mend or remove it")
    assert "LOCAL_FOLDER" in told
    assert commands.explain(ConnectionResetError(104, "reset"), "up", {"STACK_DATA": str(tmp_path)}) is None
