"""What is known of a run, read from and written to the bucket: the only memory the services share.

Reads are level-triggered: they list what is there now. Manifests, decisions, receipts and cluster claims are
create-only; whoever loses reads the winner's document back.
"""

import asyncio
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from contracts import names
from contracts.documents import (
    ClusterClaim,
    DeadLetter,
    DeadLetterRecord,
    Decision,
    Document,
    JobClaim,
    LoadResult,
    Manifest,
    Order,
    Part,
    Receipt,
    ThrottledRecord,
)
from contracts.faults import ContractError
from contracts.parts import PartMetadata
from eventing.errors import Permanent
from eventing.objects import ObjectInfo, ObjectStore

DocumentT = TypeVar("DocumentT", bound=Document)


@dataclass(frozen=True, slots=True)
class RunIndex:
    """What a listing alone tells about a run, without reading a document."""

    run_id: str
    has_manifest: bool
    decisions: tuple[int, ...]
    """Revisions, ascending."""
    receipts: tuple[int, ...]
    announced: tuple[int, ...]
    """Receipts whose event was published."""
    dead_letters: tuple[str, ...]
    """Markets that were given up."""
    throttled: tuple[str, ...]
    """Markets that wait, or waited, for quota."""
    ordered_at: Mapping[int, datetime]
    """When each of an operator's orders was written, by its number, ascending; by the store's clock."""
    reopened: tuple[int, ...] = ()
    """Numbers of the orders to reopen that were obeyed, ascending."""
    repaired: tuple[int, ...] = ()
    """Revisions whose bad or vanished parts were asked for again, ascending."""
    began_at: datetime | None = None
    """When the manifest was written, by the store's clock."""
    touched_at: datetime | None = None
    """When the newest of its documents was written, by the store's clock."""

    @property
    def orders(self) -> tuple[int, ...]:
        """Numbers of an operator's orders, ascending."""
        return tuple(self.ordered_at)

    @property
    def newest_decision(self) -> int:
        """The newest revision, 0 where there is none."""
        return self.decisions[-1] if self.decisions else 0

    @property
    def is_finished(self) -> bool:
        """Whether the newest decision has its receipt."""
        return self.newest_decision > 0 and self.newest_decision in self.receipts

    @property
    def is_settled(self) -> bool:
        """Whether it is finished and everybody was told of every receipt."""
        return self.is_finished and set(self.receipts) <= set(self.announced)

    def is_archived(self, now: datetime, raw_days: int) -> bool:
        """Whether nothing was written about it for as long as a raw object lives: there is nothing left to load."""
        return self.touched_at is not None and now - self.touched_at > timedelta(days=raw_days)


@dataclass(frozen=True, slots=True)
class Landing:
    """What lies in the bucket of a run's markets."""

    parts: dict[str, Part] = field(default_factory=dict)
    """By market."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Why what lies there is no part, by market."""


