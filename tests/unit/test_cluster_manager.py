"""One cluster for a decision, one job that counts, a receipt that tells the truth, and nothing left running."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, get_args

import pytest

from contracts import names
from contracts.documents import ClusterClaim, JobClaim, LoadResult, MissingMarket, Part, WarehouseCount
from contracts.events import BatchReady, DataprocOperation, Delivery, RunFinished, SweepRequested
from eventing.coalescing import Coalescer
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunIndex, RunLedger
from eventing.objects import ObjectInfo
from services.cluster_manager.capacity import is_refusal, placed
from services.cluster_manager.decisions import (
    AnnounceAgain,
    CancelJob,
    ClaimCluster,
    ClaimJob,
    CreateCluster,
    DeleteCluster,
    Facts,
    Finish,
    Limits,
    NoteLook,
    SubmitJob,
    Wait,
    decide,
    expected_cluster,
    is_active,
    is_coming,
    look_is_due,
    needs_table,
    takes_jobs,
    why_failed,
)
from services.cluster_manager.handlers import _act, _driver_error, handlers, reconcile
from services.cluster_manager.ports import APP_LABEL, Cluster, ClusterState, Job, JobState, Ports
from services.cluster_manager.sizing import ClusterSize, SizeLimits
from tests.builders import NOW, RUN, TestClock, decision, manifest
from tests.builders import receipt as builders_receipt
from tests.fakes.dataproc import MemoryDataproc
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher

ONE_MACHINE = ClusterSize("e2-standard-2", workers=0)
LIMITS = Limits(
    cluster_attempts=2,
    job_attempts=2,
    cluster_start=timedelta(minutes=20),
    size=SizeLimits("e2-standard-2", bytes_per_machine=1000, max_workers=4),
)
LABELS = {"app": APP_LABEL, "run": RUN}
C1, C2 = names.cluster_name(RUN, 1), names.cluster_name(RUN, 2)


def cluster(name: str = C1, state: ClusterState = "RUNNING", **changes: Any) -> Cluster:
    return replace(Cluster(name, f"uuid-of-{name}", state, LABELS, NOW), **changes)


def job(state: JobState, revision: int = 1, attempt: int = 1, on: str = C1) -> Job:
    return Job(names.job_id(RUN, revision, attempt), revision, attempt, state, on)


def claim(attempt: int = 1, revision: int = 1, age_minutes: float = 0) -> ClusterClaim:
    at = NOW - timedelta(minutes=age_minutes)
    return ClusterClaim(run_id=RUN, attempt=attempt, revision=revision, claimed_at=at)


def facts(**given: Any) -> Facts:
    default: dict[str, Any] = {
        "run_id": RUN,
        "newest": decision("DK SE NO"),
        "receipts": frozenset(),
        "announced": frozenset(),
        "job_claims": [],
        "claims": [],
        "clusters": [],
        "jobs": [],
    }
    given.setdefault("announced", given.get("receipts", frozenset()))
    return Facts(**(default | given))


def replace_size(part: Part, size: int) -> Part:
    return part.model_copy(update={"size": size})


def delete(name: str) -> DeleteCluster:
    return DeleteCluster(name, f"uuid-of-{name}")


def test_a_decision_without_a_cluster_gets_one() -> None:
    """The claim is written before the cluster exists, so attempts stay bounded through any crash."""
    assert decide(facts(), NOW, LIMITS) == [ClaimCluster(1, 1, ONE_MACHINE)]


def test_a_claim_whose_creation_was_lost_is_created() -> None:
    """A crash between claim and create must not leave the run waiting for a cluster that nobody asked for."""
    assert decide(facts(claims=[claim()]), NOW, LIMITS) == [CreateCluster(C1, ONE_MACHINE)]


@pytest.mark.parametrize("state", ["CREATING", "STARTING", "REPAIRING"])
def test_a_cluster_that_is_coming_is_waited_for(state: ClusterState) -> None:
    """No handler blocks; the cluster's own event comes."""
    step = decide(facts(claims=[claim()], clusters=[cluster(state=state)]), NOW, LIMITS)
    assert isinstance(step[0], Wait)


@pytest.mark.parametrize("state", ["RUNNING", "UPDATING", "ERROR_DUE_TO_UPDATE"])
def test_a_cluster_that_takes_jobs_gets_the_job(state: ClusterState) -> None:
    """Those are the three states in which Dataproc takes jobs."""
    step = decide(facts(claims=[claim()], clusters=[cluster(state=state)]), NOW, LIMITS)
    assert step == [ClaimJob(1, 1, 1, C1)]


@pytest.mark.parametrize("state", ["ERROR", "UNKNOWN", "STOPPED", "STOPPING"])
def test_a_broken_cluster_is_deleted_and_made_anew_under_a_new_name(state: ClusterState) -> None:
    """A retry must never meet its own broken cluster."""
    step = decide(facts(claims=[claim()], clusters=[cluster(state=state)]), NOW, LIMITS)
    assert step == [ClaimCluster(2, 1, ONE_MACHINE), delete(C1)]


def test_a_cluster_being_deleted_is_replaced_without_a_second_deletion() -> None:
    """Someone deletes it already; a second deletion would only be an error to handle."""
    step = decide(facts(claims=[claim()], clusters=[cluster(state="DELETING")]), NOW, LIMITS)
    assert step == [ClaimCluster(2, 1, ONE_MACHINE)]


def test_a_cluster_that_never_comes_up_is_given_up() -> None:
    """CREATING for ever is a failure too."""
    late = claim(age_minutes=21)
    step = decide(facts(claims=[late], clusters=[cluster(state="CREATING")]), NOW, LIMITS)
    assert step == [ClaimCluster(2, 1, ONE_MACHINE), delete(C1)]
    assert decide(facts(claims=[late]), NOW, LIMITS) == [ClaimCluster(2, 1, ONE_MACHINE)]


def test_a_cluster_that_vanished_under_its_job_is_not_created_again_by_the_same_name() -> None:
    """Dataproc takes a repeated request id for the first request: the old name would never come back."""
    step = decide(facts(claims=[claim()], jobs=[job("ERROR")]), NOW, LIMITS)
    assert step == [ClaimCluster(2, 1, ONE_MACHINE)]


def test_cluster_attempts_are_bounded() -> None:
    """A quota that is used up must end in a failed run, not in an endless row of clusters."""
    broken = facts(claims=[claim(1), claim(2)], clusters=[cluster(C2, "ERROR")])
    first, *rest = decide(broken, NOW, LIMITS)
    assert isinstance(first, Finish)
    assert first.error is not None
    assert "no working cluster after 2 attempts" in first.error
    assert rest == [delete(C2)]


