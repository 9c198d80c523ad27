"""Is the source telling the truth: judged from the metadata of parts."""

import pytest

from contracts.truth import identical_markets, looks_frozen, newest_release, same_as_before, source_report


def parts(hashes: str, newest: str = "2026-11-20") -> dict[str, dict[str, str]]:
    return {
        f"M{number}": {
            "list-hash": value,
            "newest-release": newest,
            "source": "browse",
            "app": "extended",
            "calls": "2",
        }
        for number, value in enumerate(hashes)
    }


@pytest.mark.parametrize(("hashes", "identical"), [("aaa", True), ("aab", False), ("a", False), ("", False)])
def test_identical_markets_are_seen(hashes: str, *, identical: bool) -> None:
    """If every market lists the same albums the market was ignored; one market alone proves nothing."""
    assert identical_markets(parts(hashes)) is identical


def test_parts_without_a_hash_prove_nothing() -> None:
    """A part of an older writer carries no metadata."""
    assert not identical_markets({"DK": {}, "SE": {}})


@pytest.mark.parametrize(
    ("now", "before", "frozen"),
    [
        ("2026-11-20", "2026-11-13", False),
        ("2026-11-13", "2026-11-13", True),
        ("2026-11-06", "2026-11-13", True),
        ("", "2026-11-13", False),
        ("2026-11-20", "", False),
    ],
)
def test_a_frozen_list_is_seen(now: str, before: str, *, frozen: bool) -> None:
    """Nothing newer than last week's looks frozen; an unknown day tells nothing."""
    assert looks_frozen(parts("ab", now), parts("cd", before)) is frozen


@pytest.mark.parametrize(
    ("now", "before", "same"), [("ab", "ab", True), ("ab", "a", True), ("ab", "ac", False), ("ab", "", False)]
)
def test_the_same_lists_as_before_are_seen(now: str, before: str, *, same: bool) -> None:
    """In every market that both runs have; one market that has changed shows that the source lives."""
    assert same_as_before(parts(now), parts(before)) is same
    assert not same_as_before({"M0": {}}, {"M0": {}})


def test_the_newest_release_is_that_of_any_market() -> None:
    """One market's news is the run's."""
    assert (
        newest_release({"DK": {"newest-release": "2026-11-19"}, "SE": {"newest-release": "2026-11-20"}})
        == "2026-11-20"
    )
    assert newest_release({}) == ""


def test_the_report_adds_up() -> None:
    """The receipt shows kinds, calls and the suspicions."""
    assert source_report(parts("aaa"), parts("aaa")) == {
        "source": ["browse"],
        "app": ["extended"],
        "calls": 6,
        "skipped_nulls": 0,
        "skipped_albums": 0,
        "newest_release": "2026-11-20",
        "identical_markets": True,
        "looks_frozen": True,
        "same_as_before": True,
    }
