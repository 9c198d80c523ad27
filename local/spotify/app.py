"""The simulator over HTTP: tokens, limits, faults and the log of calls around the pure endpoints.

One call goes: token, limits, latency, faults instead of an answer, the endpoint, faults in the answer. A call
that is faulted has still been counted by the limits, as a call that Spotify's own failures waste would be.

Source of tokens: developer.spotify.com/documentation/web-api/tutorials/client-credentials-flow (POST form
grant_type=client_credentials, Basic header; access_token, token_type, expires_in 3600; no refresh token).
Errors of the accounts service are `{"error", "error_description"}` with status 400, for wrong credentials too.

Not here: what the answers are (`endpoints`), how they look on the wire (`answers`), processes and signals (`__main__`).
"""

import asyncio
import random
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from contracts.faults import MOST_TOLD
from eventing.clock import Clock
from local.spotify.answers import (
    TokenError,
    cut_off,
    error_answer,
    failure,
    json_response,
    made,
    spoilt,
    too_many,
    unauthorized,
)
from local.spotify.catalogue import Catalogue
from local.spotify.covers import cover
from local.spotify.endpoints import ENDPOINTS, ApiError, Ask, Endpoint
from local.spotify.faults import INSTEAD, RULES, Call, Fault, Plan, Rule
from local.spotify.limits import Limiter, Limits
from local.spotify.shapes import Json, Mode

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What kind of app calls, and what it meets."""

    mode: Mode = "extended"
    limits: Limits = field(default_factory=Limits)
    latency: timedelta = timedelta(0)
    """Waited before every answer of the API and of the accounts service."""
    token_lifetime: timedelta = timedelta(hours=1)
    client: tuple[str, str] | None = None
    """The only client id and secret that get a token; None gives one to any that are not empty."""
    faults: tuple[Rule, ...] = ()


@dataclass(slots=True, kw_only=True)
class LoggedCall:
    """One call as it was served; `endpoint` is the route, `faults` the effects that acted on it.

    `status` is None as long as nothing has been sent, and stays None where the client hung up first.
    """

    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    time: datetime
    status: int | None = None
    faults: list[str] = field(default_factory=list)


class Simulator:
    """Serves one catalogue to one app."""

    def __init__(
        self, catalogue: Catalogue, settings: Settings, *, clock: Clock, rng: random.Random, sleep: Sleep
    ) -> None:
        self.catalogue = catalogue
        self._settings, self._clock, self._rng, self._sleep = settings, clock, rng, sleep
        self._seed = rng.getrandbits(64)
        self.reset()

    def reset(self) -> None:
        """Forget calls, tokens and counts; faults are again those of the settings, from their beginning."""
        self.calls: list[LoggedCall] = []
        self._expiry: dict[str, datetime] = {}
        self._limiter = Limiter(self._settings.limits)
        self._plan = Plan(self._settings.faults, self._seed)

    def order(self, rules: Sequence[Rule]) -> None:
        """Put rules in the place of those there are."""
        self._plan = self._plan.replaced(rules)

    def report(self) -> Json:
        """Every call so far, counted by endpoint and by status."""
        return {
            "total": len(self.calls),
            "endpoints": dict(Counter(f"{call.method} {call.endpoint}" for call in self.calls)),
            "statuses": dict(Counter(str(call.status) for call in self.calls)),
            "faults": self._plan.report(),
            "calls": [{**asdict(call), "time": call.time.isoformat()} for call in self.calls],
        }

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /api/token."""
        call, faults = await self._begin(request)
        form = await request.post()

        def grant() -> Json:
            if form.get("grant_type") != "client_credentials":
                raise TokenError("unsupported_grant_type", "grant_type parameter is missing")
            self._check_client(request.headers.get("Authorization", ""))
            token = f"BQ{self._rng.getrandbits(320):080x}"
            self._expiry[token] = self._clock() + self._settings.token_lifetime
            return {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(self._settings.token_lifetime.total_seconds()),
            }

        return await self._answer(request, call, faults, grant)

    def api(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Make the handler of one endpoint of the Web API."""

        async def handle(request: web.Request) -> web.StreamResponse:
            call, faults = await self._begin(request)
            ask = self._ask(request, faults)
            return await self._answer(request, call, faults, lambda: endpoint(ask))

        return handle

    async def nowhere(self, request: web.Request) -> web.StreamResponse:
        """Answer what is no endpoint."""
        call, faults = await self._begin(request)

        def refuse() -> Json:
            raise ApiError(404, "Service not found")

        return await self._answer(request, call, faults, refuse)

    async def _begin(self, request: web.Request) -> tuple[LoggedCall, list[Fault]]:
        """Log the call, decide at its arrival whether it may pass, wait the latency, decide the faults.

        Raises:
            _Refused: 400 or 401 about the token, 429 about the limits.
        """
        resource = request.match_info.route.resource
        call = LoggedCall(
            endpoint=request.path if resource is None else resource.canonical.rstrip("/"),
            method=request.method,
            path=request.path,
            query=dict(request.query),
            time=self._clock(),
        )
        self.calls.append(call)
        refusal = self._refusal(request) if request.path.startswith("/v1/") else None
        if self._settings.latency:
            await self._sleep(self._settings.latency.total_seconds())
        if refusal is not None:
            call.status = refusal.status
            raise _Refused(refusal)
        faults = self._plan.faults_of(_faultable(request), self._clock())
        call.faults = [fault.rule.effect for fault in faults]
        for fault in faults:
            if fault.rule.effect == "stall":
                await self._sleep(fault.rule.seconds)
        return call, faults

    def _refusal(self, request: web.Request) -> web.Response | None:
        """What the token and the limits have against the call; only calls with a good token are counted."""
        fault = self._token_fault(request.headers.get("Authorization"))
        if fault is not None:
            return fault
        over = self._limiter.admit(self._clock())
        return None if over is None else too_many(over)

    def _token_fault(self, header: str | None) -> web.Response | None:
        if not header:
            return unauthorized("No token provided")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return error_answer(ApiError(400, "Only valid bearer authentication supported"))
        if token not in self._expiry:
            return unauthorized("Invalid access token")
        return unauthorized("The access token expired") if self._expiry[token] <= self._clock() else None

    def _check_client(self, header: str) -> None:
        scheme, _, encoded = header.partition(" ")
        try:
            client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        except (Base64Error, UnicodeDecodeError):
            raise TokenError("invalid_client", "Invalid client") from None
        known = self._settings.client or (client_id, secret)
        if scheme.lower() != "basic" or not client_id or client_id != known[0]:
            raise TokenError("invalid_client", "Invalid client")
        if not secret or secret != known[1]:
            raise TokenError("invalid_client", "Invalid client secret")

    def _ask(self, request: web.Request, faults: Sequence[Fault]) -> Ask:
        effects = {fault.rule.effect for fault in faults}
        ask = Ask(
            catalogue=self.catalogue,
            mode=self._settings.mode,
            base_url=f"{request.scheme}://{request.host}/v1",
            path=request.path.removeprefix("/v1"),
            query=dict(request.query),
            album_id=request.match_info.get("id", ""),
            market_ignored="market_ignored" in effects,
        )
        return replace(ask, catalogue=self.catalogue.preceding()) if "frozen" in effects else ask

    async def _answer(
        self, request: web.Request, call: LoggedCall, faults: Sequence[Fault], make: Callable[[], Json]
    ) -> web.StreamResponse:
        instead = next((fault for fault in faults if fault.rule.effect in INSTEAD), None)
        if instead is not None and instead.rule.effect in {"status", "too_large"}:
            response = failure(instead, self._clock())
        else:
            response = made(make, faults)
        if instead is not None and instead.rule.effect in {"truncated", "non_json"}:
            response = spoilt(instead.rule, response)
        call.status = response.status
        if instead is not None and instead.rule.effect == "reset":
            return await cut_off(request, response)
        return response


SIMULATOR: Final = web.AppKey("SIMULATOR", Simulator)
"""Where an app keeps its simulator, for tests in the same process."""


def create_app(
    catalogue: Catalogue,
    settings: Settings,
    *,
    clock: Clock,
    rng: random.Random,
    sleep: Sleep = asyncio.sleep,
) -> web.Application:
    """Make the simulator's app; `sleep` is how latency and stalls are waited, for tests on virtual time."""
    simulator = Simulator(catalogue, settings, clock=clock, rng=rng, sleep=sleep)
    app = web.Application(middlewares=[_refusals])
    app[SIMULATOR] = simulator
    app.router.add_post("/api/token", simulator.token)
    for path, endpoint in ENDPOINTS.items():
        # The real API does not mind a slash at the end, and spotipy sends one.
        for spelling in (path, f"{path}/"):
            app.router.add_get(f"/v1{spelling}", simulator.api(endpoint))
    app.router.add_get("/image/{name}", _image)
    app.router.add_get("/_control/calls", _calls)
    app.router.add_post("/_control/faults", _faults)
    app.router.add_post("/_control/reset", _reset_all)
    app.router.add_get("/v1/{rest:.*}", simulator.nowhere)
    return app


class _Refused(Exception):  # noqa: N818 -- carries an answer, is not a fault of ours
    """The call is refused before any endpoint sees it."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refused as refused:
        return refused.response


async def _image(request: web.Request) -> web.Response:
    """A cover: not the Web API's, so it wants no token, knows no limit and is no call."""
    drawn = cover(request.match_info["name"])
    return web.Response(status=404) if drawn is None else web.Response(text=drawn, content_type="image/svg+xml")


async def _calls(request: web.Request) -> web.Response:
    return json_response(request.app[SIMULATOR].report())


async def _faults(request: web.Request) -> web.Response:
    try:
        rules = RULES.validate_json(await request.read())
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return web.json_response(faults[:MOST_TOLD], status=400)
    request.app[SIMULATOR].order(rules)
    return json_response({"rules": len(rules)})


async def _reset_all(request: web.Request) -> web.Response:
    request.app[SIMULATOR].reset()
    return json_response({})


def _faultable(request: web.Request) -> Call:
    query = request.query
    ids = {request.match_info.get("id", ""), *query.get("ids", "").split(",")} - {""}
    limit = query.get("limit", "")
    market = query.get("market") or query.get("country")
    return Call(request.path, market, frozenset(ids), int(limit) if limit.isdecimal() else 0)
