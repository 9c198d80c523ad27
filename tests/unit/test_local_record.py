"""The record of a stack that stays: what it says when it is damaged or has outlived its stack, and who is signalled."""

import os
import socket
from pathlib import Path
from typing import Never

import pytest

from local import detached
from local.detached import Files
from local.processes import ProcessError
from local.stack import FolderInUseError, sole_use
from ops import record
from ops.record import NotRunningError, Record, RecordError

TOLD = f'{{"pid": {os.getpid()}, "home": "/data", "environment": {{}}, "services": {{}}}}'
DAMAGES = {
    "empty": b"",
    "truncated": TOLD.encode()[:30],
    "another kind": b"[]",
    "not text": b"\xff\xfe\x00",
    "an older version": b'{"pid": 1, "folder": "/data"}',
}
WHATEVER = {"sound": TOLD.encode(), **DAMAGES}


@pytest.fixture(autouse=True)
def no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test in which any process is signalled."""

    def refuse(pid: int, number: int) -> Never:
        raise AssertionError(f"process {pid} got signal {number}")

    monkeypatch.setattr(os, "kill", refuse)


def told(folder: Path, damage: str = "sound") -> Files:
    """A folder with a record, as a stack that is gone leaves it: its process number is another's by now."""
    (folder / record.FILE).write_bytes(WHATEVER[damage])
    (folder / record.LOCK).write_text(str(os.getpid()))
    return Files(folder)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_with_what_to_do(tmp_path: Path, damage: str) -> None:
    """A half-written file, or that of another version, ends in one line that names it, never in a traceback."""
    files = told(tmp_path, damage)
    with pytest.raises(RecordError, match=rf"{files.state}: cannot be read \(.+\); .*make down, then make up"):
        record.running(tmp_path)


def test_a_record_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's file, or a folder in its place, is said like any other damage."""

    def refuse(_path: Path) -> Never:
        raise PermissionError(13, "Permission denied")

    files = told(tmp_path)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(RecordError, match=rf"{files.state}: cannot be read \(Permission denied\)"):
        record.read(files.state)
    monkeypatch.undo()
    files.state.unlink()
    files.state.mkdir()
    with pytest.raises(RecordError, match=rf"{files.state}: cannot be read \(Is a directory\)"):
        record.read(files.state)


def test_a_record_that_outlived_its_stack_says_so(tmp_path: Path) -> None:
    """After a crash or a restart of the machine: which stack is gone, where its log is, what to do."""
    told(tmp_path)
    with pytest.raises(NotRunningError, match=r"on /data is gone; /data/stack\.log .* make up"):
        record.running(tmp_path)
    with sole_use(tmp_path, lock=record.LOCK):
        assert record.running(tmp_path).home == Path("/data")


def test_a_stack_on_its_way_is_told_from_none(tmp_path: Path) -> None:
    """While one starts, there is a process and no record yet: waiting helps, starting another does not."""
    with pytest.raises(NotRunningError, match=rf"no stack is up in {tmp_path}; start one with: make up"):
        record.running(tmp_path)
    with (
        sole_use(tmp_path, lock=record.LOCK),
        pytest.raises(NotRunningError, match=f"starts or ends just now, process {os.getpid()}"),
    ):
        record.running(tmp_path)


@pytest.mark.parametrize("damage", WHATEVER)
def test_down_signals_nobody_for_a_stack_that_is_gone(tmp_path: Path, damage: str) -> None:
    """The number in the record, and in the lock that nobody holds, is another process's by now; both heal."""
    files = told(tmp_path, damage)
    with pytest.raises(NotRunningError, match="its record is cleared now"):
        detached.down(files)
    assert not files.state.exists()
    with pytest.raises(NotRunningError, match="start one with: make up"):
        detached.down(files)


def test_down_tells_of_a_stack_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives up after its time and names the process and the last resort."""
    asked: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _number: asked.append(pid))
    monkeypatch.setattr(detached, "_DOWN", 0.0)
    files = told(tmp_path)
    with (
        sole_use(tmp_path, lock=record.LOCK),
        pytest.raises(ProcessError, match=f"has not ended .* {os.getpid()}, with SIGKILL"),
    ):
        detached.down(files)
    assert asked == [os.getpid()]
    assert files.state.exists()


def test_a_holder_without_a_number_is_ended_by_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock file that somebody emptied tells no process: nobody is signalled, and without its record a stack ends."""
    monkeypatch.setattr(detached, "_DOWN", 0.0)
    files = told(tmp_path)
    with sole_use(tmp_path, lock=record.LOCK):
        (tmp_path / record.LOCK).write_text("")
        with pytest.raises(ProcessError, match="unknown"):
            detached.down(files)
    assert not files.state.exists()


@pytest.mark.parametrize("damage", ["sound", "truncated"])
def test_a_folder_has_one_stack_at_a_time(tmp_path: Path, damage: str) -> None:
    """A second `up` would overwrite the first one's record, and `down` end the wrong one; both ways out are named."""
    files = told(tmp_path, damage)
    with (
        sole_use(tmp_path, lock=record.LOCK),
        pytest.raises(
            FolderInUseError, match=rf"up already.*, process {os.getpid()}; .*make down.*LOCAL_FOLDER=\S+ make up"
        ),
    ):
        detached.up(files, tmp_path / "other data", {})
    assert files.state.read_bytes() == WHATEVER[damage]


def test_two_ups_do_not_start_at_the_same_moment(tmp_path: Path) -> None:
    """The second would write into the log by which the first sees its stack come up."""
    with (
        sole_use(tmp_path, lock="up.lock"),
        pytest.raises(FolderInUseError, match=f"another `make up`, process {os.getpid()}"),
    ):
        detached.up(Files(tmp_path), tmp_path / "data", {})


def test_a_tick_does_not_wait_for_an_emulator_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack is there and one of its processes does not answer: which log tells, and what to do."""
    monkeypatch.setattr(detached, "_TICK", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, sole_use(tmp_path, lock=record.LOCK):
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        found = Record(pid=1, home=tmp_path, environment={"PUBSUB_EMULATOR_HOST": host}, services={})
        (tmp_path / record.FILE).write_text(found.model_dump_json())
        with pytest.raises(ProcessError, match=r"does not take the tick .*logs/pubsub\.log, .* make down"):
            detached.tick(Files(tmp_path), None)
