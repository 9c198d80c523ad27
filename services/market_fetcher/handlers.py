"""A requested market becomes one object: everything of it, or nothing.

Deliveries of one market of one run take turns, so a duplicate finds the part that the first wrote. A request whose part
stands is acknowledged without any call, except a replay: that replaces the part, once for each event. A list without
albums never replaces a part that holds some, and no market is fetched that the run's manifest does not name. A wait
that Spotify asked for is on record, and every process obeys it.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from contracts.events import Delivery, MarketRequested
from contracts.names import part_name
from eventing.app import Handler
from eventing.errors import Permanent, Retryable
from eventing.ledger import RunLedger
from services.market_fetcher.decisions import (
    already_done,
    run_refused,
    still_waits,
    throttled_market,
    times_of,
    would_empty,
)
from services.market_fetcher.ports import Ports, Throttled
from services.market_fetcher.shapes import Absent, Album, Listing, part_body, part_metadata

log = logging.getLogger(__name__)


def handlers(ports: Ports, budget: timedelta) -> Mapping[type, Handler]:
    """The events this service takes; `budget` is what one delivery may take."""
    return {MarketRequested: partial(on_market_requested, ports=ports, budget=budget)}


async def on_market_requested(delivery: Delivery, *, ports: Ports, budget: timedelta) -> None:
    """Fetch the market unless its part stands; give the delivery back before the push deadline ends it."""
    request: MarketRequested = delivery.event
    name = part_name(request.run_id, request.market)
    try:
        async with asyncio.timeout(budget.total_seconds()), ports.turns(name):
            await _expect_known(request, ports.ledger)
            standing = await ports.store.stat(name)
            known = standing.metadata if standing else None
            if not already_done(known, delivery):
                await _recall_waits(request, ports)
                await _fetch(name, delivery, ports, known)
    except TimeoutError as error:
        reason = f"{name}: not done within {budget.total_seconds():.0f} s; what was fetched is kept"
        raise Retryable(reason) from error
    except Throttled as error:
        log.warning("market_waits", extra={"until": error.until.isoformat(), "reason": str(error)})
        await ports.ledger.record_throttled(throttled_market(request, error))
        raise
    except Permanent:
        # The market no longer waits: with the record it would be asked for again, and its run would wait for it.
        await ports.ledger.clear_throttled(request.run_id, request.market)
        raise
    await ports.ledger.clear_throttled(request.run_id, request.market)


async def _expect_known(request: MarketRequested, ledger: RunLedger) -> None:
    manifest = await ledger.manifest(request.run_id)
    if (refusal := run_refused(request, manifest.markets if manifest else None)) is not None:
        raise refusal


async def _recall_waits(request: MarketRequested, ports: Ports) -> None:
    record = await ports.ledger.throttle(request.run_id, request.market)
    if record is not None and still_waits(record, ports.time.now()):
        ports.calls.recall(record.until, record.reason, market=None if record.account else record.market)


async def _fetch(name: str, delivery: Delivery, ports: Ports, standing: Mapping[str, str] | None) -> None:
    request: MarketRequested = delivery.event
    # A fresh reading takes whatever was read since the request was made: a replay of all markets reads each
    # album once, and a redelivery reads nothing again.
    # By a clock that is behind Pub/Sub's nothing would ever have been.
    now = ports.time.now()
    since = min(delivery.publish_time or now, now) if request.fresh else None
    # A listing is kept for the redeliveries of a request, until another part lands: an older one must not replace it.
    before = standing or {}
    request_id = f"{name}/{delivery.event_id}/{before.get('listed-at', '')}"
    async with ports.admission(name):
        with ports.reader.arriving():
            listing = await ports.listings.newest(request.market, request_id=request_id)
            ports.admission.look()
        if not listing.ids and (refusal := would_empty(standing)) is not None:
            raise refusal
        seen = await ports.albums.seen(listing, since=since)
    albums = await ports.albums.sure(seen)
    async with ports.writing:
        body = await asyncio.to_thread(part_body, request.run_id, request.market, listing, albums)
    times = times_of(listing.fetched_at, fresh=request.fresh, before=before)
    metadata = _metadata(delivery, listing, albums, ports) | times
    replaces = request.replay and (standing is not None or bool(listing.ids))
    await _write(name, body, metadata, ports, replaces=replaces)


def _metadata(delivery: Delivery, listing: Listing, albums: list[Album | Absent], ports: Ports) -> dict[str, str]:
    return part_metadata(
        listing,
        albums,
        run_id=delivery.event.run_id,
        app=ports.ability.app,
        calls=ports.calls.calls_untold(),
        event_id=delivery.event_id,
    )


async def _write(name: str, body: bytes, metadata: dict[str, str], ports: Ports, *, replaces: bool) -> None:
    if replaces:
        await ports.store.write(name, body, metadata)
        won = True
    else:
        won = await ports.store.create(name, body, metadata)
    log.info("market_fetched", extra={"part": name, "won": won, "bytes": len(body), **metadata})
