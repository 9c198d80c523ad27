"""How a run is judged for those who look at it, and the story of one market."""

import io
import itertools
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from contracts.documents import (
    ClusterClaim,
    GivenUpMarket,
    JobClaim,
    LoadResult,
    MissingMarket,
    Order,
    PartResult,
    ThrottledMarket,
)
from contracts.names import decision_name, manifest_name, part_name, throttled_name
from dashboard.runs import run_document
from eventing.ledger import RunLedger
from ops.cli.render import receipt_view, run_view
from ops.cli.watching import line
from runs.status import Documents, MarketStatus, Span, job_ids, read, status_of
from runs.why import Objects, read_objects, story_of
from tests.builders import NOW, RUN, START, decision, manifest, part, parts, receipt
from tests.fakes.objects import MemoryObjectStore

HOUR = timedelta(hours=1)


WAITS = ThrottledMarket(run_id=RUN, market="SE", until=NOW + HOUR, reason="429 from /search")
DEAD = GivenUpMarket(run_id=RUN, market="SE", reason="given up", subscription="s", message_id="7", recorded_at=NOW)


def market(found: Documents, code: str) -> MarketStatus:
    status = status_of(found, NOW).market(code)
    assert status is not None
    return status


def test_a_run_without_decision_is_being_fetched() -> None:
    """Nothing is closed; what has landed and what was only asked for are told apart."""
    status = status_of(Documents(manifest=manifest(), parts=parts("DK")), NOW)
    assert status.state == "fetching"
    assert {m.market: m.state for m in status.markets} == {"DK": "landed", "SE": "requested", "NO": "requested"}
    assert not status.is_finished


@pytest.mark.parametrize("outcome", ["loaded", "partial", "failed"])
def test_the_newest_receipt_says_how_a_run_ended(outcome: str) -> None:
    """A run is what its newest decision became, and until that is known it is being loaded."""
    found = Documents(manifest=manifest(), parts=parts("DK SE NO"), decisions=(decision("DK SE NO"),))
    assert status_of(found, NOW).state == "loading"
    done = replace(found, receipts={1: receipt(outcome=outcome)})
    assert status_of(done, NOW).state == outcome
    assert status_of(replace(done, decisions=(*done.decisions, decision("DK SE NO", 2))), NOW).state == "loading"


def test_a_market_that_waits_for_quota_is_throttled_until_then() -> None:
    """After that time it is a market that was asked for."""
    found = Documents(manifest=manifest(), throttled={"SE": WAITS})
    assert (market(found, "SE").state, market(found, "SE").until) == ("throttled", NOW + HOUR)
    later = status_of(found, NOW + 2 * HOUR).market("SE")
    assert later is not None
    assert later.state == "requested"


def record(market: str, hours: float, **changes: bool) -> ThrottledMarket:
    """A market that waits for so many hours; the run's deadline is six hours after its start."""
    reason = "Spotify's quota for the account"
    return ThrottledMarket(run_id=RUN, market=market, until=NOW + hours * HOUR, reason=reason, **changes)


def outlook(found: Documents) -> str:
    """What is foretold."""
    return "; ".join(status_of(found, NOW).outlook)


def test_a_run_that_goes_well_foretells_nothing() -> None:
    """A market that waits and still comes in time is no news."""
    assert outlook(Documents(manifest=manifest(), parts=parts("DK NO"), throttled={"SE": record("SE", 1)})) == ""


def test_a_wait_beyond_the_deadline_is_told_when_it_is_known() -> None:
    """Not six hours later, when it is too late to load what there is."""
    late = Documents(manifest=manifest(minimum=0.5), parts=parts("DK NO"), throttled={"SE": record("SE", 22)})
    assert "lets SE wait until" in outlook(late)
    assert "nothing will be loaded" not in outlook(late)
    ended = replace(late, decisions=(decision("DK NO"),))
    assert outlook(ended) == ""
    ordered = replace(late, orders=(Order(run_id=RUN, number=1, kind="close", reason="r", ordered_at=NOW),))
    assert outlook(ordered) == ""


