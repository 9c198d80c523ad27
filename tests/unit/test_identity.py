"""Only the push subscriptions' account may call, with a valid token of Google's for this audience."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from google.auth.exceptions import TransportError

from eventing.errors import Retryable
from eventing.identity import GOOGLE_CERTS, PushVerifier, Refused

AUDIENCE = "https://scheduler.example"
ACCOUNT = "pusher@p.iam.gserviceaccount.com"


class Keys:
    """A signing key, and the certificate page Google would publish for it."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        self.page = json.dumps({"k1": certificate.public_bytes(serialization.Encoding.PEM).decode()}).encode()
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.signer = crypt.RSASigner.from_string(pem, key_id="k1")

    def token(self, **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "iss": "https://accounts.google.com",
            "iat": now - 10,
            "exp": now + 3600,
            "sub": "1",
        }
        encoded: bytes = jwt.encode(self.signer, claims | changes)
        return encoded.decode()


class Page:
    """Answers the request for the certificates, and counts."""

    def __init__(self, data: bytes, status: int = 200) -> None:
        self.data = data
        self.status = status
        self.asked = 0

    def __call__(self, url: str, method: str = "GET", **_: Any) -> "Page":
        assert (url, method) == (GOOGLE_CERTS, "GET")
        self.asked += 1
        return self


KEYS = Keys()


def without_signature(**changes: Any) -> str:
    """A token as Cloud Run hands it on."""
    header, claims, _ = KEYS.token(**changes).split(".")
    return f"{header}.{claims}.SIGNATURE_REMOVED_BY_GOOGLE"


def behind_cloud_run() -> PushVerifier:
    return PushVerifier(
        audience=AUDIENCE,
        service_account=ACCOUNT,
        signature_checked_by="cloud-run",
        request=Page(b"", status=500),
    )


def verifier(page: Any = None) -> PushVerifier:
    return PushVerifier(audience=AUDIENCE, service_account=ACCOUNT, request=page or Page(KEYS.page))


async def test_the_expected_caller_is_believed() -> None:
    """A real push must pass."""
    await verifier().verify(f"Bearer {KEYS.token()}")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another.example"},
        {"email": "intruder@p.iam.gserviceaccount.com"},
        {"email_verified": False},
        {"email": None},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200},
        {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 7200},
    ],
)
async def test_a_token_with_one_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    """Each claim is checked: one that is not would be the way in."""
    with pytest.raises(Refused):
        await verifier().verify(f"Bearer {KEYS.token(**changes)}")


async def test_times_that_are_no_numbers_are_refused() -> None:
    """A token of the wrong form is the caller's fault: an error of ours would have it delivered for days."""
    for changes in ({"exp": str(int(time.time()) + 3600)}, {"iat": "now"}, {"exp": None}):
        with pytest.raises(Refused):
            await verifier().verify(f"Bearer {KEYS.token(**changes)}")
        with pytest.raises(Refused):
            await behind_cloud_run().verify(f"Bearer {without_signature(**changes)}")


async def test_clocks_may_differ_by_ten_seconds() -> None:
    """Google's clock a moment ahead of ours would otherwise have fresh tokens refused."""
    now = int(time.time())
    await verifier().verify(f"Bearer {KEYS.token(iat=now + 5)}")
    await behind_cloud_run().verify(f"Bearer {without_signature(iat=now + 5)}")
    for checking, token in ((verifier(), KEYS.token), (behind_cloud_run(), without_signature)):
        with pytest.raises(Refused):
            await checking.verify(f"Bearer {token(iat=now + 60, exp=now + 3600)}")


