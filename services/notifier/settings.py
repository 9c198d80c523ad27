"""What the notifier is told by its environment."""

from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr

from eventing.settings import SecretVersion, ServiceSettings, ZoneName


class Settings(ServiceSettings):
    """Whom to tell, and where to look what the week brought."""

    notify_urls: SecretStr | None = Field(
        default=None,
        description="Whom to tell: addresses as Apprise writes them, such as mailtos://…, slack://…, msteams://…, "
        "matrixs://… or jsons://… for a webhook, separated by spaces or lines; never printed.",
    )
    notify_urls_secret: SecretVersion | None = Field(
        default=None,
        description="Secret Manager version that holds such addresses, "
        "as projects/PROJECT/secrets/NAME/versions/latest; it goes before NOTIFY_URLS. With neither nobody is told.",
    )
    secret_manager_emulator_host: str | None = Field(
        default=None, description="host:port of a Secret Manager emulator."
    )
    bigquery_dataset: str = Field(default="music", pattern=r"^[A-Za-z0-9_]+$", description="Dataset of the views.")
    bigquery_emulator_host: str | None = Field(
        default=None, description="http://host:port of a BigQuery emulator."
    )
    time_zone: ZoneName = Field(default="Europe/Copenhagen", description="Zone in which messages tell times.")

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times in messages."""
        return ZoneInfo(self.time_zone)
