"""The Dataproc stand-in's pure parts: moves, refusals, scheduled deletion, filters, audit entries, orders."""

from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import dataproc_v1
from pydantic import ValidationError

from local.dataproc import audit, filters, states
from local.dataproc.faults import Faults, Kind, PlannedFault, Step
from local.dataproc.states import ClusterState, JobState

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def wanted(name: str = "new-releases-1", **schedule: timedelta) -> dataproc_v1.Cluster:
    """A cluster to create."""
    lifecycle = dataproc_v1.LifecycleConfig(**schedule)
    return dataproc_v1.Cluster(
        cluster_name=name,
        labels={"app": "new-releases", "run": "2026-11-23"},
        config=dataproc_v1.ClusterConfig(lifecycle_config=lifecycle),
    )


def cluster(state: int = ClusterState.RUNNING, **schedule: timedelta) -> dataproc_v1.Cluster:
    """A cluster made at noon that came into this state a minute later."""
    made = states.new_cluster(wanted("new-releases-1", **schedule), project="p", uuid="u-1", at=NOON)
    if state == ClusterState.CREATING:
        return made
    return states.move_cluster(made, state, at=NOON + MINUTE)


def job(*moves: int, job_id: str = "job-1") -> dataproc_v1.Job:
    """A job submitted two minutes after noon, one minute in each state."""
    made = states.new_job(
        dataproc_v1.Job(
            labels={"run": "2026-11-23", "empty": ""}, pyspark_job={"main_python_file_uri": "gs://b/m.py"}
        ),
        reference=dataproc_v1.JobReference(project_id="p", job_id=job_id),
        cluster=cluster(),
        uuid="j-1",
        at=NOON + 2 * MINUTE,
    )
    for minute, state in enumerate(moves, start=3):
        made = states.move_job(made, state, at=NOON + minute * MINUTE)
    return made


def test_every_cluster_state_goes_only_where_the_life_cycle_goes() -> None:
    """A cluster's history can be one of the API's alone: any other move is refused, whatever asks for it."""
    reached = {
        ClusterState.CREATING: cluster(ClusterState.CREATING),
        ClusterState.RUNNING: cluster(),
        ClusterState.ERROR: cluster(ClusterState.ERROR),
        ClusterState.DELETING: cluster(ClusterState.DELETING),
    }
    possible = set()
    for present, made in reached.items():
        for onward in map(ClusterState, range(11)):
            try:
                states.move_cluster(made, onward, at=NOON)
            except states.ImpossibleMoveError:
                continue
            possible.add((ClusterState(present).name, onward.name))
    assert possible == {
        ("CREATING", "RUNNING"),
        ("CREATING", "ERROR"),
        ("CREATING", "DELETING"),
        ("RUNNING", "DELETING"),
        ("ERROR", "DELETING"),
        ("DELETING", "ERROR"),
    }


def test_a_final_job_state_is_final() -> None:
    """DONE, ERROR and CANCELLED are never left; no other state is final."""
    assert {JobState(state).name for state in states.FINAL_JOB_STATES} == {"DONE", "ERROR", "CANCELLED"}
    done = job(JobState.SETUP_DONE, JobState.RUNNING, JobState.DONE)
    for onward in map(JobState, range(10)):
        with pytest.raises(states.ImpossibleMoveError, match="DONE cannot become"):
            states.move_job(done, onward, at=NOON)


def test_a_job_keeps_its_history_and_says_when_it_is_done() -> None:
    """Every former state stays in the history, in order; `done` is false until the state is final."""
    running = job(JobState.SETUP_DONE, JobState.RUNNING)
    assert not running.done
    done = states.move_job(running, JobState.DONE, at=NOON + 9 * MINUTE)
    assert [status.state.name for status in done.status_history] == ["PENDING", "SETUP_DONE", "RUNNING"]
    assert done.done
    assert done.status.state_start_time == NOON + 9 * MINUTE
    assert not running.done, "a move changes a copy"


