"""The table's columns: what else speaks of them says the same, and what they are taken from is there."""

from pathlib import Path

import pytest

from contracts.__main__ import main
from contracts.columns import ALBUM, COLUMNS, DERIVED, LINE, TRACK, Column, taken
from contracts.parts import PartLine
from local.spotify import shapes
from local.spotify.cohorts import cohort
from services.market_fetcher import values
from tests.builders import NOW

PLACES = (LINE, ALBUM, TRACK, DERIVED)
AS_THEY_STAND = [column for column in COLUMNS if column.source is not None]


def test_a_column_stands_once() -> None:
    """Two columns of one name are one in a row; the second would win."""
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("column", AS_THEY_STAND, ids=lambda column: column.name)
def test_what_is_taken_as_it_stands_can_stand_so(column: Column) -> None:
    """JSON has no dates, and what becomes of a list's odd entries is a rule, not a type: both are worked out."""
    assert column.kind != "DATE"
    assert not column.repeated
    assert sum(column in taken(place).values() for place in PLACES) == 1


def test_what_a_column_is_taken_from_is_there() -> None:
    """A field that is misspelt gives null in every row, and no other test would see it: expectations read it too."""
    album = cohort(1, NOW.date())[0]
    full, track = shapes.full_album(album, shapes.View()), shapes.track(album.tracks[0], album, shapes.View())
    assert taken(LINE).keys() <= PartLine.model_fields.keys()
    assert taken(ALBUM).keys() <= full.keys()
    assert taken(TRACK).keys() <= track.keys()
    assert taken(DERIVED).keys() == values.DERIVED.keys()


@pytest.mark.parametrize("path", ["infra/bigquery/new_releases.schema.json", "spark_job/columns.py"])
def test_what_is_written_of_the_columns_is_fresh(
    path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job and Terraform read files of their own: one that was changed by hand, or not at all, is refused."""
    monkeypatch.setattr("contracts.__main__.ROOT", tmp_path)
    assert main([]) == 0
    (tmp_path / path).write_text("another", encoding="utf-8")
    assert main(["--check"]) == 1
    assert path in capsys.readouterr().err
