"""What the Spark job concludes from its counts, without Spark."""

import json
from dataclasses import replace

import pytest

from contracts.documents import LoadResult, PartResult
from spark_job import verdict
from spark_job.decision import Decision, Part
from spark_job.verdict import Found, Judged, Report

PART = Part(market="DK", size=10, form=2, albums=100, tracks=300)
SKIPPED = {"albums_without_tracks": 1, "null_tracks": 2, "null_artists": 3, "odd_values": 4}
FOUND = Found(albums=100, numbered=100, rows=300, skipped=SKIPPED)
QUARANTINE = "gs://b/quarantine/2026-11-23/0001/"


def _judge(found: Found = FOUND, part: Part = PART, threshold: float = 0.01) -> str | None:
    judged = verdict.judge(part, found, threshold=threshold)
    assert (judged.part, judged.found, judged.read) == (part, found, True)
    return judged.reason


def _part(market: str, found: Found = FOUND, reason: str | None = None) -> Judged:
    return Judged(part=replace(PART, market=market), found=found, reason=reason)


def _conclude(*parts: Judged, least: int = 0, holds: tuple[str, ...] = (), threshold: float = 0.01) -> str | None:
    decision = Decision(parts=tuple(part.part for part in parts), least=least, holds=frozenset(holds))
    report = verdict.conclude(decision, parts, threshold=threshold, quarantine=QUARANTINE)
    assert report.parts == parts
    return report.error


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"DK.jsonl.gz": 10, "SE.jsonl.gz": 7}, None),
        ({"SE.jsonl.gz": 10, "DK": 10}, "is missing"),
        ({"DK.jsonl.gz": 9}, "was replaced since it was decided: it has 9 bytes, not 10"),
        ({"DK.jsonl.gz": 0}, "was replaced since it was decided: it has 0 bytes, not 10"),
    ],
)
def test_a_part_must_be_there_and_as_large_as_it_was(sizes: dict[str, int], reason: str | None) -> None:
    """What a listing shows needs no reading."""
    assert verdict.before_reading([PART], sizes) == ({"DK": reason} if reason else {})


def test_a_part_without_a_byte_is_no_gzip_file_even_where_it_was_decided() -> None:
    """Spark passes over an empty file without a word."""
    nothing = replace(PART, size=0, albums=0)
    assert verdict.before_reading([nothing], {"DK.jsonl.gz": 0}) == {"DK": "is damaged: it has no bytes"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"albums": 99, "numbered": 99}, "is short: it has 99 records, not 100"),
        ({"albums": 101, "numbered": 101}, "is glued: it has 101 records, not 100"),
        ({"rows": 299}, "is short: it has 299 tracks, not 300"),
        ({"rows": 301}, "is glued: it has 301 tracks, not 300"),
        ({"albums": 99, "numbered": 99, "quarantined": 1}, None),
        ({"albums": 99, "numbered": 99, "quarantined": 1, "rows": 290}, None),
        ({"albums": 99, "numbered": 99, "quarantined": 1, "rows": 301}, "is glued: it has 301 tracks, not 300"),
        ({"albums": 99, "numbered": 99, "quarantined": 2}, "is glued: it has 101 records, not 100"),
        ({"numbered": 99}, "is glued: its records are not numbered one after the other from 1"),
        ({"shifts": (-1, 0)}, "is glued: its records are not numbered one after the other from 1"),
        ({"shifts": (0, 1)}, "is glued: its records are not numbered one after the other from 1"),
        ({"shifts": (1, 1)}, "is glued: its records are not numbered one after the other from 1"),
        (
            {"albums": 99, "numbered": 99, "quarantined": 1, "foreign": 1},
            "is foreign: 1 of 100 records are of another market or run",
        ),
        (
            {"albums": 0, "numbered": 0, "rows": 0, "quarantined": 100},
            "holds nothing but bad records, 100 of them",
        ),
    ],
)
def test_a_part_holds_what_was_decided_or_is_bad(changes: dict[str, object], reason: str | None) -> None:
    """Each way in which a part is not as decided has its own words; a bad record counts as read."""
    assert _judge(replace(FOUND, **changes)) == reason  # type: ignore[arg-type]  # a test's own table


