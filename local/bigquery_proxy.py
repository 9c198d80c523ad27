"""What bqemulator lacks of BigQuery, filled in, in front of it.

    python -m local.bigquery_proxy --port P --emulator http://127.0.0.1:Q --buckets FOLDER

passes everything on as it is, except:

- a load job into one day of a table, `table$20261123`: the rows go into a table of their own; if all of them are of
  that day, it replaces the day, or is added to it, in one transaction; else the job fails and the table stays as it
  was;
- the description of a table asked for by such a name;
- the names of types in answers, which BigQuery gives in its older words (INTEGER, not INT64);
- `statistics.load.outputBytes` of a load job, which Google's Spark connector reads: 0, since nobody knows it.

Not imitated: parts of a table that is partitioned by anything but a DATE column by day; WRITE_EMPTY; two jobs at once
on one day. The load jobs of days are remembered here, and forgotten when this process ends.
"""

import argparse
import asyncio
import json
import signal
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from local.processes import LOOPBACK

Json = dict[str, Any]
_LARGEST: Final = 256 * 1024 * 1024  # bytes of a request
_WORDS: Final = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}
_END_TO_END: Final = frozenset({"content-type", "location", "x-goog-upload-status", "range", "etag"})


class RefusedError(Exception):
    """BigQuery would not do this; what it would say."""


