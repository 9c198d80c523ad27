"""Who calls: the OIDC token that Pub/Sub signs its pushes with.

Source: cloud.google.com/pubsub/docs/authenticate-push-subscriptions. Cloud Run checks the token too; a service
verifies it all the same, since one wrong IAM binding would otherwise let anyone write into a run.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol, cast

import google.auth.transport.requests
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2 import id_token

from eventing.errors import Retryable

GOOGLE_CERTS = "https://www.googleapis.com/oauth2/v1/certs"
_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
_CERTS_KEPT = 3600.0  # seconds; Google rotates its keys over days and publishes new ones ahead


class Refused(Exception):  # noqa: N818 -- a verdict on the caller
    """The caller is not who may call; says why, for the log and the answer."""


class CallerVerifier(Protocol):
    """Decides whether a request may be handled."""

    async def verify(self, authorization: str | None) -> None:
        """Raise `Refused` unless the Authorization header proves the expected caller."""
        ...


class PushVerifier:
    """Accepts the one service account that the push subscriptions use."""

    def __init__(
        self, *, audience: str, service_account: str, certs_url: str = GOOGLE_CERTS, request: Any = None
    ) -> None:
        self._audience = audience
        self._service_account = service_account
        self._certs_url = certs_url
        self._request = _CachingRequest(request or google.auth.transport.requests.Request(), time.monotonic)

    async def verify(self, authorization: str | None) -> None:
        """See `CallerVerifier.verify`.

        Raises:
            Refused: no token, or one that is forged, expired, for another audience or of another account.
            Retryable: the signing keys cannot be fetched now.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused("Authorization: is missing; the push subscription must attach an OIDC token")
        try:
            claims = await asyncio.to_thread(
                id_token.verify_token, token, cast("Any", self._request), self._audience, self._certs_url
            )
        except TransportError as error:
            raise Retryable("signing keys cannot be fetched", after=timedelta(seconds=10)) from error
        except (ValueError, GoogleAuthError) as error:
            raise Refused(f"Authorization: the token is not valid ({type(error).__name__})") from None
        self._check(claims)

    def _check(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") not in _ISSUERS:
            raise Refused("Authorization: the token's issuer is not Google")
        if claims.get("email") != self._service_account or claims.get("email_verified") is not True:
            raise Refused("Authorization: the token is of another account than PUSH_SERVICE_ACCOUNT")


class _CachingRequest:
    """A transport that keeps the certificates for a while, since google-auth asks anew for each token."""

    def __init__(self, inner: Any, monotonic: Callable[[], float]) -> None:
        self._inner = inner
        self._monotonic = monotonic
        self._kept: dict[str, tuple[float, Any]] = {}

    def __call__(self, url: str, method: str = "GET", **kwargs: Any) -> Any:
        until, response = self._kept.get(url, (0.0, None))
        if method == "GET" and self._monotonic() < until:
            return response
        response = self._inner(url, method=method, **kwargs)
        if method == "GET" and response.status == 200:  # noqa: PLR2004 -- OK
            self._kept[url] = (self._monotonic() + _CERTS_KEPT, response)
        return response