def test_each_revision_has_its_own_cluster_attempts() -> None:
    """A replay on Thursday must not inherit Monday's bad luck."""
    newest = decision("DK SE NO", revision=2)
    step = decide(facts(newest=newest, receipts=frozenset({1}), claims=[claim(1), claim(2)]), NOW, LIMITS)
    assert step == [ClaimCluster(3, 2, ONE_MACHINE)]


@pytest.mark.parametrize(
    "state", ["PENDING", "SETUP_DONE", "RUNNING", "CANCEL_PENDING", "CANCEL_STARTED", "ATTEMPT_FAILURE"]
)
@pytest.mark.parametrize("newest", [1, 2])
def test_a_job_under_way_is_left_to_end_even_when_a_newer_decision_stands(state: JobState, newest: int) -> None:
    """Two writers of one partition never overlap."""
    step = decide(
        facts(newest=decision("DK", revision=newest), claims=[claim()], clusters=[cluster()], jobs=[job(state)]),
        NOW,
        LIMITS,
    )
    assert len(step) == 1
    assert isinstance(step[0], Wait)


def test_a_job_that_is_done_is_finished_then_its_cluster_deleted() -> None:
    """Receipt first: the cluster is the reminder that the receipt is still to be written."""
    done = job("DONE")
    step = decide(facts(claims=[claim()], clusters=[cluster()], jobs=[done]), NOW, LIMITS)
    assert step == [Finish(1, done, None), delete(C1)]


@pytest.mark.parametrize("state", ["ERROR", "CANCELLED"])
def test_a_job_that_failed_is_tried_again_and_then_fails_the_run(state: JobState) -> None:
    """Attempts are bounded, and a failed run ends failed even though its cluster is gone."""
    once = facts(claims=[claim()], clusters=[cluster()], jobs=[job(state)])
    assert decide(once, NOW, LIMITS) == [ClaimJob(1, 1, 2, C1)]
    twice = facts(claims=[claim()], clusters=[cluster()], jobs=[job(state), job(state, attempt=2)])
    first, *rest = decide(twice, NOW, LIMITS)
    assert isinstance(first, Finish)
    assert first.error == f"job {names.job_id(RUN, 1, 2)} ended {state}"
    assert rest == [delete(C1)]


def test_after_a_jobs_end_only_the_newest_decision_is_run() -> None:
    """Revision 2 is skipped when 3 stands: its parts are in 3 as well. Revision 1 still gets its receipt."""
    done = job("DONE")
    step = decide(
        facts(newest=decision("DK", revision=3), claims=[claim()], clusters=[cluster()], jobs=[done]), NOW, LIMITS
    )
    assert step == [Finish(1, done, None), ClaimJob(1, 3, 1, C1)]


def test_a_decision_to_fail_needs_no_cluster() -> None:
    """Too little landed: nothing is loaded, and the receipt says so."""
    newest = decision("DK", verdict="fail", missing=(MissingMarket(market="SE", reason="x"),))
    [step] = decide(facts(newest=newest), NOW, LIMITS)
    assert isinstance(step, Finish)
    assert step.job is None
    assert step.error is not None
    assert "missing: SE" in step.error


def test_a_finished_run_keeps_no_cluster() -> None:
    """Nothing desired and a cluster of ours exists: delete, and say again that the run is finished."""
    done = facts(receipts=frozenset({1}), clusters=[cluster()], jobs=[job("DONE")])
    assert decide(done, NOW, LIMITS) == [delete(C1)]
    assert decide(facts(newest=None, clusters=[cluster()]), NOW, LIMITS) == [delete(C1)]


def test_a_strangers_cluster_is_neither_used_nor_deleted() -> None:
    """Ownership is by label: a name alone proves nothing."""
    stranger = cluster(labels={"app": "another"})
    assert decide(facts(claims=[claim()], clusters=[stranger]), NOW, LIMITS) == [ClaimCluster(2, 1, ONE_MACHINE)]
    other_run = cluster(labels={"app": APP_LABEL, "run": "2026-11-16"})
    assert decide(facts(claims=[claim()], clusters=[other_run]), NOW, LIMITS) == [ClaimCluster(2, 1, ONE_MACHINE)]
    settled = facts(receipts=frozenset({1}), clusters=[stranger])
    assert not [step for step in decide(settled, NOW, LIMITS) if isinstance(step, DeleteCluster)]


def test_every_combination_of_states_has_a_next_step() -> None:
    """Total: no cluster state, job state, claim or receipt leaves the manager without an answer."""
    cluster_states: list[Any] = [None, *get_args(ClusterState)]
    job_states: list[Any] = [None, *get_args(JobState)]
    claims: list[list[ClusterClaim]] = [[], [claim()], [claim(age_minutes=30)], [claim(1), claim(2)]]
    count = 0
    for c, j, claimed, receipt in itertools.product(
        cluster_states, job_states, claims, [frozenset(), frozenset({1})]
    ):
        given = facts(
            claims=claimed,
            receipts=receipt,
            clusters=[cluster(state=c)] if c else [],
            jobs=[job(j)] if j else [],
        )
        steps = decide(given, NOW, LIMITS)
        assert steps
        submits = [step for step in steps if isinstance(step, ClaimJob | SubmitJob)]
        assert len(submits) <= 1
        assert not (submits and receipt)
        deleted = {step.name for step in steps if isinstance(step, DeleteCluster)}
        assert not {step.cluster for step in submits} & deleted
        count += 1
    assert count == 12 * 11 * 4 * 2


def test_whoever_waits_says_for_what() -> None:
    """The step is logged as it is; a run that stands still is understood from this line alone."""
    waiting = {
        f"job {names.job_id(RUN, 1, 1)} is RUNNING": facts(jobs=[job("RUNNING")]),
        "a newer decision than the one read has a job": facts(newest=None, jobs=[job("DONE")]),
        "no decision yet": facts(newest=None),
        "finished and clean": facts(receipts=frozenset({1})),
        f"cluster {C1} is CREATING": facts(claims=[claim()], clusters=[cluster(state="CREATING")]),
    }
    for reason, given in waiting.items():
        assert decide(given, NOW, LIMITS) == [Wait(reason)]


def test_a_claimed_job_gets_a_cluster_like_any_other() -> None:
    """A crash after the job's claim, and a cluster lost since: it is created, then replaced, and the attempts end."""
    claimed = [JobClaim(run_id=RUN, number=1, revision=1, attempt=1, claimed_at=NOW)]
    assert decide(facts(job_claims=claimed, claims=[claim()]), NOW, LIMITS) == [CreateCluster(C1, ONE_MACHINE)]
    late = facts(job_claims=claimed, claims=[claim(age_minutes=21)])
    assert decide(late, NOW, LIMITS) == [ClaimCluster(2, 1, ONE_MACHINE)]
    [end] = decide(facts(job_claims=claimed, claims=[claim(1), claim(2, age_minutes=21)]), NOW, LIMITS)
    assert isinstance(end, Finish)


