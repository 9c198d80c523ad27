"""What an operator decided, in a real browser: what is left out is nowhere, and only the named sites frame the page."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from dashboard import files
from local.processes import Supervisor
from local.tools import ROOT
from tests.browser import surf
from tests.browser.conftest import Served
from tests.browser.served import started
from tests.browser.surf import Sheet
from tests.browser.test_data_page import WEEK, serious

pytestmark = [pytest.mark.browser, pytest.mark.emulator, pytest.mark.asyncio(loop_scope="session")]

INTRANET, STRANGER = "https://intranet.example", "https://stranger.example"
DECIDED = {"LEAVE_OUT": "covers,figures,artists,comparison,data", "EMBED_IN": INTRANET}
LOGO = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI5IiBoZWlnaHQ9IjMiLz4="
LEFT_OUT = ("img", "#figures", "#compare", "a[href*='artist=']", "a[href*='/data/']", "[data-figure]", "text=CSV")


@pytest.fixture(scope="module")
def decided(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same data behind a dashboard of which every part is left out, and which one site may frame."""
    with Supervisor(tmp_path_factory.mktemp("decided")) as supervisor:
        yield started(supervisor, {**served.environment, **DECIDED})


async def shows_only_releases(page: Page) -> None:
    """No part that can be left out is to be seen."""
    for part in LEFT_OUT:
        await expect(page.locator(part).locator("visible=true")).to_have_count(0)


async def test_what_is_left_out_is_on_no_page(chromium: Browser, decided: str) -> None:
    """Neither with the releases nor on the page of one of them, whose artists are names alone."""
    async with surf.sheet(chromium, decided) as sheet:
        await sheet.visit(market="DK")
        await expect(sheet.page.locator("#rows .release")).to_have_count(50)
        await shows_only_releases(sheet.page)
        await sheet.page.locator("#rows .name a").first.click()
        await expect(sheet.page.locator("#single-title")).to_be_visible()
        await sheet.drawn()
        await shows_only_releases(sheet.page)
        assert (sheet.complaints, sheet.strangers) == ([], [])


async def test_without_data_to_take_along_no_button_makes_a_file(chromium: Browser, served: Served) -> None:
    """The figures stay, and so do their tables; nothing gives them away as a file."""
    async with surf.sheet(chromium, served.url, images=served.images) as sheet:

        async def without_data(route: Route) -> None:
            page = await (await route.fetch()).text()
            await route.fulfill(
                body=page.replace('"left_out":[]', '"left_out":["data"]'), content_type="text/html"
            )

        await sheet.page.route(f"{served.url}/?*", without_data)
        await sheet.visit(market="DK")
        assert await sheet.figure("weekdays")
        for part in ("a[href*='/data/']", "text=CSV"):
            await expect(sheet.page.locator(part)).to_have_count(0)


async def test_what_is_left_out_is_in_no_answer(chromium: Browser, served: Served, decided: str) -> None:
    """Who asks without the page gets no more: no cover's address, no figure, no artist, no file."""
    async with surf.sheet(chromium, decided) as sheet:
        ask = sheet.page.request.get
        week = await (await ask(f"{decided}/api/weeks/{WEEK}")).json()
        number = {name: at for at, name in enumerate(week["columns"])}
        assert {row[number["image"]] for row in week["releases"]} == {None}
        assert served.images not in str(week)
        artist = week["releases"][0][number["artist_ids"]].split(",")[0]
        hidden = [f"/api/artists/{artist}", "/api/history", f"/api/weeks/{WEEK}/figures"]
        hidden += [f"/data/{WEEK}/{name}.{kind}" for name in files.SETS for kind in files.KINDS]
        assert {(await ask(f"{decided}{path}")).status for path in hidden} == {404}


