"""Many askers, few runs, and nobody is served by a run that began before it asked."""

import asyncio
from datetime import timedelta

import pytest

from eventing.coalescing import Coalescer

NONE = timedelta(0)


async def test_those_who_ask_together_share_one_run() -> None:
    """A burst costs one look."""
    runs: list[str] = []

    async def work(key: str) -> None:
        runs.append(key)

    coalescer = Coalescer(work, linger=NONE)
    await asyncio.gather(*(coalescer.run("a") for _ in range(100)), coalescer.run("b"))
    assert sorted(runs) == ["a", "b"]


async def test_who_asks_during_a_run_gets_the_next_one() -> None:
    """The present run may have looked before the asker's news was there."""
    began: list[int] = []
    has_begun, gate = asyncio.Event(), asyncio.Event()

    async def work(_key: str) -> None:
        began.append(len(began))
        has_begun.set()
        await gate.wait()

    coalescer = Coalescer(work, linger=NONE)
    first = asyncio.create_task(coalescer.run("a"))
    await has_begun.wait()
    late = [asyncio.create_task(coalescer.run("a")) for _ in range(5)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert began == [0], "two runs for one key never overlap"
    gate.set()
    await asyncio.gather(first, *late)
    assert began == [0, 1]


async def test_a_failure_reaches_everyone_who_shared_the_run_and_nobody_after() -> None:
    """Each of the messages must come again; the next asker starts afresh."""
    calls = []

    async def work(_key: str) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("once")

    coalescer = Coalescer(work, linger=NONE)
    results = await asyncio.gather(*(coalescer.run("a") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    await coalescer.run("a")
    assert len(calls) == 2


async def test_an_asker_that_goes_away_does_not_take_the_run_along() -> None:
    """A dropped connection must not undo what others wait for."""
    done = asyncio.Event()

    async def work(_key: str) -> None:
        done.set()

    coalescer = Coalescer(work, linger=timedelta(milliseconds=5))
    gone = asyncio.create_task(coalescer.run("a"))
    stays = asyncio.create_task(coalescer.run("a"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await stays
    assert done.is_set()


async def test_nothing_is_kept_of_keys_that_are_done() -> None:
    """Ten thousand runs must not leave ten thousand locks."""

    async def work(_key: str) -> None:
        """Look."""

    coalescer = Coalescer(work, linger=NONE)
    await asyncio.gather(*(coalescer.run(str(n)) for n in range(50)))
    await asyncio.sleep(0)
    assert (coalescer._next, dict(coalescer._turns._locks)) == ({}, {})