def test_a_quorum_that_cannot_be_met_any_more_is_told() -> None:
    """Waits beyond the deadline and markets given up count together; who reads it can still close the run."""
    found = Documents(manifest=manifest(minimum=0.6), throttled={"NO": record("NO", 22)}, given_up={"SE": DEAD})
    assert "at most 1 of 3 markets can land by the deadline and 2 must: nothing will be loaded" in outlook(found)
    assert "nothing will be loaded" not in outlook(replace(found, given_up={}))


@pytest.mark.parametrize(
    ("account", "landed", "told"),
    [(True, "DK", True), (False, "DK", False), (True, "DK NO", False), (True, "", False)],
)
def test_a_quota_that_is_not_enough_for_what_is_left_is_told(account: bool, landed: str, told: bool) -> None:  # noqa: FBT001 -- pytest's
    """By what a market has cost so far; the wait of one market says nothing of the account's quota."""
    waits = {name: record(name, 1, account=account) for name in {"DK", "NO", "SE"} - set(landed.split())}
    found = Documents(
        manifest=manifest(),
        parts=parts(landed),
        metadata={market: {"calls": "40"} for market in landed.split()},
        throttled=waits,
    )
    assert ("ended after about 40 calls, and the 2 markets left need about 80 more" in outlook(found)) is told
    assert ("Spotify's quota ended" in outlook(found)) is told


def test_what_a_person_must_mend_is_told_first() -> None:
    """Waiting for the deadline would bring nothing; the reason names the remedy."""
    found = Documents(manifest=manifest(), throttled={"SE": record("SE", 1, account=True, needs_a_person=True)})
    assert outlook(found).startswith("no market lands until somebody mends it: Spotify's quota")
    shown = text(run_view(status_of(found, NOW)))
    assert "until somebody mends it" in shown
    assert "until somebody mends it" in line(status_of(found, NOW))


def test_a_dead_lettered_market_says_why() -> None:
    """The reason of the record is what an operator needs first."""
    found = Documents(manifest=manifest(), given_up={"SE": DEAD})
    assert (market(found, "SE").state, market(found, "SE").reason) == ("dead_lettered", "given up")


def test_a_market_a_decision_closed_without_is_missing() -> None:
    """Missing is more than not there yet."""
    gone = (MissingMarket(market="SE", reason="not landed"),)
    found = Documents(manifest=manifest(), parts=parts("DK NO"), decisions=(decision("DK NO", missing=gone),))
    assert (market(found, "SE").state, market(found, "SE").reason) == ("missing", "not landed")


def test_a_part_counts_as_loaded_only_in_the_generation_that_was_loaded() -> None:
    """A replayed part is landed at once, and loaded when the next revision has its receipt."""
    found = Documents(
        manifest=manifest(),
        parts=parts("SE NO") | {"DK": part("DK", 2)},
        metadata={"DK": {"calls": "12"}, "SE": {"calls": "?"}},
        decisions=(decision("DK SE NO"),),
        receipts={1: receipt()},
    )
    assert not market(found, "DK").is_loaded
    assert market(found, "SE").is_loaded
    assert (market(found, "DK").calls, market(found, "SE").calls) == (12, None)
    failed = replace(found, receipts={1: receipt(outcome="failed")})
    assert not market(failed, "SE").is_loaded


def test_a_part_that_has_gone_is_told_from_its_decision() -> None:
    """A week whose raw objects grew too old is loaded all the same: it has its markets, and says that they are gone."""
    found = Documents(
        manifest=manifest(), parts=parts("SE"), decisions=(decision("DK SE NO"),), receipts={1: receipt()}
    )
    dk, se = market(found, "DK"), market(found, "SE")
    assert (dk.state, dk.generation, dk.is_loaded, dk.is_gone) == ("landed", 1, True, True)
    assert (se.is_loaded, se.is_gone) == (True, False)
    left_out = receipt(missing=(MissingMarket(market="SE", reason="damaged"),))
    assert not market(replace(found, receipts={1: left_out}), "SE").is_loaded


def test_what_landed_and_is_no_part_says_why() -> None:
    """A market whose object is there and does not count must not look like one that nobody answered for."""
    found = Documents(manifest=manifest(), unusable={"DK": "it has no bytes"})
    assert (market(found, "DK").state, market(found, "DK").reason) == ("requested", "it has no bytes")


