"""The thirteen things that must hold, looked at from outside: in the bucket, the table, Dataproc and the messages.

1 no run is complete while a market is missing, unless its receipt says partial and names it · 2 at most one
effective load per revision, and the table holds nothing but rows of a run without faults, each once · 3 every cluster
is deleted, ours and with both TTLs; nothing of others is touched · 4 every message ends acknowledged, under way or
dead-lettered · 5 once faults stop, an end comes · 6 replaying the log changes nothing · 7 one trace id from tick to
receipt · 8 every market, album and track that the source showed is in the table, or the receipt names the market and
why · 9 no load shrinks a market unless a person asked · 10 a run past its raw objects' life costs nothing · 11 what
Google refuses for want of quota or machines is asked for again after a pause · 12 a fault in one run never delays
another: no sweep is given back for it · 13 of each receipt every address is told, and once, unless something struck
between a sending and its note. A load that outlives its driver is BigQuery's own: it may take the table back, and 2
and 9 count it as if it had not been, but for the end.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from contracts import names
from contracts.documents import ClusterClaim, DeadLetter, Decision, LoadResult, Manifest, Order, Receipt
from contracts.envelope.dead_letters import DEAD, DEAD_LETTER_SOURCE
from contracts.events import BatchReady, DeadLettered, Delivery, MarketRequested, RunRequested
from contracts.names import trace_id
from services.batch_trigger.decisions import MOST_REPAIRS
from services.cluster_manager.capacity import FIRST_PAUSE
from tests.simulation.cloud import Bucket, Load
from tests.simulation.hands import LITTERED
from tests.simulation.job import Row

if TYPE_CHECKING:
    from tests.simulation.world import World


def of_acknowledgement(bucket: Bucket, delivery: Delivery) -> str | None:
    """What is wrong with a message that was acknowledged just now: its effect must stand already."""
    match delivery.event:
        case MarketRequested(run_id=run_id, market=market):
            name = names.part_name(run_id, market)
            return None if bucket.body(name) is not None or name in bucket.lost else f"there is no {name}"
        case RunRequested(run_id=run_id):
            manifests = {name for name in bucket.names() if name.endswith("manifest.json")}
            found = [name for name in manifests - {names.manifest_name(LITTERED)} if (run_id or "") in name]
            return None if found else "there is no manifest"
        case BatchReady(run_id=run_id, revision=revision):
            return _batch_is_taken_up(bucket, run_id, revision)
        case DeadLettered() as letter:
            name = names.dead_letter_name(letter.subscription, letter.message_id)
            return _market_is_given_up(bucket, letter) if bucket.body(name) is not None else f"there is no {name}"
        case _:
            return None


def _market_is_given_up(bucket: Bucket, letter: DeadLettered) -> str | None:
    """A market that was given up is on its run's record too, unless it came, or was asked for again, since."""
    if not isinstance(letter.original, MarketRequested):
        return None
    run_id, market = letter.original.run_id, letter.original.market
    recorded = (names.given_up_name(run_id, market), names.part_name(run_id, market))
    asked = bool(_below(bucket, f"runs/{run_id}/askings/") + _below(bucket, f"runs/{run_id}/reopenings/"))
    there = any(bucket.body(name) is not None for name in recorded)
    return None if there or asked else f"there is no {recorded[0]}"


def _batch_is_taken_up(bucket: Bucket, run_id: str, revision: int) -> str | None:
    """A decision that was announced has its receipt or a newer one's, or a cluster was claimed for its run."""
    claims = bool(_below(bucket, names.clusters_prefix(run_id)))
    settled = any(
        name >= names.receipt_name(run_id, revision) for name in _below(bucket, f"runs/{run_id}/receipts/")
    )
    return None if claims or settled else "its run has neither cluster claim nor receipt"


_DOCUMENT = re.compile(r"runs/[0-9-]{10}/(manifest|[a-z-]+/([0-9]{4}|[A-Z]{2}))\.json")
"""By hand: what the code takes for a document is what is tried here."""


def _below(bucket: Bucket, prefix: str) -> list[str]:
    found = [name for name in bucket.names() if name.startswith(prefix)]
    return [name for name in found if not name.startswith("runs/") or _DOCUMENT.fullmatch(name)]


def memory(world: "World") -> dict[str, object]:
    """What counts of a world: decisions, receipts, claims, parts and the table."""
    kinds = ("/decisions/", "/receipts/", "/clusters/", "manifest.json")
    bucket = world.bucket
    kept: dict[str, object] = {
        name: bucket.generation(name)
        for name in bucket.names()
        if name.startswith("raw/") or any(kind in name for kind in kinds)
    }
    kept |= {f"table of {run_id}": load for run_id, load in world.table.partitions.items()}
    return kept


