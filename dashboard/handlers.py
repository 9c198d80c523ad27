"""What is answered on which path. Every answer carries the headers that keep the page to itself."""

import asyncio
import gzip
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from contracts.names import is_run_id
from contracts.wording import shown
from dashboard import files
from dashboard.library import Library, UnknownReleaseError, UnknownWeekError
from dashboard.page import (
    CHART_LIBRARY,
    FIRST,
    ICON,
    SCRIPTS,
    STYLES,
    Assets,
    Told,
    fault_page,
    served_page,
    version_of,
)
from dashboard.runs import Runs
from eventing.errors import Permanent, Retryable

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Find = Callable[[web.Request], Awaitable[Any]]

HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"  # an asset's address changes with its content
_PACKED: Final = 64
"""Texts that are kept as they are sent: pages, assets, and the documents that were asked for last."""
_ID: Final = re.compile(r"[0-9A-Za-z]{22}")
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handlers act through."""

    library: Library
    runs: Runs
    assets: Assets
    told: Told
    ready: Mapping[str, Check]


def routes(ports: Ports) -> list[web.RouteDef]:
    """Every path there is."""
    runs = _page(served_page(ports.assets, "runs", ports.told))
    return [
        web.get("/", _data_page(ports)),
        web.get("/runs", runs),
        web.get("/runs/{run}", runs),
        web.get("/assets/{name}", _asset(ports.assets)),
        web.get("/api/weeks", _document(lambda _request: ports.library.weeks())),
        web.get("/api/weeks/newest", _document(lambda _request: ports.library.newest())),
        web.get("/api/weeks/{week}", _document(lambda request: _week(request, ports.library.week))),
        web.get("/api/weeks/{week}/figures", _document(_unless("figures", ports, _figures(ports)))),
        web.get("/api/history", _document(_unless("figures", ports, lambda _request: ports.library.history()))),
        web.get("/api/albums/{id}", _document(lambda request: _single(request, ports.library.album))),
        web.get("/api/artists/{id}", _document(_unless("artists", ports, _artist(ports)))),
        web.get("/data/{week}/{name}", _unless("data", ports, _file(ports))),
        web.get("/api/runs", _document(lambda _request: ports.runs.all())),
        web.get("/api/runs/{run}", _document(lambda request: _run(ports.runs, request))),
        web.get("/health/live", _live),
        web.get("/health/ready", _ready(ports.ready)),
    ]


_ASK_AGAIN_SECONDS = 10
"""What a client that asks over HTTP is told to wait; table and bucket are seldom away for longer."""


def guard(ports: Ports) -> Any:
    """The middleware with what an operator decided."""
    headers = {**HEADERS, "Content-Security-Policy": ports.told.policy}

    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Add the headers to every answer."""
        response = await _answered(request, handler, partial(_fault, request, ports.assets))
        response.headers.update(headers)
        return response

    return guarded


