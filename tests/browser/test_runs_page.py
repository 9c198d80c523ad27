"""The run view in a real browser: where every market stands, and a run that goes on while one looks."""

import re
from urllib.parse import unquote

import pytest
from playwright.async_api import Browser, Route, expect

from contracts import names
from local.choices import BUCKET, PROJECT
from tests import builders
from tests.browser import surf
from tests.browser.conftest import MARKETS, OPEN_RUN, PARTIAL, Served
from tests.browser.surf import Sheet

pytestmark = [pytest.mark.browser, pytest.mark.emulator, pytest.mark.asyncio(loop_scope="session")]


async def test_every_market_shows_its_state(sheet: Sheet) -> None:
    """Landed, waiting for quota, given up and on its way look different and say why, and can be shown alone."""
    await sheet.visit(f"/runs/{OPEN_RUN}")
    states = await sheet.page.locator("#markets li").evaluate_all(
        "all => Object.fromEntries(all.map(one => [one.querySelector('b').firstChild.data, one.className]))"
    )
    assert states == {"DK": "landed", "SE": "throttled", "NO": "dead_lettered", "FI": "requested"}
    await expect(sheet.page.locator("#dead")).to_contain_text("403 for ever")
    await sheet.page.get_by_role("button", name=re.compile("given up")).click()
    await expect(sheet.page.locator("#markets li")).to_have_count(1)


async def test_a_finished_run_shows_decision_job_and_receipt(sheet: Sheet) -> None:
    """What the bucket's documents say of a run is on the page: rows, revision, cluster, job, quarantine, timings."""
    await sheet.visit(f"/runs/{builders.RUN}")
    assert await sheet.value("rows") == 30
    for place, text in {
        "#decision": "every market was settled",
        "#cluster": names.cluster_name(builders.RUN, 1),
        "#receipt": "30 rows, 9 albums, 3 markets",
        "#dead": "2 records in quarantine",
        "#waterfall-answer": "all markets fetched, 5 min",
    }.items():
        await expect(sheet.page.locator(place)).to_contain_text(text)


async def test_a_grid_shows_every_run_market_by_market(sheet: Sheet) -> None:
    """One look tells which week lacks what, and why; each row leads to its run."""
    await sheet.visit("/runs")
    row = sheet.page.locator("#matrix tbody tr", has=sheet.page.locator(f"#matrix-{PARTIAL}"))
    await expect(row.locator("td.landed")).to_have_count(len(MARKETS) - 1)
    missing = row.locator("td.missing")
    await expect(missing).to_have_attribute(
        "title", "Sweden, 16 November 2026: it did not land before the deadline"
    )
    waiting = sheet.page.locator("#matrix tbody tr", has=sheet.page.locator(f"#matrix-{OPEN_RUN}"))
    await expect(waiting.locator("td.throttled")).to_have_count(1)
    await expect(waiting.locator("td.dead_lettered")).to_have_count(1)
    await expect(sheet.page.locator("#matrix-legend li")).to_have_text(
        ["✓loaded", "✕missing, or not loaded", "…waits for quota", "!given up", "not asked for, or on its way"]
    )
    await sheet.page.click(f"#matrix-{PARTIAL}")
    await expect(sheet.page).to_have_url(f"{sheet.home}/runs/{PARTIAL}")


@pytest.mark.parametrize(
    ("run", "command"),
    [
        (PARTIAL, f'releases run reopen {PARTIAL} --reason "what was missing is there again"'),
        (builders.RUN, f"releases receipt {builders.RUN}"),
        (OPEN_RUN, f'releases dead-letter redrive --run {OPEN_RUN} --reason "WHAT WAS MENDED" --yes'),
    ],
    ids=["partial", "loaded", "given up"],
)
async def test_a_run_names_the_next_command(sheet: Sheet, run: str, command: str) -> None:
    """Whoever is called in the night finds what to type."""
    await sheet.visit(f"/runs/{run}")
    await expect(sheet.page.locator("#command")).to_have_text(command)


