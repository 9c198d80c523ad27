"""Parts as they were and are written: the fetcher writes the newest form to the letter, and every form stays readable.

Each form is a file of JSON lines, which lie in the bucket as gzip, and what stands beside it. A new form gets files of
its own; those of an older one never change, since such parts lie in buckets.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contracts.catalogue import PART, files
from contracts.faults import ContractError
from contracts.names import part_name
from contracts.parts import FORM, PartLine, PartMetadata
from services.market_fetcher.adapters.http import Request
from services.market_fetcher.decisions import Answer
from tests import fetching
from tests.builders import RUN
from tests.fakes.spotify import FakeSpotify, album, answer
from tests.virtual_time import run

GOLDEN = Path(__file__).with_name("golden_parts")
FORMS = range(1, FORM + 1)


def lines_of(form: int) -> bytes:
    """A part's lines, as they are when it is unpacked."""
    return (GOLDEN / f"form-{form}.jsonl").read_bytes()


def metadata_of(form: int) -> dict[str, str]:
    """What stands beside it."""
    found: dict[str, str] = json.loads((GOLDEN / f"form-{form}.metadata.json").read_text(encoding="utf-8"))
    return found


def schema_of(model: type[Any]) -> Any:
    """The schema as it is published."""
    return json.loads(files()[f"contracts/schemas/{model.__name__}.json"])


def spotify() -> FakeSpotify:
    """Two albums of three, one of them short, with odd values and text that is not ASCII."""
    faulty = {
        "id": "t1",
        "name": "Näme",
        "duration_ms": 204053.0,
        "disc_number": {"odd": 1},
        "track_number": 1,
        "explicit": None,
        "artists": [{"id": "x", "name": "Ærø"}, None],
    }
    listed = {"items": [faulty, None], "next": None, "total": 3, "limit": 50, "offset": 0}
    spoilt = {**album("b", 3, name=7, release_date="1981", release_date_precision="year"), "tracks": listed}
    pictured = album("a", 1, images=[{"url": "https://i.scdn.co/image/a1", "height": 300, "width": 300}])
    made = FakeSpotify({"DK": ["a", "x", "b"]}, {"a": pictured, "b": spoilt}, app="developer")

    def tracks(request: Request) -> Answer | None:
        return answer(listed) if request.url.endswith("/b/tracks") else None

    made.trick = tracks
    return made


def test_what_the_fetcher_writes_is_the_golden_part() -> None:
    """A change of a part's form, on purpose or not, shows as a change of these files."""

    async def body() -> None:
        async with fetching.fetching(spotify()) as fetcher:
            assert (await fetcher.fetch()).status == 204
            stored = await fetcher.store.read(part_name(RUN, "DK"))
            assert stored is not None
            assert gzip.decompress(stored.body) == lines_of(FORM)
            assert await fetcher.metadata() == metadata_of(FORM)

    run(body)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_what_the_contract_says(form: int) -> None:
    """The published schemas hold for parts of every form, by somebody else's reader."""
    for line in lines_of(form).splitlines():
        jsonschema.validate(json.loads(line), schema_of(PartLine))
    told = PartMetadata.of(metadata_of(form))
    jsonschema.validate(told.model_dump(by_alias=True), schema_of(PartMetadata))
    assert told.form == form
    if form == FORM:
        assert told.to_text().items() <= metadata_of(form).items()


@pytest.mark.parametrize("form", FORMS)
def test_what_stands_beside_a_part_is_true_of_its_lines(form: int) -> None:
    """Counts are believed without reading the part, so they must be those of the part."""
    packed = gzip.compress(lines_of(form))
    lines = [PartLine.model_validate_json(line) for line in gzip.decompress(packed).splitlines()]
    told = PartMetadata.of(metadata_of(form))
    tracks = [track for line in lines for track in line.album["tracks"]["items"] if track is not None]
    assert (told.album_count, told.track_count) == (len(lines), len(tracks))
    assert told.empty is False
    numbers = [line.number for line in lines]
    assert numbers == ([None] * len(lines) if form == 1 else list(range(1, len(lines) + 1)))
    if told.albums_listed is not None:
        assert told.albums_listed == told.album_count + told.albums_gone + told.albums_unusable


def test_the_album_is_the_last_key_of_a_line() -> None:
    """A part copies albums through unparsed, and a reader may stop before them."""
    for form in FORMS:
        assert all(list(json.loads(line))[-1] == "album" for line in lines_of(form).splitlines())


@pytest.mark.parametrize("beside", [{}, {"album-count": "3"}, {"album-count": "-1", "track-count": "1"}])
def test_what_no_fetcher_wrote_is_told(beside: dict[str, str]) -> None:
    """A part whose counts are missing or impossible must not pass for one of none."""
    with pytest.raises(ContractError):
        PartMetadata.of(beside)


def test_the_part_is_published() -> None:
    """Line and metadata are contracts as an event is."""
    assert {PartLine, PartMetadata} == set(PART)
