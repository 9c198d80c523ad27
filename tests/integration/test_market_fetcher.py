"""The market fetcher against the Spotify simulator, over real HTTP.

In virtual time over a bucket in memory: whole runs, faults, quota. As a process of its own over the emulators
(marked): the way a message takes in production.
"""

import asyncio
import gzip
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import requests
from aiohttp.test_utils import TestServer

from contracts.documents import ThrottledMarket
from contracts.events import MarketRequested
from contracts.names import MARKETS, manifest_name, part_name, throttled_name
from contracts.truth import source_report
from eventing.app import Settled
from eventing.logs import CloudLoggingFormatter
from eventing.settings import load
from local.processes import Supervisor
from local.pubsub import PubSub
from local.spotify import SIMULATOR, Catalogue, Limits, Rule, Simulator, create_app
from local.spotify import Settings as Simulated
from local.spotify.presets import PRESETS
from local.storage import Storage
from local.tools import ROOT
from local.troubles import trouble_of
from services.market_fetcher.settings import Settings
from services.market_fetcher.wiring import Outside, open_service
from tests.builders import NOW, RUN
from tests.fakes.objects import MemoryObjectStore
from tests.fetching import ENVIRONMENT, Fetcher, all_markets
from tests.integration.services import Cloud, cloud, service
from tests.virtual_time import VirtualTime, let_pass, run

CATALOGUE = Catalogue(1, date(2026, 11, 23))
FEW = ("DK", "SE", "XK")
Mode = Any  # "extended" or "developer", which pytest passes as text
Body = Callable[[Fetcher, Simulator], Coroutine[Any, Any, None]]


@asynccontextmanager
async def simulated(
    simulator: Simulated,
    store: MemoryObjectStore,
    environment: Mapping[str, str] = MappingProxyType({}),
    *,
    catalogue: Catalogue = CATALOGUE,
) -> AsyncIterator[tuple[Fetcher, Simulator]]:
    """The service over the simulator, both on one virtual clock."""
    time = VirtualTime()
    app = create_app(catalogue, simulator, clock=time.now, rng=random.Random(1))
    async with TestServer(app) as server:
        addresses = {
            "SPOTIFY_API_URL": str(server.make_url("/v1")),
            "SPOTIFY_IMAGES_URL": str(server.make_url("/image")),
            "SPOTIFY_TOKEN_URL": str(server.make_url("/api/token")),
        }
        settings = load(Settings, {**ENVIRONMENT, **addresses, **environment})
        outside = Outside(store=store, time=time, draw=random.Random(2).random)
        async with open_service(settings, outside) as opened:
            yield Fetcher(opened, store), app[SIMULATOR]


def against(simulator: Simulated, body: Body, store: MemoryObjectStore | None = None, **environment: str) -> None:
    """Run a test's body with simulator and service up, in virtual time."""

    async def main() -> None:
        async with simulated(simulator, store or MemoryObjectStore(), environment) as (fetcher, running):
            await body(fetcher, running)

    run(main)


async def fetch_all(fetcher: Fetcher, markets: Sequence[str], run_id: str = RUN) -> dict[str, Settled]:
    """Deliver all markets at once."""
    ended = await asyncio.gather(*(fetcher.fetch(market, run_id=run_id) for market in markets))
    return dict(zip(markets, ended, strict=True))


async def until_all_land(fetcher: Fetcher, markets: Sequence[str]) -> None:
    """As Pub/Sub does: deliver what was given back again."""
    missing = list(markets)
    for _ in range(50):
        ended = await fetch_all(fetcher, missing)
        missing = [market for market, settled in ended.items() if settled.status != 204]
        if not missing:
            return
        await let_pass(600)
    raise AssertionError(f"{missing} never land")


async def expect_parts(fetcher: Fetcher, markets: Sequence[str], source: Any, wanted: int = 50) -> None:
    """The parts hold what the catalogue lists, in its order, with every track to the letter."""
    for market in markets:
        lines = await fetcher.part(market)
        assert [line["album"]["id"] for line in lines] == CATALOGUE.releases(market, source, wanted)
        for line in lines:
            tracks = [track["id"] for track in line["album"]["tracks"]["items"]]
            assert tracks == [track["id"] for track in CATALOGUE.tracks(line["album"]["id"])]


