"""The operations page is made of what its commands really print."""

from pathlib import Path

import pytest

from local.tools import ROOT
from local.walkthrough import shell, stack_environment, with_output

PAGE = """Before.

```console
$ one
old output
$ two
```

```sh
$ untouched
```
"""


def test_each_command_gets_its_own_output_in_order() -> None:
    """Old output goes, other blocks and prose stay, and commands run once, in order."""
    ran: list[str] = []

    def run(command: str) -> str:
        ran.append(command)
        return f"{command} was run\n"

    written = with_output(PAGE, run)
    assert ran == ["one", "two"]
    assert "$ one\none was run\n\n$ two\ntwo was run\n```" in written
    assert "old output" not in written
    assert written.startswith("Before.")
    assert "```sh\n$ untouched\n```" in written
    assert with_output(written, lambda command: f"{command} was run\n") == written


def test_output_is_plain_and_errors_are_part_of_it() -> None:
    """Colours and trailing blanks would be noise in a page; what a failing command says is the point of some."""
    run = shell({"PATH": "/usr/bin:/bin"})
    assert run(f"echo the stack of {ROOT}/.local") == "the stack of ./.local\n"
    assert run("printf '\\033[31mred\\033[0m  \\n'; echo oops >&2; exit 3") == "red\noops\n"


def test_the_stack_gives_its_addresses(tmp_path: Path) -> None:
    """The page's commands use the names that a person's shell would have."""
    state = tmp_path / "stack.json"
    state.write_text('{"environment": {"BUCKET": "b"}, "spotify": "http://s"}')
    told = stack_environment(state, {"PATH": "/bin"})
    assert (told["BUCKET"], told["SPOTIFY"], told["RELEASES_STACK"]) == ("b", "http://s", str(state))
    assert told["PATH"].split(":") == [str(ROOT), "/bin"]


@pytest.mark.parametrize("word", ["doctor", "dead-letter redrive", "replay", "run close", "backfill"])
def test_the_page_shows_every_kind_of_work(word: str) -> None:
    """Whoever operates the pipeline finds each command once with its real output."""
    assert f"$ releases {word}" in (ROOT / "docs" / "operations.md").read_text()
