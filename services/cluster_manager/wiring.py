"""Builds the cluster manager: the one place that makes its clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from aiohttp import web
from google.cloud import bigquery

from eventing.app import Service, create_app
from eventing.canaries import canary_handlers
from eventing.clients import anonymous, google_publisher, object_store, push_verifier
from eventing.clock import Clock, system_clock
from eventing.coalescing import Coalescer
from eventing.dataproc import async_dataproc
from eventing.ledger import RunLedger
from services.cluster_manager.adapters.dataproc import ClusterShape, GoogleDataproc, JobShape
from services.cluster_manager.adapters.warehouse import BigQueryWarehouse
from services.cluster_manager.decisions import Limits
from services.cluster_manager.handlers import handlers, reconcile
from services.cluster_manager.ports import Ports
from services.cluster_manager.settings import Settings
from services.cluster_manager.sizing import SizeLimits

_LINGER = timedelta(milliseconds=20)  # gathers the few events that come together; nobody waits for it


def build_app(settings: Settings, *, clock: Clock = system_clock) -> web.Application:
    """The service's application."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        async with (
            object_store(settings) as store,
            google_publisher(settings, source="cluster_manager", clock=clock) as publisher,
            object_store(settings, settings.temporary_bucket) as staging,
            _dataproc(settings) as dataproc,
        ):
            warehouse = BigQueryWarehouse(_bigquery(settings), _table(settings))
            ports = Ports(
                ledger=RunLedger(store),
                publisher=publisher,
                dataproc=dataproc,
                warehouse=warehouse,
                clock=clock,
                bucket=settings.bucket,
                dashboard_url=settings.dashboard_url,
                staging=staging,
                raw_days=settings.raw_days,
            )
            coalescer = Coalescer(partial(reconcile, ports=ports, limits=_limits(settings)), linger=_LINGER)
            ready = {"storage": store.ping, "pubsub": publisher.ping, "dataproc": dataproc.ping}
            table = {**handlers(ports, coalescer), **canary_handlers(store, clock)}
            yield Service("cluster_manager", table, ready=ready)

    return create_app(opening, verifier=push_verifier(settings))


@asynccontextmanager
async def _dataproc(settings: Settings) -> AsyncIterator[GoogleDataproc]:
    clients = async_dataproc(settings.region, settings.dataproc_emulator_host)
    try:
        yield GoogleDataproc(
            clients.clusters,
            clients.jobs,
            project=settings.google_cloud_project,
            region=settings.region,
            cluster_shape=_cluster_shape(settings),
            job_shape=_job_shape(settings),
        )
    finally:
        await clients.clusters.transport.close()
        await clients.jobs.transport.close()


def _bigquery(settings: Settings) -> bigquery.Client:
    """The client library itself follows BIGQUERY_EMULATOR_HOST; only its credentials differ."""
    credentials = anonymous() if settings.bigquery_emulator_host else None
    return bigquery.Client(project=settings.google_cloud_project, credentials=credentials)


def _table(settings: Settings) -> str:
    return f"{settings.google_cloud_project}.{settings.bigquery_dataset}.{settings.bigquery_table}"


def _limits(settings: Settings) -> Limits:
    first, *others = settings.machine_types
    size = SizeLimits(
        first, settings.machine_mib * 1024**2, settings.max_workers, tuple(others), tuple(settings.zones)
    )
    return Limits(
        settings.max_cluster_attempts,
        settings.max_job_attempts,
        settings.cluster_start_timeout,
        size,
        patience=settings.cluster_patience,
        cluster_life=settings.cluster_max_ttl,
        job_lost=settings.job_lost_after,
    )


def _cluster_shape(settings: Settings) -> ClusterShape:
    return ClusterShape(
        image_version=settings.image_version,
        connector_version=settings.bigquery_connector_version,
        idle_ttl=settings.cluster_idle_ttl,
        max_ttl=settings.cluster_max_ttl,
        staging_bucket=settings.temporary_bucket or settings.bucket,
        disk_gb=settings.disk_gb,
        subnetwork=settings.subnetwork,
        service_account=settings.cluster_service_account,
    )


def _job_shape(settings: Settings) -> JobShape:
    jobs = f"gs://{settings.bucket}/jobs"
    return JobShape(
        main_uri=settings.job_main_uri or f"{jobs}/main.py",
        package_uri=settings.job_package_uri or f"{jobs}/spark_job.zip",
        bucket=settings.bucket,
        temporary_bucket=settings.temporary_bucket or settings.bucket,
        table=_table(settings),
        quarantine_threshold=settings.quarantine_threshold,
        properties=dict(entry.split("=", 1) for entry in settings.job_properties),
    )
