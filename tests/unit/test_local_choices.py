"""What a person may choose, and what each process of the stack is told."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from contracts.names import MARKETS
from local import choices
from local.choices import Addresses, ChoiceError, Credentials
from local.stack import Stack
from ops.surroundings import past_proxies

HOME = Path("somewhere")
TODAY = date(2026, 11, 23)
ADDRESSES = Addresses(
    pubsub="127.0.0.1:1",
    storage="http://127.0.0.1:2",
    bigquery="http://127.0.0.1:3",
    dataproc="127.0.0.1:4",
    secret_manager="127.0.0.1:5",
    simulator="http://127.0.0.1:6",
    services={"scheduler": "http://127.0.0.1:7"},
)


def test_without_a_choice_it_is_the_whole_week_on_the_simulator() -> None:
    """`make demo` alone runs every market against an extended-quota app of the simulator."""
    chosen = choices.read({}, home=HOME, today=TODAY)
    assert chosen.markets == MARKETS
    assert (chosen.app, chosen.spotify, chosen.run_date) == ("extended", None, None)


def test_choices_are_read() -> None:
    """Each documented variable has its effect."""
    chosen = choices.read(
        {"MARKETS": "DK,SE", "RUN_DATE": "2026-11-23", "SPOTIFY_SIMULATOR": "developer"}, home=HOME, today=TODAY
    )
    assert (chosen.markets, chosen.run_date, chosen.app) == (("DK", "SE"), "2026-11-23", "developer")


def test_the_simulator_lists_the_week_of_the_run() -> None:
    """A run of another date meets that week's albums; without a date it is today's."""
    assert choices.read({"RUN_DATE": "2026-11-02"}, home=HOME, today=TODAY).week == date(2026, 11, 2)
    assert choices.read({}, home=HOME, today=TODAY).week == TODAY


def test_faults_of_the_simulator_are_named_or_written_out(tmp_path: Path) -> None:
    """A preset, rules, or a file of rules; what is none of them is refused before anything starts."""
    rules = '[{"effect": "floats"}]'
    (tmp_path / "rules.json").write_text(rules)
    for good in ("no-ids", rules, str(tmp_path / "rules.json")):
        assert choices.read({"SPOTIFY_FAULTS": good}, home=HOME, today=TODAY).faults == good
    assert choices.read({"SPOTIFY_FAULTS": ""}, home=HOME, today=TODAY).faults is None
    for wrong, named in (
        ("no-idds", "quota-without-time"),
        ('[{"effect": "fire"}]', "effect"),
        (str(tmp_path), "no file"),
    ):
        with pytest.raises(ChoiceError, match="SPOTIFY_FAULTS") as raised:
            choices.read({"SPOTIFY_FAULTS": wrong}, home=HOME, today=TODAY)
        assert named in str(raised.value)


def test_all_faults_are_told_together() -> None:
    """Who gets five variables wrong is told so once."""
    wrong = {
        "MARKETS": "dk,SE,SE",
        "RUN_DATE": "2026-02-30",
        "SPOTIFY_SIMULATOR": "big",
        "SPOTIFY_CLIENT_ID": "only",
    }
    with pytest.raises(ChoiceError) as raised:
        choices.read(wrong, home=HOME, today=TODAY)
    told = str(raised.value)
    for part in ("'dk' is not a market", "'SE' is named twice", "'2026-02-30'", "'big'", "SPOTIFY_CLIENT_SECRET"):
        assert part in told


def test_the_simulator_has_only_the_european_markets() -> None:
    """A market that could only be dead-lettered is refused before anything starts; the real API may have it."""
    with pytest.raises(ChoiceError, match="the simulator does not have US"):
        choices.read({"MARKETS": "DK,US"}, home=HOME, today=TODAY)
    real = {"MARKETS": "DK,US", "SPOTIFY_CLIENT_ID": "me", "SPOTIFY_CLIENT_SECRET": "mine"}
    assert choices.read(real, home=HOME, today=TODAY).markets == ("DK", "US")


def test_an_empty_variable_is_no_choice() -> None:
    """`MARKETS= make demo` is `make demo`."""
    empty = dict.fromkeys(("MARKETS", "RUN_DATE", "SPOTIFY_SIMULATOR", "SPOTIFY_CLIENT_ID"), "")
    assert choices.read(empty, home=HOME, today=TODAY) == choices.read({}, home=HOME, today=TODAY)


def test_services_are_told_every_address_and_no_secret() -> None:
    """The credentials reach the fetcher through Secret Manager alone, the rest through the environment."""
    chosen = replace(choices.read({}, home=HOME, today=TODAY), markets=("DK",))
    told = choices.service_environment(chosen, ADDRESSES, {}, {"PATH": "/bin"})
    assert told["SPOTIFY_API_URL"] == "http://127.0.0.1:6/v1"
    assert told["SPOTIFY_IMAGES_URL"] == "http://127.0.0.1:6/image"
    assert told["SPOTIFY_TOKEN_URL"] == "http://127.0.0.1:6/api/token"
    assert told["SPOTIFY_CLIENT_SECRET_SECRET"].startswith("projects/new-releases-local/secrets/")
    assert told["MARKETS"] == "DK"
    assert told["PUBSUB_EMULATOR_HOST"] == "127.0.0.1:1"
    assert not {"SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET"} & set(told)


def test_whom_to_tell_goes_through_secret_manager() -> None:
    """Addresses hold tokens: the notifier is given their secret's name, and nobody is given them."""
    chosen = choices.read({"NOTIFY_URLS": "json://a-token@h"}, home=HOME, today=TODAY)
    told = choices.service_environment(chosen, ADDRESSES, {}, {})
    assert told["NOTIFY_URLS_SECRET"] == "projects/new-releases-local/secrets/notify-urls/versions/latest"
    assert choices.secrets(chosen)["notify-urls"] == "json://a-token@h"
    assert "a-token" not in f"{chosen} {told}"
    nobody = choices.read({}, home=HOME, today=TODAY)
    assert "NOTIFY_URLS_SECRET" not in choices.service_environment(nobody, ADDRESSES, {}, {})


