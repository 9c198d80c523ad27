"""The notifier: who is told, how often, and in which words."""

import asyncio
import io
import itertools
import logging
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.documents import MissingMarket, Receipt
from contracts.events import Outcome, RunFinished
from contracts.names import notice_name
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunLedger
from eventing.secrets import PlainSecret
from services.notifier.adapters.apprise import AppriseSender
from services.notifier.decisions import LEASE, MOST_ADDRESSES, addresses_of
from services.notifier.handlers import on_run_finished
from services.notifier.message import MOST, harmless, message_of
from services.notifier.ports import Ports, Release, Week
from tests.builders import RUN, TestClock, delivery, receipt
from tests.fakes.notices import WEEK, MemorySender, MemoryWarehouse
from tests.fakes.objects import MemoryObjectStore

ACTED_ON = re.compile(r"[@<>*_~`\[\]#|\\&{}\n\r]|://|\w\.\w")
ZONE = ZoneInfo("Europe/Copenhagen")
SLACK, MAIL = "slack://aaaa/bbbb/SECRET", "mailto://me:PASSWORD@example.com"
FAILED = receipt(outcome="failed", error="the job failed", landed=("DK",), warehouse=None)
PARTIAL = receipt(outcome="partial", missing=(MissingMarket(market="FI", reason="Spotify answers 500"),))


@dataclass
class Stage:
    """A notifier with everything around it."""

    urls: str = f"{SLACK}\n{MAIL}"
    clock: TestClock = field(default_factory=TestClock)
    sender: MemorySender = field(default_factory=MemorySender)
    warehouse: MemoryWarehouse = field(default_factory=MemoryWarehouse)

    def __post_init__(self) -> None:
        self.store = MemoryObjectStore(self.clock)
        self.ledger = RunLedger(self.store)
        self.names = itertools.count()

    async def finish(self, told: Receipt) -> None:
        """A receipt is there, and its event comes."""
        await self.ledger.create_receipt(told)
        await self.deliver(told.revision, told.outcome)

    async def deliver(self, revision: int = 1, outcome: Outcome = "loaded") -> None:
        event = RunFinished(run_id=RUN, revision=revision, outcome=outcome, receipt_uri="gs://b/r")
        secret = PlainSecret(self.urls) if self.urls else None
        drawn = lambda: str(next(self.names))  # noqa: E731 -- shorter than a function
        ports = Ports(self.ledger, secret, self.sender, self.warehouse, self.clock, ZONE, drawn)
        await on_run_finished(delivery(event), ports=ports)

    @property
    def told(self) -> list[str]:
        return [url for url, _ in self.sender.taken]


# --- how often -------------------------------------------------------------------------------------------------


async def test_each_address_is_told_once_a_revision() -> None:
    """Deliveries come again; people want one message. A new revision is news."""
    stage = Stage()
    await stage.finish(receipt())
    await stage.deliver()
    assert sorted(stage.told) == sorted([SLACK, MAIL])
    assert stage.warehouse.asked == 1
    await stage.finish(receipt(2))
    assert sorted(stage.told) == sorted([SLACK, MAIL] * 2)


async def test_two_deliveries_at_once_tell_once() -> None:
    """The claim is created before anything is sent: whoever loses it gives the delivery back."""
    stage = Stage()
    await stage.ledger.create_receipt(receipt())
    ends = await asyncio.gather(stage.deliver(), stage.deliver(), return_exceptions=True)
    assert sorted(stage.told) == sorted([SLACK, MAIL])
    assert any(isinstance(end, Retryable) for end in ends)
    await stage.deliver()
    assert len(stage.told) == 2


async def test_who_was_told_is_not_told_again_for_the_sake_of_another() -> None:
    """One address out of order must cost the others neither their message nor their peace."""
    stage = Stage()
    stage.sender.refuses = lambda address: address.kind == "slack"
    with pytest.raises(Retryable, match=r"^slack [0-9a-f]{8}: was refused with 500$"):
        await stage.finish(receipt())
    assert stage.told == [MAIL]
    stage.sender.refuses = lambda _address: False
    await stage.deliver()
    assert stage.told == [MAIL, SLACK]


