"""What becomes of a prepared dashboard that cannot be written, or that nobody asks for."""

import os
from pathlib import Path

import pytest

from dashboard import assets
from local import dashboard
from local.processes import ProcessError
from local.tools import ROOT

NOWHERE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
"""An environment that names no stack."""


def test_a_dashboard_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    """A demo without its page has failed, and tells what was missing."""
    with dashboard.prepared(NOWHERE, tmp_path / "page.html") as write, pytest.raises(ProcessError) as told:
        write()
    assert str(tmp_path / "page.html") in str(told.value)
    assert "BUCKET" in str(told.value) or "GOOGLE_CLOUD_PROJECT" in str(told.value)


def test_a_page_of_an_earlier_demo_does_not_pass_for_this_one(tmp_path: Path) -> None:
    """A run that fails before it is loaded leaves no page, and no process that would write one."""
    page = tmp_path / "page.html"
    page.write_text("last week")
    with dashboard.prepared(NOWHERE, page):
        pass
    assert not page.exists()


def test_a_kept_chart_library_is_the_one_that_is_put_together(tmp_path: Path) -> None:
    """The next demo reads what the first has made, in place of two seconds of work, and shows the same page."""
    made = assets.load(tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.read_text() in made.texts["vega.js"]
    kept.write_text("kept")
    assert assets.load(tmp_path / "kept").texts["vega.js"].endswith("\n(function(){kept})();")
