"""How often one fact is written: `make house` prints what `tests/architecture/test_house.py` holds to its targets.

Files by hand are those that CONTRIBUTING's walks name; that the walks are whole is tried in copies of the tree by
`tests/docs/test_walks.py` and `tests/docs/test_a_new_column.py`.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.architecture import rules

ROOT = Path(__file__).parents[1]
PRODUCT = ("contracts", "eventing", "services", "spark_job", "runs", "ops", "dashboard")
_STEP = re.compile(r"^\d\. `([^`]+)`", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Count:
    """One fact, and the places in which it is written."""

    what: str
    most: int
    places: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether there are no more than may be."""
        return len(self.places) <= self.most


def counts(root: Path = ROOT) -> list[Count]:
    """Every count and its target."""
    return [
        Count("files by hand for a column of the table", 3, _steps(root, "Add a column to the table")),
        Count("files by hand for a service, beside its folder", 3, _beside_its_folder(root)),
        Count("files by hand for a market", 2, _steps(root, "Add a market")),
        Count("lists of the services by hand", 0, rules.services_are_listed_nowhere(root)),
        Count(
            "modules that say what a market looks like (the Spark job stands alone)", 2, _found(root, "[A-Z]{2}")
        ),
        Count("modules that build Dataproc's clients", 1, _found(root, "= dataproc_v1.ClusterController")),
        Count("readers of an envelope", 1, _found(root, "def parse(headers")),
        Count("answers that promise Pub/Sub a time", 0, _found(root, 'headers["Retry-After"] =', but="dashboard")),
        Count("retries with a time that nobody obeys", 0, _found(root, "after=", also="Retryable(")),
    ]


def lines(root: Path = ROOT) -> dict[str, int]:
    """Lines of Python by package of what ships, and together."""
    found = {
        package: sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (root / package).rglob("*.py"))
        for package in PRODUCT
    }
    return {**found, "together": sum(found.values())}


def main(say: Callable[[str], None] = print) -> int:
    """Print the counts; 1 where one is above its target."""
    found = counts()
    for count in found:
        say(
            f"{count.what:72} {len(count.places):3} of at most {count.most}"
            + ("" if count.holds else "  TOO MANY")
        )
        for place in () if count.holds else count.places:
            say(f"    {place}")
    say("")
    for package, number in lines().items():
        say(f"lines of Python, {package:16} {number:6,}")
    return 0 if all(count.holds for count in found) else 1


def _walk(root: Path, title: str) -> str:
    page = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.split(r"^##", page.partition(f". {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _steps(root: Path, title: str) -> list[str]:
    return _STEP.findall(_walk(root, title))


def _beside_its_folder(root: Path) -> list[str]:
    return [step for step in _steps(root, "Add a service") if not step.startswith("services/")]


def _found(root: Path, text: str, *, also: str = "", but: str = "-") -> list[str]:
    return [
        path.relative_to(root).as_posix()
        for path in _modules(root)
        if not path.is_relative_to(root / but)
        and any(text in line and also in line for line in path.read_text(encoding="utf-8").splitlines())
    ]


def _modules(root: Path) -> Iterator[Path]:
    for package in PRODUCT:
        yield from sorted((root / package).rglob("*.py"))


if __name__ == "__main__":
    sys.exit(main())
