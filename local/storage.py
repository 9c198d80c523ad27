"""fake-gcs-server as a child process: objects are plain files, and new ones are announced on Pub/Sub."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from local.processes import LOOPBACK, Child, Supervisor, answers

_START = 30.0  # seconds; a fraction of one alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Which new objects are announced, and where."""

    pubsub_host: str
    project: str
    topic: str
    bucket: str
    prefix: str


class Storage:
    """A running fake: `url` is what STORAGE_EMULATOR_HOST wants; objects lie at `<root>/<bucket>/<object>`."""

    def __init__(self, child: Child, port: int, root: Path) -> None:
        self.child = child
        self.url = f"http://{LOOPBACK}:{port}"
        self.root = root

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        *,
        binary: Path,
        root: Path,
        environment: Mapping[str, str],
        notification: Notification | None = None,
    ) -> "Storage":
        """Start on this folder; what it holds already is served."""
        root.mkdir(parents=True, exist_ok=True)
        port = supervisor.ports.take()
        command: list[str | Path] = [binary, "-backend", "filesystem", "-filesystem-root", root, "-scheme", "http"]
        command += ["-host", LOOPBACK, "-port", str(port), "-log-level", "warn"]
        command += ["-external-url", f"http://{LOOPBACK}:{port}", "-public-host", f"{LOOPBACK}:{port}"]
        seen = dict(environment)
        if notification is not None:
            seen["PUBSUB_EMULATOR_HOST"] = notification.pubsub_host
            command += [
                "-event.pubsub-project-id",
                notification.project,
                "-event.pubsub-topic",
                notification.topic,
            ]
            command += ["-event.bucket", notification.bucket, "-event.object-prefix", notification.prefix]
        return cls(supervisor.start("storage", command, seen), port, root)

    def wait(self) -> None:
        """Wait until it serves."""
        self.child.wait_until(answers(f"{self.url}/storage/v1/b?project=any"), within=_START)

    def client(self, project: str) -> Client:
        """A client of this fake, whatever the environment says."""
        return Client(
            project=project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
        )

    def ensure_bucket(self, project: str, bucket: str) -> None:
        """Create the bucket unless it is there."""
        client = self.client(project)
        if not client.bucket(bucket).exists():
            client.create_bucket(bucket)
        client.close()