def askings(world: "World") -> list[str]:
    """When missing markets were asked for again by a sweep, run by run."""
    return [name for name in _below(world.bucket, "runs/") if "/askings/" in name]


# --- liveness --------------------------------------------------------------------------------------------------


def left_to_do(world: "World") -> list[str]:
    """What still has to happen before everything is settled."""
    left = [text for run_id in world.begun for text in _left_of(world, run_id)]
    left += [
        f"cluster {name} is {found.state}"
        for name, found in world.dataproc.machines.items()
        if _ours(world, found.uuid)
    ]
    left += [f"the load of {job} goes on without its driver" for job in _orphans(world)]
    return left + _messages_under_way(world)


def _orphans(world: "World") -> list[str]:
    return [job for job, ends in world.dataproc.orphans.items() if ends >= world.now()]


def _messages_under_way(world: "World") -> list[str]:
    waiting = [f"message {message_id} of {name}" for name, message_id in world.pubsub.under_way]
    return [f"{len(waiting)} messages are under way, such as {waiting[0]}"] if waiting else []


def _ours(world: "World", uuid: str) -> bool:
    return world.dataproc.made[uuid].ours


def _left_of(world: "World", run_id: str) -> Iterator[str]:
    bucket = world.bucket
    if bucket.body(names.manifest_name(run_id)) is None:
        if not _was_refused(world, run_id):
            yield f"{run_id} has no manifest"
        return
    given_up = set(_markets_given_up(world, run_id))
    if _is_young(world, run_id) and (lost := missing(world, run_id) - given_up):
        yield f"{run_id}: {', '.join(sorted(lost))} neither landed nor given up"
    newest = newest_decision(world, run_id)
    if newest is None:
        yield f"{run_id} has no decision"
        return
    yield from _left_to_decide(_Barrier.of(world, run_id, newest))
    if taken_back(world, run_id):
        yield f"{run_id}: an older load has taken the table back"
    if (order := reopening(world, run_id)) is not None:
        if missing(world, run_id) and bucket.body(names.reopening_name(run_id, order.number)) is None:
            yield f"{run_id}: order {order.number} to reopen was not obeyed"
        elif newest.verdict == "fail":
            yield f"{run_id}: reopened, and open still"


def taken_back(world: "World", run_id: str) -> bool:
    """Whether the table holds another revision than the newest, which was loaded."""
    told, standing, newest = (
        receipts(world, run_id),
        world.table.partitions.get(run_id),
        newest_decision(world, run_id),
    )
    if not told or standing is None or newest is None or told[-1].revision != newest.revision:
        return False
    return told[-1].outcome != "failed" and standing.revision != newest.revision


_ASKED_FOR = timedelta(days=7)
"""How long a run's missing markets are asked for again."""


def _is_young(world: "World", run_id: str) -> bool:
    expected = manifest(world, run_id)
    return expected is not None and world.now() - expected.created_at < _ASKED_FOR


@dataclass(frozen=True)
class _Barrier:
    """What lies in the bucket of a run that has a decision, by market."""

    newest: Decision
    has_receipt: bool
    landed: dict[str, int]
    """Generations."""
    bad: set[str]
    """Parts that the job of the decision has left out."""
    repaired: list[str]
    """Objects that say for which revisions parts were asked for again."""

    @classmethod
    def of(cls, world: "World", run_id: str, newest: Decision) -> "_Barrier":
        bucket = world.bucket
        body = bucket.body(names.load_name(run_id, newest.revision))
        load = LoadResult.model_validate_json(body) if body else None
        return cls(
            newest,
            bucket.body(names.receipt_name(run_id, newest.revision)) is not None,
            _generations(world, run_id),
            {part.market for part in load.parts if part.reason} if load else set(),
            _below(bucket, f"runs/{run_id}/repairs/"),
        )

    @property
    def decided(self) -> dict[str, int]:
        return {part.market: part.generation for part in self.newest.parts}

    @property
    def news(self) -> set[str]:
        """What has landed since; what has gone is no news."""
        return {market for market, there in self.landed.items() if there != self.decided.get(market)}

    @property
    def gone(self) -> set[str]:
        """Markets that may be in the table, and whose part is there no longer."""
        loaded = set(self.decided) - self.bad if self.newest.verdict == "load" else set()
        return (loaded | set(self.newest.holds)) - self.landed.keys()

    @property
    def needs_a_person(self) -> bool:
        """Whether what is bad or gone was asked for as often as it is asked for without one."""
        asked = names.repair_name(self.newest.run_id, self.newest.revision) in self.repaired
        return asked or len(self.repaired) >= MOST_REPAIRS


