"""`python -m local demo | up | down | tick`: the commands behind the Makefile's verbs.

Exit status: 0 done; 1 it failed, and stderr says why and which log to read; 2 wrong usage; 130 interrupted.
"""

import os
import signal
import sys
import threading
from types import FrameType

from ops.surroundings import past_proxies, print_anywhere

_AGAIN = 0.05  # seconds
_INTERRUPTED = 130
_WRONG_USAGE = 2


def _run(arguments: list[str]) -> None:
    # Here, not above: Google's clients take a second to import, in which a Ctrl-C must end as quietly as later.
    from local.commands import VERBS, explain  # noqa: PLC0415

    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: python -m local {' | '.join(VERBS)}", file=sys.stderr)
        sys.exit(_WRONG_USAGE)
    try:
        VERBS[arguments[0]](os.environ)
    except Exception as error:
        told = explain(error, arguments[0], os.environ)
        if told is None:
            raise
        sys.exit(f"\n{told}")


def _end_in_order() -> None:
    """Ctrl-C, a polite kill and a terminal that closes end the stack in order, whatever this process inherited.

    Shells start what runs in the background with Ctrl-C ignored. `nohup` has the hang-up ignored: that is its purpose.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _as_interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _as_interrupt)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, children end without a status
    sys.unraisablehook = _send_again


def _as_interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _send_again(lost: "sys.UnraisableHookArgs") -> None:
    """Python drops what is raised while it finalizes an object: an interrupt that falls there must not be lost."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    again = threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGTERM))
    again.daemon = True
    again.start()


if __name__ == "__main__":
    _end_in_order()
    print_anywhere()
    os.environ.update(past_proxies(os.environ))
    try:
        _run(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        sys.exit(_INTERRUPTED)
