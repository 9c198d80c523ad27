"""What each week is compared with, which markets it lacks, and what in it is new. Pure.

A market's list is compared with its own last list, however many weeks ago that was: a week in which a market is missing
says nothing of what it listed. What no market's last list held is new for all of them together. Where there is no last
list, the release date decides.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from dashboard.queries import FRESH_DAYS

Row = Mapping[str, Any]

REMEMBERED: Final = timedelta(weeks=8)
"""A market that was listed this recently is missed where no receipt says which markets were asked for."""
NO_RECEIPT: Final = "no receipt tells why"


def befores(week: date, index: Iterable[Row]) -> dict[str, date]:
    """For each market, its last run before a week; a market without one is not there."""
    found: dict[str, date] = {}
    for row in sorted(index, key=lambda row: row["load_date"]):
        if row["load_date"] < week:
            found |= dict.fromkeys(row["market_codes"], row["load_date"])
    return found


def compared_week(markets: Iterable[str], before: Mapping[str, date]) -> date | None:
    """The run that most markets are compared with, the newest of these; None where none is."""
    counted = Counter(before[market] for market in markets if market in before)
    return max(counted, key=lambda week: (counted[week], week), default=None)


def missing(week: date, index: Sequence[Row], run: Row | None) -> dict[str, str]:
    """The markets that should be in a week and are not, each with the reason.

    Args:
        week: The week.
        index: All weeks.
        run: The run's entry (`dashboard.runs`); None where the bucket does not know it any more.
    """
    there = next((set(row["market_codes"]) for row in index if row["load_date"] == week), set[str]())
    reasons = _told(run) if run and run["landed_markets"] is not None else _remembered(week, index)
    return {market: reason for market, reason in sorted(reasons.items()) if market not in there}


def _told(run: Row) -> dict[str, str]:
    landed = dict.fromkeys(run["landed_markets"], "its list landed and is not in the table")
    return landed | dict(run["missing_markets"])


def _remembered(week: date, index: Sequence[Row]) -> dict[str, str]:
    recent = (row for row in index if week - REMEMBERED <= row["load_date"] < week)
    return {market: NO_RECEIPT for row in recent for market in row["market_codes"]}


@dataclass(frozen=True, slots=True)
class News:
    """In which markets a release is new, and whether for all of them together."""

    markets: tuple[str, ...]
    everywhere: bool


class LastLists:
    """What each market's last list held."""

    def __init__(self, before: Mapping[str, date], listings: Iterable[Row]) -> None:
        self._before = before
        self._held: dict[str, set[str]] = {}
        for row in listings:
            holders = {market for market in row["markets"] if before.get(market) == row["load_date"]}
            self._held.setdefault(row["album_id"], set()).update(holders)

    def news(self, release: Row) -> News:
        """What is new about a release of the week."""
        held = self._held.get(release["album_id"], set())
        fresh = is_fresh(release)
        new = [
            market for market in release["markets"] if (market not in held if market in self._before else fresh)
        ]
        can_compare = any(market in self._before for market in release["markets"])
        return News(tuple(new), not held and (can_compare or fresh))


def is_fresh(release: Row) -> bool:
    """Whether it came out in the days up to the run; False where its day is not known."""
    days = release["days_since_release"]
    return days is not None and 0 <= days < FRESH_DAYS
