"""The pages as a site: opened from the folder, they show and find everything without the net."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from local.tools import ROOT
from tests.browser import surf
from tests.browser.surf import Sheet

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("npm") is None, reason="npm is not installed: the site's own scripts are not here"
    ),
]
in_the_session = pytest.mark.asyncio(loop_scope="session")
SITE = ROOT / ".local/site"


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    done = subprocess.run(["make", "-s", "site"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607 -- from the PATH
    assert done.returncode == 0, done.stdout + done.stderr


@pytest_asyncio.fixture(loop_scope="session")
async def sheet(chromium: Browser) -> AsyncIterator[Sheet]:
    """The page with the diagram, with every request but for files refused, and counted."""
    async with surf.sheet(chromium, home="") as opened:
        await opened.page.context.set_offline(offline=True)
        await opened.page.goto((SITE / "ARCHITECTURE.html").as_uri())
        yield opened
        assert opened.complaints == []
        assert opened.strangers == []


@in_the_session
async def test_a_diagram_is_drawn_without_the_net(sheet: Sheet) -> None:
    """The theme would ask a third party for the script, and show a reader on a train nothing but its source."""
    drawn = sheet.page.locator("div.mermaid")
    await drawn.wait_for()
    box = await drawn.bounding_box()
    assert box is not None
    assert box["height"] > 300
    assert await sheet.page.locator("pre.mermaid").count() == 0


@in_the_session
async def test_a_word_is_found_without_the_net(sheet: Sheet) -> None:
    """A file may start no worker, so that the search, too, needs a script of its own."""
    await sheet.page.locator("input[name=query]").fill("quarantine")
    await sheet.page.locator(".md-search-result__item").first.wait_for()


def test_no_page_asks_anybody_for_a_script_or_a_style() -> None:
    """What one page does not, another might: every page is looked at."""
    pages = sorted(SITE.rglob("*.html"))
    asked = re.compile(r'<(?:script|link rel="(?:stylesheet|preconnect)")[^>]*(?:src|href)="(https?:[^"]*)')
    assert len(pages) > 30
    assert {page.name: found for page in pages if (found := asked.findall(page.read_text(encoding="utf-8")))} == {}
