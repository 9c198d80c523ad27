"""One bad thing stays one bad thing: what cannot be read is set aside and named, and everything else goes on."""

import json
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from contracts import names
from contracts.documents import (
    MOST_BYTES,
    CompletenessPolicy,
    DeadLetter,
    Document,
    Manifest,
    Order,
    ThrottledMarket,
)
from contracts.events import BatchReady, Delivery, MarketRequested, RunRequested, SweepRequested
from dashboard.runs import Runs
from eventing import sweeping
from eventing.coalescing import Coalescer
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunLedger, Unreadable
from ops.cli import render
from ops.cli.watching import summary
from ops.doctor import documents as doctor
from ops.requests import plan_backfill
from runs import status
from runs.status import UnreadableRun
from services.batch_trigger import handlers as batch_trigger
from services.batch_trigger.ports import Ports as BarrierPorts
from services.cluster_manager import handlers as cluster_manager
from services.cluster_manager.decisions import Limits
from services.cluster_manager.ports import Ports as ManagerPorts
from services.cluster_manager.sizing import SizeLimits
from services.scheduler import handlers as scheduler
from services.scheduler.decisions import Plan
from services.scheduler.ports import Ports as SchedulerPorts
from tests.builders import NOW, RUN, TestClock, decision, manifest, receipt
from tests.fakes.dataproc import MemoryDataproc
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher
from tests.unit.test_cluster_manager import CountingWarehouse

BAD = "2026-11-22"
"""A run in which something is wrong; it is looked at before the other."""
WHOLE = manifest().model_copy(update={"run_id": BAD})
LIMITS = Limits(2, 2, timedelta(minutes=20), SizeLimits("e2-standard-2", 1000, 4))

STRANGERS = [
    "receipts/0001 (1).json",
    "orders/0001-draft.json",
    "orders/\u0660\u0660\u0660\u0661.json",
    "decisions/0000.json",
    "decisions/00002.json",
    "announced/1.json",
    "throttled/dk.json",
    "clusters/0001.json.gz",
    "manifest (1).json",
    "README",
]
ZONELESS = WHOLE.to_json().replace(b"Z", b"")
UNREADABLE = {
    "empty": b"",
    "cut short": WHOLE.to_json()[:80],
    "no JSON": b"\xff\xfe\x00",
    "another thing": b'["a", "list"]',
    "without a time zone": ZONELESS,
    "of another run": manifest().to_json(),
    "far too large": WHOLE.to_json() + b" " * MOST_BYTES,
    "of a form that is not known yet": WHOLE.to_json().replace(b'"reason"', b'"why"'),
}


class Stack:
    """Three services over one bucket, and two runs in it: a bad one and a good one that waits for its markets."""

    def __init__(self) -> None:
        self.clock = TestClock(NOW + timedelta(hours=2))
        self.store = MemoryObjectStore(self.clock)
        self.publisher = MemoryPublisher()
        self.dataproc = MemoryDataproc(self.clock)
        self.ledger = RunLedger(self.store)

    async def put(self, name: str, body: bytes, run_id: str = BAD) -> None:
        await self.store.write(f"{names.run_prefix(run_id)}{name}", body)

    async def sweep(self) -> list[Any]:
        """One sweep of each service, as restarted just before; what was published."""
        ledger, owner = RunLedger(self.store), "one"
        delivery = Delivery(event=SweepRequested(), event_id="s", message_id="s")
        asking = scheduler.AskAgain(timedelta(hours=1), timedelta(days=7))
        ports = SchedulerPorts(ledger, self.publisher, self.clock)
        await scheduler.on_sweep(delivery, ports=ports, ask_again=asking, watch=None)
        barrier = BarrierPorts(ledger, self.publisher, self.clock, owner, "b")
        work = partial(batch_trigger.reconcile, ports=barrier)
        await batch_trigger.on_sweep(delivery, ports=barrier, coalescer=Coalescer(work, linger=timedelta(0)))
        manager = ManagerPorts(ledger, self.publisher, self.dataproc, CountingWarehouse(), self.clock, "b")
        loading = partial(cluster_manager.reconcile, ports=manager, limits=LIMITS)
        coalescer = Coalescer(loading, linger=timedelta(0))
        await cluster_manager.on_sweep(delivery, ports=manager, coalescer=coalescer)
        return self.publisher.take()