def _left_to_decide(barrier: _Barrier) -> Iterator[str]:
    run_id, revision = barrier.newest.run_id, barrier.newest.revision
    if barrier.news and not (barrier.gone and barrier.needs_a_person):
        yield f"{run_id}: decision {revision} does not hold what has landed: {sorted(barrier.news)}"
    if not barrier.has_receipt:
        yield f"{run_id}: revision {revision} has no receipt"
    if (bad := barrier.bad - barrier.news) and not barrier.needs_a_person:
        yield f"{run_id}: {sorted(bad)} proved bad in revision {revision} and were not asked for again"


def _was_refused(world: "World", run_id: str) -> bool:
    """Whether the request of a run is on record as given up."""
    return any(letter.attributes.get("ce-subject") in (run_id, "tick") for letter in letters(world))


def letters(world: "World") -> list[DeadLetter]:
    """Every dead letter on record."""
    there = _below(world.bucket, names.DEAD_LETTERS_PREFIX)
    return [DeadLetter.model_validate_json(world.bucket.body(name) or b"") for name in there]


def manifest(world: "World", run_id: str) -> Manifest | None:
    """What a run expects."""
    body = world.bucket.body(names.manifest_name(run_id))
    return None if body is None else Manifest.model_validate_json(body)


def missing(world: "World", run_id: str) -> set[str]:
    """Expected markets without a part."""
    expected = manifest(world, run_id)
    return set(expected.markets if expected else ()) - set(_generations(world, run_id))


def _markets_given_up(world: "World", run_id: str) -> Iterator[str]:
    """Dead-lettered for good: one that waits for quota is asked for again when the wait is over."""
    for market in world.case.markets:
        waits = world.bucket.body(names.throttled_name(run_id, market)) is not None
        if world.bucket.body(names.given_up_name(run_id, market)) is not None and not waits:
            yield market


def _generations(world: "World", run_id: str) -> dict[str, int]:
    there = _below(world.bucket, names.raw_prefix(run_id))
    known = manifest(world, run_id)
    parts = {names.part_name(run_id, market) for market in (known.markets if known else ())}
    found = (name for name in there if name in parts and world.bucket.is_part(name, run_id))
    return {name.split("/")[-1].split(".")[0]: world.bucket.generation(name) for name in found}


def reopening(world: "World", run_id: str) -> Order | None:
    """The order to reopen a run that is in force: no decision knows it yet."""
    there, newest = _below(world.bucket, f"runs/{run_id}/orders/"), newest_decision(world, run_id)
    order = Order.model_validate_json(world.bucket.body(there[-1]) or b"") if there else None
    known = newest.order if newest else 0
    return order if order is not None and order.kind == "reopen" and order.number > known else None


def newest_decision(world: "World", run_id: str) -> Decision | None:
    """The newest decision of a run."""
    there = _below(world.bucket, f"runs/{run_id}/decisions/")
    body = world.bucket.body(there[-1]) if there else None
    return None if body is None else Decision.model_validate_json(body)


def receipts(world: "World", run_id: str) -> list[Receipt]:
    """The receipts of a run, by revision."""
    there = _below(world.bucket, f"runs/{run_id}/receipts/")
    return [Receipt.model_validate_json(world.bucket.body(name) or b"") for name in there]


def ends(world: "World") -> dict[str, tuple[str, list[Row]]]:
    """What each run came to: the newest receipt's outcome, and the rows of its partition."""
    found: dict[str, tuple[str, list[Row]]] = {}
    for run_id in world.case.runs:
        told, load = receipts(world, run_id), world.table.partitions.get(run_id)
        found[run_id] = (told[-1].outcome if told else "none", sorted(load.rows) if load else [])
    return found


# --- safety ----------------------------------------------------------------------------------------------------


def after_all(world: "World") -> list[str]:
    """Everything that is wrong with a settled world."""
    found: list[str] = []
    for run_id in world.case.runs:
        found += _completeness(world, run_id)
        found += _loads(world, run_id)
        found += _table(world, run_id)
        found += _nothing_is_lost(world, run_id)
        found += _nothing_shrinks(world, run_id)
        found += _pauses(world, run_id)
        found += _trace(world, run_id)
    return [*found, *_clusters(world), *_messages(world), *_letters(world), *_people(world)]


