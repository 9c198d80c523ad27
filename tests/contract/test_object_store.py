"""What every object store must do: one suite, on the memory fake and on a real Cloud Storage server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from eventing.errors import Retryable
from eventing.objects import GcsObjectStore, ObjectStore, TooLarge
from tests.fakes.objects import MemoryObjectStore


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.emulator)])
async def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ObjectStore]:
    """An empty store of either kind."""
    if request.param == "memory":
        yield MemoryObjectStore()
        return
    url, _ = request.getfixturevalue("gcs_emulator")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    real = new_bucket(f"contract-{abs(hash(request.node.name)) % 10**9}")
    yield real
    await real.aclose()


def new_bucket(name: str) -> GcsObjectStore:
    client = Client(project="p", credentials=AnonymousCredentials())
    client.create_bucket(name)
    return GcsObjectStore(client, name)


async def test_nothing_is_there_at_first(store: ObjectStore) -> None:
    """Absence is an answer, not an error."""
    assert await store.read("runs/x.json") is None
    assert await store.stat("runs/x.json") is None
    assert await store.listing("runs/") == []
    await store.delete("runs/x.json")
    await store.ping()


async def test_what_is_written_is_read_with_its_generation_and_metadata(store: ObjectStore) -> None:
    """Bytes come back as they went, gzip included; the generation is the evidence of which write it is."""
    body = b"\x1f\x8b\x08\x00 not really gzip \xff"
    generation = await store.write("raw/2026-11-23/DK.jsonl.gz", body, {"event-id": "e1"})
    stored = await store.read("raw/2026-11-23/DK.jsonl.gz")
    assert stored is not None
    assert (stored.body, stored.generation) == (body, generation)
    info = await store.stat("raw/2026-11-23/DK.jsonl.gz")
    assert info is not None
    assert (info.generation, info.size, info.metadata) == (generation, len(body), {"event-id": "e1"})


async def test_each_write_has_a_new_generation(store: ObjectStore) -> None:
    """A replaced part must be told from the part it replaces, even with the same content."""
    first = await store.write("raw/a", b"x")
    second = await store.write("raw/a", b"x")
    assert first != second
    [info] = await store.listing("raw/")
    assert (info.name, info.generation, info.size) == ("raw/a", second, 1)


async def test_create_only_succeeds_where_nothing_is(store: ObjectStore) -> None:
    """The only lock there is: the second owner must lose, and must not change what stands."""
    assert await store.create("decisions/0001.json", b"mine") is True
    assert await store.create("decisions/0001.json", b"another's") is False
    stored = await store.read("decisions/0001.json")
    assert stored is not None
    assert stored.body == b"mine"


async def test_creating_again_with_the_same_content_is_still_a_success(store: ObjectStore) -> None:
    """A retried upload whose first answer was lost has won, not lost."""
    assert await store.create("decisions/0001.json", b"mine") is True
    assert await store.create("decisions/0001.json", b"mine") is True


async def test_a_write_in_place_of_one_generation_leaves_any_other_alone(store: ObjectStore) -> None:
    """Whoever has read a document may change that document, and no newer one; a repeat of the same change has won."""
    first = await store.write("manifest.json", b"narrow")
    assert await store.replace("manifest.json", b"wide", first) is True
    assert await store.replace("manifest.json", b"wide", first) is True
    assert await store.replace("manifest.json", b"another's", first) is False
    stored = await store.read("manifest.json")
    assert stored is not None
    assert stored.body == b"wide"
    await store.delete("manifest.json")
    assert await store.replace("manifest.json", b"wide again", stored.generation) is False


async def test_no_more_is_read_than_is_wanted(store: ObjectStore) -> None:
    """Whatever somebody left in the bucket must not fill the memory; what fits is read whole."""
    await store.write("a.json", b"x" * 1_000_000)
    await store.write("empty.json", b"")
    with pytest.raises(TooLarge, match=r"'a.json' has more than 999,999 bytes"):
        await store.read("a.json", most_bytes=999_999)
    for name, size in (("a.json", 1_000_000), ("empty.json", 0)):
        stored = await store.read(name, most_bytes=size)
        assert stored is not None
        assert len(stored.body) == size


async def test_one_of_many_creators_wins(store: ObjectStore) -> None:
    """Two instances that decide at once must come to one decision."""
    won = await asyncio.gather(*(store.create("decisions/0001.json", f"{n}".encode()) for n in range(10)))
    assert won.count(True) == 1
    stored = await store.read("decisions/0001.json")
    assert stored is not None
    assert stored.body == f"{won.index(True)}".encode()


async def test_a_listing_is_by_prefix_in_order_with_checksums(store: ObjectStore) -> None:
    """The barrier compares what a listing says; it must show everything and nothing else."""
    for name in ("raw/b/SE", "raw/a/DK", "raw/a/AT", "runs/a"):
        await store.write(name, name.encode())
    infos = await store.listing("raw/a/")
    assert [info.name for info in infos] == ["raw/a/AT", "raw/a/DK"]
    assert all(info.crc32c and info.updated.tzinfo for info in infos)
    assert infos[0].crc32c != infos[1].crc32c


async def test_deleted_is_gone(store: ObjectStore) -> None:
    """A cleared record must not count any more."""
    await store.write("runs/x", b"1")
    await store.delete("runs/x")
    assert await store.read("runs/x") is None
    assert await store.create("runs/x", b"2") is True


@pytest.mark.emulator
async def test_a_store_that_cannot_be_reached_asks_for_a_retry(
    gcs_emulator: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing bucket is an outage to the message: it must come again, not be lost."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator[0])
    client = Client(project="p", credentials=AnonymousCredentials())
    store = GcsObjectStore(client, "no-such-bucket")
    with pytest.raises(Retryable, match="cloud storage: write 'x' failed"):
        await store.write("x", b"1")
    await store.aclose()
