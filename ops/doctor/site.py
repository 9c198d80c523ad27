"""The stack under examination and the clients that read it; the only module of the doctor that builds clients.

Beside Google's clients there is one authorised session for plain REST calls, to APIs that have no client here and whose
answers are small.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery, dataproc_v1, pubsub_v1, secretmanager_v1, storage

from contracts.topology import Topology
from eventing.dataproc import dataproc
from ops import target as targets
from ops.target import Target

CALL_SECONDS = 20.0
"""How long one call of the doctor may take."""


class Rest:
    """Plain GETs, and POSTs of queries that are too long for a URL."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def get(self, url: str) -> dict[str, Any] | None:
        """The JSON at a URL, or None where there is nothing.

        Raises:
            requests.RequestException: it was refused, or nobody answered.
        """
        response = self._session.get(url, timeout=CALL_SECONDS)
        return None if response.status_code == HTTPStatus.NOT_FOUND else _answer(response)

    def post(self, url: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON that answers a query; nothing is changed by it.

        Raises:
            requests.RequestException: it was refused, or nobody answered.
        """
        return _answer(self._session.post(url, json=dict(question), timeout=CALL_SECONDS))


def _answer(response: requests.Response) -> dict[str, Any]:
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


@dataclass(frozen=True, slots=True)
class Site:
    """A stack, and everything that reads it."""

    target: Target
    topology: Topology
    schema: tuple[Mapping[str, Any], ...]
    """The table's fields, as the schema file has them."""
    views: tuple[str, ...]
    """Names of the views that belong to the table."""
    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient
    storage: storage.Client
    bigquery: bigquery.Client
    clusters: dataproc_v1.ClusterControllerClient
    jobs: dataproc_v1.JobControllerClient
    secrets: secretmanager_v1.SecretManagerServiceClient | None
    """None on a local stack, whose stand-in can only return a secret's value, which the doctor must not read."""
    rest: Rest

    @property
    def is_local(self) -> bool:
        """Whether it is a stack on this machine."""
        return self.target.kind == "local"

    def topic(self, name: str) -> str:
        """A topic's full name."""
        return f"projects/{self.target.project}/topics/{name}"

    def subscription(self, name: str) -> str:
        """A subscription's full name."""
        return f"projects/{self.target.project}/subscriptions/{name}"

    def account(self, identity: str) -> str:
        """E-mail of an account of the project."""
        return f"{identity}@{self.target.project}.iam.gserviceaccount.com"


@contextmanager
def opened(target: Target, topology: Topology, infra: Path) -> Iterator[Site]:
    """Open every client; call `ops.target.follow` first.

    Args:
        target: Which stack.
        topology: What it should be like.
        infra: The folder with `bigquery/`, whose schema file and views are the table's.

    Raises:
        TargetError: there are no credentials for the project.
    """
    credentials = targets.credentials(target)
    store = storage.Client(project=target.project, credentials=credentials)
    publisher = pubsub_v1.PublisherClient()
    session = AuthorizedSession(credentials)
    with ExitStack() as opening:
        opening.callback(store.close)
        opening.callback(publisher.stop)
        opening.callback(session.close)
        found = opening.enter_context(dataproc(target.region, target.environment.get("DATAPROC_EMULATOR_HOST")))
        yield Site(
            target=target,
            topology=topology,
            schema=_schema(infra),
            views=tuple(sorted(path.stem for path in infra.glob("bigquery/views/*.sql"))),
            publisher=publisher,
            subscriber=opening.enter_context(closing(pubsub_v1.SubscriberClient())),
            storage=store,
            bigquery=opening.enter_context(targets.warehouse(target)),
            clusters=found.clusters,
            jobs=found.jobs,
            secrets=None if target.kind == "local" else secretmanager_v1.SecretManagerServiceClient(),
            rest=Rest(session),
        )


def _schema(infra: Path) -> tuple[Mapping[str, Any], ...]:
    fields: list[dict[str, Any]] = json.loads((infra / "bigquery/new_releases.schema.json").read_bytes())
    return tuple(fields)
