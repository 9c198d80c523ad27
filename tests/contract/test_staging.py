"""The bucket of drivers' outputs, of which only ends are read: the memory fake and a real server alike."""

from pathlib import Path

import pytest

from eventing.objects import GcsObjectStore
from tests.contract.test_object_store import new_bucket
from tests.fakes.objects import MemoryObjectStore


async def _ends(store: GcsObjectStore | MemoryObjectStore) -> list[bytes]:
    await store.write("out/driveroutput.000000000", b"x" * 1000 + b"the end")
    short, none = await store.end("out/driveroutput.000000000", 7), await store.end("out/none", 7)
    whole = await store.end("out/driveroutput.000000000", 9999)
    return [short, none, whole[-8:]]


@pytest.mark.emulator
async def test_the_end_of_an_object_is_read_alone(
    gcs_emulator: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver's output may be of any size, and what went wrong stands last."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator[0])
    real = new_bucket("staging-contract")
    try:
        assert await _ends(real) == await _ends(MemoryObjectStore()) == [b"the end", b"", b"xthe end"]
    finally:
        await real.aclose()
