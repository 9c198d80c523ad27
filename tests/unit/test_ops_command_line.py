"""The command line at night, without a stack: documents lie in a bucket in memory, and `releases` is run on them.

`FUZZ=5000 pytest tests/unit/test_ops_command_line.py` tries more of what may be typed.
"""

import asyncio
import base64
import io
import itertools
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import google.auth
import pytest
import typer
import yaml
from google.api_core.exceptions import Forbidden, NotFound, ServiceUnavailable, TooManyRequests
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from contracts import names
from contracts.documents import DeadLetter
from eventing.errors import Retryable
from eventing.ledger import RunLedger
from ops.cli import watching
from ops.cli.app import app
from ops.cli.render import Terminal
from ops.cli.session import MEANINGS, Exit, run_status
from ops.doctor import examination, proof, site
from ops.doctor.findings import fail, ok
from ops.target import Stack
from tests import nights
from tests.builders import NOW, RUN, TestClock
from tests.fakes.objects import MemoryObjectStore
from tests.fakes.publisher import MemoryPublisher

EXAMPLES = int(os.environ.get("FUZZ", "200"))
ROOT = Path(__file__).parents[2]
CLOUD = ("--project", "p", "--bucket", "b")


class Night:
    """A stack of which only the bucket and the topics are there."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.store = MemoryObjectStore(self.clock)
        self.ledger = RunLedger(self.store)
        self.publisher = MemoryPublisher()

    @asynccontextmanager
    async def opened(self, target: Any, _: Any) -> AsyncIterator[Stack]:
        given: Any = (target, self.store, self.ledger, self.publisher, self.clock)
        yield Stack(*given)


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> Night:
    """What every command speaks to."""
    found = Night()

    @contextmanager
    def warehouse(_: Any) -> Iterator[Any]:
        yield SimpleNamespace(
            query=lambda *_, **__: SimpleNamespace(result=lambda **_: [{"market": "DK", "n": 7}])
        )

    @contextmanager
    def opened(*_: Any) -> Iterator[None]:
        yield None

    monkeypatch.setattr("ops.target.opened", found.opened)
    monkeypatch.setattr("ops.target.warehouse", warehouse)
    monkeypatch.setattr(site, "opened", opened)
    monkeypatch.setattr(
        examination, "examine", lambda *_: iter([ok("topics", "fine"), fail("table", "gone", "make it")])
    )
    monkeypatch.setattr(proof, "quick", lambda *_: iter([ok("delivery", "heard")]))
    monkeypatch.setattr(proof, "dead_letters", lambda *_: iter([ok("dead letter", "seen")]))
    monkeypatch.setattr(watching, "_LOOK_SECONDS", {"cloud": 0.0})
    hours = SimpleNamespace(
        monotonic=itertools.count(step=10**6).__next__
    )  # nobody waits: each look is days later
    monkeypatch.setattr(watching, "time", hours)
    return found


def releases(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*CLOUD, *arguments])


@pytest.mark.parametrize("case", nights.SCENES)
async def test_why_and_what_to_type_stand_where_one_looks(night: Night, case: str) -> None:
    """The same words in `run show`, `why`, `run watch`, `receipt` and for scripts: nobody has to know where to look."""
    why, then = nights.SAID[case]
    typed = then.replace("releases ", f"releases {' '.join(CLOUD)} ")
    await nights.SCENES[case](night.store)
    places = [("run", "show", RUN), ("why", RUN, "DK"), ("run", "watch", RUN, "--timeout", "1")]
    places += [("receipt", RUN)] if case in ("failed", "partial") else []
    for place in places:
        told = await run(*place)
        assert why in " ".join(told.stdout.split()), place
        assert f"next: {typed}" in " ".join(told.stdout.split()), place
    told = json.loads((await run("run", "show", RUN, "--json")).stdout)["cause"]
    assert (why in told["what"], told["command"].startswith(then)) == (True, True)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ServiceUnavailable("away"), "ServiceUnavailable: 503 away"),
        (NotFound("Not found: Table p:music.new_releases"), "NotFound: 404 Not found"),
        (TooManyRequests("Quota exceeded"), "TooManyRequests: 429 Quota exceeded"),
    ],
)
async def test_a_story_is_told_where_the_table_is_away(
    night: Night, monkeypatch: pytest.MonkeyPatch, raised: Exception, said: str
) -> None:
    """It may be what one is called for; and a client left to itself asks it again for ten minutes."""
    await nights.failed(night.store)

    def away(*_: Any, **bounds: Any) -> Any:
        assert bounds["timeout"] < 60
        raise raised

    monkeypatch.setattr("ops.target.warehouse", lambda _: nullcontext(SimpleNamespace(query=away)))
    told = await run("why", RUN, "DK")
    assert told.exit_code == 0
    assert f"were not counted: bigquery: the count failed: {said}" in " ".join(told.stdout.split())
    assert nights.SAID["failed"][0] in " ".join(told.stdout.split())


async def run(*arguments: str) -> Result:
    """A command runs its own event loop, so that it is run beside this one."""
    return await asyncio.to_thread(releases, *arguments)


@pytest.mark.usefixtures("night")
def test_every_command_says_whom_it_speaks_to() -> None:
    """One line, where no script reads it: who is called at night has two windows open."""
    told = releases("run", "list")
    assert (told.exit_code, told.stderr) == (0, "project p, bucket b\n")


async def test_an_answer_comes_in_the_form_that_is_asked_for(night: Night) -> None:
    """JSON and YAML say the same; `--json` stays what it was."""
    await nights.partial(night.store)
    for words in (
        ("run", "list"),
        ("run", "show", RUN),
        ("receipt", RUN),
        ("dead-letter", "list"),
        ("sweep", "--dry-run"),
    ):
        answers = [(await run(*words, *form)).stdout for form in (("--json",), ("-o", "json"), ("-o", "yaml"))]
        assert answers[0] == answers[1]
        assert json.loads(answers[0]) == yaml.safe_load(answers[2])
    watched = (await run("run", "watch", RUN, "--output", "yaml")).stdout
    assert [one["state"] for one in yaml.safe_load_all(watched)] == ["partial"]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "start", "--date", RUN),
        ("run", "close", RUN, "--reason", "r"),
        ("run", "reopen", RUN, "--reason", "r"),
        ("run", "discard", RUN, "--reason", "r"),
        ("replay", RUN, "-m", "DK", "--reason", "r"),
        ("backfill", "--from", RUN, "--to", RUN),
        ("sweep",),
    ],
)
async def test_what_changes_anything_is_shown_or_done_alike(night: Night, words: tuple[str, ...]) -> None:
    """A dry run changes nothing, `--yes` does it, both at once is no answer: of every command that changes anything."""
    await nights.partial(night.store)
    if "close" in words:
        await night.store.write(names.part_name(RUN, "NO"), b"x")
    before = night.store.names()
    assert (await run(*words, "--dry-run")).exit_code == 0
    assert (night.store.names(), night.publisher.published) == (before, [])
    assert (await run(*words, "--dry-run", "--yes")).exit_code == Exit.USAGE
    assert (night.store.names(), night.publisher.published) == (before, [])
    assert (await run(*words, "--yes")).exit_code == 0
    assert night.publisher.published


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("run", "close", RUN, "--reason", "x" * 600), Exit.USAGE, "has 600 characters; say it in 500"),
        (("run", "close", RUN, "--reason", " "), Exit.USAGE, "is empty; say in a few words why"),
        (("sweep", "--reason", "x" * 501), Exit.USAGE, "say it in 500"),
        (("why", RUN, "DK,SE"), Exit.USAGE, "'DK,SE' is not one market"),
        (("dead-letter", "list", "--market", ""), Exit.USAGE, "'' is not one market"),
        (("dead-letter", "list", "--within", "1e300"), Exit.USAGE, "less than or equal to 876000"),
        (("run", "start", "--date", "9999-12-31"), Exit.USAGE, "look at its year"),
        (("run", "show", "0001-01-01"), Exit.NOT_FOUND, "is not known"),
        (("run", "start", "--time-zone", "Europe"), Exit.USAGE, "--time-zone 'Europe' is not known"),
        (("run", "watch", RUN, "--timeout", "nan"), Exit.USAGE, "less than or equal"),
        (("run", "watch", RUN, "--timeout", "1"), Exit.TIMEOUT, "not done within 1 s"),
        (("dead-letter", "show", "7"), Exit.NOT_FOUND, "no dead letter 7"),
        (("doctor",), Exit.FAILED, "project p"),
    ],
)
@pytest.mark.usefixtures("night")
def test_each_status_has_one_meaning(words: tuple[str, ...], status: Exit, told: str) -> None:
    """A script goes by it; and whatever is mistyped is answered in a line."""
    done = releases(*words)
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (status, True), done.exception
    assert told in " ".join(done.stderr.replace("│", " ").split())


def test_the_statuses_are_documented_in_one_place() -> None:
    """The help says what `MEANINGS` says, and so does the runbook; no other page says it in words of its own."""
    told = " ".join(CliRunner().invoke(app, ["-h"]).stdout.split())
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    assert set(MEANINGS) == set(Exit)
    for status, words in MEANINGS.items():
        assert f"{status} {words}" in told
        assert f"| {status} | {words} |" in runbook


@pytest.mark.usefixtures("night")
def test_the_doctor_shows_only_problems_where_asked() -> None:
    """At night sixty lines that are well hide the one that is not."""
    assert "topics: fine" in releases("doctor").stdout
    short = releases("doctor", "--problems").stdout
    assert ("topics: fine" in short, "table: gone" in short, "make it" in short) == (False, True, True)


EACH = [
    ("run", "list"),
    ("run", "show", RUN),
    ("run", "watch", RUN),
    ("run", "start", "--date", RUN),
    ("run", "close", RUN, "--reason", "r"),
    ("run", "reopen", RUN, "--reason", "r"),
    ("run", "discard", RUN, "--reason", "r"),
    ("replay", RUN, "--all", "--reason", "r"),
    ("why", RUN, "DK"),
    ("receipt", RUN),
    ("backfill", "--from", RUN, "--to", RUN),
    ("sweep",),
    ("dead-letter", "list"),
    ("dead-letter", "show", "7"),
    ("dead-letter", "redrive", "--all"),
    ("doctor",),
]
"""Every command, as one may type it."""


def test_every_command_is_among_them() -> None:
    """What is said of each command must hold of the next one, too."""

    def below(group: Any, *before: str) -> Iterator[tuple[str, ...]]:
        for name, found in group.commands.items():
            yield from below(found, *before, name) if hasattr(found, "commands") else [(*before, name)]

    typed = {words[: 2 if words[0] in ("run", "dead-letter") else 1] for words in EACH}
    assert typed == set(below(typer.main.get_command(app)))


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            RefreshError("invalid_grant: reauth related error (invalid_rapt)"),
            "run: gcloud auth application-default login",
        ),
        (DefaultCredentialsError("none"), "run: gcloud auth application-default login"),
        (TransportError("no route"), "cannot be asked about the login (no route)"),
    ],
)
@pytest.mark.parametrize("words", EACH)
def test_an_expired_login_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], raised: Exception, told: str
) -> None:
    """In many companies it expires each day; each of Google's clients would try it again for minutes."""

    class Expired:
        def refresh(self, _: Any) -> None:
            raise raised

    monkeypatch.setattr(google.auth, "default", lambda **_: (Expired(), "p"))
    done = releases(*words)
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (Exit.UNREACHABLE, True)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "content", ["[]", "null", "{", '{"type": "impersonated_service_account"}', None, "folder"]
)
def test_a_file_of_credentials_that_holds_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """A new login would not help: the variable comes first. google-auth raises whatever it stumbles over."""
    file = tmp_path / "key.json"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    done = releases("run", "list")
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (Exit.UNREACHABLE, True), done.exception
    assert "GOOGLE_APPLICATION_CREDENTIALS" in done.stderr
    assert "or unset it and run: gcloud auth application-default login" in done.stderr


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (Forbidden("403 GET ... does not have storage.objects.list access"), "the login has no right to that"),
        (NotFound("404 GET ... The specified bucket does not exist."), "look at --project and --bucket"),
        (RefreshError("invalid_grant: Token has been expired"), "run: gcloud auth application-default login"),
        (TransportError("no route"), "it may work in a moment"),
        (TooManyRequests("429"), "it may work in a moment"),
        (ServiceUnavailable("503"), "it may work in a moment"),
    ],
)
@pytest.mark.parametrize("words", [words for words in EACH if words not in (("doctor",), ("sweep",))])
def test_what_google_refuses_is_told_with_what_helps(
    night: Night, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], raised: Exception, told: str
) -> None:
    """Waiting helps against neither a right that is lacking nor a bucket that is not there: not even a watch waits."""

    async def refused(*_: Any, **__: Any) -> Any:
        raise Retryable("cloud storage: list 'runs/' failed") from raised

    monkeypatch.setattr(night.store, "listing", refused)
    done = releases(*words)
    waits = "watch" in words and "moment" in told
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (
        Exit.TIMEOUT if waits else Exit.UNREACHABLE,
        True,
    )
    assert waits or told in done.stderr


