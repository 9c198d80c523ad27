"""What is known of a run, read from and written to the bucket: the only memory the services share.

Reads are level-triggered: they list what is there now. Decisions, receipts and claims are create-only, a manifest only
grows; whoever loses reads the winner's document back.

A document that cannot be read is set aside: its name and the reason are reported, and it is treated as absent. Without
the manifest, or the decision that is asked for, nothing can be done about a run, so these two raise.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from pydantic import ValidationError

from contracts import names
from contracts.documents import (
    MOST_BYTES,
    ClusterClaim,
    DeadLetter,
    Decision,
    Document,
    GivenUpMarket,
    JobClaim,
    LoadResult,
    Manifest,
    Notice,
    Order,
    Part,
    Receipt,
    SecondLook,
    ThrottledMarket,
)
from contracts.faults import ContractError, faults_of
from contracts.names import RunObject
from contracts.parts import PartMetadata
from contracts.wording import shown
from eventing.errors import Permanent
from eventing.objects import ObjectInfo, ObjectStore, TooLarge

log = logging.getLogger(__name__)

DocumentT = TypeVar("DocumentT", bound=Document)
SetAside = Callable[[str, str], None]
"""Is called for each object that cannot be read, with its name, and why and what to do."""

_NUMBERED_BY: Final = {
    "decisions": "revision",
    "receipts": "revision",
    "looks": "revision",
    "notices": "revision",
    "loads": "revision",
    "clusters": "attempt",
    "jobs": "number",
    "orders": "number",
}
"""By folder, the field of a document that repeats the number in its name."""


class Unreadable(Permanent):
    """A document that cannot be used: cut short, not ours, too large, or copied from another place."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{shown(name)} {why}; repair or remove it")


@dataclass(frozen=True, slots=True)
class Claims(Generic[DocumentT]):
    """What was claimed of a run, in order."""

    readable: tuple[DocumentT, ...]
    last: int
    """The highest number that is taken, whether or not its claim can be read."""


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
    given_up: tuple[str, ...]
    """Markets that were given up."""
    throttled: tuple[str, ...]
    """Markets that wait, or waited, for quota."""
    ordered_at: Mapping[int, datetime]
    """When each of an operator's orders was written, by its number, ascending; by the store's clock."""
    reopened: tuple[int, ...] = ()
    """Numbers of the orders to reopen that were obeyed, ascending."""
    repaired: tuple[int, ...] = ()
    """Revisions whose bad or vanished parts were asked for again, ascending."""
    jobs: int = 0
    """How many jobs were claimed."""
    looked: tuple[int, ...] = ()
    """Revisions after which the table was looked at a second time, ascending."""
    finished_at: datetime | None = None
    """When the newest decision's receipt was written, by the store's clock; None without a receipt."""
    began_at: datetime | None = None
    """When the manifest was written, by the store's clock."""
    touched_at: datetime | None = None
    """When the newest of its documents was written, by the store's clock."""
    strangers: tuple[str, ...] = ()
    """Objects among its documents whose names are not those of a document."""

    @property
    def orders(self) -> tuple[int, ...]:
        """Numbers of an operator's orders, ascending."""
        return tuple(self.ordered_at)

    @property
    def newest_decision(self) -> int:
        """The newest revision; 0 before the first decision."""
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
    """What the bucket holds of a run's markets."""

    parts: dict[str, Part] = field(default_factory=dict)
    """By market."""
    unusable: dict[str, str] = field(default_factory=dict)
    """By market, why the object in its place is not a part."""


def _tell(name: str, reason: str) -> None:
    log.warning("document_set_aside", extra={"object": name, "reason": reason})


