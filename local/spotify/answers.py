"""What the simulator puts on the wire: good answers, errors in Spotify's two forms, and answers spoilt on purpose.

Not here: when which is given (`app`), and what a good answer holds (`endpoints`).
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

from aiohttp import web

from local.spotify.alterations import alter
from local.spotify.endpoints import ApiError
from local.spotify.faults import Fault, Rule
from local.spotify.limits import Refusal
from local.spotify.shapes import Json

# Spotify sends letters as UTF-8, not as escapes.
json_response = partial(web.json_response, dumps=partial(json.dumps, ensure_ascii=False))
_WEB_PAGE: Final = "<!DOCTYPE html><html><body><h1>Upstream connect error</h1></body></html>"
_MESSAGES: Final = {
    401: "The access token expired",
    429: "API rate limit exceeded",
    500: "Server error.",
    502: "Bad gateway.",
    503: "Service temporarily unavailable",
    504: "Gateway timeout",
}


class TokenError(Exception):
    """The accounts service refuses."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


def made(make: Callable[[], Json], faults: Sequence[Fault]) -> web.Response:
    """What the endpoint makes, or its error, altered as ordered."""
    try:
        body = make()
        for fault in faults:
            alter(fault, body)
    except ApiError as error:
        return error_answer(error)
    except TokenError as error:
        return json_response({"error": error.error, "error_description": error.description}, status=400)
    return json_response(body)


def spoilt(rule: Rule, response: web.Response) -> web.Response:
    """A web page in its place, or half of it."""
    if rule.effect == "non_json":
        return web.Response(text=_WEB_PAGE, content_type="text/html")
    text = response.text or ""
    return web.Response(status=response.status, text=text[: len(text) // 2], content_type="application/json")


async def cut_off(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Send the head and half of the body, then cut the connection."""
    body = (whole.text or "").encode()
    cut = web.StreamResponse(status=whole.status, headers={"Content-Type": "application/json"})
    cut.content_length = len(body)
    await cut.prepare(request)
    # The client may be gone already; then there is nothing left to cut.
    with suppress(ConnectionError):
        await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return cut


def error_answer(error: ApiError, headers: dict[str, str] | None = None) -> web.Response:
    """An error in the Web API's form."""
    return json_response(error.body(), status=error.status, headers=headers)


def unauthorized(message: str) -> web.Response:
    """The token is none, wrong or old."""
    challenge = f'Bearer realm="spotify", error="invalid_token", error_description="{message}"'
    return error_answer(ApiError(401, message), {"WWW-Authenticate": challenge})


def too_many(refusal: Refusal) -> web.Response:
    """A limit is exceeded."""
    error = (
        ApiError(429, "Too many requests", reason="QUOTA_EXCEEDED")
        if refusal.reason == "QUOTA_EXCEEDED"
        else ApiError(429, "API rate limit exceeded")
    )
    return error_answer(error, {"Retry-After": str(refusal.retry_after)})


def failure(fault: Fault, now: datetime) -> web.Response:
    """The error that is ordered in place of an answer."""
    rule, after = fault.rule, fault.retry_after(now)
    if rule.effect == "too_large":
        return error_answer(ApiError(400, "Invalid limit"))
    headers = {} if after is None else {"Retry-After": after}
    status = rule.status or 500
    if rule.text is not None:
        return web.Response(status=status, text=rule.text, headers=headers)
    return error_answer(ApiError(status, _MESSAGES.get(status, "Error"), reason=rule.reason), headers)
