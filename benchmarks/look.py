"""How long a reader of the dashboard waits, with a year of runs in the table, in a real Chromium.

Cold is the first reader of a server that has just started and has asked the table for nothing. Warm is the next one:
the server has its answers, the browser has nothing. What stands on the page is looked at from outside, frame by frame;
the page's own word is not taken for it, but for the last chart, which only the page knows.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from playwright.async_api import Browser

from benchmarks import report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from tests.browser import surf
from tests.browser.served import Stack, serving, stack

WEEKS: Final[dict[Size, int]] = {"full": 52, "small": 2}
ROUNDS: Final[dict[Size, int]] = {"full": 5, "small": 1}
COLD: Final = 1.5
WARM: Final = 0.5
ALL: Final = 1.0
CHARTS: Final = 2.0
SHIFT: Final = 0.01
SHOWN: Final = 200
"""Releases that the page shows before one asks for more."""
_UNWARMED: Final = "benchmarks.subjects.dashboard"
_WATCH: Final = """
window.looked = {shift: 0};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) looked.shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
// A timer that is set in a frame is due when that frame is painted.
const see = (name, isThere) => isThere && setTimeout(() => (looked[name] ??= performance.now() / 1000));
function watch() {
  const rows = document.getElementById("rows");
  const last = rows && rows.lastElementChild;
  see("first", looked.first || (last && last.getBoundingClientRect().bottom > innerHeight));
  see("all", last && rows.childElementCount >= SHOWN);
  see("charts", last && document.querySelector("main[data-drawn]"));
  if (!looked.charts) requestAnimationFrame(watch);
}
requestAnimationFrame(watch);
""".replace("SHOWN", str(SHOWN))
_TOLD: Final = """async () => {
  while (!looked.charts) await new Promise(requestAnimationFrame);
  const [page] = performance.getEntriesByType("navigation");
  const before = performance.getEntriesByType("resource").filter((one) => one.responseEnd < looked.first * 1000);
  return {...looked, html: page.encodedBodySize, requests: before.length};
}"""


def measure(size: Size) -> Figures:
    """A server of its own for each round: its first reader, then its second."""
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), WEEKS[size]) as behind:
        rounds = asyncio.run(_rounds(behind, ROUNDS[size]))
        return {"weeks": WEEKS[size], "rows": behind.rows, "rounds": rounds}


async def _rounds(behind: Stack, count: int) -> list[dict[str, Any]]:
    async with surf.browser() as browser:
        return [await _round(browser, behind) for _ in range(count)]


async def _round(browser: Browser, behind: Stack) -> dict[str, Any]:
    with serving(behind, _UNWARMED) as url:
        load = os.getloadavg()[0]
        cold, warm = [await look(browser, url, behind.images) for _ in range(2)]
    print(f"  cold {cold['first']:.2f} s, warm {warm['first']:.2f} s, charts {warm['charts']:.2f} s", flush=True)
    return {"load": load, "cold": cold, "warm": warm}


async def look(browser: Browser, url: str, images: str) -> dict[str, float]:
    """One reader who has never been here: seconds from the address to what stands there."""
    async with surf.sheet(browser, url, images=images) as sheet:
        await sheet.page.add_init_script(_WATCH)
        await sheet.page.goto(f"{url}/", wait_until="commit")
        await sheet.drawn()
        found: dict[str, float] = await sheet.page.evaluate(_TOLD)
        return found


# --- what the figures say: pure --------------------------------------------------------------------------------


def middle(figures: Figures, reader: str, what: str) -> float:
    """The median of the rounds."""
    return float(median(one[reader][what] for one in figures["rounds"]))


def claims(figures: Figures) -> Sequence[Claim]:
    """What a reader waits for, and that nothing moves meanwhile."""
    promised = (
        ("first look at a year of runs, the server has asked for nothing", "cold", "first", COLD),
        ("first look, the server has its answers", "warm", "first", WARM),
        (f"{SHOWN} releases on the page", "warm", "all", ALL),
        ("every chart of the week", "warm", "charts", CHARTS),
    )
    shift = max(one[reader]["shift"] for one in figures["rounds"] for reader in ("cold", "warm"))
    return [
        *(_claim(what, middle(figures, reader, field), limit) for what, reader, field, limit in promised),
        Claim(
            what="what moves while the page comes (layout shift)",
            ours=f"{shift:.3f}",
            target=f"below {SHIFT}",
            held=shift < SHIFT,
        ),
    ]


def _claim(what: str, seconds: float, limit: float) -> Claim:
    return Claim(what=what, ours=f"{seconds:.2f} s", target=f"below {limit} s", held=seconds < limit)


def section(figures: Figures) -> str:
    """The section of the page."""
    readers = (("cold", "nothing kept by the server"), ("warm", "the server has its answers"))
    rows = [
        [told, *(f"{middle(figures, reader, what):.2f}" for what in ("first", "all", "charts"))]
        for reader, told in readers
    ]
    loads = [one["load"] for one in figures["rounds"]]
    return f"""
{figures["weeks"]} weeks, {figures["rows"]:,} rows behind the BigQuery emulator; a Chromium that keeps nothing,
1280 by 900. Seconds from the address to what is painted, the median of {len(figures["rounds"])} rounds, each with
a server of its own; load average {min(loads):.1f} to {max(loads):.1f}.

{report.table(("reader", "releases and their covers' places", f"{SHOWN} releases", "every chart"), rows)}

The page itself has {middle(figures, "warm", "html") / 1000:.0f} kB; {middle(figures, "warm", "requests"):.0f} more
answers come before the releases stand.
"""


BENCHMARK = Benchmark(
    name="look", title="A first look at the dashboard", measure=measure, claims=claims, section=section
)
