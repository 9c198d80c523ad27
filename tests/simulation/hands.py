"""What hands other than the services' do to the objects of a run: parts are spoilt, strays and litter lie about."""

import gzip
import json
from typing import Literal, get_args

from contracts.names import part_name, raw_prefix, run_prefix
from tests.simulation.chance import Chance
from tests.simulation.cloud import Bucket

Harm = Literal["vanishes", "is cut", "is emptied", "is foreign", "is short", "is glued"]
HARMS: tuple[Harm, ...] = get_args(Harm)
LITTERED = "2026-11-18"
"""A run of which there is nothing but what nobody can read; every sweep comes by, and receipts are compared with it."""
BODIES = (
    b"",
    b'{"run_id": "2026-11-',
    b"\xff\x00",
    b'["foreign"]',
    b'{"run_id": "2026-11-18", "version": 9, "expects": {"markets": "all"}}',
    (
        b'{"run_id": "2026-11-18", "markets": ["DK"], "reason": "r", "created_at": "2026-11-18T00:00:00",'
        b' "deadline": "2026-11-18T06:00:00", "requested_by": "somebody"}'
    ),
)
"""Empty, cut short, no text, foreign, of a later version, and with times that have no zone."""
_DOCUMENTS = (
    "decisions/0001.json",
    "receipts/0001.json",
    "clusters/0001.json",
    "jobs/0001.json",
    "orders/0001.json",
)
_STRANGERS = (
    "receipts/0001 (1).json",
    "orders/0001-draft.json",
    "decisions/1.json",
    "announced/0001.json.bak",
    "throttled/dk.json",
    "README",
)
STRANGER = "XK"
"""A market that no run here expects."""


async def harm(bucket: Bucket, run_id: str, market: str, how: Harm) -> bool:
    """Spoil a part; False where there is none that is whole."""
    name = part_name(run_id, market)
    body = bucket.body(name)
    if not body or (name, bucket.generation(name)) in bucket.spoilt:
        return False
    if how == "vanishes":
        bucket.lose(name)
        return True
    metadata = {} if how in ("is emptied", "is foreign") else dict(bucket.metadata(name))
    generation = await bucket.write(name, _spoilt(body, market, how), metadata)
    bucket.spoilt.add((name, generation))
    return True


def _spoilt(body: bytes, market: str, how: Harm) -> bytes:
    match how:
        case "is cut":
            return body[: len(body) // 2]
        case "is foreign":
            return _of_another_market(body, market)
        case "is short":
            return gzip.compress(b"".join(gzip.decompress(body).splitlines(keepends=True)[:-1]), mtime=0)
        case "is glued":
            return body + body
        case _:
            return b""


def _of_another_market(body: bytes, market: str) -> bytes:
    ours, theirs = f'"market":"{market}"'.encode(), f'"market":"{STRANGER}"'.encode()
    return gzip.compress(gzip.decompress(body).replace(ours, theirs), mtime=0)


async def litter(bucket: Bucket, run_id: str, chance: Chance) -> None:
    """Leave documents that nobody can read in a run of their own, and names that are none of ours in this one."""
    for name in ("manifest.json", *_DOCUMENTS, *_STRANGERS):
        await bucket.write(f"{run_prefix(LITTERED)}{name}", chance.one_of(BODIES))
    for name in _STRANGERS:
        await bucket.write(f"{run_prefix(run_id)}{name}", chance.one_of(BODIES))


async def stray(bucket: Bucket, run_id: str, market: str) -> None:
    """Leave beside a part: another market's, a copy, and one that was not written to its end."""
    body, folder = bucket.body(part_name(run_id, market)) or b"", raw_prefix(run_id)
    album = {"id": "stray", "tracks": {"items": [{"id": "stray1"}]}}
    line = json.dumps({"market": STRANGER, "run_id": run_id, "album": album}).encode()
    await bucket.write(f"{folder}{STRANGER}.jsonl.gz", gzip.compress(line + b"\n", mtime=0))
    await bucket.write(f"{folder}{market} (1).jsonl.gz", body)
    await bucket.write(f"{folder}{market}.jsonl.gz.part", body[: len(body) // 2])