async def test_the_claim_of_a_dead_attempt_is_taken_over() -> None:
    """Who died between claim and note must not keep an address untold for ever, nor be overtaken while it sends."""

    class DiedError(Exception):
        pass

    def die(_address: object) -> bool:
        raise DiedError

    stage = Stage(urls=SLACK)
    stage.sender.refuses = die
    with pytest.raises(DiedError):
        await stage.finish(receipt())
    stage.sender.refuses = lambda _address: False
    stage.clock.advance(seconds=LEASE.total_seconds() - 1)
    with pytest.raises(Retryable, match="another delivery"):
        await stage.deliver()
    stage.clock.advance(seconds=1)
    await stage.deliver()
    assert stage.told == [SLACK]


async def test_nobody_named_nobody_told() -> None:
    """A stack without addresses is well: the event is acknowledged, nothing is asked for or written."""
    for urls in ("", " \n"):
        stage = Stage(urls=urls)
        await stage.finish(receipt())
        assert (stage.told, stage.warehouse.asked) == ([], 0)
        assert await stage.store.listing(f"runs/{RUN}/notices/") == []


async def test_without_a_receipt_there_is_nothing_to_tell() -> None:
    """A forged event makes no message."""
    stage = Stage()
    with pytest.raises(Permanent, match="no readable receipt 7"):
        await stage.deliver(revision=7)
    assert stage.told == []


async def test_a_failed_run_asks_no_table() -> None:
    """Nothing of it is there; and BigQuery may be why it failed."""
    stage = Stage()
    await stage.finish(FAILED)
    assert stage.warehouse.asked == 0
    assert len(stage.told) == 2


async def test_too_many_addresses_are_refused_whole() -> None:
    """Each is a thread and a document: a text that is no list of addresses must not become a thousand."""
    stage = Stage(urls=" ".join(f"json://h/{number}" for number in range(MOST_ADDRESSES + 1)))
    with pytest.raises(Retryable, match="NOTIFY_URLS: names 21 addresses; name at most 20"):
        await stage.finish(receipt())


# --- secrets ---------------------------------------------------------------------------------------------------


async def test_no_word_of_an_address_gets_out(caplog: pytest.LogCaptureFixture) -> None:
    """Tokens are in the address: it is its kind and digest in logs, reasons, documents and names."""
    caplog.set_level(logging.DEBUG)
    stage = Stage()
    stage.sender.refuses = lambda address: address.kind == "slack"
    with pytest.raises(Retryable) as raised:
        await stage.finish(receipt())
    kept = [info.name for info in await stage.store.listing("")]
    bodies = [(await stage.store.read(name)) for name in kept]
    lines = [str(vars(record)) for record in caplog.records]
    said = " ".join([str(raised.value), repr(addresses_of(stage.urls)), *kept, *map(str, bodies), *lines])
    assert notice_name(RUN, 1, addresses_of(SLACK)[0].digest) in kept
    assert not re.search("SECRET|PASSWORD|aaaa|example", said)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a service's log would hold with LOG_LEVEL=DEBUG: what comes to the root logger."""
    root, text = logging.getLogger(), io.StringIO()
    level, handler = root.level, logging.StreamHandler(text)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("url", ["slack://SECRET", "nonsense://SECRET", "SECRET", "json://SECRET:99999999/x"])
async def test_what_is_no_address_is_told_of_without_it(url: str, written: io.StringIO) -> None:
    """Apprise's own words hold what it could not read; none of them reaches log or reason."""
    sender = AppriseSender()
    with pytest.raises(Retryable) as raised:
        await sender.send(addresses_of(url)[0], message_of(receipt(), WEEK, ZONE))
    sender.close()
    assert "SECRET" not in str(raised.value) + written.getvalue()


def test_an_address_is_known_by_kind_and_digest() -> None:
    """The same one twice is one; what is none has a name, too."""
    first, second, third = addresses_of(f"{SLACK} {MAIL}\n{SLACK}\tnone")
    assert [str(first)[:6], str(second)[:7], third.kind] == ["slack ", "mailto ", "unknown"]
    assert re.fullmatch(r"[0-9a-f]{8}", first.digest)


