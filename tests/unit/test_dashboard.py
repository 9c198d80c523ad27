"""The dashboard without a browser: questions, documents, charts, pages, what is kept and how faults are told."""

import asyncio
import base64
import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from contracts.documents import Receipt
from contracts.faults import ContractError
from contracts.names import MARKETS
from dashboard import assets, charts, europe, files, page, queries, theme, wiring
from dashboard.comparing import befores, compared_week, missing
from dashboard.documents import (
    FigureRows,
    artist_document,
    by_likeness,
    figures_document,
    week_document,
    weeks_document,
)
from dashboard.handlers import Ports, guard, routes
from dashboard.library import Library, UnknownWeekError
from dashboard.page import Assets
from dashboard.queries import Query, Views
from dashboard.runs import Runs, entry
from dashboard.settings import Settings
from dashboard.warehouse import BigQueryWarehouse, Row
from eventing.errors import Retryable
from eventing.ledger import RunIndex, RunLedger
from eventing.objects import StoredObject
from eventing.settings import load
from tests import builders, nights
from tests.builders import TestClock
from tests.fakes.objects import MemoryObjectStore
from tests.waiting import eventually

WEEK, BEFORE = date(2026, 11, 23), date(2026, 11, 16)
VIEWS = Views("p", "d")
IMAGES = "https://covers.example/image"
TOLD = page.Told(images=IMAGES)
LOGO = "data:image/svg+xml;base64,PHN2Zy8+"
ASSETS = Assets(
    {
        "data.html": "<head><!-- head --></head><!-- spotify --><!-- foot -->",
        "runs.html": "<head><!-- head --></head><!-- foot -->",
        "fault.html": "<title><!-- title --></title><!-- head --><!-- status --> <!-- reason -->",
        "style.css": "p{}",
        **{name: f"'{name}';" for names in page.SCRIPTS.values() for name in names},
        "vega.js": "var x = '</script>';",
        "icon.svg": "<svg/>",
    }
)


# --- questions -------------------------------------------------------------------------------------------------

ASKED = [
    queries.weeks(VIEWS, since=BEFORE, until=WEEK),
    queries.history(VIEWS, since=BEFORE, until=WEEK),
    queries.releases(VIEWS, week=WEEK),
    queries.listings(VIEWS, weeks=[WEEK, BEFORE]),
    queries.overlap(VIEWS, week=WEEK),
    queries.artists(VIEWS, week=WEEK),
    queries.lengths(VIEWS, week=WEEK),
    queries.album_listings(VIEWS, "a", since=BEFORE, until=WEEK),
    queries.album_tracks(VIEWS, "a", week=WEEK),
    queries.artist_names(VIEWS, "a", since=BEFORE, until=WEEK),
    queries.artist_releases(VIEWS, "a", since=BEFORE, until=WEEK),
]


@pytest.mark.parametrize("query", ASKED, ids=lambda query: query.name)
def test_every_question_names_its_partitions(query: Query) -> None:
    """Each view that a question reads is filtered by partition with parameters; else all of it is read and billed."""
    read = len(re.findall(r"(?:FROM|JOIN) `p\.d\.", query.sql))
    assert read
    assert len(re.findall(r"load_date (?:= @|BETWEEN @|IN \(@)", query.sql)) >= read
    assert set(re.findall(r"@(\w+)", query.sql)) == {name for name, _ in (*query.dates, *query.texts)}


class Client:
    """What the adapter calls of BigQuery's client."""

    def __init__(self, error: Exception | None = None) -> None:
        self.configs: list[Any] = []
        self.error = error

    def query_and_wait(self, _sql: str, *, job_config: Any, api_timeout: float, wait_timeout: float) -> Any:
        assert api_timeout == wait_timeout == 3
        self.configs.append(job_config)
        if self.error:
            raise self.error
        return self

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter([{"n": 1}])

    total_bytes_processed = 0


def warehouse(client: Client) -> BigQueryWarehouse:
    return BigQueryWarehouse(client, maximum_bytes_billed=12_345, timeout=timedelta(seconds=3))  # type: ignore[arg-type]


async def test_no_question_may_cost_more_than_is_set() -> None:
    """BigQuery itself refuses a query that would be billed for more."""
    client = Client()
    assert await warehouse(client).rows(ASKED[0]) == [{"n": 1}]
    assert client.configs[0].maximum_bytes_billed == 12_345
    assert [parameter.value for parameter in client.configs[0].query_parameters] == [BEFORE, WEEK]


async def test_a_question_without_an_answer_may_be_asked_again() -> None:
    """The adapter keeps its library's errors to itself and names the question."""
    with pytest.raises(Retryable, match="'weeks' was not answered"):
        await warehouse(Client(TimeoutError())).rows(ASKED[0])


# --- documents -------------------------------------------------------------------------------------------------


