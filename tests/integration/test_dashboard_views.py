"""The views on the BigQuery emulator, against plain Python over the same rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest

from dashboard.library import Library
from dashboard.queries import Views
from dashboard.warehouse import BigQueryWarehouse
from local.bigquery import BigQuery
from local.choices import PROJECT
from local.spotify import shapes
from local.spotify.catalogue import Catalogue
from local.spotify.shapes import Json
from tests.browser import year
from tests.builders import TestClock

pytestmark = pytest.mark.emulator

DATASET = "views"
MARKETS = ("AT", "CH", "DE", "DK", "SE")
WEEK = year.NEWEST
BEFORE = WEEK - timedelta(days=7)


@pytest.fixture(scope="module")
def rows() -> list[Json]:
    """What the table holds of the newest week."""
    return Catalogue(1, WEEK).expected_rows(MARKETS, "browse", 50, run_id=WEEK.isoformat())


@pytest.fixture(scope="module")
def before(rows: list[Json]) -> list[Json]:
    """And of the week before: one album of the newest week, which several list, was known to a single market."""
    known = Catalogue(1, BEFORE).expected_rows(MARKETS, "browse", 50, run_id=BEFORE.isoformat())
    was = {row["album_id"] for row in known}
    spreads = next(
        found[0]
        for found in by(rows, "album_id").values()
        if found[0]["album_id"] not in was and len({row["market"] for row in found}) > 1
    )
    return [*known, {**spreads, "load_date": BEFORE, "run_id": BEFORE.isoformat()}]


@pytest.fixture(scope="module")
def loaded(bigquery: BigQuery, rows: list[Json], before: list[Json]) -> BigQuery:
    """Both weeks in a dataset of their own, with the views as the stack makes them."""
    year.furnish(bigquery, dataset=DATASET)
    year.load_rows(bigquery, [before, rows], dataset=DATASET)
    return bigquery


def view(loaded: BigQuery, name: str) -> list[dict[str, Any]]:
    client = loaded.client(PROJECT)
    found = client.query_and_wait(f"SELECT * FROM {DATASET}.{name} WHERE load_date = '{WEEK}'")  # noqa: S608
    told = [dict(row.items()) for row in found]
    client.close()
    return told


def by(rows: Sequence[Mapping[str, Any]], *names: str) -> dict[Any, list[Mapping[str, Any]]]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[tuple(row[name] for name in names)].append(row)
    return grouped


def test_every_view_answers(loaded: BigQuery) -> None:
    """A view that its engine refuses is found here and not in a project."""
    for file in sorted(year.VIEWS.glob("*.sql")):
        assert view(loaded, file.stem), file.stem


def test_weeks(loaded: BigQuery, rows: list[Json]) -> None:
    """How much of a run there is."""
    (found,) = view(loaded, "weeks")
    assert (found["markets"], found["albums"], found["row_count"]) == (
        len(MARKETS),
        len({row["album_id"] for row in rows}),
        len(rows),
    )


def test_releases(loaded: BigQuery, rows: list[Json]) -> None:
    """One row for each market and album, its tracks counted, its artists without the guests."""
    expected = by(rows, "market", "album_id")
    found = {(row["market"], row["album_id"]): row for row in view(loaded, "releases")}
    assert found.keys() == expected.keys()
    for key, tracks in expected.items():
        row, album = found[key], tracks[0]
        assert row["tracks"] == len(tracks)
        assert row["duration_ms"] == sum(track["duration_ms"] for track in tracks)
        assert row["explicit_tracks"] == sum(track["explicit"] for track in tracks)
        assert row["album_name"] == album["album_name"]
        day: date | None = album["release_day"]
        assert row["weekday"] == (None if day is None else f"{day:%A}")
        assert row["days_since_release"] == (None if day is None else (WEEK - day).days)
        if row["artists"] != "Various artists":
            assert len(row["artists"]) == min(len(track["artists"]) for track in tracks)


def test_reach(loaded: BigQuery, rows: list[Json]) -> None:
    """Every market of an album; and the one that has it alone."""
    expected = {key[0]: sorted({row["market"] for row in found}) for key, found in by(rows, "album_id").items()}
    for row in view(loaded, "album_reach"):
        markets = expected.pop(row["album_id"])
        assert (row["markets"], row["market_count"]) == (markets, len(markets))
        assert row["only_market"] == (markets[0] if len(markets) == 1 else None)
    assert not expected


def test_overlap(loaded: BigQuery, rows: list[Json]) -> None:
    """Every pair in both directions, and each market's own length."""
    albums = {key[0]: {row["album_id"] for row in found} for key, found in by(rows, "market").items()}
    found = {(row["market"], row["other_market"]): row["shared"] for row in view(loaded, "market_overlap")}
    expected = {pair: len(albums[pair[0]] & albums[pair[1]]) for pair in product(MARKETS, repeat=2)}
    assert found == {pair: shared for pair, shared in expected.items() if shared}


