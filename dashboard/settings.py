"""What the dashboard is told by its environment."""

from datetime import timedelta
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from eventing.settings import Seconds

Part = Literal["covers", "figures", "artists", "comparison", "data"]
"""What an operator may leave out; docs/spotify-terms.md says why one would."""
SPOTIFY_IMAGES: Final = "https://i.scdn.co"


def _are_parts(text: str) -> str:
    unknown = sorted({part.strip() for part in text.split(",") if part.strip()} - set(get_args(Part)))
    if unknown:
        raise ValueError(f"{', '.join(unknown)} cannot be left out; write some of {', '.join(get_args(Part))}")
    return text


class Settings(BaseModel):
    """Where the data are, and what a look at them may cost."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    port: int = Field(default=8080, ge=0, le=65535, description="Where the dashboard listens, as on Cloud Run.")
    host: str | None = Field(
        default=None, description="Address the dashboard listens on; all of the container's where it is not set."
    )
    google_cloud_project: str = Field(min_length=1, description="Project of bucket and table.")
    bucket: str = Field(min_length=1, description="Bucket of the runs' documents.")
    bigquery_dataset: str = Field(default="music", min_length=1, description="Dataset of the views.")
    storage_emulator_host: str | None = Field(
        default=None, description="http://host:port of a Cloud Storage emulator."
    )
    bigquery_emulator_host: str | None = Field(
        default=None, description="http://host:port of a BigQuery emulator."
    )
    history_days: int = Field(
        default=371, ge=14, le=3700, description="How far back weeks are offered: a year and the run before it."
    )
    maximum_bytes_billed: int = Field(
        default=1024**3,
        ge=10 * 1024**2,
        description="Bytes that one query may be billed for; BigQuery refuses a larger one. 10 MiB is its own least.",
    )
    query_seconds: Seconds = Field(
        default=timedelta(seconds=30), ge=timedelta(seconds=1), description="How long one query may take."
    )
    cache_seconds: Seconds = Field(
        default=timedelta(minutes=10), ge=timedelta(0), description="How long answers of the table are kept."
    )
    spotify_images_url: str = Field(
        default=SPOTIFY_IMAGES,
        pattern=r"^https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$",
        description="Below which album covers lie: the one address beside its own that the page asks. Any other than "
        "Spotify's own means a simulator, and the page says that its data are invented.",
    )
    leave_out: Annotated[str, AfterValidator(_are_parts)] = Field(
        default="",
        description="What the page does not show, by comma: covers, figures (charts and counts), artists (pages of "
        "artists), comparison (weeks side by side), data (files to download).",
    )
    spotify_logo: str = Field(
        default="",
        pattern=r"^(data:image/(svg\+xml|png);base64,[A-Za-z0-9+/]+=*)?$",
        description="Spotify's full logo, as Spotify gives it away, as a data address (data:image/svg+xml;base64,…); "
        "the name is written where it is not set.",
    )
    embed_in: str = Field(
        default="",
        pattern="^(https://[A-Za-z0-9.*-]+(:[0-9]+)?( https://[A-Za-z0-9.*-]+(:[0-9]+)?)*)?$",
        description="Sites that may show the page in a frame, by space, such as https://intranet.example.com; none may "
        "where it is not set.",
    )
    console_url: str = Field(
        default="https://console.cloud.google.com",
        description="Where the run view's links to logs, cluster and job lead; empty where there is no console.",
    )
    region: str = Field(
        default="europe-west3", min_length=1, description="Region of the clusters, for the run view's links."
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Least severity that is logged: DEBUG, INFO, WARNING or ERROR.",
    )

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts that are not shown, in order."""
        return tuple(sorted({part.strip() for part in self.leave_out.split(",") if part.strip()}))

    @property
    def is_invented(self) -> bool:
        """Whether the table is filled from a simulator: covers that lie elsewhere than Spotify's are not Spotify's."""
        return bool(self.spotify_images_url != SPOTIFY_IMAGES)