def test_an_older_job_that_failed_is_recorded_as_failed() -> None:
    """A newer decision stands, but what became of the old one must not read as a success."""
    failed = replace(job("ERROR"), details="out of memory")
    given = facts(newest=decision("DK", revision=3), claims=[claim()], clusters=[cluster()], jobs=[failed])
    error = f"job {failed.id} ended ERROR: out of memory"
    assert decide(given, NOW, LIMITS)[0] == Finish(1, failed, error)


def test_the_last_failed_job_is_the_one_on_the_receipt() -> None:
    """Revision, job and reason belong together."""
    jobs = [job("ERROR"), replace(job("CANCELLED", attempt=2), details="by hand")]
    given = facts(claims=[claim()], clusters=[cluster()], jobs=jobs)
    finish = Finish(1, jobs[1], f"job {jobs[1].id} ended CANCELLED: by hand")
    assert decide(given, NOW, LIMITS) == [finish, delete(C1)]


def test_a_cluster_has_its_whole_time_to_come_up() -> None:
    """At the limit itself it is still waited for."""
    given = facts(claims=[claim(age_minutes=20)], clusters=[cluster(state="CREATING")])
    assert decide(given, NOW, LIMITS) == [Wait(f"cluster {C1} is CREATING")]


def test_every_state_is_one_of_coming_or_not_and_active_or_not() -> None:
    """Told for each state there is; a state that Google adds stops here instead of passing for one of them."""
    states: tuple[ClusterState, ...] = get_args(ClusterState)
    takes = {"RUNNING", "UPDATING", "ERROR_DUE_TO_UPDATE"}
    assert {state for state in states if takes_jobs(state)} == takes
    assert {state for state in states if is_coming(state)} == takes | {"CREATING", "STARTING", "REPAIRING"}
    jobs: tuple[JobState, ...] = get_args(JobState)
    assert {state for state in jobs if not is_active(state)} == {"DONE", "ERROR", "CANCELLED"}
    new: Any = "INVENTED"
    for told in (is_coming, is_active):
        with pytest.raises(AssertionError, match="INVENTED"):
            told(new)


def test_the_newest_claim_names_the_cluster_that_is_looked_for() -> None:
    """A listing by label does not show a stranger's cluster; the name does."""
    assert expected_cluster(facts()) is None
    assert expected_cluster(facts(claims=[claim(1), claim(2)])) == C2


class CountingWarehouse:
    """A table that says what it is told to say."""

    def __init__(self) -> None:
        self.counts = 0
        self.answer = WarehouseCount(rows=30, markets=3, albums=5, revision=1)

    async def count(self, run_id: str) -> WarehouseCount:
        self.counts += 1
        return self.answer


class World:
    """The cluster manager with everything it acts on in memory."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.store = MemoryObjectStore(self.clock)
        self.publisher = MemoryPublisher()
        self.dataproc = MemoryDataproc(self.clock)
        self.warehouse = CountingWarehouse()
        ledger = RunLedger(self.store)
        page = "https://dashboard.example"
        self.staging = MemoryObjectStore(self.clock)
        self.ports = Ports(
            ledger, self.publisher, self.dataproc, self.warehouse, self.clock, "b", page, self.staging
        )
        work = partial(reconcile, ports=self.ports, limits=LIMITS)
        self.table: Mapping[type, Any] = handlers(self.ports, Coalescer(work, linger=timedelta(0)))

    async def handle(self, event: Any) -> None:
        await self.table[type(event)](Delivery(event=event, event_id="e", message_id="m"))

    async def batch(self, revision: int = 1, **changes: Any) -> None:
        await self.ports.ledger.create_manifest(manifest())
        await self.ports.ledger.create_decision(decision("DK SE NO", revision, **changes))
        await self.handle(BatchReady(run_id=RUN, revision=revision))

    async def operation(self, resource: str) -> None:
        await self.handle(DataprocOperation(method="m", resource=resource, last=True))

    async def loaded(self, revision: int = 1, rows: int = 30) -> None:
        result = LoadResult(run_id=RUN, revision=revision, files=3, albums=5, tracks=30, rows=rows, quarantined=0)
        await self.store.write(names.load_name(RUN, revision), result.to_json())
        self.warehouse.answer = WarehouseCount(rows=rows, markets=3, albums=5, revision=revision)


async def job_done(world: World, *, minutes: float) -> str:
    """The cluster runs after two minutes, its one job ends well after so many more; gives the job's id."""
    world.clock.advance(minutes=2)
    world.dataproc.turn(C1, "RUNNING")
    await world.operation(C1)
    [identity] = world.dataproc.submitted
    await world.loaded()
    world.clock.advance(minutes=minutes)
    world.dataproc.end_job(identity, "DONE")
    await world.operation(identity)
    return identity


async def test_a_decision_becomes_a_receipt_and_no_cluster() -> None:
    """The whole life: claim, create, submit, receipt, event, delete."""
    world = World()
    await world.batch()
    identity = await job_done(world, minutes=1)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert (receipt.outcome, receipt.error, receipt.job_state) == ("loaded", None, "DONE")
    assert receipt.warehouse is not None
    assert receipt.warehouse.rows == 30
    assert receipt.dashboard == f"https://dashboard.example/runs/{RUN}"
    assert receipt.driver_output_uri == f"gs://b/driver/{identity}"
    assert receipt.seconds == {"fetch": 300, "cluster": 120, "spark": 60, "total": 480}
    assert receipt.trace_id == names.trace_id(RUN)
    uri = f"gs://b/{names.receipt_name(RUN, 1)}"
    finished = RunFinished(run_id=RUN, revision=1, outcome="loaded", receipt_uri=uri)
    assert world.publisher.take() == [finished]
    assert world.dataproc.deleted == [C1]


async def test_the_receipt_says_how_large_the_cluster_was_and_what_it_cost() -> None:
    """Nobody adds up machines afterwards: three e2-standard-2 from claim to receipt, by the list prices in `costs`."""
    world = World()
    await world.batch(parts=tuple(replace_size(part, 600) for part in decision("DK SE NO").parts))
    await job_done(world, minutes=4)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert (receipt.machine_type, receipt.workers) == ("e2-standard-2", 2)
    assert receipt.cost_estimate == pytest.approx(3 * 2 * (0.0431675 + 0.010) * 6 / 60, abs=1e-4)


async def test_a_cluster_is_created_again_at_the_size_of_its_claim() -> None:
    """A repeat under other limits must not say another size than the receipt will."""
    claimed = claim().model_copy(update={"machine_type": "e2-standard-8", "workers": 3})
    assert decide(facts(claims=[claimed]), NOW, LIMITS) == [CreateCluster(C1, ClusterSize("e2-standard-8", 3))]


