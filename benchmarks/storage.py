"""How many bytes a run keeps: the same albums as the reference writes them, as we do, and as zstd would."""

import gzip
from typing import Final

import pyarrow as pa

from benchmarks import corpus, report
from benchmarks.benchmark import Benchmark, Claim, Figures, Size
from benchmarks.transform import CORPORA, folder_of
from contracts.names import MARKETS, part_name

SMALLER: Final = 20
_LEVELS: Final = (3, 19)


def measure(_size: Size) -> Figures:
    """One weekly run of 48 markets; exact, so there is no small form."""
    folder = folder_of(1)
    mine = corpus.make(folder, "ours", 1)
    theirs = corpus.make(CORPORA / "1" / "reference", "reference", 1)
    lines = [gzip.decompress((folder / part_name(corpus.RUN, market)).read_bytes()) for market in MARKETS]
    zstd = {str(level): sum(pa.Codec("zstd", level).compress(part).size for part in lines) for level in _LEVELS}
    return {
        "albums": mine.albums,
        "reference": theirs.stored,
        "ours": mine.stored,
        "lines": sum(map(len, lines)),
        "zstd": zstd,
    }


def claims(figures: Figures) -> list[Claim]:
    """How much smaller."""
    smaller = figures["reference"] / figures["ours"]
    return [
        Claim(
            what="raw bytes of a run",
            ours=_mb(figures["ours"]),
            reference=_mb(figures["reference"]),
            limit=f"zstd {_mb(figures['zstd']['3'])}",
            target=f"{SMALLER} times smaller",
            held=smaller >= SMALLER,
            ratio=smaller,
        )
    ]


def section(figures: Figures) -> str:
    """The section of the page."""
    sizes = {
        "reference: indented JSON": figures["reference"],
        "the same albums as lines, not compressed": figures["lines"],
        "ours: gzip lines": figures["ours"],
        **{f"zstd, level {level}": size for level, size in figures["zstd"].items()},
    }
    rows = [[what, f"{size:,}", f"{figures['reference'] / size:.1f}"] for what, size in sizes.items()]
    return f"""
48 markets, {figures["albums"]:,} albums with all their tracks.

{report.table(("what", "bytes", "times smaller than the reference"), rows)}

Nearly all of it is the lists of markets in which an album and each of its tracks is available. zstd would save more,
and with it the job's unpacking; Hadoop reads it only where its native library is installed, so gzip stays.
"""


def _mb(size: float) -> str:
    return f"{size / 1e6:.2f} MB"


BENCHMARK = Benchmark(name="storage", title="Raw bytes of a run", measure=measure, claims=claims, section=section)