def test_numbers_are_looked_at_from_the_form_that_has_them() -> None:
    """A part of form 1 has none, and is no worse for it."""
    unnumbered = replace(FOUND, numbered=0, shifts=(5, 9))
    assert _judge(unnumbered, replace(PART, form=1)) is None
    assert _judge(unnumbered, replace(PART, form=3)) is not None


def test_what_was_not_decided_is_not_compared() -> None:
    """Decisions from before the counts say nothing of what a part holds."""
    assert _judge(replace(FOUND, albums=7, numbered=7), replace(PART, albums=None, tracks=None)) is None
    assert _judge(Found(), replace(PART, albums=0, tracks=0)) is None


def test_who_allows_every_share_of_bad_records_allows_nothing_but_bad_ones() -> None:
    """One market that is spoilt whole is a small share of 48, and would be missing without a word."""
    spoilt = Found(quarantined=100)
    assert _judge(spoilt, threshold=0.99) == "holds nothing but bad records, 100 of them"
    assert _judge(spoilt, threshold=1) is None


def test_bad_parts_are_left_out_as_far_as_the_decision_allows() -> None:
    """The quorum is of parts that prove whole; what is wrong with the others is told, each by its file."""
    bad = _part("SE", reason="is missing"), _part("NO", reason="is short")
    assert _conclude(_part("DK"), *bad, least=1) is None
    assert _conclude(_part("DK"), *bad, least=2) == (
        "1 of 3 parts are good, and at least 2 must be: SE.jsonl.gz is missing; NO.jsonl.gz is short. Fetch these "
        "markets again; nothing was loaded"
    )


def test_a_market_that_the_table_may_have_is_not_replaced_by_nothing() -> None:
    """A held market that is good holds nothing up, one that is bad does whatever else is good."""
    bad = _part("SE", reason="is missing")
    assert _conclude(_part("DK"), bad, holds=("DK",)) is None
    assert _conclude(_part("DK"), bad, _part("NO", reason="is short"), holds=("SE", "DK")) == (
        "the table would lose what an earlier load of the run brought: SE.jsonl.gz is missing. Fetch these markets "
        "again, or order a reload to do without them; nothing was loaded"
    )


def test_a_run_without_any_album_is_refused() -> None:
    """All 48 markets without a new album is a source that failed, not a quiet week."""
    empty = _part("SE", Found())
    assert _conclude(_part("DK"), empty) is None
    assert _conclude(empty) == "there is not one album in the 1 good parts; nothing was loaded"
    assert _conclude(empty, _part("DK", reason="is missing")) == (
        "there is not one album in the 1 good parts (DK.jsonl.gz is missing); nothing was loaded"
    )


def test_the_threshold_itself_is_allowed_and_one_more_is_not() -> None:
    """One in a hundred is what the default allows, over all good parts; bad parts are out of it."""
    some = replace(FOUND, albums=49, quarantined=1)
    assert _conclude(_part("DK", some), _part("SE", replace(FOUND, albums=50))) is None
    assert _conclude(_part("DK", some), _part("SE", some)) == (
        "2 of 100 records are bad, more than the share of 0.01 that is allowed. The records and the reasons are in "
        f"{QUARANTINE}. Fetch their markets again, or allow more with --quarantine-threshold; nothing was loaded"
    )
    assert _conclude(_part("DK", some), _part("SE", some), threshold=0.02) is None
    assert _conclude(_part("DK"), _part("SE", Found(quarantined=9, albums=1), "is glued")) is None


@pytest.mark.parametrize(
    ("judged", "suspect"),
    [
        (_part("DK"), False),
        (_part("DK", replace(FOUND, quarantined=1)), True),
        (_part("DK", reason="is short"), True),
        (Judged(part=PART, reason="is damaged", read=False), False),
    ],
)
def test_lines_are_looked_for_where_something_was_read_and_is_wrong(judged: Judged, *, suspect: bool) -> None:
    """A part that cannot be unpacked must not fail the second reading; a good one must not cost one."""
    assert judged.suspect is suspect


