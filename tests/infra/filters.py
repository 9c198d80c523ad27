"""The two filter languages that Google's observability speaks, as far as a filter can be judged without asking Google.

Cloud Logging's query language and Cloud Monitoring's filters look alike and are not: `starts_with` is a function of the
second alone, `=~` an operator of the first alone.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

LONGEST = 20_000

_LOGGING = Lark(
    r"""
    start: expression
    expression: _term ((AND | OR)? _term)*
    _term: negation | _plain
    negation: (NOT | "-") _plain
    _plain: comparison | test | global | "(" expression ")"
    comparison: _left (COMPARISON _value | MATCH regex)
    _left: PATH | CAST "(" PATH "," TYPE ")" | EXTRACT "(" PATH "," regex ")"
    _value: STRING | NUMBER | PATH | "*" | "(" expression ")"
    global: STRING | NUMBER | PATH
    test: LOG_ID "(" STRING ")"
        | SOURCE "(" (PATH | STRING) ")"
        | SAMPLE "(" PATH "," fraction ")"
        | IN_NET "(" PATH "," network ")"
        | SEARCH "(" [PATH ","] STRING ")"
    regex: STRING
    fraction: NUMBER
    network: STRING
    AND.3: /AND\b/
    OR.3: /OR\b/
    NOT.3: /NOT\b/
    CAST.2: /cast(?=\()/
    EXTRACT.2: /regexp_extract(?=\()/
    LOG_ID.2: /log_id(?=\()/
    SOURCE.2: /source(?=\()/
    SAMPLE.2: /sample(?=\()/
    IN_NET.2: /ip_in_net(?=\()/
    SEARCH.2: /SEARCH(?=\()/
    MATCH.2: /[=!]~/
    COMPARISON: /!=|>=|<=|[=><:]/
    TYPE.2: /(STRING|INT64|FLOAT64|BOOL|DURATION|TIMESTAMP)(?=\))/
    STRING: /"(\\.|[^"\\])*"/
    NUMBER: /-?\d+(\.\d+)?(?![\w.])/
    PATH: /[A-Za-z_][\w\/]*(\.([\w\/-]+|"(\\.|[^"\\])*"))*(?![\w.\/-]*\()/
    COMMENT: /--[^\n]*/
    %ignore COMMENT
    %ignore /\s+/
    """,
    parser="lalr",
    maybe_placeholders=False,
)

_MONITORING = Lark(
    r"""
    start: _term ((AND | OR)? _term)*
    _term: [NOT] (comparison | "(" start ")")
    comparison: PATH COMPARISON (STRING | NUMBER | test)
    test: "one_of" "(" STRING ("," STRING)* ")"
        | ("starts_with" | "ends_with" | "has_substring") "(" STRING ")"
        | "monitoring.regex.full_match" "(" regex ")"
    regex: STRING
    AND.2: /AND\b/
    OR.2: /OR\b/
    NOT.2: /NOT\b/
    COMPARISON: /!=|>=|<=|[=><:](?!~)/
    STRING: /"(\\.|[^"\\])*"/
    NUMBER: /-?\d+(\.\d+)?/
    PATH: /(metric|resource|metadata|group|project)(\.\w+)*(\."[^"]+")?/
    %ignore /\s+/
    """,
    parser="lalr",
    maybe_placeholders=False,
)

_NOT_RE2 = re.compile(r"\(\?(<?[=!]|>|\()|\(\?P=|\\[1-9]|[*+?}]\+")
"""Looking around, back references and possessive or atomic groups, which Python has and RE2 has not."""


class NotJudgedError(ValueError):
    """The language has this, and no query of ours: whether an entry passes is not told rather than guessed."""


def fault_of_logging(query: str) -> str | None:
    """Why Cloud Logging would refuse a query; None where nothing is wrong with it."""
    return f"longer than {LONGEST} characters" if len(query) > LONGEST else _fault(_LOGGING, query)


def fault_of_monitoring(filter_: str) -> str | None:
    """Why Cloud Monitoring would refuse a filter; None where nothing is wrong with it."""
    return _fault(_MONITORING, filter_)


def passes(query: str, entry: dict[str, Any]) -> bool:
    """Whether a query of Cloud Logging finds an entry; of the language no more than what ours are made of.

    Raises:
        NotJudgedError: there is more in it.
    """
    return _holds(_LOGGING.parse(query).children[0], entry)


def _holds(term: Any, entry: dict[str, Any]) -> bool:
    match (term.data, *term.children):
        case ("expression", *terms) if {word for word in terms if isinstance(word, Token)} <= {"AND"}:
            return all(_holds(inner, entry) for inner in terms if isinstance(inner, Tree))
        case ("negation", *_, inner):
            return not _holds(inner, entry)
        case ("test", Token(type="LOG_ID"), name):
            return bool(entry["logName"].endswith(f"/logs/{quote(_plain(name), safe='')}"))
        case ("comparison", path, ":"):  # its "*" is no token: there, whatever it is
            return _found(entry, path) is not None
        case ("comparison", path, "=", value):
            return _found(entry, path) in _choices(value)
        case _:
            raise NotJudgedError(f"{term}: judge it, or write the query otherwise")


def _found(entry: Any, path: str) -> str | None:
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    if entry is None:
        return None
    return str(entry).lower() if isinstance(entry, bool) else str(entry)


def _choices(value: Any) -> set[str]:
    if isinstance(value, Token):
        return {_plain(value)}
    words = {str(word) for word in value.children if isinstance(word, Token)}
    if words - {"OR"}:
        raise NotJudgedError(f"{value}: values are told apart by OR alone")
    return {_plain(str(choice.children[0])) for choice in value.children if isinstance(choice, Tree)}


def _fault(language: Lark, text: str) -> str | None:
    try:
        tree = language.parse(text)
    except UnexpectedInput as unexpected:
        return f"not understood at: {unexpected.get_context(text)}"
    return next(_faults(tree), None)


def _faults(tree: Tree[Token]) -> Iterator[str]:
    for kind, judge in {"regex": _no_regex, "fraction": _no_fraction, "network": _no_network}.items():
        judged = (judge(_text(found)) for found in tree.find_data(kind))
        yield from (fault for fault in judged if fault is not None)


def _text(found: Tree[Token]) -> str:
    (token,) = found.scan_values(lambda value: isinstance(value, Token))
    return _plain(token)


def _plain(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token[0] == '"' else str(token)


def _no_regex(pattern: str) -> str | None:
    if _NOT_RE2.search(pattern):
        return f"{pattern!r}: RE2 has no look-around, back reference or possessive quantifier"
    try:
        re.compile(pattern)
    except re.error as wrong:
        return f"{pattern!r}: {wrong}"
    return None


def _no_fraction(number: str) -> str | None:
    return None if 0 <= float(number) <= 1 else f"{number} is no fraction from 0 to 1"


def _no_network(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError as wrong:
        return str(wrong)
    return None
