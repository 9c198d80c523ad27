"""How a value from outside stands in an error, an answer or a log line: short, whatever its depth, size or kind.

Whoever sends a value chooses its shape. So no more of it is looked at than is shown: refusing an input costs no more
than accepting it, and wording an error cannot fail.
"""

import reprlib
from itertools import islice
from typing import Any

_SHOWN = 80  # characters
_MOST_BITS = 128  # of an integer that is written out; Python refuses to write one of more than 4300 digits
_PLAIN = (bool, float, type(None))


class _Glimpse(reprlib.Repr):
    """Instead of the library's methods that look at more than they show: all keys, all digits, unknown objects."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = _SHOWN

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        return super().repr_dict(dict(islice(x.items(), self.maxdict + 1)), level)

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        return super().repr_int(x, level) if bits <= _MOST_BITS else f"<int of {bits} bits>"

    def repr_instance(self, x: object, level: int) -> str:
        return super().repr_instance(x, level) if isinstance(x, _PLAIN) else f"<{type(x).__name__}>"


_GLIMPSE = _Glimpse()


def shown(value: object) -> str:
    """A value as Python writes it, what is too deep, too long or too large left out."""
    return cut(_GLIMPSE.repr(value), _SHOWN)


def cut(text: str, most: int) -> str:
    """A text of at most `most` characters; of a longer one, its beginning and its end."""
    if len(text) <= most:
        return text
    end = most // 2
    return f"{text[: most - end - 1]}…{text[-end:]}"
