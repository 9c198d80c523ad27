"""Command line of the Dataproc stand-in; see the package."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from local.dataproc import server, spark
from local.dataproc.world import Setting
from local.grpc_server import LOOPBACK

# Options that may come from the environment instead, as the rest of the local stack has them.
_FROM_ENVIRONMENT = {
    "project": "GOOGLE_CLOUD_PROJECT",
    "bucket": "BUCKET",
    "pubsub_emulator": "PUBSUB_EMULATOR_HOST",
    "storage_emulator": "STORAGE_EMULATOR_HOST",
    "bigquery_emulator": "BIGQUERY_EMULATOR_HOST",
    "java_home": "JAVA_HOME",
}


def parse_arguments(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """Read the options; what is missing ends the process with a message that names it."""
    parser = argparse.ArgumentParser(prog="python -m local.dataproc", description="Dataproc stand-in")
    parser.add_argument("--port", type=int, default=0, help="gRPC; 0 takes a free port")
    parser.add_argument("--control-port", type=int, help="HTTP door for faults and state; 0 takes a free port")
    parser.add_argument("--log-dir", type=Path, required=True, help="drivers' outputs go to jobs/ in it")
    parser.add_argument("--topic", default="dataproc-operations", help="where audit entries go")
    parser.add_argument("--creating-seconds", type=float, default=0.2)
    parser.add_argument("--deleting-seconds", type=float, default=0.1)
    for option, variable in _FROM_ENVIRONMENT.items():
        name = f"--{option.replace('_', '-')}"
        parser.add_argument(name, default=environment.get(variable), help=f"default: {variable}")
    parsed = parser.parse_args(arguments)
    missing = [variable for option, variable in _FROM_ENVIRONMENT.items() if not getattr(parsed, option)]
    if missing:
        parser.error(f"set {', '.join(missing)} in the environment, or give the options of these names")
    return parsed


async def main(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    surroundings = spark.Surroundings(
        java_home=Path(options.java_home),
        storage_emulator_host=options.storage_emulator,
        bigquery_emulator_host=options.bigquery_emulator,
        environment=environment,
    )
    setting = Setting(
        bucket=options.bucket,
        log_dir=options.log_dir,
        creating=options.creating_seconds,
        deleting=options.deleting_seconds,
    )
    storage = Client(
        project=options.project,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": options.storage_emulator},
    )
    topic = f"projects/{options.project}/topics/{options.topic}"
    async with (
        server.topic_publisher(options.pubsub_emulator, topic) as publish,
        server.serving(
            setting,
            run=spark.runner(surroundings, storage.bucket(options.bucket)),
            publish=publish,
            now=lambda: datetime.now(UTC),
            new_id=lambda: str(uuid4()),
            port=options.port,
            control_port=options.control_port,
        ) as serving,
    ):
        if serving.control_port is not None:
            print(f"control {LOOPBACK}:{serving.control_port}", flush=True)
        print(f"ready {LOOPBACK}:{serving.port}", flush=True)
        await stop.wait()
    storage.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(main(parse_arguments(sys.argv[1:], os.environ), os.environ))
