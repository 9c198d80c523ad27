"""What the doctor reports: one finding for each thing that it checked. Pure."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "unreachable", "not_local"]
"""unreachable: it could not be checked; not_local: a local stack lacks it, so nothing is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked, and how it was found."""

    check: str
    """Which check found it, such as `subscriptions`."""
    what: str
    """The thing, and what was seen of it."""
    status: Status
    remedy: str = ""
    """What to do about it; empty where nothing is to do."""

    @property
    def is_well(self) -> bool:
        """Whether nobody has to act."""
        return self.status in ("ok", "not_local")


def ok(check: str, what: str) -> Finding:
    """It is as it should be."""
    return Finding(check, what, "ok")


def fail(check: str, what: str, remedy: str) -> Finding:
    """The pipeline does not work as long as this is so."""
    return Finding(check, what, "fail", remedy)


def warn(check: str, what: str, remedy: str) -> Finding:
    """The pipeline works, but somebody should look."""
    return Finding(check, what, "warn", remedy)


def each_exists(check: str, wanted: Iterable[str], seen: Container[str], remedy: str) -> list[Finding]:
    """One finding for each name that should exist."""
    return [ok(check, name) if name in seen else fail(check, f"{name} does not exist", remedy) for name in wanted]


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed and everything could be checked."""
    return all(finding.status not in ("fail", "unreachable") for finding in findings)
