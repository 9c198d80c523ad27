"""Whether an event's schema may change as it does: pure.

Events lie in subscriptions and dead-letter topics for weeks, and producer and consumer are never replaced at the
same moment. So within one version of a type a new reader must take old data, and an old reader new data: optional
fields may be added, words may be reworded, everything else needs a new version of the type.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
_WORDS = frozenset({"title", "description", "examples"})


def breaking_changes(released: Schema, current: Schema) -> list[str]:
    """What in `current` breaks those who read or write `released`; empty where nothing does."""
    old, new = released.get("properties", {}), current.get("properties", {})
    required_before, required_now = set(released.get("required", [])), set(current.get("required", []))
    return [
        *(f"{name}: was removed" for name in sorted(old.keys() - new.keys())),
        *(f"{name}: is required now" for name in sorted(required_now - required_before)),
        *(f"{name}: is not always there any more" for name in sorted(required_before - required_now)),
        *(
            f"{name}: means something else now"
            for name in sorted(old.keys() & new.keys())
            if _differ(old, new, name)
        ),
        *(
            f"{part}: changed"
            for part in ("type", "$defs", "$id")
            if _bare(released.get(part)) != _bare(current.get(part))
        ),
    ]


def _differ(old: Schema, new: Schema, name: str) -> bool:
    if "properties" in old[name] and "properties" in new[name]:
        return bool(breaking_changes(old[name], new[name]))
    return bool(_bare(old[name]) != _bare(new[name]))


def _bare(schema: Any) -> Any:
    """A schema without its words."""
    if isinstance(schema, Mapping):
        return {key: _bare(value) for key, value in schema.items() if key not in _WORDS}
    return [_bare(entry) for entry in schema] if isinstance(schema, list) else schema
