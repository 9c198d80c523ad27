"""What keeps the market fetcher from Spotify, in one line with what to do about it: read from its log, pure."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_ENDED_BY = "market_fetched"
_FAILURES = {"call_failed", "given_back"}
_PATIENCE, _PATIENCE_ONCE_IT_WORKED = timedelta(minutes=2), timedelta(minutes=10)
"""How long all that is tried may fail, until nobody waits for it any more: before a market has landed, and after."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a person should know of while it lasts."""

    what: str
    until: datetime | None = None
    """When Spotify is asked again, where nobody is before."""
    needs_a_person: bool = False

    def outlasts(self, patience: timedelta, now: datetime) -> bool:
        """Whether waiting so long is in vain."""
        return self.needs_a_person or (self.until is not None and self.until - now > patience)


def trouble_of(log: Iterable[str], now: datetime) -> Trouble | None:
    """The trouble there is now, the one that concerns most markets first."""
    account = market = failure = since = None
    why, patience = "", _PATIENCE
    for entry in _entries(log):
        match entry.get("message"):
            case "account_throttled":
                account = _pause(entry, now)
            case "market_throttled":
                market = _waiting_market(entry, now)
            case message if message in _FAILURES:
                at = datetime.fromisoformat(entry["time"])
                since, why = since or at, why if message == "given_back" and why else _why(entry)
                failure = _failure(why, since, at, patience)
            case message if message == _ENDED_BY:
                failure, since, why, patience = None, None, "", _PATIENCE_ONCE_IT_WORKED
    return account or failure or market


def reasons_of(log: Iterable[str], markets: Collection[str]) -> dict[str, str]:
    """Why the fetcher gave each of these markets back, by what its log says of it last."""
    told = {
        entry["market"]: str(entry.get("reason") or ", ".join(entry.get("faults", ())))
        for entry in _entries(log)
        if entry.get("message") in {"given_back", "refused"} and entry.get("market") in markets
    }
    return {market: told[market] for market in markets if market in told}


def _entries(log: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    """The lines that are whole; the last may be being written."""
    return (json.loads(line) for line in log if line.startswith("{") and line.endswith("}"))


def _pause(entry: Mapping[str, Any], now: datetime) -> Trouble | None:
    reason, until = str(entry["reason"]), datetime.fromisoformat(entry["until"])
    if until <= now:
        return None
    if entry.get("needs_a_person"):
        return Trouble(reason, needs_a_person=True)
    then = f"it allows no call until {until.astimezone():%Y-%m-%d %H:%M}"
    return Trouble(
        f"{reason} is used up: {then}; start again after that, for fewer markets (MARKETS=DK,SE)", until
    )


def _waiting_market(entry: Mapping[str, Any], now: datetime) -> Trouble | None:
    market, until = entry["throttled"], datetime.fromisoformat(entry["until"])
    return (
        Trouble(f"market {market} must wait until {until.astimezone():%H:%M}; the others go on")
        if until > now
        else None
    )


def _why(entry: Mapping[str, Any]) -> str:
    where = f"{entry['url']}: " if "url" in entry else ""
    return f"{where}{entry['reason']}"


def _failure(why: str, since: datetime, at: datetime, patience: timedelta) -> Trouble:
    """The same words each time, until it has failed for too long."""
    last = (since + patience).astimezone()
    if at < last:
        return Trouble(
            f"{why}; it is asked again by itself, and where it still fails at {last:%H:%M:%S}, this ends"
        )
    remedy = "see whether Spotify is well, and whether the way there needs a proxy (HTTPS_PROXY); then start again"
    return Trouble(f"{why}, and so since {since.astimezone():%H:%M:%S}; {remedy}", needs_a_person=True)