def test_artists(loaded: BigQuery, rows: list[Json]) -> None:
    """Artists by id, with the name that is theirs even where names are joined."""
    expected: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        credited = row["artists"].split(", ")
        for place, artist in enumerate(row["artist_ids"]):
            expected[artist]["markets"].add(row["market"])
            expected[artist]["albums"].add(row["album_id"])
            if len(credited) == len(row["artist_ids"]):
                expected[artist]["names"].add(credited[place])
    found = {row["artist_id"]: row for row in view(loaded, "artist_reach")}
    assert found.keys() == expected.keys()
    for artist, row in found.items():
        assert row["artist"] in expected[artist]["names"] or row["artist"] == artist
        assert row["markets"] == sorted(expected[artist]["markets"])
        assert row["albums"] == len(expected[artist]["albums"])


def test_lengths(loaded: BigQuery, rows: list[Json]) -> None:
    """Half minutes from nought; every track counts."""
    expected: dict[tuple[str, int], int] = defaultdict(int)
    for row in rows:
        expected[row["market"], row["duration_ms"] // 30_000] += 1
    found = {(row["market"], row["half_minute"]): row["tracks"] for row in view(loaded, "track_lengths")}
    assert found == expected


def new_of(week: date, runs: Mapping[date, Sequence[Json]]) -> tuple[dict[str, set[str]], set[str]]:
    """In plain words: against each market's last list; without one by the day of release. For each market, and all."""
    lists = {at: by(rows, "market", "album_id") for at, rows in runs.items()}
    days = {key[1]: found[0]["release_day"] for key, found in lists[week].items()}
    new: dict[str, set[str]] = {}
    held: set[str] = set()
    first = set()
    for market, album in lists[week]:
        before = max((at for at in runs if at < week and any(key[0] == market for key in lists[at])), default=None)
        known = {key[1] for key in lists[before] if key[0] == market} if before else set()
        held |= known
        fresh = days[album] is not None and 0 <= (week - days[album]).days < 7
        if album not in known if before else fresh:
            new.setdefault(market, set()).add(album)
        if not before and not fresh:
            first.add((market, album))
    listed = {key[1]: {market for market, album in lists[week] if album == key[1]} for key in lists[week]}
    everywhere = {
        album for album, there in listed.items() if album not in held and {(m, album) for m in there} - first
    }
    return new, everywhere


async def test_what_is_new_is_what_was_not_listed(loaded: BigQuery, rows: list[Json], before: list[Json]) -> None:
    """New in a market, new anywhere, days until listed, and the history: all against the run before."""
    library, client = library_over(loaded, DATASET)
    week, told = await library.week(WEEK), await library.history()
    figures = await library.figures(WEEK)
    client.close()
    was = {key[0]: {row["album_id"] for row in found} for key, found in by(before, "market").items()}
    now = {key[0]: {row["album_id"] for row in found} for key, found in by(rows, "market").items()}
    new = {market: now[market] - was[market] for market in MARKETS}
    everywhere_new = set().union(*now.values()) - set().union(*was.values())
    columns = week["columns"]
    for release in (dict(zip(columns, row, strict=True)) for row in week["releases"]):
        markets = {week["markets"][place] for place in release["new_in"]}
        assert markets == {market for market in MARKETS if release["id"] in new[market]}
        assert release["is_new"] == (release["id"] in everywhere_new)
    history = {(at, market): (albums, fresh) for at, market, albums, fresh in told["history"]}
    for market in MARKETS:
        assert history[WEEK.isoformat(), market] == (len(now[market]), len(new[market]))
        assert history[BEFORE.isoformat(), market][0] == len(was[market])
    assert history[WEEK.isoformat(), "all"] == (len(set().union(*now.values())), len(everywhere_new))
    days = {key: found[0]["release_day"] for key, found in by(rows, "market", "album_id").items()}
    for place, releases, quartiles, mean in figures["delays"]:
        market = week["markets"][place]
        taken = [
            (WEEK - day).days for (at, album), day in days.items() if at == market and album in new[at] and day
        ]
        young = sorted(took for took in taken if 0 <= took <= 60)
        assert (releases, quartiles[0], quartiles[-1]) == (len(young), young[0], young[-1])
        assert mean == pytest.approx(sum(young) / len(young), abs=0.01)


HOLES = "holes"
WEEKS = tuple(WEEK - timedelta(days=7 * back) for back in range(4))
LACKING = {WEEKS[1]: "SE", WEEKS[2]: "SE", WEEKS[3]: "DK"}
"""Sweden lacks two weeks in a row; Denmark begins a week late."""


@pytest.fixture(scope="module")
def runs() -> dict[date, list[Json]]:
    """Four weeks, three of which lack a market."""
    return {
        week: Catalogue(1, week).expected_rows(
            [market for market in MARKETS if market != LACKING.get(week)], "browse", 50, run_id=week.isoformat()
        )
        for week in WEEKS
    }


@pytest.fixture(scope="module")
def holed(bigquery: BigQuery, runs: dict[date, list[Json]]) -> BigQuery:
    """Them in a dataset of their own."""
    year.furnish(bigquery, dataset=HOLES)
    year.load_rows(bigquery, list(runs.values()), dataset=HOLES)
    return bigquery


def library_over(bigquery: BigQuery, dataset: str) -> tuple[Library, Any]:
    """The library as the dashboard has it, with a bucket that knows no run; and the client, to be closed."""
    client = bigquery.client(PROJECT)
    warehouse = BigQueryWarehouse(client, maximum_bytes_billed=10**9, timeout=timedelta(seconds=60))

    async def no_runs() -> list[Json]:
        return []

    return Library(
        warehouse,
        Views(PROJECT, dataset),
        runs=no_runs,
        images=shapes.IMAGES,
        history=timedelta(days=371),
        keep=timedelta(minutes=1),
        clock=TestClock(),
    ), client


async def test_a_week_without_a_market_makes_nothing_new(holed: BigQuery, runs: dict[date, list[Json]]) -> None:
    """What Sweden listed before two weeks without it is not new after them, in no document and in no total."""
    library, client = library_over(holed, HOLES)
    history = {(at, market): fresh for at, market, _, fresh in (await library.history())["history"]}
    for week in WEEKS:
        new, everywhere = new_of(week, runs)
        document = await library.week(week)
        found: dict[str, set[str]] = {}
        for release in (dict(zip(document["columns"], row, strict=True)) for row in document["releases"]):
            for place in release["new_in"]:
                found.setdefault(document["markets"][place], set()).add(release["id"])
            assert release["is_new"] == (release["id"] in everywhere)
        assert found == new
        for market in document["markets"]:
            assert history[week.isoformat(), market] == len(new.get(market, ()))
        assert history[week.isoformat(), "all"] == len(everywhere)
    client.close()
    assert (WEEKS[1].isoformat(), "SE") not in history  # a gap, not a nought


async def test_a_missing_market_is_named(holed: BigQuery) -> None:
    """A market that was there before is missed, also where the bucket does not know the run any more."""
    library, client = library_over(holed, HOLES)
    missing = {entry["week"]: set(entry["missing"]) for entry in (await library.weeks())["weeks"]}
    client.close()
    assert missing == {
        WEEKS[0].isoformat(): set(),
        WEEKS[1].isoformat(): {"SE"},
        WEEKS[2].isoformat(): {"SE"},
        WEEKS[3].isoformat(): set(),
    }


def test_new_this_week_looks_at_the_last_list(holed: BigQuery, runs: dict[date, list[Json]]) -> None:
    """The view for whoever asks in SQL has the rule of the page, and names the run that it compared with."""
    sql = (year.VIEWS / "new_this_week.sql").read_text().replace("${table}", f"{PROJECT}.{HOLES}.new_releases")
    client = holed.client(PROJECT)
    # As on the day of the run, whatever day it is.
    asked = sql.replace("CURRENT_DATE()", f"DATE '{WEEK}'")
    found = [dict(row.items()) for row in client.query_and_wait(asked)]
    client.close()
    new, _ = new_of(WEEK, runs)
    assert {(row["market"], row["album_id"]) for row in found} == {
        (market, album) for market, albums in new.items() for album in albums
    }
    compared = {row["market"]: row["compared_with"] for row in found}
    assert compared == {market: WEEKS[3] if market == "SE" else WEEKS[1] for market in MARKETS}


async def test_a_release_and_an_artist_are_followed_through_the_weeks(
    holed: BigQuery, runs: dict[date, list[Json]]
) -> None:
    """Tracks, markets and weeks of one release, and the reach of its artist, as plain Python counts them."""
    library, client = library_over(holed, HOLES)
    row = next(row for row in runs[WEEK] if len(row["artist_ids"]) == 1)
    album, artist = await library.album(row["album_id"]), await library.artist(row["artist_ids"][0])
    client.close()
    there = {
        week: sorted({other["market"] for other in rows if other["album_id"] == row["album_id"]})
        for week, rows in runs.items()
    }
    assert album["listed"] == [[week.isoformat(), there[week]] for week in WEEKS if there[week]]
    names = {other["track_name"] for other in runs[WEEK] if other["album_id"] == row["album_id"]}
    assert {track["name"] for track in album["tracks"]} == names
    assert all(track["markets"] == there[WEEK] for track in album["tracks"])
    assert album["release"]["image"] == f"{row['album_id']}300"
    reach = {
        week: {other["market"] for other in rows if row["artist_ids"][0] in other["artist_ids"]}
        for week, rows in runs.items()
    }
    assert artist["reach"] == [[week.isoformat(), len(reach[week])] for week in WEEKS if reach[week]]
    assert artist["name"] == row["artists"]
