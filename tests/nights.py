"""Runs that somebody is called for, as documents in a bucket; and what is to be read of each, wherever one looks."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from contracts import names
from contracts.documents import ClusterClaim, GivenUpMarket, MissingMarket, ThrottledMarket, WarehouseCount
from eventing.ledger import RunLedger
from eventing.objects import ObjectStore
from services.cluster_manager.decisions import why_failed
from tests.builders import NOW, RUN, decision, manifest, receipt

QUOTA = "Insufficient 'CPUS' quota. Requested 2.0, available 0.0."
NO = (MissingMarket(market="NO", reason="the app's quota is used up"),)


async def landed(store: ObjectStore, markets: str = "DK SE NO") -> RunLedger:
    """A run of three markets, and the parts of these."""
    ledger = RunLedger(store)
    await ledger.create_manifest(manifest())
    for market in markets.split():
        await store.write(names.part_name(RUN, market), b"x")
    return ledger


async def failed(store: ObjectStore) -> None:
    """The job met a table that is gone."""
    ledger = await landed(store)
    await ledger.create_decision(decision("DK SE NO"))
    stands = WarehouseCount(rows=2292, markets=3, albums=9, revision=1)
    error = "404 Not found: Table p.music.new_releases; revision 1 stands, 2,292 rows"
    await ledger.create_receipt(receipt(outcome="failed", error=error, job_id="j", warehouse=stands))


async def partial(store: ObjectStore) -> None:
    """Norway did not land."""
    ledger = await landed(store, "DK SE")
    await ledger.create_decision(decision("DK SE", missing=NO))
    await ledger.create_receipt(receipt(outcome="partial", landed=("DK", "SE"), missing=NO))


async def throttled(store: ObjectStore) -> None:
    """Sweden waits beyond the deadline."""
    ledger = await landed(store, "DK NO")
    until = NOW + timedelta(days=9999)
    await ledger.record_throttled(
        ThrottledMarket(run_id=RUN, market="SE", until=until, reason="Spotify asks for long")
    )


async def refused(store: ObjectStore) -> None:
    """Google has no machines."""
    ledger = await landed(store)
    await ledger.create_decision(decision("DK SE NO"))
    claim = ClusterClaim(run_id=RUN, attempt=1, revision=1, claimed_at=NOW)
    await ledger.create_cluster_claim(claim)
    await ledger.note_refused(claim, QUOTA)


async def short(store: ObjectStore) -> None:
    """Two of three markets did not land, and the batch trigger closed the run without a load."""
    ledger = await landed(store, "DK")
    await ledger.record_given_up(
        GivenUpMarket(run_id=RUN, market="SE", reason="404", subscription="s", message_id="7", recorded_at=NOW)
    )
    waits = ThrottledMarket(run_id=RUN, market="NO", until=NOW + timedelta(days=1), reason="quota is used up")
    await ledger.record_throttled(waits)
    gone = (
        MissingMarket(market="SE", reason="dead-lettered: 404"),
        MissingMarket(market="NO", reason="throttled until tomorrow: quota is used up"),
    )
    closed = decision("DK", verdict="fail", close_reason="deadline", missing=gone, least=2)
    await ledger.create_decision(closed)
    said = f"{why_failed(closed)}; the table has none of it"
    await ledger.create_receipt(
        receipt(
            outcome="failed", close_reason="deadline", landed=("DK",), missing=gone, error=said, warehouse=None
        )
    )


SCENES: Mapping[str, Callable[[ObjectStore], Awaitable[None]]] = {
    "failed": failed,
    "partial": partial,
    "throttled": throttled,
    "refused": refused,
    "short": short,
}
SAID: Mapping[str, tuple[str, str]] = {
    "failed": (
        "404 Not found: Table p.music.new_releases; revision 1 stands, 2,292 rows",
        "releases doctor --problems",
    ),
    "partial": ("1 market not in the table; revision 1 stands, 30 rows", f"releases run reopen {RUN} --reason"),
    "throttled": ("Spotify asks for long; the run closes at", f"releases run close {RUN} --reason"),
    "refused": (QUOTA, f"releases run watch {RUN}"),
    "short": (
        "1 of 3 markets landed (33 %), fewer than the 2 that must; missing: SE NO; the table has none of it",
        f"releases run reopen {RUN} --reason",
    ),
}
"""The cause and the next command."""
