"""What the cluster manager is told by its environment."""

from datetime import timedelta
from typing import Self

from pydantic import Field, field_validator, model_validator

from contracts.names import RAW_DAYS
from eventing.settings import Seconds, ServiceSettings, Words
from services.cluster_manager.sizing import FEWEST_WORKERS


class Settings(ServiceSettings):
    """Cluster, job and table."""

    region: str = Field(
        default="europe-west3", pattern=r"^[a-z0-9-]+$", description="Dataproc region of cluster and job."
    )
    temporary_bucket: str | None = Field(
        default=None, description="Bucket for the load's temporary files; BUCKET where it is not set."
    )
    bigquery_dataset: str = Field(default="music", pattern=r"^\w+$", description="Dataset of the table.")
    bigquery_table: str = Field(default="new_releases", pattern=r"^\w+$", description="Table that is loaded.")
    dataproc_emulator_host: str | None = Field(
        default=None, description="host:port of a Dataproc stand-in, spoken to without TLS."
    )
    bigquery_emulator_host: str | None = Field(
        default=None, description="http://host:port of a BigQuery emulator."
    )
    job_main_uri: str | None = Field(
        default=None, description="The Spark job's main.py; gs://BUCKET/jobs/main.py where it is not set."
    )
    job_package_uri: str | None = Field(
        default=None, description="The Spark job's zip; gs://BUCKET/jobs/spark_job.zip where it is not set."
    )
    quarantine_threshold: float = Field(
        default=0.01, ge=0, le=1, description="Share of unreadable records above which the job loads nothing."
    )
    image_version: str = Field(
        default="3.0.2-debian13", description="Dataproc image; pinned to its patch, since defaults move."
    )
    machine_types: Words = Field(
        default=("e2-standard-2", "n2-standard-2"),
        min_length=1,
        description="Machine types of master and workers, in the order in which they are asked for, by comma; the "
        "further ones only where Google has no quota or no machines for those before, so that none should be smaller.",
    )
    zones: Words = Field(
        default=(),
        description="Zones of REGION, by comma, that are asked for one by one where the zone that Dataproc chooses "
        "has no machines; without any, Dataproc chooses each time.",
    )
    machine_mib: int = Field(
        default=256,
        ge=1,
        description="MiB of compressed parts that one machine is trusted with; beyond it a cluster has workers.",
    )
    max_workers: int = Field(
        default=8,
        ge=0,
        le=100,
        description="Workers of a cluster at most; 0 keeps it to one machine, 1 is not possible.",
    )
    disk_gb: int = Field(
        default=50, ge=30, le=2000, description="Boot disk of each machine in GB; Dataproc's own default is 500."
    )
    subnetwork: str | None = Field(
        default=None, description="Subnetwork of the cluster; the default network where it is not set."
    )
    cluster_service_account: str | None = Field(
        default=None, description="E-mail of the account the cluster's machines run as."
    )
    bigquery_connector_version: str = Field(
        default="0.45.0", description="Spark-BigQuery connector installed on the image; pinned."
    )
    cluster_idle_ttl: Seconds = Field(
        default=timedelta(minutes=15),
        ge=timedelta(minutes=5),
        le=timedelta(days=14),
        description="Seconds of idleness after which Dataproc itself deletes the cluster.",
    )
    cluster_max_ttl: Seconds = Field(
        default=timedelta(hours=2),
        ge=timedelta(minutes=10),
        le=timedelta(days=14),
        description="Seconds after which Dataproc itself deletes the cluster, whatever it does.",
    )
    cluster_start_timeout: Seconds = Field(
        default=timedelta(minutes=20),
        gt=timedelta(0),
        description="Seconds after which a cluster that is not running yet is taken for broken.",
    )
    cluster_patience: Seconds = Field(
        default=timedelta(hours=6),
        ge=timedelta(minutes=10),
        description="Seconds for which a decision waits for quota or machines, asking again at growing intervals.",
    )
    job_lost_after: Seconds = Field(
        default=timedelta(minutes=15),
        ge=timedelta(minutes=1),
        description="Seconds after which a job that is active without its cluster is cancelled, and after which a "
        "cancelled one is taken for lost.",
    )
    max_cluster_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Clusters tried for one decision; what was refused for quota or machines does not count.",
    )
    max_job_attempts: int = Field(default=2, ge=1, le=10, description="Jobs tried for one decision.")
    dashboard_url: str | None = Field(
        default=None, description="Address of the dashboard; receipts link to their run there."
    )
    raw_days: int = Field(
        default=RAW_DAYS,
        ge=1,
        description="Days that parts are kept; a run without a newer document is archived, and no sweep looks at it.",
    )
    job_properties: Words = Field(
        default=(), description="Further Spark properties as key=value, by comma; for tuning only."
    )

    @model_validator(mode="after")
    def _zones_are_in_the_region(self) -> Self:
        if strangers := [zone for zone in self.zones if not zone.startswith(f"{self.region}-")]:
            raise ValueError(f"ZONES: are not all in REGION {self.region}; look at {', '.join(strangers)}")
        return self

    @field_validator("max_workers")
    @classmethod
    def _are_none_or_two(cls, value: int) -> int:
        if 0 < value < FEWEST_WORKERS:
            raise ValueError(f"a cluster has no worker or at least {FEWEST_WORKERS}; set 0 or {FEWEST_WORKERS}")
        return value

    @field_validator("job_properties")
    @classmethod
    def _are_pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [entry for entry in value if "=" not in entry]:
            raise ValueError(f"write each as key=value; look at {', '.join(wrong)}")
        return value
