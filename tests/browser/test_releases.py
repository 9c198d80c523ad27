"""The releases in a real browser: covers, search, sorting, one release, one artist, two weeks side by side."""

import csv
import io
from datetime import date
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser import surf
from tests.browser.conftest import MARKETS, PARTIAL, Served
from tests.browser.surf import PHONE, Sheet
from tests.browser.test_data_page import serious
from tests.browser.year import NEWEST

pytestmark = [pytest.mark.browser, pytest.mark.emulator, pytest.mark.asyncio(loop_scope="session")]

FIRST = "2026-11-09"
ODD = {
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202eevil\u202c",
    "long": "Donaudampfschifffahrt" * 12,
    "hostile": '"><img src=x onerror=alert(1)>',
    "empty": "",
}


async def test_the_week_opens_with_covers_that_are_not_cropped(sheet: Sheet) -> None:
    """Each release has its cover from the one place where they lie, square before it comes, corners of 4 px."""
    await sheet.visit(market="DK")
    first = sheet.page.locator("#rows .release").first
    image = first.locator("img")
    await sheet.page.wait_for_function("() => document.querySelector('#rows img').naturalWidth > 0")
    told = await image.evaluate(
        "one => ({fit: getComputedStyle(one).objectFit, corner: getComputedStyle(one).borderRadius})"
    )
    assert told == {"fit": "contain", "corner": "4px"}
    box = await first.locator(".cover").bounding_box()
    assert box is not None
    assert abs(box["width"] - box["height"]) < 1
    await expect(first.locator(".listen")).to_contain_text("Listen on Spotify")


async def test_a_cover_that_does_not_come_leaves_its_place(chromium: Browser, served: Served) -> None:
    """Without a cover the page looks the same, and nothing jumps."""
    async with surf.sheet(chromium, served.url, images=served.images) as sheet:
        await sheet.page.route(f"{served.images}/**", lambda route: route.abort())
        await sheet.visit(market="DK")
        cover = sheet.page.locator("#rows .cover").first
        await expect(cover.locator(".blank")).to_be_visible()
        box = await cover.bounding_box()
        assert box is not None
        assert abs(box["width"] - box["height"]) < 1


async def test_search_is_blind_to_accents_and_case_and_takes_title_and_artist_together(sheet: Sheet) -> None:
    """Who types "bjork" means Björk, and who types an artist and half a title means one release."""
    weeks = await (await sheet.page.request.get(f"{sheet.home}/api/weeks/{NEWEST}")).json()
    number = {name: at for at, name in enumerate(weeks["columns"])}
    row = next(
        row
        for row in weeks["releases"]
        if any(ord(letter) in range(0xC0, 0x17F) for letter in row[number["name"]])
    )
    title, artist = row[number["name"]], row[number["artists"]].split(", ")[0]
    plain = await sheet.page.evaluate(
        "text => text.normalize('NFKD').replace(/\\p{M}/gu, '')", f"{artist} {title}"
    )
    assert plain != f"{artist} {title}"
    await sheet.visit()
    await sheet.page.fill("#q", plain.upper())
    await expect(sheet.page.locator(f'#rows [data-id="{row[number["id"]]}"]')).to_be_visible()
    await expect(sheet.page.locator("#rows .release")).to_have_count(1)


async def test_releases_are_sorted_as_asked_and_the_address_says_so(sheet: Sheet) -> None:
    """By reach, by release day, by name; grid or list; a link shows the same."""
    await sheet.visit(market="DK")
    await sheet.page.select_option("#sort", "name")
    await sheet.page.click("#view-list")
    await expect(sheet.page).to_have_url(f"{sheet.home}/?market=DK&sort=name&view=list")
    names = await sheet.page.locator("#rows .name").all_inner_texts()
    assert names == await sheet.page.evaluate(
        "names => [...names].sort(new Intl.Collator('en', {sensitivity: 'base', numeric: true}).compare)", names
    )
    await sheet.page.reload()
    await sheet.drawn()
    assert await sheet.page.locator("#rows .name").all_inner_texts() == names


