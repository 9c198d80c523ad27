"""The Secret Manager stand-in through the real client and as the process that the stack starts."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator

import google_crc32c
import grpc
import pytest
from google.api_core.exceptions import InvalidArgument, NotFound
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from local import grpc_server, secret_manager

SECRETS = {"spotify-client-id": ["first", "sécond"]}


def client_at(port: int) -> SecretManagerServiceAsyncClient:
    """The real client over an insecure channel."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    return SecretManagerServiceAsyncClient(transport=SecretManagerServiceGrpcAsyncIOTransport(channel=channel))


@pytest.fixture
async def client() -> AsyncIterator[SecretManagerServiceAsyncClient]:
    """A client of a stand-in that holds `SECRETS`."""
    server, port = await grpc_server.serve([secret_manager.service(SECRETS)], 0)
    client = client_at(port)
    yield client
    await client.transport.close()
    await server.stop(grace=None)


@pytest.mark.parametrize(
    ("version", "value", "number"), [("latest", "sécond", 2), ("1", "first", 1), ("2", "sécond", 2)]
)
async def test_a_version_is_read_whole(
    client: SecretManagerServiceAsyncClient, version: str, value: str, number: int
) -> None:
    """`latest` is the newest version, a number is that one; the answer names it and carries its checksum."""
    answer = await client.access_secret_version(name=f"projects/p/secrets/spotify-client-id/versions/{version}")
    assert answer.name == f"projects/p/secrets/spotify-client-id/versions/{number}"
    assert answer.payload.data.decode() == value
    assert answer.payload.data_crc32c == google_crc32c.value(value.encode())


@pytest.mark.parametrize(
    "rest", ["spotify-client-id/versions/3", "spotify-client-id/versions/0", "other/versions/latest"]
)
async def test_what_is_not_there_is_not_found(client: SecretManagerServiceAsyncClient, rest: str) -> None:
    """A secret or version that does not exist arrives as the client's own NotFound, naming it."""
    with pytest.raises(NotFound, match=re.escape(rest)):
        await client.access_secret_version(name=f"projects/p/secrets/{rest}")


async def test_a_name_of_another_shape_is_refused(client: SecretManagerServiceAsyncClient) -> None:
    """A setting that names a secret without its version is told the right form instead of NotFound."""
    with pytest.raises(InvalidArgument, match="versions/VERSION"):
        await client.access_secret_version(name="projects/p/secrets/spotify-client-id")


async def test_the_process_serves_secrets_from_its_environment() -> None:
    """`python -m local.secret_manager` says when it serves, takes a free port, and ends on SIGTERM with 0."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.secret_manager", "--port", "0"),
        *("--secret-from-env", "id=KEPT_OUT_OF_THE_LIST", "--secret", "id=newer"),
        env={**os.environ, "KEPT_OUT_OF_THE_LIST": "older"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        found = re.fullmatch(r"ready 127\.0\.0\.1:(\d+)\n", line)
        assert found, line
        client = client_at(int(found[1]))
        values = [
            (await client.access_secret_version(name=f"projects/p/secrets/id/versions/{version}")).payload.data
            for version in ("1", "2", "latest")
        ]
        assert sorted(values[:2]) == [b"newer", b"older"]
        assert values[2] == values[1]
        await client.transport.close()
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_missing_variable_ends_the_process_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A secret whose variable is not set is never served as an empty one."""
    with pytest.raises(SystemExit):
        secret_manager.parse_arguments(["--secret-from-env", "id=NOT_SET"], {})
    assert "set NOT_SET in the environment" in capsys.readouterr().err


async def test_a_malformed_secret_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A secret without a name is refused with a message that does not repeat its value."""
    with pytest.raises(SystemExit):
        secret_manager.parse_arguments(["--secret", "=hidden"], {})
    assert "hidden" not in capsys.readouterr().err


async def test_a_taken_port_is_not_shared() -> None:
    """Two stand-ins never answer on one port by turns: the second fails to start."""
    server, port = await grpc_server.serve([secret_manager.service(SECRETS)], 0)
    with pytest.raises(RuntimeError, match="Failed to bind"):
        await grpc_server.serve([secret_manager.service({})], port)
    await server.stop(grace=None)
