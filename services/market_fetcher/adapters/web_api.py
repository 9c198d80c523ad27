"""Spotify's Web API and its token endpoint: each call within the budget, repeated while a fault may pass."""

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import assert_never

from eventing.errors import Retryable
from eventing.secrets import Secret
from services.market_fetcher.adapters.http import Request, Send, Unreachable
from services.market_fetcher.adapters.limiter import Limiter
from services.market_fetcher.decisions import Again, Good, No, Verdict, Wait, backoff, judge
from services.market_fetcher.ports import Flaw, Json, Nonsense, Refused, Throttled, Time
from services.market_fetcher.shapes import token_flaw
from services.market_fetcher.values import whole

log = logging.getLogger(__name__)

_MOST_FAILURES = 6  # attempts; with backoff about 15 s of outage are sat out
_LONGEST_PAUSE_SECONDS = 30.0  # within a delivery; whoever asks for more is asked again by another
_TOKEN_LIFE = timedelta(hours=1)  # where the answer does not say, or says what no token has
_LONGEST_TOKEN_LIFE = timedelta(days=1)
_TOKEN_SPARE = timedelta(seconds=60)
_WRONG_CREDENTIALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_CREDENTIALS_REST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Credentials:
    """As whom we call: read for each new token, so that a rotated secret is taken up."""

    client_id: Secret
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes one call until it has an answer that is usable or final."""

    send: Send
    limiter: Limiter
    time: Time
    draw: Callable[[], float]
    """From [0, 1)."""

    async def __call__(self, request: Request, *, flaw: Flaw, market: str | None = None) -> Json:
        """The answer's JSON object; errors as in `WebApi.get`, but 401 too is `Refused`."""
        failures = waits = 0
        reason, nonsense = "", True
        while failures < _MOST_FAILURES:
            verdict, sent_at = await self._attempt(request, flaw, waits, market)
            match verdict:
                case Good():
                    return verdict.data
                case No():
                    raise Refused(verdict.status, verdict.message)
                case Wait():
                    waits += 1
                    nonsense = False
                    self.limiter.slow_down(verdict.seconds, market=market, quota=verdict.quota, sent_at=sent_at)
                case Again():
                    failures += 1
                    reason, nonsense = verdict.reason, nonsense and verdict.nonsense
                    await self._wait_out(verdict, failures, request)
                case _:
                    assert_never(verdict)
        kind = Nonsense if nonsense else Retryable
        raise kind(f"{request.url} failed {failures} times, at last: {reason}")

    async def _attempt(
        self, request: Request, flaw: Flaw, waits: int, market: str | None
    ) -> tuple[Verdict, datetime]:
        async with self.limiter.turn(market) as sent_at:
            try:
                answer = await self.send(request)
            except Unreachable as error:
                return Again(str(error)), sent_at
        waits = max(waits, self.limiter.refusals(market))
        return judge(answer, flaw=flaw, waits=waits, now=self.time.now()), sent_at

    async def _wait_out(self, fault: Again, failures: int, request: Request) -> None:
        log.warning("call_failed", extra={"url": request.url, "reason": fault.reason, "failures": failures})
        if failures == _MOST_FAILURES:
            return
        if fault.at_least_seconds > _LONGEST_PAUSE_SECONDS:
            reason = f"{request.url}: {fault.reason}, and asks for {fault.at_least_seconds:.0f} s"
            raise Retryable(reason)
        await self.time.sleep(max(fault.at_least_seconds, backoff(failures, self.draw())))


class Tokens:
    """The access token: asked for once by whoever is first, renewed a minute before its end.

    Source: developer.spotify.com/documentation/web-api/tutorials/client-credentials-flow (valid 3600 s).
    """

    def __init__(self, caller: Caller, url: str, credentials: Credentials) -> None:
        self._caller = caller
        self._url = url
        self._credentials = credentials
        self._lock = asyncio.Lock()
        self._token = ""
        self._ends: datetime | None = None

    async def current(self) -> str:
        """A token that is valid as far as we know.

        Raises:
            Throttled: Spotify does not accept the credentials; no message is at fault.
            Retryable: the token endpoint or the secret cannot be reached.
        """
        async with self._lock:
            if self._ends is None or self._caller.time.now() >= self._ends - _TOKEN_SPARE:
                await self._renew()
            return self._token

    def forget(self, token: str) -> None:
        """Spotify refused this token; a newer one stays."""
        if token == self._token:
            self._ends = None

    async def _renew(self) -> None:
        asked_at = self._caller.time.now()
        try:
            answer = await self._caller(await self._request(), flaw=token_flaw)
        except Refused as error:
            raise self._not_accepted(error) from error
        self._token = answer["access_token"]
        self._ends = asked_at + _life(answer.get("expires_in"))

    async def _request(self) -> Request:
        client_id, client_secret = self._credentials.client_id, self._credentials.client_secret
        basic = base64.b64encode(f"{await client_id.read()}:{await client_secret.read()}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        return Request("POST", self._url, headers=headers, form={"grant_type": "client_credentials"})

    def _not_accepted(self, refusal: Refused) -> Retryable:
        """Wrong credentials are the deployment's fault: rest, loudly, instead of asking for each message."""
        if refusal.status not in _WRONG_CREDENTIALS:
            return Retryable(f"token endpoint: {refusal}")
        reason = (
            f"Spotify does not accept the credentials ({refusal}); mend SPOTIFY_CLIENT_ID and "
            "SPOTIFY_CLIENT_SECRET, or the versions named by SPOTIFY_CLIENT_ID_SECRET and "
            "SPOTIFY_CLIENT_SECRET_SECRET"
        )
        return self._caller.limiter.rest(_CREDENTIALS_REST, reason, needs_a_person=True)


def _life(told: object) -> timedelta:
    """How long a token is valid. One that is refused before is renewed, whatever was said of it."""
    seconds = whole(told) or 0
    is_believed = _TOKEN_SPARE.total_seconds() < seconds <= _LONGEST_TOKEN_LIFE.total_seconds()
    return timedelta(seconds=seconds) if is_believed else _TOKEN_LIFE


class SpotifyApi:
    """A `WebApi` over HTTP."""

    def __init__(self, caller: Caller, tokens: Tokens, base_url: str) -> None:
        self._caller = caller
        self._tokens = tokens
        self._base_url = base_url.rstrip("/")

    async def get(self, path: str, params: Mapping[str, str], *, flaw: Flaw, market: str | None = None) -> Json:
        """See `WebApi.get`. A refused token is renewed once; a second refusal is not the token's age."""
        self._caller.limiter.check(market)
        token = await self._tokens.current()
        try:
            return await self._get(path, params, token, flaw=flaw, market=market)
        except Refused as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
        self._tokens.forget(token)
        token = await self._tokens.current()
        try:
            return await self._get(path, params, token, flaw=flaw, market=market)
        except Refused as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
            raise Retryable(f"{error}, with a token just renewed") from error

    def rest(self, duration: timedelta, reason: str, *, needs_a_person: bool = False) -> Throttled:
        """See `WebApi.rest`."""
        return self._caller.limiter.rest(duration, reason, needs_a_person=needs_a_person)

    async def _get(
        self, path: str, params: Mapping[str, str], token: str, *, flaw: Flaw, market: str | None
    ) -> Json:
        headers = {"Authorization": f"Bearer {token}"}
        request = Request("GET", f"{self._base_url}{path}", params, headers)
        answer = await self._caller(request, flaw=flaw, market=market)
        self._caller.limiter.served(market)
        return answer
