"""Bucket, table and views: whether they exist, and are as described."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from contracts.topology import BucketNotification
from contracts.wording import shown
from ops.doctor.findings import Finding, each_exists, fail, ok
from ops.doctor.site import CALL_SECONDS, Site

_APPLY = "run terraform apply; on a local stack: make down, make up"


# --- bucket ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification of a bucket: to which topic, and for which objects and events."""

    topic: str
    prefix: str
    events: frozenset[str]


def bucket(site: Site) -> list[Finding]:
    """The bucket of the runs exists; without it nothing works."""
    name = site.target.bucket
    seen = [name] if site.storage.bucket(name).exists(timeout=CALL_SECONDS) else []
    return each_exists("bucket", [name], seen, _APPLY)


def notification(site: Site) -> list[Finding]:
    """New parts are announced."""
    listed = site.storage.bucket(site.target.bucket).list_notifications(timeout=CALL_SECONDS)
    seen = [
        Notification(
            topic=found.topic_name or "",
            prefix=found.blob_name_prefix or "",
            events=frozenset(found.event_types or ()),
        )
        for found in listed
    ]
    return judge_notifications(site.topology.bucket_notification, seen)


def judge_notifications(wanted: BucketNotification, seen: Sequence[Notification]) -> list[Finding]:
    """Exactly one, with the prefix: without one nothing is ever loaded, with two every part is handled twice."""
    ours = [found for found in seen if found.topic == wanted.topic]
    if not ours:
        return [
            fail("notification", f"the bucket announces nothing to {wanted.topic}: parts land unheard", _APPLY)
        ]
    should = _announced({wanted.event}, wanted.object_prefix)
    announced = [_announced(found.events, found.prefix) for found in ours]
    findings = [
        fail("notification", f"announces {what}, should announce {should}", _APPLY)
        for what in announced
        if what != should
    ]
    if len(ours) > 1:
        remedy = "delete all but one: gcloud storage buckets notifications list, then delete"
        findings.append(fail("notification", f"{len(ours)} notifications to {wanted.topic}", remedy))
    return findings or [ok("notification", f"{wanted.event} of {wanted.object_prefix} to {wanted.topic}")]


def _announced(events: Iterable[str], prefix: str) -> str:
    return f"{', '.join(sorted(events)) or 'every event'} of {shown(prefix) if prefix else 'every object'}"


# --- table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """The table as BigQuery describes it."""

    fields: tuple[Mapping[str, Any], ...]
    partition: str | None
    """Type and field, such as `DAY load_date`."""
    clustering: tuple[str, ...] = field(default=())


PARTITION, CLUSTERING = "DAY load_date", ("market",)


def table(site: Site) -> list[Finding]:
    """The table has the schema file's columns, its partitions and its clusters."""
    try:
        found = site.bigquery.get_table(site.target.table_id, timeout=CALL_SECONDS)
    except NotFound:
        return judge_table(site.target.table_id, site.schema, None)
    return judge_table(site.target.table_id, site.schema, _table(found))


def _table(found: bigquery.Table) -> Table:
    by = found.time_partitioning
    return Table(
        fields=tuple(column.to_api_repr() for column in found.schema),
        partition=f"{by.type_} {by.field}" if by else None,
        clustering=tuple(found.clustering_fields or ()),
    )


def judge_table(name: str, wanted: Sequence[Mapping[str, Any]], seen: Table | None) -> list[Finding]:
    """Every column that is missing, different or not in the schema file; how it is partitioned and clustered."""
    if seen is None:
        return [fail("table", f"{name} does not exist", _APPLY)]
    should, is_now = {str(c["name"]): _kind(c) for c in wanted}, {str(c["name"]): _kind(c) for c in seen.fields}
    findings = [
        fail("table", f"{name}: column {column} {_difference(should.get(column), is_now.get(column))}", _APPLY)
        for column in dict.fromkeys([*should, *is_now])
        if should.get(column) != is_now.get(column)
    ]
    if seen.partition != PARTITION:
        what = f"{name}: partitioned by {seen.partition or 'nothing'}, should be {PARTITION}"
        findings.append(
            fail("table", what, "partitioning cannot be changed: copy the rows elsewhere and make the table anew")
        )
    if seen.clustering != CLUSTERING:
        what = f"{name}: clustered by {', '.join(seen.clustering) or 'nothing'}, should be {', '.join(CLUSTERING)}"
        findings.append(fail("table", what, _APPLY))
    return findings or [ok("table", f"{name}: {len(should)} columns, {PARTITION}, by {', '.join(CLUSTERING)}")]


_SAME_TYPE = {"INT64": "INTEGER", "BOOL": "BOOLEAN", "FLOAT64": "FLOAT"}


def _kind(column: Mapping[str, Any]) -> tuple[str, str]:
    named = str(column["type"]).upper()
    return _SAME_TYPE.get(named, named), str(column.get("mode") or "NULLABLE").upper()


def _difference(wanted: tuple[str, str] | None, seen: tuple[str, str] | None) -> str:
    if seen is None:
        return "is missing"
    if wanted is None:
        return "is not in the schema file"
    return f"is {' '.join(seen)}, should be {' '.join(wanted)}"


LABEL, NEVER = "partition_expiration_days", "never"
"""A label of the table says what Terraform set: a load that changed the expiration would not be noticed otherwise."""


def expiration(site: Site) -> list[Finding]:
    """A run's rows stay as long as Terraform set."""
    found = site.bigquery.get_table(site.target.table_id, timeout=CALL_SECONDS)
    by = found.time_partitioning
    return judge_expiration(found.labels.get(LABEL), by.expiration_ms if by else None)


def judge_expiration(asked: str | None, seen: int | None) -> list[Finding]:
    """The partitions' time to live is what the label says, in days; `seen` is in milliseconds, None where unlimited."""
    if asked is None:
        return [fail("expiration", f"the table has no label {LABEL}: nobody knows what it should be", _APPLY)]
    days = NEVER if seen is None else f"{seen / _DAY_MILLISECONDS:g}"
    if days == asked:
        return [ok("expiration", f"partitions expire after days: {asked}")]
    what = f"partitions expire after days: {days}, should be {asked}; a load may have changed it"
    return [fail("expiration", what, "run terraform apply, and look again after the next load")]


_DAY_MILLISECONDS = 24 * 60 * 60 * 1000


def views(site: Site) -> list[Finding]:
    """Every view exists."""
    listed = site.bigquery.list_tables(f"{site.target.project}.{site.target.dataset}", timeout=CALL_SECONDS)
    seen = {found.table_id for found in listed if found.table_type == "VIEW"}
    return each_exists("views", site.views, seen, _APPLY)
