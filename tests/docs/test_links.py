"""Nothing in the documents leads nowhere. What lies outside is not asked: the net is no part of a test."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.docs.markdown_files import ROOT, anchors, code, files, links

FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
_PATH = re.compile(r"[a-z_]+/[\w./*-]+\.(?:py|md|json|tf|sql|toml|html|js|ini)")
_OBJECT = "runs/RUN/"  # of the bucket, not of the clone
_VERB = re.compile(r"\bmake ([a-z][a-z-]*)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", files(), ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A file that was moved takes its links along, and a heading that was reworded its anchors."""
    assert [link.written for link in links(page) if not link.path.exists()] == []
    inside = [link for link in links(page) if link.anchor and link.path.suffix == ".md"]
    assert [link.written for link in inside if link.anchor not in anchors(link.path)] == []


@pytest.mark.parametrize("page", files(), ids=name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """A path in the text is as good as a link: whoever follows it must find something."""
    paths = {span for span in code(page) if _PATH.fullmatch(span) and span.partition("/")[0] in FOLDERS}
    named = {path for path in paths if not path.startswith(_OBJECT)}
    assert sorted(path for path in named if not any(ROOT.glob(path))) == []


@pytest.mark.parametrize("page", files(), ids=name)
def test_every_verb_that_is_named_exists(page: Path) -> None:
    """A renamed verb must not live on in the documents."""
    targets = re.findall(r"^([a-z][a-z-]*%?):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = {verb for span in code(page) for verb in _VERB.findall(span)}
    unknown = [verb for verb in named if not any(fnmatch(verb, target.replace("%", "*")) for target in targets)]
    assert unknown == []


def test_links_and_names_are_found(tmp_path: Path) -> None:
    """The three tests above would pass on nothing, if nothing were found."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A `B`: c\n\n[x](other.md#y) ![z](z.png) <https://e.org> `a/b.py`\n\n```sh\nmake demo # d\n```\n"
    )
    assert [(link.path.name, link.anchor) for link in links(page)] == [("other.md", "y"), ("z.png", "")]
    assert (anchors(page), code(page)) == ({"a-b-c"}, ["B", "a/b.py"])
    assert len(files()) > 20
    assert len(list(links(ROOT / "README.md"))) > 10
