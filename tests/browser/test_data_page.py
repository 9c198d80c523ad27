"""The data page in a real browser: what stands on it is what the table says, and everybody can use it."""

import asyncio
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from local.tools import ROOT
from tests.browser import surf
from tests.browser.conftest import FAILED, HOSTILE, MARKETS, Served
from tests.browser.surf import DESKTOP, PHONE, Sheet, Theme
from tests.browser.year import NEWEST

pytestmark = [pytest.mark.browser, pytest.mark.emulator, pytest.mark.asyncio(loop_scope="session")]

WEEK = NEWEST.isoformat()
BEFORE = "2026-11-16"
FIRST = "2026-11-09"

# Written apart from the views, from the table's rows alone.
FIGURES = """
WITH now AS (SELECT DISTINCT market, album_id FROM {table} WHERE load_date = @week),
last AS (SELECT market, MAX(load_date) AS load_date FROM {table} WHERE load_date < @week GROUP BY market),
before AS (
  SELECT DISTINCT rows.market, rows.album_id FROM {table} AS rows
  JOIN last ON last.market = rows.market AND last.load_date = rows.load_date
),
reach AS (SELECT album_id, COUNT(*) AS markets FROM now GROUP BY album_id),
here AS (SELECT DISTINCT album_id FROM now WHERE MARKET_FITS),
tracks AS (
  SELECT album_id, SUM(duration_ms) / COUNT(DISTINCT market) AS ms, COUNT(*) / COUNT(DISTINCT market) AS tracks
  FROM {table} WHERE load_date = @week GROUP BY album_id
)
SELECT
  COUNT(*) AS releases,
  COUNTIF(here.album_id NOT IN (SELECT album_id FROM before WHERE MARKET_FITS)) AS new,
  COUNTIF(reach.markets = 1) AS here,
  COUNTIF(reach.markets = 10) AS everywhere,
  CAST(ROUND(SUM(tracks.ms) / 3600000) AS INT64) AS hours
FROM here JOIN reach ON reach.album_id = here.album_id JOIN tracks ON tracks.album_id = here.album_id
"""


def figures_of(served: Served, market: str | None) -> dict[str, int]:
    fits = "TRUE" if market is None else f"market = '{market}'"
    (row,) = served.ask(FIGURES.replace("MARKET_FITS", fits), week=NEWEST)
    return row


@pytest.mark.parametrize("market", [None, "DK", "CH"])
async def test_headline_figures_are_those_of_the_table(sheet: Sheet, served: Served, market: str | None) -> None:
    """What stands on the page is what SQL counts in the table, for all markets and for one."""
    await sheet.visit(**({} if market is None else {"market": market}))
    expected = figures_of(served, market)
    assert {name: await sheet.value(name) for name in expected} == expected


async def test_charts_show_what_the_table_says(sheet: Sheet, served: Served) -> None:
    """A chart's rows are SQL's rows: kinds, weekdays, overlap of markets, artists, lengths."""
    await sheet.visit(market="DK")
    types = served.ask(
        "SELECT album_type, COUNT(DISTINCT album_id) AS albums FROM {table} "
        "WHERE load_date = @week AND market = 'DK' GROUP BY album_type",
        week=NEWEST,
    )
    shown = {row[0]: int(row[1]) for row in await sheet.figure("types") if row[1] != "0"}
    assert shown == {row["album_type"]: row["albums"] for row in types}
    weekdays = served.ask(
        "SELECT FORMAT_DATE('%A', release_day) AS day, COUNT(DISTINCT album_id) AS albums FROM {table} "
        "WHERE load_date = @week AND market = 'DK' AND release_day IS NOT NULL GROUP BY day",
        week=NEWEST,
    )
    shown = {row[0]: int(row[1]) for row in await sheet.figure("weekdays") if row[1] != "0"}
    assert shown == {row["day"]: row["albums"] for row in weekdays}
    tracks = served.ask("SELECT COUNT(*) AS n FROM {table} WHERE load_date = @week AND market = 'DK'", week=NEWEST)
    assert sum(int(row[1]) for row in await sheet.figure("lengths")) == tracks[0]["n"]


async def test_the_overlap_is_that_of_the_table(sheet: Sheet, served: Served) -> None:
    """The heat map's cells are pairs of markets with the releases that both list."""
    await sheet.visit()
    pairs = served.ask(
        "SELECT COUNT(DISTINCT one.album_id) AS both FROM {table} AS one JOIN {table} AS other "
        "ON one.album_id = other.album_id AND one.load_date = other.load_date "
        "WHERE one.load_date = @week AND one.market = 'DK' AND other.market = 'SE'",
        week=NEWEST,
    )
    shown = {frozenset(row[0].split(" – ")): row[1] for row in await sheet.figure("overlap")}  # noqa: RUF001
    assert len(shown) == len(MARKETS) * (len(MARKETS) - 1) // 2
    assert shown[frozenset({"Denmark", "Sweden"})].startswith(f"{pairs[0]['both']} in common")


