"""How a value from outside is worded: short, and at no more cost than what is shown of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.wording import cut, shown


def nested(depth: int, *, mapping: bool = False) -> Any:
    """A list in a list, or an object in an object, as deep as wanted; no parser would take the deepest."""
    value: Any = 1
    for _ in range(depth):
        value = {"x": value} if mapping else [value]
    return value


HOSTILE = {
    "a list of 100,000 levels": nested(100_000),
    "an object of 100,000 levels": nested(100_000, mapping=True),
    "a list of 100,000 entries": ["x" * 100] * 100_000,
    "an object of 100,000 keys": {f"{number}" * 20: number for number in range(100_000)},
    "an object with a key of 10 MB": {"k" * 10_000_000: 1},
    "a text of 10 MB": "x" * 10_000_000,
    "10 MB": b"x" * 10_000_000,
    "an integer of 5000 digits": 10**5000,
    "a negative integer of 5000 digits": -(10**5000),
    "such an integer inside": {"generation": [10**5000]},
    "halves of characters": "\ud800" * 1000,
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_value_is_too_much_for_its_wording(name: str) -> None:
    """Depth, length and size are chosen by whoever sends the value; the error about it must come about all the same."""
    worded = shown(HOSTILE[name])
    assert 0 < len(worded) <= 80
    assert worded.encode()


@given(value=anything)
def test_every_value_has_a_short_wording_that_can_be_sent(value: object) -> None:
    """An error's text goes into an answer, a log line and a document: UTF-8, on one line."""
    worded = shown(value)
    assert 0 < len(worded) <= 80
    assert worded.encode()
    assert "\n" not in worded


@pytest.mark.parametrize(
    "value", ["DK", "it's", "", 5, -5, 0.5, True, None, [], {}, ["DK", "SE"], {"a": [1]}, 2**63]
)
def test_an_ordinary_value_is_shown_whole(value: object) -> None:
    """Whoever mends the input must recognise it."""
    assert shown(value) == repr(value)


class Key(str):
    """A key that counts how often it is looked at."""

    __slots__ = ()
    looks = 0

    def __lt__(self, other: str) -> bool:
        Key.looks += 1
        return str(self) < str(other)


def test_no_more_keys_are_looked_at_than_are_shown() -> None:
    """The library sorts all keys of an object to show four of them: a cost that a sender would choose."""
    Key.looks = 0
    assert shown({Key(number): number for number in range(100_000)}).startswith("{")
    assert Key.looks <= 20


class Telltale:
    """A thing with a long text of its own."""

    def __repr__(self) -> str:
        raise AssertionError("was written out")


def test_what_is_not_known_is_only_named() -> None:
    """The text of an unknown thing may be of any length, or fail."""
    assert shown([Telltale(), b"x"]) == "[<Telltale>, <bytes>]"


@given(text=st.text(), most=st.integers(3, 50))
def test_a_text_is_cut_in_its_middle(text: str, most: int) -> None:
    """An error begins with what is wrong and ends with the remedy: both must stay."""
    short = cut(text, most)
    assert len(short) == min(len(text), most)
    assert (short == text) == (len(text) <= most) or "…" in text
    assert text.startswith(short[:1])
    assert text.endswith(short[-1:])
