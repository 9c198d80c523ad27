"""How many deliveries a service takes at once."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.test_utils import TestClient, TestServer

from contracts.envelope.messages import Origin, to_message
from contracts.events import Delivery, MarketRequested
from eventing.app import MOST_UNDER_WAY, Service, create_app
from tests.builders import NOW, RUN
from tests.waiting import eventually


def _push() -> bytes:
    message = to_message(MarketRequested(run_id=RUN, market="DK"), Origin("test", "tick", NOW))
    data = base64.b64encode(message.data).decode()
    body = {"message": {"data": data, "attributes": message.attributes, "messageId": "1"}, "subscription": "p/s/x"}
    return json.dumps(body).encode()


async def test_a_delivery_too_many_is_given_back_and_later_taken() -> None:
    """Beyond what it can do a service answers 503 at once; what it has taken it ends, and then it takes more."""
    taken, may_end = [], asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        taken.append(delivery)
        await may_end.wait()

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        yield Service("test", {MarketRequested: handle})

    async with TestClient(TestServer(create_app(opening, verifier=None))) as client:
        client.session.connector._limit = 0  # type: ignore[union-attr]  # more than the client's usual hundred

        async def post() -> int:
            async with client.post("/", data=_push()) as answer:
                return answer.status

        first = [asyncio.create_task(post()) for _ in range(MOST_UNDER_WAY)]
        await eventually(lambda: len(taken) == MOST_UNDER_WAY, within=20)
        assert await asyncio.wait_for(post(), 10) == 503
        may_end.set()
        assert {await task for task in first} == {204}
        assert await post() == 204
