"""The run view's two documents: all runs in short, and one run in full, from the bucket's documents.

What a run's state means is said by `runs`; here it is only put into the form the page reads.
"""

import asyncio
from datetime import datetime
from typing import Any

from contracts.documents import Receipt
from dashboard.documents import Json
from eventing.clock import Clock
from eventing.errors import Permanent
from eventing.ledger import RunIndex, RunLedger
from eventing.objects import ObjectStore
from runs import status
from runs.cause import Cause, cause_of
from runs.recent import recent
from runs.status import RunStatus

SHOWN = 60
"""Runs that the list names: a year of weeks and a few by hand."""
TOLD = 6
"""Of those that are not well, the newest whose cause stands beside them: each is read for it."""


class Runs:
    """Reads runs. All methods raise `Retryable` when the bucket cannot be reached."""

    def __init__(self, store: ObjectStore, bucket: str, clock: Clock, *, named: str = "") -> None:
        """`named` are the options by which a command line names this stack."""
        self._store = store
        self._ledger = RunLedger(store)
        self._bucket = bucket
        self._clock = clock
        self._named = named
        self._receipts: dict[tuple[str, int], Receipt | None] = {}
        self._causes: dict[str, tuple[datetime | None, Json | None]] = {}

    async def all(self) -> Json:
        """The runs there are, newest first, but for those that were discarded."""
        return {"runs": await self.entries()}

    async def entries(self) -> list[Json]:
        """Them as a list; the newest that are not well with why, and what to type."""
        found = await recent(self._ledger, SHOWN, self._newest_receipt)
        listed = [(index, entry(index, receipt)) for index, receipt in found]
        unwell = [index for index, known in listed if known["state"] != "loaded"][:TOLD]
        causes = await asyncio.gather(*map(self._cause, unwell))
        told = {index.run_id: cause for index, cause in zip(unwell, causes, strict=True)}
        return [{**known, "cause": told.get(known["run"])} for _, known in listed]

    async def _cause(self, index: RunIndex) -> Json | None:
        """Of a finished run it is worked out again when something was written about the run since."""
        if not index.is_finished or self._causes.get(index.run_id, (None,))[0] != index.touched_at:
            self._causes[index.run_id] = (index.touched_at, await self._cause_now(index.run_id))
        return self._causes[index.run_id][1]

    async def _cause_now(self, run_id: str) -> Json | None:
        try:
            found = await status.read(run_id, store=self._store, bucket=self._bucket, now=self._clock())
        except Permanent as error:
            return _told(Cause(what=str(error), command="releases doctor --problems"), self._named)
        return None if found is None else _told(cause_of(found), self._named)

    async def one(self, run_id: str) -> Json | None:
        """A run as it is now, or None where there is none.

        Raises:
            Permanent: its manifest cannot be read.
        """
        found = await status.read(run_id, store=self._store, bucket=self._bucket, now=self._clock())
        return None if found is None else run_document(found, self._named)

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


def _told(cause: Cause | None, named: str) -> Json | None:
    return cause.typed(named).model_dump(mode="json") if cause else None


def run_document(run: RunStatus, named: str = "") -> Json:
    """One run: its status as it is, and what the page would otherwise have to work out."""
    told: dict[str, Any] = run.model_dump(mode="json", exclude_none=True)
    began = run.requested_at
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
        "cause": _told(cause_of(run), named),
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
