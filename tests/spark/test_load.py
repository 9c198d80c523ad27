"""The job from parts to table, in one Spark session, against the emulators."""

import gzip
import json
import logging
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 -- the name the field uses

from contracts.documents import LoadResult, PartResult
from spark_job import transforms
from spark_job.arguments import Arguments
from spark_job.job import JobError, run
from spark_job.sink import replace_partition
from tests.spark.bucket import Bucket
from tests.spark.conftest import Warehouse
from tests.spark.reference import RUN, album, decide, part_of, record, rows_of, sortable, write_part

pytestmark = pytest.mark.spark
Give = Callable[..., Arguments]
Lines = Sequence[bytes | dict[str, Any]]


def _quarantined(bucket: Bucket, revision: int = 1) -> list[dict[str, object]]:
    names = bucket.names(f"quarantine/{RUN}/{revision:04}/")
    return [json.loads(line) for name in names for line in bucket.read(name).splitlines()]


def _result(bucket: Bucket, revision: int = 1) -> LoadResult:
    """The result, read by the contract and with nothing that the contract does not know."""
    told = json.loads(bucket.read(f"runs/{RUN}/loads/{revision:04}.json"))
    assert told.keys() == LoadResult.model_fields.keys()
    assert all(part.keys() == PartResult.model_fields.keys() for part in told["parts"])
    return LoadResult.model_validate(told)


def _reasons(bucket: Bucket, revision: int = 1) -> dict[str, str | None]:
    return {part.market: part.reason for part in _result(bucket, revision).parts}


def _numbered(market: str, count: int, *, start: int = 1) -> list[dict[str, Any]]:
    """Records of form 2."""
    return [
        record(album(f"{market}{number}", "t"), market=market, number=number)
        for number in range(start, start + count)
    ]


