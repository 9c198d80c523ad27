"""One HTTP exchange with Spotify through aiohttp; judges nothing and retries nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, Self
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
from yarl import URL

from contracts.faults import ContractError, Fault
from services.market_fetcher.decisions import Answer

_NO_PROXY = (
    "is not the address of an HTTP proxy; write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with letters such "
    "as # and / in them written as %23 and %2F"
)
_MOST_BODY_BYTES = 32 * 1024 * 1024  # twenty albums of fifty tracks with their market lists take about 2 MiB


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


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Its login is kept apart from its address, which errors of the library tell."""

    url: URL
    login: Mapping[str, str] = field(repr=False)

    @classmethod
    def at(cls, address: str) -> Self:
        """Read an address; `proxy:3128` is one too, as everywhere else.

        Raises:
            ValueError: it is not an HTTP proxy's.
        """
        url = URL(address if "://" in address else f"http://{address}")
        if url.scheme != "http" or not url.host:
            raise ValueError("no HTTP proxy")
        login = aiohttp.encode_basic_auth(url.user or "", url.password or "") if url.user else None
        return cls(url.origin(), {"Proxy-Authorization": login} if login else {})


@dataclass(frozen=True, slots=True)
class Proxies:
    """The way out that the standard variables name."""

    by_scheme: Mapping[str, Proxy]

    @classmethod
    def of(cls, found: Mapping[str, str]) -> Self:
        """Read what `urllib.request.getproxies` found.

        Raises:
            ContractError: an address is not an HTTP proxy's; names only its variable, since it may carry a password.
        """
        proxies: dict[str, Proxy] = {}
        faults = []
        for scheme in ("http", "https", "all"):
            try:
                proxies |= {scheme: Proxy.at(found[scheme])} if scheme in found else {}
            except ValueError:
                faults.append(Fault(f"{scheme.upper()}_PROXY", _NO_PROXY))
        if faults:
            raise ContractError(faults)
        return cls(proxies)

    def of_url(self, url: str) -> Proxy | None:
        """The proxy on the way there; none for what NO_PROXY excepts."""
        to = urlsplit(url)
        return None if proxy_bypass(to.netloc) else self.by_scheme.get(to.scheme, self.by_scheme.get("all"))


class HttpSend:
    """A `Send` on an aiohttp session.

    The session's own `trust_env` would also take logins from a `.netrc`, where ours is a token.
    """

    def __init__(self, session: aiohttp.ClientSession, proxies: Proxies) -> None:
        self._session = session
        self._proxies = proxies

    async def __call__(self, request: Request) -> Answer:
        """See `Send`. Redirects are not followed: they would take the token elsewhere."""
        try:
            async with self._session.request(
                request.method,
                request.url,
                params=request.params,
                data=request.form,
                allow_redirects=False,
                **self._way(request),
            ) as response:
                body = await _whole(response)
                return Answer(response.status, body, response.headers.get("Retry-After"))
        except TimeoutError:
            raise Unreachable("no answer in time") from None
        except aiohttp.ClientError as error:
            raise Unreachable(type(error).__name__) from error

    def _way(self, request: Request) -> dict[str, Any]:
        """The request's headers and its way out."""
        proxy = self._proxies.of_url(request.url)
        if proxy is None:
            return {"headers": request.headers}
        # The proxy of a tunnel sees none of the request's headers, and that of no tunnel sees no others.
        own = proxy.login if request.url.startswith("http:") else {}
        return {"headers": {**request.headers, **own}, "proxy": proxy.url, "proxy_headers": proxy.login}


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > _MOST_BODY_BYTES:
            raise Unreachable(f"a body of more than {_MOST_BODY_BYTES} bytes")
    return bytes(body)
