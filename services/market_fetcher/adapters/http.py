"""One HTTP exchange with Spotify through aiohttp; judges nothing and retries nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import aiohttp

from services.market_fetcher.decisions import Answer

_BODY_MOST = 32 * 1024 * 1024  # bytes; twenty albums of fifty tracks with their market lists take about 2 MiB


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = None


class Unreachable(Exception):  # noqa: N818 -- it says what the service is
    """There is no answer, or not a whole one."""


class Send(Protocol):
    """Sends a request; raises `Unreachable` where no whole answer comes back."""

    async def __call__(self, request: Request) -> Answer:
        """The answer, read whole."""
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds of one call."""

    connect: timedelta
    read: timedelta
    total: timedelta

    def for_aiohttp(self) -> aiohttp.ClientTimeout:
        """As the library takes them."""
        return aiohttp.ClientTimeout(
            total=self.total.total_seconds(),
            sock_connect=self.connect.total_seconds(),
            sock_read=self.read.total_seconds(),
        )


class HttpSend:
    """A `Send` on an aiohttp session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(self, request: Request) -> Answer:
        """See `Send`. Redirects are not followed: they would take the token elsewhere."""
        try:
            async with self._session.request(
                request.method,
                request.url,
                params=request.params,
                headers=request.headers,
                data=request.form,
                allow_redirects=False,
            ) as response:
                body = await _whole(response)
                return Answer(response.status, body, response.headers.get("Retry-After"))
        except TimeoutError:
            raise Unreachable("no answer in time") from None
        except aiohttp.ClientError as error:
            raise Unreachable(type(error).__name__) from error


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > _BODY_MOST:
            raise Unreachable(f"a body of more than {_BODY_MOST} bytes")
    return bytes(body)