def _completeness(world: "World", run_id: str) -> Iterator[str]:
    expected = manifest(world, run_id)
    widened_at = expected.widened_at if expected else None
    for receipt in receipts(world, run_id):
        if widened_at is not None and receipt.decided_at < widened_at:
            continue  # it was complete for what the run expected then
        landed, named = set(receipt.landed), {entry.market for entry in receipt.missing}
        lost = set(expected.markets if expected else ()) - landed
        if receipt.outcome == "loaded" and lost:
            yield f"1: receipt {receipt.revision} of {run_id} says loaded, but {sorted(lost)} had not landed"
        if named != lost:
            yield f"1: receipt {receipt.revision} of {run_id} names {sorted(named)} as missing, not {sorted(lost)}"


def _loads(world: "World", run_id: str) -> Iterator[str]:
    """A load after its revision's receipt must have changed nothing."""
    finished = {receipt.revision: receipt for receipt in receipts(world, run_id)}
    standing: tuple[Row, ...] | None = None
    for load in world.table.loads:
        if load.run_id != run_id:
            continue
        receipt = finished.get(load.revision)
        late = receipt is not None and load.at > receipt.finished_at
        counts = receipt is not None and receipt.outcome != "failed" and not load.orphan
        if late and counts and load.rows != standing:
            yield f"2: {load.job} changed the table after the receipt of revision {load.revision} was written"
        standing = load.rows


def _table(world: "World", run_id: str) -> Iterator[str]:
    newest, told = newest_decision(world, run_id), receipts(world, run_id)
    if newest is None or not told:
        return
    receipt = told[-1]
    standing = world.table.partitions.get(run_id)
    if receipt.outcome == "failed":
        if newest.verdict == "load" and not _was_unlucky(world, run_id, newest.revision):
            yield f"2: revision {newest.revision} of {run_id} failed without a cause: {receipt.error}"
        return
    quiet = Counter(row for market in receipt.landed for row in quiet_rows(world, market))
    if standing is not None and (beyond := Counter(standing.rows) - quiet):
        yield f"2: {beyond.total()} rows of {run_id} by {standing.job} are none of a quiet run, or there twice"
    if standing is not None and standing.revision != newest.revision:
        yield f"2: the table of {run_id} holds revision {standing.revision}, not {newest.revision}"


def quiet_rows(world: "World", market: str) -> list[Row]:
    """The rows a market has when nothing goes wrong."""
    albums = world.spotify.markets[market]
    return [(market, album, track["id"]) for album in albums for track in world.spotify.albums[album]["tracks"]]


def _nothing_is_lost(world: "World", run_id: str) -> Iterator[str]:
    """Of what a receipt calls landed all is in the table; of what it names as missing it says why."""
    told, newest = receipts(world, run_id), newest_decision(world, run_id)
    if not told or newest is None or told[-1].outcome == "failed":
        return
    standing = world.table.partitions.get(run_id)
    rows = set(standing.rows if standing else ())
    said_empty = {part.market for part in newest.parts if part.empty} & world.source.said_empty
    for market in sorted(set(told[-1].landed) - said_empty):
        if lost := set(quiet_rows(world, market)) - rows:
            yield f"8: {len(lost)} rows of {market} are not in the table of {run_id}, and its receipt says landed"
    for entry in told[-1].missing:
        if not entry.reason:
            yield f"8: the receipt of {run_id} names {entry.market} as missing and not why"


def _nothing_shrinks(world: "World", run_id: str) -> Iterator[str]:
    before: Load | None = None
    for load in world.table.loads:
        if load.run_id != run_id or (load.orphan and before is not None and load.revision < before.revision):
            continue
        held = Counter(market for market, _, _ in before.rows) if before else Counter[str]()
        shrunk = held - Counter(market for market, _, _ in load.rows)
        if before is not None and shrunk and not _a_person_asked(world, before, load):
            yield f"9: {load.job} took {dict(shrunk)} rows of {run_id} out of the table, and nobody had asked"
        before = load


def _a_person_asked(world: "World", before: Load, load: Load) -> bool:
    """Whether the decision of a load obeyed an order that the load before did not know."""
    known, obeyed = (
        Decision.model_validate_json(world.bucket.body(names.decision_name(one.run_id, one.revision)) or b"").order
        for one in (before, load)
    )
    body = world.bucket.body(names.order_name(load.run_id, obeyed)) if obeyed > known else None
    return body is not None and Order.model_validate_json(body).kind in ("close", "reload")


