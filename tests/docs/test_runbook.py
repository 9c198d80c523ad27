"""What the runbook tells somebody to type at night is taken by the tool it is typed for.

Each `./releases` line goes through the command line's own parser. Google's tools are not here: their lines are held
against the commands and options below, which were read in Google's reference of each.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli import session
from ops.cli.app import app
from tests.docs.markdown_files import ROOT, code, shell

PAGES = (ROOT / "docs" / "runbook.md", ROOT / "docs" / "operations.md", ROOT / "infra" / "README.md")
RUNBOOK = PAGES[0]
GIVEN = {
    "$PROJECT": "my-project",
    "$REGION": "europe-west3",
    "$BUCKET": "my-bucket",
    "$RUN": "2026-11-23",
}
"""What the runbook's first block sets."""

PROJECT = {"--project"}
KNOWN = {
    "gcloud run services update": PROJECT | {"--region", "--update-env-vars"},
    "gcloud logging read": PROJECT | {"--freshness", "--order", "--format"},
    "gcloud pubsub topics publish": PROJECT | {"--message", "--attribute"},
    "gcloud pubsub subscriptions pull": PROJECT | {"--limit", "--format", "--auto-ack"},
    "gcloud pubsub subscriptions seek": PROJECT | {"--time"},
    "gcloud scheduler jobs run": PROJECT | {"--location"},
    "gcloud scheduler jobs resume": PROJECT | {"--location"},
    "gcloud scheduler jobs describe": PROJECT | {"--location"},
    "gcloud storage cat": set(),
    "gcloud storage cp": {"--if-generation-match", "--recursive"},
    "gcloud storage ls": {"--all-versions", "--recursive"},
    "gcloud storage rm": {"--all-versions", "--recursive"},
    "gcloud dataproc clusters list": PROJECT | {"--region", "--filter"},
    "gcloud dataproc clusters delete": PROJECT | {"--region"},
    "gcloud dataproc operations list": PROJECT | {"--region"},
    "gcloud auth application-default login": set(),
    "bq query": {"--use_legacy_sql"},
    "bq show": {"--format"},
    "terraform -chdir=infra apply": set(),
    "terraform -chdir=infra output": {"-raw"},
}
"""Commands of Google's tools and Terraform, and their options."""


def commands(beginning: str) -> list[str]:
    """Every command of the runbook, in a block or in a line, that begins so; in a pipe, its own part of it."""
    text = re.sub(r"\\\n\s*", "", RUNBOOK.read_text(encoding="utf-8"))
    blocks = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    whole = [
        part for line in [*blocks, *code(RUNBOOK)] for part in re.split(r" \| ", re.sub(r"\s+# .*", "", line))
    ]
    return sorted({part for part in whole if part.startswith(beginning)})


def typed(command: str) -> list[str]:
    """Its words, as the shell gives them."""
    for name, value in GIVEN.items():
        command = command.replace(name, value)
    return shlex.split(command)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be done; nothing is."""
    done: list[Any] = []
    monkeypatch.setattr(session, "act", lambda context, _: done.append(context))
    return done


@pytest.mark.parametrize("command", commands("./releases "))
def test_the_command_line_takes_what_the_runbook_says(command: str, parsed: list[Any]) -> None:
    """An option that is demanded and not written costs the minute that is not there."""
    words = typed(command)[1:]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, len(parsed)) == (0, 1), (command, done.stderr)


@pytest.mark.parametrize("command", sorted({*commands("gcloud "), *commands("bq "), *commands("terraform ")}))
def test_what_is_typed_for_google_is_a_command_there(command: str) -> None:
    """A verb or an option that does not exist is found here, and not at night."""
    found = [known for known in KNOWN if f"{command} ".startswith(f"{known} ")]
    assert found, command
    options = {
        word.partition("=")[0] for word in typed(command)[len(found[0].split()) :] if re.match(r"--?[a-z]", word)
    }
    assert options <= KNOWN[found[0]]


def test_every_name_that_a_command_uses_is_set() -> None:
    """A variable that nobody has set is an empty word in a command that deletes."""
    (first, *_) = re.findall(r"```sh\n(.*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL)
    set_there = {f"${name}" for name in re.findall(r"(\w+)=", first)}
    used = {name for line in [*shell(RUNBOOK), *code(RUNBOOK)] for name in re.findall(r"\$[A-Z_]+", line)}
    assert used - {"$GOOGLE_CLOUD_PROJECT"} <= set_there
    assert set(GIVEN) <= set_there


def test_the_walk_uses_what_a_shell_of_the_stack_has() -> None:
    """`. .local/env` sets each address that the operations page names."""
    written = (ROOT / "local" / "detached.py").read_text(encoding="utf-8")
    assert '"SPOTIFY": stack.addresses.simulator' in written
    assert "`. .local/env` sets" in PAGES[1].read_text(encoding="utf-8")


def _spans() -> Iterator[str]:
    for page in PAGES:
        yield from code(page)


def test_no_page_leaves_a_demanded_reason_out() -> None:
    """`close` and `reopen` ask why, wherever they are named with a run."""
    bare = [
        span for span in _spans() if re.search(r"run (close|reopen|discard) \S+", span) and "--reason" not in span
    ]
    assert bare == []