def test_rows_are_those_of_the_newest_count() -> None:
    """A revision under way leaves the old rows standing."""
    found = Documents(
        manifest=manifest(), decisions=(decision("DK"), decision("DK SE", 2)), receipts={1: receipt()}
    )
    assert status_of(found, NOW).rows == 30
    assert status_of(replace(found, receipts={}), NOW).rows is None


def test_the_waterfall_has_every_stage_end_to_end() -> None:
    """Each stage begins where the one before ended, and the last ends with the receipt."""
    landed = START + timedelta(seconds=240)
    found = Documents(
        manifest=manifest(),
        parts=parts("DK SE NO", landed_at=landed),
        decisions=(decision("DK SE NO"),),
        receipts={1: receipt()},
    )
    spans = status_of(found, NOW).spans
    assert [(span.stage, span.seconds) for span in spans] == [
        ("fetch", 240.0),
        ("decide", 60.0),
        ("cluster", 60.0),
        ("spark", 120.0),
        ("receipt", 20.0),
    ]
    assert all(before.end == after.begin for before, after in itertools.pairwise(spans))


def test_a_stage_under_way_has_no_end() -> None:
    """What goes on is shown as going on: the fetch first, then everything after the decision."""
    fetching = status_of(Documents(manifest=manifest(), parts=parts("DK")), NOW).spans
    assert fetching == (Span(stage="fetch", begin=START, end=None),)
    loading = Documents(manifest=manifest(), parts=parts("DK SE NO"), decisions=(decision("DK SE NO"),))
    assert [span.stage for span in status_of(loading, NOW).spans if span.end is None] == ["cluster"]
    claim = JobClaim(run_id=RUN, number=1, revision=1, attempt=1, claimed_at=NOW + timedelta(seconds=40))
    *_, cluster, spark = status_of(replace(loading, jobs=(claim,)), NOW).spans
    assert (cluster.stage, cluster.seconds, spark.stage, spark.end) == ("cluster", 40.0, "spark", None)
    nothing = replace(loading, decisions=(decision("DK SE NO", verdict="fail"),))
    assert [span.stage for span in status_of(nothing, NOW).spans] == ["fetch", "decide"]


def test_the_spans_of_a_later_revision_begin_with_the_part_that_made_it() -> None:
    """A replay after a week is not a fetch of a week."""
    late = NOW + timedelta(days=7)
    found = Documents(
        manifest=manifest(),
        parts=parts("SE NO") | {"DK": part("DK", 2, late)},
        decisions=(decision("DK SE NO"), decision("DK SE NO", 2, decided_at=late + timedelta(minutes=1))),
        receipts={1: receipt()},
    )
    fetch = status_of(found, late).spans[0]
    assert (fetch.stage, fetch.begin, fetch.seconds) == ("fetch", late, 0.0)


async def test_read_finds_everything_in_the_bucket() -> None:
    """One read serves command line and run view alike."""
    store = MemoryObjectStore(lambda: NOW)
    ledger = RunLedger(store)
    assert await read(RUN, store=store, bucket="b", now=NOW) is None
    await ledger.create_manifest(manifest())
    await store.write(part_name(RUN, "DK"), b"x", {"calls": "4"})
    await ledger.record_throttled(WAITS)
    await ledger.create_decision(decision("DK"))
    claim = ClusterClaim(run_id=RUN, attempt=1, revision=1, claimed_at=NOW)
    await ledger.create_cluster_claim(claim)
    await ledger.claim_job(JobClaim(run_id=RUN, number=1, revision=1, attempt=2, claimed_at=NOW))
    await ledger.create_receipt(receipt())
    await ledger.create_order(Order(run_id=RUN, number=1, kind="close", reason="late", ordered_at=NOW))
    status = await read(RUN, store=store, bucket="b", now=NOW)
    assert status is not None
    assert (status.state, status.revision, status.rows) == ("loaded", 1, 30)
    assert status.clusters == (claim,)
    assert job_ids(status) == ("new-releases-20261123-r1-a2",)
    assert [order.reason for order in status.orders] == ["late"]
    throttled = status.market("SE")
    assert throttled is not None
    assert throttled.state == "throttled"
    assert status.model_validate_json(status.to_json()) == status
    assert not status.archived
    later = await read(RUN, store=store, bucket="b", now=NOW + timedelta(days=31), raw_days=30)
    assert later is not None
    assert later.archived


