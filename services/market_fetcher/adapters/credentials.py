"""The Spotify credentials: each half from Secret Manager where a version is named, else from the settings."""

import asyncio
from typing import Protocol

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import secretmanager_v1

from eventing.deadlines import CALL, Deadline
from eventing.errors import Retryable
from services.market_fetcher.ports import ClientCredentials


class Secret(Protocol):
    """One secret text."""

    async def read(self) -> str:
        """The text as it is now; raises `Retryable` when it cannot be read."""
        ...


class PlainSecret:
    """A secret that the environment gave."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def read(self) -> str:
        """See `Secret.read`."""
        return self._value


class ManagedSecret:
    """A secret in Secret Manager, by the name of its version."""

    def __init__(
        self, client: secretmanager_v1.SecretManagerServiceAsyncClient, version: str, deadline: Deadline = CALL
    ) -> None:
        self._client = client
        self._version = version
        self._deadline = deadline

    async def read(self) -> str:
        """See `Secret.read`. A missing version or right is the deployment's fault, so the message is kept."""
        try:
            reading = self._client.access_secret_version(
                name=self._version, timeout=self._deadline.attempt_seconds
            )
            answer = await asyncio.wait_for(reading, self._deadline.seconds)
        except (GoogleAPIError, GoogleAuthError, TimeoutError) as error:
            reason = (
                f"secret manager: {self._version} cannot be read ({type(error).__name__}); check the version and "
                "that the service account has roles/secretmanager.secretAccessor"
            )
            raise Retryable(reason) from error
        return str(answer.payload.data.decode()).strip()  # a file made with an editor ends in a newline


class SecretCredentials:
    """`Credentials` from two secrets."""

    def __init__(self, client_id: Secret, client_secret: Secret) -> None:
        self._client_id = client_id
        self._client_secret = client_secret

    async def read(self) -> ClientCredentials:
        """See `Credentials.read`."""
        return ClientCredentials(await self._client_id.read(), await self._client_secret.read())