async def _answered(
    request: web.Request, handler: _Handler, fault: Callable[[int, str], web.Response]
) -> web.StreamResponse:
    """Tell faults in words. The process's one broad except."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        nowhere = request.match_info.http_exception is error and error.status == HTTPStatus.NOT_FOUND
        reason = f"there is nothing at {shown(request.path)}" if nowhere else error.text or error.reason
        response = fault(error.status, reason)
    except Retryable as error:
        log.warning("not_answered", extra={"path": request.path, "reason": str(error)})
        response = fault(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        response.headers["Retry-After"] = str(_ASK_AGAIN_SECONDS)
    except Permanent as error:
        log.error("unreadable", extra={"path": request.path, "reason": str(error)})
        response = fault(HTTPStatus.BAD_GATEWAY, str(error))
    except Exception:
        log.exception("unexpected", extra={"path": request.path})
        response = fault(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected fault; the dashboard's log tells more")
    return response


def _fault(request: web.Request, assets: Assets, status: int, reason: str) -> web.Response:
    """JSON that a script can show; a page for whoever followed a link."""
    if "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/"):
        return web.Response(text=fault_page(assets, status, reason), status=status, content_type="text/html")
    return web.json_response({"fault": reason}, status=status)


@dataclass(frozen=True, slots=True)
class _Packed:
    body: bytes
    zipped: bytes
    tag: str


@lru_cache(maxsize=_PACKED)
def _packed(text: str) -> _Packed:
    """What goes over the wire, made once for all who ask: a table that has changed is another text."""
    body = text.encode()
    return _Packed(body, gzip.compress(body, compresslevel=6), hashlib.sha256(body).hexdigest()[:32])


def _sent(request: web.Request, text: str, content_type: str, *, kept: str = "no-cache") -> web.Response:
    """A text, or only word that it is still the one that the asker has."""
    packed = _packed(text)
    headers = {"Cache-Control": kept, "ETag": f'W/"{packed.tag}"', "Vary": "Accept-Encoding"}
    if any(known.value == packed.tag for known in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    is_zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    if is_zipped:
        headers["Content-Encoding"] = "gzip"
    body = packed.zipped if is_zipped else packed.body
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)


def _page(html: str) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        return _sent(request, html, "text/html")

    return answer


def _data_page(ports: Ports) -> _Handler:
    newest, other = (_page(served_page(ports.assets, "data", ports.told, ahead)) for ahead in (FIRST, FIRST[:1]))

    async def answer(request: web.Request) -> web.StreamResponse:
        is_other = {"week", "album", "artist"} & request.query.keys()
        return await (other if is_other else newest)(request)

    return answer


def _asset(assets: Assets) -> _Handler:
    offered = {STYLES, ICON, CHART_LIBRARY, *SCRIPTS}
    versions = {name: version_of(assets, name) for name in offered}
    for name in offered:
        _packed(assets[name])  # before a reader waits for it

    async def answer(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in offered:
            raise web.HTTPNotFound(text=f"there is no asset {shown(name)}")
        kept = _FOR_EVER if request.query_string == versions[name] else "no-cache"
        return _sent(request, assets[name], _TYPES[name.rpartition(".")[2]], kept=kept)

    return answer


def _document(find: _Find) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        return _sent(request, json.dumps(await find(request)), "application/json")

    return answer


def _unless(part: str, ports: Ports, find: _Find) -> _Find:
    """What an operator left out is not there."""
    if part not in ports.told.left_out:
        return find

    async def refuse(_request: web.Request) -> Any:
        raise web.HTTPNotFound(text=f"{part} are left out here (LEAVE_OUT)")

    return refuse


async def _week(request: web.Request, find: Callable[[date], Awaitable[Any]]) -> Any:
    text = request.match_info["week"]
    if not is_run_id(text):
        reason = f"{shown(text)} is not a week; a week is a date, written as 2026-11-23: /api/weeks names all"
        raise web.HTTPNotFound(text=reason)
    try:
        return await find(date.fromisoformat(text))
    except UnknownWeekError as error:
        raise web.HTTPNotFound(text=str(error)) from None


def _figures(ports: Ports) -> _Find:
    return lambda request: _week(request, ports.library.figures)


def _artist(ports: Ports) -> _Find:
    async def find(request: web.Request) -> Any:
        found = await _single(request, ports.library.artist)
        return {**found, "reach": []} if "figures" in ports.told.left_out else found

    return find


async def _single(request: web.Request, find: Callable[[str], Awaitable[Any]]) -> Any:
    text = request.match_info["id"]
    if not _ID.fullmatch(text):
        raise web.HTTPNotFound(text=f"{shown(text)} is no id of Spotify's; one has 22 letters and digits")
    try:
        return await find(text)
    except UnknownReleaseError as error:
        raise web.HTTPNotFound(text=str(error)) from None


def _file(ports: Ports) -> _Find:
    sets = [files.RELEASES] if "figures" in ports.told.left_out else [*files.SETS]

    async def answer(request: web.Request) -> web.Response:
        name, _, kind = request.match_info["name"].rpartition(".")
        if name not in sets or kind not in files.KINDS:
            offered = f"{', '.join(sets)}, each as {', '.join(files.KINDS)}"
            raise web.HTTPNotFound(text=f"there is no {shown(request.match_info['name'])}; there are {offered}")
        rows = await _week(request, lambda week: files.rows_of(name, week, ports.library))
        body = await asyncio.to_thread(files.KINDS[kind].write, rows)
        saved = f"new-releases-{request.match_info['week']}-{name}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{saved}"', "Cache-Control": "no-store"}
        return web.Response(body=body, content_type=files.KINDS[kind].content_type, headers=headers)

    return answer


async def _run(runs: Runs, request: web.Request) -> Any:
    text = request.match_info["run"]
    found = await runs.one(text) if is_run_id(text) else None
    if found is None:
        reason = (
            f"there is no run {shown(text)}; a run is a date, written as 2026-11-23: /api/runs names the newest"
        )
        raise web.HTTPNotFound(text=reason)
    return found


async def _live(_request: web.Request) -> web.Response:
    return web.json_response({"live": True})


def _ready(checks: Mapping[str, Check]) -> _Handler:
    async def answer(_request: web.Request) -> web.Response:
        failures = {}
        for name, check in checks.items():
            try:
                await check()
            except Retryable as error:
                failures[name] = str(error)
        return web.json_response({"ready": not failures, "failures": failures}, status=503 if failures else 200)

    return answer
