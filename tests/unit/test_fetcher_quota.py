"""What a day without quota costs, and what a tight one brings: the service as wired, in virtual time."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from contracts.names import MARKETS, throttled_name
from services.market_fetcher import decisions
from services.market_fetcher.adapters.http import Request
from services.market_fetcher.admission import Admission
from services.market_fetcher.decisions import Answer
from services.market_fetcher.releases import Ability
from tests import fetching
from tests.builders import RUN
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.spotify import FakeSpotify, error
from tests.virtual_time import let_pass, run

DAY = 86_400.0
LEAST_BACKOFF, MOST_BACKOFF = 10.0, 600.0  # seconds, of the fetcher's subscription (infra/topology.json)
ALBUMS = [f"a{number:03}" for number in range(240)]
LISTS = {
    market: " ".join(ALBUMS[(4 * place + of) % 240] for of in range(50)) for place, market in enumerate(MARKETS)
}
HOURS = 25 * 3600
Trick = Callable[[Request], Answer | None]


def world(trick: Trick) -> FakeSpotify:
    """A developer app over 48 lists, each with some albums that no list before it has."""
    return FakeSpotify.of(LISTS, app="developer", trick=trick)


def a_day(spotify: FakeSpotify, store: MemoryObjectStore | None = None) -> list[str]:
    """Deliver a run as Pub/Sub does, for a day; gives the markets that landed, in order."""
    landed: list[str] = []

    async def deliver(fetcher: fetching.Fetcher, market: str) -> None:
        backoff = LEAST_BACKOFF
        while (await fetcher.fetch(market)).status != 204:
            await let_pass(backoff)
            backoff = min(2 * backoff, MOST_BACKOFF)
        landed.append(market)

    async def main() -> None:
        async with fetching.fetching(spotify, store) as fetcher:
            deliveries = [asyncio.create_task(deliver(fetcher, market)) for market in MARKETS]
            _, waiting = await asyncio.wait(deliveries, timeout=DAY)
            for delivery in waiting:
                delivery.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    run(main)
    return landed


def on_albums(answer: Answer) -> Trick:
    """Albums alone are answered so."""
    return lambda request: answer if "/albums" in urlsplit(request.url).path else None


def on_all(answer: Answer) -> Trick:
    """Every call but that for the token is answered so."""
    return lambda request: None if "/token" in request.url else answer


UNTOLD, AGAIN = Answer(429, b"Too many requests"), error(429, retry_after="1")
ENDLESS = {
    "429 without a time": (on_all(UNTOLD), 100),
    "429 without a time on albums": (on_albums(UNTOLD), 800),
    "429 for a second, for ever": (on_all(AGAIN), 100),
    "429 for a second on albums, for ever": (on_albums(AGAIN), 1000),
    "403": (on_all(error(403)), 100),
    "403 on albums": (on_albums(error(403)), 700),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_day_against_a_closed_door_costs_few_calls(name: str) -> None:
    """Calling on makes a refusal longer: all rest, and every market has it on record."""
    trick, most = ENDLESS[name]
    spotify, store = world(trick), MemoryObjectStore()
    assert a_day(spotify, store) == []
    assert len(spotify.requests) <= most
    assert [market for market in MARKETS if throttled_name(RUN, market) not in store.names()] == []


def quota(most: int) -> Trick:
    """So many calls are served, and then none for a day."""
    left = [most]

    def trick(request: Request) -> Answer | None:
        left[0] -= "/token" not in request.url
        return error(429, retry_after=str(HOURS), reason="QUOTA_EXCEEDED") if left[0] < 0 else None

    return trick


def test_a_quota_that_ends_in_the_middle_of_a_run_leaves_finished_markets() -> None:
    """Market by market 400 calls are enough for 37; all begun at once they would be spent on 48 lists and no albums."""
    assert len(a_day(world(quota(400)))) >= 37


# --- a restart -------------------------------------------------------------------------------------------------


def calls_after_a_restart(trick: Trick, *markets: str) -> list[int]:
    """Meet a refusal, die, and deliver these markets to a new process a minute later; its calls for each."""
    store, calls = MemoryObjectStore(), []

    async def main() -> None:
        async with fetching.fetching(world(trick), store) as fetcher:
            await asyncio.gather(*(fetcher.fetch(market) for market in ("DK", "SE")))
        await let_pass(60)
        spotify = world(lambda _: None)
        async with fetching.fetching(spotify, store) as fetcher:
            for market in markets:
                made = len(spotify.requests)
                await fetcher.fetch(market)
                calls.append(len(spotify.requests) - made)

    run(main)
    return calls


def test_a_restart_does_not_forget_that_the_account_waits() -> None:
    """Each call during the wait makes it longer; what one market has on record holds for all."""
    quota_used_up = error(429, retry_after=str(HOURS), reason="QUOTA_EXCEEDED")
    assert calls_after_a_restart(on_all(quota_used_up), "DK", "SE", "NO") == [0, 0, 0]


def test_a_restart_does_not_forget_that_a_market_waits() -> None:
    """It alone waits: the others are fetched."""
    of_one = error(429, retry_after=str(HOURS))
    waits, fetched = calls_after_a_restart(
        lambda r: of_one if r.params.get("market") == "DK" else None, "DK", "NO"
    )
    assert waits == 0
    assert fetched > 0


def test_a_restart_after_a_person_mended_something_asks_at_once() -> None:
    """Who has renewed Premium and starts the service again need not wait for an hour as well."""
    (made,) = calls_after_a_restart(on_all(error(403)), "DK")
    assert made > 0


def test_a_market_that_is_refused_for_good_waits_for_nothing_any_more() -> None:
    """With its old record it would be asked for each hour of a week, and its run would wait till the deadline."""
    told, store = [error(400, "Invalid market code"), error(429, retry_after="7200")], MemoryObjectStore()
    spotify = world(lambda request: None if "/token" in request.url or not told else told.pop())

    async def main() -> None:
        async with fetching.fetching(spotify, store) as fetcher:
            assert (await fetcher.fetch("DK")).status == 503
            assert throttled_name(RUN, "DK") in store.names()
            await let_pass(7300)
            assert (await fetcher.fetch("DK")).status == 400
            assert throttled_name(RUN, "DK") not in store.names()

    run(main)


# --- who comes in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waiting", "begun", "room", "admitted"),
    [
        ("a b c", "", 2, "a b"),
        ("a b c", "c", 2, "c a"),
        ("a b c", "c b", 1, "b"),
        ("a b c", "c", 0, ""),
        ("a b c", "", -3, ""),
        ("a b c", "x", 9, "a b c"),
    ],
)
def test_what_has_begun_comes_in_first(waiting: str, begun: str, room: int, admitted: str) -> None:
    """Then whoever came first; never more than there is room for."""
    assert decisions.admitted(waiting.split(), begun.split(), room) == admitted.split()


@pytest.mark.parametrize(
    ("app", "least", "most"), [("extended", 48, 1000), ("developer", 1, 4), ("unknown", 1, 4)]
)
def test_only_an_app_that_shares_its_calls_has_all_markets_at_once(app: str, least: int, most: int) -> None:
    """Batches are filled by many lists; single albums are not."""
    assert least <= decisions.at_once(app) <= most


def test_who_gives_up_waiting_leaves_no_gap() -> None:
    """A delivery that runs out of time in front of the door, or inside, keeps nobody else out."""

    async def fetch(name: str, admission: Admission) -> str:
        async with admission(name):
            if name != "last":
                await asyncio.Event().wait()
            return name

    async def main() -> None:
        admission = Admission(Ability())
        names = ("one", "two", "three", "last")
        fetches = [asyncio.create_task(fetch(name, admission)) for name in names]
        await asyncio.sleep(0)
        for given_up in fetches[:3]:
            given_up.cancel()
        assert await fetches[3] == "last"

    run(main)
