"""What the market fetcher is told by its environment."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator

from eventing.settings import Seconds, SecretVersion, ServiceSettings

HttpAddress = Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")]
_ZERO = timedelta(0)


class Settings(ServiceSettings):
    """Where Spotify is, as whom we call it, and how much of it we take."""

    spotify_source: Literal["auto", "browse", "search"] = Field(
        default="auto",
        description="How releases are listed: browse (extended-quota apps), search (developer apps), or auto, "
        "which tries browse and falls to search on 403, 404 or 410.",
    )
    spotify_api_url: HttpAddress = Field(
        default="https://api.spotify.com/v1", description="Base address of the Web API."
    )
    spotify_token_url: HttpAddress = Field(
        default="https://accounts.spotify.com/api/token", description="Where access tokens are got."
    )
    spotify_images_url: HttpAddress = Field(
        default="https://i.scdn.co",
        description="Below which address album covers lie; one that lies elsewhere is not taken into the table.",
    )
    spotify_client_id: str | None = Field(default=None, description="Client id of the Spotify app.")
    spotify_client_secret: SecretStr | None = Field(
        default=None, description="Client secret of the Spotify app; never printed."
    )
    spotify_client_id_secret: SecretVersion | None = Field(
        default=None,
        validate_default=True,
        description="Secret Manager version that holds the client id, "
        "as projects/PROJECT/secrets/NAME/versions/latest; or set SPOTIFY_CLIENT_ID.",
    )
    spotify_client_secret_secret: SecretVersion | None = Field(
        default=None,
        validate_default=True,
        description="Secret Manager version that holds the client secret, "
        "as projects/PROJECT/secrets/NAME/versions/latest; or set SPOTIFY_CLIENT_SECRET.",
    )
    secret_manager_emulator_host: str | None = Field(
        default=None, description="host:port of a Secret Manager emulator."
    )
    albums_per_market: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Albums of a market that are fetched; 1000 is where Spotify's search ends.",
    )
    spotify_rate: float = Field(
        default=10.0,
        gt=0,
        le=1000,
        description="Calls a second, counted over Spotify's rolling 30 s, to start with and never to exceed; "
        "Spotify publishes no figure, so it is halved on 429 and recovers within minutes.",
    )
    spotify_parallel: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Calls under way at once; at 50 ms a call more would only make bursts sharper.",
    )
    spotify_batch_quiet: Seconds = Field(
        default=timedelta(milliseconds=50),
        gt=_ZERO,
        le=timedelta(seconds=5),
        description="Seconds without a market on its way before a batch of albums that is not full is asked for.",
    )
    spotify_max_wait: Seconds = Field(
        default=timedelta(seconds=60),
        ge=_ZERO,
        le=timedelta(seconds=300),
        description="Longest wait Spotify may ask for that is waited in the process; beyond it messages are given "
        "back and no call is made until then.",
    )
    spotify_connect_timeout: Seconds = Field(
        default=timedelta(seconds=5), gt=_ZERO, description="Seconds until a connection stands."
    )
    spotify_read_timeout: Seconds = Field(
        default=timedelta(seconds=15),
        gt=_ZERO,
        description="Seconds without a byte; stalls of 30 s were reported.",
    )
    spotify_call_timeout: Seconds = Field(
        default=timedelta(seconds=30), gt=_ZERO, description="Seconds for one whole call."
    )
    fetch_budget: Seconds = Field(
        default=timedelta(seconds=540),
        gt=_ZERO,
        le=timedelta(seconds=570),
        description="Seconds for one delivery; below the push deadline of 600 with room to write the part. What "
        "was fetched by then is in the album cache, and the next delivery goes on from there.",
    )
    album_memory_mib: int = Field(
        default=64,
        ge=16,  # the longest album takes some
        le=4096,
        description="MiB of compressed albums kept in memory between markets; 2400 albums take about 15.",
    )

    @field_validator("spotify_client_id_secret", "spotify_client_secret_secret")
    @classmethod
    def _has_a_source(cls, value: Any, info: ValidationInfo) -> Any:
        """Each half of the credentials has a source. On the field, so that it is told with all other faults."""
        plain = str(info.field_name).removesuffix("_secret")
        if value is None and not info.data.get(plain):
            raise ValueError(f"neither this nor {plain.upper()} is set; set one of them")
        return value
