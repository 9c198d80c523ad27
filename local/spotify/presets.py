"""Faults with a name, for who wants to see what becomes of a run: `SPOTIFY_FAULTS=no-ids make demo`.

Not here: what the rules do (`faults`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from contracts.wording import shown
from local.spotify.faults import RULES, Effect, Rule

_LISTINGS: Final = "^/v1/(browse|search)"
_ALBUMS: Final = "^/v1/albums"
_ONE_ALBUM: Final = "^/v1/albums/"
_TRACKS: Final = "/tracks$"
_ACCOUNTS: Final = "^/api/token"
_INVALID_CLIENT: Final = '{"error": "invalid_client", "error_description": "Invalid client secret"}'
_NO_PREMIUM: Final = (
    '{"error": {"status": 403, "message": "Active premium subscription required for the owner of the app."}}'
)

PRESETS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "null-listing": (Rule(effect="null_listing", path=_LISTINGS, times=20),),
    "null-items": (Rule(effect="null_items", path=_LISTINGS, times=20),),
    "no-ids": (Rule(effect="no_ids", path=_LISTINGS, times=20),),
    "empty-of-many": (Rule(effect="empty_of_many", path=_LISTINGS, times=20),),
    "never-a-listing": (Rule(effect="null_listing", path=_LISTINGS, market="DK"),),
    "nothing-new": (Rule(effect="no_albums", path=_LISTINGS, market="DK"),),
    "missing-once": (Rule(effect="status", status=404, path=_ONE_ALBUM, times=1),),
    "gone": (Rule(effect="gone", path=_ALBUMS, probability=0.03),),
    "refused-once": (Rule(effect="status", status=400, path=_ONE_ALBUM, times=1),),
    "small-pages": (Rule(effect="too_large", path=_TRACKS, most=20),),
    "short": (Rule(effect="short", path=_ALBUMS, probability=0.1),),
    "relinked": (Rule(effect="relinked", path=_ALBUMS, probability=0.1),),
    "floats": (Rule(effect="floats", path=_ALBUMS),),
    "odd-values": (Rule(effect="odd_fields", path=_ALBUMS, fields=("duration_ms", "explicit"), odd={"odd": 1}),),
    "quota-without-time": (
        Rule(effect="status", status=429, reason="QUOTA_EXCEEDED", path=_ALBUMS, nth=1, times=1),
    ),
    "quota-used-up": (Rule(effect="status", status=429, reason="QUOTA_EXCEEDED", retry_after=80_000),),
    "no-premium": (Rule(effect="status", status=403, text=_NO_PREMIUM),),
    "wrong-secret": (Rule(effect="status", status=400, text=_INVALID_CLIENT, path=_ACCOUNTS),),
    "no-tokens": (Rule(effect="status", status=500, path=_ACCOUNTS),),
}

_OTHER_ROWS: Final[frozenset[Effect]] = frozenset({"gone", "short", "no_albums", "market_ignored", "frozen"})
"""Effects after which the table rightly holds other rows than the catalogue implies."""


class UnknownFaultsError(ValueError):
    """There are no such faults; says which there are."""


def read(text: str) -> tuple[Rule, ...]:
    """Faults by the name of a preset, by a file that holds them, or as JSON.

    Raises:
        UnknownFaultsError: it is none of them.
        ValueError: the JSON does not say rules; names what is wrong.
        OSError: the file cannot be read.
    """
    if text in PRESETS:
        return PRESETS[text]
    if text.lstrip().startswith("["):
        return RULES.validate_json(text)
    if Path(text).is_file():
        return RULES.validate_json(Path(text).read_bytes())
    known = ", ".join(PRESETS)
    raise UnknownFaultsError(f"{shown(text)} is no preset, no file and no JSON list of rules; presets: {known}")


def leaves_rows(rules: Sequence[Rule]) -> bool:
    """Whether a run that meets these faults must end with the catalogue's rows."""
    return not any(rule.effect in _OTHER_ROWS for rule in rules)
