"""Opens the clients every service needs; called by each service's wiring and by nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.auth.credentials import AnonymousCredentials
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.storage import Client

from eventing.clock import Clock
from eventing.identity import PushVerifier
from eventing.objects import GcsObjectStore
from eventing.publisher import PubSubPublisher
from eventing.settings import ServiceSettings


@asynccontextmanager
async def object_store(settings: ServiceSettings, bucket: str | None = None) -> AsyncIterator[GcsObjectStore]:
    """BUCKET, or another; the client library itself follows STORAGE_EMULATOR_HOST."""
    credentials = anonymous() if settings.storage_emulator_host else None
    client = Client(project=settings.google_cloud_project, credentials=credentials)
    store = GcsObjectStore(client, bucket or settings.bucket)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def google_publisher(
    settings: ServiceSettings, *, source: str, clock: Clock
) -> AsyncIterator[PubSubPublisher]:
    """The publisher; the client library itself follows PUBSUB_EMULATOR_HOST."""
    client = PublisherClient()
    publisher = PubSubPublisher(client, project=settings.google_cloud_project, source=source, clock=clock)
    try:
        yield publisher
    finally:
        await publisher.aclose()


def anonymous() -> AnonymousCredentials:
    """Credentials for an emulator."""
    return AnonymousCredentials()


def push_verifier(settings: ServiceSettings) -> PushVerifier | None:
    """Who may push; None only against an emulator, which signs nothing (the settings see to that)."""
    if settings.push_audience and settings.push_service_account:
        return PushVerifier(
            audience=settings.push_audience,
            service_account=settings.push_service_account,
            signature_checked_by=settings.push_signature_checked_by,
        )
    return None
