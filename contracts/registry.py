"""What each service is, read from the `service.json` in its folder, and the topology that follows from all of them.

`make docs` writes that as `infra/topology.json`, which everything else reads (`contracts/topology.py`). So a service is
described once, and added without naming it anywhere else.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.topology import Policy, run_name

ROOT = Path(__file__).parents[1]
_WRITTEN = "Written by `make docs` from services/*/service.json and infra/project.json. Durations are in seconds."
_EVERY_SERVICE_WRITES = "canaries/"


class CloudRun(BaseModel):
    """How much of a service there may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_instances: Annotated[int, Field(ge=1)]
    concurrency: Annotated[int, Field(ge=1, le=1000)]
    """Requests an instance handles at once."""
    memory: str


class Service(BaseModel):
    """One service, as its `service.json` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: int
    """Its place in the order of the services on pages: that of a run."""
    takes: Mapping[str, Policy]
    """Topics, and how their messages are delivered."""
    records_dead_letters: Policy | None = None
    """How it receives what others gave up; one service does."""
    sends: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    """Prefixes of the bucket; `{run}` stands for a run's id."""
    writes: tuple[str, ...] = ()
    project_roles: Mapping[str, str] = {}
    """Roles on the whole project, by what they are for."""
    table_role: str | None = None
    told: tuple[str, ...] = ()
    """Settings that Terraform sets; its values for them stand in infra/services.tf."""
    left_alone: tuple[str, ...] = ()
    """Settings whose defaults are right in a project."""
    on_cloud_run: CloudRun


def services() -> dict[str, Service]:
    """Every service by its name, which is its folder's, in the order of their places."""
    found = {
        path.parent.name: Service.model_validate_json(path.read_bytes())
        for path in (ROOT / "services").glob("*/service.json")
    }
    return dict(sorted(found.items(), key=lambda entry: (entry[1].place, entry[0])))


def topology() -> dict[str, Any]:
    """What `infra/topology.json` holds."""
    project = json.loads((ROOT / "infra/project.json").read_text(encoding="utf-8"))
    found = services()
    pushes = list(_pushes(found, project["unrecorded_topic"]))
    named = {*(topic for service in found.values() for topic in service.sends)}
    named |= {push[end] for push in pushes for end in ("topic", "dead_letter_topic")}
    return {
        **project,
        "description": _WRITTEN,
        "topics": sorted(named),
        "services": {name: _deployed(service) for name, service in found.items()},
        "push_subscriptions": pushes,
        "service_accounts": [*map(run_name, found), *project["service_accounts"]],
    }


def _pushes(found: Mapping[str, Service], unrecorded: str) -> Iterator[dict[str, Any]]:
    taken = dict.fromkeys(topic for service in found.values() for topic in service.takes)
    for name, service in found.items():
        for topic, policy in service.takes.items():
            yield _push(name, topic, policy, dead_letter_topic(topic))
        if service.records_dead_letters:
            for topic in taken:
                yield _push(name, dead_letter_topic(topic), service.records_dead_letters, unrecorded)


def dead_letter_topic(topic: str) -> str:
    """Where messages of a topic go that are given up."""
    return f"{topic}-dead"


def _push(service: str, topic: str, policy: Policy, dead: str) -> dict[str, Any]:
    subscription = f"{service.replace('_', '-')}-{topic}"
    own = {"name": subscription, "topic": topic, "service": service, "dead_letter_topic": dead}
    return own | policy.model_dump()


def _deployed(service: Service) -> dict[str, Any]:
    """What Terraform makes of a service beside its subscriptions."""
    kept = service.model_dump(exclude={"place", "takes", "records_dead_letters", "left_alone"})
    return kept | {"writes": [*service.writes, _EVERY_SERVICE_WRITES]}
