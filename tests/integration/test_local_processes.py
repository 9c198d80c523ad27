"""Real child processes: nothing is left behind, and what failed is named."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.processes import ProcessError, Supervisor, guarded
from local.tools import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.emulator

# A child that ignores SIGTERM and has a child of its own: the worst that a guard has to end.
STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
import os
print("pids", os.getpid(), grandchild.pid, flush=True)
grandchild.wait()
"""

# A supervisor that starts the child and waits to be killed. A test that runs under `nohup`, or in the background of
# a script, has signals ignored and hands that down: whoever is to end by one says so first.
PARENT = f"""
import os, signal, sys, threading
from pathlib import Path
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
from local.processes import Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
child = supervisor.start("stubborn", [sys.executable, "-c", {STUBBORN!r}], os.environ, grace=0.2)
child.wait_for_line("pids", within=20)
print("up", flush=True)
threading.Event().wait()
"""


# Prints how SIGINT and SIGHUP end the process, if they do.
DISPOSITIONS = """
import signal
for number in (signal.SIGINT, signal.SIGHUP):
    found = signal.getsignal(number)
    print(getattr(found, "name", None) or found.__name__, end=" ", flush=True)
"""


def without_signals(*command: str | Path) -> list[str]:
    """The command as `nohup` in the background of a script starts it."""
    return ["/bin/sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *map(str, command)]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie, ended and not yet collected by its parent, does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607 -- ps is in different places
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_killed_supervisor_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """However the supervisor ends, its children and theirs end too, even those that ignore SIGTERM."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)  # noqa: ASYNC220 -- signalled below
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        _, child, grandchild = (tmp_path / "stubborn.log").read_text().split()
        assert alive(int(child))
        assert alive(int(grandchild))

        parent.send_signal(number)
        parent.communicate(timeout=30)
    finally:
        parent.kill()

    await eventually(lambda: not alive(int(child)) and not alive(int(grandchild)), within=10)


def test_a_guarded_child_inherits_no_ignored_signal(tmp_path: Path) -> None:
    """What a stack that was started under `nohup` starts ends by the signals that end it elsewhere."""
    command = [sys.executable, "-c", DISPOSITIONS]
    guard = without_signals(*guarded(command, grace=1))
    with subprocess.Popen(guard, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.read().split() == ["default_int_handler", "SIG_DFL"]


@pytest.mark.parametrize(("background", "hang_up"), [(True, "SIG_IGN"), (False, "_as_interrupt")])
def test_a_verb_ends_in_order_whatever_it_inherited(*, background: bool, hang_up: str) -> None:
    """A script's background has Ctrl-C ignored, which must end a stack all the same; `nohup` is obeyed."""
    begin = "import signal" if background else "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    script = f"{begin}\nfrom local.__main__ import _end_in_order\n_end_in_order()\n{DISPOSITIONS}"
    command = [sys.executable, "-c", script]
    started = without_signals(*command) if background else command
    done = subprocess.run(started, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["default_int_handler", hang_up]


# Is asked to end at the worst moment, then works until it is interrupted.
FINALIZING = """
import signal, threading
from local.__main__ import _end_in_order
_end_in_order()
class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
del [Finalized()][0]
print("finalized", flush=True)
try:
    threading.Event().wait()
except KeyboardInterrupt as interrupt:
    print(interrupt)
"""


def test_an_interrupt_is_not_lost_while_python_finalizes_an_object() -> None:
    """What is raised there is dropped: a stack would come up although it was told to end, and `down` wait in vain."""
    command = [sys.executable, "-c", FINALIZING]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines() == ["finalized", "SIGTERM"]


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    """When stop returns, a child that ignores SIGTERM is gone, and what it started as well."""
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("stubborn", [sys.executable, "-c", STUBBORN], os.environ, grace=0.2)
        pids = child.wait_for_line(r"pids (\d+) (\d+)", within=20)
    assert not alive(int(pids[1]))
    assert not alive(int(pids[2]))


def test_what_is_nested_ends_first(tmp_path: Path) -> None:
    """A service can still reach its emulator while it shuts down: the inner supervisor's children end first."""
    farewell = (
        "import signal, sys, pathlib, time\n"
        "def bye(*_):\n"
        "    pathlib.Path(sys.argv[1], sys.argv[2]).write_text(str(time.monotonic_ns()))\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, bye)\nprint('ready', flush=True)\nsignal.pause()\n"
    )
    with Supervisor(tmp_path) as outer, Supervisor(tmp_path) as inner:
        for supervisor, name in ((outer, "emulator"), (inner, "service")):
            child = supervisor.start(name, [sys.executable, "-c", farewell, tmp_path, name], os.environ)
            child.wait_for_line("ready", within=20)
    assert int((tmp_path / "service").read_text()) < int((tmp_path / "emulator").read_text())


def test_an_early_death_names_the_log_and_quotes_it(tmp_path: Path) -> None:
    """Who reads the error knows which process failed, why, and where to read on."""
    script = "import sys; print('no such bucket'); sys.exit(3)"
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("storage", [sys.executable, "-c", script], os.environ)
        with pytest.raises(ProcessError) as raised:
            child.wait_for_line("never", within=20)
    message = str(raised.value)
    assert "storage ended with status 3" in message
    assert str(tmp_path / "storage.log") in message
    assert "no such bucket" in message


def test_a_killed_child_is_an_early_death(tmp_path: Path) -> None:
    """A child that a signal ended is told by the status that shells use: 128 and the signal."""
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("spark", [sys.executable, "-c", script], os.environ)
        with pytest.raises(ProcessError, match="spark ended with status 137"):
            child.wait_for_line("never", within=20)


def test_a_command_that_does_not_exist_is_an_early_death(tmp_path: Path) -> None:
    """A missing program is named like any other failure."""
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("java", [tmp_path / "no-java"], os.environ)
        with pytest.raises(ProcessError, match=r"cannot start .*no-java: No such file"):
            child.wait_for_line("never", within=20)


def test_a_child_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    """Waiting has a deadline."""
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("slow", [sys.executable, "-c", "import signal; signal.pause()"], os.environ)
        with pytest.raises(ProcessError, match="slow is not ready after 0 s"):
            child.wait_for_line("never", within=0.1)
