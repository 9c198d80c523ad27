"""What a reader sees first, in a real browser: it comes before all else, once, and stays where it is."""

import re
from collections import Counter
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Request, expect

from tests.browser import surf
from tests.browser.conftest import PARTIAL, Served
from tests.browser.surf import DESKTOP, PHONE, WIDE, Sheet

pytestmark = [pytest.mark.browser, pytest.mark.emulator, pytest.mark.asyncio(loop_scope="session")]

WATCH = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""
STOOD = """
window.stood = null;
new MutationObserver(() => {
  if (stood || !document.querySelector('script[src*="vega.js"]')) return;
  stood = document.querySelectorAll("#rows .release").length;
}).observe(document, {childList: true, subtree: true});
"""


async def test_charts_are_asked_for_when_the_releases_stand(sheet: Sheet) -> None:
    """The large script of the charts takes nothing from the first look: every release is there before it."""
    await sheet.page.add_init_script(STOOD)
    await sheet.visit()
    assert await sheet.page.evaluate("stood") == await sheet.page.locator("#rows .release").count() > 24


@pytest.mark.parametrize("path", ["/", "/?market=DK", f"/?week={PARTIAL}"])
async def test_nothing_is_asked_for_twice(sheet: Sheet, path: str) -> None:
    """What the page asks ahead for is what its script takes: one request for each address."""
    asked: Counter[str] = Counter()

    def count(request: Request) -> None:
        asked[urlsplit(request.url).path] += 1

    sheet.page.on("request", count)
    await sheet.visit(path)
    assert {path: times for path, times in asked.items() if times > 1 and not path.startswith("/image/")} == {}
    assert asked["/api/weeks"] == 1


@pytest.mark.parametrize("path", ["/", "/?market=DK&view=list", f"/?week={PARTIAL}"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP, WIDE], ids=["phone", "desktop", "wide"])
async def test_nothing_jumps_while_the_page_comes(
    chromium: Browser, served: Served, size: tuple[int, int], path: str
) -> None:
    """What stands somewhere stays there: the browser's own measure of it is next to nothing."""
    async with surf.sheet(chromium, served.url, images=served.images, size=size) as sheet:
        await sheet.page.add_init_script(WATCH)
        await sheet.visit(path)
        assert await sheet.page.evaluate("shift") < 0.01


async def test_a_cell_of_the_heat_map_chooses_its_market(sheet: Sheet) -> None:
    """Drawn on a canvas, its cells have no elements, and are still to be chosen."""
    await sheet.visit()
    canvas = sheet.page.locator('[data-figure="overlap"] canvas')
    box = await canvas.bounding_box()
    assert box is not None
    await canvas.click(position={"x": box["width"] * 0.7, "y": box["height"] * 0.3})
    await expect(sheet.page.locator("h1").first).to_have_text(re.compile("^What is new in "))