async def test_the_story_of_a_market_is_in_order_of_time_with_its_ids() -> None:
    """From the tick to the table: every step there was, and the ids to look further with."""
    store = MemoryObjectStore(lambda: NOW)
    ledger = RunLedger(store)
    await ledger.create_manifest(manifest())
    await ledger.record_throttled(WAITS)
    part_there = {"album-count": "5", "track-count": "50", "source": "browse", "event-id": "e9"}
    await store.write(part_name(RUN, "SE"), b"bytes", part_there)
    await ledger.create_decision(decision("DK NO", missing=(MissingMarket(market="SE", reason="throttled"),)))
    await ledger.create_receipt(receipt(job_id="j1", cluster="c1"))
    await ledger.note_announced(RUN, 1)
    status = await read(RUN, store=store, bucket="b", now=NOW)
    assert status is not None
    se = status.market("SE")
    assert se is not None
    story = story_of(status, se, await read_objects(RUN, "SE", store), rows=7)
    assert [step.at for step in story.steps] == sorted(step.at for step in story.steps)
    by_kind = {step.kind: step for step in story.steps}
    assert set(by_kind) == {"requested", "throttled", "landed", "decided", "receipt", "announced"}
    assert by_kind["requested"].ids == {"event": "tick"}
    assert by_kind["throttled"].ids == {"document": throttled_name(RUN, "SE")}
    assert "5 albums, 50 tracks, 5 bytes from browse" in by_kind["landed"].what
    assert by_kind["landed"].ids["event"] == "e9"
    assert by_kind["decided"].what == "revision 1 closed (complete) without it (throttled)"
    assert by_kind["decided"].ids == {"document": decision_name(RUN, 1)}
    assert by_kind["receipt"].ids == {"job": "j1", "cluster": "c1"}
    assert (story.rows, story.state) == (7, "landed, not loaded yet")
    assert manifest_name(RUN) in store.names()


async def test_the_story_remembers_a_part_that_was_replaced() -> None:
    """After a replay the first landing is still told, from the decision that loaded it."""
    store = MemoryObjectStore(lambda: NOW)
    ledger = RunLedger(store)
    await ledger.create_manifest(manifest())
    await store.write(part_name(RUN, "DK"), b"second", {})
    await ledger.create_decision(decision("DK"))
    status = await read(RUN, store=store, bucket="b", now=NOW)
    assert status is not None
    dk = status.market("DK")
    assert dk is not None
    story = story_of(status, dk, await read_objects(RUN, "DK", store), rows=0)
    landed = [step for step in story.steps if step.kind == "landed"]
    assert len(landed) == 2
    assert any("replaced since" in step.what and step.ids["generation"] == "1" for step in landed)


WHOLE = PartResult(market="DK", albums=5, rows=70, quarantined=2)
BAD = PartResult(market="SE", reason="short: 3 of 5 albums")


def found_by_the_job(*results: PartResult) -> Documents:
    """A run of which the job found this."""
    told = {"form": 2, "albums": 5, "tracks": 70}
    decided = tuple(found.model_copy(update=told) for found in parts("DK SE").values())
    load = LoadResult(run_id=RUN, revision=1, parts=results, files=2, albums=5, tracks=70, rows=70, quarantined=2)
    given = decision("", parts=decided, missing=(MissingMarket(market="NO", reason="not landed"),))
    bad = tuple(MissingMarket(market=one.market, reason=one.reason) for one in results if one.reason)
    told_receipt = receipt(load=load, outcome="partial", missing=bad, warnings=("much smaller than usual",))
    return Documents(manifest=manifest(), parts=parts("DK SE"), decisions=(given,), receipts={1: told_receipt})