class RunLedger:
    """The documents and parts of runs, over an `ObjectStore`."""

    def __init__(self, store: ObjectStore, set_aside: SetAside = _tell) -> None:
        self._store = store
        self._set_aside = set_aside

    async def manifest(self, run_id: str) -> Manifest | None:
        """What the run expects, or None while the run is unknown. It may grow.

        Raises:
            Unreadable: the document cannot be read.
        """
        return await self._read(names.manifest_name(run_id), Manifest)

    async def create_manifest(self, manifest: Manifest) -> Manifest:
        """Write the manifest unless the run has one; gives the one that stands."""
        if await self._create(names.manifest_name(manifest.run_id), manifest):
            return manifest
        standing = await self.manifest(manifest.run_id)
        return standing or manifest

    async def widen_manifest(self, standing: Manifest, wider: Manifest) -> bool:
        """Write a wider manifest in place of the one that stands; False when that is no longer this one."""
        return await self._exchange(names.manifest_name(standing.run_id), standing, wider)

    async def parts(self, run_id: str) -> dict[str, Part]:
        """The parts that are in the bucket now, by market."""
        return (await self.landing(run_id)).parts

    async def landing(self, run_id: str) -> Landing:
        """The parts that are in the bucket now, and the objects in a part's place that are not parts."""
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
        by_run: defaultdict[str, list[ObjectInfo]] = defaultdict(list)
        for info in await self._store.listing("runs/"):
            by_run[info.name.split("/")[1]].append(info)
        return [_index(run_id, by_run[run_id]) for run_id in sorted(by_run) if names.is_run_id(run_id)]

    async def claim_asking(self, run_id: str, slot: int, owner: str) -> bool:
        """Claim asking again for a run's missing markets in one interval; True for the first owner, however often."""
        claim = json.dumps({"slot": slot, "owner": owner}).encode()
        return await self._store.create(names.asking_name(run_id, slot), claim)

    async def decision(self, run_id: str, revision: int) -> Decision | None:
        """One decision.

        Raises:
            Unreadable: the document cannot be read.
        """
        return await self._read(names.decision_name(run_id, revision), Decision)

    async def create_decision(self, decision: Decision) -> bool:
        """Write a decision; False when its number was taken by another."""
        return await self._create(names.decision_name(decision.run_id, decision.revision), decision)

    async def receipt(self, run_id: str, revision: int) -> Receipt | None:
        """One receipt."""
        return await self._read_if(names.receipt_name(run_id, revision), Receipt)

    async def decisions(self, index: RunIndex) -> list[Decision]:
        """Every decision of a run, in order."""
        wanted = [names.decision_name(index.run_id, revision) for revision in index.decisions]
        return await self._read_all(wanted, Decision)

    async def create_receipt(self, receipt: Receipt) -> bool:
        """Write a receipt; False when there was another."""
        return await self._create(names.receipt_name(receipt.run_id, receipt.revision), receipt)

    async def load_result(self, run_id: str, revision: int) -> LoadResult | None:
        """What the Spark job counted, or None where it wrote nothing."""
        return await self._read_if(names.load_name(run_id, revision), LoadResult)

    async def cluster_claims(self, run_id: str) -> Claims[ClusterClaim]:
        """The cluster attempts of a run."""
        return await self._claims(names.clusters_prefix(run_id), ClusterClaim)

    async def create_cluster_claim(self, claim: ClusterClaim) -> bool:
        """Claim a cluster attempt; False when another has claimed it."""
        return await self._create(names.cluster_claim_name(claim.run_id, claim.attempt), claim)

    async def note_refused(self, claim: ClusterClaim, reason: str) -> None:
        """Add to a claim why Google refused its cluster; the claim stays as it is, and stays a claim."""
        refused = claim.model_copy(update={"refused": reason})
        await self._store.write(names.cluster_claim_name(claim.run_id, claim.attempt), refused.to_json())

    async def job_claims(self, run_id: str) -> Claims[JobClaim]:
        """The jobs of a run in the order in which they were claimed."""
        return await self._claims(names.job_claims_prefix(run_id), JobClaim)

    async def _claims(self, prefix: str, model: type[DocumentT]) -> Claims[DocumentT]:
        listed = [info.name for info in await self._store.listing(prefix)]
        numbers = {name: found.number for name in listed if (found := names.parse_run_object(name)) is not None}
        return Claims(tuple(await self._read_all(numbers, model)), max(numbers.values(), default=0))

    async def claim_job(self, claim: JobClaim) -> JobClaim:
        """Claim being the run's next job; gives the claim that stands, which may be another's."""
        name = names.job_claim_name(claim.run_id, claim.number)
        if await self._create(name, claim):
            return claim
        return await self._read(name, JobClaim) or claim

    async def note_announced(self, run_id: str, revision: int) -> None:
        """Note that a receipt's event was published."""
        await self._store.create(names.announced_name(run_id, revision), b"{}")

    async def note_looked(self, look: SecondLook) -> None:
        """Note what a second look at the table found."""
        await self._create(names.look_name(look.run_id, look.revision), look)

    async def look(self, run_id: str, revision: int) -> SecondLook | None:
        """What a second look at the table found."""
        return await self._read(names.look_name(run_id, revision), SecondLook)

    async def notice(self, run_id: str, revision: int, address: str) -> Notice | None:
        """What is known of telling one address of a receipt.

        Raises:
            Unreadable: the document cannot be read.
        """
        return await self._read(names.notice_name(run_id, revision, address), Notice)

    async def claim_notice(self, standing: Notice | None, claim: Notice) -> bool:
        """Claim telling an address, in place of an attempt that is dead; False when another was faster."""
        name = names.notice_name(claim.run_id, claim.revision, claim.address)
        return await (self._exchange(name, standing, claim) if standing else self._create(name, claim))

    async def note_notice(self, notice: Notice) -> None:
        """Note what became of telling an address; only who has claimed it does."""
        name = names.notice_name(notice.run_id, notice.revision, notice.address)
        await self._store.write(name, notice.to_json())

    async def orders(self, index: RunIndex) -> list[Order]:
        """All that an operator wanted of a run, in order."""
        found = await asyncio.gather(*(self._order(index, number) for number in index.orders))
        return [order for order in found if order is not None]

    async def is_discarded(self, index: RunIndex) -> bool:
        """Whether an operator's last word on a run is that it was a mistake."""
        return bool(orders := await self.orders(index)) and orders[-1].kind == "discard"

    async def _order(self, index: RunIndex, number: int) -> Order | None:
        """An order counts from when it reached the bucket, not by the clock of the machine it came from."""
        order = await self._read_if(names.order_name(index.run_id, number), Order)
        return order and order.model_copy(update={"ordered_at": index.ordered_at[number]})

    async def create_order(self, order: Order) -> bool:
        """Write an order; False when its number was taken by another."""
        return await self._create(names.order_name(order.run_id, order.number), order)

    async def given_up(self, index: RunIndex) -> dict[str, GivenUpMarket]:
        """The markets of a run that were given up, by market."""
        wanted = [names.given_up_name(index.run_id, market) for market in index.given_up]
        return {record.market: record for record in await self._read_all(wanted, GivenUpMarket)}

    async def record_given_up(self, record: GivenUpMarket) -> None:
        """Record why a market was given up; the newest record counts."""
        await self._store.write(names.given_up_name(record.run_id, record.market), record.to_json())

    async def clear_given_up(self, run_id: str, market: str) -> None:
        """Forget that a market was given up: it landed, or is asked for again."""
        await self._store.delete(names.given_up_name(run_id, market))

    async def note_reopened(self, run_id: str, number: int) -> None:
        """Note that an order to reopen was obeyed: the missing markets were asked for again."""
        await self._store.create(names.reopening_name(run_id, number), b"{}")

    async def note_repaired(self, run_id: str, revision: int) -> None:
        """Note that bad or vanished parts of a revision were asked for again."""
        await self._store.create(names.repair_name(run_id, revision), b"{}")

    async def has_dead_letter(self, subscription: str, message_id: str) -> bool:
        """Whether a dead letter is on record."""
        return await self._store.stat(names.dead_letter_name(subscription, message_id)) is not None

    async def create_dead_letter(self, dead_letter: DeadLetter) -> bool:
        """Record a dead letter; False when it was on record."""
        return await self._create(
            names.dead_letter_name(dead_letter.subscription, dead_letter.message_id), dead_letter
        )

    async def dead_letter(self, subscription: str, message_id: str) -> DeadLetter | None:
        """One dead letter."""
        return await self._read_if(names.dead_letter_name(subscription, message_id), DeadLetter)

    async def dead_letters(self, subscription: str | None = None) -> list[DeadLetter]:
        """Every dead letter on record, or those of one subscription, by subscription and message id."""
        below = (
            names.DEAD_LETTERS_PREFIX if subscription is None else f"{names.DEAD_LETTERS_PREFIX}{subscription}/"
        )
        listed = await self._store.listing(below)
        recorded = [info.name for info in listed if not _is_folder(info)]
        return await self._read_all(recorded, DeadLetter)

    async def replace_dead_letter(self, dead_letter: DeadLetter) -> None:
        """Write what was done about a dead letter into its record."""
        name = names.dead_letter_name(dead_letter.subscription, dead_letter.message_id)
        await self._store.write(name, dead_letter.to_json())

    async def throttled(self, index: RunIndex) -> dict[str, ThrottledMarket]:
        """The markets of a run that wait for quota, by market."""
        wanted = [names.throttled_name(index.run_id, market) for market in index.throttled]
        return {record.market: record for record in await self._read_all(wanted, ThrottledMarket)}

    async def throttle(self, run_id: str, market: str) -> ThrottledMarket | None:
        """Until when one market waits, or waited, for quota."""
        return await self._read(names.throttled_name(run_id, market), ThrottledMarket)

    async def record_throttled(self, record: ThrottledMarket) -> None:
        """Record until when a market waits."""
        await self._store.write(names.throttled_name(record.run_id, record.market), record.to_json())

    async def clear_throttled(self, run_id: str, market: str) -> None:
        """The market waits no longer."""
        await self._store.delete(names.throttled_name(run_id, market))

    async def _create(self, name: str, document: Document) -> bool:
        return await self._store.create(name, document.to_json())

    async def _exchange(self, name: str, standing: Document, new: Document) -> bool:
        """Write a document in place of the one that stands; False when that is no longer this one."""
        stored = await self._store.read(name, most_bytes=MOST_BYTES)
        if stored is None or stored.body not in (standing.to_json(), new.to_json()):
            return False
        return await self._store.replace(name, new.to_json(), stored.generation)

    async def _read(self, name: str, model: type[DocumentT]) -> DocumentT | None:
        try:
            stored = await self._store.read(name, most_bytes=MOST_BYTES)
            document = None if stored is None else model.model_validate_json(stored.body)
        except TooLarge as error:
            raise Unreadable(name, f"has more than {MOST_BYTES:,} bytes") from error
        except ValidationError as error:
            raise Unreadable(name, f"is not a readable {model.__name__} ({_faults(error)})") from error
        if document is not None and (wrong := _misplaced(name, document)):
            raise Unreadable(name, f"belongs to another place, by its {', '.join(wrong)}")
        return document

    async def _read_if(self, name: str, model: type[DocumentT]) -> DocumentT | None:
        try:
            return await self._read(name, model)
        except Unreadable as error:
            self._set_aside(name, str(error))
            return None

    async def _read_all(self, wanted: Iterable[str], model: type[DocumentT]) -> list[DocumentT]:
        found = await asyncio.gather(*(self._read_if(name, model) for name in wanted))
        return [document for document in found if document is not None]


