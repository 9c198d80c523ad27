"""One weekly run on a stack of its own: asked for by a tick, watched, counted, and held to what it should be.

It begins with empty data every time, so a second demo does all of it again and must come to the same rows. What
it says about the run it reads where a person would: documents and parts in the bucket, rows in the warehouse,
clusters from Dataproc; and in the fetcher's log what keeps it from Spotify, which ends the demo at once where waiting
is in vain. It succeeds only if all of that is complete; otherwise it names the log to read.
"""

import json
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

from contracts import names
from contracts.documents import Decision, Manifest, Receipt
from contracts.events import RunRequested
from local import dashboard
from local.choices import BUCKET, DATASET, TABLE, Choices
from local.display import Display
from local.spotify import presets
from local.spotify.catalogue import Catalogue, Source
from local.stack import Stack
from local.troubles import Trouble, reasons_of, trouble_of

DASHBOARD = "dashboard.html"
"""The table's dashboard as one file, beside the report."""

_LOOK = 0.15  # seconds between two looks at the run
_STALL_SIMULATED = 180.0  # seconds without any progress; the longest step is the Spark job, about 40
_STALL_REAL = 3600.0  # the real API may ask for a long wait
_CLUSTER_GONE = 60.0  # seconds until the cluster must be gone after the receipt


class DemoError(RuntimeError):
    """The run is not what it should be; says what is missing and which log to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look at the run found."""

    manifest: Manifest | None = None
    calls: Mapping[str, int] = field(default_factory=dict)
    """Calls to Spotify, for each market that has landed."""
    decision: Decision | None = None
    clusters: tuple[str, ...] = ()
    receipt: Receipt | None = None

    @property
    def stage(self) -> str:
        """What the run waits for."""
        if self.manifest is None:
            return "tick"
        if self.decision is None:
            return "fetch"
        if self.receipt is None:
            return "spark" if self.clusters else "cluster"
        return "done"


STAGES = {
    "tick": "the tick is on its way to the scheduler",
    "fetch": "fetching the markets",
    "cluster": "all there is has landed; a cluster starts",
    "spark": "the Spark job flattens the albums and replaces the run's partition",
    "done": "loaded and counted; the cluster goes",
}
_LOG_OF_STAGE = {
    "tick": "scheduler",
    "fetch": "market_fetcher",
    "cluster": "cluster_manager",
    "spark": "dataproc",
    "done": "cluster_manager",
}


def run(choices: Choices, environment: Mapping[str, str], *, report_to: Path, install_seconds: float) -> None:
    """Run the demo and write its report.

    Raises:
        DemoError: the run is incomplete; the report is written where there is enough to say.
        FolderInUseError, ToolError, ProcessError: the stack did not come up.
    """
    report_to.parent.mkdir(parents=True, exist_ok=True)
    report_to.unlink(missing_ok=True)
    started = time.monotonic()
    with Display() as display:
        display.say(f"starting the stack on fresh data in {choices.home}")
        display.wait("starting")
        tick = RunRequested(run_id=choices.run_date, reason="demo")
        with Stack(choices, environment, first=tick) as stack:
            emulators = stack.fetches_since - started
            everything = time.monotonic() - started
            display.say(f"what fetches is up after {emulators:.1f} s, and all else after {everything:.1f} s")
            seen = _watch(stack, display, Seen(), until=lambda seen: seen.decision)
            with dashboard.prepared(stack.process_environment, report_to.with_name(DASHBOARD)) as write:
                seen = _watch(stack, display, seen, until=lambda seen: seen.receipt)
                display.say(STAGES["done"])
                display.wait(STAGES["done"])
                loaded = time.monotonic()
                write()
                rows = _count(stack, seen)
                left = _clusters_left(stack)
            shown = time.monotonic()
        ended = time.monotonic()
        seconds = {
            "total": round(ended - started, 1),
            "install": install_seconds,
            "emulators": round(emulators, 1),
            "dashboard": round(shown - loaded, 1),
            "stop": round(ended - shown, 1),
        }
        wrote = stack.connectors.bigquery
        report = report_of(seen, rows=rows, clusters_left=left, seconds=seconds, connector=wrote)
        report_to.write_text(json.dumps(report, indent=2) + "\n")
        display.summary(report, where(choices, report["run_id"], report_to))
        for warning in seen.receipt.warnings if seen.receipt else ():
            display.say(f"look at this: {warning}")
    faults = faults_of(report, seen, expected_rows(choices, report["run_id"]))
    if faults:
        raise DemoError(f"{'; '.join(faults)}. Read {choices.home / 'logs' / log_of(report)}")