def figures(source: Any, markets: Sequence[str]) -> tuple[int, int]:
    """U and V: distinct albums of a run, and pages beyond the first of the long ones."""
    albums = CATALOGUE.distinct(markets, source, 50)
    pages = [-(-len(CATALOGUE.record(album_id).tracks) // 50) - 1 for album_id in albums]
    return len(albums), sum(pages)


@pytest.mark.parametrize("mode", ["extended", "developer"])
def test_a_whole_run_equals_the_catalogue_within_the_bound(mode: Mode) -> None:
    """Every market, both kinds of app: every track, and no more calls than the design allows."""
    source = "browse" if mode == "extended" else "search"
    distinct, overflow = figures(source, MARKETS)
    bound = {
        "extended": len(MARKETS) + -(-distinct // 20) + overflow + 1,
        "developer": len(MARKETS) * 5 + distinct + overflow + 2,
    }[mode]

    async def body(fetcher: Fetcher, simulator: Simulator) -> None:
        assert {settled.status for settled in (await fetch_all(fetcher, MARKETS)).values()} == {204}
        await expect_parts(fetcher, MARKETS, source)
        assert len(simulator.calls) <= bound
        assert {call.status for call in simulator.calls} <= {200, 403}
        assert overflow > 0
        metadata = [await fetcher.metadata(market) for market in MARKETS]
        assert sum(int(beside["calls"]) for beside in metadata) == len(simulator.calls)
        assert {beside["app"] for beside in metadata} == {mode}

    against(Simulated(mode=mode, latency=timedelta(milliseconds=50)), body)


@pytest.mark.parametrize("mode", ["extended", "developer"])
def test_the_second_week_asks_for_the_new_half_alone(mode: Mode) -> None:
    """Half of a list is known from the week before: those albums are not asked for again."""
    store = MemoryObjectStore()
    source: Any = "browse" if mode == "extended" else "search"
    following = CATALOGUE.following()
    fresh = following.distinct(FEW, source, 50) - CATALOGUE.distinct(FEW, source, 50)

    async def main() -> None:
        async with simulated(Simulated(mode=mode), store) as (fetcher, _):
            await fetch_all(fetcher, FEW)
        async with simulated(Simulated(mode=mode), store, catalogue=following) as (fetcher, simulator):
            await fetch_all(fetcher, FEW, "2026-11-30")
            asked = [
                call.path.rsplit("/", 1)[-1] for call in simulator.calls if call.endpoint == "/v1/albums/{id}"
            ]
            asked += [name for call in simulator.calls for name in call.query.get("ids", "").split(",") if name]
            assert sorted(asked) == sorted(fresh)
            now = {market: await fetcher.metadata(market, "2026-11-30") for market in FEW}
            before = {market: await fetcher.metadata(market) for market in FEW}
            report = source_report(now, before)
            assert (report["identical_markets"], report["looks_frozen"]) == (False, False)

    run(main)


@pytest.mark.parametrize(
    ("effect", "suspicion"),
    [("market_ignored", "identical_markets"), ("frozen", "looks_frozen"), ("frozen", "same_as_before")],
)
def test_a_source_that_does_not_tell_the_truth_is_told(effect: Any, suspicion: str) -> None:
    """One list for all markets, or last week's list again: the answers are well formed, the parts give it away."""
    store = MemoryObjectStore()
    lying = Simulated(faults=(Rule(effect=effect),))

    async def main() -> None:
        async with simulated(Simulated(), store) as (fetcher, _):
            await fetch_all(fetcher, FEW)
        async with simulated(lying, store, catalogue=CATALOGUE.following()) as (fetcher, _):
            await fetch_all(fetcher, FEW, "2026-11-30")
            now = {market: await fetcher.metadata(market, "2026-11-30") for market in FEW}
            before = {market: await fetcher.metadata(market) for market in FEW}
        report = source_report(now, before)
        assert report[suspicion]
        assert not source_report(before, {})[suspicion]

    run(main)


def passing(**rule: Any) -> Rule:
    """A rule that ends: a third of the calls, forty at most."""
    return Rule(probability=0.3, times=40, **rule)


FAULTS = {
    "500": passing(effect="status", status=500),
    "503": passing(effect="status", status=503, retry_after=4),
    "502 as a page": passing(effect="status", status=502, text="<html>Bad gateway</html>"),
    "401": Rule(effect="status", status=401, path="^/v1", times=3),
    "429": passing(effect="status", status=429, retry_after=3),
    "429 without a time": passing(effect="status", status=429, text="Too many requests"),
    "429 at once": passing(effect="status", status=429, retry_after=0),
    "429 for hours": Rule(effect="status", status=429, retry_after="remaining", lasts=9000),
    "quota": Rule(effect="status", status=429, retry_after=5000, reason="QUOTA_EXCEEDED", nth=5),
    "reset": passing(effect="reset"),
    "truncated": passing(effect="truncated"),
    "non_json": passing(effect="non_json"),
    "stall": Rule(effect="stall", seconds=45, nth=3),
    "empty_page": Rule(effect="empty_page", nth=3, times=1, path="search|tracks"),
    "unstable_total": Rule(effect="unstable_total"),
    "repeated": Rule(effect="repeated"),
    "loop": Rule(effect="loop"),
    "null_entries": Rule(effect="null_entries", path="^/v1/(search|browse)"),
    "null_albums": Rule(effect="null_albums", probability=0.3),
    "takedown": Rule(effect="takedown", probability=0.3),
    "release_date": Rule(effect="release_date", probability=0.3),
    "null_fields": Rule(effect="null_fields", fields=("preview_url", "explicit", "name")),
    "missing_fields": Rule(effect="missing_fields", fields=("images", "label", "artists"), of="album"),
}


FAULTS |= {
    name: PRESETS[name][0]
    for name in (
        "null-listing",
        "null-items",
        "no-ids",
        "empty-of-many",
        "missing-once",
        "refused-once",
        "small-pages",
        "relinked",
        "floats",
        "quota-without-time",
    )
}


@pytest.mark.parametrize("mode", ["extended", "developer"])
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_the_simulator_is_survived(name: str, mode: Mode) -> None:
    """Whatever the simulator does to some calls, in the end the parts hold every album and every track."""

    async def body(fetcher: Fetcher, simulator: Simulator) -> None:
        await until_all_land(fetcher, FEW)
        await expect_parts(fetcher, FEW, "browse" if mode == "extended" else "search")
        acted = [rule["acted"] for rule in simulator.report()["faults"]]
        assert acted[0] > 0 or (name, mode) in {("empty_page", "extended"), ("null_albums", "developer")}

    against(Simulated(mode=mode, faults=(FAULTS[name],)), body)


@pytest.mark.parametrize("mode", ["extended", "developer"])
@pytest.mark.parametrize(
    ("name", "counted"),
    [("gone", "albums-gone"), ("short", "tracks-short"), ("odd-values", "odd-values"), ("nothing-new", "empty")],
)
def test_what_spotify_does_not_make_good_is_counted_beside_the_part(name: str, counted: str, mode: Mode) -> None:
    """What is lacking for good lands nowhere, and does not hide."""

    async def body(fetcher: Fetcher, simulator: Simulator) -> None:
        await until_all_land(fetcher, FEW)
        told = {market: await fetcher.metadata(market) for market in FEW}
        assert simulator.report()["faults"][0]["acted"] > 0
        if name == "nothing-new":
            assert [told[market][counted] for market in FEW] == ["true", "false", "false"]
            assert await fetcher.part("DK") == []
            return
        for market in FEW:
            listed, landed = int(told[market]["albums-listed"]), int(told[market]["album-count"])
            gone = int(told[market]["albums-gone"])
            assert (listed, len(await fetcher.part(market))) == (50, landed)
            assert landed + gone == 50
        assert sum(int(beside[counted]) for beside in told.values()) > 0

    against(Simulated(mode=mode, faults=PRESETS[name]), body)


def test_a_market_that_never_gets_a_listing_names_itself_and_the_reason() -> None:
    """The others land; this one is given back for ever, and says what Spotify answers."""

    async def body(fetcher: Fetcher, _simulator: Simulator) -> None:
        ended = await fetch_all(fetcher, FEW)
        assert [ended[market].status for market in FEW] == [503, 204, 204]
        assert "market DK" in ended["DK"].faults[0].problem
        assert "no list of albums" in ended["DK"].faults[0].problem

    against(Simulated(faults=PRESETS["never-a-listing"]), body)


@pytest.mark.parametrize(
    ("name", "told", "needs_a_person"),
    [
        ("wrong-secret", "Invalid client secret); mend SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET", True),
        ("no-premium", "check SPOTIFY_SOURCE, and that the app's owner has Premium", True),
        ("quota-used-up", "Spotify's quota for the account", False),
        ("no-tokens", "/api/token: status 500", False),
    ],
)
def test_a_first_run_that_spotify_does_not_serve_is_told_why_from_the_log(
    name: str, told: str, *, needs_a_person: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The demo reads the fetcher's log: with its first refusal it holds the reason and the remedy."""
    log = CloudLoggingFormatter(project="p", service="market-fetcher")

    async def body(fetcher: Fetcher, _simulator: Simulator) -> None:
        assert {settled.status for settled in (await fetch_all(fetcher, FEW)).values()} == {503}

    against(Simulated(faults=PRESETS[name]), body)
    trouble = trouble_of(map(log.format, caplog.records), NOW)
    assert trouble is not None
    assert told in trouble.what
    assert trouble.needs_a_person is needs_a_person
    assert trouble.outlasts(timedelta(minutes=3), NOW) is (name != "no-tokens")


def test_one_market_told_to_wait_for_two_hours() -> None:
    """The other 47 finish, that one is shown as throttled, and it completes by itself when the wait is over."""
    rule = Rule(effect="status", status=429, market="DK", lasts=7200, retry_after="remaining")

    async def body(fetcher: Fetcher, simulator: Simulator) -> None:
        ended = await fetch_all(fetcher, MARKETS)
        assert [market for market, settled in ended.items() if settled.status != 204] == ["DK"]
        stored = await fetcher.store.read(throttled_name(RUN, "DK"))
        assert stored is not None
        until = ThrottledMarket.model_validate_json(stored.body).until
        assert fetcher.service.status()["throttled"]["DK"]["until"] == until.isoformat()
        made = len(simulator.calls)
        while (await fetcher.fetch("DK")).status != 204:
            assert len(simulator.calls) == made
            await let_pass(600)
        await expect_parts(fetcher, MARKETS, "search")
        assert await fetcher.store.read(throttled_name(RUN, "DK")) is None

    against(Simulated(mode="developer", faults=(rule,)), body)


def test_our_limiter_never_meets_the_limit_it_was_told() -> None:
    """At the allowed rate there is no 429 at all, and the run takes at most 1.15 of what the limit implies."""

    async def body(fetcher: Fetcher, simulator: Simulator) -> None:
        await fetch_all(fetcher, MARKETS)
        assert {call.status for call in simulator.calls} == {200, 403}
        windows = -(-len(simulator.calls) // 90) - 1
        assert asyncio.get_running_loop().time() <= 30 * windows * 1.15 + 5

    limits = Limits(calls_per_window=90, lengthen=timedelta(seconds=5))
    against(Simulated(mode="developer", limits=limits), body, SPOTIFY_RATE="3", FETCH_BUDGET="570")


def test_a_quota_that_ends_in_the_middle_of_a_run_leaves_finished_markets() -> None:
    """Of 400 calls a day 37 markets of this week can be whole; all begun at once it would be 22, the rest in pieces."""

    async def body(fetcher: Fetcher, simulator: Simulator) -> None:
        ended = await fetch_all(fetcher, MARKETS)
        whole = [market for market, settled in ended.items() if settled.status == 204]
        assert len(whole) >= 37
        assert sum(call.status == 429 for call in simulator.calls) <= 16  # those under way when the quota ended
        await expect_parts(fetcher, whole, "search")

    against(Simulated(mode="developer", limits=Limits(daily_quota=400)), body)


def test_a_rate_far_above_the_limit_is_learnt() -> None:
    """Told twenty times too much, the fetcher halves until the limit holds, and still loses nothing."""

    async def body(fetcher: Fetcher, simulator: Simulator) -> None:
        await until_all_land(fetcher, FEW)
        await expect_parts(fetcher, FEW, "search")
        refused = sum(call.status == 429 for call in simulator.calls)
        assert 0 < refused < 100

    limits = Limits(calls_per_window=30)
    against(Simulated(mode="developer", limits=limits), body, SPOTIFY_RATE="20")


# --- as a process, over the emulators --------------------------------------------------------------------------


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Ends every process of the test."""
    with Supervisor(tmp_path) as running:
        yield running


@pytest.fixture
def world(
    pubsub: PubSub, storage: Storage, supervisor: Supervisor, request: pytest.FixtureRequest
) -> Iterator[Cloud]:
    """A project of the test's own, with the simulator and a Secret Manager."""
    arguments = ["--mode", "developer", "--week", "2026-11-23"]
    spotify = _address(supervisor, "spotify", [*arguments])
    secrets = _address(supervisor, "secret_manager", ["--secret", "id=abc", "--secret", "secret=def"])
    environment = {
        "SPOTIFY_API_URL": f"{spotify}/v1",
        "SPOTIFY_IMAGES_URL": f"{spotify}/image",
        "SPOTIFY_TOKEN_URL": f"{spotify}/api/token",
        "SECRET_MANAGER_EMULATOR_HOST": secrets,
        "SPOTIFY_CLIENT_ID_SECRET": "projects/p/secrets/id/versions/1",
        "SPOTIFY_CLIENT_SECRET_SECRET": "projects/p/secrets/secret/versions/latest",
    }
    name = f"it-fetcher-{request.node.name.replace('_', '-')}"[:60]
    with cloud(pubsub, storage.url, name=name, environment=environment) as made:
        for run_id in (RUN, "2026-11-30"):
            expected = all_markets(run_id, "XX").to_json()
            made.bucket.blob(manifest_name(run_id)).upload_from_string(expected)
        yield made


def _address(supervisor: Supervisor, name: str, arguments: list[str]) -> str:
    command = [sys.executable, "-m", f"local.{name}", *arguments]
    child = supervisor.start(name, command, {"PYTHONPATH": str(ROOT)}, cwd=ROOT)
    return child.wait_for_line(r"^ready (\S+)", within=30)[1]


@pytest.mark.emulator
def test_a_pushed_message_becomes_a_part(world: Cloud, supervisor: Supervisor) -> None:
    """A push over real HTTP, credentials from Secret Manager, the simulator, a part in Cloud Storage."""
    with service(supervisor, "market_fetcher", world.environment) as fetcher:
        assert fetcher.post(MarketRequested(run_id=RUN, market="DK")).status_code == 204
        blob = world.bucket.get_blob(part_name(RUN, "DK"))
        assert blob is not None
        lines = [
            json.loads(line) for line in gzip.decompress(blob.download_as_bytes(raw_download=True)).splitlines()
        ]
        assert [line["album"]["id"] for line in lines] == CATALOGUE.releases("DK", "search", 50)
        assert blob.metadata["app"] == "developer"
        assert blob.metadata["album-count"] == "50"

        generation = blob.generation
        assert fetcher.post(MarketRequested(run_id=RUN, market="DK")).status_code == 204
        replay = MarketRequested(run_id=RUN, market="DK", replay=True)
        asked = datetime.now(UTC)
        answers = [fetcher.post(replay, message_id="again", at=asked).status_code for _ in range(2)]
        assert answers == [204, 204]
        [market_fetched] = [
            line for line in fetcher.logged("market_fetched") if line["event-id"] != blob.metadata["event-id"]
        ]
        assert market_fetched["calls"] == "5"
        assert world.bucket.get_blob(part_name(RUN, "DK")).generation > generation

        refused = fetcher.post(MarketRequested(run_id=RUN, market="XX"))
        assert refused.status_code == 400
        assert "Invalid market code" in refused.json()["faults"][0]["problem"]
        ready = requests.get(f"{fetcher.url}health/ready", timeout=10).json()
        assert ready == {"ready": True, "failures": {}, "app": "developer", "throttled": {}}


@pytest.mark.emulator
def test_a_secret_that_is_not_there_is_named(world: Cloud, supervisor: Supervisor) -> None:
    """A wrong version gives the message back and says which version and which role to look at."""
    environment = {**world.environment, "SPOTIFY_CLIENT_SECRET_SECRET": "projects/p/secrets/none/versions/1"}
    with service(supervisor, "market_fetcher", environment) as fetcher:
        answer = fetcher.post(MarketRequested(run_id="2026-11-30", market="DK"))
        assert answer.status_code == 503
        assert "projects/p/secrets/none/versions/1" in answer.json()["faults"][0]["problem"]
        assert "secretAccessor" in answer.json()["faults"][0]["problem"]


def test_wrong_settings_are_told_together_at_start() -> None:
    """The process ends at once with every fault, instead of failing message by message."""
    ended = subprocess.run(
        [sys.executable, "-m", "services.market_fetcher"],
        env={"SPOTIFY_RATE": "none"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    for name in ("GOOGLE_CLOUD_PROJECT", "BUCKET", "SPOTIFY_RATE", "SPOTIFY_CLIENT_ID_SECRET", "PUSH_AUDIENCE"):
        assert name in ended.stderr
