"""The glossary names what is there: its last column is held against code, folders and the bucket's names."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.markdown_files import ROOT

PACKAGES = ("contracts", "eventing", "services", "spark_job", "runs", "ops", "dashboard", "local")
_PLACEHOLDERS = {"RUN", "MARKET", "NNNN", "ADDRESS"}
_SETTINGS_AND_TERMS = re.compile(r"[A-Za-z_]\w*(?:\.\w+)?")


def rows(text: str) -> Iterator[tuple[str, str]]:
    """Each term with every code span of its last column."""
    for line in text.splitlines():
        if line.startswith("| **"):
            term, _, where = line.strip("| ").rpartition(" | ")
            yield from ((term.partition(" |")[0], span) for span in re.findall(r"`([^`]+)`", where))


@cache
def names() -> frozenset[str]:
    """What modules define or use, in small letters: a setting is a field in capitals."""
    modules = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return frozenset(name.lower() for path in modules for name in _defined(ast.parse(path.read_text("utf-8"))))


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def is_there(span: str) -> bool:
    """Whether this is a name of the code, a file or folder of the clone, an object of the bucket, or a command."""
    if span in _PLACEHOLDERS:
        return True
    if span.startswith("./releases "):
        return span.split()[1].replace("-", "_") in names()
    if _SETTINGS_AND_TERMS.fullmatch(span) and not span.endswith(".py"):
        return all(part.lower() in names() for part in span.split("."))
    return _is_object(span) if _PLACEHOLDERS & set(re.split(r"[/.-]", span)) else _is_path(span)


def _is_path(span: str) -> bool:
    places = (ROOT, *(ROOT / "services").iterdir())
    return any((place / span).exists() for place in places) or _is_object(span)


def _is_object(span: str) -> bool:
    made = (ROOT / "contracts/names.py").read_text(encoding="utf-8")
    words = [word for word in re.split(r"[/.-]", span) if word and word not in _PLACEHOLDERS]
    return all(re.search(rf"\b{word}\b", made) for word in words) and "/" in span


@pytest.mark.parametrize(("term", "span"), [*rows((ROOT / "GLOSSARY.md").read_text(encoding="utf-8"))])
def test_a_term_names_what_exists(term: str, span: str) -> None:
    """A renamed class, setting or object must not live on in the words by which a reader finds it."""
    assert is_there(span), f"{term}: {span}"


@pytest.mark.parametrize(
    "span", ["RunWished", "MINIMUM_PART", "contracts/wishes.py", "runs/RUN/wishes/", "wishes/", "./releases wish"]
)
def test_what_is_not_there_is_found(span: str) -> None:
    """A check that takes everything holds nothing."""
    assert not is_there(span)
