"""The documents of the runs, and the dead letters: whether each can be read, and whether anything else is there."""

from datetime import datetime

from eventing.errors import Retryable
from eventing.ledger import RunLedger
from eventing.objects import ObjectStore
from ops.doctor.findings import Finding, fail, ok, warn
from runs.status import RunStatus, SetAside, UnreadableRun, read_each

_CHECK = "documents"
_REMEDY = "repair it, or restore an earlier version (gcloud storage ls --all-versions), or remove it"


async def look(store: ObjectStore, *, bucket: str, now: datetime, raw_days: int) -> list[Finding]:
    """Read everything about the runs that are not archived."""
    aside: list[SetAside] = []
    ledger = RunLedger(store, lambda name, reason: aside.append(SetAside(name=name, reason=reason)))
    try:
        indexes = await ledger.indexes()
        live = [index.run_id for index in indexes if index.has_manifest and not index.is_archived(now, raw_days)]
        runs = await read_each(live, store=store, bucket=bucket, now=now, raw_days=raw_days)
        dead_letters = await ledger.dead_letters()
    except Retryable as error:
        remedy = "look again with an account that may read the bucket (roles/storage.objectViewer does)"
        return [Finding(_CHECK, f"could not be looked at: {error}", "unreachable", remedy)]
    return judge(runs, aside) or [ok(_CHECK, f"{len(runs)} runs and {len(dead_letters)} dead letters can be read")]


def judge(runs: list[RunStatus | UnreadableRun], aside: list[SetAside]) -> list[Finding]:
    """An unreadable manifest stops its run, which is a failure; what is set aside is worth a look."""
    findings = [fail(_CHECK, run.reason, _REMEDY) for run in runs if isinstance(run, UnreadableRun)]
    for run in runs:
        aside = [*aside, *(run.set_aside if isinstance(run, RunStatus) else ())]
    return findings + [warn(_CHECK, f"{found.name}: {found.reason}", _REMEDY) for found in aside]