def test_what_spark_summed_up_becomes_counts() -> None:
    """Two columns in each other's place would judge by the wrong count."""
    row = {
        "albums": 1,
        "quarantined": 2,
        "foreign": 3,
        "numbered": 4,
        "least_shift": 5,
        "most_shift": 6,
        "rows": 7,
    }
    assert verdict.found_of(row | SKIPPED) == Found(
        albums=1, quarantined=2, foreign=3, numbered=4, shifts=(5, 6), rows=7, skipped=SKIPPED
    )


ID = "0b3ad94e-0c4e-4f5e-9d2b-6c3b3c1f7a10"


@pytest.mark.parametrize(
    ("text", "job"),
    [
        (f"Failed to load to p.d.t in job JobId{{project=p, job={ID}, location=EU}}. BigQuery error was 'x'", ID),
        (f"LoadError: BigQuery refused the load job {ID}: Some rows belong to different partitions", ID),
        (f"Job aborted due to stage failure: task {ID} failed", None),
        ("java.io.FileNotFoundException: gs://b/runs/x.json", None),
    ],
)
def test_a_refusal_names_its_load_job(text: str, job: str | None) -> None:
    """Its id leads to all that BigQuery knows of the refusal; what is no load job's must not be taken for one."""
    assert verdict.load_job_of(text) == job
    report = Report().failed(text, load_job=job)
    assert json.loads(report.document(run_id="2026-11-23", revision=3))["load_job"] == job


def test_the_result_is_the_contract_s_and_the_same_bytes_each_time() -> None:
    """Counts are of the good parts, parts stand by market, tracks are rows and null entries together."""
    report = Report(
        parts=(_part("SE"), _part("DK", replace(FOUND, quarantined=1)), _part("FI", reason="is short"))
    )
    body = report.document(run_id="2026-11-23", revision=3)
    assert json.loads(body).keys() == LoadResult.model_fields.keys()
    assert LoadResult.model_validate_json(body, extra="forbid") == LoadResult(
        run_id="2026-11-23",
        revision=3,
        loaded=True,
        parts=(
            PartResult(market="DK", albums=100, rows=300, quarantined=1),
            PartResult(market="FI", reason="is short", albums=100, rows=300),
            PartResult(market="SE", albums=100, rows=300),
        ),
        files=2,
        albums=200,
        tracks=604,
        rows=600,
        quarantined=1,
        skipped={name: 2 * count for name, count in SKIPPED.items()},
    )
    assert body == report.document(run_id="2026-11-23", revision=3)
    assert body.endswith(b"}\n")


def test_a_load_that_failed_says_so_beside_what_was_found() -> None:
    """The result of a job that loaded nothing is what an operator reads first."""
    told = json.loads(Report(parts=(_part("DK"),)).failed("why").document(run_id="2026-11-23", revision=1))
    assert (told["loaded"], told["error"], told["albums"]) == (False, "why", 100)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "java.io.IOException: outer\n\tat a.b(C.java:1)\nCaused by: e.F: inner\n\tat g\n\t... 3 more\n",
            "e.F: inner",
        ),
        ("Caused by: a: one\n\tat x\nCaused by: b: two\nsecond line\n\tat y", "b: two"),
        ("An error occurred while calling o1.open.\n: java.io.FileNotFoundException: x\n\tat y", None),
        (
            "org.X: failed: Traceback (most recent call last):\n    call()\nE: 404\n SQLSTATE: 3\n\tSuppressed: y",
            "E: 404",
        ),
        ("plain", "plain"),
        (" \n ", "an error without a text"),
        ("x" * 2000, "x" * 1000),
    ],
)
def test_the_innermost_cause_is_told(text: str, cause: str | None) -> None:
    """What failed says only that it failed; the reason stands last in Java's chain, and without its calls."""
    assert verdict.cause_of(text) == (cause or "java.io.FileNotFoundException: x")