# --- words -----------------------------------------------------------------------------------------------------


def test_what_a_week_brought() -> None:
    """New is what no market had the week before; times have their zone; each market has its figure."""
    told = message_of(receipt(), Week(WEEK.releases, date(2026, 11, 16)), ZONE)
    assert told.title == f"New Releases {RUN}: 2 new releases in 3 markets"
    for line in (
        "Loaded 2026-11-23 00:08 CET (Europe/Copenhagen).",
        "2 releases new since 2026-11-16: 1 in every market, 1 in one market only.",
        "In the table: 9 albums, 30 rows.",
        "- Anna: Everywhere (3 markets)",
        "DK 2 (1), NO 1, SE 2",
    ):
        assert line in told.body.splitlines()
    assert "Next:" not in told.body


def test_what_is_missing_and_why() -> None:
    """A partial run names its markets, and the command that tells more."""
    told = message_of(PARTIAL, WEEK, ZONE)
    assert told.title.endswith(", 1 market missing")
    assert "- FI: Spotify answers 500" in told.body
    assert f"Next: ./releases why {RUN} FI" in told.body


def test_what_failed_and_what_to_do() -> None:
    """Who reads it on a telephone knows why and what to type."""
    told = message_of(FAILED, None, ZONE)
    assert told.title == f"New Releases {RUN}: failed"
    assert "Why: the job failed" in told.body
    assert f"Next: ./releases run show {RUN}" in told.body
    lacking = FAILED.model_copy(update={"missing": PARTIAL.missing, "revision": 2})
    assert f"Next: ./releases run reopen {RUN}" in message_of(lacking, None, ZONE).body
    assert "(revision 2)" in message_of(lacking, None, ZONE).title


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Simon & Garfunkel", "Simon & Garfunkel"),
        ("@everyone <!channel>", "@everyone <!channel>"),
        ("[free](https://evil.com)", "[free](https: evil.com)"),
        ("*a* _b_ `c` ~d~ |e| #f <b>", "*a* _b_ `c` ~d~ |e| #f <b>"),
        ("one\ntwo\u202e\u200bthree\x00", "one two three"),
        ("R.E.M. and Mr. X", "R.E.M. and Mr. X"),
    ],
)
def test_names_look_the_same_and_do_nothing(text: str, read: str) -> None:
    """An artist may be called as they like; nobody is mentioned, linked or shown a forged line for it."""
    shown = harmless(text)
    assert unicodedata.normalize("NFKC", shown) == read  # which takes a character for what it looks like
    assert not ACTED_ON.search(shown)


@given(st.text(max_size=200))
def test_no_name_whatever_marks_up_mentions_or_links(text: str) -> None:
    """Whatever Spotify lists."""
    shown = harmless(text)
    assert not ACTED_ON.search(shown)
    assert len(shown) <= 40
    assert shown.isprintable()


def test_long_lists_are_cut_with_a_count() -> None:
    """The smallest of the receivers takes 2000 characters and refuses one more; the figures come before the lists."""
    markets = [f"{a}{b}" for a, b in itertools.product("ABCDEFGH", repeat=2)]
    named = [Release("n" * 99, "a" * 99, frozenset(markets)) for _ in range(50)]
    missing = tuple(MissingMarket(market=market, reason="r" * 500) for market in markets)
    told = message_of(PARTIAL.model_copy(update={"missing": missing}), Week(tuple(named), None), ZONE)
    assert "- and 56 more" in told.body
    assert "Next: ./releases why" in told.body
    assert len(told.body) <= MOST + len("\n…")
    few = message_of(receipt(), Week(tuple(named), None), ZONE)
    assert "- and 42 more" in few.body


def test_a_lease_outlasts_what_it_is_for() -> None:
    """Who still sends must not be overtaken."""
    assert timedelta(seconds=2 * AppriseSender()._deadline.seconds) < LEASE