async def test_what_is_new_stands_before_what_is_not(sheet: Sheet) -> None:
    """Of releases in as many markets, whoever comes back sees first what was not there last week."""
    await sheet.visit()
    document = await (await sheet.page.request.get(f"{sheet.home}/api/weeks/{NEWEST}")).json()
    columns = document["columns"]
    markets, is_new = columns.index("markets"), columns.index("is_new")
    told = {row[0]: (-len(row[markets]), not row[is_new]) for row in document["releases"]}
    cards = sheet.page.locator("#rows .release")
    ids: list[str] = await cards.evaluate_all("all => all.map(one => one.dataset.id)")
    assert [told[album] for album in ids] == sorted(told.values())[: len(ids)]


async def test_a_release_opens_with_its_tracks_and_markets(sheet: Sheet, served: Served) -> None:
    """An address of its own: tracks as the table has them, where it is listed and since when; back leads back."""
    await sheet.visit(market="DK")
    card = sheet.page.locator("#rows .release:not(:has(.badge))").first  # one of two weeks
    album = await card.get_attribute("data-id")
    await card.locator(".name a").click()
    await expect(sheet.page).to_have_url(f"{sheet.home}/?market=DK&album={album}")
    await sheet.drawn()
    told = served.ask(
        "SELECT COUNT(DISTINCT track_id) AS tracks, COUNT(DISTINCT market) AS markets FROM {table} "  # noqa: S608
        f"WHERE load_date = @week AND album_id = '{album}'",
        week=NEWEST,
    )[0]
    await expect(sheet.page.locator("#single .one img")).to_have_css("border-radius", "8px")
    tables = sheet.page.locator("#single table")
    await expect(tables.nth(0).locator("tbody tr")).to_have_count(told["tracks"])
    assert await tables.nth(1).locator("tbody tr", has_text="still there").count() == told["markets"]
    assert await serious(sheet.page) == []
    await sheet.page.go_back()
    await expect(sheet.page.locator("#rows .release").first).to_be_visible()


async def test_an_artist_opens_with_releases_and_reach(sheet: Sheet, served: Served) -> None:
    """What an artist has in the table, and in how many markets week by week; a partial week is a gap."""
    artist = served.ask(
        "SELECT artist_ids[OFFSET(0)] AS id, COUNT(DISTINCT market) AS n FROM {table} WHERE load_date = @week "
        "AND ARRAY_LENGTH(artist_ids) = 1 GROUP BY id ORDER BY n DESC, id LIMIT 1",
        week=NEWEST,
    )[0]["id"]
    await sheet.visit(artist=artist)
    albums = served.ask(
        f"SELECT COUNT(DISTINCT album_id) AS n FROM {{table}} WHERE '{artist}' IN UNNEST(artist_ids)"  # noqa: S608
    )[0]["n"]
    await expect(sheet.page.locator("#single .release")).to_have_count(albums)
    await sheet.page.locator("#single summary").click()
    rows = sheet.page.locator("#single details tbody tr", has_text=PARTIAL)
    await expect(rows).to_contain_text("not known")
    assert await serious(sheet.page) == []


async def test_what_left_and_what_came_between_two_weeks(sheet: Sheet, served: Served) -> None:
    """Against the week before, and against one that is chosen; the address names it."""
    await sheet.visit(market="DK")

    def left(other: str) -> int:
        found = served.ask(
            "SELECT COUNT(DISTINCT album_id) AS n FROM {table} WHERE load_date = @other AND market = 'DK' AND album_id "
            "NOT IN (SELECT album_id FROM {table} WHERE load_date = @week AND market = 'DK')",
            week=NEWEST,
            other=date.fromisoformat(other),
        )
        return int(found[0]["n"])

    await expect(sheet.page.locator("#left .answer")).to_contain_text(f"{left(PARTIAL)} releases")
    await sheet.page.select_option("#with", FIRST)
    await expect(sheet.page).to_have_url(f"{sheet.home}/?market=DK&with={FIRST}")
    await expect(sheet.page.locator("#left .answer")).to_contain_text(f"{left(FIRST)} releases")


