"""The dashboard as it is served, over emulators that hold a few weeks and two runs."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio
from google.cloud import bigquery
from playwright.async_api import Browser

from contracts import names
from contracts.documents import (
    ClusterClaim,
    GivenUpMarket,
    JobClaim,
    LoadResult,
    Manifest,
    MissingMarket,
    ThrottledMarket,
)
from eventing.ledger import RunLedger
from eventing.objects import GcsObjectStore
from local.bigquery import BigQuery
from local.choices import BUCKET, PROJECT
from local.processes import LOOPBACK, Supervisor
from local.storage import Storage
from tests import builders
from tests.browser import surf, year
from tests.browser.served import simulator, started

MARKETS = ("AT", "CH", "DE", "DK", "FI", "FR", "GB", "IS", "NO", "SE")
WEEKS = 3
PARTIAL = "2026-11-16"
"""The week in the middle, which lacks a market."""
LACKS = "SE"
FAILED = "2026-11-25"
"""A run that came to nothing; its week is not in the table."""
DATASET = "browser"
HOSTILE = "</script><img src=x onerror=alert(1)>"
"""A title as nobody should have it; the newest week's first Danish album gets it."""


@dataclass(frozen=True, slots=True)
class Served:
    """A dashboard and what is behind it."""

    url: str
    images: str
    warehouse: BigQuery
    store: Storage
    environment: dict[str, str]

    def ask(self, sql: str, **dates: date) -> list[dict[str, Any]]:
        """What the table itself says; `{table}` is its name."""
        client = self.warehouse.client(PROJECT)
        given = [bigquery.ScalarQueryParameter(name, "DATE", value) for name, value in dates.items()]
        wanted = bigquery.QueryJobConfig(query_parameters=given)
        found = client.query_and_wait(
            sql.replace("{table}", f"`{PROJECT}.{DATASET}.new_releases`"), job_config=wanted
        )
        rows = [dict(row.items()) for row in found]
        client.close()
        return rows

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[RunLedger]:
        """The runs' documents, to be added to."""
        store = GcsObjectStore(self.store.client(PROJECT), BUCKET)
        yield RunLedger(store)
        await store.aclose()


@pytest.fixture(scope="session")
def served(bigquery: BigQuery, storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`python -m dashboard`, ready."""
    year.furnish(bigquery, dataset=DATASET)
    storage.ensure_bucket(PROJECT, BUCKET)
    environment = {
        **os.environ,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "BUCKET": BUCKET,
        "BIGQUERY_DATASET": DATASET,
        "BIGQUERY_EMULATOR_HOST": bigquery.url,
        "STORAGE_EMULATOR_HOST": storage.url,
        "HOST": LOOPBACK,
    }
    with Supervisor(tmp_path_factory.mktemp("dashboard")) as supervisor:
        images = environment["SPOTIFY_IMAGES_URL"] = simulator(supervisor)
        without = {date.fromisoformat(PARTIAL): LACKS}
        year.load(bigquery, WEEKS, dataset=DATASET, markets=MARKETS, without=without, images=images)
        found = Served("", images, bigquery, storage, environment)
        _insult(found)
        asyncio.run(_write_runs(found))
        yield replace(found, url=started(supervisor, environment))


def _insult(served: Served) -> None:
    """Give one album the hostile title."""
    served.ask(
        f"UPDATE {{table}} SET album_name = '{HOSTILE}' WHERE load_date = @week AND album_id = "  # noqa: S608
        "(SELECT MIN(album_id) FROM {table} WHERE load_date = @week AND market = 'DK')",
        week=year.NEWEST,
    )


async def _write_runs(served: Served) -> None:
    """Two runs: one that is over, and one that is under way with a market in every state."""
    async with served.ledger() as ledger:
        await ledger.create_manifest(builders.manifest())
        await ledger.create_decision(builders.decision("DK SE NO"))
        await ledger.create_cluster_claim(
            ClusterClaim(run_id=builders.RUN, attempt=1, revision=1, claimed_at=builders.NOW)
        )
        await ledger.claim_job(
            JobClaim(run_id=builders.RUN, number=1, revision=1, attempt=1, claimed_at=builders.NOW)
        )
        load = LoadResult(run_id=builders.RUN, revision=1, files=3, albums=9, tracks=30, rows=30, quarantined=2)
        await ledger.create_receipt(builders.receipt(load=load, job_id="job-1", job_state="DONE"))
        await _write_imperfect_runs(ledger)
        store = served.store.client(PROJECT).bucket(BUCKET)
        store.blob(names.load_name(builders.RUN, 1)).upload_from_string(load.to_json())
        await ledger.create_manifest(
            Manifest.model_validate(builders.manifest("DK SE NO FI").model_dump() | {"run_id": OPEN_RUN})
        )
        store.blob(names.part_name(OPEN_RUN, "DK")).upload_from_string(b"x" * 2048)
        await ledger.record_throttled(
            ThrottledMarket(
                run_id=OPEN_RUN, market="SE", until=builders.NOW + timedelta(days=36500), reason="QUOTA_EXCEEDED"
            )
        )
        await ledger.record_given_up(
            GivenUpMarket(
                run_id=OPEN_RUN,
                market="NO",
                reason="403 for ever",
                subscription="market-requested",
                message_id="7",
                recorded_at=builders.NOW,
            )
        )


async def _write_imperfect_runs(ledger: RunLedger) -> None:
    """A week without one of its markets, and one that failed."""
    gone = [MissingMarket(market=LACKS, reason="it did not land before the deadline")]
    there = tuple(market for market in MARKETS if market != LACKS)
    partial = {"run_id": PARTIAL, "outcome": "partial", "landed": there, "missing": gone}
    failed = {"run_id": FAILED, "outcome": "failed", "landed": (), "missing": gone, "warehouse": None}
    for run, changes, parts in ((PARTIAL, partial, " ".join(there)), (FAILED, failed, "")):
        asked = builders.manifest(" ".join(MARKETS)).model_copy(update={"run_id": run})
        await ledger.create_manifest(asked)
        verdict = "load" if parts else "fail"
        await ledger.create_decision(builders.decision(parts or "DK", run_id=run, verdict=verdict, missing=gone))
        await ledger.create_receipt(builders.receipt(**changes, error=None if parts else "too little landed"))


OPEN_RUN = "2026-11-30"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests; each opens pages of its own. Where none can be had, one line says so."""
    if not await surf.there_is_one():
        pytest.skip(surf.NO_BROWSER)
    async with surf.browser() as launched:
        yield launched


@pytest_asyncio.fixture(loop_scope="session")
async def sheet(chromium: Browser, served: Served) -> AsyncIterator[surf.Sheet]:
    """A page that, whatever a test does with it, complains of nothing and asks nobody else."""
    async with surf.sheet(chromium, served.url, images=served.images) as opened:
        yield opened
        assert opened.complaints == []
        assert opened.strangers == []
