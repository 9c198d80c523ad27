"""A secret that is no text is the deployment's fault, and is told as one."""

from types import SimpleNamespace
from typing import Any

import pytest

from eventing.errors import Retryable
from eventing.secrets import ManagedSecret

VERSION = "projects/p/secrets/s/versions/1"


def kept(data: bytes) -> ManagedSecret:
    async def access_secret_version(**_: Any) -> Any:
        return SimpleNamespace(payload=SimpleNamespace(data=data))

    client: Any = SimpleNamespace(access_secret_version=access_secret_version)
    return ManagedSecret(client, VERSION)


async def test_a_secret_from_a_file_has_no_line_feed() -> None:
    """Editors end a file with one; Spotify would refuse it."""
    assert await kept(b"secret\n").read() == "secret"


async def test_a_secret_that_is_no_text_is_named() -> None:
    """Somebody put a file into it that is not one of text: the message is kept, and the version is told."""
    with pytest.raises(Retryable, match=VERSION):
        await kept(b"\xff\xfe").read()
