"""Who may do what, as an IAM policy tells it. Pure."""

from collections.abc import Mapping
from typing import Any

Grants = frozenset[tuple[str, str]]
"""Pairs of role and member."""


def of_policy(policy: Any) -> Grants:
    """The grants of a policy as Google's clients give it."""
    return frozenset((binding.role, member) for binding in policy.bindings for member in binding.members)


def of_json(policy: Mapping[str, Any] | None) -> Grants:
    """The grants of a policy as a REST API gives it."""
    bindings = (policy or {}).get("bindings", [])
    return frozenset((binding["role"], member) for binding in bindings for member in binding.get("members", []))


def pubsub_agent(project_number: str) -> str:
    """The member that Pub/Sub itself acts as in a project."""
    return f"serviceAccount:service-{project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
