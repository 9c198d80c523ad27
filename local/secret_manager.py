"""A stand-in for Secret Manager that the real client reads secrets from.

    python -m local.secret_manager --port 0 --secret-from-env spotify-client-id=SPOTIFY_CLIENT_ID

prints `ready 127.0.0.1:PORT` once it serves. A name given again gets a further version.

It imitates AccessSecretVersion alone: `latest` and numbered versions, the checksum of the payload, NOT_FOUND
for everything else. It does not imitate creating, listing, disabling or destroying secrets, aliases, regional
secrets, permissions, or the project number that the real answer's name carries instead of the project's id:
every project holds the same secrets.
"""

import argparse
import asyncio
import os
import re
import signal
from collections.abc import Mapping, Sequence

import google_crc32c
import grpc
from google.cloud import secretmanager_v1

from contracts.wording import shown
from local import grpc_server

# Values by secret name; the first is version 1.
Secrets = Mapping[str, Sequence[str]]

_VERSION = re.compile(r"projects/(?P<project>[^/]+)/secrets/(?P<secret>[^/]+)/versions/(?P<version>[^/]+)")


def access(secrets: Secrets, name: str) -> secretmanager_v1.AccessSecretVersionResponse:
    """Answer one AccessSecretVersion call.

    Raises:
        RefusedError: INVALID_ARGUMENT when the name is not that of a secret version, NOT_FOUND when there is
            no such secret, or no such version of it.
    """
    parts = _VERSION.fullmatch(name)
    if parts is None:
        raise grpc_server.RefusedError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{shown(name)} is not of the form projects/PROJECT/secrets/SECRET/versions/VERSION",
        )
    values = secrets.get(parts["secret"], ())
    number = _version_number(parts["version"], len(values))
    if number is None:
        raise grpc_server.RefusedError(grpc.StatusCode.NOT_FOUND, f"Secret Version [{name}] not found.")
    data = values[number - 1].encode()
    return secretmanager_v1.AccessSecretVersionResponse(
        name=f"projects/{parts['project']}/secrets/{parts['secret']}/versions/{number}",
        payload=secretmanager_v1.SecretPayload(data=data, data_crc32c=google_crc32c.value(data)),
    )


def _version_number(text: str, newest: int) -> int | None:
    if text == "latest":
        return newest or None
    return int(text) if text.isdecimal() and 1 <= int(text) <= newest else None


def service(secrets: Secrets) -> grpc.GenericRpcHandler:
    """Make the gRPC service over these secrets."""

    async def answer(
        request: secretmanager_v1.AccessSecretVersionRequest,
    ) -> secretmanager_v1.AccessSecretVersionResponse:
        return access(secrets, request.name)

    return grpc_server.service(
        "google.cloud.secretmanager.v1.SecretManagerService",
        {
            "AccessSecretVersion": grpc_server.Method(
                secretmanager_v1.AccessSecretVersionRequest.deserialize,
                secretmanager_v1.AccessSecretVersionResponse.serialize,
                answer,
            )
        },
    )


def parse_arguments(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, Secrets]:
    """Read the port and the secrets; a fault ends the process with a message that names it."""
    parser = argparse.ArgumentParser(prog="python -m local.secret_manager", description="Secret Manager stand-in")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--secret", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--secret-from-env",
        action="append",
        default=[],
        metavar="NAME=VARIABLE",
        help="as --secret, but the value does not stand in the process list",
    )
    parsed = parser.parse_args(arguments)
    secrets: dict[str, list[str]] = {}
    for name, value in (_pair(parser, text) for text in parsed.secret):
        secrets.setdefault(name, []).append(value)
    for name, variable in (_pair(parser, text) for text in parsed.secret_from_env):
        if variable not in environment:
            parser.error(f"--secret-from-env {name}={variable}: set {variable} in the environment")
        secrets.setdefault(name, []).append(environment[variable])
    return parsed.port, secrets


def _pair(parser: argparse.ArgumentParser, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        parser.error(f"{shown(name)}: write NAME=VALUE")
    return name, value


async def main(port: int, secrets: Secrets) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server, bound = await grpc_server.serve([service(secrets)], port)
    print(f"ready {grpc_server.LOOPBACK}:{bound}", flush=True)
    await stop.wait()
    await server.stop(grace=1)


if __name__ == "__main__":
    import sys

    asyncio.run(main(*parse_arguments(sys.argv[1:], os.environ)))
