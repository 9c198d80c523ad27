"""The whole pipeline on real components, as a person works it: what is typed, and each row of the table.

The tests of this module share one stack and follow each other as weeks would: a run, a replay, a closed and reopened
one. What the table must hold is the simulator's catalogue.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from google.pubsub_v1.types import PubsubMessage

from contracts import names
from contracts.envelope.messages import Origin, to_message
from contracts.events import MarketRequested, RunRequested
from local.choices import DATASET, PROJECT, TABLE, Choices
from local.detached import Files, write_state
from local.spotify.catalogue import Catalogue
from local.stack import Stack, sole_use
from local.tools import ROOT
from ops import record
from tests import commands
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RUN, OTHER = "2026-11-23", "2026-11-30"
MARKETS = ("DK", "SE", "XK")
ALBUMS = 4
FETCHER = "market-fetcher-market-requested"
WAIT = ("--wait", "--timeout", "240")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stack's state file lies."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module", autouse=True)
def stack(folder: Path) -> Iterator[Stack]:
    """Three markets, few albums, a quiet period of a second."""
    choices = Choices(
        home=folder / "data", markets=MARKETS, albums=ALBUMS, run_date=RUN, service_settings={"QUIET": "1"}
    )
    with sole_use(folder, lock=record.LOCK), Stack(choices, os.environ) as running:
        write_state(Files(folder), running)
        yield running


def releases(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Give a command and wait for it."""
    return commands.releases("--stack", folder, *arguments)