NO_QUOTA = "Insufficient 'CPUS' quota. Requested 2.0, available 0.0."
NO_ZONE = "ZONE_RESOURCE_POOL_EXHAUSTED: The zone does not have enough resources available to fulfill the request."


def refused(attempt: int, minute: float, why: str = NO_QUOTA) -> ClusterClaim:
    at = NOW + timedelta(minutes=minute)
    return claim(attempt).model_copy(update={"claimed_at": at, "refused": why})


def after(minutes: float, *claims: ClusterClaim, limits: Limits = LIMITS) -> list[Any]:
    return decide(facts(claims=claims), NOW + timedelta(minutes=minutes), limits)


@pytest.mark.parametrize(
    "words",
    [
        NO_QUOTA,
        "400 Insufficient 'N2_CPUS' quota. Requested 6.0, available 1.5.",
        "Multiple validation errors: - Insufficient 'DISKS_TOTAL_GB' quota. Requested 50.0, available 12.0.",
        "Quota 'CPUS' exceeded. Limit: 24.0 in region europe-west3.",
        NO_ZONE,
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
    ],
)
def test_what_google_says_for_want_of_quota_or_machines_is_known(words: str) -> None:
    """These pass by themselves; what is not known as one of them is dead-lettered or uses up the attempts."""
    assert is_refusal(words)


def test_a_fault_of_the_request_or_of_the_cluster_is_no_refusal() -> None:
    """Waiting hours for what can never come would hide it."""
    assert not is_refusal("Invalid value for field 'machineTypeUri': 'e3-none'.")
    assert not is_refusal("Initialization action failed. Failed action 'gs://b/init.sh'")


def test_the_pauses_between_refused_attempts_grow_and_have_an_end() -> None:
    """Attempts without pauses were used up in minutes; pauses without a bound would outlast the shortage by hours."""
    assert isinstance(after(0.9, refused(1, 0))[-1], Wait)
    assert after(1, refused(1, 0)) == [ClaimCluster(2, 1, ONE_MACHINE)]
    assert isinstance(after(2.9, refused(1, 0), refused(2, 1))[-1], Wait)
    assert after(3, refused(1, 0), refused(2, 1)) == [ClaimCluster(3, 1, ONE_MACHINE)]
    many = [refused(number, 10.0 * number) for number in range(1, 21)]
    assert after(210, *many) == [ClaimCluster(21, 1, ONE_MACHINE)]


def test_refusals_of_an_older_decision_are_no_reason_to_pause() -> None:
    """Its shortage may be over; and its first refusal would count against the newer decision's patience."""
    newer = facts(newest=decision("DK SE NO", 2), claims=[refused(1, 0)])
    [step] = decide(newer, NOW + timedelta(minutes=0.5), LIMITS)
    assert isinstance(step, ClaimCluster)
    assert (step.attempt, step.revision) == (2, 2)


def test_patience_ends_with_googles_reason() -> None:
    """A run must end: after hours without machines it has failed, and its receipt says for want of what."""
    [end] = after(361, refused(1, 0), refused(2, 355, NO_ZONE))
    assert isinstance(end, Finish)
    assert "no machines for a cluster in 6:00:00 and 2 attempts" in (end.error or "")
    assert NO_ZONE in (end.error or "")


def test_refusals_use_up_no_attempt_at_a_cluster() -> None:
    """The bound is for clusters that break; the next one after a shortage has all its attempts."""
    tried = [refused(1, 0), refused(2, 1), claim(3).model_copy(update={"claimed_at": NOW + timedelta(minutes=3)})]
    broken = cluster(names.cluster_name(RUN, 3), "ERROR")
    step = decide(facts(claims=tried, clusters=[broken]), NOW + timedelta(minutes=4), LIMITS)
    assert step == [ClaimCluster(4, 1, ONE_MACHINE), delete(broken.name)]


def test_other_machines_are_asked_for_where_dataproc_chooses_then_zone_by_zone() -> None:
    """A zone that is sold out of one type has another, or another zone has it; Dataproc's own choice comes first."""
    size = replace(LIMITS.size, other_types=("n2-standard-2",), zones=("r-a", "r-b"))
    asked = [placed(ONE_MACHINE, number, size) for number in range(7)]
    assert [(choice.machine_type[:2], choice.zone) for choice in asked] == [
        ("e2", None), ("n2", None), ("e2", "r-a"), ("n2", "r-a"), ("e2", "r-b"), ("n2", "r-b"), ("e2", None)
    ]  # fmt: skip
    # Created again where it was claimed, whatever would be chosen now.
    there = claim(1).model_copy(update={"zone": "r-b"})
    assert after(0, there) == [CreateCluster(there.cluster, ClusterSize("e2-standard-2", 0, "r-b"))]
    second = after(1, refused(1, 0), limits=replace(LIMITS, size=size))
    assert second == [ClaimCluster(2, 1, ClusterSize("n2-standard-2", 0))]


async def test_only_what_ended_wakes_the_manager() -> None:
    """A refused call leaves an entry without an operation: whoever acts on it calls, and is refused, without end."""
    world = World()
    await world.batch()
    world.dataproc.turn(C1, "RUNNING")
    await world.handle(DataprocOperation(method="CreateCluster", resource=C1, last=False))
    assert world.dataproc.submitted == {}
    await world.operation(C1)
    assert len(world.dataproc.submitted) == 1


async def test_an_hour_of_short_quota_costs_few_creations_and_ends_with_the_load() -> None:
    """Each refusal comes back as an audit entry; taken for news, it made thousands of creations in an hour."""
    world = World()
    world.dataproc.refusal = NO_QUOTA
    await world.batch()
    for minute in range(65):
        world.clock.advance(minutes=1)
        await world.handle(DataprocOperation(method="CreateCluster", resource=C1, last=False))
        if minute % 10 == 0:
            await world.handle(SweepRequested(reason="sweep"))
    assert 5 < world.dataproc.refused < 20
    world.dataproc.refusal = None
    world.clock.advance(minutes=10)
    await world.handle(SweepRequested(reason="sweep"))
    [name] = world.dataproc.machines
    world.dataproc.turn(name, "RUNNING")
    await world.operation(name)
    [identity] = world.dataproc.submitted
    await world.loaded()
    world.clock.advance(minutes=2)
    world.dataproc.end_job(identity, "DONE")
    await world.operation(identity)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert (receipt.outcome, len(receipt.refusals)) == ("loaded", world.dataproc.refused)
    assert NO_QUOTA in receipt.refusals[0]
    assert receipt.cost_estimate == pytest.approx(2 * (0.0431675 + 0.010) * 2 / 60, abs=1e-4)


