"""`python -m tests.browser.picture`: writes docs/images/dashboard.png, and every size to .local/screenshots.

The picture of the README is small and committed; the others are for whoever changes the looks.
"""

import asyncio
import sys
import tempfile
from datetime import date
from pathlib import Path

from playwright.async_api import Browser

from local.tools import ROOT
from tests.browser import surf
from tests.browser.served import dashboard
from tests.browser.surf import DESKTOP, PHONE, WIDE, Theme

_README = ROOT / "docs" / "images" / "dashboard.png"
_SCREENSHOTS = ROOT / ".local" / "screenshots"
_WEEKS = 27
_PARTIAL = date(2026, 10, 5)
"""A week without Sweden."""
_SHOWN = (1280, 1450)
_LIMIT = 300 * 1024  # bytes


async def take(url: str, images: str) -> None:
    """Take all pictures."""
    async with surf.browser() as browser:
        await _readme(browser, url, images)
        for theme in ("light", "dark"):
            for size in (PHONE, DESKTOP, WIDE):
                await _full(browser, url, images, size, "light" if theme == "light" else "dark")


async def _readme(browser: Browser, url: str, images: str) -> None:
    async with surf.sheet(browser, url, images=images, size=_SHOWN) as sheet:
        await sheet.visit()
        _README.parent.mkdir(parents=True, exist_ok=True)
        await sheet.page.screenshot(path=_README)
    size = (await asyncio.to_thread(_README.stat)).st_size
    if size > _LIMIT:
        raise SystemExit(
            f"{_README} has {size / 1024:.0f} KiB, more than the {_LIMIT / 1024:.0f} a README should load"
        )
    sys.stdout.write(f"{_README}: {size / 1024:.0f} KiB\n")


async def _full(browser: Browser, url: str, images: str, size: tuple[int, int], theme: Theme) -> None:
    views = {
        "all": {},
        "denmark": {"market": "DK", "view": "list"},
        "partial": {"week": _PARTIAL.isoformat()},
        "missing": {"week": _PARTIAL.isoformat(), "market": "SE"},
    }
    for name, query in views.items():
        async with surf.sheet(browser, url, images=images, size=size, theme=theme) as sheet:
            await sheet.visit("/", **query)
            file = _SCREENSHOTS / f"{name}-{size[0]}-{theme}.png"
            await sheet.page.screenshot(path=file, full_page=True)
            sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, dashboard(Path(folder), _WEEKS, {_PARTIAL: "SE"}) as served:
        asyncio.run(take(served.url, served.images))
