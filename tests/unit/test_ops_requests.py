"""What an operator may ask for: the plan is what a dry run shows and what is then done."""

import shlex
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Never

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from contracts.documents import LoadResult, MissingMarket, Order
from eventing.ledger import RunLedger
from local.stack import sole_use
from ops.orders import give_order
from ops.requests import (
    Backfill,
    RequestError,
    effect_of,
    has_failed,
    is_replaced,
    markets_of,
    plan_backfill,
    plan_replay,
    plan_start,
    removal,
    run_id_of,
)
from ops.target import Target, TargetError, UnclearTargetError, Wanted, find, follow, opened
from runs.status import Documents, RunStatus, status_of
from tests.builders import NOW, RUN, decision, manifest, part, parts, receipt
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher

TODAY = NOW.date() + timedelta(days=1)
OPEN = Documents(manifest=manifest(), parts=parts("DK"))
LOADED = Documents(
    manifest=manifest(), parts=parts("DK SE NO"), decisions=(decision("DK SE NO"),), receipts={1: receipt()}
)
PARTIAL = Documents(
    manifest=manifest(),
    parts=parts("DK SE"),
    decisions=(decision("DK SE", missing=(MissingMarket(market="NO", reason="late"),)),),
    receipts={1: receipt(outcome="partial")},
)


def seen(found: Documents) -> RunStatus:
    return status_of(found, NOW)


@pytest.mark.parametrize("text", ["", "monday", "2026-13-01", "2026-11-23/..", "20261123"])
def test_a_run_is_a_date(text: str) -> None:
    """What becomes a path is checked first, and the error shows how to write it."""
    with pytest.raises(RequestError, match="written as 2026-11-23"):
        run_id_of(text)


def test_markets_are_two_letters_each_once() -> None:
    """Lower case and commas are as good; digits and words are refused by name."""
    assert markets_of(["dk", "SE,no", "DK"]) == ("DK", "SE", "NO")
    with pytest.raises(RequestError, match="--market 'D1', 'DNK' is not a market"):
        markets_of(["D1,SE", "dnk"])


def test_a_new_run_asks_for_what_was_named_or_for_all() -> None:
    """The event says what the person said."""
    assert plan_start(RUN, (), "r", None, today=TODAY).event.markets is None
    plan = plan_start(RUN, ("DK",), "r", None, today=TODAY)
    assert (plan.lands_in, plan.asks, plan.event.markets) == ("new", ("DK",), ("DK",))


def test_a_standing_run_is_completed_and_widened() -> None:
    """What has landed is not fetched again, what it did not expect is asked for beside."""
    plan = plan_start(RUN, (), "r", seen(OPEN), today=TODAY)
    assert (plan.lands_in, plan.asks) == ("standing", ("SE", "NO"))
    assert plan_start(RUN, ("FI", "DK"), "r", seen(OPEN), today=TODAY).asks == ("SE", "NO", "FI")
    trial = replace(OPEN, manifest=OPEN.manifest.model_copy(update={"left_out": ("FI", "IS")}))
    assert plan_start(RUN, (), "r", seen(trial), today=TODAY).asks == ("SE", "NO", "FI", "IS")


def test_a_market_of_no_run_is_asked_for_by_force_alone() -> None:
    """A mistyped market would be waited for until the deadline, each time the run is looked at."""
    with pytest.raises(RequestError, match=r"--market US: not among the 48 markets.*--force"):
        plan_start(RUN, ("DK", "US"), "r", None, today=TODAY)
    event = plan_start(RUN, ("DK", "US"), "r", None, today=TODAY, force=True).event
    assert (event.markets, event.force) == (("DK", "US"), True)


def test_a_run_is_not_dated_in_a_mistyped_year() -> None:
    """It would be the newest week for decades; the next slot of a weekly schedule is a week off at most."""
    with pytest.raises(RequestError, match="2062-11-23 is more than 8 days ahead of 2026-11-23; look at its year"):
        plan_start("2062-11-23", (), "r", None, today=TODAY)
    assert plan_start("2026-12-01", (), "r", None, today=TODAY).lands_in == "new"


def test_a_replay_is_one_message_for_each_market() -> None:
    """The single-market message that anybody could publish, marked as a replay."""
    events = plan_replay(seen(LOADED), ("DK", "SE"), fresh=True, reason="odd")
    assert [(event.market, event.replay, event.fresh, event.reason) for event in events] == [
        ("DK", True, True, "odd"),
        ("SE", True, True, "odd"),
    ]
    with pytest.raises(RequestError, match=r"--market FI.*expects DK, NO, SE"):
        plan_replay(seen(LOADED), ("FI",), fresh=False, reason="odd")
    with pytest.raises(RequestError, match="at least one market"):
        plan_replay(seen(LOADED), (), fresh=False, reason="odd")
    all_of_them = plan_replay(seen(LOADED), (), fresh=False, reason="odd", everything=True)
    assert [event.market for event in all_of_them] == ["DK", "SE", "NO"]
    with pytest.raises(RequestError, match="not both"):
        plan_replay(seen(LOADED), ("DK",), fresh=False, reason="odd", everything=True)


