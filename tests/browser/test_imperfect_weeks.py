"""Weeks that lack something, in a real browser: what is missing is said, and nothing is counted as if it were there."""

from datetime import date

import pytest
from playwright.async_api import Browser, expect

from tests.browser import surf, year
from tests.browser.conftest import FAILED, LACKS, MARKETS, OPEN_RUN, PARTIAL, Served
from tests.browser.surf import Sheet

pytestmark = [pytest.mark.browser, pytest.mark.emulator, pytest.mark.asyncio(loop_scope="session")]

BEFORE_IT = "2026-11-09"


async def test_a_partial_week_says_which_market_it_lacks_and_why(sheet: Sheet) -> None:
    """The figures of all markets are without one; whoever reads them is told, and led to the run."""
    await sheet.visit(week=PARTIAL)
    banner = sheet.page.locator("#banners .warn")
    await expect(banner).to_contain_text("Sweden is missing in this week")
    await expect(banner).to_contain_text("it did not land before the deadline")
    await expect(banner.locator("a")).to_have_attribute("href", f"/runs/{PARTIAL}")
    await expect(sheet.page.locator("#market option").first).to_have_text(f"All {len(MARKETS) - 1} markets")


async def test_runs_that_are_not_in_the_table_are_told_of(sheet: Sheet) -> None:
    """A run that failed, or is under way, explains why the newest week is not that of today."""
    await sheet.visit()
    await expect(sheet.page.locator(".banner.bad a")).to_have_attribute("href", f"/runs/{FAILED}")
    under_way = sheet.page.locator(".banner.info", has_text="is under way")
    await expect(under_way.locator("a")).to_have_attribute("href", f"/runs/{OPEN_RUN}")


async def test_after_a_gap_a_market_is_compared_with_its_last_list(sheet: Sheet, served: Served) -> None:
    """Sweden after a week without it: not "50 new", but what its own last list did not hold."""
    await sheet.visit(market=LACKS)
    expected = served.ask(
        f"SELECT COUNT(DISTINCT album_id) AS n FROM {{table}} WHERE load_date = @week AND market = '{LACKS}' "  # noqa: S608
        f"AND album_id NOT IN (SELECT album_id FROM {{table}} WHERE load_date = @last AND market = '{LACKS}')",
        week=year.NEWEST,
        last=date.fromisoformat(BEFORE_IT),
    )
    assert await sheet.value("new") == expected[0]["n"]
    await expect(sheet.page.locator("#lead")).to_contain_text("are new since the week of 9 November 2026")
    await expect(sheet.page.locator(".banner.info", has_text="is compared with")).to_contain_text("Sweden")


async def test_a_market_that_a_week_lacks_is_not_all_markets(sheet: Sheet) -> None:
    """The address asks for Sweden: the page says that it has none, and where it has."""
    await sheet.visit(market=LACKS, week=PARTIAL)
    await expect(sheet.page.locator("#gone-title")).to_have_text(
        "Sweden has no list in the week of 16 November 2026"
    )
    await expect(sheet.page.locator("#content")).to_be_hidden()
    await sheet.page.locator("#gone a", has_text="9 November 2026").click()
    await expect(sheet.page.locator("h1").first).to_have_text("What is new in Sweden")


async def test_an_unknown_market_says_which_there_are(sheet: Sheet) -> None:
    """A mistyped market is not shown as all of them."""
    await sheet.visit(market="XX")
    await expect(sheet.page.locator("#gone-title")).to_have_text("There is no market XX in the table")
    await expect(sheet.page.locator("#gone-text a")).to_have_count(len(MARKETS) + 1)


async def test_an_unknown_week_says_which_there_are(chromium: Browser, served: Served) -> None:
    """A mistyped week, and one whose run has failed, lead to those there are."""
    async with surf.sheet(chromium, served.url, images=served.images) as sheet:
        for week, text in (("2001-01-01", "The newest are"), (FAILED, "Its run has failed")):
            await sheet.visit(week=week)
            await expect(sheet.page.locator("#gone-title")).to_have_text(f"There is no week {week} in the table")
            await expect(sheet.page.locator("#gone-text")).to_contain_text(text)
        await sheet.page.locator("#gone a").first.click()
        await expect(sheet.page.locator("h1").first).to_have_text("What is new")


async def test_a_week_without_the_market_is_a_gap_in_its_history(sheet: Sheet) -> None:
    """A bar of no height would say that nothing was listed; a line across it would invent a list."""
    await sheet.visit(market=LACKS)
    rows = {(row[0], row[1]): (row[2], row[3]) for row in await sheet.figure("history")}
    assert rows[PARTIAL, "new"] == ("not known", "no list")
    await sheet.page.select_option("#market", "")
    await sheet.drawn()
    rows = {(row[0], row[1]): (row[2], row[3]) for row in await sheet.figure("history")}
    assert rows[PARTIAL, "new"][1] == "without Sweden"


async def test_invented_data_say_so(sheet: Sheet) -> None:
    """A simulator's titles are not Spotify's, and the page does not claim it."""
    await sheet.visit()
    await expect(sheet.page.locator(".banner.invented")).to_contain_text("simulator")
    await expect(sheet.page.locator("#source-real")).to_be_hidden()


async def test_the_page_follows_the_table(sheet: Sheet) -> None:
    """A run that finishes while one looks is shown without a reload, and said to whoever does not see."""
    weeks = await (await sheet.page.request.get(f"{sheet.home}/api/weeks")).json()
    older = {**weeks, "weeks": weeks["weeks"][1:]}
    await sheet.page.clock.install()
    await sheet.page.route("**/api/weeks", lambda route: route.fulfill(json=older))
    await sheet.page.goto(f"{sheet.home}/?week={PARTIAL}")
    await sheet.drawn()
    await expect(sheet.page.locator("#newer")).to_be_disabled()
    await sheet.page.unroute("**/api/weeks")
    await sheet.page.clock.fast_forward(21_000)
    await expect(sheet.page.locator("#newer")).to_be_enabled()