def release(album: str, markets: str, **changes: Any) -> Row:
    return {
        "album_id": album,
        "markets": markets.split(),
        "album_name": album.upper(),
        "artists": "A, B",
        "artist_ids": "x,y",
        "album_type": "album",
        "release_date": "2026-11-20",
        "weekday": "Friday",
        "days_since_release": 3,
        "tracks": 9,
        "duration_ms": 1000,
        "explicit_tracks": 0,
        "image_url": f"{IMAGES}/{album}",
        **changes,
    }


def decoded(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = (dict(zip(document["columns"], row, strict=True)) for row in document["releases"])
    return {row["id"]: row for row in rows}


def week_row(week: date, markets: str) -> Row:
    return {
        "load_date": week,
        "market_codes": markets.split(),
        "albums": 2,
        "row_count": 9,
        "revision": 1,
    }


def listing(week: date, album: str, markets: str) -> Row:
    return {"load_date": week, "album_id": album, "markets": markets.split()}


RELEASES = [release("a", "DK SE"), release("b", "NO")]
FIGURES = FigureRows(
    overlap=[],
    artists=[{"artist_id": "x", "artist": "A", "markets": ["SE"], "albums": 1, "tracks": 2}],
    lengths=[{"market": "SE", "half_minute": 6, "tracks": 3}],
)


def week_of(before: dict[str, date], *listings: Row, releases: Sequence[Row] = RELEASES) -> dict[str, Any]:
    return week_document(WEEK, before, releases, listings, images=IMAGES)


def test_a_week_says_where_each_release_is_and_where_it_is_new() -> None:
    """Markets are numbers into one list; new is per market against its own last list, and for all together."""
    last = dict.fromkeys(("DK", "NO", "SE"), BEFORE)
    document = week_of(last, listing(BEFORE, "a", "DK"), listing(BEFORE, "b", "NO"))
    assert document["markets"] == ["DK", "NO", "SE"]
    found = decoded(document)
    assert (found["a"]["markets"], found["a"]["new_in"], found["a"]["is_new"]) == ([0, 2], [2], False)
    assert (found["b"]["markets"], found["b"]["new_in"], found["b"]["is_new"]) == ([1], [], False)
    assert found["a"]["image"] == "a"


def test_a_market_is_compared_with_its_own_last_list() -> None:
    """After a week without Sweden its list is told against the one before that, and is not all new."""
    older = date(2026, 11, 9)
    index = [week_row(WEEK, "DK SE NO"), week_row(BEFORE, "DK NO"), week_row(older, "DK SE NO")]
    before = befores(WEEK, index)
    assert before == {"DK": BEFORE, "NO": BEFORE, "SE": older}
    found = decoded(week_of(before, listing(older, "a", "SE DK"), listing(BEFORE, "b", "NO")))
    # Denmark listed it two weeks ago and not last week: that it came back is news, but not for all.
    assert (found["a"]["new_in"], found["a"]["is_new"]) == ([0], False)
    assert compared_week(["DK", "NO", "SE"], before) == BEFORE


def test_a_week_is_compared_with_the_one_most_of_its_markets_are() -> None:
    """One market's later list does not speak for all; of two weeks with as many, the newer does."""
    older = date(2026, 11, 9)
    before = {"DK": older, "NO": older, "SE": BEFORE}
    assert compared_week(["DK", "NO", "SE"], before) == older
    assert compared_week(["DK", "SE"], before) == BEFORE


@pytest.mark.parametrize(("days", "is_new"), [(0, True), (6, True), (7, False), (-1, False), (None, False)])
def test_the_first_list_of_a_market_is_told_by_release_dates(days: int | None, is_new: bool) -> None:  # noqa: FBT001
    """Without a list before, the week before the run decides; a day that is not known is not new."""
    (found,) = decoded(week_of({}, releases=[release("a", "DK", days_since_release=days)])).values()
    assert (bool(found["new_in"]), found["is_new"]) == (is_new, is_new)


def test_a_cover_that_lies_elsewhere_is_not_shown() -> None:
    """The page's policy names one host; an address below another would be refused, and tell that host of the reader."""
    odd = release("a", "DK", image_url="https://elsewhere.example/image/a")
    assert decoded(week_of({}, releases=[odd]))["a"]["image"] is None


def test_the_figures_of_a_week_are_numbered_like_its_markets() -> None:
    """Artists and lengths by market, and days until listed only where there is a list to compare with."""
    document = week_of({"NO": BEFORE})
    figures = figures_document(document, FIGURES)
    assert figures["artists"] == [["x", "A", [2], 1, 2]]
    assert figures["lengths"] == [[2, 6, 3]]
    assert figures["delays"] == [[1, 1, [3, 3, 3, 3, 3], 3.0]]


def test_a_market_that_should_be_there_is_missed_with_its_reason() -> None:
    """The receipt says what was asked for; where there is none, what was listed lately; what is there is not missed."""
    index = [week_row(WEEK, "DK NO"), week_row(BEFORE, "DK SE")]
    told = {"landed_markets": ["DK", "FI"], "missing_markets": {"SE": "403", "NO": "late"}}
    assert missing(WEEK, index, told) == {"FI": "its list landed and is not in the table", "SE": "403"}
    assert missing(WEEK, index, None) == {"SE": "no receipt tells why"}
    assert missing(BEFORE, index, None) == {}
    assert missing(WEEK, [week_row(WEEK, "DK"), week_row(WEEK - timedelta(weeks=9), "SE")], None) == {}


def test_runs_that_the_table_does_not_hold_are_told_of() -> None:
    """A failed week, and one under way, are not silently skipped."""
    runs = [run_entry("2026-11-30", "fetching"), run_entry("2026-11-23", "loaded", landed_markets=["DK"])]
    document = weeks_document([week_row(WEEK, "DK")], runs)
    assert document["others"] == [{"week": "2026-11-30", "state": "fetching", "cause": None}]
    assert [week["state"] for week in document["weeks"]] == ["loaded"]


def run_entry(run: str, state: str, **changes: Any) -> dict[str, Any]:
    return {"run": run, "state": state, "revision": 1, "landed_markets": None, "missing_markets": {}, **changes}


def test_an_artist_is_followed_through_the_weeks() -> None:
    """Each release once, from its first week to its last; reach counts a market once, whatever it lists."""
    rows = [
        {**release(album, markets), "load_date": week}
        for week, album, markets in ((WEEK, "a", "DK SE"), (WEEK, "b", "DK"), (BEFORE, "a", "NO"))
    ]
    document = artist_document("x", "A", rows, images=IMAGES)
    first = document["releases"][0]
    assert (first["id"], first["first"], first["last"]) == ("a", BEFORE.isoformat(), WEEK.isoformat())
    assert first["markets"] == ["DK", "NO", "SE"]
    assert document["reach"] == [[WEEK.isoformat(), 2], [BEFORE.isoformat(), 1]]


def test_markets_stand_beside_those_they_are_like() -> None:
    """A heat map shows groups only when alike markets are neighbours; none is lost on the way."""
    sizes = [{"market": m, "other_market": m, "shared": 10} for m in ("AT", "DE", "DK", "SE")]
    pairs = [
        {"market": one, "other_market": other, "shared": shared}
        for one, other, shared in (("AT", "DE", 9), ("DK", "SE", 8), ("DE", "DK", 2), ("AT", "SE", 1))
    ]
    ordered = by_likeness(["AT", "DE", "DK", "SE"], [*sizes, *pairs])
    assert sorted(ordered) == ["AT", "DE", "DK", "SE"]
    assert {frozenset(ordered[:2]), frozenset(ordered[2:])} == {frozenset({"AT", "DE"}), frozenset({"DK", "SE"})}


# --- what is kept ----------------------------------------------------------------------------------------------


AWAY = Retryable("no answer")


class Table:
    """A `Warehouse` that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: Exception | None = None
        self.is_empty = False
        self.releases: Sequence[Row] = RELEASES

    async def rows(self, query: Query) -> Sequence[Row]:
        self.asked.append(query.name)
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        if self.is_empty:
            return []
        if query.name == "weeks":
            return [week_row(day, "DK SE NO") for day in (WEEK, BEFORE)]
        return self.releases if query.name == "releases" else []


async def no_runs() -> list[dict[str, Any]]:
    """A bucket without a run."""
    return []


def library(table: Table, clock: TestClock, keep: float = 600, runs: Any = no_runs) -> Library:
    return Library(
        table,
        VIEWS,
        runs=runs,
        images=IMAGES,
        history=timedelta(days=371),
        keep=timedelta(seconds=keep),
        clock=clock,
    )


async def test_a_document_is_made_once_for_all_who_ask() -> None:
    """A crowd on Monday morning costs one set of queries; after the time that is set it is asked again."""
    table, clock = Table(), TestClock()
    books = library(table, clock)
    found = await asyncio.gather(*(books.week(WEEK) for _ in range(5)))
    assert all(document == found[0] for document in found)
    assert len(table.asked) == len(set(table.asked))
    asked = len(table.asked)
    clock.advance(seconds=601)
    await books.week(WEEK)
    assert len(table.asked) == 2 * asked


async def test_a_run_that_finishes_shows_at_once() -> None:
    """The page follows the table: what was kept is forgotten with the next receipt, and not before."""
    table, clock = Table(), TestClock()
    runs = [run_entry("2026-11-23", "loading")]

    async def told() -> list[dict[str, Any]]:
        return list(runs)

    books = library(table, clock, runs=told)
    await books.week(WEEK)
    asked = len(table.asked)
    clock.advance(seconds=6)
    await books.week(WEEK)
    assert len(table.asked) == asked
    runs[0] = run_entry("2026-11-23", "loaded", landed_markets=["DK"])
    clock.advance(seconds=6)
    await books.week(WEEK)
    assert len(table.asked) == 2 * asked


async def test_a_failure_is_not_kept() -> None:
    """After BigQuery has come back the page works at once, not ten minutes later."""
    table = Table()
    books = library(table, TestClock())
    table.fails = AWAY
    with pytest.raises(Retryable):
        await books.weeks()
    table.fails = None
    assert len((await books.weeks())["weeks"]) == 2


async def test_the_first_reader_finds_what_was_made_at_the_start() -> None:
    """Whoever comes first waits for nothing that could have been asked before."""
    table = Table()
    books = library(table, TestClock())
    await books.warm()
    asked = list(table.asked)
    await books.weeks()
    await books.newest()
    await books.history()
    await books.figures(WEEK)
    assert {"weeks", "releases", "listings", "history", "overlap"} <= set(asked)
    assert table.asked == asked


async def test_a_table_that_does_not_answer_at_the_start_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """The server starts all the same, and the reason is not lost: neither a known nor an unknown one."""
    table = Table()
    books = library(table, TestClock())
    for fault in (AWAY, RuntimeError("a defect")):
        table.fails = fault
        await books.warm()
    told = [vars(record)["reason"] for record in caplog.records if record.message == "not_warmed"]
    assert told == ["no answer"] * 2 + ["a defect"] * 2
    table.fails = None
    assert len((await books.weeks())["weeks"]) == 2


async def test_the_table_is_asked_while_the_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it: neither the start for the table, nor the table for the first reader."""
    table, clock = Table(), TestClock()

    @asynccontextmanager
    async def opened(made: object) -> AsyncIterator[object]:
        yield made

    monkeypatch.setattr(wiring, "library", lambda _settings, _runs, clock: opened(library(table, clock)))
    monkeypatch.setattr(wiring, "object_store", lambda _settings: opened(MemoryObjectStore(clock)))
    monkeypatch.setattr(assets, "load", lambda: ASSETS)
    settings = Settings(google_cloud_project="p", bucket="b")
    async with wiring.ports(settings, clock=clock):
        await eventually(lambda: {"weeks", "releases"} <= set(table.asked), within=5)


async def test_an_empty_table_is_not_remembered(caplog: pytest.LogCaptureFixture) -> None:
    """The stack starts before its first run; that run is seen as soon as it is loaded, not ten minutes later."""
    table = Table()
    table.is_empty = True
    books = library(table, TestClock())
    await books.warm()
    assert await books.newest() is None
    assert await books.weeks() == {"weeks": [], "others": []}
    assert caplog.records == []
    table.is_empty = False
    assert [week["week"] for week in (await books.weeks())["weeks"]] == ["2026-11-23", "2026-11-16"]
    assert await books.newest() is not None


async def test_whoever_leaves_does_not_take_the_answer_from_others() -> None:
    """A reader who closes the page must not cancel the query that another waits for."""
    books = library(Table(), TestClock())
    leaving, staying = asyncio.ensure_future(books.week(WEEK)), asyncio.ensure_future(books.week(WEEK))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying)["week"] == "2026-11-23"