ARCHIVED = replace(LOADED, parts=parts("NO"), archived=True)


def test_an_archived_run_is_fetched_whole_or_not_at_all() -> None:
    """One market alone would land, be news, and wait for ever for those whose parts have gone."""
    with pytest.raises(RequestError, match=r"archived, and the raw parts of SE have gone.*--all"):
        plan_replay(seen(ARCHIVED), ("DK",), fresh=False, reason="odd")
    assert len(plan_replay(seen(ARCHIVED), (), fresh=False, reason="odd", everything=True)) == 3
    assert len(plan_replay(seen(ARCHIVED), ("DK", "SE"), fresh=False, reason="odd")) == 2
    assert len(plan_replay(seen(replace(ARCHIVED, archived=False)), ("DK",), fresh=False, reason="odd")) == 1


def test_what_has_gone_is_not_there_to_be_loaded() -> None:
    """An order says what it would do with what lies in the bucket, not with what once did."""
    gone = replace(LOADED, parts=parts("DK SE"))
    assert "closes with 2 of 3 markets" in effect_of("close", seen(gone))
    assert effect_of("reopen", seen(gone)).endswith("NO will be asked for.")
    assert plan_start(RUN, (), "r", seen(gone), today=TODAY).asks == ("NO",)


def test_a_load_that_was_refused_may_be_ordered() -> None:
    """The decision stands and nothing has landed since, but a person may let the bad market go."""
    load = LoadResult(
        run_id=RUN, revision=1, loaded=False, error="x", files=3, albums=1, tracks=1, rows=1, quarantined=0
    )
    assert "closes with 3 of 3" in effect_of("close", seen(replace(LOADED, loads={1: load})))


def test_a_replay_is_over_when_its_new_part_is_loaded() -> None:
    """Neither the old part loaded, nor the new part landed, is enough."""
    before = {"DK": 1}
    assert not is_replaced(seen(LOADED), before)
    landed = replace(LOADED, parts=parts("SE NO") | {"DK": part("DK", 2)})
    assert not is_replaced(seen(landed), before)
    newer = decision("SE NO", 2, parts=tuple(landed.parts.values()))
    loaded = replace(landed, decisions=(*landed.decisions, newer), receipts={1: receipt(), 2: receipt(2)})
    assert is_replaced(seen(loaded), before)
    assert is_replaced(seen(loaded), {"DK": None})


def test_a_replay_is_over_when_the_revision_with_its_part_failed() -> None:
    """Waiting on would be waiting for nothing; a failure before the replay is not its own."""
    before = {"DK": 1}
    failed = replace(LOADED, receipts={1: receipt(outcome="failed")})
    assert not has_failed(seen(failed), before)
    newer = decision("SE NO", 2, parts=(*parts("SE NO").values(), part("DK", 2)))
    after = replace(failed, decisions=(*LOADED.decisions, newer), receipts={2: receipt(2, outcome="failed")})
    assert has_failed(seen(after), before)
    assert not has_failed(seen(replace(after, receipts={2: receipt(2)})), before)
    assert not has_failed(seen(OPEN), before)
    # The run had asked for the market by itself, and its new part lies there when the replay is asked for.
    assert not has_failed(seen(after), {"DK": 3})


def test_closing_needs_something_to_close() -> None:
    """An order that would change nothing is refused with the reason, before it is written."""
    assert "closes with 1 of 3 markets" in effect_of("close", seen(OPEN))
    with pytest.raises(RequestError, match="no market has landed"):
        effect_of("close", seen(Documents(manifest=manifest())))
    with pytest.raises(RequestError, match="closed already"):
        effect_of("close", seen(LOADED))
    news = replace(PARTIAL, parts=parts("DK SE NO"))
    assert "closes with 3 of 3" in effect_of("close", seen(news))


def test_reopening_needs_a_closed_run_that_misses_something() -> None:
    """A complete run has nothing to wait for, an open one waits already."""
    assert effect_of("reopen", seen(PARTIAL)).endswith("NO will be asked for.")
    with pytest.raises(RequestError, match="is open"):
        effect_of("reopen", seen(OPEN))
    with pytest.raises(RequestError, match="has all its markets"):
        effect_of("reopen", seen(LOADED))


