"""Whether the source can be believed, judged from the metadata of a run's parts alone: pure.

Whether Spotify heeds the market it is told is not documented, and its list of new releases has stood still for
weeks before (github.com/spotify/web-api issues 673 and 1143). No single part shows either: every answer is
well formed. So the parts of a run are compared with each other and with those of the run before.

The metadata is what the market fetcher writes beside a part: `source`, `app`, `calls`, `list-hash` (of the set of
listed albums) and `newest-release` (the newest day on which one of them came out, empty where none is known), all
text.
"""

from collections.abc import Mapping
from typing import Any

Metadata = Mapping[str, str]
_MOST_DIGITS = 18  # of a count that is believed; Python reads no number of more than 4300
PartsMetadata = Mapping[str, Metadata]
"""Metadata of parts, by market."""


def identical_markets(parts: PartsMetadata) -> bool:
    """Whether all markets list the very same albums, at least two being there: the market was ignored."""
    hashes = [metadata.get("list-hash", "") for metadata in parts.values()]
    return len(hashes) > 1 and hashes[0] != "" and len(set(hashes)) == 1


def newest_release(parts: PartsMetadata) -> str:
    """The newest release day of a run as `2026-11-20`, empty where none is known."""
    return max((metadata.get("newest-release", "") for metadata in parts.values()), default="")


def looks_frozen(parts: PartsMetadata, before: PartsMetadata) -> bool:
    """Whether nothing is newer than in the run before; unknown days tell nothing."""
    newest, newest_before = newest_release(parts), newest_release(before)
    return newest != "" and newest_before != "" and newest <= newest_before


def same_as_before(parts: PartsMetadata, before: PartsMetadata) -> bool:
    """Whether every market that is in both runs lists the very same albums as in the run before."""
    pairs = [(parts[key].get("list-hash", ""), before[key].get("list-hash", "")) for key in parts if key in before]
    return bool(pairs) and all(now == then != "" for now, then in pairs)


def source_report(parts: PartsMetadata, before: PartsMetadata) -> dict[str, Any]:
    """What the receipt says of the source: kinds of listing and of app, calls, counts, and the suspicions."""
    return {
        "source": _kinds(parts, "source"),
        "app": _kinds(parts, "app"),
        "calls": _sum(parts, "calls"),
        "skipped_nulls": _sum(parts, "skipped-nulls"),
        "skipped_albums": _sum(parts, "skipped-albums"),
        "newest_release": newest_release(parts),
        "identical_markets": identical_markets(parts),
        "looks_frozen": looks_frozen(parts, before),
        "same_as_before": same_as_before(parts, before),
    }


def _kinds(parts: PartsMetadata, key: str) -> list[str]:
    return sorted({metadata[key] for metadata in parts.values() if metadata.get(key)})


def _sum(parts: PartsMetadata, key: str) -> int:
    return sum(count_of(metadata.get(key, "")) or 0 for metadata in parts.values())


def count_of(text: str) -> int | None:
    """A count that stands beside a part; None where it is none that can be believed."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