async def test_the_first_week_is_compared_with_nothing() -> None:
    """Only a week with a run before it is asked what is new."""
    table = Table()
    document = await library(table, TestClock()).week(BEFORE)
    assert document["before"] is None
    assert "listings" not in table.asked


async def test_a_week_that_is_not_there_costs_no_query() -> None:
    """Made-up addresses must not reach BigQuery."""
    table = Table()
    books = library(table, TestClock())
    await books.weeks()
    asked = len(table.asked)
    for find in (books.week, books.figures):
        with pytest.raises(UnknownWeekError, match="no run of 2001-01-01 in the table; the newest is"):
            await find(date(2001, 1, 1))
    assert len(table.asked) == asked


# --- charts and pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(charts.CHARTS))
def test_a_chart_names_no_colour_and_asks_for_no_data(name: str) -> None:
    """Colours come from the theme, rows from the page: one specification serves both themes and any week."""
    specification = charts.specifications()[name]
    text = json.dumps(specification)
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b", text)
    assert '"url"' not in text
    assert '"values"' not in text
    assert '"config"' not in text
    assert specification["width"] == "container"


def test_every_market_has_a_tile_of_its_own() -> None:
    """Two markets on one tile would hide one of them."""
    assert set(europe.TILES) == set(MARKETS)
    assert len(set(europe.TILES.values())) == len(MARKETS)
    assert all(0 <= column < europe.COLUMNS and 0 <= row < europe.ROWS for column, row in europe.TILES.values())


def luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_can_be_read_and_marks_told_apart(palette: theme.Palette) -> None:
    """WCAG 2.2: 4.5:1 for text (1.4.3), 3:1 for what a chart says with marks (1.4.11)."""
    for text in (palette.ink, palette.muted, palette.accent, palette.bad, palette.good):
        assert contrast(text, palette.surface) >= 4.5, text
    for text in (palette.ink, palette.muted, palette.accent):
        assert contrast(text, palette.ground) >= 4.5, text
    for mark in (palette.accent, palette.second, palette.third):
        assert contrast(mark, palette.surface) >= 3, mark
    lights = [luminance(colour) for colour in palette.ramp]
    assert lights == sorted(lights, reverse=palette is theme.LIGHT)


def scripts_of(html: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", html, re.DOTALL)


def test_an_exported_page_allows_exactly_what_it_holds() -> None:
    """The policy names the digest of each script and style as a browser computes it, and nothing wider."""
    html = page.exported_page(ASSETS, {"weeks": {}}, TOLD, made_at="now")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert "unsafe" not in policy[1]
    assert "connect-src" not in policy[1]  # falls to default-src 'none'
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert len(scripts_of(html)) == 2
    for text in (*scripts_of(html), style[1]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy[1]


def test_what_is_put_into_a_page_cannot_end_its_script() -> None:
    """A title is data from outside: in the page's own JSON it must stay data."""
    title = "</script><script>alert(1)</script><!--"
    html = page.exported_page(ASSETS, {"weeks": {"title": title}}, TOLD, made_at="now")
    block = re.search(r'id="documents">(.*?)</script>', html, re.DOTALL)
    assert block
    assert json.loads(block[1])["documents"]["weeks"]["title"] == title
    assert len(scripts_of(html)) == 2


@pytest.mark.parametrize("name", ["data", "runs"])
def test_a_page_is_one_script_one_style_and_little_of_either(name: str) -> None:
    """Before anything is shown a reader waits for three answers, the page, its styles, its script: not for charts."""
    folder = Path(page.__file__).with_name("static")
    loaded = Assets({file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()} | {"vega.js": ""})
    html = page.served_page(loaded, name, TOLD)
    assert re.findall(r'<(?:script [^>]*src|link rel="stylesheet" href)="/assets/([^?"]+)', html) == [
        "style.css",
        f"{name}-page.js",
    ]
    sizes = [len(gzip.compress(text.encode())) for text in (html, loaded["style.css"], loaded[f"{name}-page.js"])]
    assert [size < limit for size, limit in zip(sizes, (4_000, 7_000, 24_000), strict=True)] == [True] * 3, sizes


def test_a_chart_comes_as_vega_draws_it() -> None:
    """No browser translates Vega-Lite: each chart is there for both themes, without a word for each of its marks."""
    drawings = charts.drawings(theme.chart_configs())
    assert set(drawings) == set(charts.CHARTS)
    for drawing in drawings.values():
        for name in ("light", "dark"):
            assert drawing[name]["$schema"].startswith("https://vega.github.io/schema/vega/")
            assert drawing[name]["data"][0]["name"] == charts.TABLE
            assert '"description"' not in json.dumps(drawing[name]["marks"])


def test_an_assets_address_changes_with_its_content() -> None:
    """It is kept for ever by the browser, so a new content needs a new address."""
    changed = Assets({**ASSETS.texts, "data.js": "4;"})
    assert page.served_page(ASSETS, "data", TOLD) != page.served_page(changed, "data", TOLD)
    assert page.served_page(ASSETS, "runs", TOLD) == page.served_page(changed, "runs", TOLD)


def test_the_logo_stands_where_else_the_name_does() -> None:
    """Spotify asks for its logo beside its content; it is not ours to give away, so an operator brings it."""
    assert "</head>Spotify<script" in page.served_page(ASSETS, "data", TOLD)
    with_logo = page.Told(logo=LOGO)
    shown = f'</head><img src="{LOGO}" alt="Spotify"><script'
    assert shown in page.served_page(ASSETS, "data", with_logo)
    assert shown in page.exported_page(ASSETS, {}, with_logo, made_at="now")


# --- answers ---------------------------------------------------------------------------------------------------


async def no_fault() -> None:
    """The store answers."""


@asynccontextmanager
async def serving(
    table: Table,
    store: MemoryObjectStore,
    check: Any = no_fault,
    told: page.Told = TOLD,
    books: Library | None = None,
) -> AsyncIterator[TestClient[Any, Any]]:
    clock = TestClock()
    ports = Ports(books or library(table, clock), Runs(store, "b", clock), ASSETS, told, {"storage": check})
    app = web.Application(middlewares=[guard(ports)])
    app.add_routes(routes(ports))
    async with TestClient(TestServer(app)) as client:
        yield client


PATHS = [
    "/",
    "/runs",
    "/runs/2026-11-23",
    "/api/weeks",
    "/api/weeks/2026-11-23",
    "/api/runs",
    "/health/live",
    "/nowhere",
]


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_the_headers(path: str) -> None:
    """A policy that is missing on one answer is missing where it is needed."""
    async with serving(Table(), MemoryObjectStore()) as client:
        response = await client.get(path)
        assert response.headers["Content-Security-Policy"] == TOLD.policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/runs", "/api/weeks", "/api/weeks/newest", "/assets/style.css"])
async def test_what_a_browser_has_is_not_sent_again(path: str) -> None:
    """Packed and named once: whoever names it in turn is told that nothing has changed, and gets no body."""
    async with serving(Table(), MemoryObjectStore()) as client:
        whole = await client.get(path)
        assert (whole.status, whole.headers["Content-Encoding"]) == (200, "gzip")
        again = await client.get(path, headers={"If-None-Match": whole.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["Content-Security-Policy"] == TOLD.policy
        assert (await client.get(path, headers={"If-None-Match": '"another"'})).status == 200
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        assert await plain.read() == await whole.read()


async def test_a_table_that_has_changed_is_sent_again() -> None:
    """What was packed for the table as it was is not taken for the table as it is, once a run has finished."""
    table, clock, runs = Table(), TestClock(), [run_entry("2026-11-23", "loading")]

    async def told() -> list[dict[str, Any]]:
        return list(runs)

    async with serving(table, MemoryObjectStore(), books=library(table, clock, runs=told)) as client:
        before = await client.get("/api/weeks/newest")
        known = {"If-None-Match": before.headers["ETag"]}
        table.releases = [release("c", "DK")]
        clock.advance(seconds=6)
        assert (await client.get("/api/weeks/newest", headers=known)).status == 304
        runs[0] = run_entry("2026-11-23", "loaded", landed_markets=["DK"])
        clock.advance(seconds=6)
        after = await client.get("/api/weeks/newest", headers=known)
        assert after.status == 200
        assert list(decoded(await after.json())) == ["c"]


@pytest.mark.parametrize(
    ("address", "ahead"),
    [
        ("/", {"weeks", "weeks/newest"}),
        ("/?market=DK", {"weeks", "weeks/newest"}),
        ("/?week=2026-11-23", {"weeks"}),
    ],
)
async def test_a_page_asks_ahead_for_what_it_will_show(address: str, ahead: set[str]) -> None:
    """The newest week is under way before the script runs; one that will not be shown is not asked for."""
    async with serving(Table(), MemoryObjectStore()) as client:
        html = await (await client.get(address)).text()
    assert set(re.findall(r'rel="preload" as="fetch" crossorigin href="/api/([^"]+)"', html)) == ahead


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/weeks/2026-11-23", 200),
        ("/api/weeks/2001-01-01", 404),
        ("/api/weeks/x'; DROP TABLE", 404),
        ("/api/weeks/2026-11-23/figures", 200),
        ("/api/history", 200),
        ("/api/albums/x", 404),
        ("/api/albums/0123456789012345678901", 404),
        ("/api/artists/0123456789012345678901", 404),
        ("/data/2026-11-23/releases.csv", 200),
        ("/data/2026-11-23/releases.xlsx", 404),
        ("/data/2026-11-23/passwords.csv", 404),
        ("/data/2001-01-01/releases.csv", 404),
        ("/api/runs/2001-01-01", 404),
        ("/api/runs/..%2Fraw", 404),
        ("/assets/style.css", 200),
        ("/assets/data.html", 404),
        ("/assets/..%2Fsettings.py", 404),
    ],
)
async def test_only_what_is_there_is_given(path: str, status: int) -> None:
    """What comes from an address is a known asset, a date that has a run, or 404 with a reason."""
    async with serving(Table(), MemoryObjectStore()) as client:
        response = await client.get(path)
        assert response.status == status
        if status == 404 and path.startswith("/api"):
            assert (await response.json())["fault"]


@pytest.mark.parametrize("week", ["banana", "0001-01-01", "9999-12-31", "2026-02-30", "%F0%9F%8D%8C"])
@pytest.mark.parametrize(
    ("path", "list_of_all"),
    [
        ("/api/weeks/WEEK", "/api/weeks names all"),
        ("/api/weeks/WEEK/figures", "/api/weeks names all"),
        ("/data/WEEK/releases.csv", "/api/weeks names all"),
        ("/data/WEEK/delays.parquet", "/api/weeks names all"),
        ("/api/runs/WEEK", "/api/runs names the newest"),
    ],
)
async def test_a_week_that_nobody_can_have_is_404_and_says_what_there_is(
    path: str, week: str, list_of_all: str
) -> None:
    """The ends of the calendar are where dates overflow, and a word is no date: neither is a fault of the server's."""
    async with serving(Table(), MemoryObjectStore()) as client:
        response = await client.get(URL(path.replace("WEEK", week), encoded=True))
        assert response.status == 404
        assert list_of_all in (await response.json())["fault"]


async def test_a_store_that_does_not_answer_is_503_with_a_reason() -> None:
    """The page can show a reason, and a load balancer understands the status."""
    table = Table()
    table.fails = AWAY
    async with serving(table, MemoryObjectStore()) as client:
        response = await client.get("/api/weeks")
        assert (response.status, response.headers["Retry-After"]) == (503, "10")
        assert await response.json() == {"fault": "no answer"}


class Counting(MemoryObjectStore):
    """A bucket that counts what is read of it."""

    reads = 0

    async def read(self, name: str, *, most_bytes: int | None = None) -> StoredObject | None:
        """See `ObjectStore.read`."""
        self.reads += 1
        return await super().read(name, most_bytes=most_bytes)


async def test_the_list_of_runs_tells_why_the_newest_are_not_well() -> None:
    """One look at all runs is enough; and who goes on looking has no finished run read again."""
    store = Counting()
    await nights.failed(store)
    await store.write("runs/2026-11-30/manifest.json", b"{")
    runs = Runs(store, "b", TestClock(), named="--project p")
    unreadable, failed = await runs.entries()
    assert (unreadable["run"], failed["run"]) == ("2026-11-30", builders.RUN)
    assert "runs/2026-11-30/manifest.json" in unreadable["cause"]["what"]
    assert failed["cause"]["what"] == nights.SAID["failed"][0]
    assert failed["cause"]["command"] == "releases --project p doctor --problems"
    before = store.reads
    assert await runs.entries() == [unreadable, failed]
    assert store.reads - before == 1  # the manifest that cannot be read: somebody may have mended it
    await RunLedger(store).note_announced(builders.RUN, 1)
    await runs.entries()
    assert store.reads - before > 2


@pytest.mark.parametrize(("path", "is_page"), [("/data/2001-01-01/<b>.csv", True), ("/api/weeks/<b>", False)])
async def test_whoever_follows_a_link_reads_a_page(path: str, is_page: bool) -> None:  # noqa: FBT001
    """A browser shows what is wrong in words, with what the address held as text; a script gets JSON."""
    async with serving(Table(), MemoryObjectStore()) as client:
        response = await client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
        assert (response.status, response.content_type == "text/html") == (404, is_page)
        if is_page:
            assert "&lt;b&gt;" in (told := await response.text())
            assert "<b>" not in told


async def test_a_document_that_cannot_be_read_is_named() -> None:
    """A broken document in the bucket is told by its name, not as an unexpected fault."""
    store = MemoryObjectStore()
    await store.write("runs/2026-11-23/manifest.json", b"{")
    async with serving(Table(), store) as client:
        response = await client.get("/api/runs/2026-11-23")
        assert response.status == 502
        assert "runs/2026-11-23/manifest.json" in (await response.json())["fault"]


async def test_readiness_tells_what_is_not() -> None:
    """Alive is not ready: a store that is away makes the service not ready, and says which."""

    async def away() -> None:
        raise Retryable("storage is away")

    async with serving(Table(), MemoryObjectStore(), away) as client:
        response = await client.get("/health/ready")
        assert response.status == 503
        assert (await response.json())["failures"] == {"storage": "storage is away"}
        assert (await client.get("/health/live")).status == 200


async def test_what_is_left_out_is_not_given_either() -> None:
    """A part that an operator decided not to show cannot be had by its address."""
    told = page.Told(left_out=("artists", "data", "figures"))
    async with serving(Table(), MemoryObjectStore(), told=told) as client:
        for path in (
            "/api/history",
            "/api/weeks/2026-11-23/figures",
            "/api/artists/0123456789012345678901",
            "/data/2026-11-23/releases.csv",
        ):
            response = await client.get(path)
            assert response.status == 404
            assert "LEAVE_OUT" in (await response.json())["fault"]
        assert (await client.get("/api/weeks/2026-11-23")).status == 200


async def test_without_figures_no_file_has_them() -> None:
    """The sets that the charts are made of go with the charts; the releases stay."""
    async with serving(Table(), MemoryObjectStore(), told=page.Told(left_out=("figures",))) as client:
        status = {name: (await client.get(f"/data/2026-11-23/{name}.csv")).status for name in files.SETS}
    assert status == {name: 200 if name == "releases" else 404 for name in files.SETS}


@pytest.mark.parametrize("name", files.SETS)
async def test_every_set_is_given_in_every_format(name: str) -> None:
    """What the charts show can be had as CSV, Parquet and JSON, with the same rows."""
    async with serving(Table(), MemoryObjectStore()) as client:
        found = {}
        for kind in files.KINDS:
            response = await client.get(f"/data/2026-11-23/{name}.{kind}")
            assert response.status == 200
            found[kind] = await response.read()
    rows = json.loads(found["json"])
    assert pq.read_table(io.BytesIO(found["parquet"])).num_rows == len(rows)
    told = list(csv.DictReader(io.StringIO(found["csv"].decode("utf-8-sig"))))
    assert len(told) == len(rows)
    if name == "releases":
        assert [row["markets"] for row in told] == ["DK,SE", "NO"]


def test_a_spreadsheet_takes_no_title_for_a_formula() -> None:
    """A title that begins with an equals sign is text to whoever opens the file."""
    written = files.as_csv([{"name": "=HYPERLINK(1)", "days": -1}]).decode("utf-8-sig")
    assert written.splitlines()[1] == "'=HYPERLINK(1),-1"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (TOLD, "img-src 'self' https://covers.example;"),
        (page.Told(), "img-src 'self';"),
        (page.Told(logo=LOGO), "img-src 'self' data:;"),
        (page.Told(embed_in="https://intranet.example"), "frame-ancestors https://intranet.example;"),
        (page.Told(), "frame-ancestors 'none';"),
    ],
)
def test_the_policy_allows_what_an_operator_decided(told: page.Told, wanted: str) -> None:
    """Covers come from one host, and from none where they are left out; a frame needs a setting."""
    assert wanted in told.policy