def test_a_backfill_does_what_the_bucket_still_allows() -> None:
    """Known runs are loaded again unless they would shrink, forgotten ones made known with what is there."""
    raw = {"2026-10-05": ["SE", "DK"], "2026-10-12": ["DK"], "2026-10-26": ["DK"], "2026-11-30": ["DK"]}
    gone = {"2026-10-05": [], "2026-10-19": ["DK"], "2026-10-26": ["SE"]}
    steps = plan_backfill("2026-10-01", "2026-10-31", raw=raw, known=list(gone), gone=gone)
    assert steps == (
        Backfill("2026-10-05", "reload", ("DK", "SE")),
        Backfill("2026-10-12", "request", ("DK",)),
        Backfill("2026-10-19", "nothing", ()),
        Backfill("2026-10-26", "keep", ("DK",)),
    )
    with pytest.raises(RequestError, match="turn them round"):
        plan_backfill("2026-11-01", "2026-10-01", raw=raw, known=[], gone={})


async def test_orders_are_numbered_and_wake_the_barrier() -> None:
    """Two orders never share a number, and each is announced after it is written."""
    store, publisher = MemoryObjectStore(), MemoryPublisher()
    ledger = RunLedger(store)
    first = await give_order(ledger, publisher, run_id=RUN, kind="close", reason="a", now=NOW)
    second = await give_order(ledger, publisher, run_id=RUN, kind="reopen", reason="b", now=NOW)
    assert (first.number, second.number) == (1, 2)
    assert len(publisher.published) == 2
    assert store.names() == [f"runs/{RUN}/orders/0001.json", f"runs/{RUN}/orders/0002.json"]


STATE = """{"pid": 1, "home": "/x", "services": {"scheduler": "http://127.0.0.1:1"}, "environment": {
  "GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b", "REGION": "r", "BIGQUERY_DATASET": "d", "BIGQUERY_TABLE": "t",
  "PUBSUB_EMULATOR_HOST": "h:1", "STORAGE_EMULATOR_HOST": "http://h:2", "BIGQUERY_EMULATOR_HOST": "http://h:3",
  "DATAPROC_EMULATOR_HOST": "h:4", "SECRET_MANAGER_EMULATOR_HOST": "h:5"}}"""


def test_a_stack_that_is_up_here_is_the_default(tmp_path: Path) -> None:
    """Also from a folder below it; a named project wins."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text(STATE)
    below = tmp_path / "docs"
    below.mkdir()
    found = find(Wanted(), {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b"}, folder=below)
    assert (found.kind, found.project, found.table_id) == ("local", "p", "p.d.t")
    named = find(Wanted(project="mine", bucket="m"), {}, folder=below)
    assert (named.kind, named.project, named.bucket, named.region) == ("cloud", "mine", "m", "europe-west3")


@pytest.mark.parametrize(
    ("name", "value"),
    [("GOOGLE_CLOUD_PROJECT", "other"), ("BUCKET", "o"), ("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")],
)
def test_an_environment_that_names_another_stack_is_refused(tmp_path: Path, name: str, value: str) -> None:
    """Who has a project in the shell and a stack in the folder must not close a run in the wrong one."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text(STATE)
    with pytest.raises(UnclearTargetError, match=rf"{name}=.* says {value}: unset it, or say which"):
        find(Wanted(), {name: value}, folder=tmp_path)
    assert find(Wanted(stack=tmp_path / ".local"), {name: value}, folder=tmp_path).kind == "local"