@pytest.mark.parametrize(
    ("code", "results", "told"),
    [
        ("DK", (WHOLE, BAD), "found in its part: 5 albums, 70 rows, 2 records in quarantine"),
        ("SE", (WHOLE, BAD), "its part was left out: short: 3 of 5 albums"),
        ("DK", (), "what the job found in its part is not on record"),
    ],
)
def test_the_story_tells_what_was_decided_and_what_was_found(
    code: str, results: tuple[PartResult, ...], told: str
) -> None:
    """Who asks why a market is not in the table is told where it was lost: before the decision, or in the job."""
    status = status_of(found_by_the_job(*results), NOW)
    found = status.market(code)
    assert found is not None
    steps = {step.kind: step.what for step in story_of(status, found, Objects((), None), rows=0).steps}
    assert "with its part of generation 1, 5 albums, 70 tracks" in steps["decided"]
    assert steps["receipt"].endswith(told)


def test_the_story_says_why_a_cluster_was_refused() -> None:
    """Who asks why nothing is loaded is told that the run waits for machines, in Google's words."""
    words = "Insufficient 'CPUS' quota. Requested 2.0, available 0.0."
    claimed = ClusterClaim(run_id=RUN, attempt=1, revision=1, claimed_at=NOW, refused=words)
    status = status_of(replace(found_by_the_job(WHOLE), clusters=(claimed,)), NOW)
    found = status.market("DK")
    assert found is not None
    steps = {step.kind: step.what for step in story_of(status, found, Objects((), None), rows=0).steps}
    assert steps["cluster"] == f"cluster new-releases-20261123-c1 for revision 1, refused: {words}"


def test_a_run_that_waits_for_machines_says_which_and_why() -> None:
    """Who looks at a run that does not load sees Google's last refusal; once there is a receipt, that tells it."""
    words = "ZONE_RESOURCE_POOL_EXHAUSTED"
    size: dict[str, Any] = {"machine_type": "n2-standard-2", "zone": "europe-west3-b"}
    claims = tuple(
        ClusterClaim(run_id=RUN, attempt=number, revision=1, claimed_at=NOW, refused=refused, **size)
        for number, refused in ((1, "quota"), (2, words))
    )
    waiting = replace(found_by_the_job(WHOLE), clusters=claims, receipts={})
    told = status_of(waiting, NOW).waits_for
    assert told == f"new-releases-20261123-c2, n2-standard-2 in europe-west3-b: {words}"
    assert f"refused was {told}" in " ".join(text(run_view(status_of(waiting, NOW))).split())
    [_, second] = run_document(status_of(waiting, NOW))["clusters"]
    assert (second["machines"], second["refused"]) == ("n2-standard-2 in europe-west3-b", words)
    assert status_of(replace(waiting, clusters=claims[:1]), NOW).waits_for is not None
    for settled in (replace(waiting, receipts=found_by_the_job(WHOLE).receipts), replace(waiting, clusters=())):
        assert status_of(settled, NOW).waits_for is None
    coming = claims[1].model_copy(update={"attempt": 3, "refused": None})
    assert status_of(replace(waiting, clusters=(*claims, coming)), NOW).waits_for is None


def test_a_receipt_is_shown_market_by_market() -> None:
    """What was decided beside what was found, with the reason of each market that is not in the table."""
    found = found_by_the_job(WHOLE, BAD)
    shown = text(receipt_view(found.receipts[1], found.decisions[0]))
    lines = {line.split("│")[1].strip(): line for line in shown.splitlines() if line.startswith("│")}
    assert re.findall(r"[\w:,]+(?: \w+)*", lines["DK"]) == ["DK", "5 albums", "5 albums", "70", "2"]
    assert "5 albums" in lines["SE"]
    assert "short: 3 of 5 albums" in lines["SE"]
    assert "not landed" in lines["NO"]


def test_a_warning_and_an_archived_run_are_seen() -> None:
    """Who looks at the run sees at once what a person should look at, and that nobody else will."""
    shown = text(run_view(status_of(replace(found_by_the_job(WHOLE, BAD), archived=True), NOW)))
    assert "much smaller than usual" in shown
    assert "archived" in shown


def text(view: RenderableType) -> str:
    """A view as it is printed."""
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(view)
    return console.export_text()