def test_bad_lines_are_kept_with_reason_file_and_line(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """Every bad line is quarantined with its reason, its file and its number there; every good one is loaded."""
    good = [record(album(name, "t1", "t2")) for name in "ab"]
    spaced = record(album("s", "t"))  # blanks around a record are JSON
    text = json.dumps(record(album("c", "t")))
    bad: list[tuple[bytes, str]] = [
        (b"{not json}", "is not JSON"),
        (text.encode()[:-3], "is not JSON"),
        (b"17", "is not one JSON object"),
        (text.encode().replace(b"Album", b"\xff\xfe"), "is not UTF-8"),
        (text.encode().replace(b"Album", b"\xed\xa0\x80"), "is not UTF-8"),
        (b'{"records":[' + text.encode() + b"]}", "has no market"),
        (json.dumps({**record(album("c")), "market": None}).encode(), "has no market"),
        (json.dumps({**record(album("c")), "run_id": None}).encode(), "has no run id"),
        (json.dumps({**record(album("c")), "album": None}).encode(), "has no album id"),
        (json.dumps({**record(album("c")), "album": 5}).encode(), "has no album id"),
        (json.dumps(record({"name": "without id"})).encode(), "has no album id"),
        (json.dumps(record(album(""))).encode(), "has no album id"),
        (
            json.dumps(record({**album("c"), "tracks": {"items": [5]}})).encode(),
            "has tracks that are not a list of objects",
        ),
    ]
    write_part(bucket, "DK", [good[0], *(line for line, _ in bad), good[1], f" {json.dumps(spaced)} \r".encode()])
    # Files beside it share its task, so that a line's number is not the number of the row in the task.
    others = [record(album(f"o{market}", "x"), market=market) for market in ("AD", "SE", "ZZ")]
    for other in others:
        write_part(bucket, other["market"], [other, other])
    write_part(bucket, "TR", [{**record(album("q", "}{"), market="TR")}, b"broken"])

    run(spark, arguments(threshold="1"))

    kept = sorted((found["file"], found["line"], found["reason"]) for found in _quarantined(bucket))
    expected = [("DK.jsonl.gz", number, reason) for number, (_, reason) in enumerate(bad, 2)]
    assert kept == [*expected, ("TR.jsonl.gz", 2, "is not JSON")]
    originals = {
        found["line"]: found["record"] for found in _quarantined(bucket) if found["file"] == "DK.jsonl.gz"
    }
    assert originals == {number: line.decode(errors="replace") for number, (line, _) in enumerate(bad, 2)}
    loaded = [*good, spaced, *others, *others, record(album("q", "}{"), market="TR")]
    assert sortable(warehouse.rows()) == sortable(row for line in loaded for row in rows_of(line))
    result = _result(bucket)
    assert (result.files, result.quarantined, result.albums) == (5, len(bad) + 1, len(loaded))


def test_an_odd_value_is_null_and_its_album_is_loaded(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """A whole number is one however it is written; what is none is null and counted, and costs no album."""
    odd = [204053.0, 2e3, {"a": 1}, 7.5, "long", [1], 2**70]
    whole = [204053, 2000, None, None, None, None, None]
    given = album("a", *(f"t{number}" for number in range(len(odd) + 3)))
    tracks = given["tracks"]["items"]
    for track, value in zip(tracks, odd, strict=False):
        track["duration_ms"] = value
    tracks[-3] |= {"disc_number": 1.0, "track_number": 3.0, "explicit": "no"}
    tracks[-2] |= {"artists": ["nobody"]}
    tracks[-1] = None
    write_part(bucket, "DK", [record(album("plain", "t"), number=1), record(given, number=2)])

    run(spark, arguments())

    expected = album("a", *(f"t{number}" for number in range(len(odd) + 2)))
    for track, value in zip(expected["tracks"]["items"], whole, strict=False):
        track["duration_ms"] = value
    expected["tracks"]["items"][-2] |= {"disc_number": 1, "track_number": 3, "explicit": None}
    expected["tracks"]["items"][-1] |= {"artists": []}
    lines = [record(album("plain", "t")), record(expected)]
    assert sortable(warehouse.rows()) == sortable(row for line in lines for row in rows_of(line))
    skipped = {"albums_without_tracks": 0, "null_tracks": 1, "null_artists": 0, "odd_values": 7}
    assert (_result(bucket).skipped, _result(bucket).quarantined) == (skipped, 0)


def test_what_spark_drops_from_a_line_makes_its_part_bad_and_is_shown(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """Spark's source skips an empty line and all behind the first object: the counts tell, the lines are kept."""
    glued = [json.dumps(line).encode() for line in _numbered("SE", 4)]
    dropping: dict[str, Lines] = {
        "SE": [glued[0] + glued[1], *glued[2:]],  # two records on a line, as many as were decided
        "DK": [*_numbered("DK", 2), b""],
        "FI": [b"[" + b",".join(json.dumps(line).encode() for line in _numbered("FI", 2)) + b"]"],
        "NO": [],
    }
    for market, lines in dropping.items():
        write_part(bucket, market, lines)
    write_part(bucket, "XK", _numbered("XK", 3))
    decided = {"SE": 4, "DK": 3, "FI": 1, "NO": 1, "XK": 3}
    parts = tuple(
        part_of(bucket, f"raw/{RUN}/{market}.jsonl.gz", albums=albums, form=2)
        for market, albums in decided.items()
    )

    run(spark, arguments(parts=parts, least=1))

    assert _reasons(bucket) == {
        "DK": "is short: it has 2 records, not 3",
        "FI": "is glued: it has 2 records, not 1",
        "NO": "is short: it has 0 records, not 1",
        "SE": "is short: it has 3 records, not 4",
        "XK": None,
    }
    assert {row["market"] for row in warehouse.rows()} == {"XK"}
    shown = sorted((found["file"], found["line"], found["reason"]) for found in _quarantined(bucket))
    assert shown == [
        ("DK.jsonl.gz", 3, "is an empty line"),
        ("FI.jsonl.gz", 1, "is not one JSON object"),
        ("SE.jsonl.gz", 1, "has something behind its record"),
    ]


_WHOLE = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in _numbered("SE", 500)))
_DAMAGED = {
    "in the middle": _WHOLE[: len(_WHOLE) // 2],
    "in the trailer": _WHOLE[:-1],
    "a bit": _WHOLE[:2000] + bytes([_WHOLE[2000] ^ 1]) + _WHOLE[2001:],
    "checksum": _WHOLE[:-8] + b"\0\0\0\0" + _WHOLE[-4:],
    "length": _WHOLE[:-4] + b"\1\2\3\4",
    "no gzip": json.dumps(_numbered("SE", 1)[0]).encode() + b"\n",
    "rest behind": _WHOLE + b"rest",
    "zeros behind": _WHOLE + b"\0" * 20,
    "a beginning behind": _WHOLE + b"\x1f\x8b",
    "empty": b"",
}


def test_parts_that_cannot_be_unpacked_are_named_all_at_once_and_the_rest_is_loaded(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """No kind of damage ends the job as Java's own failure, passes for a whole part, or hides another."""
    good = record(album("a", "t1", "t2"))
    write_part(bucket, "DK", [good])
    markets = [f"A{letter}" for letter in "ABCDEFGHIJ"]
    for market, content in zip(markets, _DAMAGED.values(), strict=True):
        bucket.write(f"raw/{RUN}/{market}.jsonl.gz", content)

    with pytest.raises(
        JobError, match=r"1 of 11 parts are good, and at least 11 must be: AA\.jsonl\.gz is damaged: "
    ):
        run(spark, arguments())
    result = _result(bucket)
    assert (result.loaded, warehouse.rows()) == (False, [])
    assert "AJ.jsonl.gz is damaged: it has no bytes. Fetch these markets" in (result.error or "")

    run(spark, arguments(least=1))
    reasons = _reasons(bucket)
    assert reasons.pop("DK") is None
    assert {market for market, reason in reasons.items() if reason and reason.startswith("is damaged: ")} == {
        *markets
    }
    assert sortable(warehouse.rows()) == sortable(rows_of(good))


@pytest.mark.parametrize("form", [1, 2])
def test_what_a_part_holds_is_compared_with_what_was_decided(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give, form: int
) -> None:
    """Missing, replaced, short, glued, foreign and spoilt parts are told apart and left out; an empty one is good."""
    lines: dict[str, Lines] = {
        "AA": _numbered("AA", 5),
        "BB": _numbered("BB", 4),
        "CC": _numbered("CC", 3) * 2,
        "DD": _numbered("DD", 5),
        "EE": [*_numbered("EE", 4), record(album("x", "t"), market="SE", number=5)],
        "FF": [b"bad"] * 5,
        "GG": [],
        "HH": _numbered("HH", 5),
        "JJ": _numbered("JJ", 5),
    }
    parts = []
    for market, given in lines.items():
        name = write_part(bucket, market, given)
        parts.append(
            part_of(bucket, name, form=form, albums=5 * bool(given), tracks=6 if market == "DD" else None)
        )
    parts[0] = parts[0].model_copy(update={"size": 7})
    bucket.delete(f"raw/{RUN}/HH.jsonl.gz")
    write_part(bucket, "LL", _numbered("LL", 2))  # nobody decided it

    run(spark, arguments(parts=tuple(parts), least=2))

    size = len(bucket.read(f"raw/{RUN}/AA.jsonl.gz"))
    assert _reasons(bucket) == {
        "AA": f"was replaced since it was decided: it has {size} bytes, not 7",
        "BB": "is short: it has 4 records, not 5",
        "CC": "is glued: it has 6 records, not 5",
        "DD": "is short: it has 5 tracks, not 6",
        "EE": "is foreign: 1 of 5 records are of another market or run",
        "FF": "holds nothing but bad records, 5 of them",
        "GG": None,
        "HH": "is missing",
        "JJ": None,
    }
    assert {row["market"] for row in warehouse.rows()} == {"JJ"}
    assert (_result(bucket).files, _result(bucket).albums, _result(bucket).quarantined) == (2, 5, 0)
    shown = [(found["file"], found["reason"]) for found in _quarantined(bucket) if found["file"] != "FF.jsonl.gz"]
    assert shown == [("EE.jsonl.gz", "is of market SE in the file EE.jsonl.gz")]


def test_a_part_that_nobody_decided_is_not_loaded(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """What else lies in the folder is neither read nor told of, and what is wrong with it stops nothing."""
    good = record(album("a", "t"))
    write_part(bucket, "DK", [good])
    given = arguments()
    write_part(bucket, "SE", [record(album("b", "t"), market="SE"), b"bad"])
    bucket.write(f"raw/{RUN}/FI.jsonl.gz", b"no gzip")
    run(spark, given)
    assert sortable(warehouse.rows()) == sortable(rows_of(good))
    assert (_result(bucket).files, _reasons(bucket), _quarantined(bucket)) == (1, {"DK": None}, [])


def test_numbers_are_each_record_s_place_in_its_part(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """A record twice, one missing in the middle or at the start, or one without number: as many, yet not whole."""
    one, two, three, four = _numbered("XX", 4)
    lines: dict[str, Lines] = {
        "AA": [one, two, two],
        "BB": [one, three, four],
        "CC": [two, three, four],
        "DD": [one, two, record(album("x"))],
        "EE": [one, b"bad", three],
        "FF": [one, two, three],
    }
    for market, given in lines.items():
        ours = [{**line, "market": market} if isinstance(line, dict) else line for line in given]
        write_part(bucket, market, ours)
    parts = tuple(part_of(bucket, name, form=2) for name in bucket.names(f"raw/{RUN}/"))

    run(spark, arguments(parts=parts, least=2, threshold="0.5"))

    glued = "is glued: its records are not numbered one after the other from 1"
    assert _reasons(bucket) == {"AA": glued, "BB": glued, "CC": glued, "DD": glued, "EE": None, "FF": None}


def test_a_part_of_which_nothing_was_said_is_held_against_its_own_lines(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """A decision from before the counts: what Spark drops still shows."""
    text = json.dumps(record(album("a", "t"), market="SE")).encode()
    write_part(bucket, "DK", [record(album("a", "t"))] * 2)
    write_part(bucket, "SE", [text, b"", text])
    parts = tuple(part_of(bucket, name, albums=None) for name in bucket.names(f"raw/{RUN}/"))
    run(spark, arguments(parts=parts, least=0))
    assert _reasons(bucket) == {"DK": None, "SE": "is short: it has 2 records, not 3"}


def test_a_market_of_an_earlier_load_is_not_lost(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """The partition is replaced whole: while a held market's part is bad, the rows of before stay, all of them."""
    write_part(bucket, "DK", [record(album("old", "t"))])
    run(spark, arguments())
    write_part(bucket, "SE", [record(album("new", "t"), market="SE")])
    given = arguments(revision=2, least=1, holds=("DK",))
    bucket.delete(f"raw/{RUN}/DK.jsonl.gz")
    with pytest.raises(
        JobError, match=r"would lose what an earlier load of the run brought: DK\.jsonl\.gz is missing"
    ):
        run(spark, given)
    assert [row["album_id"] for row in warehouse.rows()] == ["old"]
    assert (_result(bucket, 2).loaded, _result(bucket, 2).rows) == (False, 1)


def test_too_many_bad_lines_load_nothing(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """Above the threshold the old rows stay, and error and result say how many and where."""
    write_part(bucket, "DK", [record(album("old", "t"))])
    run(spark, arguments())
    write_part(bucket, "DK", [*(record(album(f"n{number}", "t")) for number in range(98)), b"bad", b"worse"])

    with pytest.raises(
        JobError, match=rf"2 of 100 records.*0\.01 .*gs://{bucket.name}/quarantine/{RUN}/0002/"
    ) as caught:
        run(spark, arguments(revision=2))

    assert [row["album_id"] for row in warehouse.rows()] == ["old"]
    result = _result(bucket, 2)
    assert (result.loaded, result.error, result.albums, result.quarantined) == (False, str(caught.value), 98, 2)
    assert [found["record"] for found in _quarantined(bucket, 2)] == ["bad", "worse"]
    assert [(bad.market, bad.line) for bad in result.examples] == [("DK", 99), ("DK", 100)]
    assert all(bad.reason for bad in result.examples)

    # Exactly the threshold is allowed, and what the failed attempt had quarantined is replaced.
    write_part(bucket, "DK", [*(record(album(f"n{number}", "t")) for number in range(99)), b"bad"])
    run(spark, arguments(revision=2))
    assert len(warehouse.rows()) == 99
    assert _result(bucket, 2).loaded
    assert [found["line"] for found in _quarantined(bucket, 2)] == [100]


def test_a_run_of_nothing_is_refused(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """That no market at all has a new album is not believed, and must not empty the partition."""
    for market in ("DK", "SE"):
        write_part(bucket, market, [])
    with pytest.raises(JobError, match="not one album in the 2 good parts; nothing was loaded"):
        run(spark, arguments())
    assert _reasons(bucket) == {"DK": None, "SE": None}


def test_a_decision_without_a_part_or_of_another_run_loads_nothing(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """What cannot be a decision to load is a mistake, and the result says so too."""
    with pytest.raises(JobError, match="parts: must be one for each of some markets, got none"):
        run(spark, arguments())
    assert (_result(bucket).loaded, _result(bucket).parts) == (False, ())
    given = arguments()
    bucket.delete(f"runs/{RUN}/decisions/0001.json")
    with pytest.raises(JobError, match=r"FileNotFoundException.*decisions/0001\.json"):
        run(spark, given)
    write_part(bucket, "DK", [record(album("a", "t"))])
    decision = decide(bucket)
    bucket.empty(f"raw/{RUN}/")
    with pytest.raises(JobError, match=r"DK\.jsonl\.gz is missing"):
        run(spark, given)
    assert bucket.names("runs/")[0] == decision


def test_a_load_that_fails_is_told_by_its_cause(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """What was found stands in the result, with the innermost cause of the failure in place of Java's whole trace."""
    write_part(bucket, "DK", [record(album("a", "t"))])
    with pytest.raises(JobError, match="nowhere"):
        run(spark, arguments(table=warehouse.name.rpartition(".")[0] + ".nowhere"))
    result = _result(bucket)
    assert (result.loaded, result.albums, _reasons(bucket)) == (False, 1, {"DK": None})
    error = result.error or ""
    assert ("nowhere" in error, "\n" in error) == (True, False)


def test_a_write_of_bad_records_that_fails_leaves_none(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the bad records must not pass for all of them, here as on a cluster: the job names the committer."""
    bad_lines = transforms.bad_lines

    def failing(lines: DataFrame, *, run_id: str) -> DataFrame:
        broken = F.when(F.col("line") > 1, F.raise_error("broken off")).otherwise(F.col("reason"))
        return bad_lines(lines, run_id=run_id).withColumn("reason", broken.cast("string"))

    monkeypatch.setattr(transforms, "bad_lines", failing)
    write_part(bucket, "DK", [b"bad", b"worse"])
    with pytest.raises(JobError, match="broken off"):
        run(spark, arguments(threshold="1"))
    assert bucket.names("quarantine/") == []


def test_loading_again_replaces_the_partition_and_no_other(
    spark: SparkSession,
    bucket: Bucket,
    warehouse: Warehouse,
    arguments: Give,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Twice is once, another run's partition stays, and a load without rows leaves none behind; the log says so."""
    caplog.set_level(logging.INFO)
    week_before = record(album("w", "t"), run_id="2026-11-16")
    write_part(bucket, "DK", [week_before], run_id="2026-11-16")
    run(spark, arguments(run_id="2026-11-16"))
    records = [record(album(name, "t1", "t2")) for name in "abc"]
    write_part(bucket, "DK", records)
    result = f"runs/{RUN}/loads/0001.json"

    run(spark, arguments())
    assert caplog.messages[-1] == f"loaded 6 rows into {arguments().table} for {RUN}"
    first = bucket.read(result)
    run(spark, arguments())

    of_run = f"load_date = DATE '{RUN}'"
    assert sortable(warehouse.rows(of_run)) == sortable(row for line in records for row in rows_of(line))
    assert bucket.read(result) == first
    assert bucket.names(".spark-bigquery-") == []

    write_part(bucket, "DK", [record(album("empty"))])
    run(spark, arguments(revision=2))

    assert warehouse.rows(of_run) == []
    assert json.loads(bucket.read(f"runs/{RUN}/loads/0002.json")) == {
        "run_id": RUN,
        "revision": 2,
        "loaded": True,
        "error": None,
        "load_job": None,
        "parts": [{"market": "DK", "reason": None, "albums": 1, "rows": 0, "quarantined": 0}],
        "files": 1,
        "albums": 1,
        "tracks": 0,
        "rows": 0,
        "quarantined": 0,
        "examples": [],
        "skipped": {"albums_without_tracks": 1, "null_tracks": 0, "null_artists": 0, "odd_values": 0},
    }
    assert sortable(warehouse.rows()) == sortable(rows_of(week_before))


def test_rows_of_another_day_are_refused(
    spark: SparkSession, bucket: Bucket, warehouse: Warehouse, arguments: Give
) -> None:
    """The load is refused as BigQuery refuses it; the table is as before, and no file is left behind."""
    write_part(bucket, "DK", [record(album("a", "t"))])
    given = arguments()
    inspected = transforms.inspect(transforms.read_records(spark, given.input, ["DK"]), run_id=RUN)
    rows = transforms.rows(inspected, run_id=RUN, load_date=date(2026, 11, 24), revision=1)
    with pytest.raises(Exception, match="Some rows belong to different partitions"):
        replace_partition(
            rows,
            table=given.table,
            load_date=given.load_date,
            revision=given.revision,
            temporary_bucket=bucket.name,
        )
    assert warehouse.rows() == []
    assert bucket.names(".spark-bigquery-") == []
