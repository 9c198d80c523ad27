"""The decision as the Spark job reads it, held against the contract that it cannot import."""

import json
from typing import Any

import pytest

from contracts import documents
from contracts.parts import FORM, PartLine
from spark_job.decision import NUMBERED, Decision, DecisionError, Part, read_decision
from spark_job.schemas import LINE, RECORD
from tests.builders import NOW, RUN


def _part(**changes: Any) -> documents.Part:
    told: dict[str, Any] = {"market": "DK", "generation": 1, "crc32c": "AAAAAA==", "size": 10, "landed_at": NOW}
    return documents.Part(**told | changes)


def _decision(*parts: documents.Part, **changes: Any) -> documents.Decision:
    told: dict[str, Any] = {"verdict": "load", "close_reason": "complete", "decided_at": NOW, "owner": "o"}
    return documents.Decision(run_id=RUN, revision=3, parts=parts or (_part(),), **told | changes)


def _read(document: dict[str, Any]) -> Decision:
    return read_decision(json.dumps(document).encode(), run_id=RUN, revision=3)


def _with(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_decision().to_json())
    return document | changes


def test_what_the_contract_writes_is_read_field_by_field() -> None:
    """Every field that the job acts on has the contract's name, meaning and default; `empty` shows in the counts."""
    whole = _part(market="SE", size=0, form=2, albums=5, tracks=0)
    decision = _decision(_part(), whole, least=1, holds=("SE",))
    read = read_decision(decision.to_json(), run_id=RUN, revision=3)
    assert read == Decision(
        parts=(Part(market="DK", size=10), Part(market="SE", size=0, form=2, albums=5, tracks=0)),
        least=1,
        holds=frozenset({"SE"}),
    )
    assert [part.file for part in read.parts] == ["DK.jsonl.gz", "SE.jsonl.gz"]
    plain = read_decision(_decision().to_json(), run_id=RUN, revision=3)
    fields = documents.Decision.model_fields
    assert (plain.least, plain.holds) == (fields["least"].default, frozenset(fields["holds"].default))
    defaults = documents.Part.model_fields
    assert [getattr(plain.parts[0], name) for name in ("form", "albums", "tracks")] == [
        defaults[name].default for name in ("form", "albums", "tracks")
    ]


def test_a_field_of_the_contract_is_used_or_known_to_be_left_out() -> None:
    """A field that a later decision brings must not go past the job unseen."""
    left_out = {"close_reason", "missing", "decided_at", "owner", "order", "note"}
    used = {"run_id", "revision", "verdict", "parts", "least", "holds"}
    assert documents.Decision.model_fields.keys() == left_out | used
    assert documents.Part.model_fields.keys() == {
        *("market", "size", "form", "albums", "tracks"),
        *("generation", "crc32c", "landed_at", "empty"),
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"run_id": "2026-11-16"}, "run_id: the decision to load has '2026-11-23', this one '2026-11-16'"),
        ({"revision": 1}, "revision: the decision to load has 3, this one 1"),
        ({"verdict": "fail"}, "verdict: the decision to load has 'load', this one 'fail'"),
        ({"parts": None}, "parts: must be a list, got None"),
        ({"parts": []}, "parts: must be one for each of some markets, got none"),
        ({"parts": [{"market": "DK", "size": 1}] * 2}, "parts: must be one for each of some markets, got DK, DK"),
        ({"parts": [5]}, r"parts\[0\]: must be an object, got 5"),
        ({"parts": [{"size": 1}]}, r"parts\[0\]\.market: must be two capital letters, got None"),
        ({"parts": [{"market": "{DK", "size": 1}]}, r"parts\[0\]\.market: must be two capital letters, got '{DK'"),
        ({"parts": [{"market": "DKX", "size": 1}]}, r"parts\[0\]\.market: must be two capital letters, got 'DKX'"),
        ({"parts": [{"market": "DK"}]}, r"parts\[0\]\.size: must be a whole number from 0, got None"),
        ({"parts": [{"market": "DK", "size": -1}]}, r"parts\[0\]\.size: must be a whole number from 0, got -1"),
        (
            {"parts": [{"market": "DK", "size": True}]},
            r"parts\[0\]\.size: must be a whole number from 0, got True",
        ),
        (
            {"parts": [{"market": "DK", "size": 1, "albums": "9"}]},
            r"parts\[0\]\.albums: must be a whole number from 0",
        ),
        (
            {"parts": [{"market": "DK", "size": 1, "tracks": 1.5}]},
            r"parts\[0\]\.tracks: must be a whole number from 0",
        ),
        (
            {"parts": [{"market": "DK", "size": 1, "form": "2"}]},
            r"parts\[0\]\.form: must be a whole number from 0",
        ),
        ({"least": "many"}, "^least: must be a whole number from 0, got 'many'"),
        ({"holds": "DK"}, "holds: must be a list, got 'DK'"),
        ({"holds": ["SE", "dk"]}, r"holds\[1\]: must be two capital letters, got 'dk'"),
    ],
)
def test_another_decision_or_an_unclear_one_is_refused(changes: dict[str, Any], fault: str) -> None:
    """What is read decides what the table holds: each fault is told by its field, and nothing is guessed."""
    with pytest.raises(DecisionError, match=fault):
        _read(_with(**changes))


def test_a_truth_is_no_number() -> None:
    """To Python True is 1; to a reader of the decision it is a document that nobody of ours wrote."""
    document = json.dumps(_with(revision=True)).encode()
    with pytest.raises(DecisionError, match="revision: the decision to load has 1, this one True"):
        read_decision(document, run_id=RUN, revision=1)


@pytest.mark.parametrize(
    ("content", "fault"), [(b"{", "is not JSON: "), (b"\xff", "is not JSON: "), (b"[]", "an object")]
)
def test_what_is_no_document_is_refused(content: bytes, fault: str) -> None:
    """An upload that was cut, or something else under the name."""
    with pytest.raises(DecisionError, match=f"^the decision.*{fault}"):
        read_decision(content, run_id=RUN, revision=3)


def test_the_line_that_is_read_is_the_line_that_is_written() -> None:
    """The job's schema and the contract's line know the same fields; when it was fetched does not reach the table."""
    assert {*RECORD.names} == {*PartLine.model_fields} - {"fetched_at"} | {LINE}
    kinds = {field.name: field.dataType.typeName() for field in RECORD.fields}
    assert kinds == {
        "market": "string",
        "run_id": "string",
        "source": "string",
        "number": "long",
        "album": "struct",
        "derived": "struct",
        LINE: "string",
    }
    assert PartLine.model_fields["number"].annotation == int | None
    assert documents.Part.model_fields["form"].default < NUMBERED <= FORM
