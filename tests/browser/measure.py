"""`python -m tests.browser.measure [WEEKS]`: how long the page takes with a year of runs, in a real browser.

Prints figures and asserts nothing: they are this machine's, under whatever else it does.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.browser import surf
from tests.browser.served import dashboard

_YEAR = 53
_LOOKS = 5


async def measure(url: str, images: str) -> dict[str, Any]:
    """Seconds from the address to everything drawn: with nothing kept by the server, and then again and again."""
    async with surf.browser() as browser:
        first, *again = [await _look(browser, url, images) for _ in range(_LOOKS + 1)]
        switch = await _switch(browser, url, images)
    return {
        "first_look": {"figures_seconds": first[0], "charts_seconds": first[1]},
        "look_median": {
            "figures_seconds": statistics.median(look[0] for look in again),
            "charts_seconds": statistics.median(look[1] for look in again),
        },
        "look_worst": {
            "figures_seconds": max(look[0] for look in again),
            "charts_seconds": max(look[1] for look in again),
        },
        "other_market_seconds": switch,
    }


async def _look(browser: Browser, url: str, images: str) -> tuple[float, float]:
    """Until the releases and the headline figures stand there, and until every chart is drawn."""
    async with surf.sheet(browser, url, images=images) as sheet:
        started = time.monotonic()
        await sheet.page.goto(f"{url}/", wait_until="commit")
        await sheet.page.locator("main[data-shown]").wait_for()
        figures = round(time.monotonic() - started, 2)
        await sheet.drawn()
        return figures, round(time.monotonic() - started, 2)


async def _switch(browser: Browser, url: str, images: str) -> float:
    async with surf.sheet(browser, url, images=images) as sheet:
        await sheet.visit()
        started = time.monotonic()
        await sheet.page.select_option("#market", "DK")
        await sheet.page.wait_for_function("() => document.querySelector('h1').textContent.endsWith('Denmark')")
        return round(time.monotonic() - started, 2)


def main(arguments: list[str]) -> None:
    """Start, load, look, print."""
    weeks = int(arguments[0]) if arguments else _YEAR
    with tempfile.TemporaryDirectory() as folder, dashboard(Path(folder), weeks) as served:
        figures = {
            "weeks": weeks,
            "rows": served.rows,
            **asyncio.run(measure(served.url, served.images)),
            "cpus": os.cpu_count(),
        }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