# --- watching --------------------------------------------------------------------------------------------------


def _watch(stack: Stack, display: Display, seen: Seen, *, until: Callable[[Seen], object | None]) -> Seen:
    stage, trouble, moved = "", None, time.monotonic()
    while until(seen) is None:
        if seen.stage != stage:
            stage = seen.stage
            display.say(STAGES[stage])
        if (found := _trouble(stack, seen)) and found != trouble:
            display.say(found.what)
            _give_up_where_waiting_is_in_vain(stack, seen, found)
        trouble = found
        display.progress(len(seen.calls), len(stack.choices.markets))
        display.wait(STAGES[stage], waited_for(seen, trouble))
        _give_up_when_stalled(stack, seen, since=moved)
        stack.check()
        time.sleep(_LOOK)
        before, seen = seen, _look(stack, seen)
        moved = moved if seen == before else time.monotonic()
    display.progress(len(seen.calls), len(stack.choices.markets))
    return seen


def _trouble(stack: Stack, seen: Seen) -> Trouble | None:
    """What keeps the fetcher from Spotify."""
    return trouble_of(_lines(_fetcher_log(stack)), datetime.now(UTC)) if seen.stage == "fetch" else None


def _give_up_where_waiting_is_in_vain(stack: Stack, seen: Seen, trouble: Trouble) -> None:
    if trouble.outlasts(timedelta(seconds=_patience(stack)), datetime.now(UTC)):
        landed = f"{len(seen.calls)} of {len(stack.choices.markets)} markets had landed"
        raise DemoError(f"waiting is in vain; {landed}. Read {_fetcher_log(stack)}")


def _fetcher_log(stack: Stack) -> Path:
    return stack.log_dir / "market_fetcher.log"


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines() if log.is_file() else []


def _patience(stack: Stack) -> float:
    return _STALL_REAL if stack.choices.spotify else _STALL_SIMULATED


def _give_up_when_stalled(stack: Stack, seen: Seen, *, since: float) -> None:
    limit = _patience(stack)
    if time.monotonic() - since > limit:
        log = stack.log_dir / f"{_LOG_OF_STAGE[seen.stage]}.log"
        missing = [market for market in stack.choices.markets if market not in seen.calls]
        reasons = reasons_of(_lines(log), missing) if missing else {}
        why = "".join(f"; {market}: {reason}" for market, reason in reasons.items())
        raise DemoError(f"nothing has moved for {limit:.0f} s while {STAGES[seen.stage]}{why}. Read {log}")


def _look(stack: Stack, before: Seen) -> Seen:
    """Read what the run has become since; what stands for good is not read again."""
    manifest = before.manifest or _manifest(stack)
    if manifest is None:
        return before
    run_id = manifest.run_id
    if before.decision is None:
        parts = list(stack.bucket.list_blobs(prefix=names.raw_prefix(run_id)))
        calls = {
            Path(part.name).name.partition(".")[0]: int((part.metadata or {}).get("calls", 0)) for part in parts
        }
    else:
        calls = dict(before.calls)
    decision = before.decision or _read(stack, names.decision_name(run_id, 1), Decision)
    return Seen(
        manifest=manifest,
        calls=calls,
        decision=decision,
        clusters=before.clusters or (tuple(stack.clusters()) if decision else ()),
        receipt=_read(stack, names.receipt_name(run_id, decision.revision), Receipt) if decision else None,
    )


def _manifest(stack: Stack) -> Manifest | None:
    """The one manifest there is: the data were empty, and one tick was published."""
    for blob in stack.bucket.list_blobs(prefix="runs/"):
        if blob.name.endswith("/manifest.json"):
            return Manifest.model_validate_json(blob.download_as_bytes())
    return None


def _read(stack: Stack, name: str, model: type[Any]) -> Any:
    blob = stack.bucket.get_blob(name)
    return None if blob is None else model.model_validate_json(blob.download_as_bytes())


def _clusters_left(stack: Stack) -> int:
    """How many clusters stay although they have had a minute to go."""
    deadline = time.monotonic() + _CLUSTER_GONE
    while stack.clusters() and time.monotonic() < deadline:
        stack.check()
        time.sleep(_LOOK)
    return len(stack.clusters())


def _count(stack: Stack, seen: Seen) -> int:
    """The run's rows in the warehouse, counted there by the real client."""
    if seen.manifest is None:
        return 0
    client = stack.bigquery_client()
    question = f"SELECT COUNT(*) FROM {DATASET}.{TABLE} WHERE load_date = @run"
    wanted = QueryJobConfig(query_parameters=[ScalarQueryParameter("run", "DATE", seen.manifest.run_id)])
    (row,) = client.query_and_wait(question, job_config=wanted)
    client.close()
    return int(row[0])