def test_a_new_job_carries_nothing_of_its_submitters_outputs() -> None:
    """Output fields that a submitter filled in are overwritten: state, history, uuid, the cluster's uuid."""
    forged = dataproc_v1.Job(
        done=True,
        job_uuid="forged",
        status={"state": JobState.DONE},
        status_history=[{"state": JobState.RUNNING}],
        placement={"cluster_name": "other", "cluster_uuid": "forged"},
    )
    reference = dataproc_v1.JobReference(project_id="p", job_id="j")
    made = states.new_job(forged, reference=reference, cluster=cluster(), uuid="j-1", at=NOON)
    assert (made.done, made.job_uuid, made.status.state) == (False, "j-1", JobState.PENDING)
    assert not made.status_history
    assert made.placement.cluster_uuid == "u-1"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("a", True),
        ("new-releases-20261123-1", True),
        ("a" * 51, True),
        ("a" * 52, False),
        ("1a", False),
        ("A", False),
        ("a-", False),
        ("a_b", False),
        ("", False),
    ],
)
def test_cluster_names(name: str, allowed: bool) -> None:  # noqa: FBT001 -- a table's column
    """A name is a lower-case letter and up to 50 lower-case letters, digits and hyphens, no hyphen last."""
    assert (states.cluster_faults(wanted(name)) == []) == allowed


@pytest.mark.parametrize(
    ("schedule", "allowed"),
    [
        ({"idle_delete_ttl": timedelta(minutes=5)}, True),
        ({"idle_delete_ttl": timedelta(minutes=5, seconds=-1)}, False),
        ({"idle_delete_ttl": timedelta(days=14)}, True),
        ({"idle_delete_ttl": timedelta(days=14, seconds=1)}, False),
        ({"auto_delete_ttl": timedelta(minutes=10)}, True),
        ({"auto_delete_ttl": timedelta(minutes=10, seconds=-1)}, False),
        ({"auto_delete_ttl": timedelta(days=14, seconds=1)}, False),
        ({"idle_stop_ttl": timedelta(minutes=4)}, False),
        ({"auto_stop_ttl": timedelta(minutes=9)}, False),
    ],
)
def test_schedule_bounds(schedule: dict[str, timedelta], allowed: bool) -> None:  # noqa: FBT001 -- a column
    """Idle TTLs last 5 minutes to 14 days, maximum ages 10 minutes to 14 days, both ends included."""
    faults = states.cluster_faults(wanted("new-releases-1", **schedule))
    assert (faults == []) == allowed
    assert all(next(iter(schedule)) in fault for fault in faults)


def test_labels_and_request_ids_and_job_ids_have_their_limits() -> None:
    """What the reference bounds is refused beyond its bound, and each fault names what it is about."""
    labelled = wanted()
    labelled.labels = {f"k{number}": "v" for number in range(33)} | {"Upper": "v", "k0": "Not ok"}
    faults = states.cluster_faults(labelled)
    assert [fault.split(":")[0] for fault in faults] == ["label key 'Upper'", "label 'k0'", "labels"]
    assert states.request_id_faults("") == states.request_id_faults("a" * 40) == []
    assert states.request_id_faults("a" * 41)
    assert states.request_id_faults("a.b")
    unplaced = dataproc_v1.Job(reference={"job_id": "a" * 101}, pyspark_job={})
    assert [fault.split(":")[0].split(" ")[0] for fault in states.job_faults(unplaced)] == [
        "reference.job_id",
        "placement.cluster_name",
        "pyspark_job.main_python_file_uri",
    ]
    assert states.cluster_faults(dataproc_v1.Cluster(cluster_name="a")) == ["config: missing"]