async def test_what_is_left_out_is_in_no_exported_file(chromium: Browser, served: Served, tmp_path: Path) -> None:
    """The file holds the releases alone, even where covers are asked for."""
    file = await exported(tmp_path, {**served.environment, **DECIDED}, "--covers")
    block = re.search(r'id="documents">(.*?)</script>', file.read_text(encoding="utf-8"))
    assert block
    documents = json.loads(block[1])["documents"]
    assert {re.sub(r"[-\d]{10}", "WEEK", path) for path in documents} == {"weeks", "weeks/WEEK", "covers"}
    assert documents["covers"] == {}
    assert served.images not in block[1]
    async with surf.sheet(chromium, "file://") as sheet:
        await sheet.visit(file.as_uri(), market="DK")
        await expect(sheet.page.locator("#rows .release")).to_have_count(50)
        await shows_only_releases(sheet.page)
        assert (sheet.complaints, sheet.strangers) == ([], [])


async def exported(folder: Path, environment: Mapping[str, str], *arguments: str) -> Path:
    """What `export` writes with these settings."""
    file = folder / "dashboard.html"
    command = [sys.executable, "-m", "dashboard", "export", str(file), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return file


async def test_no_link_of_the_exported_file_leads_nowhere(
    chromium: Browser, served: Served, tmp_path: Path
) -> None:
    """Without a server, titles and artists lead to Spotify's own pages, and all else stays in the file."""
    real = {name: value for name, value in served.environment.items() if name != "SPOTIFY_IMAGES_URL"}
    file = await exported(tmp_path, {**real, "SPOTIFY_LOGO": LOGO})
    async with surf.sheet(chromium, "file://") as sheet:
        await sheet.page.context.set_offline(offline=True)
        await sheet.visit(file.as_uri(), market="DK")
        card = sheet.page.locator("#rows .release").first
        album = await card.get_attribute("data-id")
        await expect(card.locator(".name a")).to_have_attribute("href", f"https://open.spotify.com/album/{album}")
        await expect(card.locator(".by a").first).to_have_attribute(
            "href", re.compile(r"^https://open\.spotify\.com/artist/\w{22}$")
        )
        assert await dead_links(sheet.page) == []
        assert (
            await sheet.page.locator("#source img").evaluate("one => one.decode().then(() => one.naturalWidth)")
            == 9
        )
        assert await serious(sheet.page) == []
        assert (sheet.complaints, sheet.strangers) == ([], [])


async def dead_links(page: Page) -> list[str]:
    """Links that one can see and that lead neither to Spotify nor to a place of the page itself."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("a")].filter((one) => one.checkVisibility())
          .map((one) => one.getAttribute("href") || "").filter((to) => !/^https:..open.spotify.com/.test(to))
          .filter((to) => !(to.startsWith("#") && document.querySelector(to)))"""
    )
    return found


async def framed(sheet: Sheet, site: str, address: str) -> None:
    """Open a page of that site that shows the dashboard in a frame."""

    async def embedding(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=f'<iframe src="{address}" width="900" height="600">')

    await sheet.page.route(f"{site}/", embedding)
    await sheet.page.goto(f"{site}/")


async def test_a_site_that_is_named_may_frame_the_page(chromium: Browser, decided: str) -> None:
    """It works there as by itself, without the bar on top; what leads out of it opens beside it."""
    async with surf.sheet(chromium, decided) as sheet:
        await framed(sheet, INTRANET, f"{decided}/?embed=1&market=DK")
        inside = sheet.page.frame_locator("iframe")
        await expect(inside.locator("#rows .release")).to_have_count(50)
        await expect(inside.locator(".bar")).to_be_hidden()
        await expect(inside.locator("#banners a").first).to_have_attribute("target", "_blank")
        await inside.locator("#q").fill("no such title anywhere")
        await expect(inside.locator("#none")).to_be_visible()
        assert sheet.complaints == []


async def test_a_site_that_is_not_named_may_not_frame_the_page(chromium: Browser, decided: str) -> None:
    """The browser itself refuses, and says by which rule."""
    async with surf.sheet(chromium, decided) as sheet:
        async with sheet.page.expect_console_message(lambda told: "frame-ancestors" in told.text):
            await framed(sheet, STRANGER, f"{decided}/?embed=1")
        await expect(sheet.page.frame_locator("iframe").locator("main")).to_have_count(0)
