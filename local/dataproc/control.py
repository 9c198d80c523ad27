"""A small HTTP door beside the API, for tests and for a person: order faults, look at everything.

    POST /faults {"step": "job", "kind": "error", "times": 1}   204; 400 with a list of what is wrong with it
    DELETE /faults                                              204; nothing more goes wrong
    GET /state                                                  clusters, jobs, audit counts, faults still to come

It is no part of Dataproc and is open to anybody on this machine; it listens on the loopback alone.
"""

from aiohttp import web
from pydantic import ValidationError

from contracts.faults import MOST_TOLD
from local.dataproc.faults import PlannedFault
from local.dataproc.world import World


def application(world: World) -> web.Application:
    """Make the application over this world."""

    async def order(request: web.Request) -> web.Response:
        try:
            world.faults.plan(PlannedFault.model_validate_json(await request.read()))
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            return web.json_response({"faults": faults[:MOST_TOLD]}, status=400)
        return web.Response(status=204)

    async def clear(_: web.Request) -> web.Response:
        world.faults.clear()
        return web.Response(status=204)

    async def state(_: web.Request) -> web.Response:
        return web.json_response(snapshot(world))

    app = web.Application()
    app.router.add_post("/faults", order)
    app.router.add_delete("/faults", clear)
    app.router.add_get("/state", state)
    return app


def snapshot(world: World) -> dict[str, object]:
    """Show the world as JSON."""
    clusters = [
        {
            "name": key.name,
            "project": key.project,
            "region": key.region,
            "uuid": cluster.cluster_uuid,
            "state": cluster.status.state.name,
            "labels": dict(cluster.labels),
        }
        for key, cluster in world.clusters.items()
    ]
    jobs = [
        {
            "id": key.name,
            "project": key.project,
            "region": key.region,
            "cluster": job.placement.cluster_name,
            "state": job.status.state.name,
            "done": job.done,
            "details": job.status.details,
            "output": job.driver_output_resource_uri,
            "labels": dict(job.labels),
        }
        for key, job in world.jobs.items()
    ]
    audit = {"published": world.sink.published, "lost": world.sink.lost}
    faults = [fault.model_dump(mode="json") for fault in world.faults.left()]
    return {"clusters": clusters, "jobs": jobs, "audit": audit, "faults": faults}
