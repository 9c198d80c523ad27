"""The whole pipeline on real components: a tick, three markets, and each row compared with the catalogue.

The tests of this module share one stack and one run, and follow each other as a week would.
"""

import os
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import requests

from contracts import names
from contracts.documents import Receipt
from contracts.events import MarketRequested, OwnEvent, RunRequested
from local.choices import DATASET, TABLE, Choices
from local.spotify.catalogue import Catalogue
from local.stack import Stack
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RUN = "2026-11-23"
MARKETS = ("DK", "SE", "XK")
ALBUMS = 6
_RUN = 180.0  # seconds until a run of three markets must have its receipt; about 30 on two idle cores
Row = dict[str, Any]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, with a quiet period of two seconds."""
    choices = Choices(
        home=tmp_path_factory.mktemp("stack"),
        markets=MARKETS,
        albums=ALBUMS,
        run_date=RUN,
        service_settings={"QUIET": "2"},
    )
    with Stack(choices, os.environ) as running:
        yield running


def catalogue_rows(stack: Stack) -> list[Row]:
    images = f"{stack.addresses.simulator}/image"
    return Catalogue(1, date.fromisoformat(RUN)).expected_rows(
        MARKETS, "browse", ALBUMS, run_id=RUN, images=images
    )


def table_rows(stack: Stack) -> list[Row]:
    client = stack.bigquery_client()
    rows = client.query_and_wait(f"SELECT * FROM {DATASET}.{TABLE} WHERE load_date = '{RUN}'")  # noqa: S608
    found = [dict(row) for row in rows]
    client.close()
    return found


def in_order(rows: list[Row], *, without: str = "") -> list[str]:
    return sorted(str(sorted((name, row[name]) for name in row if name != without)) for row in rows)


async def receipt(stack: Stack, revision: int) -> Receipt:
    def standing() -> Receipt | None:
        stack.check()
        blob = stack.bucket.get_blob(names.receipt_name(RUN, revision))
        return Receipt.model_validate_json(blob.download_as_bytes()) if blob else None

    found = await eventually(standing, within=_RUN)
    await eventually(lambda: not stack.clusters(), within=60)
    return found


def publish(stack: Stack, event: OwnEvent, cause: str) -> None:
    stack.publish(event, cause=cause)


async def test_a_tick_fills_the_table_with_what_the_catalogue_holds(stack: Stack) -> None:
    """From the tick to the warehouse: every row, and not one more; the cluster is gone."""
    publish(stack, RunRequested(run_id=RUN, reason="test"), "first tick")
    written = await receipt(stack, 1)
    assert (written.outcome, written.missing, written.error) == ("loaded", (), None)
    rows = table_rows(stack)
    assert in_order(rows) == in_order(catalogue_rows(stack))
    assert written.warehouse is not None
    assert written.warehouse.rows == len(rows)
    assert written.trace_id == names.trace_id(RUN)
    assert written.source["app"] == ["extended"]


async def test_the_same_run_again_doubles_nothing(stack: Stack) -> None:
    """A second tick of the date finds all parts there: no new decision, no new part, the same rows."""
    before = {blob.name: blob.generation for blob in stack.bucket.list_blobs()}
    publish(stack, RunRequested(run_id=RUN, reason="again"), "second tick")
    log = stack.log_dir / "scheduler.log"
    await eventually(lambda: log.read_text().count('"markets_requested"') >= 2, within=60)
    assert in_order(table_rows(stack)) == in_order(catalogue_rows(stack))
    assert {blob.name: blob.generation for blob in stack.bucket.list_blobs()} == before


async def test_a_replayed_market_changes_its_rows_and_no_other(stack: Stack) -> None:
    """One message replaces one market: the partition then is what a fresh run would have made of it."""
    before = table_rows(stack)
    taken_down = next(row["album_id"] for row in before if row["market"] == "SE")
    take_down(stack, taken_down)
    event = MarketRequested(run_id=RUN, market="SE", replay=True, fresh=True, reason="an album was taken down")
    publish(stack, event, "replay")
    written = await receipt(stack, 2)
    assert written.outcome == "loaded"
    after = table_rows(stack)
    changed = [row | {"album_name": ""} if touches(row, taken_down) else row for row in before]
    assert in_order(after, without="revision") == in_order(changed, without="revision")
    assert any(touches(row, taken_down) for row in before)
    assert {row["revision"] for row in after} == {2}


def take_down(stack: Stack, album_id: str) -> None:
    """From now on Spotify gives the album with an empty name."""
    rules = [{"effect": "takedown", "album": album_id}]
    answer = requests.post(f"{stack.addresses.simulator}/_control/faults", json=rules, timeout=10)
    assert answer.status_code == 200


def touches(row: Row, album_id: str) -> bool:
    return bool(row["market"] == "SE" and row["album_id"] == album_id)
