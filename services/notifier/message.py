"""What a message says. Pure.

Names come from Spotify and reasons from anywhere; whoever reads them does so in a mail, a chat or a page, each with a
markup of its own. So what is not ours is made harmless for all of them: characters that mark up, mention or link are
replaced by others that look like them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from contracts.documents import MissingMarket, Receipt
from contracts.wording import cut
from services.notifier.ports import Message, Release, Week

MOST: Final = 1900
"""Characters of a message; Discord takes 2000, and most others more."""
_LISTED: Final = 8
_NAME, _REASON = 40, 160  # characters
_FULL_WIDTH: Final = {ord(mark): ord(mark) + 0xFEE0 for mark in "@<>*_~`[]#|\\&{}"}
_DOTS: Final = re.compile(r"(?<=\w)[.\u3002\uff0e\uff61](?=\w)")
"""Between letters a dot makes an address of what it joins, and so do three that stand for one in names of hosts."""


def harmless(text: str, most: int = _NAME) -> str:
    """A text that is not ours, on one line, without anything that a reader's program would act on."""
    line = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    plain = _DOTS.sub("\N{ONE DOT LEADER}", " ".join(line.split()).replace("://", ": "))
    return cut(plain.translate(_FULL_WIDTH), most)


def message_of(receipt: Receipt, week: Week | None, zone: ZoneInfo) -> Message:
    """What is told about a receipt; `week` is what the table holds, if the revision was loaded."""
    again = f" (revision {receipt.revision})" if receipt.revision > 1 else ""
    title = f"New Releases {receipt.run_id}{again}: {_headline(receipt, week)}"
    return Message(title, _fitting([*_lines(receipt, week, zone)]))


def _headline(receipt: Receipt, week: Week | None) -> str:
    if week is None:
        return "failed"
    missing = f", {_counted(len(receipt.missing), 'market')} missing" if receipt.missing else ""
    return f"{_counted(len(_new(week)), 'new release')} in {_counted(len(_markets(week)), 'market')}{missing}"


def _lines(receipt: Receipt, week: Week | None, zone: ZoneInfo) -> Iterator[str]:
    finished = f"{receipt.finished_at.astimezone(zone):%Y-%m-%d %H:%M %Z} ({zone})"
    if week is None:
        yield f"Nothing was loaded by this run, which ended {finished}."
        yield f"Why: {harmless(receipt.error or 'the receipt does not say', _REASON)}"
    else:
        yield f"Loaded {finished}."
        yield from _brought(receipt, week)
    yield from _missing(receipt.missing)
    yield from (f"Look: {harmless(warning, _REASON)}" for warning in receipt.warnings)
    if (command := next_command(receipt)) is not None:
        yield f"Next: {command}"
    if receipt.dashboard:
        yield f"See: {receipt.dashboard}"
    if week is not None:
        yield from _listed(week)


def _brought(receipt: Receipt, week: Week) -> Iterator[str]:
    new = _new(week)
    everywhere = sum(release.markets == _markets(week) for release in new)
    alone = sum(len(release.markets) == 1 for release in new)
    since = f"since {week.before}" if week.before else "in the table's first week"
    yield f"{_counted(len(new), 'release')} new {since}: {everywhere} in every market, {alone} in one market only."
    table = receipt.warehouse
    if table is not None:
        tracks = f", {_counted(receipt.load.tracks, 'track')} read" if receipt.load else ""
        yield f"In the table: {_counted(table.albums, 'album')}, {_counted(table.rows, 'row')}{tracks}."


def _listed(week: Week) -> Iterator[str]:
    """What may be cut off."""
    new = _new(week)
    if new:
        yield ""
        yield "In the most markets:"
        yield from _some([_named(release) for release in new])
    yield ""
    yield "New in each market (of these in no other):"
    yield ", ".join(_of_market(market, week) for market in sorted(_markets(week)))


def _named(release: Release) -> str:
    return f"- {harmless(release.artists)}: {harmless(release.name)} ({_counted(len(release.markets), 'market')})"


def _of_market(market: str, week: Week) -> str:
    new = [entry for entry in week.releases if market in entry.markets - entry.known]
    alone = sum(len(entry.markets) == 1 for entry in new)
    return f"{market} {len(new)}" + (f" ({alone})" if alone else "")


def _missing(missing: Sequence[MissingMarket]) -> Iterator[str]:
    if missing:
        yield f"Missing: {_counted(len(missing), 'market')}"
        yield from _some([f"- {entry.market}: {harmless(entry.reason, _REASON // 2)}" for entry in missing])


def next_command(receipt: Receipt) -> str | None:
    """What a person may type next; None where there is nothing to do."""
    if receipt.outcome == "failed":
        return f"./releases run {'reopen' if receipt.missing else 'show'} {receipt.run_id}"
    return f"./releases why {receipt.run_id} {receipt.missing[0].market}" if receipt.missing else None


def _new(week: Week) -> list[Release]:
    return [release for release in week.releases if not release.known]


def _markets(week: Week) -> frozenset[str]:
    return frozenset(market for release in week.releases for market in release.markets)


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _some(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:_LISTED]
    if (more := len(lines) - _LISTED) > 0:
        yield f"- and {more:,} more"


def _fitting(lines: Iterable[str]) -> str:
    """As many whole lines as there is room for."""
    kept: list[str] = []
    left = MOST
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            return "\n".join([*kept, "…"])
        kept.append(line)
    return "\n".join(kept)