async def test_the_history_is_that_of_the_table(sheet: Sheet, served: Served) -> None:
    """New and known releases of each week are told against the run before it."""
    await sheet.visit(market="DK")
    rows = {(row[0], row[1]): int(row[2]) for row in await sheet.figure("history")}
    assert {week for week, _ in rows} == {WEEK, BEFORE, FIRST}
    expected = figures_of(served, "DK")
    assert rows[WEEK, "new"] == expected["new"]
    assert rows[WEEK, "listed before"] == expected["releases"] - expected["new"]


async def test_filters_narrow_table_and_charts_together(sheet: Sheet, served: Served) -> None:
    """A choice in one place holds everywhere but in the figure that offers it."""
    await sheet.visit(market="DK")
    before = await sheet.figure("types")
    await sheet.page.select_option("#type", "single")
    singles = served.ask(
        "SELECT COUNT(DISTINCT album_id) AS n, COUNT(DISTINCT IF(release_day IS NULL, NULL, album_id)) AS dated "
        "FROM {table} WHERE load_date = @week AND market = 'DK' AND album_type = 'single'",
        week=NEWEST,
    )[0]
    await expect(sheet.page.locator("#count")).to_have_text(f"{singles['n']} of 50 releases")
    await sheet.drawn()
    assert sum(int(row[1]) for row in await sheet.figure("weekdays")) == singles["dated"]
    assert await sheet.figure("types") == before
    await sheet.page.locator("#kpi-new").click()
    both = served.ask(
        "SELECT COUNT(DISTINCT album_id) AS n FROM {table} WHERE load_date = @week AND market = 'DK' "
        "AND album_type = 'single' AND album_id NOT IN (SELECT album_id FROM {table} "
        "WHERE market = 'DK' AND load_date = DATE_SUB(@week, INTERVAL 7 DAY))",
        week=NEWEST,
    )[0]
    await expect(sheet.page.locator("#count")).to_have_text(f"{both['n']} of 50 releases")
    await sheet.page.get_by_role("button", name="Clear all").click()
    await expect(sheet.page.locator("#count")).to_have_text("50 of 50 releases")


async def test_a_mark_in_a_chart_is_a_filter(sheet: Sheet) -> None:
    """Charts filter each other: Friday's bar narrows the table to Fridays, and a second click takes that back."""
    await sheet.visit(market="DK")
    fridays = {row[0]: row[1] for row in await sheet.figure("weekdays")}["Friday"]
    bar = sheet.page.locator('[data-figure="weekdays"] .mark-rect path').nth(4)
    await bar.click()
    await expect(sheet.page.locator("#count")).to_have_text(f"{fridays} of 50 releases")
    await expect(sheet.page.locator("#weekday")).to_have_value("Friday")
    await sheet.drawn()
    await bar.click()
    await expect(sheet.page.locator("#count")).to_have_text("50 of 50 releases")


async def test_a_tile_chooses_its_market(sheet: Sheet) -> None:
    """The map is a way to a market."""
    await sheet.visit()
    await sheet.page.locator('[data-figure="tiles"] text', has_text=re.compile("^SE$")).click()
    await expect(sheet.page.locator("h1")).to_have_text("What is new in Sweden")


async def test_search_finds_titles_and_artists(sheet: Sheet, served: Served) -> None:
    """The table is searched in both; the rows link to Spotify by the album's id."""
    await sheet.visit(market="DK")
    album = served.ask(
        "SELECT album_id, MIN(album_name) AS name, MIN(artists) AS artists FROM {table} "
        "WHERE load_date = @week AND market = 'DK' GROUP BY album_id ORDER BY album_id DESC LIMIT 1",
        week=NEWEST,
    )[0]
    for text in (album["name"], album["artists"].split(",")[0].upper()):
        await sheet.page.fill("#q", text)
        row = sheet.page.locator(f'#rows [data-id="{album["album_id"]}"]')
        await expect(row.locator(".listen")).to_have_attribute(
            "href", f"https://open.spotify.com/album/{album['album_id']}"
        )
    await sheet.page.fill("#q", "no such title anywhere")
    await expect(sheet.page.locator("#none")).to_be_visible()


