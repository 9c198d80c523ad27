"""Small documents for tests: everything given that a test does not care about."""

from datetime import UTC, datetime, timedelta

from contracts.documents import CompletenessPolicy, Decision, Manifest, Part, Receipt, WarehouseCount
from contracts.events import Delivery, OwnEvent
from contracts.names import trace_id

RUN = "2026-11-23"
NOW = datetime(2026, 11, 22, 23, 5, tzinfo=UTC)
"""Five minutes into the run: Monday 00:05 in Copenhagen."""
START = NOW - timedelta(minutes=5)


class TestClock:
    """A present that a test moves."""

    __test__ = False

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The present."""
        return self.now

    def advance(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)


def manifest(markets: str = "DK SE NO", *, minimum: float = 0.6, quiet: float = 60) -> Manifest:
    return Manifest(
        run_id=RUN,
        markets=tuple(markets.split()),
        reason="test",
        created_at=START,
        deadline=START + timedelta(hours=6),
        policy=CompletenessPolicy(minimum_share=minimum, quiet_seconds=quiet),
        requested_by="tick",
    )


def open_manifest(markets: str) -> Manifest:
    """For a service with a real clock, whose present is far from NOW: its deadline is hours away."""
    return manifest(markets).model_copy(update={"deadline": datetime.now(UTC) + timedelta(hours=6)})


def part(market: str, generation: int = 1, landed_at: datetime = NOW) -> Part:
    return Part(market=market, generation=generation, crc32c="AAAAAA==", size=10, landed_at=landed_at)


def parts(markets: str, generation: int = 1, landed_at: datetime = NOW) -> dict[str, Part]:
    return {market: part(market, generation, landed_at) for market in markets.split()}


def decision(markets: str, revision: int = 1, **changes: object) -> Decision:
    given: dict[str, object] = {
        "run_id": RUN,
        "revision": revision,
        "verdict": "load",
        "close_reason": "complete",
        "parts": tuple(parts(markets).values()),
        "decided_at": NOW,
        "owner": "test",
    }
    return Decision.model_validate(given | changes)


def receipt(revision: int = 1, **changes: object) -> Receipt:
    given: dict[str, object] = {
        "run_id": RUN,
        "revision": revision,
        "outcome": "loaded",
        "close_reason": "complete",
        "landed": ("DK", "SE", "NO"),
        "warehouse": WarehouseCount(rows=30, markets=3, albums=9, revision=revision),
        "seconds": {"fetch": 300.0, "cluster": 60.0, "spark": 120.0, "total": 500.0},
        "trace_id": trace_id(RUN),
        "decided_at": NOW,
        "finished_at": NOW + timedelta(seconds=200),
    }
    return Receipt.model_validate(given | changes)


def delivery(event: OwnEvent, *, event_id: str = "e1", published: datetime | None = START) -> Delivery:
    return Delivery(event=event, event_id=event_id, message_id=f"m-{event_id}", publish_time=published)
