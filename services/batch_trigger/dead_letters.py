"""What is recorded about a message that was given up: pure, for every kind of message, readable or not."""

from datetime import datetime

from contracts import names
from contracts.documents import DeadLetter, GivenUpMarket
from contracts.envelope.push import BODY_LIMIT_BYTES
from contracts.events import DataprocOperation, DeadLettered, MarketRequested, ObjectFinalized

_REASON_SHOWN = 500  # characters


def dead_letter_of(event: DeadLettered, now: datetime) -> DeadLetter:
    """The record of a dead letter: the whole message, whose it was, and why it ended, as far as the message shows."""
    run_id, market = _about(event)
    return DeadLetter(
        subscription=names.source_subscription(event.subscription),
        message_id=event.message_id,
        reason=_reason(event),
        event=None if event.original is None else type(event.original).__name__,
        run_id=run_id,
        market=market,
        data=event.data,
        attributes=event.attributes,
        delivery_count=event.delivery_count,
        published_at=event.published_at,
        dead_lettered_at=event.dead_lettered_at,
        recorded_at=now,
        redrives=event.redrives,
    )


def given_up_market(event: DeadLettered, now: datetime) -> GivenUpMarket | None:
    """That a market of a run was given up; None where the message did not ask for one."""
    request = event.original
    if not isinstance(request, MarketRequested):
        return None
    return GivenUpMarket(
        run_id=request.run_id,
        market=request.market,
        reason=f"given up after {event.delivery_count or '?'} deliveries ({request.reason})",
        subscription=names.source_subscription(event.subscription),
        message_id=event.message_id,
        delivery_count=event.delivery_count,
        recorded_at=now,
    )


def _reason(event: DeadLettered) -> str:
    if len(event.data) > BODY_LIMIT_BYTES:
        return f"too large: services take bodies of {BODY_LIMIT_BYTES} bytes"
    if event.original is None:
        return f"unreadable: {'; '.join(event.unreadable)}"[:_REASON_SHOWN]
    return "readable, but no delivery was settled: see the log of its service"


def _about(event: DeadLettered) -> tuple[str | None, str | None]:
    """Run and market of the event inside, where it has any that are well formed."""
    original = event.original
    if isinstance(original, ObjectFinalized):
        key = names.parse_part_name(original.name)
        return (key.run_id, key.market) if key else (None, None)
    if isinstance(original, DataprocOperation):
        return names.run_of_resource(original.resource), None
    return getattr(original, "run_id", None), getattr(original, "market", None)
