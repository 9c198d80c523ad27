"""What each service does at the rate at which it breaks: it gives deliveries back, and nothing is lost.

Each runs alone as a process, against emulators that share the machine with it. Deliveries come at a rate that doubles
until some are not acknowledged in time; whatever was not acknowledged within the deadline is delivered
again until it is, as Pub/Sub does. Then every single message must have had its effect. The rate is that of this
machine and these emulators, and is shown, not promised.
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from google.cloud.storage import Bucket

from benchmarks import emulators, report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.manifests import manifest_of
from benchmarks.receive import push
from contracts.documents import Decision, MissingMarket
from contracts.events import BatchReady, MarketRequested, OwnEvent, RunRequested
from contracts.names import decision_name, manifest_name, part_name, receipt_name
from local import tools
from local.processes import LOOPBACK, Supervisor, answers

RATES: Final[dict[Size, tuple[int, ...]]] = {
    "full": (25, 50, 100, 200, 400, 800, 1600),
    "small": (50, 300),
}
_STAGE: Final = 1.0  # seconds
_DEADLINE: Final = 10.0  # seconds until an unanswered delivery is taken for lost; less than any subscription's
_KEEPS_UP: Final = (
    0.8  # share of a rate that must be acknowledged in the time of the stage and what it takes to drain
)
_ATTEMPTS: Final = 50
_BACKOFF: Final = 1.0  # seconds
_AT_ONCE: Final = 4  # deliveries that are given back are delivered again as a backoff thins them
_PROJECT: Final = "benchmark"
_MARKET: Final = "DK"
_FIRST: Final = date(2000, 1, 3)
_THREADS: Final = 16

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """A service, what it is sent about a run, what must be there before, and the object that proves the effect."""

    service: str
    body: Callable[[str], Body]
    effect: Callable[[str], str]
    before: Callable[[str], Mapping[str, bytes]] = lambda _run: {}


def _event(make: Callable[[str], OwnEvent]) -> Callable[[str], Body]:
    return lambda run: push(make(run), run)


def _finalized(run: str) -> Body:
    name = part_name(run, _MARKET)
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "batch-trigger",
        "objectId": name,
        "objectGeneration": "1",
    }
    return {"message": {"messageId": run, "attributes": attributes, "data": ""}, "subscription": "p/s/x"}


def _failed(run: str) -> bytes:
    """A decision that asks for no cluster: what is measured is the service."""
    decision = Decision(
        run_id=run,
        revision=1,
        verdict="fail",
        close_reason="deadline",
        parts=(),
        missing=(MissingMarket(market=_MARKET, reason="benchmark"),),
        decided_at=datetime.now(UTC),
        owner="benchmark",
    )
    return decision.to_json()


SUBJECTS: Final = (
    Subject("scheduler", _event(lambda run: RunRequested(run_id=run, markets=(_MARKET,))), manifest_name),
    Subject(
        "market_fetcher",
        _event(lambda run: MarketRequested(run_id=run, market=_MARKET)),
        lambda run: part_name(run, _MARKET),
        lambda run: {manifest_name(run): manifest_of(run, (_MARKET,))},
    ),
    Subject(
        "batch_trigger",
        _finalized,
        lambda run: decision_name(run, 1),
        lambda run: {manifest_name(run): manifest_of(run, (_MARKET,)), part_name(run, _MARKET): b"part"},
    ),
    Subject(
        "cluster_manager",
        _event(lambda run: BatchReady(run_id=run, revision=1)),
        lambda run: receipt_name(run, 1),
        lambda run: {manifest_name(run): manifest_of(run, (_MARKET,)), decision_name(run, 1): _failed(run)},
    ),
)


def measure(size: Size) -> Figures:
    """Each service in turn, on fresh emulators."""
    found: Figures = {"services": {}}
    for subject in SUBJECTS:
        with tempfile.TemporaryDirectory() as folder, _world(Path(folder), subject.service) as (world, bucket):
            told = asyncio.run(_break(subject, world, bucket, RATES[size]))
        found["services"][subject.service] = told
        print(f"  {subject.service}: {_said(told)}", flush=True)
    return found


@dataclass(frozen=True, slots=True)
class _World:
    supervisor: Supervisor
    environment: Mapping[str, str]


@contextmanager
def _world(folder: Path, service: str) -> Iterator[tuple[_World, Bucket]]:
    """Emulators, topics and a bucket; nothing is pushed, so nothing but the service acts."""
    name = service.replace("_", "-")
    with emulators.started(folder, project=_PROJECT, bucket=name) as running:
        supervisor = running.supervisor
        client = running.storage.client(_PROJECT)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tools.ROOT),
            "HOST": LOOPBACK,
            "GOOGLE_CLOUD_PROJECT": _PROJECT,
            "BUCKET": name,
            "PUBSUB_EMULATOR_HOST": running.pubsub.host,
            "STORAGE_EMULATOR_HOST": running.storage.url,
            "JAVA_HOME": str(running.java.home),
            "BIGQUERY_EMULATOR_HOST": f"http://{LOOPBACK}:1",
        }
        environment |= _neighbours(service, supervisor, environment, folder)
        yield _World(supervisor, environment), client.bucket(name)
        client.close()


def _neighbours(service: str, supervisor: Supervisor, base: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Start what a service talks to besides, and give the variables that say where it is."""
    if service == "market_fetcher":
        child = supervisor.start("spotify", [sys.executable, "-m", "local.spotify"], base, cwd=tools.ROOT)
        url = child.wait_for_line(r"^ready (\S+)", within=60)[1]
        secrets = {"SPOTIFY_CLIENT_ID": "id", "SPOTIFY_CLIENT_SECRET": "secret", "SPOTIFY_RATE": "1000"}
        addresses = {"API": "v1", "IMAGES": "image", "TOKEN": "api/token"}
        return {**{f"SPOTIFY_{name}_URL": f"{url}/{path}" for name, path in addresses.items()}, **secrets}
    if service == "cluster_manager":
        command: list[str | Path] = [sys.executable, "-m", "local.dataproc", "--log-dir", folder]
        child = supervisor.start("dataproc", command, base, cwd=tools.ROOT)
        address = child.wait_for_line(r"^ready (\S+)", within=60)[1]
        return {"DATAPROC_EMULATOR_HOST": address}
    return {}


