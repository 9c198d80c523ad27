"""Settings from the environment: one frozen object, every fault reported together at start.

A field's environment variable is its name in capitals. An empty variable counts as absent. Only this module's
`load` takes an environment; nothing else reads one.
"""

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self, TypeVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from contracts.faults import ContractError, Fault
from contracts.wording import shown
from eventing.identity import SignatureCheck


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _seconds(value: object) -> object:
    return float(value) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""Several words, separated by commas or spaces."""

Seconds = Annotated[timedelta, BeforeValidator(_seconds), Field(le=timedelta(days=366))]
"""A duration, written as a number of seconds."""

SecretVersion = Annotated[str, StringConstraints(pattern=r"^projects/[^/]+/secrets/[^/]+/versions/[^/]+$")]
"""The name of a version in Secret Manager."""


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("is not an IANA time zone; write it as Europe/Copenhagen")
    return value


ZoneName = Annotated[str, AfterValidator(_zone)]
"""A time zone."""


class ServiceSettings(BaseModel):
    """What every service is told by its environment."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    port: int = Field(default=8080, ge=0, le=65535, description="Where the service listens, as on Cloud Run.")
    host: str | None = Field(
        default=None, description="Address the service listens on; all of the container's where it is not set."
    )
    google_cloud_project: str = Field(min_length=1, description="Project of topics, cluster and table.")
    bucket: str = Field(min_length=1, description="Bucket of manifests, parts, decisions and receipts.")
    push_audience: str | None = Field(
        default=None, description="Audience that the token of a push must carry: the service's address."
    )
    push_service_account: str | None = Field(
        default=None, description="E-mail of the account that signs pushes; all others are refused."
    )
    push_signature_checked_by: SignatureCheck = Field(
        default="us",
        description="Who checks the signature of a push's token: us, or cloud-run, where Cloud Run's IAM admits "
        "the pusher alone and takes the signature off; the token's claims are checked in either case.",
    )
    pubsub_emulator_host: str | None = Field(
        default=None, description="host:port of the Pub/Sub emulator; with it pushes carry no token."
    )
    storage_emulator_host: str | None = Field(
        default=None, description="http://host:port of a Cloud Storage emulator."
    )
    drain_seconds: Seconds = Field(
        default=timedelta(seconds=8),
        description="How long deliveries under way may take after SIGTERM; Cloud Run kills after 10.",
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Least severity that is logged: DEBUG, INFO, WARNING or ERROR.",
    )

    @model_validator(mode="after")
    def _callers_are_verified(self) -> Self:
        if self.pubsub_emulator_host is None and not (self.push_audience and self.push_service_account):
            raise ValueError(
                "PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT: are missing; set both to the audience and the account "
                "of the push subscriptions, or PUBSUB_EMULATOR_HOST to run against an emulator"
            )
        return self


SettingsT = TypeVar("SettingsT", bound=BaseModel)


def load(model: type[SettingsT], environment: Mapping[str, str]) -> SettingsT:
    """Read settings.

    Raises:
        ContractError: variables are missing or wrong; one fault for each.
    """
    given = {
        field: environment[field.upper()]
        for field in model.model_fields
        if environment.get(field.upper(), "").strip()
    }
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ContractError(_faults(model, error, given)) from None


def load_or_exit(model: type[SettingsT], environment: Mapping[str, str]) -> SettingsT:
    """Read settings, or say on stderr what is wrong with them and exit with status 2."""
    try:
        return load(model, environment)
    except ContractError as error:
        lines = [f"{len(error.faults)} fault(s) in the environment:", *(f"  {fault}" for fault in error.faults)]
        sys.stderr.write("\n".join(lines) + "\n")
        raise SystemExit(2) from None


def _faults(model: type[BaseModel], error: ValidationError, given: Mapping[str, str]) -> list[Fault]:
    faults = [_fault(model, detail) for detail in error.errors(include_url=False)]
    if any(detail["loc"] for detail in error.errors()):
        faults.extend(_cross_faults(model, given))
    return faults


def _fault(model: type[BaseModel], detail: Any) -> Fault:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        field, _, problem = message.partition(": ")
        return Fault(field, problem)
    field = str(detail["loc"][0])
    meaning = model.model_fields[field].description or ""
    if detail["type"] == "missing":
        return Fault(field.upper(), f"is missing. {meaning}")
    return Fault(field.upper(), f"{message}, got {shown(detail['input'])}. {meaning}")


def _cross_faults(model: type[BaseModel], given: Mapping[str, str]) -> list[Fault]:
    """Faults between variables, which pydantic leaves out while a single variable is at fault."""
    if not issubclass(model, ServiceSettings):
        return []
    probe = {"google_cloud_project": "p", "bucket": "b"}
    push = {name: given[name] for name in given if name.startswith("push_") or name == "pubsub_emulator_host"}
    try:
        ServiceSettings.model_validate(probe | push)
    except ValidationError as error:
        return [_fault(model, detail) for detail in error.errors(include_url=False) if not detail["loc"]]
    return []
