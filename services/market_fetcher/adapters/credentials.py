"""The Spotify credentials: each half a secret of its own."""

from eventing.secrets import Secret
from services.market_fetcher.ports import ClientCredentials


class SecretCredentials:
    """`Credentials` from two secrets."""

    def __init__(self, client_id: Secret, client_secret: Secret) -> None:
        self._client_id = client_id
        self._client_secret = client_secret

    async def read(self) -> ClientCredentials:
        """See `Credentials.read`."""
        return ClientCredentials(await self._client_id.read(), await self._client_secret.read())
