"""What a command sets up in its own process: no proxy for loopback addresses, and output that any terminal can show.

Called by the entry points of `ops`, `local` and `benchmarks` before anything else.
"""

import codecs
import io
import sys
from collections.abc import Mapping
from typing import Final

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_ALL: Final = "*"
_PLAIN: Final = str.maketrans("·◷●○✕█…→–—‘’“”", ".~*ox#.>--''\"\"")  # noqa: RUF001 -- told apart by what they look like


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with which no client uses a proxy to reach this machine itself.

    Client libraries differ in which spelling they read, and in which wins where both are set. Each spelling therefore
    keeps its own exceptions, or takes the other's if it has none, and gets the loopback names. gRPC reads a third one
    first, in which an asterisk has no meaning. Set even where there is no proxy: macOS's own setting counts otherwise.
    """
    lower, upper = (environment.get(name, "").strip() for name in _EXCEPTIONS)
    grpc = environment.get("no_grpc_proxy", "").strip() or lower or upper
    return {
        "no_proxy": _with_loopback(lower or upper),
        "NO_PROXY": _with_loopback(upper or lower),
        "no_grpc_proxy": _joined(grpc.removeprefix(_ALL)),
    }


def _with_loopback(exceptions: str) -> str:
    return exceptions if exceptions == _ALL else _joined(exceptions)


def _joined(exceptions: str) -> str:
    named = [name for part in exceptions.split(",") if (name := part.strip())]
    return ",".join((*named, *(name for name in _LOOPBACK if name not in named)))


def print_anywhere() -> None:
    """Print a plain letter or `?` for each that the terminal's encoding lacks, instead of failing.

    Where a stream is closed, what is said to it goes nowhere.
    """
    sys.stdout, sys.stderr = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(letter if letter.isascii() else "?" for letter in lacking), error.end