async def test_an_hour_without_machines_is_outlasted_and_leaves_nothing() -> None:
    """A stockout is told by the cluster's end: its remains are deleted, and the pauses outlast it."""
    world = World()
    await world.batch()
    for _ in range(7):
        for name in list(world.dataproc.machines):
            world.dataproc.turn(name, "ERROR", NO_ZONE)
            await world.operation(name)
            world.dataproc.vanish(name)
            await world.operation(name)
        world.clock.advance(minutes=10)
        await world.handle(SweepRequested(reason="sweep"))
    [name] = world.dataproc.machines
    claims = (await world.ports.ledger.cluster_claims(RUN)).readable
    assert [claim.refused for claim in claims] == [NO_ZONE] * 7 + [None]
    assert await world.ports.ledger.receipt(RUN, 1) is None
    world.dataproc.turn(name, "RUNNING")
    await world.operation(name)
    assert len(world.dataproc.submitted) == 1


def adrift(state: JobState, *, since: float, began: float, on: str = C1) -> Facts:
    """An active job, so many minutes in its state and since its claim, whose cluster is gone."""
    claimed = JobClaim(run_id=RUN, number=1, revision=1, attempt=1, claimed_at=NOW - timedelta(minutes=began))
    lost = replace(job(state, on=on), since=NOW - timedelta(minutes=since), started_at=None)
    return facts(claims=[claim(age_minutes=began + 3)], job_claims=[claimed], jobs=[lost])


def test_a_job_without_a_cluster_is_cancelled_then_taken_for_lost() -> None:
    """Dataproc may call it RUNNING for ever; nothing it still does can reach the table, so that another may run."""
    identity = names.job_id(RUN, 1, 1)
    assert isinstance(decide(adrift("RUNNING", since=10, began=12), NOW, LIMITS)[0], Wait)
    assert decide(adrift("RUNNING", since=16, began=18), NOW, LIMITS) == [CancelJob(identity)]
    assert isinstance(decide(adrift("CANCEL_PENDING", since=14, began=60), NOW, LIMITS)[0], Wait)
    for state in ("CANCEL_PENDING", "CANCEL_STARTED"):
        assert decide(adrift(state, since=16, began=60), NOW, LIMITS) == [ClaimCluster(2, 1, ONE_MACHINE)]
    # Cancelled at every look and still RUNNING: lost when no cluster of its time can be alive.
    assert decide(adrift("RUNNING", since=134, began=134), NOW, LIMITS) == [CancelJob(identity)]
    assert decide(adrift("RUNNING", since=136, began=136), NOW, LIMITS) == [ClaimCluster(2, 1, ONE_MACHINE)]


@pytest.mark.parametrize("state", ["RUNNING", "ERROR", "DELETING", "STOPPED"])
def test_a_job_whose_cluster_is_still_listed_is_waited_for(state: ClusterState) -> None:
    """A cluster that goes may still be at work: a second writer must not begin."""
    still = replace(adrift("RUNNING", since=300, began=300), clusters=[cluster(state=state)])
    assert isinstance(decide(still, NOW, LIMITS)[0], Wait)


def test_a_run_whose_last_job_was_lost_says_so() -> None:
    """The receipt tells why, and not only that the job did not end well."""
    lost = adrift("RUNNING", since=300, began=300)
    [finish] = decide(replace(lost, jobs=[job("ERROR"), replace(lost.jobs[0], attempt=2)]), NOW, LIMITS)
    assert isinstance(finish, Finish)
    assert "is gone, and Dataproc still calls it RUNNING" in (finish.error or "")


async def test_whoever_loses_the_claim_leaves_the_creation_to_its_owner() -> None:
    """Two sizes under one name: the cluster could be another than the one on record."""
    world = World()
    await world.ports.ledger.create_cluster_claim(claim())
    with pytest.raises(Retryable, match="claimed first"):
        await _act(ClaimCluster(1, 1, ONE_MACHINE), facts(), world.ports)
    assert world.dataproc.created == []


async def test_a_receipt_of_a_failed_cluster_has_its_cost() -> None:
    """Attempts that never came up are paid for as well; their size is known from the claim alone."""
    world = World()
    await world.batch()
    for name in (C1, C2):
        world.clock.advance(minutes=3)
        world.dataproc.turn(name, "ERROR")
        await world.operation(name)
        world.dataproc.vanish(name)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert (receipt.outcome, receipt.machine_type, receipt.workers) == ("failed", "e2-standard-2", 0)
    assert receipt.cost_estimate == pytest.approx(2 * (0.0431675 + 0.010) * 6 / 60, abs=1e-4)


async def test_every_event_twice_makes_the_same_world() -> None:
    """Redelivery after each step: still one cluster, one job, one receipt."""
    world = World()
    await world.batch()
    await world.batch()
    world.dataproc.turn(C1, "RUNNING")
    for _ in range(2):
        await world.operation(C1)
    [identity] = world.dataproc.submitted
    await world.loaded()
    world.dataproc.end_job(identity, "DONE")
    for _ in range(2):
        await world.operation(identity)
    world.dataproc.vanish(C1)
    for resource in (identity, C1):
        await world.operation(resource)
    assert world.dataproc.created == [C1]
    assert list(world.dataproc.submitted) == [identity]
    assert world.dataproc.deleted == [C1]
    assert len({event.model_dump_json() for event in world.publisher.take()}) == 1


@pytest.mark.parametrize(
    ("rows", "table", "error"),
    [
        (None, WarehouseCount(rows=30, markets=3, albums=5, revision=7), "holds revision 7 of the run, not 1"),
        (
            30,
            WarehouseCount(rows=29, markets=3, albums=5, revision=1),
            "holds 29 rows of the run, the job loaded 30",
        ),
        (30, WarehouseCount(rows=30, markets=3, albums=5, revision=7), "holds revision 7 of the run, not 1"),
    ],
)
async def test_done_is_not_believed_without_evidence(rows: int | None, table: WarehouseCount, error: str) -> None:
    """The receipt's row count comes from the table, and an outcome is only as good as its evidence."""
    world = World()
    await world.batch()
    world.dataproc.turn(C1, "RUNNING")
    await world.operation(C1)
    [identity] = world.dataproc.submitted
    if rows:
        await world.loaded(rows=rows)
    world.warehouse.answer = table
    world.dataproc.end_job(identity, "DONE")
    await world.operation(identity)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert receipt.outcome == "failed"
    assert error in (receipt.error or "")
    assert world.dataproc.deleted == [C1], "a doubtful load leaves no cluster running either"


