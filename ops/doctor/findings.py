"""What the doctor says: one finding for each thing that was looked at. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "unreachable", "not_local"]
"""unreachable: it could not be looked at; not_local: a local stack does not have it, so that nothing is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, and what is the matter with it."""

    check: str
    """Which check found it, such as `subscriptions`."""
    what: str
    """The thing and what was seen."""
    status: Status
    remedy: str = ""
    """What to do about it; empty where there is nothing to do."""

    @property
    def is_well(self) -> bool:
        """Whether nobody has to look."""
        return self.status in ("ok", "not_local")


def ok(check: str, what: str) -> Finding:
    """It is as it should be."""
    return Finding(check, what, "ok")


def fail(check: str, what: str, remedy: str) -> Finding:
    """The pipeline does not work like this."""
    return Finding(check, what, "fail", remedy)


def warn(check: str, what: str, remedy: str) -> Finding:
    """It works, and somebody should look."""
    return Finding(check, what, "warn", remedy)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed and everything could be looked at."""
    return all(finding.status not in ("fail", "unreachable") for finding in findings)
