"""One fact stands in one place: what was counted once too often is counted for good."""

import shutil
from pathlib import Path

import pytest

from tests import house


def test_a_fact_stands_in_no_more_places_than_it_may() -> None:
    """A second place is found here, and not when the two disagree."""
    assert [(count.what, *count.places) for count in house.counts() if not count.holds] == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("services/scheduler/handlers.py", 'raise Retryable("away", after=5)'),
        ("eventing/app.py", 'response.headers["Retry-After"] = "5"'),
        ("ops/target.py", "clients = dataproc_v1.ClusterControllerClient, 1"),
        ("contracts/events.py", "def parse(headers): ..."),
        ("ops/requests.py", 'MARKET = re.compile("[A-Z]{2}")'),
    ],
)
def test_a_second_place_is_counted(module: str, text: str, tmp_path: Path) -> None:
    """Each count can be too high."""
    for package in house.PRODUCT:
        shutil.copytree(house.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(house.ROOT / "CONTRIBUTING.md", tmp_path)
    assert all(count.holds for count in house.counts(tmp_path))
    with (tmp_path / module).open("a", encoding="utf-8") as planted:
        planted.write(text)
    assert sum(not count.holds for count in house.counts(tmp_path)) == 1
