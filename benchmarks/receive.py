"""What a delivery costs at `POST /`: decoded, validated, dispatched, acknowledged.

Measured is the server's processor time for each request, which a busy machine distorts less than the time on the
clock; one over it are requests for each core and second. The same deliveries go to all: a Pub/Sub message in a
CloudEvent, as Eventarc pushes it, since functions-framework takes no plain push.
"""

import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks import report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.subjects.usage import usage_of
from contracts.envelope.messages import Origin, to_message
from contracts.envelope.push import PUBSUB_PUBLISHED
from contracts.events import MarketRequested, OwnEvent
from contracts.names import MARKETS
from local import tools
from local.processes import LOOPBACK, Child, Supervisor

REQUESTS: Final[dict[Size, int]] = {"full": 12_000, "small": 1_000}
_ROUNDS: Final = 3
_SERVERS: Final = ("ours", "functions-framework")
_AT_ONCE: Final = 32
PEER_TIMES: Final = 2.0
_START_SECONDS: Final = 30.0
_FRAMEWORK: Final = tools.ROOT / ".venv-bench/bin/functions-framework"


def measure(size: Size) -> Figures:
    """Each server alone, in turn, several times."""
    count = REQUESTS[size]
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_ROUNDS):
            for name in _SERVERS:
                with Supervisor(Path(folder)) as supervisor:
                    run = asyncio.run(_serve_and_load(supervisor, name, count))
                found.setdefault(name, []).append(run)
                print(f"  {name:<20} {run['cpu'] / count * 1e6:6.0f} us of processor a request", flush=True)
    return {"requests": count, "runs": found}


async def _serve_and_load(supervisor: Supervisor, name: str, count: int) -> dict[str, float]:
    port = supervisor.ports.take()
    child = supervisor.start(name, _command(name, port), _environment(), cwd=tools.ROOT)
    url = f"http://{LOOPBACK}:{port}/"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_AT_ONCE)) as session:
        await _ready(session, url, child)
        await _post(session, url, count // 10)  # connections open, code warm
        before, started = cpu_of_tree(child.guard_pid), time.monotonic()
        await _post(session, url, count)
        seconds, after = time.monotonic() - started, cpu_of_tree(child.guard_pid)
    return {"seconds": seconds, "cpu": after - before}


def _command(name: str, port: int) -> list[str | Path]:
    if name == "functions-framework":
        source = tools.ROOT / "benchmarks/subjects/function.py"
        command: list[str | Path] = [_FRAMEWORK, "--target", "handle", "--source", source]
        return [*command, "--signature-type", "cloudevent", "--host", LOOPBACK, "--port", str(port)]
    return [sys.executable, "-m", "benchmarks.subjects.receiver", str(port)]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(tools.ROOT), "HOME": os.environ.get("HOME", "/")}


async def _ready(session: aiohttp.ClientSession, url: str, child: Child) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        child.check()
        try:
            async with session.get(url):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
    raise RuntimeError(f"{child.name} does not listen after {_START_SECONDS:.0f} s; read {child.log}")


async def _post(session: aiohttp.ClientSession, url: str, count: int) -> None:
    """Post this many deliveries, a number of them at once; every one must be acknowledged."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            headers, body = delivery(number)
            async with session.post(url, data=body, headers=headers) as response:
                if not response.ok:
                    raise RuntimeError(f"{url} answered {response.status}: {(await response.text())[:500]}")

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))


_AT = datetime(2026, 11, 22, 23, tzinfo=UTC)


def push(event: OwnEvent, message_id: str) -> dict[str, Any]:
    """The body with which Pub/Sub pushes an event."""
    message = to_message(event, Origin("benchmark", message_id, _AT))
    pushed = {
        "data": base64.b64encode(message.data).decode(),
        "attributes": message.attributes,
        "messageId": message_id,
        "publishTime": _AT.isoformat(),
    }
    return {"message": pushed, "subscription": "projects/p/subscriptions/s"}


def delivery(number: int) -> tuple[dict[str, str], bytes]:
    """A market request as Eventarc pushes it."""
    event = MarketRequested(run_id="2026-11-23", market=MARKETS[number % len(MARKETS)])
    headers = {
        "ce-id": str(number),
        "ce-source": "//pubsub.googleapis.com/projects/p/topics/market-requested",
        "ce-specversion": "1.0",
        "ce-type": PUBSUB_PUBLISHED,
        "content-type": "application/json",
    }
    return headers, json.dumps(push(event, str(number))).encode()


def cpu_of_tree(pid: int) -> float:
    """Processor seconds of a process and all that it started and that still run."""
    own = usage_of(pid).get("cpu", 0.0)
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = children.read_text().split() if children.exists() else []
    return own + sum(cpu_of_tree(int(child)) for child in below)


# --- what the figures say: pure --------------------------------------------------------------------------------


def per_core(figures: Figures, name: str) -> float:
    """Requests a core takes in a second, in the best round: what disturbs only ever slows down."""
    return float(figures["requests"] / min(run["cpu"] for run in figures["runs"][name]))


def claims(figures: Figures) -> Sequence[Claim]:
    """Against the peer."""
    ours, peer = (per_core(figures, name) for name in _SERVERS)
    return [
        Claim(
            what="a delivery received, beside the peer",
            ours=f"{ours:,.0f} requests a core-second",
            limit=f"{peer:,.0f} (functions-framework)",
            target=f"{PEER_TIMES:g} times the peer",
            held=ours >= PEER_TIMES * peer,
            ratio=ours / peer,
        )
    ]


def section(figures: Figures) -> str:
    """The section of the page."""
    return f"""
{figures["requests"]:,} deliveries of a market request, {_AT_ONCE} at once, to one process; best of {_ROUNDS} rounds.

{report.table(("server", "requests a core-second", "µs of processor a request", "requests a second"), _rows(figures))}

The function of functions-framework checks less than ours: no types, no markets, no trace, no fault by name.
"""


def _rows(figures: Figures) -> list[list[str]]:
    runs: Mapping[str, list[dict[str, float]]] = figures["runs"]
    count = figures["requests"]
    return [
        [
            name,
            f"{per_core(figures, name):,.0f}",
            f"{1e6 / per_core(figures, name):.0f}",
            f"{max(count / run['seconds'] for run in runs[name]):,.0f}",
        ]
        for name in runs
    ]


BENCHMARK = Benchmark(
    name="receive", title="Receiving a delivery", measure=measure, claims=claims, section=section
)