def _faults(error: ValidationError) -> str:
    """The first fault, and how many more there are."""
    first, *others = faults_of(error, prefix="document")
    return f"{first}" + (f", and {len(others)} more" if others else "")


def _misplaced(name: str, document: Document) -> list[str]:
    """Fields of a document that contradict its name: somebody copied it here."""
    if isinstance(document, DeadLetter):
        own = names.dead_letter_name(document.subscription, document.message_id)
        return [] if name == own else ["subscription and message_id"]
    place = names.parse_run_object(name)
    if place is None:
        return []
    told = {"run_id": place.run_id, "market": place.market, _NUMBERED_BY.get(place.folder, ""): place.number}
    return [field for field, value in told.items() if value and getattr(document, field, value) != value]


def _is_folder(info: ObjectInfo) -> bool:
    """Whether an object only stands for a folder; consoles make such."""
    return info.name.endswith("/")


def _sort_in(market: str, info: ObjectInfo, found: Landing) -> None:
    told = _told(info)
    fault = told.fault() if told else None
    if info.size and fault is None:
        found.parts[market] = _part(market, info, told)
    else:
        found.unusable[market] = f"what landed is no part: {fault or 'it has no bytes'}"


def _told(info: ObjectInfo) -> PartMetadata | None:
    """The metadata of a part; None where no fetcher of ours wrote it."""
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
    written: dict[RunObject, datetime] = {}
    strangers = []
    for info in listed:
        if (found := names.parse_run_object(info.name)) is not None:
            written[found] = info.updated
        elif not _is_folder(info):
            strangers.append(info.name)
    decisions = _numbers(written, "decisions")
    return RunIndex(
        run_id=run_id,
        has_manifest=(manifest := RunObject(run_id)) in written,
        decisions=decisions,
        receipts=_numbers(written, "receipts"),
        announced=_numbers(written, "announced"),
        given_up=_markets(written, "dead-letters"),
        throttled=_markets(written, "throttled"),
        ordered_at={found.number: written[found] for found in sorted(written) if found.folder == "orders"},
        reopened=_numbers(written, "reopenings"),
        repaired=_numbers(written, "repairs"),
        jobs=len(_numbers(written, "jobs")),
        looked=_numbers(written, "looks"),
        finished_at=written.get(RunObject(run_id, "receipts", decisions[-1])) if decisions else None,
        began_at=written.get(manifest),
        touched_at=max(written.values(), default=None),
        strangers=tuple(strangers),
    )


def _numbers(written: Iterable[RunObject], folder: str) -> tuple[int, ...]:
    return tuple(sorted(found.number for found in written if found.folder == folder))


def _markets(written: Iterable[RunObject], folder: str) -> tuple[str, ...]:
    return tuple(sorted(found.market for found in written if found.folder == folder))
