"""Puts a section into docs/benchmarks.md, in the place of its last one; what is written by hand there stays."""

from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/benchmarks.md"
_TITLE = "# Benchmarks\n\nMeasured by the commands named below, which rewrite their own section.\n"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table; the first column is text, the others are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def kept_rows(name: str, page: Path = PAGE) -> list[list[str]]:
    """The rows of a section's table as the page has them now; none where there is no such section."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    section = text.partition(f"<!-- {name}: begin -->")[2].partition(f"<!-- {name}: end -->")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines[2:]]


def merged(kept: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The kept rows, with each that was measured again in its new form; what was never there comes first."""
    again = {row[0]: row for row in rows}
    known = {row[0] for row in kept}
    return [*(row for row in rows if row[0] not in known), *(again.get(row[0], row) for row in kept)]


def write(name: str, body: str, page: Path = PAGE) -> None:
    """Write a section; the rest of the page stays."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8") if page.exists() else _TITLE
    section = f"{begin}\n{body.strip()}\n{end}"
    if begin in text:
        head, _, rest = text.partition(begin)
        text = head + section + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    page.write_text(text, encoding="utf-8")
