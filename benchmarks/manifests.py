"""The manifest of a benchmark's run, as the scheduler writes it before it asks for markets."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from contracts.documents import CompletenessPolicy, Manifest


def manifest_of(run_id: str, markets: Sequence[str]) -> bytes:
    """A run of these markets that began just now."""
    now = datetime.now(UTC)
    return Manifest(
        run_id=run_id,
        markets=tuple(markets),
        reason="benchmark",
        created_at=now,
        deadline=now + timedelta(hours=6),
        policy=CompletenessPolicy(minimum_share=0.9, quiet_seconds=60),
        requested_by="benchmark",
    ).to_json()