async def _break(subject: Subject, world: _World, bucket: Bucket, rates: Sequence[int]) -> dict[str, Any]:
    runs = [(_FIRST + timedelta(days=number)).isoformat() for number in range(int(sum(rates) * _STAGE))]
    waiting = iter(runs)
    sent: list[str] = []
    kept_up, given_back, broke = 0, 0, None
    async with _running(subject.service, world) as url, _session() as session:
        for rate in rates:
            batch = list(itertools.islice(waiting, int(rate * _STAGE)))
            await asyncio.to_thread(_prepare, subject, bucket, batch)
            sent += batch
            started = time.monotonic()
            refused = await _at_rate(session, url, subject, batch, rate)
            reached = len(batch) / (time.monotonic() - started)
            if reached >= _KEEPS_UP * rate:
                kept_up = rate
            if refused:
                given_back = len(refused) + await _until_acknowledged(session, url, subject, refused)
                broke = {"offered": rate, "reached": reached}
                break
    there = await asyncio.to_thread(lambda: {blob.name for blob in bucket.list_blobs()})
    lost = sum(subject.effect(run) not in there for run in sent)
    return {"kept_up": kept_up, "broke": broke, "sent": len(sent), "given_back": given_back, "lost": lost}


@asynccontextmanager
async def _running(service: str, world: _World) -> AsyncIterator[str]:
    port = world.supervisor.ports.take()
    url = f"http://{LOOPBACK}:{port}"
    command: list[str | Path] = [sys.executable, "-m", f"services.{service}"]
    environment = {**world.environment, "PORT": str(port)}
    child = world.supervisor.start(service, command, environment, cwd=tools.ROOT)
    await asyncio.to_thread(child.wait_until, answers(f"{url}/health/ready"), within=60)
    yield url
    child.check()  # it may give back, but must not die
    await asyncio.to_thread(child.stop)


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=_DEADLINE)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