async def test_a_dead_letter_of_any_depth_is_shown(night: Night) -> None:
    """Whoever may publish chooses its data."""
    data = base64.b64encode(b"[" * 100_000).decode()
    letter = DeadLetter(subscription="s", message_id="7", reason="r", data=data, attributes={}, recorded_at=NOW)
    await night.ledger.create_dead_letter(letter)
    assert "[[[[" in (await run("dead-letter", "show", "7")).stdout
    assert json.loads((await run("dead-letter", "show", "7", "--json")).stdout)["decoded"].startswith("[[")


@pytest.mark.parametrize("words", EACH)
def test_a_login_that_expires_under_a_command_is_told_alike(
    night: Night, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """A watch lasts for hours, and Google's words name no command."""

    async def expired(*_: Any, **__: Any) -> Any:
        raise RefreshError("invalid_grant: Token has been expired or revoked.", {"error": "invalid_grant"})

    for port, methods in ((night.store, ("read", "stat", "listing", "create")), (night.publisher, ("publish",))):
        for method in methods:
            monkeypatch.setattr(port, method, expired)
    done = releases(*words)
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (Exit.UNREACHABLE, True)
    told = (
        "Google no longer accepts the login (invalid_grant: Token has been expired or revoked.); run: gcloud auth"
    )
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 2


async def test_a_terminal_goes_on_between_two_looks(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark's half minute is not a picture that stands still: seconds are counted on the terminal's own clock."""
    await nights.landed(night.store, "DK")
    terminal = Terminal(width=120)
    terminal.file = io.StringIO()
    picture = watching._Picture("not there yet", night.clock)
    assert picture() == "not there yet"
    async with night.opened(SimpleNamespace(bucket="b", raw_days=90), None) as stack:
        seen = await run_status(stack, RUN)
    assert seen is not None
    picture.take(seen)
    drawn = []
    for _ in range(2):
        terminal.print(picture())
        drawn.append(terminal.file.getvalue())
        night.clock.advance(seconds=7)
    assert "under way for 5 min 0 s" in drawn[0]
    assert "under way for 5 min 7 s" in drawn[1]


WORDS = (
    *(
        "",
        " ",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "nan",
        "inf",
        "1e400",
        "9" * 400,
        "x" * 600,
        "x" * 5000,
        "\ud800",
        "a\x00b",
    ),
    *(
        RUN,
        "2026-11-31",
        "0001-01-01",
        "0000-01-01",
        "9999-12-31",
        "monday",
        "\uff12\uff10\uff12\uff16-11-23",
        "2026-11-23/../x",
    ),
    *(
        "DK",
        "dk",
        "DK,SE",
        "DK SE",
        "DKK",
        "ÆØ",
        ",",
        "[/bold]",
        "../../etc",
        "Europe",
        "/",
        "table",
        "yaml",
        "banana",
    ),
)


SOUND = (
    f"run start --date {RUN} --market DK --reason r --time-zone Europe/Copenhagen --timeout 1 --wait",
    "run list --limit 3 --output json",
    f"run show {RUN} --output yaml",
    f"run watch {RUN} --revision 1 --timeout 1",
    f"run close {RUN} --reason r",
    f"run reopen {RUN} --reason r --yes",
    f"run discard {RUN} --reason r --yes",
    f"replay {RUN} --market DK --reason r --timeout 1 --wait",
    f"why {RUN} DK --output json",
    f"receipt {RUN} --revision 1",
    f"backfill --from {RUN} --to {RUN} --reason r",
    "sweep --reason r",
    f"dead-letter list --subscription s --matching m --run {RUN} --market DK --within 2",
    "dead-letter show 7",
    "dead-letter redrive 7 --reason r --all --yes",
    "doctor --timeout 1 --prove",
)
"""Every command, as it should be written."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that does something."""
    if not hasattr(command, "commands"):
        yield " ".join(path)
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


def test_every_command_is_tried() -> None:
    """One that is added must not be forgotten below."""
    for leaf in leaves(typer.main.get_command(app)):
        assert any(f"{line} ".startswith(f"{leaf} ") for line in SOUND), leaf


@st.composite
def written(draw: st.DrawFn) -> list[str]:
    """A command as it should be written, but for a word or two."""
    line = draw(st.sampled_from(SOUND)).split()
    for _ in range(draw(st.integers(1, 2))):
        line[draw(st.integers(1, len(line) - 1))] = draw(st.sampled_from(WORDS) | st.text(max_size=9))
    return line


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=written())
def test_no_argument_ends_in_a_traceback(night: Night, line: list[str]) -> None:
    """Whatever is typed is answered, with one of the statuses that are documented."""
    if not night.store.names():
        asyncio.run(nights.partial(night.store))
    done = releases(*line)
    assert done.exception is None or isinstance(done.exception, SystemExit), (line, done.exception)
    assert done.exit_code in set(Exit), (line, done.exit_code)
