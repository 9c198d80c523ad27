"""Which stack a command speaks to, local or in the cloud, and its clients; the one place of `ops` that builds any.

A stack that `make up` started in this folder is the default; naming a project, in an option or in the environment,
asks for that project instead. Google's client libraries follow the emulator variables of the process by
themselves, so those of a local stack are set before the first client is made, and unset for a project.
"""

import asyncio
import os
import re
import shlex
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager, asynccontextmanager, closing
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

import google.auth
import requests
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
from google.auth import environment_vars
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.auth.transport.requests import Request
from google.cloud import bigquery, pubsub_v1, storage

from contracts.documents import Order
from contracts.events import OwnEvent
from contracts.names import RAW_DAYS
from contracts.wording import cut, shown
from eventing.clients import anonymous
from eventing.clock import Clock, system_clock
from eventing.errors import Retryable
from eventing.ledger import RunLedger
from eventing.objects import GcsObjectStore
from eventing.publisher import PubSubPublisher
from ops import record
from ops.orders import Kind, give_order

_PACKAGED: Final = Path(__file__).parent / "infra"
INFRA: Final = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[1] / "infra"
"""The description of a stack: in the package when installed (by pyproject.toml), else in the clone."""
TOPOLOGY: Final = INFRA / "topology.json"
_LOGIN: Final = "gcloud auth application-default login"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_SECONDS: Final = 20
_NO_LOGIN: Final = (DefaultCredentialsError, OSError, AttributeError, TypeError, ValueError)
"""google-auth opens whatever file it finds, and takes it for an object."""
_SHOWN: Final = 200  # characters of an error of Google's
STATE_FILE: Final = Path(".local") / record.FILE
_EMULATORS: Final = (
    "PUBSUB_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
    "BIGQUERY_EMULATOR_HOST",
    "DATAPROC_EMULATOR_HOST",
    "SECRET_MANAGER_EMULATOR_HOST",
)


class TargetError(Exception):
    """There is no stack, or it cannot be used; says what to do."""


class UnclearTargetError(TargetError):
    """Two stacks are named where one is meant; says how to name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One stack: names and addresses, nothing opened."""

    kind: Literal["local", "cloud"]
    project: str
    bucket: str
    region: str
    dataset: str
    table: str
    environment: Mapping[str, str]
    """The emulator variables of a local stack; empty for a project."""
    services: Mapping[str, str]
    """URL of each service of a local stack; empty for a project, whose services take no caller but Pub/Sub."""
    dashboard: str | None = None
    folder: Path | None = None
    """The folder with the record of a local stack; None for a project."""
    raw_days: int = RAW_DAYS
    """Days that raw parts are kept; older runs are archived."""
    named: str = ""
    """The options by which the caller named it; further commands to the same stack need them, too."""

    @property
    def table_id(self) -> str:
        """`project.dataset.table`."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def described(self) -> str:
        """One line for a person."""
        place = f"the local stack of {self.folder}" if self.kind == "local" else f"project {self.project}"
        return f"{place}, bucket {self.bucket}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the caller named; None where nothing."""

    stack: Path | None = None
    """The state file of a local stack, or its folder."""
    project: str | None = None
    bucket: str | None = None
    region: str | None = None

    @property
    def words(self) -> str:
        """As it is typed."""
        return shlex.join(
            word
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
            for word in (f"--{field.name}", str(value))
        )


def find(wanted: Wanted, environment: Mapping[str, str], *, folder: Path) -> Target:
    """The stack that is meant.

    In this order: the stack that was named, the project that was named, a stack that is up in `folder` or above
    it, the project of the environment (GOOGLE_CLOUD_PROJECT, BUCKET, REGION, BIGQUERY_DATASET, BIGQUERY_TABLE,
    RAW_DAYS).

    Raises:
        TargetError: there is none, or what was named is none.
    """
    return replace(_find(wanted, environment, folder), named=wanted.words)


def _find(wanted: Wanted, environment: Mapping[str, str], folder: Path) -> Target:
    if wanted.stack is not None and wanted.project is not None:
        raise UnclearTargetError("--stack and --project: name one of them, not both")
    if wanted.stack is not None:
        return _local(wanted.stack / STATE_FILE.name if os.path.isdir(wanted.stack) else wanted.stack)  # noqa: PTH112 -- a name that is too long is no folder
    if wanted.project is None:
        state = next((up / STATE_FILE for up in (folder, *folder.parents) if _is_there(up / STATE_FILE)), None)
        if state is not None:
            return _agreed(_local(state), environment)
    return _cloud(wanted, environment)


