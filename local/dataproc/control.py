"""Orders faults and shows the state, over HTTP: for tests, for the summary, never for the services.

`POST /faults` with `{"step", "kind", "times"}` orders, `DELETE /faults` forgets, `GET /state` shows.
"""

from aiohttp import web
from pydantic import ValidationError

from local.dataproc.faults import Order
from local.dataproc.world import World


def create_app(world: World) -> web.Application:
    """The control's application."""

    async def order(request: web.Request) -> web.Response:
        try:
            world.faults.order(Order.model_validate_json(await request.read()))
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors()]
            return web.json_response({"faults": faults}, status=400)
        return web.json_response(world.state())

    async def forget(_request: web.Request) -> web.Response:
        world.faults.clear()
        return web.json_response(world.state())

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(world.state())

    app = web.Application()
    app.router.add_post("/faults", order)
    app.router.add_delete("/faults", forget)
    app.router.add_get("/state", show)
    return app