@pytest.mark.parametrize(
    ("wanted", "environment", "told"),
    [
        (Wanted(), {}, "start a stack with `make up`"),
        (Wanted(project="p"), {}, "give --bucket or BUCKET"),
        (Wanted(stack=Path("/nowhere")), {}, "no stack is up there"),
        (Wanted(stack=Path("/nowhere"), project="p"), {}, "name one of them"),
        (
            Wanted(),
            {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b", "STORAGE_EMULATOR_HOST": "http://h:2"},
            "names a local stack .STORAGE_EMULATOR_HOST=http://h:2. and none is up",
        ),
    ],
)
def test_no_stack_is_an_error_that_says_what_to_do(
    wanted: Wanted, environment: dict[str, str], told: str, tmp_path: Path
) -> None:
    """Never a guess about which project is meant."""
    with pytest.raises(TargetError, match=told):
        find(wanted, environment, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [("{}", "cannot be read"), ("", "cannot be read"), (STATE.replace('"REGION": "r",', ""), "lacks 'REGION'")],
)
def test_an_unreadable_state_is_named(tmp_path: Path, text: str, told: str) -> None:
    """A half-written state file, or one of another version, is an error that names it and what to do."""
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(TargetError, match=rf"stack.json: {told}.*make down, then make up"):
        find(Wanted(stack=tmp_path), {}, folder=tmp_path)


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a stack behind it: nobody is sent to a project by mistake, nor left with a traceback."""

    def refuse(_path: Path) -> Never:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(TargetError, match=rf"{tmp_path}/.local/stack.json: cannot be read \(Permission denied\)"):
        find(Wanted(), {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b"}, folder=tmp_path)


async def test_a_stack_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    """Its record may outlive it, and its ports be another's: the lock tells, and no address is asked."""
    (tmp_path / "stack.json").write_text(STATE)
    target = find(Wanted(stack=tmp_path), {}, folder=tmp_path)
    with pytest.raises(TargetError, match=r"the stack that was up on /x is gone.*make up"):
        await enter(target)
    (tmp_path / "stack.lock").mkdir()
    with pytest.raises(TargetError, match=r"stack.lock: Is a directory; mend or remove it"):
        await enter(target)


@pytest.mark.parametrize("answer", ["<html>somebody else's</html>", '{"kind": "other"}', "[]"])
async def test_an_answer_of_somebody_else_is_no_answer(tmp_path: Path, answer: str) -> None:
    """Whatever listens on the port must speak as the stack's storage does."""

    async def reply(_request: web.Request) -> web.Response:
        return web.Response(text=answer)

    application = web.Application()
    application.router.add_get("/{any:.*}", reply)
    async with TestServer(application) as server:
        host = f"http://{server.host}:{server.port}"
        (tmp_path / "stack.json").write_text(STATE.replace("http://h:2", host))
        with (
            sole_use(tmp_path, lock="stack.lock"),
            pytest.raises(TargetError, match=rf"does not answer at {host}; .*make up"),
        ):
            await enter(find(Wanted(stack=tmp_path), {}, folder=tmp_path))


async def enter(target: Target) -> None:
    """Open a stack, as every command does."""
    async with opened(target, {}):
        pass


def test_a_project_may_keep_its_parts_for_another_time(tmp_path: Path) -> None:
    """What counts as archived is the stack's `raw_days`; a wrong number is an error that names it."""
    named = Wanted(project="p", bucket="b")
    assert find(named, {}, folder=tmp_path).raw_days == 90
    assert find(named, {"RAW_DAYS": "30"}, folder=tmp_path).raw_days == 30
    for wrong in ("soon", "-1", "9" * 12, "9" * 5000, "\u0663"):
        with pytest.raises(TargetError, match=r"RAW_DAYS: .* is not a number of days"):
            find(named, {"RAW_DAYS": wrong}, folder=tmp_path)


def test_a_folder_whose_name_is_too_long_is_none(tmp_path: Path) -> None:
    """The system refuses to look for it."""
    with pytest.raises(TargetError, match="File name too long"):
        find(Wanted(stack=tmp_path / ("x" * 5000)), {}, folder=tmp_path)


def test_a_project_is_never_reached_through_a_left_over_emulator_variable(tmp_path: Path) -> None:
    """Sourcing a local stack's environment and then naming a project must not mix the two."""
    environment = {"PUBSUB_EMULATOR_HOST": "h:1", "STORAGE_EMULATOR_HOST": "http://h:2", "PATH": "/bin"}
    follow(find(Wanted(project="p", bucket="b"), environment, folder=tmp_path), environment)
    assert environment == {"PATH": "/bin"}
    (tmp_path / "stack.json").write_text(STATE)
    follow(find(Wanted(stack=tmp_path), environment, folder=tmp_path), environment)
    assert environment["PUBSUB_EMULATOR_HOST"] == "h:1"


def discarded(found: Documents) -> Documents:
    return replace(found, orders=(Order(run_id=RUN, number=1, kind="discard", reason="mistyped", ordered_at=NOW),))


def test_a_run_that_was_a_mistake_is_discarded_and_may_be_taken_back() -> None:
    """Not while a job may write its rows; and then nothing but an order brings it back."""
    assert "is left alone from now on" in effect_of("discard", seen(LOADED))
    with pytest.raises(RequestError, match="is loading; follow it with"):
        effect_of("discard", seen(replace(LOADED, receipts={})))
    gone = seen(discarded(replace(OPEN, parts={})))
    assert (gone.state, gone.is_finished) == ("discarded", True)
    with pytest.raises(RequestError, match="is discarded; nothing is to do"):
        effect_of("discard", gone)
    with pytest.raises(RequestError, match="take that back with: releases run reopen 2026-11-23"):
        plan_start(RUN, (), "r", gone, today=TODAY)
    assert "is open again: DK SE NO" in effect_of("reopen", gone)
    back = Order(run_id=RUN, number=2, kind="reopen", reason="wanted", ordered_at=NOW)
    assert seen(replace(OPEN, orders=(*discarded(OPEN).orders, back))).state == "fetching"


def test_the_command_that_empties_a_partition_is_safe_in_a_shell() -> None:
    """It is copied as it stands: a backtick outside single quotes would run what is between two of them."""
    told = removal("p.music.new_releases", "2062-11-23")
    _, _, _, sql = shlex.split(told)
    assert sql == 'DELETE FROM `p.music.new_releases` WHERE load_date = "2062-11-23"'