def test_with_credentials_the_real_api_is_asked() -> None:
    """Nothing points the fetcher at a simulator, its default addresses hold, and proxies are let through."""
    caller = {"SPOTIFY_CLIENT_ID": "me", "SPOTIFY_CLIENT_SECRET": "mine", "HTTPS_PROXY": "http://proxy"}
    chosen = choices.read(caller, home=HOME, today=TODAY)
    told = choices.service_environment(chosen, replace(ADDRESSES, simulator=None), caller, {})
    assert chosen.spotify == Credentials("me", "mine")
    of_the_simulator = {
        "SPOTIFY_API_URL",
        "SPOTIFY_IMAGES_URL",
        "SPOTIFY_TOKEN_URL",
        "SPOTIFY_RATE",
        "SPOTIFY_BATCH_QUIET",
    }
    assert not {*of_the_simulator, "SPOTIFY_CLIENT_SECRET"} & set(told)
    assert told["HTTPS_PROXY"] == "http://proxy"
    assert choices.secrets(chosen) == {"spotify-client-id": "me", "spotify-client-secret": "mine"}
    assert "mine" not in repr(chosen)


def test_what_stands_between_us_and_the_real_api_can_be_named() -> None:
    """A gateway, or a simulator that is taken for the real one, is asked in its place."""
    between = {"SPOTIFY_API_URL": "http://gateway/v1", "SPOTIFY_TOKEN_URL": "http://gateway/token"}
    caller = {"SPOTIFY_CLIENT_ID": "me", "SPOTIFY_CLIENT_SECRET": "mine", **between}
    chosen = choices.read(caller, home=HOME, today=TODAY)
    told = choices.service_environment(chosen, replace(ADDRESSES, simulator=None), caller, {})
    assert between.items() <= told.items()


def test_little_of_the_callers_environment_reaches_a_process() -> None:
    """A PORT, a PUBSUB_EMULATOR_HOST or a real account in the caller's shell does not leak into the stack."""
    caller = {
        "PATH": "/bin",
        "HOME": "/me",
        "PUBSUB_EMULATOR_HOST": "other:1",
        "GOOGLE_APPLICATION_CREDENTIALS": "x",
    }
    base = choices.base_environment(caller, root=Path("/clone"), java_home=Path("/java"))
    assert base == {
        "PATH": "/java/bin:/bin",
        "HOME": "/me",
        "PYTHONPATH": "/clone",
        "PYTHONUNBUFFERED": "1",
        "JAVA_HOME": "/java",
        "LC_ALL": "C.UTF-8",
        **past_proxies({}),
    }


def test_no_process_of_the_stack_goes_through_a_proxy_but_the_fetcher_to_spotify() -> None:
    """A dead proxy in the caller's shell ends nothing; a live one is told to who needs it, loopback excepted."""
    caller = {"http_proxy": "http://proxy", "ALL_PROXY": "http://proxy", "NO_PROXY": "inside"}
    base = choices.base_environment(caller, root=Path("/clone"), java_home=Path("/java"))
    chosen = choices.read({}, home=HOME, today=TODAY)
    simulated = choices.service_environment(chosen, ADDRESSES, caller, base)
    assert not {"http_proxy", "ALL_PROXY"} & simulated.keys()
    real = choices.service_environment(chosen, replace(ADDRESSES, simulator=None), caller, base)
    assert real.items() >= {"http_proxy": "http://proxy", "ALL_PROXY": "http://proxy"}.items()
    assert real["no_proxy"] == real["NO_PROXY"] == "inside,127.0.0.1,localhost,::1"


def test_whoever_sources_the_stack_s_environment_reaches_it_past_a_proxy() -> None:
    """A shell's own client would go to loopback through the shell's proxy."""
    stack = Stack(choices.read({}, home=HOME, today=TODAY), {"no_proxy": "inside"})
    stack.addresses = ADDRESSES
    assert stack.client_environment["no_proxy"] == "inside,127.0.0.1,localhost,::1"


@pytest.mark.parametrize("letter", [*"*?[]{}\\,:"])
def test_a_folder_that_spark_would_read_as_a_pattern_is_refused(letter: str) -> None:
    """Before anything starts, and with the letter; all others are taken."""
    home = Path(f'My Projects/Bjørn\'s "R&D" #1 100%20 $HOME (a);`b`~|<e>!{letter}')
    with pytest.raises(ChoiceError) as refused:
        choices.read({}, home=home, today=TODAY)
    assert f"Spark takes {letter} in a path" in str(refused.value)
    assert "STACK_DATA" in str(refused.value)
    choices.read({}, home=Path(str(home).removesuffix(letter)), today=TODAY)
