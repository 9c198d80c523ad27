"""The driver of a PySpark job: spark-submit on this machine, with the files that the bucket has for it."""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.cloud import dataproc_v1
from google.cloud.storage import Bucket

from local.dataproc import bucket as bucket_files
from local.dataproc.driver import DriverError, JobRunner, run_process
from local.spark import class_archive, connectors, submit
from local.tools import ToolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a driver finds here in place of a cluster."""

    java_home: Path
    storage_emulator_host: str  # http://127.0.0.1:P, as the next
    bigquery_emulator_host: str
    environment: Mapping[str, str]  # the caller's


def runner(surroundings: Surroundings, bucket: Bucket) -> JobRunner:
    """Make the runner of jobs whose files are in this bucket."""

    async def run(job: dataproc_v1.Job, output: Path) -> int:
        with tempfile.TemporaryDirectory(prefix="job-") as folder:
            command = await asyncio.to_thread(_command, job, surroundings, bucket, Path(folder))
            try:
                return await run_process(command.argv, command.env, output)
            finally:
                prefix = job.driver_output_resource_uri.removeprefix(f"gs://{bucket.name}/")
                await asyncio.to_thread(bucket_files.publish, bucket, output, prefix=prefix)

    return run


def _command(job: dataproc_v1.Job, surroundings: Surroundings, bucket: Bucket, folder: Path) -> submit.Command:
    work, java_home = job.pyspark_job, surroundings.java_home
    try:
        found = connectors.found(java_home, surroundings.environment)
    except ToolError as error:
        raise DriverError(str(error)) from error
    submission = submit.Submission(
        java_home=java_home,
        connectors=found,
        storage_emulator_host=surroundings.storage_emulator_host,
        bigquery_emulator_host=surroundings.bigquery_emulator_host,
        main_python_file=bucket_files.fetch(bucket, work.main_python_file_uri, folder),
        python_files=[bucket_files.fetch(bucket, uri, folder) for uri in work.python_file_uris],
        args=list(work.args),
        properties=dict(work.properties),
        class_archive=class_archive.existing(java_home, found),
    )
    return submit.command(submission, surroundings.environment)