async def test_the_address_holds_every_choice(sheet: Sheet) -> None:
    """A link shows what its sender saw; back and forward step through the choices."""
    await sheet.visit()
    await sheet.page.select_option("#market", "SE")
    await sheet.page.select_option("#week", FIRST)
    await sheet.page.select_option("#show", "here")
    await expect(sheet.page).to_have_url(f"{sheet.home}/?market=SE&week={FIRST}&show=here")
    await sheet.drawn()
    count = await sheet.page.locator("#count").inner_text()
    await sheet.page.go_back()
    await expect(sheet.page.locator("#show")).to_have_value("")
    await sheet.page.go_back()
    await expect(sheet.page.locator("#week")).to_have_value(WEEK)
    await sheet.page.go_forward()
    await sheet.page.go_forward()
    await expect(sheet.page.locator("#count")).to_have_text(count)
    await sheet.page.reload()
    await sheet.drawn()
    await expect(sheet.page.locator("h1")).to_have_text("What is new in Sweden")
    await expect(sheet.page.locator("#count")).to_have_text(count)


async def test_the_first_week_tells_what_is_new_by_release_date(sheet: Sheet, served: Served) -> None:
    """Without a run before, the seven days up to the run decide, and the page says so."""
    await sheet.visit(week=FIRST)
    fresh = served.ask(
        "SELECT COUNT(DISTINCT album_id) AS n FROM {table} WHERE load_date = @week "
        "AND DATE_DIFF(load_date, release_day, DAY) BETWEEN 0 AND 6",
        week=date.fromisoformat(FIRST),
    )
    assert await sheet.value("new") == fresh[0]["n"] > 0
    await expect(sheet.page.locator("#lead")).to_contain_text("there is no earlier list to compare with")
    await expect(sheet.page.locator("#kpi-new")).to_contain_text("by their release date")
    await expect(sheet.page.locator('[data-figure="delays"]')).to_be_hidden()


async def test_a_hostile_title_is_only_text(sheet: Sheet, served: Served) -> None:
    """A title that looks like markup is shown as it is, in the page and in what is generated into it."""
    await sheet.visit(market="DK")
    await sheet.page.fill("#q", "onerror")
    await expect(sheet.page.locator("#rows .name")).to_have_text(HOSTILE)
    assert await sheet.page.locator('#rows img[src="x"]').count() == 0


async def test_the_keyboard_reaches_and_works_everything(sheet: Sheet) -> None:
    """What a mouse can choose, a keyboard can: first the skip link, then figures as buttons that keep the focus."""
    await sheet.visit(market="DK")
    await sheet.page.keyboard.press("Tab")
    await expect(sheet.page.locator(".skip")).to_be_focused()
    await sheet.page.locator("#kpi-here").focus()
    await sheet.page.keyboard.press("Enter")
    await expect(sheet.page.locator("#kpi-here")).to_have_attribute("aria-pressed", "true")
    await expect(sheet.page.locator("#kpi-here")).to_be_focused()
    await sheet.page.locator("#view-list").focus()
    await sheet.page.keyboard.press("Space")
    await expect(sheet.page.locator("#rows")).to_have_attribute("data-view", "list")
    await sheet.page.locator("#rows .name a").first.focus()
    await sheet.page.keyboard.press("Enter")
    await expect(sheet.page.locator("#single-title")).to_be_focused()


PAGES = ["/", "/runs", f"/?week={BEFORE}", f"/?week={BEFORE}&market=SE", "/?market=XX", f"/runs/{FAILED}"]
"""Whole, the runs, a partial week, a market that it lacks, one that nobody knows, a run that failed."""


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
async def test_axe_finds_nothing_serious(
    chromium: Browser, served: Served, path: str, theme: Theme, size: tuple[int, int]
) -> None:
    """Contrast, names, roles, order: axe-core has no serious or critical finding, in either theme and size."""
    async with surf.sheet(chromium, served.url, images=served.images, size=size, theme=theme) as sheet:
        await sheet.visit(path)
        for summary in await sheet.page.locator("summary:visible").all():
            await summary.click()
        assert await serious(sheet.page) == []


async def serious(page: Page) -> list[str]:
    # What passes need not be gathered: on a page of hundreds of releases that is most of the work.
    found = await Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_sticks_out_on_a_phone(chromium: Browser, served: Served, path: str) -> None:
    """A page that scrolls sideways is not readable on a phone."""
    async with surf.sheet(chromium, served.url, images=served.images, size=PHONE) as sheet:
        await sheet.visit(path)
        assert await sheet.page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