def _agreed(target: Target, environment: Mapping[str, str]) -> Target:
    """The stack of this folder, unless the environment names another, so that nobody mistakes one for the other.

    Raises:
        UnclearTargetError: the environment names another.
    """
    told = {"GOOGLE_CLOUD_PROJECT": target.project, "BUCKET": target.bucket, **target.environment}
    for name, value in told.items():
        if (other := environment.get(name)) and other != value:
            raise UnclearTargetError(
                f"the stack of this folder has {name}={value}, and the environment says {other}: unset it, or say "
                f"which one is meant, with --stack {target.folder} or --project"
            )
    return target


def _is_there(file: Path) -> bool:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        return True  # reading it will fail and say so
    return True


def _local(state: Path) -> Target:
    try:
        found = record.read(state)
        told = found.environment
        return Target(
            kind="local",
            project=told["GOOGLE_CLOUD_PROJECT"],
            bucket=told["BUCKET"],
            region=told["REGION"],
            dataset=told["BIGQUERY_DATASET"],
            table=told["BIGQUERY_TABLE"],
            environment={name: told[name] for name in _EMULATORS},
            services=found.services,
            dashboard=found.dashboard,
            folder=state.parent,
        )
    except FileNotFoundError:
        raise TargetError(f"{state}: no stack is up there; start one with: make up, in a clone") from None
    except record.RecordError as error:
        raise TargetError(str(error)) from error
    except KeyError as error:
        raise TargetError(
            f"{state}: lacks {error}; end that stack and start it again: make down, then make up"
        ) from None


def _cloud(wanted: Wanted, environment: Mapping[str, str]) -> Target:
    emulator = next((name for name in _EMULATORS if environment.get(name)), None)
    if wanted.project is None and emulator:
        raise TargetError(
            f"the environment names a local stack ({emulator}={environment[emulator]}) and none is up in this folder: "
            "start it again with `make up`, or name it with --stack FOLDER, or a project with --project"
        )
    project = wanted.project or environment.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise TargetError(
            "no stack is up in this folder and no project is named; start a stack with `make up` in a clone, or name "
            "a project with --project or GOOGLE_CLOUD_PROJECT"
        )
    bucket = wanted.bucket or environment.get("BUCKET")
    if not bucket:
        raise TargetError("no bucket is named; give --bucket or BUCKET: `terraform output bucket` tells it")
    return Target(
        kind="cloud",
        project=project,
        bucket=bucket,
        region=wanted.region or environment.get("REGION") or "europe-west3",
        dataset=environment.get("BIGQUERY_DATASET") or "music",
        table=environment.get("BIGQUERY_TABLE") or "new_releases",
        environment={},
        services={},
        raw_days=_raw_days(environment),
    )


def _raw_days(environment: Mapping[str, str]) -> int:
    told = environment.get("RAW_DAYS") or str(RAW_DAYS)
    if not re.fullmatch(r"[0-9]{1,5}", told):
        raise TargetError(
            f"RAW_DAYS: {shown(told)} is not a number of days; `raw_days` of the stack's Terraform tells it"
        )
    return int(told)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack with its bucket and topics opened."""

    target: Target
    store: GcsObjectStore
    ledger: RunLedger
    publisher: PubSubPublisher
    clock: Clock

    async def ask(self, events: Iterable[OwnEvent]) -> None:
        """Publish what an operator asks for."""
        await self.publisher.publish(events, cause=f"operator/{self.clock().isoformat()}")

    async def order(self, run_id: str, kind: Kind, reason: str) -> Order:
        """Give an operator's order about a run; see `ops.orders`."""
        return await give_order(
            self.ledger, self.publisher, run_id=run_id, kind=kind, reason=reason, now=self.clock()
        )


