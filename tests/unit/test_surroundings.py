"""What the commands put right about their own process: loopback past proxies, letters for any terminal, any folder."""

import os
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
import requests

from local.processes import answers
from local.tools import ROOT
from ops.surroundings import past_proxies

LOOPBACK = "127.0.0.1,localhost,::1"
DEAD = "http://127.0.0.1:1"
PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), DEAD)


@pytest.mark.parametrize(
    ("caller", "lower", "upper", "grpc_own"),
    [
        ({}, LOOPBACK, LOOPBACK, LOOPBACK),
        ({"NO_PROXY": "a"}, f"a,{LOOPBACK}", f"a,{LOOPBACK}", f"a,{LOOPBACK}"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, f"a,{LOOPBACK}", f"b,{LOOPBACK}", f"a,{LOOPBACK}"),
        ({"no_proxy": "a, localhost ,"}, "a,localhost,127.0.0.1,::1", *["a,localhost,127.0.0.1,::1"] * 2),
        ({"no_proxy": "*"}, "*", "*", LOOPBACK),
        ({"no_proxy": "a", "no_grpc_proxy": "g"}, f"a,{LOOPBACK}", f"a,{LOOPBACK}", f"g,{LOOPBACK}"),
    ],
)
def test_each_spelling_keeps_its_own_exceptions(
    caller: dict[str, str], lower: str, upper: str, grpc_own: str
) -> None:
    """Libraries differ in the spelling they read; none may lose what its reader excepted, nor go out to come home."""
    told = past_proxies(caller)
    assert (told["no_proxy"], told["NO_PROXY"], told["no_grpc_proxy"]) == (lower, upper, grpc_own)
    assert past_proxies(told) == told


@pytest.mark.parametrize(
    ("typed", "status", "told"),
    [
        ("--version >&-", 0, ""),
        ("run list --limit 0 >&-", 2, "--limit"),
        ("run list --limit 0 2>&-", 2, ""),
        ("-h >/dev/full", 1, "error: [Errno 28] No space left on device"),
    ],
)
def test_what_cannot_be_said_ends_no_command_in_a_traceback(typed: str, status: int, told: str) -> None:
    """A script may close what it does not read, and a disk may be full under the answer."""
    command = f"exec {shlex.quote(sys.executable)} -m ops {typed}"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    assert told in done.stderr


@contextmanager
def behind_a_dead_proxy(excepted: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process as one whose every proxy variable names a proxy that is not there."""
    for name, value in PROXIES.items():
        patch.setenv(name, value)
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        patch.setenv(name, excepted)
    for name, value in past_proxies(os.environ).items():
        patch.setenv(name, value)
    yield


@pytest.fixture
def served() -> Iterator[str]:
    """The address of an HTTP server on loopback."""

    class Fine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's signature
            """Nothing: the test's own output is enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Fine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("excepted", ["", "company.example", "*"])
def test_http_on_loopback_passes_every_proxy(served: str, excepted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulators are asked through requests and urllib; both go straight, whatever else the caller excepts."""
    with behind_a_dead_proxy(excepted, monkeypatch):
        assert requests.get(served, timeout=5).status_code == 204
        with urllib.request.urlopen(served, timeout=5) as answer:  # noqa: S310 -- made here
            assert answer.status == 204


def test_a_health_check_needs_no_exception(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor asks its children directly, whatever the environment says."""
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert answers(served)()


@pytest.mark.parametrize("excepted", ["", "*"])
def test_grpc_on_loopback_passes_every_proxy(excepted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library follows http_proxy too, reads lower case alone and knows no asterisk."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with behind_a_dead_proxy(excepted, monkeypatch), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/any/method")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=5)
    server.stop(None).wait()
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED  # the server's own word


def in_ascii(*command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with an output that knows ASCII alone."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_letters_that_the_terminal_lacks_become_plain_ones() -> None:
    """A mark stays apart from the other marks, and a letter that has no like ends no command."""
    shown = in_ascii("-c", "from ops.surroundings import print_anywhere as p; p(); print('● ○ ✕ ◷ · → … ü 宗')")
    assert (shown.returncode, shown.stdout) == (0, "* o x ~ . > . ? ?\n"), shown.stderr


def test_the_command_line_prints_anywhere() -> None:
    """`releases` itself sees to it, before it prints."""
    script = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from ops.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: print('●')\n"
    )
    shown = in_ascii("-c", script)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.endswith("*\n")


def test_the_remedy_of_the_command_line_can_be_pasted(tmp_path: Path) -> None:
    """`releases` in a clone without its environment names the command that makes it, in a folder of any name."""
    clone = tmp_path / 'Bjørn\'s $HOME "R&D" #1'
    clone.mkdir()
    shutil.copy(ROOT / "releases", clone)
    done = subprocess.run([clone / "releases"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert shlex.split(done.stderr.partition("make it with: ")[2]) == ["make", "-C", str(clone), "setup"]
