"""The notifier as a process of its own: a real mail server and a real web server are told, by what the views say."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from contracts.events import RunFinished
from contracts.names import receipt_name
from eventing.bigquery import BigQuery as Questions
from local.bigquery import BigQuery
from local.choices import PROJECT
from local.processes import Ports, Supervisor
from local.pubsub import PubSub
from local.spotify.catalogue import Catalogue
from local.spotify.shapes import Json
from local.storage import Storage
from services.notifier.adapters.warehouse import ViewsWarehouse
from tests.browser import year
from tests.builders import RUN, receipt
from tests.integration.services import Cloud, Running, cloud, service

pytestmark = pytest.mark.emulator

DATASET = "notices"
WEEK = date.fromisoformat(RUN)
MARKETS = ("DE", "DK", "SE")
FINISHED = RunFinished(run_id=RUN, revision=1, outcome="loaded", receipt_uri="gs://b/r")


@dataclass
class Mailbox:
    """A mail server's, by aiosmtpd."""

    mails: list[Any] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- theirs
        self.mails.append(message_from_bytes(envelope.content or b"", policy=default))  # type: ignore[arg-type]
        return "250 OK"


@dataclass
class Hook:
    """A web server that takes messages, and refuses the first ones."""

    url: str = ""
    refuses: int = 0
    asked: int = 0
    taken: list[Json] = field(default_factory=list)

    def take(self, body: bytes) -> int:
        self.asked += 1
        if self.asked <= self.refuses:
            return 503
        self.taken.append(json.loads(body))
        return 200


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A mail server and its address."""
    kept, ports = Mailbox(), Ports()
    port = ports.take()
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    yield kept, f"mailto://127.0.0.1:{port}?from=us@example.com&to=team@example.com"
    server.stop()
    ports.release()


@contextmanager
def hooked(*, refuses: int = 0) -> Iterator[Hook]:
    hook = Hook(refuses=refuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(hook.take(self.rfile.read(int(self.headers["Content-Length"]))))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    hook.url = f"json://me:TOKEN@127.0.0.1:{server.server_port}/hook"
    yield hook
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def weeks() -> list[list[Json]]:
    """What the table holds of two weeks; an album of the newer one was known to one market."""
    before, now = WEEK - timedelta(days=7), WEEK
    known, rows = (
        Catalogue(1, day).expected_rows(MARKETS, "browse", 50, run_id=day.isoformat()) for day in (before, now)
    )
    return [[*known, {**rows[0], "load_date": before, "run_id": before.isoformat()}], rows]


@pytest.fixture(scope="module")
def views(bigquery: BigQuery, weeks: list[list[Json]]) -> BigQuery:
    """Both weeks, with the views as the stack makes them."""
    year.furnish(bigquery, dataset=DATASET)
    year.load_rows(bigquery, weeks, dataset=DATASET)
    return bigquery


@pytest.fixture
def world(pubsub: PubSub, storage: Storage, views: BigQuery, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """A bucket of the test's own, with a receipt, and the table."""
    told = {"BIGQUERY_DATASET": DATASET, "BIGQUERY_EMULATOR_HOST": views.url, "GOOGLE_CLOUD_PROJECT": PROJECT}
    name = f"it-{abs(hash(request.node.name)) % 10**9}"
    with cloud(pubsub, storage.url, name=name, environment=told) as made:
        made.bucket.blob(receipt_name(RUN, 1)).upload_from_string(receipt().to_json())
        yield made


@contextmanager
def notifier(world: Cloud, tmp_path: Path, *urls: str) -> Iterator[Running]:
    told = {**world.environment, "NOTIFY_URLS": " ".join(urls), "LOG_LEVEL": "DEBUG"}
    with Supervisor(tmp_path) as supervisor, service(supervisor, "notifier", told) as running:
        yield running


def test_the_views_say_what_a_week_brought(views: BigQuery, weeks: list[list[Json]]) -> None:
    """Against plain Python over the same rows: each release once, with its markets, now and the week before."""
    client = views.client(PROJECT)
    week = asyncio.run(ViewsWarehouse(Questions(client), f"{PROJECT}.{DATASET}").week(RUN))
    client.close()
    known, now = (_markets(rows) for rows in weeks)
    assert week.before == WEEK - timedelta(days=7)
    found = sorted((sorted(one.markets), sorted(one.known)) for one in week.releases)
    assert found == sorted((sorted(markets), sorted(known.get(album, ()))) for album, markets in now.items())
    assert any(one.known for one in week.releases)
    assert {one.name for one in week.releases} == {row["album_name"] for row in weeks[1]}
    assert all(one.artists for one in week.releases)


def _markets(rows: list[Json]) -> dict[str, set[str]]:
    found = defaultdict(set)
    for row in rows:
        found[row["album_id"]].add(row["market"])
    return found


def test_mail_and_hook_are_told_once_however_often_the_event_comes(
    world: Cloud, mailbox: tuple[Mailbox, str], tmp_path: Path, weeks: list[list[Json]]
) -> None:
    """Twice at once and once more: one mail, one call, and no token in the log."""
    box, address = mailbox
    with hooked() as hook, notifier(world, tmp_path, address, hook.url) as running:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: running.post(FINISHED).status_code, range(2)))
        assert set(answers) <= {204, 503}  # 503 twice, where each told one of the two
        assert running.post(FINISHED).status_code == 204
        (mail,), (called,) = box.mails, hook.taken
        assert mail["subject"] == called["title"]
        new = set(_markets(weeks[1])) - set(_markets(weeks[0]))
        assert called["title"] == f"New Releases {RUN}: {len(new)} new releases in 3 markets"
        assert "in every market" in called["message"]
        assert "in every market" in mail.get_body(("html", "plain")).get_content()
        assert len(running.logged("told")) == 2
        assert "TOKEN" not in running.log.read_text()


def test_who_refuses_is_told_later_and_nobody_else_again(
    world: Cloud, mailbox: tuple[Mailbox, str], tmp_path: Path
) -> None:
    """503 gives the delivery back; the next one finds who was told."""
    box, address = mailbox
    with hooked(refuses=1) as hook, notifier(world, tmp_path, address, hook.url) as running:
        answer = running.post(FINISHED)
        assert answer.status_code == 503
        assert "was refused with 503" in answer.text
        assert "TOKEN" not in answer.text
        assert running.post(FINISHED).status_code == 204
        assert (len(box.mails), hook.asked, len(hook.taken)) == (1, 2, 1)
        assert "TOKEN" not in running.log.read_text()


def test_with_nobody_named_it_says_so_and_acknowledges(world: Cloud, tmp_path: Path) -> None:
    """A stack that tells nobody is well."""
    with notifier(world, tmp_path) as running:
        assert [running.post(FINISHED).status_code for _ in range(2)] == [204, 204]
        assert len(running.logged("nobody_is_told")) == 1