async def test_weeks_are_compared_in_the_markets_that_both_have(sheet: Sheet, served: Served) -> None:
    """What was only in Sweden neither left nor came when Sweden's list was missing."""
    for week, other in (
        (date.fromisoformat(PARTIAL), date.fromisoformat(FIRST)),
        (NEWEST, date.fromisoformat(PARTIAL)),
    ):
        await sheet.visit(week=week.isoformat())
        await expect(sheet.page.locator("#compare-answer")).to_contain_text(f"Only the {len(MARKETS) - 1} markets")
        for place, there, gone in (("came", week, other), ("left", other, week)):
            (told,) = served.ask(
                "SELECT COUNT(DISTINCT album_id) AS n FROM {table} WHERE load_date = @there AND market != 'SE' "
                "AND album_id NOT IN (SELECT album_id FROM {table} WHERE load_date = @gone AND market != 'SE')",
                there=there,
                gone=gone,
            )
            await expect(sheet.page.locator(f"#{place} .answer")).to_contain_text(f"{told['n']} releases")


async def test_a_table_can_be_taken_along(sheet: Sheet, tmp_path: Path) -> None:
    """The rows of a chart as CSV, from the page itself; the week's releases from the server."""
    await sheet.visit(market="DK")
    rows = await sheet.figure("weekdays")
    async with sheet.page.expect_download() as download:
        await sheet.page.locator('[data-figure="weekdays"] .files button').click()
    file = tmp_path / "rows.csv"
    await (await download.value).save_as(file)
    written = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert written[1:] == rows
    address = await sheet.page.locator("#export a", has_text="Parquet").get_attribute("href")
    assert address == f"/data/{NEWEST}/releases.parquet"


@pytest.mark.parametrize("title", ODD.values(), ids=ODD)
async def test_odd_titles_are_text_and_stay_in_their_place(chromium: Browser, served: Served, title: str) -> None:
    """Very long, right to left, hostile or empty: nothing runs, nothing sticks out, the others stay as they are."""
    async with surf.sheet(chromium, served.url, images=served.images, size=PHONE) as sheet:

        async def renamed(route: Route) -> None:
            found = await (await route.fetch()).json()
            place = found["columns"].index("name")
            for row in found["releases"]:
                row[place] = title
                row[place + 1] = title
            await route.fulfill(json=found)

        await sheet.page.route("**/api/weeks/newest", renamed)
        await sheet.visit(market="DK")
        shown = await sheet.page.locator("#rows .name").first.inner_text()
        assert shown == (title or "(untitled)")
        direction = "rtl" if title == ODD["right to left"] else "ltr"  # what is cut off is a title's end
        await expect(sheet.page.locator("#rows .name").first).to_have_css("direction", direction)
        assert await sheet.page.locator('img[src="x"]').count() == 0
        assert await sheet.page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        assert sheet.complaints == []


async def test_at_200_per_cent_nothing_sticks_out(chromium: Browser, served: Served) -> None:
    """A laptop's 1280 px at 200 % are 640: WCAG's reflow."""
    async with surf.sheet(chromium, served.url, images=served.images, size=(640, 450)) as sheet:
        await sheet.visit()
        assert await sheet.page.evaluate("document.documentElement.scrollWidth") == 640


async def test_without_scripts_the_page_says_what_is_the_matter(chromium: Browser, served: Served) -> None:
    """A blank page tells nobody anything."""
    async with surf.sheet(chromium, served.url, scripts=False) as sheet:
        await sheet.page.goto(f"{sheet.home}/")
        await expect(sheet.page.get_by_text("Allow it, or take the data")).to_be_visible()
        await expect(sheet.page.locator("#loading")).to_be_hidden()


async def test_without_a_network_the_page_says_so(chromium: Browser, served: Served) -> None:
    """What was shown stays; what is asked for anew is told in words."""
    async with surf.sheet(chromium, served.url, images=served.images) as sheet:
        await sheet.visit()
        await sheet.page.context.set_offline(offline=True)
        await sheet.page.select_option("#week", FIRST)
        await expect(sheet.page.locator("#error-text")).to_contain_text("no connection to the network")
        await sheet.page.context.set_offline(offline=False)
        await sheet.page.click("#retry")
        await expect(sheet.page.locator("#week")).to_have_value(FIRST)


async def test_on_paper_the_controls_are_left_out(sheet: Sheet) -> None:
    """Print: the releases and figures without what one could press."""
    await sheet.visit(market="DK")
    await sheet.page.emulate_media(media="print")
    await expect(sheet.page.locator("#tools")).to_be_hidden()
    await expect(sheet.page.locator("#rows .release").first).to_be_visible()
