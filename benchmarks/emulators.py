"""The emulators a service is measured against: Pub/Sub with every topic, and a bucket. No subscription, no service."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import tools, topology
from local.processes import Supervisor
from local.pubsub import PubSub
from local.storage import Storage


@dataclass(frozen=True, slots=True)
class Emulators:
    """What runs, and the Java it runs on."""

    supervisor: Supervisor
    pubsub: PubSub
    storage: Storage
    java: tools.Java


@contextmanager
def started(folder: Path, *, project: str, bucket: str) -> Iterator[Emulators]:
    """Both emulators, ready, for as long as the block lasts; their files are below the folder."""
    java = tools.java(os.environ, tools.ROOT / ".tools")
    jar = tools.pubsub_jar(os.environ, tools.ROOT / ".tools")
    with Supervisor(folder) as supervisor:
        pubsub = PubSub.start(supervisor, java=java.executable, jar=jar, environment=os.environ)
        storage = Storage.start(
            supervisor, binary=tools.storage_binary(), root=folder / "objects", environment=os.environ
        )
        pubsub.wait()
        storage.wait()
        storage.ensure_bucket(project, bucket)
        with pubsub.publisher() as publisher:
            for topic in topology.read(tools.ROOT / "infra/topology.json").topics:
                publisher.create_topic(name=f"projects/{project}/topics/{topic}")
        yield Emulators(supervisor, pubsub, storage, java)