def test_idleness_counts_from_the_last_job_and_never_while_one_runs() -> None:
    """A cluster is idle since it runs or since its last job ended; never while a job is unfinished."""
    running, finished = job(), job(JobState.ERROR)
    assert states.idle_since(cluster(), []) == NOON + MINUTE
    assert states.idle_since(cluster(), [finished]) == NOON + 3 * MINUTE
    assert states.idle_since(cluster(), [finished, running]) is None
    assert states.idle_since(cluster(ClusterState.ERROR), []) is None
    elsewhere = dataproc_v1.Job(running)
    elsewhere.placement.cluster_uuid = "u-2"
    assert states.idle_since(cluster(), [elsewhere]) == NOON + MINUTE, "another cluster's job"


def test_scheduled_deletion_is_due_at_the_bound_and_not_before() -> None:
    """The maximum age counts from the create request, idleness from its start; a DELETING cluster is let be."""
    aged = cluster(auto_delete_ttl=20 * MINUTE)
    assert states.deletion_reason(aged, idle=None, now=NOON + 20 * MINUTE - timedelta(seconds=1)) is None
    assert "auto_delete_ttl" in str(states.deletion_reason(aged, idle=None, now=NOON + 20 * MINUTE))
    idle = cluster(idle_delete_ttl=5 * MINUTE)
    assert states.deletion_reason(idle, idle=None, now=NOON + 500 * MINUTE) is None
    assert states.deletion_reason(idle, idle=NOON, now=NOON + 5 * MINUTE - timedelta(seconds=1)) is None
    assert "idle_delete_ttl" in str(states.deletion_reason(idle, idle=NOON, now=NOON + 5 * MINUTE))
    going = cluster(ClusterState.DELETING, auto_delete_ttl=20 * MINUTE)
    assert states.deletion_reason(going, idle=None, now=NOON + 500 * MINUTE) is None
    timed = cluster()
    timed.config.lifecycle_config.auto_delete_time = NOON + MINUTE
    assert states.deletion_reason(timed, idle=None, now=NOON) is None
    assert "auto_delete_time" in str(states.deletion_reason(timed, idle=None, now=NOON + MINUTE))


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("labels.app = new-releases", True),
        ("labels.app=new-releases AND status.state = ACTIVE", True),
        ("labels.app = new-releases status.state = RUNNING", True),
        ("labels.app = other", False),
        ("labels.app = new-releases AND labels.run = 2026-11-30", False),
        ("labels.absent = *", False),
        ("labels.run = *", True),
        ("status.state = INACTIVE", False),
        ("status.state = *", True),
        ('clusterName = "new-releases-1"', True),
        ("clusterName = new-releases", False),
    ],
)
def test_cluster_filters(text: str, matches: bool) -> None:  # noqa: FBT001 -- a table's column
    """Every term of a filter must hold; a space stands for AND, a star for any value that is there."""
    assert filters.cluster_filter(text)(cluster()) == matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("status.state = ACTIVE", True),
        ("status.state = NON_ACTIVE", False),
        ("labels.run = 2026-11-23 AND status.state = ACTIVE", True),
        ("labels.empty = *", True),
        ('insertTime <= "2026-11-23T12:02:00Z"', True),
        ('insertTime < "2026-11-23T12:02:00Z"', False),
        ("insertTime > 2026-11-23T13:01:59+01:00", True),
    ],
)
def test_job_filters(text: str, matches: bool) -> None:  # noqa: FBT001 -- a table's column
    """Jobs are found by label, by being final or not, and by when they were submitted."""
    assert filters.job_filter(text)(job()) == matches


