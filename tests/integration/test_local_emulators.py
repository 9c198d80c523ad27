"""The real emulators as the stack starts them, through the real Google clients."""

import asyncio
import os
from pathlib import Path

import pytest
from google.cloud.bigquery import Client as BigQueryClient
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.types import PubsubMessage

from local import tools, topology
from local.bigquery import BigQuery, DataError
from local.processes import Supervisor
from local.pubsub import PubSub
from local.storage import Notification, Storage

pytestmark = pytest.mark.emulator

SCHEMA = tools.ROOT / "infra" / "bigquery" / "new_releases.schema.json"


async def pulled(subscriber: SubscriberClient, subscription: str) -> PubsubMessage:
    """The one message that waits in a subscription, or comes to it within a minute."""
    answer = await asyncio.to_thread(subscriber.pull, subscription=subscription, max_messages=10, timeout=60)
    (received,) = answer.received_messages
    return received.message


def test_the_topology_is_created_as_described(pubsub: PubSub) -> None:
    """Every topic, subscription and policy described is there; creating it twice is creating it once."""
    description = topology.read(tools.ROOT / "infra" / "topology.json")
    publisher, subscriber = pubsub.publisher(), pubsub.subscriber()
    urls = {push.service: f"http://127.0.0.1:9/{push.service}" for push in description.push_subscriptions}
    for _ in range(2):
        topology.create(
            description, project="described", service_urls=urls, publisher=publisher, subscriber=subscriber
        )

    topics = {topic.name for topic in publisher.list_topics(project="projects/described")}
    found = {
        item.name.rsplit("/", 1)[-1]: item for item in subscriber.list_subscriptions(project="projects/described")
    }
    assert topics == {f"projects/described/topics/{name}" for name in description.topics}
    pushed = {item.name for item in description.push_subscriptions}
    assert set(found) == pushed | {item.name for item in description.pull_subscriptions}
    for push in description.push_subscriptions:
        made = found[push.name]
        assert made.topic == f"projects/described/topics/{push.topic}"
        assert made.push_config.push_endpoint == urls[push.service]
        assert made.ack_deadline_seconds == push.ack_deadline
        assert made.retry_policy.minimum_backoff.seconds == push.min_backoff
        assert made.retry_policy.maximum_backoff.seconds == push.max_backoff
        assert made.dead_letter_policy.max_delivery_attempts == push.max_delivery_attempts
        assert made.dead_letter_policy.dead_letter_topic == f"projects/described/topics/{push.dead_letter_topic}"


async def test_a_new_raw_object_is_announced(pubsub: PubSub, tmp_path: Path) -> None:
    """What lands under raw/ is announced with bucket, name and generation; what lands elsewhere is not."""
    publisher, subscriber = pubsub.publisher(), pubsub.subscriber()
    topic, subscription = "projects/announced/topics/raw-finalized", "projects/announced/subscriptions/seen"
    publisher.create_topic(name=topic)
    subscriber.create_subscription(name=subscription, topic=topic)
    notification = Notification(
        pubsub_host=pubsub.host, project="announced", topic="raw-finalized", bucket="releases", prefix="raw/"
    )
    with Supervisor(tmp_path) as supervisor:
        fake = Storage.start(
            supervisor,
            binary=tools.storage_binary(),
            root=tmp_path / "objects",
            environment=os.environ,
            notification=notification,
        )
        fake.wait()
        fake.ensure_bucket("announced", "releases")
        bucket = fake.client("announced").bucket("releases")
        bucket.blob("runs/2026-11-23/manifest.json").upload_from_string(b"{}")
        blob = bucket.blob("raw/2026-11-23/DK.jsonl.gz")
        blob.upload_from_string(b"album")

        message = await pulled(subscriber, subscription)
        assert message.attributes["eventType"] == "OBJECT_FINALIZE"
        assert message.attributes["bucketId"] == "releases"
        assert message.attributes["objectId"] == "raw/2026-11-23/DK.jsonl.gz"
        assert message.attributes["objectGeneration"] == str(blob.generation)
    assert (tmp_path / "objects" / "releases" / "raw" / "2026-11-23" / "DK.jsonl.gz").read_bytes() == b"album"


def test_the_table_is_created_from_the_schema_file(bigquery: BigQuery) -> None:
    """Columns, partitioning and clustering are as described; creating it twice is creating it once."""
    for _ in range(2):
        bigquery.ensure_table("schema-test", "music", "new_releases", schema=SCHEMA)
    client: BigQueryClient = bigquery.client("schema-test")
    table = client.get_table("schema-test.music.new_releases")
    assert [field.name for field in table.schema][:6] == [
        "market",
        "release_date",
        "track_name",
        "duration_ms",
        "artists",
        "load_date",
    ]
    assert {field.name: field.mode for field in table.schema}["artist_ids"] == "REPEATED"
    assert table.time_partitioning.field == "load_date"
    assert table.clustering_fields == ["market"]
    assert next(iter(client.query("SELECT COUNT(*) FROM music.new_releases").result()))[0] == 0


def test_a_table_of_another_version_is_told_of(bigquery: BigQuery, tmp_path: Path) -> None:
    """Data that an earlier version left would fail in the middle of a run: which columns differ, and what to do."""
    older = tmp_path / "older.json"
    older.write_text('[{"name": "market", "type": "STRING"}, {"name": "popularity", "type": "INTEGER"}]')
    bigquery.ensure_table("version-test", "music", "new_releases", schema=older)
    with pytest.raises(DataError, match=r"differ in .*popularity.* Remove the folder, or .* STACK_DATA"):
        bigquery.ensure_table("version-test", "music", "new_releases", schema=SCHEMA)


def test_two_emulators_run_at_once(pubsub: PubSub, java: tools.Java, tmp_path: Path) -> None:
    """Two stacks on one machine share no port and no topic."""
    jar = tools.pubsub_jar(os.environ, tools.ROOT / ".tools")
    with Supervisor(tmp_path) as supervisor:
        second = PubSub.start(supervisor, java=java.executable, jar=jar, environment=os.environ)
        second.wait()
        second.publisher().create_topic(name="projects/twins/topics/only-in-second")
        assert not list(pubsub.publisher().list_topics(project="projects/twins"))
        assert list(second.publisher().list_topics(project="projects/twins"))
