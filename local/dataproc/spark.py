"""The driver of a PySpark job: spark-submit on this machine, and what it wrote made visible in the bucket."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.cloud import dataproc_v1
from google.cloud.storage import Bucket

from local.dataproc import bucket as bucket_files
from local.dataproc.driver import DriverError, JobRunner, run_process
from local.spark import class_archive, submit


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a driver finds here in place of a cluster."""

    java_home: Path
    storage_root: Path  # holds a folder for each bucket
    bigquery_emulator_host: str  # http://127.0.0.1:P
    environment: Mapping[str, str]  # the caller's


def runner(surroundings: Surroundings, bucket: Bucket) -> JobRunner:
    """Make the runner of jobs whose files are in this bucket."""

    async def run(job: dataproc_v1.Job, output: Path) -> int:
        command = _command(job, surroundings, bucket.name)
        since = time.time()
        try:
            return await run_process(command.argv, command.env, output)
        finally:
            await asyncio.to_thread(
                bucket_files.publish,
                bucket,
                surroundings.storage_root / bucket.name,
                output=output,
                prefix=job.driver_output_resource_uri.removeprefix(f"gs://{bucket.name}/"),
                arguments=list(job.pyspark_job.args),
                since=since,
            )

    return run


def _command(job: dataproc_v1.Job, surroundings: Surroundings, bucket: str) -> submit.Command:
    work = job.pyspark_job
    submission = submit.Submission(
        java_home=surroundings.java_home,
        storage_root=surroundings.storage_root,
        bucket=bucket,
        bigquery_emulator_host=surroundings.bigquery_emulator_host,
        main_python_file_uri=work.main_python_file_uri,
        python_file_uris=list(work.python_file_uris),
        args=list(work.args),
        properties=dict(work.properties),
        class_archive=class_archive.existing(surroundings.java_home),
    )
    try:
        return submit.command(submission, surroundings.environment)
    except ValueError as error:
        raise DriverError(str(error)) from error