@pytest.mark.parametrize(
    "text",
    [
        "labels.app",
        "AND labels.app = x",
        "labels.app = x AND",
        "labels.app = x OR labels.app = y",
        "labels.app < x",
        "labels. = x",
        "name = x",
        "status.state = BUSY",
        'clusterName = "x',
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(text: str) -> None:
    """A misspelt filter never silently matches everything or nothing."""
    with pytest.raises(filters.FilterError):
        filters.cluster_filter(text)


@pytest.mark.parametrize(
    "text",
    ["insertTime < yesterday", "insertTime < 2026-11-23T12:00:00", "clusterName = x", "status.state = DONE"],
)
def test_a_job_filter_that_cannot_be_meant_is_refused(text: str) -> None:
    """Jobs know fewer fields and states than clusters, and moments need a time zone."""
    with pytest.raises(filters.FilterError):
        filters.job_filter(text)


CALL = audit.Call(
    method="JobController.SubmitJob",
    project="p",
    region="r",
    cluster_name="c",
    cluster_uuid="u",
    resource_name="projects/p/regions/r/jobs/j",
    operation="projects/p/regions/r/operations/o",
    request={"requestId": "q"},
)


def test_first_and_last_entry_belong_together_and_differ() -> None:
    """A call's two entries share the operation, have ids of their own, and say which end they are by presence."""
    first = audit.first_entry(CALL, at=NOON, response={})
    last = audit.last_entry(CALL, at=NOON, response={}, failure=None)
    assert first["operation"] == {"id": CALL.operation, "producer": "dataproc.googleapis.com", "first": True}
    assert last["operation"] == {"id": CALL.operation, "producer": "dataproc.googleapis.com", "last": True}
    assert first["insertId"] != last["insertId"]
    assert first["severity"] == last["severity"] == "NOTICE"
    assert "status" not in last["protoPayload"]


def test_an_entry_has_what_the_sink_filters_by_and_a_reader_needs() -> None:
    """Log name, service, method, resource and moment stand where the logging reference puts them."""
    failure = audit.Failure(13, "lost")
    entry = audit.last_entry(CALL, at=NOON, response={"status": {"state": "ERROR"}}, failure=failure)
    assert entry["logName"] == "projects/p/logs/cloudaudit.googleapis.com%2Factivity"
    assert entry["timestamp"] == "2026-11-23T12:00:00Z"
    assert entry["severity"] == "ERROR"
    assert entry["resource"] == {
        "type": "cloud_dataproc_cluster",
        "labels": {"cluster_name": "c", "cluster_uuid": "u", "project_id": "p", "region": "r"},
    }
    payload = entry["protoPayload"]
    assert payload["@type"] == "type.googleapis.com/google.cloud.audit.AuditLog"
    assert payload["serviceName"] == "dataproc.googleapis.com"
    assert payload["methodName"] == "google.cloud.dataproc.v1.JobController.SubmitJob"
    assert payload["resourceName"] == "projects/p/regions/r/jobs/j"
    assert payload["status"] == {"code": 13, "message": "lost"}
    assert payload["request"] == {
        "@type": "type.googleapis.com/google.cloud.dataproc.v1.SubmitJobRequest",
        "requestId": "q",
    }


def test_an_order_strikes_as_often_as_it_says() -> None:
    """A fault strikes exactly `times` passages of its own step and kind, and none after it was cleared."""
    faults = Faults()
    faults.plan(PlannedFault(step=Step.JOB, kind=Kind.ERROR, times=2))
    assert not faults.take(Step.JOB, Kind.NEVER)
    assert not faults.take(Step.SUBMIT_JOB, Kind.ERROR)
    assert [faults.take(Step.JOB, Kind.ERROR) for _ in range(3)] == [True, True, False]
    faults.plan(PlannedFault(step=Step.JOB, kind=Kind.ERROR))
    faults.clear()
    assert not faults.take(Step.JOB, Kind.ERROR)


@pytest.mark.parametrize("step", [Step.CLUSTER_START, Step.JOB])
@pytest.mark.parametrize("kind", [Kind.UNAVAILABLE, Kind.LOST_ANSWER])
def test_an_order_that_could_never_strike_is_refused(step: Step, kind: Kind) -> None:
    """A chaos test that orders something meaningless hears of it rather than pass without a fault."""
    with pytest.raises(ValidationError, match="strikes calls only"):
        PlannedFault(step=step, kind=kind)
