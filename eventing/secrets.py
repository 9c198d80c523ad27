"""Secret texts: from Secret Manager where a version is named, else from the settings; read again for each use."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import grpc.aio
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from eventing.deadlines import CALL, Deadline
from eventing.errors import Retryable


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
            return str(answer.payload.data.decode()).strip()  # a file made with an editor ends in a newline
        except (GoogleAPIError, GoogleAuthError, TimeoutError, UnicodeDecodeError) as error:
            reason = (
                f"secret manager: {self._version} cannot be read ({type(error).__name__}); check the version and "
                "that the service account has roles/secretmanager.secretAccessor"
            )
            raise Retryable(reason) from error


@asynccontextmanager
async def secret_manager(
    emulator: str | None,
) -> AsyncIterator[secretmanager_v1.SecretManagerServiceAsyncClient]:
    """The client, open for the length of the block; `emulator` is its host:port."""
    if emulator is None:
        client = secretmanager_v1.SecretManagerServiceAsyncClient()
    else:
        channel = grpc.aio.insecure_channel(emulator)
        transport = SecretManagerServiceGrpcAsyncIOTransport(channel=channel)
        client = secretmanager_v1.SecretManagerServiceAsyncClient(transport=transport)
    try:
        yield client
    finally:
        await client.transport.close()
