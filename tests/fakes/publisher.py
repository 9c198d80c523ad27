"""A publisher that remembers."""

from collections.abc import Iterable

from contracts.events import OwnEvent


class MemoryPublisher:
    """A `Publisher` that keeps what it was given, in order."""

    def __init__(self) -> None:
        self.published: list[tuple[OwnEvent, str]] = []
        """Events with their causes."""

    async def publish(self, events: Iterable[OwnEvent], *, cause: str) -> None:
        """See `Publisher.publish`."""
        self.published.extend((event, cause) for event in events)

    def take(self) -> list[OwnEvent]:
        """What was published since the last look."""
        taken = [event for event, _ in self.published]
        self.published.clear()
        return taken