async def stack(bad_manifest: bytes | None = None) -> Stack:
    made = Stack()
    await made.put("manifest.json", WHOLE.to_json() if bad_manifest is None else bad_manifest)
    await made.ledger.create_manifest(manifest())
    return made


def asked(events: Iterable[Any]) -> list[str]:
    return [e.market for e in events if isinstance(e, MarketRequested) and e.run_id == RUN]


@pytest.mark.parametrize("name", STRANGERS)
async def test_a_name_that_is_none_of_ours_stops_nobody(name: str) -> None:
    """It is never taken for a number: it is listed as a stranger, and all three services sweep on."""
    made = await stack()
    await made.put(name, b"?")
    index = await made.ledger.index(BAD)
    assert index.strangers == (f"runs/{BAD}/{name}",)
    assert (index.has_manifest, index.receipts, index.orders, index.decisions) == (True, (), (), ())
    assert asked(await made.sweep()) == ["DK", "SE", "NO"]


@pytest.mark.parametrize("how", UNREADABLE)
async def test_a_manifest_that_cannot_be_read_stops_its_own_run_alone(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each service sweeps the others; the run is named in the log with what to do."""
    made = await stack(UNREADABLE[how])
    caplog.set_level("ERROR")
    assert asked(await made.sweep()) == ["DK", "SE", "NO"]
    told = [r for r in caplog.records if r.getMessage() == "sweep_failed"]
    assert {getattr(record, "run_id", "") for record in told} == {BAD}
    assert all("repair or remove it" in getattr(record, "reason", "") for record in told)


async def test_a_document_of_a_newer_form_is_read_as_far_as_it_is_known() -> None:
    """An older service meets a newer one's documents while both are out."""
    newer = WHOLE.to_json().replace(b"{", b'{"tempo": "allegro",', 1)
    made = await stack(newer)
    assert await made.ledger.manifest(BAD) == WHOLE


@pytest.mark.parametrize("folder", ["receipts", "clusters", "jobs", "orders", "loads"])
@pytest.mark.parametrize("body", [b"", b"{", b"{}"])
async def test_a_helper_document_that_cannot_be_read_is_taken_for_absent(folder: str, body: bytes) -> None:
    """The run that has it goes on itself; nothing about it raises."""
    made = await stack()
    await made.put("decisions/0001.json", decision("DK SE NO").model_copy(update={"run_id": BAD}).to_json())
    await made.put(f"{folder}/0001.json", body)
    events = await made.sweep()
    assert asked(events) == ["DK", "SE", "NO"]
    found = await status.read(BAD, store=made.store, bucket="b", now=made.clock())
    assert found is not None
    assert [entry.name for entry in found.set_aside] == [f"runs/{BAD}/{folder}/0001.json"]


async def test_an_unreadable_older_receipt_does_not_keep_another_runs_cluster() -> None:
    """The run before is only compared with: its receipt may be anything."""
    made = await stack()
    await made.ledger.create_decision(decision("DK SE NO"))
    await made.put("decisions/0001.json", b"{")
    await made.put("receipts/0001.json", b"{")
    await made.put("receipts/0001 (1).json", b"{")
    await made.sweep()
    [name] = made.dataproc.machines
    made.dataproc.turn(name, "RUNNING")
    await made.sweep()
    [job] = made.dataproc.submitted
    made.dataproc.end_job(job, "DONE")
    await made.sweep()
    assert await made.ledger.receipt(RUN, 1) is not None
    assert made.dataproc.machines[name].state == "DELETING"


async def test_a_cluster_whose_claim_cannot_be_read_goes() -> None:
    """Another attempt is claimed under the next number that is free, and the old cluster is deleted as nobody's."""
    made = await stack()
    await made.ledger.create_decision(decision("DK SE NO"))
    await made.sweep()
    [first] = made.dataproc.machines
    made.dataproc.turn(first, "RUNNING")
    await made.put("clusters/0001.json", b'{"run_id": "2026-11', RUN)
    await made.sweep()
    assert made.dataproc.machines[first].state == "DELETING"
    assert [claim.attempt for claim in (await made.ledger.cluster_claims(RUN)).readable] == [2]


async def test_a_run_whose_decision_cannot_be_read_keeps_no_cluster() -> None:
    """Nobody can tell what is to be loaded; a job under way ends, and then the cluster goes."""
    made = await stack()
    await made.ledger.create_decision(decision("DK SE NO"))
    await made.sweep()
    [name] = made.dataproc.machines
    made.dataproc.turn(name, "RUNNING")
    await made.sweep()
    [job] = made.dataproc.submitted
    await made.put("decisions/0001.json", b"{", RUN)
    await made.sweep()
    assert made.dataproc.machines[name].state == "RUNNING"
    made.dataproc.end_job(job, "DONE")
    await made.sweep()
    assert made.dataproc.machines[name].state == "DELETING"
    assert await made.ledger.receipt(RUN, 1) is None


async def test_a_copied_document_is_of_its_own_place_alone() -> None:
    """Somebody copied a decision to try something: under another name it decides nothing."""
    made = await stack()
    await made.put("decisions/0002.json", decision("DK", 1).to_json(), RUN)
    with pytest.raises(Unreadable, match="belongs to another place, by its revision"):
        await made.ledger.decision(RUN, 2)


async def test_a_run_is_told_whatever_lies_beside_its_folder() -> None:
    """Names that sort between a run's objects, and folders that a console makes, are no runs and no strangers."""
    made = await stack()
    for name in (f"runs/{RUN}", f"runs/{RUN}-old/manifest.json", f"runs/{RUN}/", "runs/README", "runs/"):
        await made.store.write(name, b"")
    found = {index.run_id: index for index in await made.ledger.indexes()}
    assert sorted(found) == [BAD, RUN]
    assert found[RUN].has_manifest
    assert found[RUN].strangers == (f"runs/{RUN}",)


async def test_what_nobody_thought_of_stops_no_other_run_and_is_told_at_the_end() -> None:
    """The sweep is given back only then, and every run was looked at."""
    looked: list[str] = []

    async def look(run_id: str) -> None:
        looked.append(run_id)
        if run_id == "a":
            raise ZeroDivisionError
        if run_id == "b":
            raise Retryable("away")
        if run_id == "c":
            raise Permanent("refused")

    with pytest.raises(ExceptionGroup):
        await sweeping.each("abcd", look)
    await sweeping.each("bcd", look)
    assert looked == [*"abcd", *"bcd"]


TIMES = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1999-12-31T23:59:59Z", 1e11, -62135596800]
TIMED: list[tuple[str, Document, str]] = [
    ("manifest", WHOLE, "created_at"),
    ("manifest", WHOLE, "deadline"),
    ("manifest", WHOLE, "widened_at"),
    ("decisions/0001", decision("DK SE NO").model_copy(update={"run_id": BAD}), "decided_at"),
    ("receipts/0001", receipt().model_copy(update={"run_id": BAD}), "finished_at"),
    ("orders/0001", Order(run_id=BAD, number=1, kind="reopen", reason="r", ordered_at=NOW), "ordered_at"),
    ("throttled/DK", ThrottledMarket(run_id=BAD, market="DK", until=NOW, reason="r"), "until"),
]
"""Documents by name, and a time in each."""


@pytest.mark.parametrize("moment", TIMES)
@pytest.mark.parametrize(("name", "document", "field"), TIMED)
async def test_a_time_at_the_end_of_the_calendar_makes_its_document_unreadable(
    name: str, document: Document, field: str, moment: object
) -> None:
    """A zone or a deadline would lead out of the calendar, in a sweep or under an operator's eyes."""
    made = await stack()
    told = json.loads(document.to_json()) | {field: moment}
    await made.put(f"{name}.json", json.dumps(told).encode())
    assert asked(await made.sweep()) == ["DK", "SE", "NO"]
    found = await status.read_each([RUN, BAD], store=made.store, bucket="b", now=made.clock())
    assert [run.run_id for run in found] == [RUN, BAD]
    shown = found[1].reason if isinstance(found[1], UnreadableRun) else str(found[1].set_aside)
    assert "is not in the years 2000 to 2999" in shown


@pytest.mark.parametrize("seconds", [1e300, -1e300, -1, "NaN", "Infinity"])
async def test_a_duration_beyond_all_measure_makes_its_document_unreadable(seconds: object) -> None:
    """No list of runs ends with one receipt, and no barrier with one manifest."""
    made = await stack(_with_duration(WHOLE, seconds, "policy", "quiet_seconds"))
    assert asked(await made.sweep()) == ["DK", "SE", "NO"]
    with pytest.raises(Unreadable):
        await made.ledger.manifest(BAD)
    await made.put("manifest.json", WHOLE.to_json())
    await made.put("decisions/0001.json", decision("DK SE NO").model_copy(update={"run_id": BAD}).to_json())
    doubtful = receipt().model_copy(update={"run_id": BAD})
    await made.put("receipts/0001.json", _with_duration(doubtful, seconds, "seconds", "spark"))
    found = await status.read(BAD, store=made.store, bucket="b", now=made.clock())
    assert found is not None
    assert [entry.name for entry in found.set_aside] == [f"runs/{BAD}/receipts/0001.json"]


def _with_duration(document: Document, seconds: object, *path: str) -> bytes:
    told = json.loads(document.to_json())
    told[path[0]][path[1]] = "@"
    return json.dumps(told).replace('"@"', str(seconds)).encode()


@pytest.mark.parametrize("calls", ["9" * 5000, "-1", "\u00b2", "many"])
async def test_a_part_whose_calls_are_no_number_stops_no_list(calls: str) -> None:
    """What stands beside an object is text, whoever wrote it; Python reads no number of thousands of digits."""
    made = await stack()
    await made.store.write(names.part_name(BAD, "DK"), b"x", {"calls": calls})
    found = await status.read(BAD, store=made.store, bucket="b", now=made.clock())
    assert found is not None
    assert [market.calls for market in found.markets if market.state == "landed"] == [None]


async def test_lists_and_pages_show_the_others_and_name_the_bad_one() -> None:
    """`releases run list`, the run page's list, a backfill and the doctor: all tell, none of them ends."""
    made = await stack(b"{")
    await made.put("orders/0001-draft.json", b"?", RUN)
    runs = await status.read_each([RUN, BAD], store=made.store, bucket="b", now=made.clock())
    assert [summary(run)["state"] for run in runs] == ["fetching", "unreadable"]
    shown = Console(width=200, record=True)
    shown.print(render.runs_table(runs))
    text = shown.export_text()
    assert f"'runs/{BAD}/manifest.json' is not a readable Manifest" in text
    assert f"{RUN}: 1 objects are set aside" in text
    pages = Runs(made.store, "b", made.clock)
    assert [entry["run"] for entry in (await pages.all())["runs"]] == [RUN, BAD]
    page = await pages.one(RUN)
    assert page is not None
    assert page["set_aside"][0]["name"] == f"runs/{RUN}/orders/0001-draft.json"
    steps = plan_backfill(BAD, RUN, raw={RUN: ["DK"]}, known=[BAD, RUN], gone={}, unreadable=[BAD])
    assert [step.action for step in steps] == ["unreadable", "reload"]
    found = await doctor.look(made.store, bucket="b", now=made.clock(), raw_days=90)
    assert [(finding.status, finding.remedy != "") for finding in found] == [("fail", True), ("warn", True)]


async def test_the_doctor_is_content_with_documents_that_can_be_read() -> None:
    """And says how many it has read."""
    made = await stack()
    letter = DeadLetter(
        subscription="s", message_id="1", reason="r", data="", attributes={}, recorded_at=made.clock()
    )
    await made.ledger.create_dead_letter(letter)
    [found] = await doctor.look(made.store, bucket="b", now=made.clock(), raw_days=90)
    assert (found.status, found.what) == ("ok", "2 runs and 1 dead letters can be read")
    await made.store.write("dead-letters/s/2.json", b"{")
    [found] = await doctor.look(made.store, bucket="b", now=made.clock(), raw_days=90)
    assert found.status == "warn"
    assert len(await made.ledger.dead_letters()) == 1


async def test_a_copied_dead_letter_is_sent_again_once(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody downloaded a record and put it back beside itself; and a folder that a console made is no record."""
    made = await stack()
    letter = DeadLetter(subscription="sss", message_id="1", reason="r", data="", attributes={}, recorded_at=NOW)
    await made.ledger.create_dead_letter(letter)
    for name in ("sss/1 (1).json", "sss/2.json", "other/1.json"):
        await made.store.write(f"dead-letters/{name}", letter.to_json())
    for name in ("", "sss/"):
        await made.store.write(f"dead-letters/{name}", b"")
    assert await made.ledger.dead_letters() == [letter]
    told = [getattr(record, "object", "") for record in caplog.records]
    assert told == [f"dead-letters/{name}" for name in ("other/1.json", "sss/1 (1).json", "sss/2.json")]


async def test_an_unreadable_newest_decision_is_not_shown_as_loaded() -> None:
    """The revision before it has its receipt; what stands now nobody can tell."""
    made = await stack()
    await made.ledger.create_decision(decision("DK SE NO"))
    await made.ledger.create_receipt(receipt())
    await made.put("decisions/0002.json", b"{", RUN)
    found = await status.read(RUN, store=made.store, bucket="b", now=made.clock())
    assert found is not None
    assert (found.state, found.revision) == ("loading", 1)


async def test_an_unreadable_order_leaves_the_others_in_force() -> None:
    """A draft that took a number is not obeyed, and those beside it are."""
    made = await stack()
    order = Order(run_id=RUN, number=1, kind="close", reason="now", ordered_at=NOW)
    await made.ledger.create_order(order)
    await made.put("orders/0002.json", b"{", RUN)
    await made.store.write(names.part_name(RUN, "DK"), b"x")
    assert BatchReady(run_id=RUN, revision=1) in await made.sweep()


def test_every_document_says_its_times_with_a_zone() -> None:
    """A time without one can be compared with no other: it is refused where it is read, not met in a decision."""
    with pytest.raises(ValueError, match="timezone"):
        Manifest.model_validate(json.loads(ZONELESS))


async def test_no_sweep_looks_at_a_discarded_run_until_an_order_takes_that_back() -> None:
    """It was a mistake: nothing is asked for, decided or shown; whoever reopens it has it as it was."""
    made = await stack()
    order = Order(run_id=RUN, number=1, kind="discard", reason="mistyped", ordered_at=NOW)
    await made.ledger.create_order(order)
    for market in ("DK", "SE", "NO"):
        await made.store.write(names.part_name(RUN, market), b"x")
    made.store.listings.clear()
    assert [event for event in await made.sweep() if getattr(event, "run_id", RUN) == RUN] == []
    assert not [prefix for prefix in made.store.listings if RUN in prefix]
    assert [entry["run"] for entry in (await Runs(made.store, "b", made.clock).all())["runs"]] == [BAD]
    await made.ledger.create_order(order.model_copy(update={"number": 2, "kind": "reopen"}))
    assert BatchReady(run_id=RUN, revision=1) in await made.sweep()


async def test_a_request_does_not_bring_a_discarded_run_back() -> None:
    """It may be one that was delivered late; the log says what does."""
    made = await stack()
    await made.ledger.create_order(Order(run_id=RUN, number=1, kind="discard", reason="no", ordered_at=NOW))
    plan = Plan(ZoneInfo("Europe/Copenhagen"), ("DK", "SE", "NO"), timedelta(hours=6), CompletenessPolicy())
    ports = SchedulerPorts(made.ledger, made.publisher, made.clock)
    delivery = Delivery(event=RunRequested(run_id=RUN), event_id="e")
    await scheduler.on_run_requested(delivery, ports=ports, plan=plan, watch=None)
    assert made.publisher.take() == []