# --- what is asked and answered: pure --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a table."""

    table: str
    text: str
    """As in the name, `20261123`."""

    @classmethod
    def of(cls, table_id: str) -> Self | None:
        """The day that a table's name holds, if any."""
        table, dollar, text = table_id.partition("$")
        return cls(table, text) if dollar else None

    @property
    def date(self) -> date:
        """The day itself.

        Raises:
            RefusedError: there is none of that name.
        """
        try:
            return datetime.strptime(self.text, "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            raise RefusedError(f"Invalid table ID {self.name}: {self.text} is not a day") from None

    @property
    def name(self) -> str:
        """As it was asked for."""
        return f"{self.table}${self.text}"


def day_loaded(body: object) -> Day | None:
    """The day that a job loads, if it is a load job into one."""
    try:
        return Day.of(body["configuration"]["load"]["destinationTable"]["tableId"])  # type: ignore[index]
    except (KeyError, TypeError):
        return None


def amended(answer: Any) -> Any:
    """An answer in BigQuery's words, with what a load job's statistics must have."""
    if isinstance(answer, list):
        return [amended(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    told = {name: amended(value) for name, value in answer.items()}
    if "name" in told and told.get("type") in _WORDS:
        told["type"] = _WORDS[told["type"]]
    if isinstance(load := told.get("load"), dict) and "outputRows" in load:
        told["load"] = {"outputBytes": "0", **load}
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLoad:
    """A load job into one day, and the table in which its rows wait."""

    job: Json
    day: Day
    tables: str
    """Path of the dataset's tables."""
    staging: str

    @classmethod
    def of(cls, path: str, job: Json, day: Day, unique: str) -> Self:
        """Read the job that was sent to this path."""
        target = job["configuration"]["load"]["destinationTable"]
        root = path.partition("/projects/")[0]
        tables = f"{root}/projects/{target['projectId']}/datasets/{target['datasetId']}/tables"
        return cls(job=job, day=day, tables=tables, staging=f"staging_{day.table}_{unique}")

    @property
    def load(self) -> Json:
        """What is asked for."""
        asked: Json = self.job["configuration"]["load"]
        return asked

    def waiting(self, table: Mapping[str, Any]) -> Json:
        """The table in which the rows wait, with the columns of the one that they are for."""
        reference = {**self.load["destinationTable"], "tableId": self.staging}
        return {"tableReference": reference, "schema": table["schema"]}

    def stage(self, buckets: str) -> Json:
        """The load job that puts them there; `buckets` is the folder with a folder for each bucket."""
        load = {name: value for name, value in self.load.items() if name not in _OF_THE_TABLE}
        load |= {
            "sourceUris": [f"file://{buckets}/{uri.removeprefix('gs://')}" for uri in self.load["sourceUris"]],
            "destinationTable": {**self.load["destinationTable"], "tableId": self.staging},
            "writeDisposition": "WRITE_APPEND",
        }
        return {"configuration": {"load": load}}

    def misfit(self, table: Mapping[str, Any]) -> str | None:
        """Why it does not fit the table, if it does not."""
        kind = (table.get("timePartitioning") or {}).get("type")
        if kind != "DAY" or self.load.get("writeDisposition") == "WRITE_EMPTY":
            return f"{self.day.name}: only days are known here, and no WRITE_EMPTY; see local/bigquery_proxy.py"
        for name, keys in _OF_THE_TABLE.items():
            asked, there = self.load.get(name) or {}, table.get(name) or {}
            if asked and [asked.get(key) for key in keys] != [there.get(key) for key in keys]:
                return f"Incompatible table partitioning specification: {name} is {there}, the load has {asked}"
        return None

    def outside(self, table: Mapping[str, Any]) -> str:
        """Ask for the number of rows of another day."""
        field = table["timePartitioning"]["field"]
        return (
            f"SELECT COUNT(*) FROM `{self._named(self.staging)}` "
            f"WHERE `{field}` IS NULL OR `{field}` != DATE '{self.day.date}'"
        )

    def replacement(self, table: Mapping[str, Any]) -> str:
        """The statements that put the rows into the table; all names are BigQuery's own."""
        to, field = self._named(self.day.table), table["timePartitioning"]["field"]
        listed = ", ".join(f"`{column['name']}`" for column in table["schema"]["fields"])
        delete = f"DELETE FROM `{to}` WHERE `{field}` = DATE '{self.day.date}'; "
        return (
            f"BEGIN TRANSACTION; {'' if self.load.get('writeDisposition') == 'WRITE_APPEND' else delete}"
            f"INSERT INTO `{to}` ({listed}) SELECT {listed} FROM `{self._named(self.staging)}`; COMMIT TRANSACTION;"
        )

    def _named(self, table: str) -> str:
        target = self.load["destinationTable"]
        return f"{target['projectId']}.{target['datasetId']}.{table}"


_OF_THE_TABLE: Final = {"timePartitioning": ("type", "field"), "clustering": ("fields",)}


def finished(job: Mapping[str, Any], statistics: Mapping[str, Any], problem: str | None) -> Json:
    """The job as BigQuery tells of it afterwards."""
    fault = {"reason": "invalid", "message": problem}
    status = {"state": "DONE"} | ({"errorResult": fault, "errors": [fault]} if problem else {})
    reference = {"location": "US", **job["jobReference"]}
    return {
        "kind": "bigquery#job",
        "id": f"{reference['projectId']}:{reference['location']}.{reference['jobId']}",
        "jobReference": reference,
        "configuration": {**job["configuration"], "jobType": "LOAD"},
        "status": status,
        "statistics": dict(statistics),
    }


# --- passing on ------------------------------------------------------------------------------------------------


class Proxy:
    """Answers in place of the emulator."""

    def __init__(self, emulator: str, buckets: str, session: aiohttp.ClientSession) -> None:
        self._emulator = emulator
        self._buckets = buckets
        self._session = session
        self._jobs: dict[str, Json] = {}

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request."""
        path = unquote(request.path)
        content = await request.read()
        try:
            if request.method == "POST" and path.endswith("/jobs") and (day := _day_of(content)):
                return web.json_response(await self._load(path, json.loads(content), day))
            if request.method == "GET" and (known := self._jobs.get(path)):
                return web.json_response(known)
            if request.method == "GET" and "/tables/" in path and (wanted := Day.of(path.rpartition("/")[2])):
                return await self._describe(path.rpartition("/")[0], wanted)
            return await self._pass_on(request, content)
        except RefusedError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, "invalid", str(error))
        except aiohttp.ClientError as error:
            return _refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, "backendError", f"the emulator does not answer: {error}"
            )

    async def _pass_on(self, request: web.Request, content: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_HOP}
        url = f"{self._emulator}{request.raw_path}"
        async with self._session.request(request.method, url, data=content, headers=headers) as answer:
            told = await answer.read()
            if answer.content_type == "application/json" and told:
                told = json.dumps(amended(json.loads(told))).encode()
            kept = {name: value for name, value in answer.headers.items() if name.lower() in _END_TO_END}
            return web.Response(status=answer.status, body=told, headers=kept)

    async def _describe(self, folder: str, day: Day) -> web.Response:
        status, table = await self._request("GET", f"{folder}/{day.table}")
        if status == HTTPStatus.OK:
            table["tableReference"]["tableId"] = day.name
        return web.json_response(amended(table), status=status)

    async def _load(self, path: str, job: Json, day: Day) -> Json:
        project = path.partition("/projects/")[2].partition("/")[0]
        made = {"projectId": project, "jobId": f"job_{uuid.uuid4().hex}"}
        job["jobReference"] = made | job.get("jobReference", {})
        place = f"{path}/{job['jobReference']['jobId']}"
        if place in self._jobs:
            raise RefusedError(f"Already Exists: Job {job['jobReference']['jobId']}")
        statistics, problem = _NOTHING, None
        try:
            statistics = await self._replace(path, DayLoad.of(path, job, day, uuid.uuid4().hex))
        except RefusedError as error:
            problem = str(error)
        self._jobs[place] = amended(finished(job, statistics, problem))
        return self._jobs[place]

    async def _replace(self, path: str, asked: DayLoad) -> Json:
        table = await self._ask("GET", f"{asked.tables}/{asked.day.table}")
        if why := asked.misfit(table):
            raise RefusedError(why)
        try:
            await self._ask("POST", asked.tables, asked.waiting(table))
            staged = await self._ask("POST", path, asked.stage(self._buckets))
            if fault := staged["status"].get("errorResult"):
                raise RefusedError(fault["message"])
            outside = await self._query(path, asked.outside(table))
            if int(outside["rows"][0]["f"][0]["v"]):
                raise RefusedError(
                    f"Some rows belong to different partitions rather than destination partition {asked.day.name}"
                )
            await self._query(path, asked.replacement(table))
        finally:
            await self._request("DELETE", f"{asked.tables}/{asked.staging}")
        statistics: Json = staged["statistics"]
        return statistics

    async def _query(self, path: str, text: str) -> Json:
        return await self._ask(
            "POST", f"{path.rpartition('/')[0]}/queries", {"query": text, "useLegacySql": False}
        )

    async def _ask(self, method: str, path: str, body: object = None) -> Json:
        """Ask the emulator; its refusal is ours."""
        _, answer = await self._request(method, path, body)
        if fault := answer.get("error"):
            raise RefusedError(fault["message"])
        return answer

    async def _request(self, method: str, path: str, body: object = None) -> tuple[int, Json]:
        async with self._session.request(method, f"{self._emulator}{path}", json=body) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}


_NOTHING: Final[Json] = {"load": {"outputRows": "0"}}
_OF_THE_HOP: Final = frozenset({"content-length", "transfer-encoding", "connection", "accept-encoding"})


def _day_of(content: bytes) -> Day | None:
    return day_loaded(json.loads(content)) if b"$" in content else None


def _refusal(status: HTTPStatus, reason: str, message: str) -> web.Response:
    fault = {"code": status.value, "message": message, "errors": [{"reason": reason, "message": message}]}
    return web.json_response({"error": fault}, status=status)


async def main(port: int, emulator: str, buckets: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", Proxy(emulator, buckets, session).handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, port).start()
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local.bigquery_proxy")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--emulator", required=True, help="URL of bqemulator")
    parser.add_argument("--buckets", default="", help="folder with a folder for each bucket, for loads into days")
    options = parser.parse_args(sys.argv[1:])
    asyncio.run(main(options.port, options.emulator, options.buckets))