async def test_a_run_leads_to_its_logs_cluster_and_job(chromium: Browser, served: Served) -> None:
    """Where there is a console, its pages are one click away, filtered by the run."""
    async with surf.sheet(chromium, served.url) as sheet:

        async def in_the_cloud(route: Route) -> None:
            page = await (await route.fetch()).text()
            told = page.replace('"console":""', '"console":"https://console.cloud.google.com"')
            await route.fulfill(body=told, content_type="text/html")

        await sheet.page.route(f"**/runs/{builders.RUN}", in_the_cloud)
        await sheet.page.route(f"**/api/runs/{builders.RUN}", lambda route: route.continue_())
        await sheet.visit(f"/runs/{builders.RUN}")
        logs = await sheet.page.locator("#next a").first.get_attribute("href")
        assert logs is not None
        assert unquote(logs).startswith(
            f'https://console.cloud.google.com/logs/query;query=jsonPayload.run_id="{builders.RUN}"'
        )
        links = await sheet.page.locator("#cluster a").evaluate_all("all => all.map(one => one.pathname)")
        assert links == [
            f"/dataproc/clusters/{names.cluster_name(builders.RUN, 1)}",
            f"/dataproc/jobs/{names.job_id(builders.RUN, 1, 1)}",
        ]


async def test_why_and_what_to_type_stand_on_the_page(sheet: Sheet) -> None:
    """Who is called at night reads the cause and a command to copy, and sees that seconds go by between two looks."""
    cause = {
        "what": "404 Not found: Table t",
        "details": ["DK, line 7: bad"],
        "command": "releases doctor --problems",
    }

    async def loading(route: Route) -> None:
        told = await (await route.fetch()).json()
        stage = {"stage": "spark", "begin": 0, "end": 3, "open": True}
        changed = {"state": "loading", "is_finished": False, "cause": cause, "waterfall": [stage]}
        await route.fulfill(json=told | changed)

    await sheet.page.route(f"**/api/runs/{builders.RUN}", loading)
    await sheet.page.goto(f"{sheet.home}/runs/{builders.RUN}")
    for text in (cause["what"], "DK, line 7: bad"):
        await expect(sheet.page.locator("#next")).to_contain_text(str(text))
    await expect(sheet.page.locator("#command")).to_have_text(str(cause["command"]))
    lead = sheet.page.locator("#lead")
    await expect(lead).to_contain_text("the Spark job runs, for 3")
    await expect(lead).to_contain_text("the Spark job runs, for 4")


async def test_the_list_leads_to_a_run_and_back(sheet: Sheet) -> None:
    """The newest run comes first; choosing another is a step in the history."""
    await sheet.visit("/runs")
    await expect(sheet.page.locator("h1")).to_have_text("Run of 30 November 2026")
    await sheet.page.click(f"#run-{builders.RUN}")
    await expect(sheet.page.locator("h1")).to_have_text("Run of 23 November 2026")
    await expect(sheet.page).to_have_url(f"{sheet.home}/runs/{builders.RUN}")
    await sheet.page.go_back()
    await expect(sheet.page.locator("h1")).to_have_text("Run of 30 November 2026")


async def test_a_run_goes_on_while_one_looks(sheet: Sheet, served: Served) -> None:
    """A part that lands appears by itself, without a reload."""
    run = "2026-12-07"
    async with served.ledger() as ledger:
        await ledger.create_manifest(builders.manifest("DK SE").model_copy(update={"run_id": run}))
    bucket = served.store.client(PROJECT).bucket(BUCKET)
    try:
        await sheet.visit(f"/runs/{run}")
        await expect(sheet.page.locator("#live")).to_have_text("live")
        await expect(sheet.page.locator('[data-value="landed"]')).to_have_text("0 of 2")
        bucket.blob(names.part_name(run, "SE")).upload_from_string(b"x")
        await expect(sheet.page.locator('[data-value="landed"]')).to_have_text("1 of 2", timeout=20_000)
    finally:
        for blob in [
            *bucket.list_blobs(prefix=names.run_prefix(run)),
            *bucket.list_blobs(prefix=names.raw_prefix(run)),
        ]:
            blob.delete()


async def test_an_unknown_run_says_so(chromium: Browser, served: Served) -> None:
    """A link to a run that is not there is answered in words."""
    async with surf.sheet(chromium, served.url) as sheet:
        await sheet.page.goto(f"{sheet.home}/runs/2001-01-01")
        await expect(sheet.page.locator("#error-text")).to_contain_text("there is no run '2001-01-01'")
        await expect(sheet.page.locator(f"#matrix-{PARTIAL}")).to_be_visible()


async def test_without_a_run_the_page_says_what_to_do(sheet: Sheet) -> None:
    """An empty bucket is the normal state of a new installation."""

    async def nothing(route: Route) -> None:
        await route.fulfill(json={"runs": []})

    await sheet.page.route("**/api/runs", nothing)
    await sheet.page.goto(f"{sheet.home}/runs")
    await expect(sheet.page.locator("#empty")).to_be_visible()
