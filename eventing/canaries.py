"""What every service does with a canary: note in the bucket through which subscription it came, or refuse it.

`releases doctor --prove` sends them and looks for the notes.
"""

import json
from collections.abc import Mapping

from contracts.events import Canary, Delivery
from contracts.names import canary_name
from eventing.app import Handler
from eventing.clock import Clock
from eventing.errors import Permanent
from eventing.objects import ObjectStore


def canary_handlers(store: ObjectStore, clock: Clock) -> Mapping[type, Handler]:
    """The line for a service's handler table."""

    async def on_canary(delivery: Delivery) -> None:
        """Raises `Permanent` where the canary is to be dead-lettered."""
        event: Canary = delivery.event
        if event.refuse:
            raise Permanent(f"canary {event.id} asks to be refused, so that it is dead-lettered")
        seen = {"subscription": delivery.subscription, "message_id": delivery.message_id}
        body = json.dumps({**seen, "heard_at": clock().isoformat()}, indent=2)
        # Written over: a second delivery is as good a proof as the first.
        await store.write(canary_name(event.id, delivery.subscription or ""), body.encode())

    return {Canary: on_canary}
