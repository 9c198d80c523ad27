"""`python -m local demo | up | down | tick`: the commands behind the Makefile's verbs.

Exit status: 0 done; 1 it failed, and stderr says why and which log to read; 2 wrong usage; 130 interrupted.
"""

import os
import signal
import sys
from types import FrameType

from ops.surroundings import past_proxies, print_anywhere

_INTERRUPTED = 130
_WRONG_USAGE = 2


def _run(arguments: list[str]) -> None:
    # Here, not above: Google's clients take a second to import, in which a Ctrl-C must end as quietly as later.
    from local.commands import EXPECTED, VERBS  # noqa: PLC0415

    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: python -m local {' | '.join(VERBS)}", file=sys.stderr)
        sys.exit(_WRONG_USAGE)
    try:
        VERBS[arguments[0]](os.environ)
    except EXPECTED as error:
        sys.exit(f"\n{error}")


def _as_interrupt(number: int, _frame: FrameType | None) -> None:
    """A polite kill ends the stack as Ctrl-C does: in order."""
    raise KeyboardInterrupt(signal.Signals(number).name)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _as_interrupt)
    print_anywhere()
    os.environ.update(past_proxies(os.environ))
    try:
        _run(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        sys.exit(_INTERRUPTED)
