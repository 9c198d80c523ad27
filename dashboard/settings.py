"""What the dashboard is told by its environment."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from eventing.settings import Seconds


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
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Least severity that is logged: DEBUG, INFO, WARNING or ERROR.",
    )
