"""What the bucket's listing alone tells: which objects are parts, what they hold, and which runs are archived."""

from datetime import timedelta

import pytest

from contracts import names
from contracts.documents import Part
from contracts.parts import PartMetadata
from eventing.ledger import RunLedger
from tests.builders import NOW, RUN, TestClock
from tests.fakes.objects import MemoryObjectStore

WHOLE = PartMetadata(form=2, album_count=3, track_count=21, albums_listed=5, albums_gone=1, albums_unusable=1)
NOBODYS = {"album-count": "three", "form": "2"}


async def read(metadata: dict[str, str], body: bytes = b"x") -> Part | str:
    """What is made of one object: a part, or why it is none."""
    store = MemoryObjectStore(lambda: NOW)
    await store.write(names.part_name(RUN, "DK"), body, metadata)
    found = await RunLedger(store).landing(RUN)
    assert len(found.parts) + len(found.unusable) == 1
    return found.parts.get("DK") or found.unusable["DK"]


async def test_a_part_says_how_much_it_holds() -> None:
    """The decision carries it to the job, which finds the same or calls the part bad."""
    found = await read(WHOLE.to_text())
    assert isinstance(found, Part)
    assert (found.form, found.albums, found.tracks, found.empty) == (2, 3, 21, False)
    assert (found.size, found.landed_at) == (1, NOW)
    none = await read(PartMetadata(form=2, album_count=0, track_count=0, empty=True).to_text())
    assert isinstance(none, Part)
    assert (none.albums, none.empty) == (0, True)


@pytest.mark.parametrize("metadata", [{}, {"source": "browse"}, NOBODYS], ids=["none", "old", "unreadable"])
async def test_a_part_that_says_nothing_is_of_the_first_form(metadata: dict[str, str]) -> None:
    """Somebody restored it by hand, or an old fetcher wrote it: it is loaded without anything to compare with."""
    found = await read(metadata)
    assert isinstance(found, Part)
    assert (found.form, found.albums, found.tracks, found.empty) == (1, None, None, False)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"empty": True}, "it says of itself both that it is empty and that it has 3 albums"),
        ({"albums_listed": 6}, "6 albums were listed, it tells of 5"),
        (
            {"album_count": 0, "albums_listed": 0, "albums_gone": 0, "albums_unusable": 0},
            "it has no album and does not say that the market had none",
        ),
    ],
)
async def test_metadata_may_say_that_it_is_no_part(changes: dict[str, object], why: str) -> None:
    """What contradicts itself is not loaded on trust; the reason is what the decision gives for the missing market."""
    told = PartMetadata.model_validate(WHOLE.model_dump() | changes)
    assert await read(told.to_text()) == f"what landed is no part: {why}"


async def test_no_album_is_a_part_where_each_is_accounted_for() -> None:
    """Every listed album had gone: that is known, and asking again would find the same."""
    gone = PartMetadata(form=2, album_count=0, track_count=0, albums_listed=2, albums_gone=2)
    assert isinstance(await read(gone.to_text()), Part)
    old = PartMetadata(form=1, album_count=0, track_count=0)
    assert isinstance(await read(old.to_text()), Part), "the first form had no word for empty"


async def test_an_object_without_bytes_is_no_part() -> None:
    """Whatever its metadata promise."""
    assert await read(WHOLE.to_text(), b"") == "what landed is no part: it has no bytes"


async def test_a_run_is_archived_when_nothing_was_written_about_it_for_the_life_of_a_part() -> None:
    """Its newest document counts, by the store's clock: a run that is replayed is looked at again."""
    clock = TestClock()
    store = MemoryObjectStore(clock)
    ledger = RunLedger(store)
    assert not (await ledger.index(RUN)).is_archived(NOW, 90), "a run that is not there yet"
    await store.write(names.manifest_name(RUN), b"{}")
    assert not (await ledger.index(RUN)).is_archived(NOW + timedelta(days=90), 90)
    assert (await ledger.index(RUN)).is_archived(NOW + timedelta(days=90, seconds=1), 90)
    clock.advance(days=60)
    await store.write(names.decision_name(RUN, 1), b"{}")
    [index] = await ledger.indexes()
    assert index.began_at == NOW
    assert not index.is_archived(NOW + timedelta(days=150), 90)
    assert index.is_archived(NOW + timedelta(days=151), 90)