async def test_a_token_whose_signature_cloud_run_took_off_is_believed_only_there() -> None:
    """Cloud Run is documented to replace it; refused, every push of a deployment would be 401."""
    token = without_signature()
    await behind_cloud_run().verify(f"Bearer {token}")
    with pytest.raises(Refused):
        await verifier().verify(f"Bearer {token}")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another.example"},
        {"email": "intruder@p.iam.gserviceaccount.com"},
        {"email_verified": False},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 60},
    ],
)
async def test_behind_cloud_run_each_claim_is_still_checked(changes: dict[str, Any]) -> None:
    """Whoever else may invoke the service is still not the pusher, and no token serves two services."""
    with pytest.raises(Refused):
        await behind_cloud_run().verify(f"Bearer {without_signature(**changes)}")


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Bearer a.b.c", "Bearer a.b", "Bearer ....", "æ"])
async def test_what_is_no_token_is_refused_behind_cloud_run_too(header: str | None) -> None:
    """No signature to check is no licence for anything."""
    with pytest.raises(Refused):
        await behind_cloud_run().verify(header)


async def test_a_forged_signature_is_refused() -> None:
    """Another key's token, and a token whose claims were edited, prove nothing."""
    with pytest.raises(Refused):
        await verifier().verify(f"Bearer {Keys().token()}")
    head, claims, signature = KEYS.token().split(".")
    padded = claims + "=" * (-len(claims) % 4)
    edited = json.loads(base64.urlsafe_b64decode(padded)) | {"sub": "2"}
    swapped = base64.urlsafe_b64encode(json.dumps(edited).encode()).decode().rstrip("=")
    with pytest.raises(Refused):
        await verifier().verify(f"Bearer {head}.{swapped}.{signature}")


async def test_an_unsigned_token_is_refused() -> None:
    """`alg: none` is the oldest trick."""
    _, claims, _ = KEYS.token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    with pytest.raises(Refused):
        await verifier().verify(f"Bearer {head}.{claims}.")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer x", "Bearer a.b.c", "æ"])
async def test_what_is_no_token_is_refused(header: str | None) -> None:
    """No token, no entry, and no error either."""
    with pytest.raises(Refused):
        await verifier().verify(header)


async def test_keys_that_cannot_be_fetched_ask_for_redelivery() -> None:
    """An outage of Google's key page is not the caller's fault."""

    def away(*_: Any, **__: Any) -> Any:
        raise TransportError("away")

    with pytest.raises(Retryable):
        await verifier(away).verify(f"Bearer {KEYS.token()}")


@pytest.mark.parametrize(
    "page",
    [
        b"<html>",
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"k1": null}',
        b'{"keys": [{"kid": "k1"}]}',
    ],
)
async def test_a_page_that_holds_no_keys_refuses_nobody_and_is_not_kept(page: bytes) -> None:
    """Refused for an hour, every message would be given up for one odd answer about the keys."""
    answering = Page(page)
    checking = verifier(answering)
    with pytest.raises(Retryable):
        await checking.verify(f"Bearer {KEYS.token()}")
    answering.data = KEYS.page
    await checking.verify(f"Bearer {KEYS.token()}")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


@pytest.mark.parametrize("part", [b"[" * 5000, b"[]", b"null", b"\xff"], ids=["deep", "list", "null", "binary"])
async def test_a_token_of_any_form_is_refused(part: bytes) -> None:
    """Anybody may send one; none may cost us an error of our own."""
    header, claims, _ = KEYS.token().split(".")
    for token in (f"{header}.{encoded(part)}.x", f"{encoded(part)}.{claims}.x"):
        for checking in (behind_cloud_run(), verifier()):
            with pytest.raises(Refused):
                await checking.verify(f"Bearer {token}")


@pytest.mark.parametrize("exp", ["9" * 400, "NaN", "Infinity", "1e300"])
async def test_a_time_of_no_calendar_is_refused(exp: str) -> None:
    """It can be compared with no clock."""
    header, claims, _ = KEYS.token(exp="@").split(".")
    told = base64.urlsafe_b64decode(claims + "==").replace(b'"@"', exp.encode())
    with pytest.raises(Refused):
        await behind_cloud_run().verify(f"Bearer {header}.{encoded(told)}.x")


async def test_keys_are_fetched_once_not_for_each_message() -> None:
    """A burst of pushes must not become a burst of requests for the keys."""
    page = Page(KEYS.page)
    checking = verifier(page)
    for _ in range(5):
        await checking.verify(f"Bearer {KEYS.token()}")
    assert page.asked == 1
