"""PromQL as far as our alerts speak it, judged without asking Google: its grammar, and what there is to ask for.

Whatever is not in the grammar is a fault, however good PromQL it may be: a query is added here before it is used.
"""

import re
from collections.abc import Mapping

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

_PROMQL = Lark(
    r"""
    start: _set
    _set: _compared (SET_OPERATOR _compared)*
    _compared: _value [COMPARISON NUMBER]
    _value: aggregation | rate | selector | "(" _set ")"
    aggregation: AGGREGATION "(" _set ")"
    rate: OVER_TIME "(" selector "[" DURATION "]" ")"
    selector: METRIC "{" matcher ("," matcher)* "}"
    matcher: LABEL MATCH STRING
    SET_OPERATOR: /(and|or|unless)\b/
    AGGREGATION: /(sum|max|min|count)(?=\()/
    OVER_TIME: /(increase|rate)(?=\()/
    COMPARISON: />=|<=|==|!=|>|</
    MATCH: /=~|!~|!=|=/
    METRIC: /[a-zA-Z_]\w*:\w+(?=\{)/
    LABEL: /[a-zA-Z_]\w*/
    DURATION: /[1-9]\d*[smhdw]/
    STRING: /"(\\.|[^"\\])*"/
    NUMBER: /\d+(\.\d+)?/
    %ignore /\s+/
    """,
    parser="lalr",
    maybe_placeholders=False,
)

_RESOURCES = {
    "cloud_run_revision": {"service_name", "revision_name", "location", "configuration_name", "project_id"},
    "pubsub_topic": {"topic_id", "project_id"},
}
"""Labels of monitored resources. Source: cloud.google.com/monitoring/api/resources."""

_OF_GOOGLE = {
    "pubsub.googleapis.com/topic/send_message_operation_count": (
        "pubsub_topic",
        {"response_class", "response_code"},
    )
}
"""Resource and own labels of the metrics that are used. Source: cloud.google.com/monitoring/api/metrics_gcp_p_z."""


def metrics(counted: Mapping[str, str]) -> dict[str, tuple[str, set[str]]]:
    """Every metric there is, with its resource and its own labels: Google's, and those counted from log lines."""
    ours = {
        f"logging.googleapis.com/user/new_releases_{name}": ("cloud_run_revision", set[str]()) for name in counted
    }
    return {in_promql(name): found for name, found in {**_OF_GOOGLE, **ours}.items()}


def in_promql(name: str) -> str:
    """A metric's name in PromQL. Source: cloud.google.com/monitoring/promql/promql-mapping."""
    return re.sub(r"[^\w:]", "_", name.replace("/", ":", 1))


def fault_of(query: str, known: Mapping[str, tuple[str, set[str]]]) -> str | None:
    """Why a query would be refused, or would find nothing for ever; None where nothing is wrong with it."""
    try:
        tree = _PROMQL.parse(query)
    except UnexpectedInput as unexpected:
        return f"not understood at: {unexpected.get_context(query)}"
    faults = (_fault(selector, known) for selector in tree.find_data("selector"))
    return next((fault for fault in faults if fault is not None), None)


def _fault(selector: Tree[Token], known: Mapping[str, tuple[str, set[str]]]) -> str | None:
    metric, *matchers = selector.children
    told = {str(label): str(value)[1:-1] for label, _, value in (found.children for found in matchers)}  # type: ignore[union-attr]
    if metric not in known:
        return f"there is no metric {metric}"
    resource, own = known[str(metric)]
    if told.get("monitored_resource") != resource:
        return f"{metric} is of {resource}: say so, since a metric of several resources is refused without"
    strange = told.keys() - {"monitored_resource"} - own - _RESOURCES[resource]
    return f"{metric} has no label {', '.join(sorted(strange))}" if strange else None