def _was_unlucky(world: "World", run_id: str, revision: int) -> bool:
    """Whether faults used up the attempts: the last job of the revision failed, or it never got a cluster."""
    mine = [
        job
        for job in world.dataproc.submitted.values()
        if job.revision == revision and names.run_of_resource(job.id) == run_id
    ]
    return not mine or mine[-1].state != "DONE"


def _pauses(world: "World", run_id: str) -> Iterator[str]:
    there = _below(world.bucket, names.clusters_prefix(run_id))
    claims = [ClusterClaim.model_validate_json(world.bucket.body(name) or b"") for name in there]
    for refused, following in pairwise(claims):
        soon = following.claimed_at - refused.claimed_at < FIRST_PAUSE
        if refused.refused and refused.revision == following.revision and soon:
            yield f"11: {following.cluster} was asked for within {FIRST_PAUSE} of {refused.cluster}, which was refused"


def _clusters(world: "World") -> Iterator[str]:
    for made in world.dataproc.made.values():
        if not made.ours:
            if world.dataproc.machines.get(made.name) is None:
                yield f"3: a stranger's cluster {made.name} is gone"
            continue
        if not made.gone:
            yield f"3: cluster {made.name} is left"
        if made.labels.get("app") != "new-releases" or made.labels.get("run") not in world.case.runs:
            yield f"3: cluster {made.name} has the labels {dict(made.labels)}"
        if not timedelta(0) < made.ttls.idle <= made.ttls.most <= timedelta(days=1):
            yield f"3: cluster {made.name} has the TTLs {made.ttls}"


def _messages(world: "World") -> Iterator[str]:
    if world.pubsub.under_way:
        yield f"4: {len(world.pubsub.under_way)} messages have no end"
    finished = {
        published.message.attributes.get("ce-subject")
        for _, published in world.pubsub.kept
        if published.topic == "run-finished"
    }
    for run_id in world.case.runs:
        for receipt in receipts(world, run_id):
            if f"{run_id}/{receipt.revision}" not in finished:
                yield f"4: nobody was told that revision {receipt.revision} of {run_id} is finished"


def _people(world: "World") -> Iterator[str]:
    yield from told_twice(world)
    given_up = {
        one.attributes.get("ce-subject") for one in letters(world) if one.subscription.startswith("notifier")
    }
    for run_id in world.case.runs:
        for receipt in receipts(world, run_id):
            told = {
                kind for run, revision, kind in world.people.told if (run, revision) == (run_id, receipt.revision)
            }
            if told != {"mail", "chat"} and f"{run_id}/{receipt.revision}" not in given_up:
                yield f"13: of revision {receipt.revision} of {run_id} only {sorted(told)} were told"


def told_twice(world: "World") -> Iterator[str]:
    """Messages too many, beyond what went wrong."""
    people = world.people
    if people.doubled > people.troubles:
        yield f"13: {people.doubled} messages came twice, and the notifier had {people.troubles} troubles"


def _letters(world: "World") -> Iterator[str]:
    """Each message that a subscription gave up is on record, whole."""
    kept = {letter.message_id: letter for letter in letters(world)}
    pulled = {published.topic for _, published in world.pubsub.kept}
    for published in world.pubsub.log:
        if not published.topic.endswith(DEAD) or published.topic in pulled:
            continue
        letter, attributes = kept.get(published.message_id), published.message.attributes
        source = attributes[f"{DEAD_LETTER_SOURCE}Subscription"]
        if letter is None:
            yield f"4: message {published.message_id}, given up by {source}, is not on record"
        elif (letter.subscription, letter.attributes) != (source, attributes):
            yield f"4: the record of message {published.message_id} is of {letter.subscription}, not whole"
    if world.case.poison is not None:
        taken = {one.subscription for one in kept.values() if one.event is None}
        asked = {one.name for one in world.pubsub.subscriptions if not one.topic.endswith(DEAD)}
        if taken != asked:
            yield f"4: poison is on record for {sorted(taken)}, not for {sorted(asked - taken)}"


def _trace(world: "World", run_id: str) -> Iterator[str]:
    wanted = trace_id(run_id)
    for receipt in receipts(world, run_id):
        if receipt.trace_id != wanted:
            yield f"7: receipt {receipt.revision} of {run_id} has the trace {receipt.trace_id}"
    for published in world.pubsub.log:
        attributes = published.message.attributes
        ours = attributes.get("ce-subject", "").startswith(run_id)
        if (
            ours
            and "simulation" not in attributes["ce-source"]
            and wanted not in attributes.get("ce-traceparent", "")
        ):
            yield f"7: message {published.message_id} of {run_id} does not carry its trace"
