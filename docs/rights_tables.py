"""What the account of each service may do, read from the registry."""

from collections.abc import Iterable

from contracts.registry import Service, services
from contracts.topology import run_name
from docs.markdown import table


def rights() -> str:
    """A row for each service."""
    head = ("account", "publishes to", "reads", "writes", "roles")
    return table(head, ((f"`{run_name(name)}`", *_cells(service)) for name, service in services().items()))


def _cells(service: Service) -> Iterable[str]:
    on_project = [f"{role} on the project" for role in service.project_roles.values()]
    on_table = [f"{service.table_role} on the dataset"] if service.table_role else []
    kinds = service.sends, service.reads, service.writes, [*on_project, *on_table]
    return (", ".join(_marked(entry) for entry in entries) or "none" for entries in kinds)


def _marked(entry: str) -> str:
    name, on, place = entry.removeprefix("roles/").partition(" on ")
    return f"`{name}`{on}{place}"