# --- runs ------------------------------------------------------------------------------------------------------


def index(decisions: tuple[int, ...] = (), receipts: tuple[int, ...] = ()) -> RunIndex:
    return RunIndex(
        "2026-11-23",
        has_manifest=True,
        decisions=decisions,
        receipts=receipts,
        announced=(),
        given_up=(),
        throttled=(),
        ordered_at={},
    )


@pytest.mark.parametrize(
    ("found", "receipt", "state"),
    [
        (index(), None, "fetching"),
        (index((1,)), None, "loading"),
        (index((1,), (1,)), builders.receipt(), "loaded"),
    ],
)
def test_the_list_tells_a_runs_state(found: RunIndex, receipt: Receipt | None, state: str) -> None:
    """The list and the run itself speak of the same states."""
    assert entry(found, receipt)["state"] == state


async def test_a_run_is_told_with_its_timings_and_names() -> None:
    """What the page shows beside the status: seconds since the tick, names of cluster and job, counts of states."""
    store = MemoryObjectStore()
    ledger = RunLedger(store)
    await ledger.create_manifest(builders.manifest("DK SE"))
    runs = Runs(store, "b", lambda: builders.NOW + timedelta(minutes=1))
    document = await runs.one(builders.RUN)
    assert document is not None
    assert document["counts"] == {"requested": 2, "throttled": 0, "landed": 0, "missing": 0, "dead_lettered": 0}
    assert document["waterfall"] == [{"stage": "fetch", "begin": 0.0, "end": 360.0, "open": True}]
    assert await runs.one("2001-01-01") is None
    assert (await runs.all())["runs"][0]["run"] == builders.RUN


