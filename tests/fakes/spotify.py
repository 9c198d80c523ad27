"""Spotify as the fetcher's `Send` sees it: answers out of a catalogue, and whatever a test puts in their place.

For tests of how the fetcher behaves call by call, in virtual time. It keeps to the Web API's limits of pages and
ids, but knows no budget; the simulator in `local/` is the one that imitates the whole service.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from services.market_fetcher.adapters.http import Request, Unreachable
from services.market_fetcher.decisions import Answer
from services.market_fetcher.ports import Flaw

API = "http://spotify.test/v1"
TOKEN = "http://spotify.test/api/token"
LATENCY = 0.05  # seconds, virtual

Trick = Callable[[Request], Answer | Unreachable | None]
"""An answer in place of the true one; None lets the request through."""


def album(album_id: str, tracks: int = 3, **changes: Any) -> dict[str, Any]:
    """A whole album as the catalogue has it."""
    made = {
        "id": album_id,
        "name": f"Album {album_id}",
        "album_type": "album",
        "release_date": "2026-11-20",
        "release_date_precision": "day",
        "total_tracks": tracks,
        "artists": [{"id": "artist", "name": "Ärtist"}],
        "tracks": [
            {"id": f"{album_id}t{number}", "name": f"Track {number}", "disc_number": 1, "track_number": number}
            for number in range(1, tracks + 1)
        ],
    }
    return {**made, **changes}


def answer(data: object, status: int = 200, retry_after: str | None = None) -> Answer:
    """An HTTP answer with a JSON body."""
    return Answer(status, json.dumps(data).encode(), retry_after)


def error(status: int, message: str = "no", retry_after: str | None = None, **extra: str) -> Answer:
    """An error in the Web API's form."""
    return answer({"error": {"status": status, "message": message, **extra}}, status, retry_after)


@dataclass
class FakeSpotify:
    """The fake; `markets` lists album ids by market, newest first."""

    markets: Mapping[str, Sequence[str]]
    albums: Mapping[str, dict[str, Any]]
    app: Literal["extended", "developer"] = "extended"
    trick: Trick = lambda _request: None
    slow: Mapping[str, float] = field(default_factory=dict)
    """Seconds, virtual, that the listing of a market takes longer."""
    requests: list[Request] = field(default_factory=list)

    @classmethod
    def of(cls, markets: Mapping[str, str], **changes: Any) -> "FakeSpotify":
        """Markets with album ids separated by spaces, each an album of three tracks."""
        listed = {market: ids.split() for market, ids in markets.items()}
        known = {album_id: album(album_id) for ids in listed.values() for album_id in ids}
        return cls(listed, {**known, **changes.pop("albums", {})}, **changes)

    def paths(self) -> list[str]:
        """Paths that were asked for, in order."""
        return [urlsplit(request.url).path.removeprefix("/v1") for request in self.requests]

    def count(self, path: str) -> int:
        """Requests for one path, the token's being `/api/token`."""
        return self.paths().count(path)

    async def __call__(self, request: Request) -> Answer:
        """See `Send`."""
        self.requests.append(request)
        await asyncio.sleep(LATENCY + self.slow.get(request.params.get("market", ""), 0))
        tricked = self.trick(request)
        if isinstance(tricked, Unreachable):
            raise tricked
        return tricked or self._answer(request)

    def _answer(self, request: Request) -> Answer:
        asked = request.params
        steps = urlsplit(request.url).path.removeprefix("/v1").strip("/").split("/")
        extended = self.app == "extended"
        match steps:
            case ["api", "token"]:
                return answer({"access_token": f"token{len(self.requests)}", "expires_in": 3600})
            case ["browse", "new-releases"] if extended:
                return self._listing(asked, 50)
            case ["search"]:
                return self._listing(asked, 10)
            case ["albums"] if extended:
                return self._several(asked["ids"].split(","))
            case ["albums", album_id, *tracks]:
                return self._one(album_id, asked if tracks else None)
            case _:
                return error(403, "Forbidden")

    def _several(self, ids: list[str]) -> Answer:
        assert len(ids) <= 20
        return answer({"albums": [self._album(name) if name in self.albums else None for name in ids]})

    def _one(self, album_id: str, tracks_asked: Mapping[str, str] | None) -> Answer:
        if album_id not in self.albums:
            return error(404, "Non existing id")
        if tracks_asked is None:
            return answer(self._album(album_id))
        return answer(_page(self.albums[album_id]["tracks"], tracks_asked, 50))

    def _listing(self, asked: Mapping[str, str], most: int) -> Answer:
        if asked["market"] not in self.markets:
            return error(400, "Invalid market code")
        if int(asked["limit"]) > most:
            return error(400, "Invalid limit")
        listed = [self._listed(album_id) for album_id in self.markets[asked["market"]]]
        return answer({"albums": _page(listed, asked, most)})

    def _listed(self, album_id: str) -> dict[str, Any]:
        known = self.albums.get(album_id, {})
        return {"id": album_id, "name": "listed", "total_tracks": known.get("total_tracks")}

    def _album(self, album_id: str) -> dict[str, Any]:
        whole = self.albums[album_id]
        if not isinstance(whole["tracks"], list):
            return whole
        return {**whole, "tracks": _page(whole["tracks"], {}, 50)}


def lacks(key: str) -> Flaw:
    """Finds fault with an answer that does not hold a key."""
    return lambda answer: None if answer.get(key) is not None else f"a body without {key}"


def _page(items: Sequence[Any], asked: Mapping[str, str], most: int) -> dict[str, Any]:
    limit, offset = int(asked.get("limit", most)), int(asked.get("offset", 0))
    ends = offset + limit
    following = f"{API}/any?offset={ends}&limit={limit}" if ends < len(items) else None
    page = items[offset:ends]
    return {"items": page, "limit": limit, "offset": offset, "next": following, "total": len(items)}