async def test_a_job_that_died_after_its_load_is_loaded() -> None:
    """The table is asked however a job ended; another one would cost the same, and could find a part replaced since."""
    world = World()
    await world.batch()
    world.dataproc.turn(C1, "RUNNING")
    await world.operation(C1)
    await world.loaded()
    world.dataproc.end_job(names.job_id(RUN, 1, 1), "ERROR", "the cluster went")
    await world.operation(C1)
    assert list(world.dataproc.submitted) == [names.job_id(RUN, 1, 1)]
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert (receipt.outcome, receipt.job_state, receipt.error) == ("loaded", "ERROR", None)
    assert "after its load" in receipt.warnings[0]


@pytest.mark.parametrize(
    "table",
    [
        WarehouseCount(rows=0, markets=0, albums=0),
        WarehouseCount(rows=30, markets=3, albums=5, revision=2),
        WarehouseCount(rows=20, markets=2, albums=4, revision=1),
    ],
    ids=["empty", "another revision", "fewer markets"],
)
async def test_a_job_that_died_before_its_load_is_tried_again(table: WarehouseCount) -> None:
    """Only a table that holds the decision whole makes another attempt needless."""
    world = World()
    world.warehouse.answer = table
    await world.batch()
    world.dataproc.turn(C1, "RUNNING")
    await world.operation(C1)
    world.dataproc.end_job(names.job_id(RUN, 1, 1), "ERROR", "the cluster went")
    await world.operation(C1)
    assert list(world.dataproc.submitted) == [names.job_id(RUN, 1, attempt) for attempt in (1, 2)]


def test_markets_without_albums_are_not_waited_for_in_the_table() -> None:
    """A part that is empty on purpose brings no row, and its market is in no table."""
    decided = decision("DK SE NO")
    empty, counted, rest = decided.parts
    parts = (
        empty.model_copy(update={"empty": True}),
        counted.model_copy(update={"albums": 0}),
        rest.model_copy(update={"albums": 3}),
    )
    table = WarehouseCount(rows=9, markets=1, albums=3, revision=1)
    found = facts(newest=decided.model_copy(update={"parts": parts}), jobs=[job("ERROR")], table=table)
    assert decide(found, NOW, LIMITS)[0] == Finish(1, job("ERROR"), f"job {job('ERROR').id} ended ERROR")


def test_the_table_is_counted_only_where_a_job_ended_badly() -> None:
    """A count is a query, and costs."""
    assert needs_table(facts(jobs=[job("ERROR")]))
    for known in (
        {"newest": None},
        {"jobs": [job("ERROR")], "receipts": frozenset({1})},
        {"jobs": [job("DONE")]},
        {"jobs": [job("RUNNING")]},
        {"jobs": [job("ERROR", revision=2)]},
        {"jobs": [job("ERROR"), job("RUNNING", attempt=2)]},
    ):
        assert not needs_table(facts(**known)), known


async def test_a_failed_decision_says_what_stands() -> None:
    """Also one that never had a job: the table was not touched, and the receipt counts it there."""
    world = World()
    world.warehouse.answer = WarehouseCount(rows=2292, markets=3, albums=5, revision=1)
    await world.ports.ledger.create_decision(decision("DK SE NO", 1))
    await world.batch(2, verdict="fail", missing=(MissingMarket(market="NO", reason="x"),))
    receipt = await world.ports.ledger.receipt(RUN, 2)
    assert receipt is not None
    assert receipt.error == ("3 of 4 markets landed (75 %), too few; missing: NO; revision 1 stands, 2,292 rows")
    assert receipt.warehouse == world.warehouse.answer


async def test_a_run_is_compared_with_the_newest_that_was_loaded(caplog: pytest.LogCaptureFixture) -> None:
    """Not with one that failed since, nor with a later one; and a person is told."""
    world = World()
    rows = {"2026-11-02": 7, "2026-11-09": 900, "2026-11-16": 3, "2026-11-30": 5}
    for run_id, counted in rows.items():
        table = WarehouseCount(rows=counted, markets=3, albums=5, revision=1)
        outcome = "failed" if run_id == "2026-11-16" else "loaded"
        told = builders_receipt(run_id=run_id, outcome=outcome, warehouse=table)
        await world.ports.ledger.create_receipt(told)
    await world.batch()
    await job_done(world, minutes=1)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    [warning] = receipt.warnings
    assert warning.startswith("much smaller than run 2026-11-09: 30 rows of 3 markets, 3% of the 900 rows")
    [line] = [vars(record) for record in caplog.records if record.message == "run_doubtful"]
    assert (line["levelname"], line["reason"]) == ("WARNING", warning)


def test_a_decision_to_fail_says_why() -> None:
    """Markets that did not come are another trouble than markets that came with nothing."""
    missing = decision("DK", verdict="fail", missing=(MissingMarket(market="NO", reason="x"),))
    assert why_failed(missing) == "1 of 2 markets landed (50 %), too few; missing: NO"
    assert "fewer than the 2 that must" in why_failed(missing.model_copy(update={"least": 2}))
    assert why_failed(missing.model_copy(update={"holds": ("DK", "SE")})).startswith("SE stood in the table")
    none = tuple(part.model_copy(update={"albums": 0}) for part in missing.parts)
    assert why_failed(missing.model_copy(update={"parts": none})).startswith(
        "none of the 1 markets that landed has"
    )
    assert "missing" in why_failed(missing.model_copy(update={"parts": ()}))


async def two_revisions(world: World) -> None:
    """Both loaded, the second an hour after the first; no cluster is left."""
    for revision in (1, 2):
        await world.batch(revision)
        [name] = [name for name in world.dataproc.machines if world.dataproc.machines[name].state == "CREATING"]
        world.dataproc.turn(name, "RUNNING")
        await world.operation(name)
        await world.loaded(revision)
        identity = names.job_id(RUN, revision, 1)
        world.dataproc.end_job(identity, "DONE")
        await world.operation(identity)
        world.dataproc.vanish(name)
        world.clock.advance(hours=1)


async def look(world: World, revision: int = 2) -> tuple[int | None, bool] | None:
    found = await world.ports.ledger.look(RUN, revision)
    return (found.table.revision, found.taken_back) if found else None


async def test_a_table_that_an_older_load_took_back_is_noted_for_the_barrier() -> None:
    """A load job outlives its driver by up to six hours: what the receipt says would be untrue from then on."""
    world = World()
    await two_revisions(world)
    world.warehouse.answer = WarehouseCount(rows=30, markets=3, albums=5, revision=1)
    await world.handle(SweepRequested())
    assert await look(world) is None
    world.clock.advance(hours=6, seconds=1)
    await world.handle(SweepRequested())
    assert await look(world) == (1, True)


async def test_a_second_look_that_finds_all_right_is_the_last() -> None:
    """A sweep comes every ten minutes, and each count is a query that is paid for."""
    world = World()
    await two_revisions(world)
    counted = world.warehouse.counts
    world.clock.advance(hours=6, seconds=1)
    for _ in range(3):
        await world.handle(SweepRequested())
    assert world.warehouse.counts == counted + 1
    assert await look(world) == (2, False)