@asynccontextmanager
async def opened(
    target: Target, process_environment: MutableMapping[str, str], *, clock: Clock = system_clock
) -> AsyncIterator[Stack]:
    """Open the bucket and the topics of a stack.

    Raises:
        TargetError: there are no credentials for the project, or the local stack does not answer.
    """
    follow(target, process_environment)
    if target.folder is not None:
        await asyncio.to_thread(_require_running, target.folder)
        await asyncio.to_thread(_require_answer, target.environment["STORAGE_EMULATOR_HOST"])
    known = await asyncio.to_thread(credentials, target)
    client = storage.Client(project=target.project, credentials=known)
    publishing = pubsub_v1.PublisherClient(credentials=known if target.kind == "cloud" else None)
    store = GcsObjectStore(client, target.bucket)
    publisher = PubSubPublisher(publishing, project=target.project, source="operator", clock=clock)
    try:
        yield Stack(target, store, RunLedger(store), publisher, clock)
    finally:
        await publisher.aclose()
        await store.aclose()


def credentials(target: Target) -> Credentials:
    """The caller's credentials, with a token: with an expired login each client would try again for minutes.

    Raises:
        TargetError: there are none for a project, Google no longer accepts them, or it cannot be asked.
    """
    if target.kind == "local":
        return anonymous()
    try:
        found, _ = google.auth.default(scopes=[_SCOPE])
        found.refresh(partial(Request(), timeout=_TOKEN_SECONDS))
    except _NO_LOGIN as error:
        raise TargetError(_without_login(error)) from None
    except RefreshError as error:
        raise TargetError(expired(error)) from error
    except GoogleAuthError as error:
        raise TargetError(
            f"Google cannot be asked about the login ({_words(error)}); is there a network?"
        ) from error
    return found


def _without_login(error: Exception) -> str:
    if not (file := process_environment().get(environment_vars.CREDENTIALS)):
        return f"no credentials for Google Cloud; run: {_LOGIN}"
    why = error.strerror if isinstance(error, OSError) else _words(error)
    return (
        f"{environment_vars.CREDENTIALS}: {shown(file)} holds no credentials ({why}); name a file that does, or "
        f"unset it and run: {_LOGIN}"
    )


def expired(error: RefreshError) -> str:
    """The error for a login that expired before a command or during it."""
    return f"Google no longer accepts the login ({_words(error)}); run: {_LOGIN}"


def remedy_of(error: Retryable) -> str | None:
    """What helps where Google has refused; None where waiting may."""
    match error.__cause__:
        case Forbidden():
            return (
                "the login has no right to that; have it given, or name another stack with --project and --bucket"
            )
        case RefreshError() as refused:
            return expired(refused)
        case NotFound():
            return "there is none in this project; look at --project and --bucket"
        case _:
            return None


def _words(error: Exception) -> str:
    return cut(str(error.args[0] if error.args else type(error).__name__), _SHOWN)


def follow(target: Target, process_environment: MutableMapping[str, str]) -> None:
    """Make Google's clients of this process speak to the target and to nothing else."""
    for name in _EMULATORS:
        process_environment.pop(name, None)
    process_environment.update(target.environment)


def _require_running(folder: Path) -> None:
    """Check that the stack of a record runs: clients of one that is gone would retry for a long time.

    Raises:
        TargetError: it does not.
    """
    try:
        record.running(folder)
    except (record.NotRunningError, record.RecordError) as error:
        raise TargetError(str(error)) from None
    except OSError as error:
        raise TargetError(f"{error.filename}: {error.strerror}; mend or remove it, then: make up") from error


def _require_answer(url: str) -> None:
    """Check that storage answers: one process may hang, or another program may have taken its port.

    Raises:
        TargetError: it does not.
    """
    try:
        is_storage = requests.get(f"{url}/storage/v1/b?project=any", timeout=5).json()["kind"] == "storage#buckets"
    except (requests.RequestException, ValueError, LookupError, TypeError):
        is_storage = False
    if not is_storage:
        raise TargetError(f"the local stack does not answer at {url}; start it again: `make down`, then `make up`")


def warehouse(target: Target) -> AbstractContextManager[bigquery.Client]:
    """The table; call `follow` first."""
    credentials = anonymous() if target.kind == "local" else None
    return closing(bigquery.Client(project=target.project, credentials=credentials))


GOOGLE_ERRORS: Final = (GoogleAPIError, GoogleAuthError, requests.RequestException)
"""What the clients above raise when Google, or an emulator, does not do what it was asked to."""
LoginExpired = RefreshError
"""One of them: nothing works until the caller has logged in again."""


def process_environment() -> MutableMapping[str, str]:
    """The environment of this process: where Google's client libraries look for emulators."""
    return os.environ