# --- settings --------------------------------------------------------------------------------------------------


def test_settings_name_every_fault() -> None:
    """All that is wrong with the environment is told at once, by variable."""
    with pytest.raises(ContractError) as caught:
        load(
            Settings,
            {
                "MAXIMUM_BYTES_BILLED": "1",
                "LOG_LEVEL": "loud",
                "LEAVE_OUT": "covers,everything",
                "EMBED_IN": "https://a.example; script-src *",
                "SPOTIFY_IMAGES_URL": "https://a.example;b",
                "SPOTIFY_LOGO": 'data:image/png;base64,"><script>',
            },
        )
    faults = {fault.field for fault in caught.value.faults}
    wrong = {"MAXIMUM_BYTES_BILLED", "LOG_LEVEL", "LEAVE_OUT", "EMBED_IN", "SPOTIFY_IMAGES_URL", "SPOTIFY_LOGO"}
    assert faults == {"GOOGLE_CLOUD_PROJECT", "BUCKET", *wrong}


def test_data_are_spotifys_own_only_where_the_covers_are() -> None:
    """The local stack names the simulator's host; the page must not say that its titles come from Spotify."""
    given = {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b"}
    assert not load(Settings, given).is_invented
    assert load(Settings, {**given, "SPOTIFY_IMAGES_URL": "http://127.0.0.1:1/image"}).is_invented
    assert load(Settings, {**given, "LEAVE_OUT": "figures, covers"}).left_out == ("covers", "figures")


def test_every_setting_says_what_it_is_for() -> None:
    """A variable without a meaning cannot be set by anyone but its author."""
    assert all((field.description or "").endswith(".") for field in Settings.model_fields.values())


async def test_a_week_of_a_mistyped_year_hides_no_real_one() -> None:
    """What is dated later than tomorrow, which has begun in some zone, is not asked for: it is no week yet."""
    asked: list[Query] = []

    class Watched(Table):
        async def rows(self, query: Query) -> Sequence[Row]:
            asked.append(query)
            return await super().rows(query)

    await library(Watched(), TestClock()).weeks()
    [index] = [query for query in asked if query.name == "weeks"]
    assert dict(index.dates)["until"] == builders.NOW.date() + timedelta(days=1)
