"""Somebody is called at night: real processes of the command line on a real bucket, with what a run left behind."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from eventing.objects import GcsObjectStore
from local.stack import sole_use
from local.tools import ROOT
from ops import record
from tests import nights
from tests.builders import RUN

pytestmark = [pytest.mark.e2e, pytest.mark.emulator, pytest.mark.timeout(120)]


@pytest.fixture
def stack(gcs_emulator: tuple[str, Path], tmp_path: Path) -> Iterator[Path]:
    """The record of a stack of which nothing but the bucket is asked."""
    nothing = "127.0.0.1:9"
    told = {
        "GOOGLE_CLOUD_PROJECT": "p",
        "BUCKET": f"night-{abs(hash(tmp_path)) % 10**9}",
        "REGION": "r",
        "BIGQUERY_DATASET": "d",
        "BIGQUERY_TABLE": "t",
        "PUBSUB_EMULATOR_HOST": nothing,
        "STORAGE_EMULATOR_HOST": gcs_emulator[0],
        "BIGQUERY_EMULATOR_HOST": f"http://{nothing}",
        "DATAPROC_EMULATOR_HOST": nothing,
        "SECRET_MANAGER_EMULATOR_HOST": nothing,
    }
    found = record.Record(pid=1, home=tmp_path, environment=told, services={})
    (tmp_path / record.FILE).write_text(found.model_dump_json())
    with sole_use(tmp_path, lock=record.LOCK):
        yield tmp_path


@pytest.mark.parametrize("case", nights.SCENES)
async def test_one_look_says_why_and_what_to_type(
    stack: Path, case: str, gcs_emulator: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed, a partial, a throttled and a quota-refused run: cause, next command and stack in one answer."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator[0])
    bucket = json.loads((stack / record.FILE).read_text())["environment"]["BUCKET"]
    client = Client(project="p", credentials=AnonymousCredentials())
    client.create_bucket(bucket)
    store = GcsObjectStore(client, bucket)
    await nights.SCENES[case](store)
    await store.aclose()
    named = ("--stack", str(stack))
    command = [str(ROOT / "releases"), *named, "run", "show", RUN]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
    )
    why, then = nights.SAID[case]
    told = " ".join(done.stdout.split())
    assert (done.returncode, done.stderr) == (0, f"the local stack of {stack}, bucket {bucket}\n")
    assert why in told
    assert f"next: {then.replace('releases', ' '.join(('releases', *named)))}" in told