class RunLedger:
    """The documents and parts of runs, over an `ObjectStore`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._manifests: dict[str, Manifest] = {}

    async def manifest(self, run_id: str) -> Manifest | None:
        """What the run expects, or None while the run is unknown. Never changes once written."""
        if run_id not in self._manifests:
            found = await self._read(names.manifest_name(run_id), Manifest)
            if found is None:
                return None
            self._manifests[run_id] = found
        return self._manifests[run_id]

    async def create_manifest(self, manifest: Manifest) -> Manifest:
        """Write the manifest unless the run has one; gives the one that stands."""
        if await self._create(names.manifest_name(manifest.run_id), manifest):
            return manifest
        standing = await self.manifest(manifest.run_id)
        return standing or manifest

    async def parts(self, run_id: str) -> dict[str, Part]:
        """The parts that are in the bucket now, by market."""
        return (await self.landing(run_id)).parts

    async def landing(self, run_id: str) -> Landing:
        """The parts that are in the bucket now, and what lies where a part should and is none."""
        found = Landing()
        for info in await self._store.listing(names.raw_prefix(run_id)):
            if (key := names.parse_part_name(info.name)) is not None:
                _sort_in(key.market, info, found)
        return found

    async def parts_metadata(self, run_id: str) -> dict[str, Mapping[str, str]]:
        """What the fetcher wrote beside each part that is in the bucket now, by market."""
        listed = await self._store.listing(names.raw_prefix(run_id))
        keyed = ((names.parse_part_name(info.name), info.metadata) for info in listed)
        return {key.market: metadata for key, metadata in keyed if key is not None}

    async def index(self, run_id: str) -> RunIndex:
        """Which decisions and receipts a run has."""
        infos = await self._store.listing(names.run_prefix(run_id))
        return _index(run_id, infos)

    async def indexes(self) -> list[RunIndex]:
        """Every run there is, oldest first, by one listing."""
        listed = await self._store.listing("runs/")
        by_run = itertools.groupby(listed, key=lambda info: info.name.split("/")[1])
        return [_index(run_id, found) for run_id, found in by_run if names.is_run_id(run_id)]

    async def claim_asking(self, run_id: str, slot: int, owner: str) -> bool:
        """Claim asking again for a run's missing markets in one interval; True for one owner, however often."""
        claim = json.dumps({"slot": slot, "owner": owner}).encode()
        return await self._store.create(names.asking_name(run_id, slot), claim)

    async def decision(self, run_id: str, revision: int) -> Decision | None:
        """One decision."""
        return await self._read(names.decision_name(run_id, revision), Decision)

    async def create_decision(self, decision: Decision) -> bool:
        """Write a decision; False when its number was taken by another."""
        return await self._create(names.decision_name(decision.run_id, decision.revision), decision)

    async def receipt(self, run_id: str, revision: int) -> Receipt | None:
        """One receipt."""
        return await self._read(names.receipt_name(run_id, revision), Receipt)

    async def create_receipt(self, receipt: Receipt) -> bool:
        """Write a receipt; False when there was another."""
        return await self._create(names.receipt_name(receipt.run_id, receipt.revision), receipt)

    async def load_result(self, run_id: str, revision: int) -> LoadResult | None:
        """What the Spark job counted, or None where it wrote nothing."""
        return await self._read(names.load_name(run_id, revision), LoadResult)

    async def cluster_claims(self, run_id: str) -> list[ClusterClaim]:
        """The cluster attempts of a run, in order."""
        listed = await self._store.listing(names.clusters_prefix(run_id))
        return await self._read_all([info.name for info in listed], ClusterClaim)

    async def create_cluster_claim(self, claim: ClusterClaim) -> bool:
        """Claim a cluster attempt; False when another has claimed it."""
        return await self._create(names.cluster_claim_name(claim.run_id, claim.attempt), claim)

    async def note_refused(self, claim: ClusterClaim, reason: str) -> None:
        """Add to a claim why Google refused its cluster; the claim stays as it is, and stays a claim."""
        refused = claim.model_copy(update={"refused": reason})
        await self._store.write(names.cluster_claim_name(claim.run_id, claim.attempt), refused.to_json())

    async def job_claims(self, run_id: str) -> list[JobClaim]:
        """The jobs of a run in the order in which they were claimed."""
        listed = await self._store.listing(names.job_claims_prefix(run_id))
        return await self._read_all([info.name for info in listed], JobClaim)

    async def claim_job(self, claim: JobClaim) -> JobClaim:
        """Claim being the run's next job; gives the claim that stands, which may be another's."""
        name = names.job_claim_name(claim.run_id, claim.number)
        if await self._create(name, claim):
            return claim
        return await self._read(name, JobClaim) or claim

    async def note_announced(self, run_id: str, revision: int) -> None:
        """Note that a receipt's event was published."""
        await self._store.create(names.announced_name(run_id, revision), b"{}")

    async def newest_order(self, index: RunIndex) -> Order | None:
        """What an operator wanted last."""
        return await self._order(index, index.orders[-1]) if index.orders else None

    async def orders(self, index: RunIndex) -> list[Order]:
        """All that an operator wanted of a run, in order."""
        found = await asyncio.gather(*(self._order(index, number) for number in index.orders))
        return [order for order in found if order is not None]

    async def _order(self, index: RunIndex, number: int) -> Order | None:
        """An order is given when it reaches the bucket: the clock of the machine it came from decides nothing."""
        order = await self._read(names.order_name(index.run_id, number), Order)
        return order and order.model_copy(update={"ordered_at": index.ordered_at[number]})

    async def create_order(self, order: Order) -> bool:
        """Write an order; False when its number was taken by another."""
        return await self._create(names.order_name(order.run_id, order.number), order)

    async def dead_letters(self, index: RunIndex) -> dict[str, DeadLetterRecord]:
        """The markets of a run that were given up, by market."""
        wanted = [names.dead_letter_name(index.run_id, market) for market in index.dead_letters]
        return {record.market: record for record in await self._read_all(wanted, DeadLetterRecord)}

    async def record_dead_letter(self, record: DeadLetterRecord) -> None:
        """Record why a market was given up; the newest record counts."""
        await self._store.write(names.dead_letter_name(record.run_id, record.market), record.to_json())

    async def clear_dead_letter(self, run_id: str, market: str) -> None:
        """Forget that a market was given up: it landed, or is asked for again."""
        await self._store.delete(names.dead_letter_name(run_id, market))

    async def note_reopened(self, run_id: str, number: int) -> None:
        """Note that an order to reopen was obeyed: the missing markets were asked for again."""
        await self._store.create(names.reopening_name(run_id, number), b"{}")

    async def note_repaired(self, run_id: str, revision: int) -> None:
        """Note that bad or vanished parts of a revision were asked for again."""
        await self._store.create(names.repair_name(run_id, revision), b"{}")

    async def has_letter(self, subscription: str, message_id: str) -> bool:
        """Whether a dead letter is on record."""
        return await self._store.stat(names.letter_name(subscription, message_id)) is not None

    async def create_letter(self, letter: DeadLetter) -> bool:
        """Record a dead letter; False when it was on record."""
        return await self._create(names.letter_name(letter.subscription, letter.message_id), letter)

    async def letter(self, subscription: str, message_id: str) -> DeadLetter | None:
        """One dead letter."""
        return await self._read(names.letter_name(subscription, message_id), DeadLetter)

    async def letters(self, subscription: str | None = None) -> list[DeadLetter]:
        """Every dead letter on record, or those of one subscription, by subscription and message id."""
        below = names.LETTERS_PREFIX if subscription is None else f"{names.LETTERS_PREFIX}{subscription}/"
        listed = await self._store.listing(below)
        return await self._read_all([info.name for info in listed], DeadLetter)

    async def replace_letter(self, letter: DeadLetter) -> None:
        """Write what was done about a dead letter into its record."""
        name = names.letter_name(letter.subscription, letter.message_id)
        await self._store.write(name, letter.to_json())

    async def throttled(self, index: RunIndex) -> dict[str, ThrottledRecord]:
        """The markets of a run that wait for quota, by market."""
        wanted = [names.throttled_name(index.run_id, market) for market in index.throttled]
        return {record.market: record for record in await self._read_all(wanted, ThrottledRecord)}

    async def throttle(self, run_id: str, market: str) -> ThrottledRecord | None:
        """Until when one market waits, or waited, for quota."""
        return await self._read(names.throttled_name(run_id, market), ThrottledRecord)

    async def record_throttled(self, record: ThrottledRecord) -> None:
        """Record until when a market waits."""
        await self._store.write(names.throttled_name(record.run_id, record.market), record.to_json())

    async def clear_throttled(self, run_id: str, market: str) -> None:
        """The market waits no longer."""
        await self._store.delete(names.throttled_name(run_id, market))

    async def _create(self, name: str, document: Document) -> bool:
        return await self._store.create(name, document.to_json())

    async def _read(self, name: str, model: type[DocumentT]) -> DocumentT | None:
        stored = await self._store.read(name)
        if stored is None:
            return None
        try:
            return model.model_validate_json(stored.body)
        except ValidationError as error:
            reason = (
                f"{name} is not a readable {model.__name__} ({error.error_count()} faults); repair or remove it"
            )
            raise Permanent(reason) from error

    async def _read_all(self, wanted: Iterable[str], model: type[DocumentT]) -> list[DocumentT]:
        found = await asyncio.gather(*(self._read(name, model) for name in wanted))
        return [document for document in found if document is not None]


