"""Spotify behind a proxy: the standard variables are heeded, and a proxy's password is told to nobody."""

import asyncio
import base64
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from contracts.faults import ContractError
from eventing.settings import load
from services.market_fetcher.adapters.http import HttpSend, Proxies, Request, Unreachable
from services.market_fetcher.settings import Settings
from services.market_fetcher.wiring import _spotify_http

PASSWORD = "pass#w/rd"
LOGIN = "user:pass%23w%2Frd@"
EVERY = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
TOLD = {
    "GOOGLE_CLOUD_PROJECT": "p",
    "BUCKET": "b",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
    "SPOTIFY_CLIENT_ID": "id",
    "SPOTIFY_CLIENT_SECRET": "secret",
}


@pytest.fixture(autouse=True)
def _no_proxy_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EVERY:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Proxy:
    """A proxy that tells what it was asked; it lets through what is not encrypted, as if the answer were there."""

    def __init__(self, port: int, heads: list[str]) -> None:
        self.heads = heads
        self.at = f"127.0.0.1:{port}"
        self.url = f"http://{LOGIN}{self.at}"


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy on loopback; it refuses tunnels."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status = "407 Not You" if heads[-1].startswith("CONNECT") else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Proxy(server.sockets[0].getsockname()[1], heads)


async def asked(url: str) -> int:
    """The status of one request of the fetcher as it is wired."""
    async with _spotify_http(load(Settings, TOLD)) as send:
        return (await send(Request("GET", url))).status


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
async def test_spotify_is_asked_through_the_proxy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's only way out is its proxy; the host's name is for the proxy to resolve."""
    async with proxy() as found:
        monkeypatch.setenv(name, found.at)  # without http://, as many write it
        assert await asked("http://api.music.invalid/v1/search") == 200
    assert found.heads[0].startswith("GET http://api.music.invalid/v1/search HTTP/1.1\r\n")


async def test_an_excepted_host_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY holds: the simulator, and whatever a company has inside."""
    async with proxy() as found, proxy() as inside:
        monkeypatch.setenv("HTTP_PROXY", found.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert await asked(f"http://{inside.at}/v1/search") == 200
    assert (len(found.heads), len(inside.heads)) == (0, 1)


async def test_a_proxy_s_password_goes_to_the_proxy_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The tunnel is asked for with the login; a refused one is told without it, down to the last cause."""
    caplog.set_level("DEBUG")
    async with proxy() as found:
        monkeypatch.setenv("HTTPS_PROXY", found.url)
        with pytest.raises(Unreachable) as refused:
            await asked("https://api.music.invalid/v1/search")
    login = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    assert found.heads[0].startswith("CONNECT api.music.invalid:443 ")
    assert f"Proxy-Authorization: Basic {login}" in found.heads[0]
    with pytest.raises(Unreachable) as gone:
        await asked("https://api.music.invalid/v1/search")
    told = caplog.text + "".join(
        text for error in (refused, gone) for text in traceback.format_exception(error.value)
    )
    assert [
        line for line in told.splitlines() if any(secret in line for secret in (PASSWORD, "pass%23", login))
    ] == []
    assert "Basic" not in repr(Proxies.of({"https": found.url}))


@pytest.mark.parametrize("url", ["socks5://h:1", "http://user:secret#1@h:3128", "http://:1", "http://h:word"])
def test_an_address_that_is_no_proxy_s_is_refused_at_start(url: str) -> None:
    """The variable is named and the remedy, not the value: what is wrong with it may be its password."""
    with pytest.raises(ContractError) as refused:
        Proxies.of({"https": url, "http": "http://h:1"})
    assert [fault.field for fault in refused.value.faults] == ["HTTPS_PROXY"]
    assert "http://HOST:PORT" in str(refused.value)
    assert url not in str(refused.value)


async def test_a_login_of_a_netrc_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """A person's `.netrc` has nothing to do with Spotify; aiohttp would refuse a request that has both."""
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: ASYNC230, PTH123 -- a line
        file.write("default login me password mine\n")
    monkeypatch.setenv("NETRC", netrc)
    async with proxy() as found, aiohttp.ClientSession() as session:
        send = HttpSend(session, Proxies.of({"http": found.url}))
        await send(Request("GET", "http://api.music.invalid/", headers={"Authorization": "Bearer token"}))
    assert "\r\nAuthorization: Bearer token\r\n" in found.heads[0]
    assert "\r\nProxy-Authorization: Basic " in found.heads[0]
