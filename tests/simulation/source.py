"""Spotify as it is on a bad day: answers in good order that are not true, or not what was asked for.

Whatever is odd passes, as it must for anybody to tell it from the truth: a listing is odd for one answer, an album at
most once in some hours, and one that is not found is found again after half a minute.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from services.market_fetcher.adapters.http import Request
from services.market_fetcher.decisions import Answer
from services.market_fetcher.values import parse
from tests.fakes.spotify import FakeSpotify, answer, error
from tests.simulation.chance import Chance

Json = dict[str, Any]
_REFUSALS: Mapping[str, Answer] = {
    "spotify refuses a limit": error(400, "Invalid limit"),
    "spotify quota without header": error(429, "Too many requests", reason="QUOTA_EXCEEDED"),
}
SAYS_EMPTY = "spotify says there is nothing"
_LISTINGS: Mapping[str, Callable[[Json], Json | None]] = {
    "spotify null listing": lambda _paging: None,
    "spotify empty listing": lambda paging: {**paging, "items": [], "next": None},
    "spotify entries without ids": lambda paging: {
        **paging,
        "items": [{**entry, "id": None} for entry in paging["items"]],
    },
    SAYS_EMPTY: lambda paging: {**paging, "items": [], "next": None, "total": 0},
}
_NOT_FOUND, _SHORT, _FLOATS = "spotify 404 for a moment", "spotify short album", "spotify numbers as floats"
_MOMENT, _ALBUM_RESTS = 30.0, 4 * 3600.0  # seconds


@dataclass
class OddSpotify:
    """A `Send` that spoils some of the true answers."""

    truth: FakeSpotify
    chance: Chance
    now: Callable[[], float]
    said_empty: set[str] = field(default_factory=set)
    """Markets of which it was said, in good order, that they have no new album."""
    _last: dict[tuple[str, str], float] = field(default_factory=dict)
    """When an album was last odd in some way."""

    async def __call__(self, request: Request) -> Answer:
        """See `Send`."""
        true = await self.truth(request)
        path = urlsplit(request.url).path.removeprefix("/v1")
        if true.status != 200 or path == "/api/token":
            return true
        for kind, refusal in _REFUSALS.items():
            if ("limit" in request.params or "quota" in kind) and self.chance.hit(kind):
                return refusal
        return self._spoilt(path, request.params.get("market", ""), true)

    def _spoilt(self, path: str, market: str, true: Answer) -> Answer:
        data = parse(true.body)
        if path in ("/browse/new-releases", "/search"):
            data = {"albums": self._listing(market, data["albums"])}
        elif path == "/albums":
            data = {"albums": [self._album(album) for album in data["albums"]]}
        elif not path.endswith("/tracks"):
            data = self._album(data)
        if data is None:
            return error(404, "Non existing id")
        return answer(_floats(data) if self.chance.hit(_FLOATS) else data)

    def _listing(self, market: str, paging: Json) -> Json | None:
        for kind, spoil in _LISTINGS.items():
            if self.chance.hit(kind):
                self.said_empty |= {market} if kind == SAYS_EMPTY else set()
                return spoil(paging)
        return paging

    def _album(self, album: Json | None) -> Json | None:
        if album is None or self._is_odd(_NOT_FOUND, album["id"], lasts=_MOMENT):
            return None
        if self._is_odd(_SHORT, album["id"], lasts=0):
            return {**album, "tracks": {**album["tracks"], "items": album["tracks"]["items"][:-1]}}
        return album

    def _is_odd(self, kind: str, album_id: str, *, lasts: float) -> bool:
        now, last = self.now(), self._last.get((kind, album_id))
        if last is not None and now < last + _ALBUM_RESTS:
            return now < last + lasts
        if self.chance.hit(kind):
            self._last[kind, album_id] = now
            return True
        return False


def _floats(data: Any) -> Any:
    """The same with each number written as 3.0."""
    if isinstance(data, dict):
        return {key: _floats(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_floats(value) for value in data]
    return float(data) if type(data) is int else data
