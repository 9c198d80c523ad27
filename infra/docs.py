#!/usr/bin/env python3
"""Write the tables of variables and outputs into infra/README.md; with --check, say whether they are as they should be.

Reads variables.tf and outputs.tf. Not here: what the variables of the modules mean, which only the root module sets.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hcl2
from hcl2 import SerializationOptions

INFRA = Path(__file__).resolve().parent
README = INFRA / "README.md"
_READING = SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)


def main(arguments: Sequence[str]) -> int:
    """Write, or check; 1 where the tables are old."""
    text = README.read_text(encoding="utf-8")
    wanted = _put(_put(text, "variables", variables()), "outputs", outputs())
    if wanted == text:
        return 0
    if "--check" in arguments:
        sys.stderr.write("infra/README.md: the tables are old; run: python infra/docs.py\n")
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


def variables() -> str:
    """The table of variables, the required ones first."""
    rows = sorted(_blocks("variable"), key=lambda row: ("default" in row[1], row[0]))
    return _table(
        ("variable", "default", "meaning"), ((f"`{name}`", _default(body), _text(body)) for name, body in rows)
    )


def outputs() -> str:
    """The table of outputs."""
    return _table(("output", "meaning"), ((f"`{name}`", _text(body)) for name, body in sorted(_blocks("output"))))


def _blocks(kind: str) -> list[tuple[str, dict[str, Any]]]:
    with (INFRA / f"{kind}s.tf").open(encoding="utf-8") as text:
        found = hcl2.load(text, serialization_options=_READING)[kind]
    return [(name, body) for block in found for name, body in block.items()]


def _default(body: dict[str, Any]) -> str:
    if "default" not in body:
        return "**required**"
    default = body["default"]
    return "none" if default is None else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _text(body: dict[str, Any]) -> str:
    return str(body["description"]).replace('\\"', '"').replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _put(text: str, name: str, table: str) -> str:
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = text.split(start)
    _, after = rest.split(end)
    return f"{before}{start}\n\n{table}\n\n{end}{after}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
