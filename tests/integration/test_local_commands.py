"""The commands as a person gives them: processes of their own, whole stacks, and nothing left behind."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client as BigQueryClient
from google.cloud.storage import Client as StorageClient

from local.stack import FolderInUseError, sole_use
from local.tools import ROOT
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def told(folder: Path, **more: str) -> dict[str, str]:
    """The caller's environment, with everything the stack generates in this folder."""
    return {**os.environ, "LOCAL_FOLDER": str(folder), "MARKETS": "DK", "RUN_DATE": "2026-11-23", **more}


WITHOUT_A_LOAD = {"MARKETS": "DK,SE", "SPOTIFY_SIMULATOR": "developer", "SPOTIFY_FAULTS": "never-a-listing"}
"""Denmark never lands: a stack that is asked for a run, and begins no Spark beside the tests."""


def local(verb: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Give a command and wait for it."""
    command = [sys.executable, "-m", "local", verb]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240
    )


def processes_of(folder: Path) -> list[str]:
    """Command lines and environments that name the folder: the stack's processes, all of them."""
    shown = subprocess.run(["ps", "axeww", "-o", "args="], capture_output=True, text=True, check=True).stdout  # noqa: S607 -- ps is in different places
    return [line for line in shown.splitlines() if str(folder) in line and not line.startswith("ps ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a stack that is up."""
    folder = tmp_path_factory.mktemp("up")
    done = local("up", told(folder, **WITHOUT_A_LOAD))
    assert done.returncode == 0, done.stderr
    yield folder
    local("down", told(folder))


def exported(folder: Path) -> dict[str, str]:
    """What sourcing the environment file sets."""
    lines = (folder / "env").read_text().splitlines()
    return dict(shlex.split(line)[1].split("=", 1) for line in lines)


async def test_any_google_client_reaches_the_stack_by_its_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sourcing `.local/env` is all that a client needs; a tick makes a run that it can watch."""
    variables = exported(folder)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    anonymous = AnonymousCredentials()
    warehouse = BigQueryClient(project=variables["GOOGLE_CLOUD_PROJECT"], credentials=anonymous)
    table = warehouse.get_table(f"{variables['BIGQUERY_DATASET']}.{variables['BIGQUERY_TABLE']}")
    assert table.clustering_fields == ["market"]
    warehouse.close()

    assert local("tick", told(folder)).returncode == 0
    client = StorageClient(project=variables["GOOGLE_CLOUD_PROJECT"], credentials=anonymous)
    part = client.bucket(variables["BUCKET"]).blob("raw/2026-11-23/SE.jsonl.gz")
    await eventually(part.exists, within=60)
    client.close()


def test_a_second_stack_is_refused_whatever_its_data(folder: Path, tmp_path: Path) -> None:
    """A clone has one record: a second stack would take it over, and `down` end the wrong one."""
    before = (folder / "stack.json").read_text()
    pid = json.loads(before)["pid"]
    for data in (folder / "up", tmp_path):
        done = local("up", told(folder, STACK_DATA=str(data)))
        assert done.returncode == 1
        assert (
            f"a stack is up already on {folder / 'up'}, process {pid}; end it first with: make down" in done.stderr
        )
        assert f"LOCAL_FOLDER={folder}-2 make up" in done.stderr
    assert (folder / "stack.json").read_text() == before


def test_a_second_stack_needs_data_of_its_own(folder: Path, tmp_path: Path) -> None:
    """Two stacks never write into each other's data; who tries is told who is there."""
    pid = json.loads((folder / "stack.json").read_text())["pid"]
    done = local("up", told(tmp_path, STACK_DATA=str(folder / "up")))
    assert done.returncode == 1
    assert f"another stack, process {pid}, runs in {folder / 'up'}" in done.stderr


def started(verb: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Give a command and go on; what it says can be read at its end."""
    return subprocess.Popen(
        [sys.executable, "-m", "local", verb],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


async def test_a_stack_that_crashed_is_told_of_and_replaced(tmp_path: Path) -> None:
    """Killed, it leaves a record behind: who asks for it learns so at once, and `up` needs nobody to clear up."""
    assert local("up", told(tmp_path)).returncode == 0
    os.kill(json.loads((tmp_path / "stack.json").read_text())["pid"], signal.SIGKILL)
    await eventually(lambda: processes_of(tmp_path) == [], within=60)
    gone = f"the stack that was up on {tmp_path / 'up'} is gone"
    ticked = local("tick", told(tmp_path))
    assert (ticked.returncode, gone in ticked.stderr) == (1, True), ticked.stderr
    asked = [str(ROOT / "releases"), "--stack", str(tmp_path), "run", "list"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)  # noqa: ASYNC221 -- nothing else goes on
    assert (listed.returncode, gone in listed.stderr) == (3, True), listed.stderr

    assert local("up", told(tmp_path)).returncode == 0
    holder = int((tmp_path / "stack.lock").read_text())
    (guard,) = (pid for pid, command in children_of(holder) if "services.scheduler" in command)
    # The service, not its guard: nobody would end what a killed guard leaves behind.
    ((scheduler, _),) = children_of(guard)
    os.kill(scheduler, signal.SIGKILL)
    await eventually(lambda: processes_of(tmp_path) == [], within=60)
    assert gone in local("tick", told(tmp_path)).stderr
    assert "scheduler ended with status 137" in (tmp_path / "up" / "stack.log").read_text()
    assert "its record is cleared now" in local("down", told(tmp_path)).stderr


def children_of(parent: int) -> list[tuple[int, str]]:
    """Process id and command line of what a process has started."""
    command = ["ps", "axww", "-o", "ppid=,pid=,args="]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = (line.split(maxsplit=2) for line in shown.splitlines())
    return [(int(pid), args) for ppid, pid, args in found if int(ppid) == parent]


def test_of_two_at_the_same_moment_one_comes_up_and_down_ends_all_of_it(folder: Path, tmp_path: Path) -> None:
    """The other is refused and disturbs nothing; the one has ports of its own.

    After `down` no process and no address is left, but for the stack of another folder, and nothing more to end.
    """
    both = [started("up", told(tmp_path, **WITHOUT_A_LOAD)) for _ in range(2)]
    said = {one.communicate(timeout=240)[0]: one.returncode for one in both}
    assert sorted(said.values()) == [0, 1], said
    (refusal,) = (text for text, status in said.items() if status)
    assert "end it first" in refusal
    assert local("tick", told(tmp_path)).returncode == 0
    mine, theirs = exported(folder), exported(tmp_path)
    hosts = [name for name in mine if name.endswith("_HOST")]
    assert len(hosts) == 5
    assert not {mine[name] for name in hosts} & {theirs[name] for name in hosts}
    assert processes_of(tmp_path)
    assert local("down", told(tmp_path)).returncode == 0
    assert processes_of(folder)
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "stack.json").exists()
    assert not (tmp_path / "env").exists()
    assert (tmp_path / "up" / "storage" / "new-releases" / "jobs" / "main.py").exists()
    again = local("down", told(tmp_path))
    assert again.returncode == 1
    assert "start one with: make up" in again.stderr


async def test_an_interrupted_up_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while it comes up, and `down` from elsewhere: no process, no record, and the folder is free."""
    for end in (lambda up: up.send_signal(signal.SIGINT), lambda _: local("down", told(tmp_path))):
        log = tmp_path / "up" / "logs" / "pubsub.log"
        log.unlink(missing_ok=True)
        up = started("up", told(tmp_path))
        await eventually(log.exists, within=120)
        end(up)
        up.communicate(timeout=60)
        assert up.returncode
        assert processes_of(tmp_path) == []
        assert not (tmp_path / "stack.json").exists()
        assert not (tmp_path / "env").exists()
        assert "no stack is up" in local("tick", told(tmp_path)).stderr


@pytest.mark.parametrize("moment", ["pubsub.log", "cluster_manager.log", "jobs"])
async def test_an_interrupted_demo_leaves_no_process(tmp_path: Path, moment: str) -> None:
    """Ctrl-C while the first process starts, while the services start, and while Spark runs."""
    demo = started("demo", told(tmp_path))
    await eventually((tmp_path / "demo" / "logs" / moment).exists, within=120)
    demo.send_signal(signal.SIGINT)
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, said
    assert "nothing is left running" in said
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "demo.json").exists()


def test_a_wrong_choice_starts_nothing(tmp_path: Path) -> None:
    """A fault in the environment is told before anything starts."""
    done = local("demo", told(tmp_path, MARKETS="dk"))
    assert done.returncode == 1
    assert "MARKETS: 'dk' is not a market" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_a_folder_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    """The hold ends with the process, so a crash locks nobody out; while it lasts it is exclusive."""
    with sole_use(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()}"), sole_use(tmp_path):
        pass
    with sole_use(tmp_path):
        pass


async def test_a_stack_whose_record_is_removed_ends(folder: Path) -> None:
    """It can be reached by nobody any more. The last of this module, since it takes the stack from all others."""
    (folder / "stack.json").unlink()
    await eventually(lambda: processes_of(folder) == [], within=60)
