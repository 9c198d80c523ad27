"""What the market fetcher is told by its environment."""

import pytest

from contracts.faults import ContractError
from eventing.settings import load
from services.market_fetcher.settings import Settings

BASE = {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1"}
PLAIN = {"SPOTIFY_CLIENT_ID": "id", "SPOTIFY_CLIENT_SECRET": "hush-hush"}
VERSION = "projects/p/secrets/s/versions/latest"


def faults(environment: dict[str, str]) -> str:
    with pytest.raises(ContractError) as caught:
        load(Settings, environment)
    return "\n".join(map(str, caught.value.faults))


@pytest.mark.parametrize(
    "given",
    [
        PLAIN,
        {"SPOTIFY_CLIENT_ID_SECRET": VERSION, "SPOTIFY_CLIENT_SECRET_SECRET": VERSION},
        {"SPOTIFY_CLIENT_ID": "id", "SPOTIFY_CLIENT_SECRET_SECRET": VERSION},
    ],
)
def test_each_half_of_the_credentials_has_a_source(given: dict[str, str]) -> None:
    """The id is no secret, so only the secret half needs to be in Secret Manager."""
    assert load(Settings, BASE | given).spotify_source == "auto"


def test_all_faults_are_told_together() -> None:
    """Whoever mends the environment sees everything at once, credentials and ranges alike."""
    told = faults(BASE | {"SPOTIFY_SOURCE": "guess", "ALBUMS_PER_MARKET": "1001", "FETCH_BUDGET": "600"})
    for name in (
        "SPOTIFY_SOURCE",
        "ALBUMS_PER_MARKET",
        "FETCH_BUDGET",
        "SPOTIFY_CLIENT_ID_SECRET",
        "SPOTIFY_CLIENT_SECRET_SECRET",
    ):
        assert f"{name}: " in told


def test_a_secret_is_named_by_its_version() -> None:
    """A bare secret name would fail at the first delivery instead of at start."""
    assert "SPOTIFY_CLIENT_ID_SECRET" in faults(BASE | PLAIN | {"SPOTIFY_CLIENT_ID_SECRET": "spotify-client-id"})


def test_the_secret_is_never_printed() -> None:
    """Neither the settings nor a fault in them show the client secret."""
    assert "hush-hush" not in repr(load(Settings, BASE | PLAIN))
    assert "hush-hush" not in faults(BASE | PLAIN | {"SPOTIFY_RATE": "0"})
