"""`python -m benchmarks [name …]`: measure, keep the figures, write the page.

    python -m benchmarks                    all of them, about a quarter of an hour
    python -m benchmarks transform publish  these
    python -m benchmarks --resume           those that have no figures yet
    python -m benchmarks --small receive    try one out: small, nothing is written or promised
    python -m benchmarks --check            hold the last figures against the committed ratios
    python -m benchmarks --commit           make the last figures the committed ratios

Exit status: 0 all well; 1 a benchmark failed, a promise is broken or a ratio got worse; 2 wrong usage.
"""

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import check, report, results
from benchmarks.benchmark import Benchmark, Claim, Size
from benchmarks.results import Result
from ops.surroundings import past_proxies, print_anywhere

NAMES: Final = (
    "install",
    "transform",
    "storage",
    "publish",
    "barrier",
    "receive",
    "overload",
    "look",
    "demo",
    "cost",
    "fetch",
)
COMMITTED: Final = Path(__file__).with_name("committed.json")
_HEADER = ("what", "ours", "reference", "limit or peer", "target", "held")


def benchmark(name: str) -> Benchmark:
    """The benchmark of this name; imported only now, since each needs other things."""
    found: Benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    return found


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; all where none is given")
    what = parser.add_mutually_exclusive_group()
    for flag in ("small", "resume", "check", "commit"):
        what.add_argument(f"--{flag}", action="store_true")
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.names) - set(NAMES)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    names = asked.names or NAMES
    if asked.check:
        return _check(names)
    if asked.commit:
        return _commit(names)
    return _measure(names, "small" if asked.small else "full", resume=asked.resume)


def _measure(names: Sequence[str], size: Size, *, resume: bool) -> int:
    failed = []
    for name in names:
        if resume and results.load(name, size):
            print(f"== {name}: measured before", flush=True)
            continue
        print(f"== {name}", flush=True)
        started = time.monotonic()
        try:
            figures = benchmark(name).measure(size)
        except Exception:  # noqa: BLE001 -- one that fails must not lose the others; the exit status tells
            traceback.print_exc()
            failed.append(name)
            continue
        results.save(results.result_of(name, size, figures, seconds=time.monotonic() - started))
    measured = {name: found for name in names if (found := results.load(name, size))}
    broken = [line for name, result in measured.items() for line in _show(benchmark(name), result)]
    if size == "full":
        write_page()
    for line in [*(f"FAILED: {name}" for name in failed), *broken]:
        print(line)
    return 1 if failed or (broken and size == "full") else 0


def _show(shown: Benchmark, result: Result) -> list[str]:
    """Print a section; gives the promises that do not hold."""
    claims = shown.claims(result.figures)
    print(f"\n{_section(shown, result)}\n\n{report.table(_HEADER, [_row(claim) for claim in claims])}\n")
    return [
        f"BROKEN: {shown.name}, {claim.what}: {claim.ours}, {claim.target}" for claim in claims if not claim.held
    ]


def _section(shown: Benchmark, result: Result) -> str:
    where = f"`make bench-{shown.name}`, {result.seconds:.0f} s on {result.measured} UTC; {result.machine}."
    return f"## {shown.title}\n\n{where}\n\n{shown.section(result.figures).strip()}"


def _row(claim: Claim) -> list[str]:
    return [claim.what, claim.ours, claim.reference, claim.limit, claim.target, "yes" if claim.held else "**no**"]


def write_page() -> None:
    """Write the saved figures into docs/benchmarks.md; what was not measured here stays as it is there."""
    kept = {name: found for name in NAMES if (found := results.load(name, "full"))}
    rows = [_row(claim) for name, result in kept.items() for claim in benchmark(name).claims(result.figures)]
    whole = len(kept) == len(NAMES)  # then a row that is no longer claimed goes
    report.write(
        "summary", report.table(_HEADER, rows if whole else report.merged(report.kept_rows("summary"), rows))
    )
    for name, result in kept.items():
        report.write(name, _section(benchmark(name), result))


def _measured_ratios(names: Sequence[str]) -> dict[str, dict[str, float]]:
    kept = {name: found for name in names if (found := results.load(name, "full"))}
    claims = {name: benchmark(name).claims(result.figures) for name, result in kept.items()}
    return {
        name: {claim.what: round(claim.ratio, 3) for claim in made if claim.ratio is not None}
        for name, made in claims.items()
    }


def _committed() -> dict[str, Mapping[str, float]]:
    found: dict[str, Mapping[str, float]] = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    return found


def _check(names: Sequence[str]) -> int:
    committed = {name: ratios for name, ratios in _committed().items() if name in names}
    found = check.regressions(committed, _measured_ratios(names))
    print(*(found or [f"no regression in {sum(map(len, committed.values()))} ratios"]), sep="\n")
    return 1 if found else 0


def _commit(names: Sequence[str]) -> int:
    COMMITTED.write_text(json.dumps({**_committed(), **_measured_ratios(names)}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    print_anywhere()
    os.environ.update(past_proxies(os.environ))
    sys.exit(main(sys.argv[1:]))
