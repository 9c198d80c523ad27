"""The run view's two documents: all runs in short, and one run in full, from the bucket's documents.

What a run's state means is said by `runs`; here it is only put into the form the page reads.
"""

from typing import Any

from contracts.documents import Receipt
from dashboard.documents import Json
from eventing.clock import Clock
from eventing.ledger import RunIndex, RunLedger
from eventing.objects import ObjectStore
from runs import status
from runs.cause import cause_of
from runs.recent import recent
from runs.status import RunStatus

SHOWN = 60
"""Runs that the list names: a year of weeks and a few by hand."""


class Runs:
    """Reads runs. All methods raise `Retryable` when the bucket cannot be reached."""

    def __init__(self, store: ObjectStore, bucket: str, clock: Clock) -> None:
        self._store = store
        self._ledger = RunLedger(store)
        self._bucket = bucket
        self._clock = clock
        self._receipts: dict[tuple[str, int], Receipt | None] = {}

    async def all(self) -> Json:
        """The runs there are, newest first, but for those that were discarded."""
        return {"runs": await self.entries()}

    async def entries(self) -> list[Json]:
        """Them as a list."""
        return [
            entry(index, receipt) for index, receipt in await recent(self._ledger, SHOWN, self._newest_receipt)
        ]

    async def one(self, run_id: str) -> Json | None:
        """A run as it is now, or None where there is none.

        Raises:
            Permanent: its manifest cannot be read.
        """
        found = await status.read(run_id, store=self._store, bucket=self._bucket, now=self._clock())
        return None if found is None else run_document(found)

    async def _newest_receipt(self, index: RunIndex) -> Receipt | None:
        """A receipt is written once, so that each is read once."""
        key = (index.run_id, index.newest_decision)
        if key not in self._receipts:
            self._receipts[key] = await self._ledger.receipt(*key)
        return self._receipts[key]


def entry(index: RunIndex, receipt: Receipt | None) -> Json:
    """A run in the list."""
    if receipt is None:
        state = "loading" if index.decisions else "fetching"
        return {
            "run": index.run_id,
            "state": state,
            "revision": index.newest_decision or None,
            "landed_markets": None,
            "waiting_markets": list(index.throttled),
            "given_up_markets": list(index.given_up),
        }
    return {
        "run": index.run_id,
        "state": receipt.outcome,
        "revision": receipt.revision,
        "landed": len(receipt.landed),
        "missing": len(receipt.missing),
        "landed_markets": list(receipt.landed),
        "missing_markets": {entry.market: entry.reason for entry in receipt.missing},
        "rows": receipt.warehouse.rows if receipt.warehouse else None,
        "seconds": receipt.seconds.get("total"),
    }


def run_document(run: RunStatus) -> Json:
    """One run: its status as it is, and what the page would otherwise have to work out."""
    told: dict[str, Any] = run.model_dump(mode="json", exclude_none=True)
    began, cause = run.requested_at, cause_of(run)
    return {
        **told,
        "clusters": [
            {
                "attempt": claim.attempt,
                "cluster": claim.cluster,
                "claimed_at": claim.claimed_at.isoformat(),
                "machines": " in ".join(told for told in (claim.machine_type, claim.zone) if told),
                "refused": claim.refused,
            }
            for claim in run.clusters
        ],
        "is_finished": run.is_finished,
        "cause": cause and cause.model_dump(mode="json"),
        "rows": run.rows,
        "counts": {
            state: run.count(state) for state in ("requested", "throttled", "landed", "missing", "dead_lettered")
        },
        "job_ids": list(status.job_ids(run)),
        "waterfall": [
            {
                "stage": span.stage,
                "begin": (span.begin - began).total_seconds(),
                "end": ((span.end or run.seen_at) - began).total_seconds(),
                "open": span.end is None,
            }
            for span in run.spans
        ],
    }