async def test_a_run_past_its_raw_objects_life_is_not_looked_at_again() -> None:
    """Nothing could be loaded in its place: its parts have gone."""
    world = World()
    await two_revisions(world)
    counted = world.warehouse.counts
    world.clock.advance(days=91)
    await world.handle(SweepRequested())
    assert world.warehouse.counts == counted


def test_only_a_run_of_several_jobs_needs_a_second_look_and_only_once_it_is_settled() -> None:
    """Of one job no older load can come after it; and while a load is under way the table is not what it will be."""
    settled = RunIndex(
        run_id=RUN, has_manifest=True, decisions=(1, 2), receipts=(1, 2), announced=(1, 2), given_up=(),
        throttled=(), ordered_at={}, jobs=2, finished_at=NOW,
    )  # fmt: skip
    due = NOW + timedelta(hours=7, seconds=1)
    assert look_is_due(settled, due)
    assert not look_is_due(settled, NOW + timedelta(hours=7))
    for change in ({"jobs": 1}, {"looked": (2,)}, {"announced": (1,)}, {"receipts": (1,)}, {"finished_at": None}):
        assert not look_is_due(replace(settled, **change), due), change
    assert look_is_due(replace(settled, looked=(1,)), due)


@pytest.mark.parametrize(
    ("outcome", "stands", "taken_back"),
    [
        ("loaded", 1, True),
        ("partial", 1, True),
        ("failed", 1, False),
        ("loaded", 2, False),
        ("loaded", None, False),
    ],
)
def test_only_an_older_revision_in_place_of_a_loaded_one_was_taken_back(
    outcome: str,
    stands: int | None,
    taken_back: bool,  # noqa: FBT001 -- a case
) -> None:
    """What failed left something else there by right, and who emptied the table may have meant to."""
    table = WarehouseCount(rows=30, markets=3, albums=5, revision=stands)
    receipt = builders_receipt(2, outcome=outcome)
    found = facts(newest=decision("DK SE NO", 2), receipts=frozenset({1, 2}), table=table, receipt=receipt)
    assert decide(found, NOW, LIMITS) == [NoteLook(2, table, taken_back)]


async def test_a_sweep_leaves_an_archived_run_alone() -> None:
    """What was not finished in three months is not begun anew: its parts have gone, and a cluster costs."""
    world = World()
    await world.ports.ledger.create_manifest(manifest())
    await world.ports.ledger.create_decision(decision("DK SE NO"))
    world.clock.advance(days=90, seconds=1)
    await world.handle(SweepRequested())
    assert world.dataproc.created == []
    assert (await world.ports.ledger.cluster_claims(RUN)).readable == ()


async def test_the_receipt_says_what_the_parts_tell_of_their_source() -> None:
    """A market that was ignored and a list that stands still show only when parts are compared."""
    world = World()
    told = {
        "list-hash": "same",
        "newest-release": "2026-11-20",
        "source": "search",
        "app": "developer",
        "calls": "5",
    }
    for run_id in ("2026-11-16", RUN):
        await world.store.write(names.manifest_name(run_id), b"{}")
        for market in ("DK", "SE"):
            await world.store.write(names.part_name(run_id, market), b"x", told)
    await world.store.delete(names.manifest_name(RUN))
    await world.batch(verdict="fail")
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert receipt.source["identical_markets"] is True
    assert receipt.source["looks_frozen"] is True
    assert (receipt.source["app"], receipt.source["calls"]) == (["developer"], 10)


async def test_missing_markets_make_a_partial_outcome() -> None:
    """Loaded, but not whole: the receipt names what is missing."""
    world = World()
    missing = (MissingMarket(market="IS", reason="dead-lettered"),)
    await world.batch(missing=missing, close_reason="deadline")
    world.dataproc.turn(C1, "RUNNING")
    await world.operation(C1)
    await world.loaded()
    world.dataproc.end_job(next(iter(world.dataproc.submitted)), "DONE")
    await world.operation(C1)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert (receipt.outcome, receipt.missing, receipt.close_reason) == ("partial", missing, "deadline")


@pytest.mark.parametrize("cluster_stands", [True, False])
async def test_a_lost_announcement_is_made_good(cluster_stands: bool) -> None:  # noqa: FBT001 -- a case
    """A crash between the receipt and its event: the sweep announces it, with or without a cluster to remind of it."""
    world = World()
    await world.batch()
    world.dataproc.turn(C1, "RUNNING")
    await world.operation(C1)
    await world.loaded()
    world.dataproc.end_job(next(iter(world.dataproc.submitted)), "DONE")
    await world.operation(C1)
    world.publisher.take()
    await world.store.delete(names.announced_name(RUN, 1))
    if cluster_stands:
        world.dataproc.turn(C1, "RUNNING")
    else:
        world.dataproc.vanish(C1)
    await world.handle(SweepRequested())
    [event] = world.publisher.take()
    assert isinstance(event, RunFinished)
    await world.handle(SweepRequested())
    assert world.publisher.take() == []


def job_claim(number: int = 1, revision: int = 1, attempt: int = 1) -> JobClaim:
    return JobClaim(run_id=RUN, number=number, revision=revision, attempt=attempt, claimed_at=NOW)


def test_a_claimed_job_is_submitted_before_anything_else_may_run() -> None:
    """Whoever claimed it may submit it late; a newer decision's job beside it would write the same partition."""
    newer = decision("DK", revision=2)
    claimed = facts(newest=newer, claims=[claim()], clusters=[cluster()], job_claims=[job_claim()])
    assert decide(claimed, NOW, LIMITS) == [SubmitJob(1, 1, C1)]
    ended = facts(
        newest=newer, claims=[claim()], clusters=[cluster()], job_claims=[job_claim()], jobs=[job("DONE")]
    )
    assert decide(ended, NOW, LIMITS) == [Finish(1, job("DONE"), None), ClaimJob(2, 2, 1, C1)]


def test_a_claim_whose_revision_has_its_receipt_binds_nobody() -> None:
    """A job that never found a cluster was given up with its revision."""
    given = facts(
        newest=decision("DK", revision=2),
        receipts=frozenset({1}),
        claims=[claim()],
        clusters=[cluster()],
        job_claims=[job_claim()],
    )
    assert decide(given, NOW, LIMITS) == [ClaimJob(2, 2, 1, C1)]


def test_a_look_that_is_older_than_the_jobs_does_nothing() -> None:
    """A stale look must not load an older decision over a newer one."""
    stale = facts(newest=decision("DK", revision=2), claims=[claim()], clusters=[cluster()])
    assert [type(step) for step in decide(replace(stale, jobs=[job("DONE", revision=3)]), NOW, LIMITS)] == [Wait]
    assert [type(s) for s in decide(replace(stale, job_claims=[job_claim(revision=3)]), NOW, LIMITS)] == [Wait]


