"""What the repository's Markdown files link to and name, read with a Markdown parser."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_NOT_OURS = {"node_modules", "mutants", "__pycache__"}


def files() -> list[Path]:
    """Every Markdown file, but for what tools have put into the clone."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part in _NOT_OURS for part in path.relative_to(ROOT).parts[:-1])
    )


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a place in the repository."""

    path: Path
    """The file or folder it leads to."""
    anchor: str
    written: str


def links(page: Path) -> Iterator[Link]:
    """Every link of a page that does not lead out of the repository."""
    for token in _inline(page):
        target = str(token.attrGet("href") or token.attrGet("src") or "")
        if target and not re.match(r"[a-z]+:", target):
            name, _, anchor = target.partition("#")
            yield Link((page.parent / name).resolve() if name else page, anchor, target)


def code(page: Path) -> list[str]:
    """Every piece of code within a line."""
    return [token.content for token in _inline(page) if token.type == "code_inline"]


def shell(page: Path) -> list[str]:
    """Every command of the page's shell blocks, without its comment."""
    blocks = [token.content for token in _tokens(page) if token.type == "fence" and token.info == "sh"]
    lines = (re.sub(r"\s+#.*|^#.*", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    pairs = itertools.pairwise(_tokens(page))
    headings = [after.content for token, after in pairs if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", text).lower()).replace(" ", "-") for text in headings}


def _inline(page: Path) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()


@cache
def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