def _prepare(subject: Subject, bucket: Bucket, runs: Sequence[str]) -> None:
    wanted = [(name, body) for run in runs for name, body in subject.before(run).items()]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda pair: bucket.blob(pair[0]).upload_from_string(pair[1]), wanted))


async def _at_rate(
    session: aiohttp.ClientSession, url: str, subject: Subject, runs: Sequence[str], rate: float
) -> list[str]:
    """Deliver on the beat, whether or not earlier ones were answered; gives those not acknowledged."""
    started = asyncio.get_running_loop().time()

    async def deliver(number: int, run: str) -> bool:
        await asyncio.sleep(max(0.0, started + number / rate - asyncio.get_running_loop().time()))
        return await _deliver(session, url, subject, run)

    done = await asyncio.gather(*(deliver(number, run) for number, run in enumerate(runs)))
    return [run for run, acknowledged in zip(runs, done, strict=True) if not acknowledged]


async def _until_acknowledged(
    session: aiohttp.ClientSession, url: str, subject: Subject, runs: Sequence[str]
) -> int:
    """Deliver again, a few at once, until all are acknowledged; gives how many were given back once more."""
    waiting, given_back = iter(runs), 0

    async def worker() -> None:
        nonlocal given_back
        for run in waiting:
            for _ in range(_ATTEMPTS):
                if await _deliver(session, url, subject, run):
                    break
                given_back += 1
                await asyncio.sleep(_BACKOFF)
            else:
                raise RuntimeError(f"{subject.service}: the delivery about {run} was never acknowledged")

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))
    return given_back


async def _deliver(session: aiohttp.ClientSession, url: str, subject: Subject, run: str) -> bool:
    """Whether it was acknowledged. An answer that is neither that nor 503 is a fault of the service."""
    try:
        async with session.post(url, json=subject.body(run)) as answer:
            if answer.status not in (204, 503):
                raise RuntimeError(f"{subject.service} answered {answer.status}: {(await answer.text())[:500]}")
            return answer.status == 204  # noqa: PLR2004 -- the acknowledgement
    except (aiohttp.ClientConnectionError, TimeoutError):
        return False


# --- what the figures say: pure --------------------------------------------------------------------------------


def claims(figures: Figures) -> list[Claim]:
    """Nothing is lost, whatever the rate."""
    return [
        Claim(
            what=f"{service} beyond its rate",
            ours=_said(told),
            target="nothing lost",
            held=told["lost"] == 0,
        )
        for service, told in figures["services"].items()
    ]


def _said(told: Mapping[str, Any]) -> str:
    broke = told["broke"]
    rate = f"breaks at {broke['offered']}" if broke else "does not break"
    rate = f"keeps up with {told['kept_up']} a second, {rate}"
    return f"{rate}; {told['given_back']} given back, {told['lost']} lost of {told['sent']}"


def section(figures: Figures) -> str:
    """The section of the page."""
    rows = []
    for service, told in figures["services"].items():
        broke = told["broke"] or {"offered": "", "reached": 0}
        reached = f"{broke['reached']:.0f}" if told["broke"] else ""
        rows.append(
            [service, told["kept_up"], broke["offered"], reached, told["sent"], told["given_back"], told["lost"]]
        )
    header = ("service", "keeps up with", "breaks at", "does then", "deliveries", "given back", "lost")
    return f"""
Deliveries a second, each about a run of its own, so that nothing can be taken together; one process, its emulators
and the load on the same machine. Given back: answered 503, or not answered within {_DEADLINE:.0f} s.

{report.table(header, rows)}
"""


BENCHMARK = Benchmark(
    name="overload", title="Beyond the rate of a service", measure=measure, claims=claims, section=section
)
