"""A Chromium for tests and pictures, and pages that remember what went wrong in them.

`python -m tests.browser.surf` fetches one where there is none, and says so where that cannot be done.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Playwright, Request, async_playwright

DESKTOP = (1280, 900)
PHONE = (390, 844)
WIDE = (1920, 1080)
Theme = Literal["light", "dark"]
NO_BROWSER = (
    "no Chromium on this machine; install one with `apt-get install chromium`, or with "
    "`.venv/bin/python -m playwright install --with-deps chromium`"
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class NoBrowserError(RuntimeError):
    """There is no Chromium; says how to get one."""


def executable(driver: Playwright) -> str:
    """Chromium from PATH, or the one that Playwright has fetched.

    Raises:
        NoBrowserError: there is neither.
    """
    found = _installed() or driver.chromium.executable_path
    if not Path(found).exists():
        raise NoBrowserError(NO_BROWSER)
    return found


def _installed() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


async def there_is_one() -> bool:
    """Whether `executable` would find one."""
    async with async_playwright() as driver:
        return _installed() is not None or Path(driver.chromium.executable_path).exists()  # noqa: ASYNC240 -- one look


def fetch() -> None:
    """Have Playwright fetch its Chromium, unless there is one."""
    if asyncio.run(there_is_one()):
        return
    print("fetching a Chromium for the tests of the dashboard (once)", flush=True)
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{NO_BROWSER}. Until then tests/browser is skipped: {_last_line(done.stderr or done.stdout)}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no reason was given"


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A Chromium without a window."""
    async with async_playwright() as driver:
        # Inside a container there is no user namespace for its sandbox; it visits nothing but our own page.
        # Its question whether a site may reach this machine would be answered by nobody.
        arguments = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
        launched = await driver.chromium.launch(executable_path=executable(driver), args=arguments)
        try:
            yield launched
        finally:
            await launched.close()


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page, and what went wrong in it."""

    page: Page
    home: str
    complaints: list[str] = field(default_factory=list)
    """Errors in the console, exceptions, refusals of the page's policy."""
    strangers: list[str] = field(default_factory=list)
    """Requests to elsewhere."""

    async def visit(self, path: str = "/", **query: str) -> None:
        """Go there and wait until everything is drawn."""
        address = path if path.startswith("file:") else f"{self.home}{path}"
        given = "&".join(f"{name}={value}" for name, value in query.items())
        await self.page.goto(f"{address}?{given}" if given else address)
        await self.drawn()

    async def drawn(self) -> None:
        """Wait until the page has drawn what its address asks for."""
        await self.page.wait_for_selector("main[data-drawn][aria-busy=false]", state="attached", timeout=60_000)

    async def figure(self, name: str) -> list[list[str]]:
        """The rows of a chart as its own table shows them, opened like a reader would."""
        details = self.page.locator(f'[data-figure="{name}"] details')
        if await details.get_attribute("open") is None:
            await details.locator("summary").click()
        await details.locator("tbody tr").first.wait_for()
        rows: list[list[str]] = await details.locator("tbody").evaluate(
            "body => [...body.rows].map(row => [...row.cells].map(cell => cell.textContent))"
        )
        return rows

    async def value(self, name: str) -> int:
        """A headline figure."""
        text = await self.page.locator(f'[data-value="{name}"]').inner_text()
        return int("".join(letter for letter in text if letter.isdigit()))


@asynccontextmanager
async def sheet(
    browser: Browser,
    home: str,
    *,
    size: tuple[int, int] = DESKTOP,
    theme: Theme = "light",
    images: str = "",
    scripts: bool = True,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Sheet]:
    """A page of its own: nothing remembered, this size, this system theme; covers may come from `images`."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=theme,
        java_script_enabled=scripts,
        extra_http_headers=dict(headers or {}),
    )
    page = await context.new_page()
    seen = Sheet(page, home)

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            seen.complaints.append(message.text)

    def follow(request: Request) -> None:
        address = urlsplit(request.url)
        is_cover = bool(images) and request.url.startswith(f"{images}/") and request.resource_type == "image"
        if address.scheme in ("data", "blob", "file") or is_cover:
            return
        if f"{address.scheme}://{address.netloc}" != home:
            seen.strangers.append(request.url)

    page.on("console", listen)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", follow)
    try:
        yield seen
    finally:
        await context.close()


if __name__ == "__main__":
    fetch()