def _sort_in(market: str, info: ObjectInfo, found: Landing) -> None:
    told = _told(info)
    fault = told.fault() if told else None
    if info.size and fault is None:
        found.parts[market] = _part(market, info, told)
    else:
        found.unusable[market] = f"what landed is no part: {fault or 'it has no bytes'}"


def _told(info: ObjectInfo) -> PartMetadata | None:
    """What the object says of itself; nothing where it was not a fetcher of ours that wrote it."""
    try:
        return PartMetadata.of(info.metadata)
    except ContractError:
        return None


def _part(market: str, info: ObjectInfo, told: PartMetadata | None) -> Part:
    return Part(
        market=market,
        generation=info.generation,
        crc32c=info.crc32c,
        size=info.size,
        landed_at=info.updated,
        form=told.form if told else 1,
        albums=told.album_count if told else None,
        tracks=told.track_count if told else None,
        empty=told is not None and told.empty,
    )


def _index(run_id: str, listed: Iterable[ObjectInfo]) -> RunIndex:
    written = {info.name: info.updated for info in listed}
    found = list(written)
    orders = _stems(found, names.orders_prefix(run_id))
    return RunIndex(
        run_id=run_id,
        has_manifest=names.manifest_name(run_id) in found,
        decisions=tuple(int(stem) for stem in _stems(found, names.decisions_prefix(run_id))),
        receipts=tuple(int(stem) for stem in _stems(found, names.receipts_prefix(run_id))),
        announced=tuple(int(stem) for stem in _stems(found, names.announced_prefix(run_id))),
        dead_letters=_stems(found, names.dead_letters_prefix(run_id)),
        throttled=_stems(found, names.throttled_prefix(run_id)),
        ordered_at={int(stem): written[f"{names.orders_prefix(run_id)}{stem}.json"] for stem in orders},
        reopened=tuple(int(stem) for stem in _stems(found, names.reopenings_prefix(run_id))),
        repaired=tuple(int(stem) for stem in _stems(found, names.repairs_prefix(run_id))),
        began_at=written.get(names.manifest_name(run_id)),
        touched_at=max(written.values(), default=None),
    )


def _stems(listed: Iterable[str], prefix: str) -> tuple[str, ...]:
    """The file names below a prefix, without `.json`, in order (numbers have four digits)."""
    ours = (name.removeprefix(prefix) for name in listed if name.startswith(prefix) and name.endswith(".json"))
    return tuple(sorted(name.removesuffix(".json") for name in ours))
