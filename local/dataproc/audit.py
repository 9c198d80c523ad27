"""The audit log's entries of Dataproc's long-running calls, as a logging sink delivers them to Pub/Sub.

A long-running call leaves two entries with one operation id: `operation.first` when it is accepted and
`operation.last` when it has ended, with severity ERROR and a status when it ended badly. The sink passes the second
alone. Sources: the reference of
google.logging.v2.LogEntry and google.cloud.audit.AuditLog, and the pages "Understanding audit logs" and
"Dataproc audit logging".

Not here: caller's address and user agent, authorization details, the entry's place in a real log.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, RetryError

LogEntry = dict[str, Any]
# Puts one message (data, attributes) on the sink's topic.
Publish = Callable[[bytes, Mapping[str, str]], Awaitable[None]]

_TYPES = "type.googleapis.com/google.cloud.dataproc.v1"
_SERVICE = "dataproc.googleapis.com"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One accepted long-running call, as the audit log tells of it."""

    method: str  # e.g. "ClusterController.CreateCluster"
    project: str
    region: str
    cluster_name: str
    cluster_uuid: str
    resource_name: str  # projects/P/regions/R/clusters/NAME or …/jobs/ID
    operation: str  # the operation's full name
    request: Mapping[str, Any]  # the part of the request that the log keeps, JSON names


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call ended badly: a google.rpc.Code and words."""

    code: int
    message: str


def first_entry(call: Call, *, at: datetime, response: Mapping[str, Any]) -> LogEntry:
    """Word the entry of a call that was just accepted."""
    return _entry(call, at, {"first": True}, {"response": dict(response)})


def last_entry(call: Call, *, at: datetime, response: Mapping[str, Any], failure: Failure | None) -> LogEntry:
    """Word the entry of a call that has just ended."""
    outcome: dict[str, Any] = {"response": dict(response)}
    if failure:
        outcome["status"] = {"code": failure.code, "message": failure.message}
    return _entry(call, at, {"last": True}, outcome)


def refused_entry(call: Call, *, at: datetime, failure: Failure) -> LogEntry:
    """Word the one entry of a call that was refused at once: nothing was begun, so that it names no operation."""
    entry = _entry(call, at, {}, {"status": {"code": failure.code, "message": failure.message}})
    return {name: value for name, value in entry.items() if name != "operation"}


def _entry(call: Call, at: datetime, place: Mapping[str, bool], outcome: Mapping[str, Any]) -> LogEntry:
    operation = call.operation.rpartition("/")[2]
    return {
        "insertId": f"{operation}-{'-'.join(place)}",
        "logName": f"projects/{call.project}/logs/cloudaudit.googleapis.com%2Factivity",
        "timestamp": rfc3339(at),
        "receiveTimestamp": rfc3339(at),
        "severity": "ERROR" if "status" in outcome else "NOTICE",
        "resource": {
            "type": "cloud_dataproc_cluster",
            "labels": {
                "cluster_name": call.cluster_name,
                "cluster_uuid": call.cluster_uuid,
                "project_id": call.project,
                "region": call.region,
            },
        },
        "operation": {"id": call.operation, "producer": _SERVICE, **place},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": _SERVICE,
            "methodName": f"google.cloud.dataproc.v1.{call.method}",
            "resourceName": call.resource_name,
            "authenticationInfo": {"principalEmail": f"cluster-manager@{call.project}.iam.gserviceaccount.com"},
            "request": {"@type": f"{_TYPES}.{call.method.partition('.')[2]}Request", **call.request},
            **outcome,
        },
    }


def rfc3339(moment: datetime) -> str:
    """Write a moment as Google's APIs do: UTC, a Z at the end."""
    return moment.isoformat().removesuffix("+00:00") + "Z"


def ends_an_operation(entry: LogEntry) -> bool:
    """Whether the sink's filter (`logging_sink` in infra/topology.json) passes an entry of these three calls."""
    operation = entry.get("operation", {})
    return "id" in operation and operation.get("last") is True


@dataclass
class Sink:
    """Carries the entries that pass to the topic, in the order they were written, apart from the calls that wrote them.

    A real sink is just as detached: an API call neither waits for it nor fails with it.
    """

    publish: Publish
    passes: Callable[[LogEntry], bool] = ends_an_operation
    published: int = 0
    lost: int = 0  # ordered as a fault, or refused by Pub/Sub until the client gave up
    _waiting: asyncio.Queue[LogEntry] = field(default_factory=asyncio.Queue)

    def write(self, entry: LogEntry) -> None:
        """Take an entry to deliver, if it passes."""
        if self.passes(entry):
            self._waiting.put_nowait(entry)

    async def deliver(self) -> None:
        """Deliver entries until cancelled."""
        while True:
            await self._send(await self._waiting.get())
            self._waiting.task_done()

    async def drained(self) -> None:
        """Wait until every entry was delivered or given up."""
        await self._waiting.join()

    async def _send(self, entry: LogEntry) -> None:
        attributes = {"logging.googleapis.com/timestamp": entry["timestamp"]}
        try:
            await self.publish(json.dumps(entry).encode(), attributes)
        except (GoogleAPICallError, RetryError) as error:
            self.lost += 1
            log.error("audit entry %s is lost: %s", entry["insertId"], error)
        else:
            self.published += 1
