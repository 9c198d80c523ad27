"""Real processes, really killed: the table must come out as if nothing had happened, and nothing may be left running.

Each round is a run of its own date on one stack. While it goes on, services are killed with SIGKILL at random moments
and started again, each emulator is killed once and restarted on its port, and a proxy delivers every push twice, in
no order. Storage and BigQuery keep their disk; Pub/Sub forgets topics, subscriptions and every message under way, so
that sweeps must repair what was lost. The seed of a failing round is printed; `make chaos ROUNDS=20 SEED=7` repeats it
as far as real processes can be repeated.

Not killed: the Dataproc stand-in, whose clusters live in its memory and not in a cloud that outlives it; the simulator
of Spotify and the Secret Manager stand-in, which keep nothing that a restart could lose.
"""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core.exceptions import GoogleAPIError
from requests.exceptions import RequestException

from contracts import names
from contracts.documents import Receipt
from contracts.events import RunRequested
from local.choices import DATASET, TABLE, Choices
from local.processes import Child, answers
from local.spotify.catalogue import Catalogue
from local.stack import Stack
from tests.chaos.doubling import Doubler
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
MARKETS = ("DK", "SE", "NO", "FI", "IS", "XK")
ALBUMS = 5
FIRST = datetime.now(UTC).date()
"""A run of now: sweeps ask again only for the markets of recent runs."""
_ROUND = 300.0  # seconds until a round must have its receipt
_PAUSE = (0.2, 4.0)  # seconds between two kills
_EMULATORS = 0.4  # how likely the next to be killed is an emulator, while one is left


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose sweeps come every two seconds, so that what a kill lost is found soon."""
    choices = Choices(
        home=tmp_path_factory.mktemp("chaos"),
        markets=MARKETS,
        albums=ALBUMS,
        run_date=FIRST.isoformat(),
        sweep_seconds=2.0,
        # A restart of BigQuery fails the job that is loading: attempts must outlast every restart of a round.
        service_settings={"QUIET": "1", "ASK_AGAIN": "3", "MAX_JOB_ATTEMPTS": "8", "MAX_CLUSTER_ATTEMPTS": "8"},
    )
    with Stack(choices, os.environ) as running:
        yield running


class Killer:
    """Kills services and emulators as a crash would, and starts them again."""

    def __init__(self, stack: Stack, proxy: Doubler, rng: random.Random) -> None:
        self._stack = stack
        self._proxy = proxy
        self._rng = rng
        self._emulators: list[Child] = []
        self.kills: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()

    def emulators_too(self) -> None:
        """From now on each emulator is killed once as well, in any order."""
        emulators = list(self._stack.emulator_processes)
        self._rng.shuffle(emulators)
        self._emulators = emulators

    async def until(self, over: asyncio.Event) -> None:
        """Kill at random until it is over; every process is back at the end."""
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._rng.uniform(*_PAUSE))
                return
            if self._emulators and self._rng.random() < _EMULATORS:
                await asyncio.to_thread(self._restart_emulator, self._emulators.pop())
            else:
                await asyncio.to_thread(self._kill_service, self._rng.choice(self._stack.service_processes))

    def _kill_service(self, child: Child) -> None:
        _kill(child)
        child.start_again()
        self.kills[child.name] += 1
        url = self._stack.addresses.services[child.name]
        child.wait_until(answers(f"{url}/health/live"), within=60)

    def _restart_emulator(self, child: Child) -> None:
        _kill(child)
        self._stack.restart_emulator(child)
        self._proxy.stand_before(self._stack)
        self.restarts[child.name] += 1


def _kill(child: Child) -> None:
    found = subprocess.run(["pgrep", "-P", str(child.guard_pid)], capture_output=True, text=True, check=False)  # noqa: S607 -- from the PATH
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_run_under_sigkill_ends_like_a_quiet_one(stack: Stack, number: int) -> None:
    """Never lost, never doubled, never left running: with real processes, on real emulators."""
    seed = SEED + number
    print(f"chaos round {number}, SEED={seed}")
    rng = random.Random(seed)
    run_id = (FIRST + timedelta(days=number)).isoformat()
    with Doubler(stack.addresses.services, random.Random(seed)) as proxy:
        proxy.stand_before(stack)
        killer, over = Killer(stack, proxy, rng), asyncio.Event()
        killing = asyncio.create_task(killer.until(over))
        try:
            receipt = await _run(stack, run_id, killer)
        finally:
            over.set()
            await killing
    print(f"killed {_told(killer.kills)}; restarted {_told(killer.restarts)}")
    print(f"pushes {_told(proxy.passed)}; delivered once more {_told(proxy.doubled)}")
    assert receipt.outcome == "loaded", receipt.error
    expected = Catalogue(1, FIRST).expected_rows(
        MARKETS,
        "browse",
        ALBUMS,
        run_id=run_id,
        revision=receipt.revision,
        images=f"{stack.addresses.simulator}/image",
    )
    assert _rows(stack, run_id) == sorted(str(sorted(row.items())) for row in expected)


async def _run(stack: Stack, run_id: str, killer: Killer) -> Receipt:
    """Ask for the run and wait for its end.

    The emulators are spared until the run has its manifest: a request that Pub/Sub itself forgot is nobody's to
    repair; the next tick would make the run.
    """
    asked = RunRequested(run_id=run_id, reason="chaos")
    await asyncio.to_thread(stack.publish, asked, cause=str(time.time_ns()))
    await eventually(lambda: stack.bucket.get_blob(names.manifest_name(run_id)), within=_ROUND)
    killer.emulators_too()
    receipt = await eventually(lambda: _quietly(lambda: _receipt(stack, run_id)), within=_ROUND)
    await eventually(lambda: not stack.clusters(), within=120)
    return receipt


def _quietly(look: Callable[[], Receipt | None]) -> Receipt | None:
    """A look while storage is away sees nothing."""
    try:
        return look()
    except (GoogleAPIError, RequestException):
        return None


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _receipt(stack: Stack, run_id: str) -> Receipt | None:
    """The receipt of the newest decision, once it stands."""
    decisions = sorted(blob.name for blob in stack.bucket.list_blobs(prefix=f"runs/{run_id}/decisions/"))
    if not decisions:
        return None
    blob = stack.bucket.get_blob(names.receipt_name(run_id, len(decisions)))
    return Receipt.model_validate_json(blob.download_as_bytes()) if blob else None


def _rows(stack: Stack, run_id: str) -> list[str]:
    client = stack.bigquery_client()
    rows = client.query_and_wait(f"SELECT * FROM {DATASET}.{TABLE} WHERE load_date = '{run_id}'")  # noqa: S608 -- constants
    found = sorted(str(sorted(dict(row).items())) for row in rows)
    client.close()
    return found
