"""Who may do what, according to an IAM policy. Pure."""

from collections.abc import Mapping
from typing import Any

Grants = frozenset[tuple[str, str]]
"""Pairs of role and member."""


def of_policy(policy: Any) -> Grants:
    """The grants of a policy as Google's clients return it."""
    return frozenset((binding.role, member) for binding in policy.bindings for member in binding.members)


def of_json(policy: Mapping[str, Any] | None) -> Grants:
    """The grants of a policy as a REST API returns it."""
    bindings = (policy or {}).get("bindings", [])
    return frozenset((binding["role"], member) for binding in bindings for member in binding.get("members", []))


def pubsub_agent(project_number: str) -> str:
    """The member as which Pub/Sub itself acts in a project."""
    return f"serviceAccount:service-{project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