def answer(folder: Path, *arguments: str) -> Any:
    """The JSON answer of a command that must succeed."""
    done = releases(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def last_line(folder: Path, *arguments: str) -> Any:
    """The last JSON line of a command that follows something and must succeed."""
    done = releases(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def table_rows(stack: Stack, run: str) -> list[Row]:
    """The run's partition, as the warehouse answers."""
    client = stack.bigquery_client()
    rows = client.query_and_wait(f"SELECT * FROM {DATASET}.{TABLE} WHERE load_date = '{run}'")  # noqa: S608 -- constants
    found = [dict(row) for row in rows]
    client.close()
    return found


def catalogue_rows(stack: Stack, run: str) -> list[Row]:
    """What the partition must hold."""
    images = f"{stack.addresses.simulator}/image"
    return Catalogue(1, date.fromisoformat(run)).expected_rows(
        MARKETS, "browse", ALBUMS, run_id=run, images=images
    )


def in_order(rows: list[Row], *, without: str = "") -> list[str]:
    """Rows that can be compared, whatever their order."""
    return sorted(str(sorted((name, row[name]) for name in row if name != without)) for row in rows)


def faults(stack: Stack, *rules: dict[str, Any]) -> None:
    """From now on Spotify answers so."""
    control = f"{stack.addresses.simulator}/_control/faults"
    assert requests.post(control, json=rules, timeout=10).status_code == 200


def revision_of(folder: Path, run: str) -> int:
    return int(answer(folder, "run", "show", run)["revision"])


def test_a_dry_run_asks_for_nothing(folder: Path, stack: Stack) -> None:
    """It says what would happen; no message is published and no run begins."""
    assert answer(folder, "run", "list") == []
    planned = answer(folder, "run", "start", "--date", RUN, "--market", "dk", "--dry-run")
    assert planned == {"run_id": RUN, "lands_in": "new", "asks": ["DK"], "dry_run": True}
    assert answer(folder, "run", "list") == []
    assert "run_requested" not in (stack.log_dir / "scheduler.log").read_text()


async def test_a_run_is_started_and_followed_to_its_end(folder: Path, stack: Stack) -> None:
    """One command from nothing to the table: every row of the catalogue and not one more; then everybody can see it."""
    ended = last_line(folder, "run", "start", "--date", RUN, *WAIT)
    assert (ended["state"], ended["landed"], ended["revision"]) == ("loaded", 3, 1)
    assert in_order(table_rows(stack, RUN)) == in_order(catalogue_rows(stack, RUN))
    await eventually(lambda: not stack.clusters(), within=60)
    (listed,) = answer(folder, "run", "list")
    assert listed == ended
    shown = answer(folder, "run", "show", RUN)
    assert {market["market"]: market["is_loaded"] for market in shown["markets"]} == dict.fromkeys(MARKETS, True)
    assert [span["stage"] for span in shown["spans"]] == ["fetch", "decide", "cluster", "spark", "receipt"]
    assert last_line(folder, "run", "watch", RUN) == ended
    receipt = answer(folder, "receipt", RUN)
    assert receipt["warehouse"]["rows"] == ended["rows"] == shown["rows"] == len(table_rows(stack, RUN))
    assert (receipt["trace_id"], receipt["source"]["app"]) == (names.trace_id(RUN), ["extended"])


async def test_the_same_run_again_doubles_nothing(stack: Stack) -> None:
    """A second tick of the date finds all parts there: no new decision, no new part, the same rows."""
    before = {blob.name: blob.generation for blob in stack.bucket.list_blobs()}
    stack.publish(RunRequested(run_id=RUN, reason="again"), cause="second tick")
    log = stack.log_dir / "scheduler.log"
    await eventually(lambda: log.read_text().count('"markets_requested"') >= 2, within=60)
    assert in_order(table_rows(stack, RUN)) == in_order(catalogue_rows(stack, RUN))
    assert {blob.name: blob.generation for blob in stack.bucket.list_blobs()} == before


def test_people_get_tables(folder: Path) -> None:
    """The same without --json, for eyes."""
    listed = releases(folder, "run", "list").stdout
    assert RUN in listed
    assert "3 of 3" in listed
    shown = releases(folder, "run", "show", RUN).stdout
    assert "● DK" in shown
    assert "spark" in shown
    assert "driver output uri" in releases(folder, "receipt", RUN).stdout


def test_why_tells_the_way_of_a_market(folder: Path) -> None:
    """From the tick to the rows in the table, counted there, with the ids to look further."""
    told = answer(folder, "why", RUN, "dk")
    kinds = [step["kind"] for step in told["steps"]]
    assert kinds[0] == "requested"
    assert {"landed", "decided", "cluster", "job", "receipt"} <= set(kinds)
    assert told["state"] == "landed and loaded"
    rows = {market: answer(folder, "why", RUN, market)["rows"] for market in MARKETS}
    assert sum(rows.values()) == answer(folder, "receipt", RUN)["warehouse"]["rows"]
    assert "trace" in releases(folder, "why", RUN, "DK").stdout


def test_a_replay_waits_until_the_rows_are_replaced(folder: Path, stack: Stack) -> None:
    """It ends when the market's rows are replaced and nobody else's, not before; the dry run changes nothing."""
    before, rows = generations(folder), table_rows(stack, RUN)
    taken_down = next(row["album_id"] for row in rows if row["market"] == "DK")
    faults(stack, {"effect": "takedown", "album": taken_down})
    asked = ("replay", RUN, "--market", "DK", "--reason", "an album was taken down", "--fresh")
    planned = answer(folder, *asked, "--dry-run")
    assert [(one["market"], one["replay"], one["fresh"]) for one in planned["requests"]] == [("DK", True, True)]
    assert last_line(folder, *asked, *WAIT)["revision"] == 2
    assert [market for market, one in generations(folder).items() if one != before[market]] == ["DK"]
    changed = [row | ({"album_name": ""} if touches(row, taken_down) else {}) for row in rows]
    now = table_rows(stack, RUN)
    assert in_order(now, without="revision") == in_order(changed, without="revision")
    assert {row["revision"] for row in now} == {2}
    faults(stack)


def generations(folder: Path) -> dict[str, int]:
    """Of each market's part."""
    return {m["market"]: m["generation"] for m in answer(folder, "run", "show", RUN)["markets"]}


def touches(row: Row, album_id: str) -> bool:
    """Whether it is one of Denmark's rows of this album."""
    return bool(row["market"] == "DK" and row["album_id"] == album_id)


def test_a_run_is_closed_and_reopened_by_order(folder: Path, stack: Stack) -> None:
    """Closed with what has landed; once open again the missing market is asked for and completes it."""
    faults(stack, {"effect": "status", "status": 503, "market": "SE"})
    started = releases(folder, "run", "start", "--date", OTHER, "--wait", "--timeout", "5")
    assert started.returncode == 4, started.stderr
    assert "not done within 5 s" in started.stderr
    assert releases(folder, "run", "reopen", OTHER, "--reason", "too soon").returncode == 2

    closed = answer(folder, "run", "close", OTHER, "--reason", "Sweden is down")
    assert "closes with 2 of 3 markets" in closed["effect"]
    ended = last_line(folder, "run", "watch", OTHER, "--timeout", "240")
    assert (ended["state"], ended["landed"], ended["revision"]) == ("partial", 2, 1)
    assert answer(folder, "run", "show", OTHER)["revisions"][0]["decision"]["note"] == "Sweden is down"
    again = releases(folder, "run", "close", OTHER, "--reason", "again")
    assert (again.returncode, "closed already" in again.stderr) == (2, True)

    # Still down: once it answers, a delivery under way may bring it before the order is given.
    answer(folder, "run", "reopen", OTHER, "--reason", "Sweden is back")
    faults(stack)
    whole = last_line(folder, "run", "watch", OTHER, "--revision", "2", "--timeout", "240")
    assert (whole["state"], whole["landed"]) == ("loaded", 3)


def test_a_backfill_loads_again_what_is_still_there(folder: Path) -> None:
    """A new revision with the same parts: the table is as it was, and Spotify is not asked."""
    before = answer(folder, "receipt", RUN)
    span = ("backfill", "--from", "2026-11-01", "--to", RUN)
    planned = answer(folder, *span, "--dry-run")
    assert [(step["run_id"], step["action"]) for step in planned] == [(RUN, "reload")]
    assert revision_of(folder, RUN) == before["revision"]
    answer(folder, *span, "--reason", "the table was emptied")
    ended = last_line(folder, "run", "watch", RUN, "--revision", str(before["revision"] + 1), "--timeout", "240")
    after = answer(folder, "receipt", RUN)
    assert (ended["revision"], after["warehouse"]["rows"]) == (before["revision"] + 1, before["warehouse"]["rows"])


def test_a_sweep_is_published(folder: Path, stack: Stack) -> None:
    """The services see it."""
    assert answer(folder, "sweep", "--reason", "by hand")["published"] == "newreleases.sweep.requested.v1"
    stack.check()


async def test_a_dead_letter_is_listed_shown_and_sent_again(folder: Path, stack: Stack) -> None:
    """Looking consumes nothing; a redrive is shown first, done once, refused the second time and settled."""
    give_up(stack, MarketRequested(run_id=RUN, market="DK", reason="e2e"))
    (letter,) = await eventually(lambda: answer(folder, "dead-letter", "list", "--run", RUN), within=60)
    assert (letter["subscription"], letter["market"]) == (FETCHER, "DK")
    assert letter["decoded"]["reason"] == "e2e"
    message = letter["message_id"]
    assert answer(folder, "dead-letter", "show", message) == letter
    assert FETCHER in releases(folder, "dead-letter", "list").stdout

    shown = answer(folder, "dead-letter", "redrive", "--market", "dk")
    assert shown == {
        "dry_run": True,
        "actions": [{"message_id": message, "subscription": FETCHER, "topic": "market-requested"}],
    }
    assert answer(folder, "dead-letter", "show", message)["redriven"] == []
    sent = answer(folder, "dead-letter", "redrive", message, "--yes", "--reason", "mended")
    assert not sent["dry_run"]
    assert answer(folder, "dead-letter", "show", message)["redriven"][0]["reason"] == "mended"
    again = releases(folder, "dead-letter", "redrive", message, "--yes")
    assert (again.returncode, "was redriven at" in again.stdout) == (1, True)
    assert releases(folder, "dead-letter", "show", "0").returncode == 5
    assert releases(folder, "dead-letter", "redrive").returncode == 2


def give_up(stack: Stack, event: MarketRequested) -> None:
    """Publish to the dead-letter topic what Pub/Sub would after the last refused delivery."""
    message = to_message(event, Origin("test", "given up", datetime.now(UTC)))
    source = {
        "CloudPubSubDeadLetterSourceSubscription": FETCHER,
        "CloudPubSubDeadLetterSourceSubscriptionProject": PROJECT,
        "CloudPubSubDeadLetterSourceDeliveryCount": "100",
    }
    with stack.pubsub.publisher() as publisher:
        publisher.publish(
            topic=f"projects/{PROJECT}/topics/market-requested-dead",
            messages=[PubsubMessage(data=message.data, attributes=message.attributes | source)],
        )


def test_the_doctor_finds_a_healthy_stack(folder: Path) -> None:
    """Every part that a local stack has is looked at, and the canaries arrive."""
    examined = answer(folder, "doctor", "--prove", "--timeout", "8")
    assert examined["healthy"]
    heard = [one["what"] for one in examined["findings"] if one["check"] == "delivery" and one["status"] == "ok"]
    described = json.loads((ROOT / "infra" / "topology.json").read_text())
    assert len(heard) == len(described["push_subscriptions"])
    assert "broken" not in releases(folder, "doctor").stdout


def test_the_doctor_fails_on_a_stack_that_lacks_something(folder: Path, stack: Stack) -> None:
    """What is missing is named with what to do, and a script sees it by the exit status."""
    with stack.pubsub.subscriber() as subscriber:
        subscriber.delete_subscription(subscription=f"projects/{PROJECT}/subscriptions/operator-run-finished")
    done = releases(folder, "doctor")
    assert done.returncode == 1
    assert "operator-run-finished" in done.stdout
    assert "terraform apply" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("run", "show", "2020-01-06"), 5, "is not known"),
        (("run", "show", "monday"), 2, "written as 2026-11-23"),
        (("why", RUN, "FI"), 5, "does not expect FI"),
        (("replay", RUN, "-m", "FI", "--reason", "r"), 2, "does not expect it"),
        (("receipt", RUN, "--revision", "99"), 5, "has no receipt"),
        (("backfill", "--from", "2026-11-23", "--to", "2026-11-01"), 2, "turn them round"),
        (("backfill", "--from", "2020-01-01", "--to", "2020-02-01"), 5, "holds nothing"),
        (("run", "close", "2020-01-06", "--reason", "r"), 5, "is not known"),
        (("replay", RUN, "--reason", "r"), 2, "--market"),
    ],
)
def test_errors_say_what_to_do(folder: Path, arguments: tuple[str, ...], status: int, told: str) -> None:
    """One line on stderr and a status that a script can tell apart; nothing on stdout."""
    done = releases(folder, *arguments)
    assert done.returncode == status
    assert told in done.stderr
    assert done.stdout == ""


def test_a_stack_that_does_not_answer_is_told_apart(tmp_path: Path, folder: Path) -> None:
    """One that hangs ends in seconds with what to do, not in minutes of retries."""
    state = json.loads((folder / "stack.json").read_text())
    state["environment"]["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:9"
    (tmp_path / "stack.json").write_text(json.dumps(state))
    with sole_use(tmp_path, lock=record.LOCK):
        done = releases(tmp_path, "run", "list")
    assert done.returncode == 3
    assert "start it again: `make down`, then `make up`" in done.stderr
