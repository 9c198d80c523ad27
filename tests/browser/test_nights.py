"""The nights that somebody is called for, on the page and in the terminal: one bucket, and every place one looks at."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from eventing.objects import GcsObjectStore
from local.choices import PROJECT, TABLE
from local.processes import LOOPBACK, Supervisor, answers
from local.stack import sole_use
from local.tools import ROOT
from ops import record
from tests import nights
from tests.browser import surf
from tests.browser.conftest import DATASET, PARTIAL, Served
from tests.builders import RUN, TestClock
from tests.commands import releases
from tests.fakes.objects import MemoryObjectStore

pytestmark = [pytest.mark.browser, pytest.mark.emulator, pytest.mark.asyncio(loop_scope="session")]
BUCKET = "nights"
DAYS = {
    "failed": "2026-12-01",
    "partial": PARTIAL,
    "throttled": "2026-12-03",
    "refused": "2026-12-04",
    "short": "2026-12-05",
}
"""A day for each night: later than any week that the table holds, but for the one whose rows are there in part."""


@dataclass(frozen=True, slots=True)
class Night:
    """Where one looks."""

    url: str
    stack: Path
    images: str


@pytest.fixture(scope="module")
def night(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A bucket with all of them, its dashboard, and the record of its stack."""
    served.store.ensure_bucket(PROJECT, BUCKET)
    asyncio.run(_write_all(served))
    home = tmp_path_factory.mktemp("nights")
    nothing = f"{LOOPBACK}:9"
    told = {
        **{name: served.environment[name] for name in ("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")},
        **dict.fromkeys(
            ("PUBSUB_EMULATOR_HOST", "DATAPROC_EMULATOR_HOST", "SECRET_MANAGER_EMULATOR_HOST"), nothing
        ),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "BUCKET": BUCKET,
        "REGION": "r",
        "BIGQUERY_DATASET": DATASET,
        "BIGQUERY_TABLE": TABLE,
    }
    (home / record.FILE).write_text(
        record.Record(pid=1, home=home, environment=told, services={}).model_dump_json()
    )
    with Supervisor(home / "logs") as supervisor, sole_use(home, lock=record.LOCK):
        port = supervisor.ports.take()
        command: list[str | Path] = [sys.executable, "-m", "dashboard"]
        seen = {**served.environment, "BUCKET": BUCKET, "PORT": str(port)}
        child = supervisor.start("dashboard", command, seen, cwd=ROOT)
        url = f"http://{LOOPBACK}:{port}"
        child.wait_until(answers(f"{url}/health/ready"), within=60)
        yield Night(url, home, served.images)


async def _write_all(served: Served) -> None:
    """Each night's documents under its own date."""
    store = GcsObjectStore(served.store.client(PROJECT), BUCKET)
    for case, day in DAYS.items():
        scene = MemoryObjectStore(TestClock())
        await nights.SCENES[case](scene)
        for name in scene.names():
            body = scene.body(name) or b""
            await store.write(name.replace(RUN, day), body.replace(RUN.encode(), day.encode()))
    await store.aclose()


@pytest.mark.parametrize("case", nights.SCENES)
async def test_a_night_is_told_wherever_one_looks(case: str, chromium: Browser, night: Night) -> None:
    """Cause and next command: on the run's page above all else, beside the grid, over the week, in each command."""
    day = DAYS[case]
    why, then = (told.replace(RUN, day) for told in nights.SAID[case])
    async with surf.sheet(chromium, night.url, images=night.images) as sheet:
        await sheet.visit(f"/runs/{day}")
        for width, height in (surf.DESKTOP, surf.PHONE):
            await sheet.page.set_viewport_size({"width": width, "height": height})
            await expect(sheet.page.locator("#command")).to_be_in_viewport()
            assert await sheet.page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
        beside = sheet.page.locator("#unwell li", has=sheet.page.locator(f'a[href="/runs/{day}"]'))
        for place in (sheet.page.locator("#next"), beside):
            await expect(place).to_contain_text(why)
            await expect(place).to_contain_text(then)
        await sheet.visit("/", week=day)
        over = sheet.page.locator("#banners .banner", has=sheet.page.locator(f'a[href="/runs/{day}"]'))
        await expect(over).to_contain_text(then)
    for words in (("run", "show", day), ("why", day, "DK"), ("run", "watch", day, "--timeout", "1")):
        told = " ".join((await asyncio.to_thread(releases, "--stack", night.stack, *words)).stdout.split())
        assert why in told
        assert f"next: {then.replace('releases', f'releases --stack {night.stack}')}" in told