async def test_the_theme_follows_the_system_until_it_is_chosen(chromium: Browser, served: Served) -> None:
    """prefers-color-scheme decides; the button overrules it and is remembered."""
    ground = "getComputedStyle(document.body).backgroundColor"
    async with surf.sheet(chromium, served.url, images=served.images, theme="dark") as sheet:
        await sheet.visit()
        dark = await sheet.page.evaluate(ground)
        await sheet.page.click("#theme")
        await expect(sheet.page.locator("html")).to_have_attribute("data-theme", "light")
        light = await sheet.page.evaluate(ground)
        assert light != dark
        await sheet.page.reload()
        assert await sheet.page.evaluate(ground) == light
    async with surf.sheet(chromium, served.url, images=served.images, theme="light") as sheet:
        await sheet.visit()
        assert await sheet.page.evaluate(ground) == light


async def test_an_empty_table_says_what_to_do(sheet: Sheet) -> None:
    """A new installation shows the next step, not empty axes."""

    async def nothing(route: Route) -> None:
        await route.fulfill(json={"weeks": [], "others": []})

    await sheet.page.route("**/api/weeks", nothing)
    await sheet.page.goto(f"{sheet.home}/")
    await expect(sheet.page.locator("#empty")).to_be_visible()
    await expect(sheet.page.locator("#content")).to_be_hidden()
    assert await serious(sheet.page) == []


async def test_an_address_that_leads_nowhere_is_a_page(chromium: Browser, served: Served) -> None:
    """A mistyped address is answered in words that lead on, not by a line of JSON."""
    async with surf.sheet(chromium, served.url, size=PHONE) as sheet:
        response = await sheet.page.goto(f"{sheet.home}/<b>nowhere")
        assert response is not None
        assert response.status == 404
        await expect(sheet.page.locator("h1")).to_have_text("There is no such page")
        await expect(sheet.page.locator(".lead")).to_have_text("there is nothing at '/<b>nowhere'.")
        assert await sheet.page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        assert await serious(sheet.page) == []


async def test_a_fault_is_told_and_can_be_tried_again(chromium: Browser, served: Served) -> None:
    """When BigQuery does not answer, the page says so in words and a button brings it back."""
    async with surf.sheet(chromium, served.url, images=served.images) as sheet:
        broken = True

        async def sometimes(route: Route) -> None:
            if broken:
                await route.fulfill(status=503, json={"fault": "bigquery: no answer"})
            else:
                await route.continue_()

        await sheet.page.route("**/api/weeks", sometimes)
        await sheet.page.goto(f"{sheet.home}/")
        await expect(sheet.page.locator("#error-text")).to_have_text("bigquery: no answer.")
        assert await serious(sheet.page) == []
        broken = False
        await sheet.page.click("#retry")
        await sheet.drawn()
        await expect(sheet.page.locator("#error")).to_be_hidden()


async def test_the_page_keeps_to_itself(sheet: Sheet, served: Served) -> None:
    """A strict policy on every answer: no inline script, no eval, no other address but the covers', in no frame."""
    response = await sheet.page.goto(f"{sheet.home}/")
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    covers = "/".join(served.images.split("/")[:3])
    wanted = {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", f"img-src 'self' {covers}"}
    assert wanted <= set(policy.split("; "))
    await sheet.drawn()
    assert await smuggled(sheet.page) is None
    sheet.complaints.clear()  # the refusal that was just provoked


async def smuggled(page: Page) -> Any:
    """What an inline script leaves behind that somehow got into the page: nothing, where the policy holds."""
    await page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('script'), {text: 'window.smuggled = 1'}))"
    )
    return await page.evaluate("() => window.smuggled ?? null")


async def test_the_exported_file_needs_nobody(chromium: Browser, served: Served, tmp_path: Path) -> None:
    """One file, opened from a disk: the same figures, no request at all, and as strict a policy."""
    file = tmp_path / "dashboard.html"
    command = [sys.executable, "-m", "dashboard", "export", str(file), "--covers"]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=served.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    async with surf.sheet(chromium, "file://") as sheet:
        await sheet.visit(file.as_uri(), market="DK", week=WEEK)
        expected = figures_of(served, "DK")
        assert {name: await sheet.value(name) for name in expected} == expected
        cover = sheet.page.locator("#rows img").first
        await expect(cover).to_have_attribute("src", re.compile("^data:image/svg"))
        assert await cover.evaluate("one => one.decode().then(() => one.naturalWidth)")
        await sheet.page.click("#older")
        await expect(sheet.page.locator("#week")).to_have_value(BEFORE)
        await sheet.drawn()
        await sheet.page.fill("#q", "onerror")
        assert await sheet.page.locator('#rows img[src="x"]').count() == 0
        assert sheet.complaints == []
        assert sheet.strangers == []
        assert await smuggled(sheet.page) is None
        assert await serious(sheet.page) == []
