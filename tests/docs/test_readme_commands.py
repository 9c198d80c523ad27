"""What the README tells a newcomer to type is typed by a test, or named here with what types it."""

import re
import subprocess

import pytest

from tests.docs.markdown_files import ROOT, code, shell

README = ROOT / "README.md"
CHEAP = {"make help": "make demo", "./releases --help": "dead-letter"}
"""Run by a test below; what they print."""

ELSEWHERE = {
    # Every week, from nothing: they fetch what the package depends on.
    "uv tool install .": (".github/workflows/weekly.yml", "uv tool install ."),
    "pipx install .": (".github/workflows/weekly.yml", "pipx install ."),
    # The verb hands on the environment as it is.
    "make demo": ("tests/e2e/test_any_place.py", '"-m", "local", "demo"'),
    "MARKETS=DK,SE make demo": ("tests/e2e/test_any_place.py", '"MARKETS": "DK,SE"'),
    "make test": (".ci/run", "make test"),
    "make up": ("tests/integration/test_local_commands.py", 'local("up"'),
    "make tick": ("tests/integration/test_local_commands.py", 'local("tick"'),
    "make down": ("tests/integration/test_local_commands.py", 'local("down"'),
    "SPOTIFY_SIMULATOR=developer make demo": ("tests/e2e/test_any_place.py", '"SPOTIFY_SIMULATOR": "developer"'),
    "SPOTIFY_FAULTS=floats make demo": ("tests/e2e/test_any_place.py", '"SPOTIFY_FAULTS": "floats"'),
    # Needs an account; that the choice is understood is tested.
    "SPOTIFY_CLIENT_ID=… SPOTIFY_CLIENT_SECRET=… make demo": (
        "tests/unit/test_local_choices.py",
        "test_with_credentials_the_real_api_is_asked",
    ),
}
"""Run elsewhere: file, and what in it runs them."""


def commands() -> set[str]:
    """Every command of the README: lines of its shell blocks, and code that begins as a command does."""
    spans = {span for span in code(README) if re.match(r"(\w+=\S* )*(make|uv|pipx|\./releases|\. )\b|\. ", span)}
    return spans | set(shell(README))


def test_every_command_of_the_readme_is_run_somewhere() -> None:
    """A command that nobody runs is a promise that nobody keeps."""
    assert commands() == set(CHEAP) | set(ELSEWHERE)


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_run_elsewhere_is_run_there(command: str) -> None:
    """The list above must not outlive the tests it leans on."""
    path, text = ELSEWHERE[command]
    assert text in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", ["up", "tick", "down", "demo"])
def test_a_verb_does_what_the_tests_of_the_stack_do(verb: str) -> None:
    """They call `python -m local VERB`; the verb must be no more than that."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    [recipe] = re.findall(rf"^{verb}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert recipe.rstrip().endswith(f"exec $(RUN) -m local {verb}")


@pytest.mark.parametrize("command", CHEAP)
def test_a_cheap_command_does_what_it_says(command: str) -> None:
    """It ends well and tells what it is there to tell."""
    done = run(command)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert CHEAP[command] in done.stdout


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Type a command in the clone."""
    typed = ["/bin/sh", "-c", command]
    return subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
