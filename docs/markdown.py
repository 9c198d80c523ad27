"""Tables, and the marks between which a page's generated parts stand."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar inside a cell is escaped."""
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [f"| {' | '.join(line)} |" for line in (head, *cells)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]])


def put(text: str, name: str, content: str) -> str:
    """The page with the content between its marks.

    Raises:
        ValueError: the page does not have these marks, each once.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if (text.count(begin), text.count(end)) != (1, 1):
        raise ValueError(f"the page needs {begin} and {end}, each once")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"