# --- judging: pure ---------------------------------------------------------------------------------------------


def waited_for(seen: Seen, trouble: Trouble | None) -> str:
    """What the living line says besides the stage."""
    if trouble is not None:
        return trouble.what
    landed, markets = len(seen.calls), seen.manifest.markets if seen.manifest else ()
    return f"{landed} of {len(markets)} have landed" if seen.stage == "fetch" else ""


def report_of(
    seen: Seen, *, rows: int, clusters_left: int, seconds: Mapping[str, float], connector: Path | None = None
) -> dict[str, Any]:
    """What `.local/demo.json` says; `connector` is Google's for BigQuery, where it was there."""
    manifest, receipt = seen.manifest, seen.receipt
    if manifest is None or receipt is None:
        raise DemoError("the run has no receipt")
    load = receipt.load
    return {
        "run_id": receipt.run_id,
        "markets": {
            "expected": len(manifest.markets),
            "landed": len(receipt.landed),
            "missing": sorted(set(manifest.markets) - set(receipt.landed)),
        },
        "albums": load.albums if load else 0,
        "tracks": load.tracks if load else 0,
        "rows": rows,
        "quarantined": load.quarantined if load else 0,
        "revision": receipt.revision,
        "job_state": receipt.job_state,
        "bigquery_connector": connector.stem if connector else "stand-in",
        "clusters_left": clusters_left,
        "seconds": {**seconds, **_stages(receipt)},
        "api_calls": sum(seen.calls.values()),
    }


def _stages(receipt: Receipt) -> dict[str, float]:
    """Seconds of each stage; load is from the end of the job until its rows were counted and the receipt stood."""
    known = {stage: round(receipt.seconds.get(stage, 0.0), 1) for stage in ("fetch", "cluster", "spark")}
    before = sum(receipt.seconds.get(stage, 0.0) for stage in ("fetch", "cluster", "spark"))
    return {**known, "load": round(max(receipt.seconds.get("total", 0.0) - before, 0.0), 1)}


def where(choices: Choices, run_id: str, report: Path) -> dict[str, str]:
    """Where to look at what the run left."""
    bucket = choices.home / "storage" / BUCKET
    return {
        "raw parts": f"{bucket / 'raw' / run_id}/",
        "run documents": f"{bucket / 'runs' / run_id}/",
        "logs": f"{choices.home / 'logs'}/",
        "this, as JSON": str(report),
        "dashboard": str(report.with_name(DASHBOARD)),
        "open it again": f"STACK_DATA={shlex.quote(str(choices.home))} make up",
    }


def expected_rows(choices: Choices, run_id: str) -> int | None:
    """Rows that the simulator's catalogue implies, worked out without fetcher and Spark; None where nothing does."""
    if choices.spotify or not presets.leaves_rows(presets.read(choices.faults or "[]")):
        return None
    catalogue = Catalogue(choices.seed, choices.week or date.fromisoformat(run_id))
    source: Source = "browse" if choices.app == "extended" else "search"
    return len(catalogue.expected_rows(choices.markets, source, choices.albums, run_id=run_id))


def log_of(report: Mapping[str, Any]) -> str:
    """The log that most likely tells why a run is not complete."""
    if report["markets"]["missing"]:
        return "market_fetcher.log"
    if report["job_state"] != "DONE" or report["quarantined"]:
        return "dataproc.log"
    return "cluster_manager.log"


def faults_of(report: Mapping[str, Any], seen: Seen, expected: int | None) -> list[str]:
    """What keeps the run from being complete; nothing, if it is."""
    receipt, markets = seen.receipt, report["markets"]
    faults = []
    if markets["missing"]:
        faults.append(f"missing markets: {', '.join(markets['missing'])}")
    if receipt is None or receipt.outcome != "loaded":
        faults.append(f"the run is {receipt.outcome if receipt else 'open'}: {receipt.error if receipt else ''}")
    if report["job_state"] != "DONE":
        faults.append(f"the Spark job is {report['job_state']}")
    if report["quarantined"]:
        faults.append(f"{report['quarantined']} records are in quarantine")
    if expected is not None and report["rows"] != expected:
        faults.append(f"the table holds {report['rows']} rows of the run, Spotify's answers make {expected}")
    if report["clusters_left"]:
        faults.append(f"{report['clusters_left']} cluster(s) still there")
    return faults
