"""What hands other than the fetcher's do to the raw objects of a run: parts are spoilt, and strays lie beside them."""

import gzip
import json
from typing import Literal, get_args

from contracts.names import part_name, raw_prefix
from tests.simulation.cloud import Bucket

Harm = Literal["vanishes", "is cut", "is emptied", "is foreign", "is short", "is glued"]
HARMS: tuple[Harm, ...] = get_args(Harm)
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


async def stray(bucket: Bucket, run_id: str, market: str) -> None:
    """Leave beside a part: another market's, a copy, and one that was not written to its end."""
    body, folder = bucket.body(part_name(run_id, market)) or b"", raw_prefix(run_id)
    album = {"id": "stray", "tracks": {"items": [{"id": "stray1"}]}}
    line = json.dumps({"market": STRANGER, "run_id": run_id, "album": album}).encode()
    await bucket.write(f"{folder}{STRANGER}.jsonl.gz", gzip.compress(line + b"\n", mtime=0))
    await bucket.write(f"{folder}{market} (1).jsonl.gz", body)
    await bucket.write(f"{folder}{market}.jsonl.gz.part", body[: len(body) // 2])