async def test_of_two_instances_with_different_jobs_in_mind_one_submits() -> None:
    """The claim decides; the other looks again."""
    world = World()
    await world.ports.ledger.claim_job(job_claim(revision=7))
    action = ClaimJob(1, 1, 1, C1)
    with pytest.raises(Retryable, match="revision 7 was claimed first"):
        await _act(action, facts(), world.ports)
    assert world.dataproc.submitted == {}


def test_every_receipt_that_nobody_heard_of_is_announced() -> None:
    """Also that of an older revision, and also while a job is under way."""
    given = facts(receipts=frozenset({1, 2}), announced=frozenset({2}), newest=decision("DK", revision=3))
    assert decide(given, NOW, LIMITS)[0] == AnnounceAgain(1)
    busy = replace(given, jobs=[job("RUNNING", revision=3)])
    assert decide(busy, NOW, LIMITS)[0] == AnnounceAgain(1)


async def test_a_sweep_takes_every_open_run_on_and_survives_one_in_trouble() -> None:
    """With all events lost, sweeps alone carry a run from its decision to its receipt."""
    world = World()
    await world.store.write(names.decision_name("2026-11-16", 1), b"not a decision")
    await world.ports.ledger.create_manifest(manifest())
    await world.ports.ledger.create_decision(decision("DK SE NO"))
    await world.handle(SweepRequested())
    world.dataproc.turn(C1, "RUNNING")
    await world.handle(SweepRequested())
    await world.loaded()
    world.dataproc.end_job(next(iter(world.dataproc.submitted)), "DONE")
    await world.handle(SweepRequested())
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert receipt.outcome == "loaded"
    assert world.dataproc.deleted == [C1]


async def test_a_cluster_left_by_a_settled_run_is_found_by_the_sweep() -> None:
    """Never left running: the label leads back to the run."""
    world = World()
    world.dataproc.machines[C1] = cluster()
    await world.handle(SweepRequested())
    assert world.dataproc.deleted == [C1]


async def test_an_operation_on_anothers_resource_is_acknowledged() -> None:
    """The sink sees every cluster of the project; only derived names are ours."""
    world = World()
    await world.operation("somebody-elses-cluster")
    await world.operation("new-releases-20261332-c1")
    assert world.store.listings == []


async def test_a_job_without_its_decision_is_a_clear_error() -> None:
    """Documents that were removed by hand cannot be guessed."""
    world = World()
    await world.ports.ledger.create_decision(decision("DK", verdict="fail"))
    with pytest.raises(Permanent, match="no manifest or decision"):
        await world.handle(BatchReady(run_id=RUN, revision=1))


def test_a_job_that_ended_before_its_decision_was_made_is_another_runs() -> None:
    """The documents were lost and the run is made known again: Dataproc still has jobs of the names that come next.

    The first backfill took such a job for its own, which had left no load result, and failed; a job of a later
    revision would have been waited for until Dataproc forgot it.
    """
    long_ago = NOW - timedelta(days=3)
    former = [replace(job("DONE", revision), since=long_ago) for revision in (1, 2)]
    given = facts(claims=[claim(2)], clusters=[cluster(C2)], jobs=former)
    assert decide(given, NOW, LIMITS) == [ClaimJob(1, 1, 2, C2)]
    claimed = JobClaim(run_id=RUN, number=1, revision=1, attempt=2, claimed_at=NOW)
    assert decide(replace(given, job_claims=[claimed]), NOW, LIMITS) == [SubmitJob(1, 2, C2)]
    failed = replace(job("ERROR", 1, 2, C2), since=NOW + timedelta(minutes=9))
    again = replace(given, job_claims=[claimed], jobs=[*former, failed])
    assert decide(again, NOW, LIMITS) == [ClaimJob(2, 1, 3, C2)], "two attempts are this life's own"
    done = replace(job("DONE", 1, 3, C2), since=NOW + timedelta(minutes=19))
    [finish, *_] = decide(replace(again, jobs=[*former, failed, done]), NOW, LIMITS)
    assert finish == Finish(1, done, None)


@pytest.mark.parametrize("minutes_back", [1, 5, 60])
def test_a_clock_that_is_set_back_under_a_job_costs_no_second_one(minutes_back: int) -> None:
    """By the clock the job then ended before its decision was made; its claim says whose it is."""
    done = replace(job("DONE"), since=NOW - timedelta(minutes=minutes_back))
    claimed = facts(claims=[claim()], clusters=[cluster()], job_claims=[job_claim()], jobs=[done])
    [finish, *_] = decide(claimed, NOW - timedelta(minutes=minutes_back), LIMITS)
    assert finish == Finish(1, done, None)


def test_a_lost_job_needs_no_claim_to_be_taken_for_lost() -> None:
    """Its claims may be gone or unreadable, and Dataproc may never have called it RUNNING: its state has an age."""
    lost = replace(job("PENDING"), since=NOW - timedelta(hours=3), started_at=None)
    assert decide(facts(jobs=[lost]), NOW, LIMITS)[0] == ClaimCluster(1, 1, ONE_MACHINE)


async def test_a_job_that_left_no_result_is_told_by_its_driver() -> None:
    """An exit code is no cause: the receipt has the last error of the driver's output, and what the table holds."""
    world = World()
    world.warehouse.answer = WarehouseCount(rows=0, markets=0, albums=0)
    await world.batch()
    world.clock.advance(minutes=2)
    world.dataproc.turn(C1, "RUNNING")
    await world.operation(C1)
    for attempt in (1, 2):
        identity = names.job_id(RUN, 1, attempt)
        await world.staging.write(f"driver/{identity}.000000000", b"INFO begins\n" * 9999)
        await world.staging.write(
            f"driver/{identity}.000000001", b"E: old\nCaused by: a.B: no such table\n\tat c.d\n"
        )
        world.dataproc.end_job(identity, "ERROR", "Job failed with exit code 1.")
        await world.operation(identity)
    receipt = await world.ports.ledger.receipt(RUN, 1)
    assert receipt is not None
    assert receipt.error == f"a.B: no such table (job {identity} ended ERROR); the table has none of it"


async def test_an_output_that_cannot_be_read_keeps_no_receipt_waiting() -> None:
    """Dataproc's words and the output's address are told instead."""

    class Away(MemoryObjectStore):
        async def listing(self, prefix: str) -> list[ObjectInfo]:
            raise Retryable(f"away: {prefix}")

    job = Job(names.job_id(RUN, 1, 1), 1, 1, "ERROR", C1, driver_output_uri="gs://b/driver/x")
    assert await _driver_error(job, replace(World().ports, staging=Away())) is None
