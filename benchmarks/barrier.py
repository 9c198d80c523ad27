"""A storm of finalize events: what ten thousand of them cost the barrier of one run.

47 of 48 markets have landed, and their events come over and over; then the last one lands. The handlers, the barrier
and the bucket are real. A perfect barrier would list once, after the last event.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks import report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.manifests import manifest_of
from benchmarks.receive import cpu_of_tree
from benchmarks.subjects.usage import usage_of
from contracts.names import MARKETS, decision_name, manifest_name, part_name
from local import tools
from local.processes import LOOPBACK, Child, Supervisor, answers
from local.storage import Storage

EVENTS: Final[dict[Size, tuple[int, int]]] = {"full": (1_000, 10_000), "small": (200, 1_000)}
SHARE: Final = 0.02
LINEAR: Final = 1.3
FLAT_MIB: Final = 16.0
_RUN: Final = "2026-11-23"
_BUCKET: Final = "benchmark"
_AT_ONCE: Final = 200  # deliveries under way; a service takes 250


def measure(size: Size) -> Figures:
    """Each number of events to a barrier of its own."""
    found: Figures = {"runs": {}}
    for count in EVENTS[size]:
        with tempfile.TemporaryDirectory() as folder, Supervisor(Path(folder)) as supervisor:
            run = asyncio.run(_storm(supervisor, Path(folder), count))
        found["runs"][str(count)] = run
        print(f"  {count} events: {run['seconds']:.1f} s, {run['listings']} listings", flush=True)
    return found


async def _storm(supervisor: Supervisor, folder: Path, count: int) -> dict[str, Any]:
    storage = Storage.start(
        supervisor, binary=tools.storage_binary(), root=folder / "objects", environment=os.environ
    )
    storage.wait()
    storage.ensure_bucket("benchmark", _BUCKET)
    _land(storage, MARKETS[:-1])
    port = supervisor.ports.take()
    url = f"http://{LOOPBACK}:{port}"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.subjects.barrier",
        str(port),
        storage.url,
        _BUCKET,
    ]
    child = supervisor.start("barrier", command, {"PATH": os.environ["PATH"]}, cwd=tools.ROOT)
    child.wait_until(answers(f"{url}/health/ready"), within=60)
    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _post(session, url, range(len(MARKETS)))  # every module in use is loaded
        before, cpu = await _told(session, url), cpu_of_tree(child.guard_pid)
        first = _peak(child)
        started = time.monotonic()
        await _post(session, url, range(count))
        seconds = time.monotonic() - started
        after = await _told(session, url)
        used, last = cpu_of_tree(child.guard_pid) - cpu, _peak(child)
        _land(storage, MARKETS[-1:])
        await _post(session, url, [len(MARKETS) - 1])
    return {
        "seconds": seconds,
        "cpu": used,
        "listings": after["listings"] - before["listings"],
        "decided_early": after["published"],
        "decided": _decided(storage),
        "grown_mib": last - first,
        "peak_mib": last,
    }


def _land(storage: Storage, markets: Sequence[str]) -> None:
    client = storage.client("benchmark")
    bucket = client.bucket(_BUCKET)
    for market in markets:
        bucket.blob(part_name(_RUN, market)).upload_from_string(b"part")
    if not bucket.blob(manifest_name(_RUN)).exists():
        bucket.blob(manifest_name(_RUN)).upload_from_string(manifest_of(_RUN, MARKETS))
    client.close()


def _decided(storage: Storage) -> bool:
    client = storage.client("benchmark")
    found: bool = client.bucket(_BUCKET).blob(decision_name(_RUN, 1)).exists()
    client.close()
    return found


async def _post(session: aiohttp.ClientSession, url: str, numbers: Sequence[int]) -> None:
    waiting = iter(numbers)

    async def worker() -> None:
        for number in waiting:
            async with session.post(url, data=_finalized(number)) as answer:
                if not answer.ok:
                    raise RuntimeError(f"the barrier answered {answer.status}: {(await answer.text())[:500]}")

    await asyncio.gather(*(worker() for _ in range(min(_AT_ONCE, len(numbers)))))


def _finalized(number: int) -> bytes:
    """The notification of one part; the last market's is sent only on its own."""
    last = len(MARKETS) - 1
    market = MARKETS[last if number == last else number % last]
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": _BUCKET,
        "objectId": part_name(_RUN, market),
        "objectGeneration": str(number + 1),
    }
    message = {"messageId": str(number), "attributes": attributes, "data": ""}
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


async def _told(session: aiohttp.ClientSession, url: str) -> dict[str, int]:
    async with session.get(f"{url}/health/ready") as answer:
        told: dict[str, int] = await answer.json()
    return told


def _peak(child: Child) -> float:
    """Peak memory of the barrier, in MiB."""
    below = Path(f"/proc/{child.guard_pid}/task/{child.guard_pid}/children")
    return usage_of(below.read_text().split()[0]).get("peak_mib", 0.0) if below.exists() else 0.0


# --- what the figures say: pure --------------------------------------------------------------------------------


def claims(figures: Figures) -> list[Claim]:
    """Listings, time and memory, and that it decided once and only when all was there."""
    (small, few), (large, many) = ((int(count), run) for count, run in figures["runs"].items())
    share = many["listings"] / large
    each = (many["cpu"] / large) / (few["cpu"] / small)
    return [
        Claim(
            what=f"bucket listings of {large:,} finalize events",
            ours=f"{many['listings']} ({share:.1%})",
            limit="1",
            target=f"at most {SHARE:.0%} of the events",
            held=share <= SHARE,
        ),
        Claim(
            what=f"processor of a finalize event, {large:,} beside {small:,}",
            ours=f"{each:.2f} times",
            limit="1",
            target="linear",
            held=each <= LINEAR,
            ratio=1 / each,
        ),
        Claim(
            what=f"memory of the barrier over {large:,} events",
            ours=f"{many['grown_mib']:.1f} MiB more than before them, {many['peak_mib']:.0f} in all",
            target=f"flat: below {FLAT_MIB:.0f} MiB more than over {small:,}",
            held=many["grown_mib"] - few["grown_mib"] <= FLAT_MIB,
        ),
        Claim(
            what="the batch is decided when the last market lands, and not before",
            ours="yes" if many["decided"] and not many["decided_early"] else "no",
            target="yes",
            held=bool(many["decided"]) and not many["decided_early"],
        ),
    ]


def section(figures: Figures) -> str:
    """The section of the page."""
    rows = [
        [
            f"{int(count):,}",
            f"{run['seconds']:.1f}",
            f"{int(count) / run['seconds']:,.0f}",
            f"{run['cpu'] / int(count) * 1e6:.0f}",
            run["listings"],
            f"{run['grown_mib']:.1f}",
        ]
        for count, run in figures["runs"].items()
    ]
    header = ("events", "seconds", "events a second", "µs of processor an event", "listings", "MiB grown")
    return f"""
Notifications of one run with 47 of 48 markets landed, {_AT_ONCE:,} under way at once; then the last market lands.

{report.table(header, rows)}

Each look at a run is two listings (its documents, its parts), and one is taken for all who ask within 0.2 s.
"""


BENCHMARK = Benchmark(
    name="barrier", title="A storm of finalize events", measure=measure, claims=claims, section=section
)
