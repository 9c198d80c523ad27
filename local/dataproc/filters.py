"""The filter language of ListClusters and ListJobs, as the reference describes it.

`field = value [AND [field = value]] ...`, case-sensitive, where a space stands for AND and `*` matches every
value of a field that is there. Fields of clusters: `status.state`, `clusterName`, `labels.KEY`. Of jobs:
`status.state` (ACTIVE or NON_ACTIVE), `labels.KEY`, `insertTime` (also with <, <=, >, >=).
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from google.cloud import dataproc_v1

from contracts.wording import shown
from local.dataproc.states import FINAL_JOB_STATES, born

_CLUSTER_GROUPS = {
    "ACTIVE": {"CREATING", "UPDATING", "RUNNING"},
    "INACTIVE": {"DELETING", "ERROR", "STOPPING", "STOPPED"},
}
_CLUSTER_STATES = {"CREATING", "RUNNING", "ERROR", "DELETING", "UPDATING", "STOPPING", "STOPPED"}
_JOB_GROUPS = {"ACTIVE", "NON_ACTIVE"}
_COMPARISONS: Mapping[str, Callable[[datetime, datetime], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TERM = re.compile(
    r"\s*(?:AND\s+)?(?P<field>[A-Za-z][\w.-]*)\s*(?P<comparison><=|>=|<|>|=)\s*(?P<value>\"[^\"]*\"|[^\s\"]+)(?=\s|$)"
)


class FilterError(ValueError):
    """A filter that the API would refuse, and why."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a filter."""

    field: str
    comparison: str
    value: str


def parse(text: str) -> tuple[Term, ...]:
    """Read a filter; an empty one has no terms and matches everything.

    Raises:
        FilterError: it does not follow the syntax.
    """
    terms: list[Term] = []
    rest = text.strip()
    while rest:
        found = _TERM.match(rest)
        if found is None or (not terms and rest.startswith("AND ")):
            raise FilterError(
                f"filter {shown(text)}: cannot read {shown(rest)}; write field = value [AND field = value]"
            )
        terms.append(Term(found["field"], found["comparison"], found["value"].strip('"')))
        rest = rest[found.end() :].strip()
    return tuple(terms)


def cluster_filter(text: str) -> Callable[[dataproc_v1.Cluster], bool]:
    """Make the test that a filter of ListClusters stands for.

    Raises:
        FilterError: the syntax is wrong, or it names a field or a value that clusters do not have.
    """
    tests = [_cluster_test(term) for term in parse(text)]
    return lambda cluster: all(test(cluster) for test in tests)


def job_filter(text: str) -> Callable[[dataproc_v1.Job], bool]:
    """Make the test that a filter of ListJobs stands for.

    Raises:
        FilterError: the syntax is wrong, or it names a field or a value that jobs do not have.
    """
    tests = [_job_test(term) for term in parse(text)]
    return lambda job: all(test(job) for test in tests)


def _cluster_test(term: Term) -> Callable[[dataproc_v1.Cluster], bool]:
    _only_equality(term)
    if term.field == "clusterName":
        return lambda cluster: term.value in {"*", cluster.cluster_name}
    if term.field == "status.state":
        _one_of(term, _CLUSTER_STATES | _CLUSTER_GROUPS.keys())
        names = _CLUSTER_GROUPS.get(term.value, {term.value})
        return lambda cluster: term.value == "*" or cluster.status.state.name in names
    return _label_test(term)


def _job_test(term: Term) -> Callable[[dataproc_v1.Job], bool]:
    if term.field == "insertTime":
        compare, moment = _COMPARISONS[term.comparison], _timestamp(term)
        return lambda job: compare(born(job), moment)
    _only_equality(term)
    if term.field == "status.state":
        _one_of(term, _JOB_GROUPS)
        final = term.value == "NON_ACTIVE"
        return lambda job: term.value == "*" or final == (job.status.state in FINAL_JOB_STATES)
    return _label_test(term)


def _label_test(term: Term) -> Callable[[dataproc_v1.Cluster | dataproc_v1.Job], bool]:
    prefix, _, key = term.field.partition(".")
    if prefix != "labels" or not key:
        raise FilterError(f"filter field {shown(term.field)} is not known")
    return lambda labelled: key in labelled.labels and term.value in {"*", labelled.labels[key]}


def _only_equality(term: Term) -> None:
    if term.comparison != "=":
        raise FilterError(f"filter field {shown(term.field)} takes = only")


def _one_of(term: Term, allowed: set[str]) -> None:
    if term.value not in allowed | {"*"}:
        raise FilterError(
            f"filter {term.field} = {shown(term.value)}: use one of {', '.join(sorted(allowed))} or *"
        )


def _timestamp(term: Term) -> datetime:
    try:
        moment = datetime.fromisoformat(term.value)
    except ValueError as error:
        raise FilterError(f"filter insertTime: {shown(term.value)} is not an RFC 3339 timestamp") from error
    if moment.tzinfo is None:
        raise FilterError(f"filter insertTime: {shown(term.value)} has no time zone")
    return moment
