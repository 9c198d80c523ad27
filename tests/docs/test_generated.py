"""Pages that can be read from the code are what the code says, and what is written by hand names what exists."""

import re
from pathlib import Path

import pytest

from docs.__main__ import main, pages
from docs.event_tables import STATUS
from docs.markdown import put, table
from docs.settings_tables import MODELS
from eventing.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("docs/services/*.md"))
_VARIABLE = re.compile(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)`")
_OTHERS = {"OBJECT_FINALIZE", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"}  # Google's, and everybody's


def test_the_generated_pages_are_fresh() -> None:
    """A table that lies is worse than none."""
    assert main(["--check"]) == 0


def test_a_stale_page_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever changed a setting learns which page to write, and how."""
    monkeypatch.setattr("docs.settings_tables._INTRODUCTION", "other words\n")
    assert main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "docs/settings.md" in said
    assert said.endswith("write them with: make docs\n")


def test_a_generated_part_leaves_the_rest_alone() -> None:
    """What a person wrote around a table is theirs; a page without its marks is refused, not overwritten."""
    page = "before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter"
    assert put(page, "x", "new") == "before\n<!-- x: begin -->\nnew\n<!-- x: end -->\nafter"
    with pytest.raises(ValueError, match="each once"):
        put("no marks", "x", "new")


def test_a_bar_in_a_cell_does_not_split_it() -> None:
    """A pattern in a table keeps its alternatives."""
    assert table(("a", "b"), [("x|y", "z")]) == "| a | b |\n|---|---|\n| x\\|y | z |"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_service_page_names_only_settings_that_exist(path: Path) -> None:
    """A renamed variable must not live on in the table of failures."""
    known = {name.upper() for model in (MODELS[path.stem], ServiceSettings) for name in model.model_fields}
    assert set(_VARIABLE.findall(path.read_text(encoding="utf-8"))) - known - _OTHERS == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_service_page_says_what_fails_and_who_repairs_it(path: Path) -> None:
    """The pages have one shape; a reader finds the same chapters in each."""
    text = path.read_text(encoding="utf-8")
    chapters = {"## Answers", "## Settings", "## What fails"} | (
        {"## Events"} if "dashboard" not in path.stem else set()
    )
    assert chapters <= set(text.splitlines())
    assert "| what | what happens | who repairs it |" in text


def test_every_process_has_a_page() -> None:
    """A fifth service needs its page, too."""
    assert {path.stem for path in PAGES} == set(MODELS)
    services = {path.parent.name for path in ROOT.glob("services/*/__init__.py")}
    assert set(MODELS) == services | {"dashboard"}


def test_the_answers_are_those_of_the_runtime() -> None:
    """The table of status codes is written by hand; the runtime decides."""
    source = (ROOT / "eventing" / "app.py").read_text(encoding="utf-8")
    given = set(re.findall(r"(?:Settled\(|_refused\(\s*)(\d{3})", source))
    assert given == set(re.findall(r"^\| (\d{3}) \|", STATUS, re.MULTILINE))


def test_every_generated_page_says_how_it_is_written() -> None:
    """A reader who finds a mistake must not mend it where it is overwritten."""
    whole = [text for path, text in pages().items() if path.suffix == ".md" and "begin -->" not in text]
    assert len(whole) == 4
    assert all("make docs" in text for text in whole)
