"""Real processes, really killed: the table must come out as if nothing had happened, and nothing may be left running.

Each round is a run of its own date on one stack. While it goes on, services are killed with SIGKILL at random moments
and started again; every market message is published twice, in random order. The seed of a failing round is printed;
`make chaos ROUNDS=20 SEED=7` repeats it as far as real processes can be repeated.
"""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta

import pytest

from contracts import names
from contracts.documents import Receipt
from contracts.events import MarketRequested, RunRequested
from local.choices import DATASET, TABLE, Choices
from local.processes import Child, answers
from local.spotify.catalogue import Catalogue
from local.stack import Stack
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
MARKETS = ("DK", "SE", "NO", "FI", "IS", "XK")
ALBUMS = 5
FIRST = date(2026, 11, 23)
_ROUND = 300.0  # seconds until a round must have its receipt
_PAUSE = (0.2, 4.0)  # seconds between two kills


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose sweeps come every two seconds, so that what a kill lost is found soon."""
    choices = Choices(
        home=tmp_path_factory.mktemp("chaos"),
        markets=MARKETS,
        albums=ALBUMS,
        run_date=FIRST.isoformat(),
        sweep_seconds=2.0,
        service_settings={"QUIET": "1", "ASK_AGAIN": "3"},
    )
    with Stack(choices, os.environ) as running:
        yield running


class Killer:
    """Kills services as a crash would, and starts them again."""

    def __init__(self, stack: Stack, rng: random.Random) -> None:
        self._stack = stack
        self._rng = rng
        self.kills: Counter[str] = Counter()

    async def until(self, over: asyncio.Event) -> None:
        """Kill at random until it is over; every service is back at the end."""
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._rng.uniform(*_PAUSE))
                return
            await asyncio.to_thread(self._kill, self._rng.choice(self._stack.service_processes))

    def _kill(self, child: Child) -> None:
        found = subprocess.run(["pgrep", "-P", str(child.guard_pid)], capture_output=True, text=True, check=False)  # noqa: S607 -- from the PATH
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        child.start_again()
        self.kills[child.name] += 1
        url = self._stack.addresses.services[child.name]
        child.wait_until(answers(f"{url}/health/live"), within=60)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_run_under_sigkill_ends_like_a_quiet_one(stack: Stack, number: int) -> None:
    """Never lost, never doubled, never left running: with real processes, on real emulators."""
    seed = SEED + number
    print(f"chaos round {number}, SEED={seed}")
    rng = random.Random(seed)
    run_id = (FIRST + timedelta(days=number)).isoformat()
    killer, over = Killer(stack, rng), asyncio.Event()
    killing = asyncio.create_task(killer.until(over))
    await asyncio.to_thread(_provoke, stack, run_id, rng)
    try:
        receipt = await eventually(lambda: _receipt(stack, run_id), within=_ROUND)
        await eventually(lambda: not stack.clusters(), within=120)
    finally:
        over.set()
        await killing
    print(f"killed {dict(killer.kills)}")
    assert receipt.outcome == "loaded", receipt.error
    catalogue = Catalogue(1, FIRST)
    expected = catalogue.expected_rows(MARKETS, "browse", ALBUMS, run_id=run_id, revision=receipt.revision)
    assert _rows(stack, run_id) == sorted(str(sorted(row.items())) for row in expected)


def _provoke(stack: Stack, run_id: str, rng: random.Random) -> None:
    """Ask for the run, and for every market twice in any order besides."""
    stack.publish(RunRequested(run_id=run_id, reason="chaos"), cause=str(time.time_ns()))
    asked = [MarketRequested(run_id=run_id, market=market) for market in MARKETS * 2]
    rng.shuffle(asked)
    for event in asked:
        stack.publish(event, cause=str(time.time_ns()))


def _receipt(stack: Stack, run_id: str) -> Receipt | None:
    """The receipt of the newest decision, once it stands."""
    decisions = sorted(blob.name for blob in stack.bucket.list_blobs(prefix=names.decisions_prefix(run_id)))
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
