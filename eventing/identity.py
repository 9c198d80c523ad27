"""Who calls: the OIDC token that Pub/Sub signs its pushes with.

Source: cloud.google.com/pubsub/docs/authenticate-push-subscriptions. Where Cloud Run's IAM has checked the token, it is
documented to hand it on with `SIGNATURE_REMOVED_BY_GOOGLE` for a signature: only the claims can then be checked again.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, TypeGuard, cast

import google.auth.transport.requests
from google.auth import jwt
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2 import id_token

from eventing.deadlines import CALL, Deadline
from eventing.errors import Retryable

GOOGLE_CERTS = "https://www.googleapis.com/oauth2/v1/certs"
_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
SignatureCheck = Literal["us", "cloud-run"]
"""Who checks the signature of a push's token."""
CLOCK_SKEW_SECONDS: Final = 10.0
"""How much our clock and Google's may differ."""
_LAST_TIME = 1e12  # seconds since 1970
_CERTS_KEPT_SECONDS = 3600.0  # Google rotates its keys over days and publishes new ones ahead


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
        self,
        *,
        audience: str,
        service_account: str,
        signature_checked_by: SignatureCheck = "us",
        certs_url: str = GOOGLE_CERTS,
        request: Any = None,
        deadline: Deadline = CALL,
    ) -> None:
        self._audience = audience
        self._service_account = service_account
        self._signature_checked_by = signature_checked_by
        self._certs_url = certs_url
        self._deadline = deadline
        getting = request or google.auth.transport.requests.Request()
        self._request = _CachingRequest(getting, time.monotonic, deadline.attempt_seconds)

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
            claims = self._told(token) if self._signature_checked_by == "cloud-run" else await self._signed(token)
        except (TransportError, TimeoutError) as error:
            raise Retryable("signing keys cannot be fetched") from error
        except (ValueError, TypeError, RecursionError, OverflowError, GoogleAuthError) as error:
            # TypeError, OverflowError: google-auth calculates with times that are not numbers, or of no calendar.
            raise Refused(f"Authorization: the token is not valid ({type(error).__name__})") from None
        if fault := claims_fault(claims, self._audience, self._service_account, time.time()):
            raise Refused(f"Authorization: {fault}")

    async def _signed(self, token: str) -> Mapping[str, Any]:
        """The claims of a token whose signature is Google's."""
        checking = asyncio.to_thread(
            id_token.verify_token,
            token,
            cast("Any", self._request),
            self._audience,
            self._certs_url,
            clock_skew_in_seconds=int(CLOCK_SKEW_SECONDS),
        )
        return await asyncio.wait_for(checking, self._deadline.seconds)

    def _told(self, token: str) -> Mapping[str, Any]:
        """The claims alone: Cloud Run has checked the signature and put other words in its place."""
        header, claims, _ = token.split(".")
        found: Mapping[str, Any] = jwt.decode(f"{header}.{claims}.", verify=False)
        return found


def claims_fault(claims: Mapping[str, Any], audience: str, service_account: str, now: float) -> str | None:
    """Why a token's claims are not valid ones of the push subscriptions' account; None if they are."""
    if claims.get("iss") not in _ISSUERS:
        return "the token's issuer is not Google"
    if claims.get("email") != service_account or claims.get("email_verified") is not True:
        return "the token is of another account than PUSH_SERVICE_ACCOUNT"
    if claims.get("aud") != audience:
        return "the token is for another audience than PUSH_AUDIENCE"
    begins, ends = claims.get("iat"), claims.get("exp")
    if not _is_time(begins) or not _is_time(ends):
        return "the token does not say as numbers from when and until when it is valid"
    if not begins - CLOCK_SKEW_SECONDS <= now <= ends + CLOCK_SKEW_SECONDS:
        return "the token is not valid now; if it is fresh, look at the clocks"
    return None


def _is_time(claim: Any) -> TypeGuard[float]:
    return isinstance(claim, int | float) and abs(claim) < _LAST_TIME


class _CachingRequest:
    """A transport that keeps the certificates for a while, since google-auth asks anew for each token."""

    def __init__(self, inner: Any, monotonic: Callable[[], float], timeout_seconds: float) -> None:
        self._inner = inner
        self._monotonic = monotonic
        self._timeout_seconds = timeout_seconds
        self._kept: dict[str, tuple[float, Any]] = {}

    def __call__(self, url: str, method: str = "GET", **kwargs: Any) -> Any:
        until, response = self._kept.get(url, (0.0, None))
        if method == "GET" and self._monotonic() < until:
            return response
        response = self._inner(url, method=method, **{"timeout": self._timeout_seconds, **kwargs})
        if method == "GET" and response.status == 200:  # noqa: PLR2004 -- OK
            if not _are_certificates(response.data):
                raise TransportError(f"{url} answers with something else than certificates")
            self._kept[url] = (self._monotonic() + _CERTS_KEPT_SECONDS, response)
        return response


def _are_certificates(page: bytes) -> bool:
    """Whether an answer is what was asked for: another's, kept for an hour, would refuse every caller."""
    try:
        found = json.loads(page)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict) or not found:
        return False
    return all(isinstance(one, str) and one.startswith("-----BEGIN CERTIFICATE-----") for one in found.values())
