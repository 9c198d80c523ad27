"""What is ordered to go wrong: rules, which calls they meet, and what they do to an answer.

A rule selects calls (path, market, album, every call or the n-th, by chance, so many times or for so long)
and names one effect. Chance is drawn from the plan's seed, the rule and the call's number among those the
rule selects (or the album's id, for effects on single albums), so an order of calls meets the same fates in
every run.

Effects, by where they act:

- instead of an answer: `status` (with `status`, and optionally `retry_after`, `reason`, `text` for a body
  that is no JSON), `reset` (the connection is cut in the middle of the body), `truncated` (half of the JSON,
  otherwise a proper answer), `non_json` (a web page with status 200);
- before the answer: `stall` (`seconds`);
- on what is asked: `market_ignored` (every market gets one list), `frozen` (last week's list);
- on the page: `empty_page` (no items, though `next` goes on), `unstable_total`, `repeated` (the first item
  once more at the end), `loop` (`next` is the page itself), `null_entries` (a null in every list of items,
  artists and images), `null_albums` (entries of albums?ids= become null);
- on the albums of the answer: `release_date` (`value`, by default "0000"; precision "year"), `takedown`
  (empty name);
- on fields: `null_fields` and `missing_fields` (`fields` of every object whose type is `of`).

Not here: HTTP. `app` turns an order into bytes.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from local.spotify.shapes import Json

Effect = Literal[
    "status",
    "reset",
    "truncated",
    "non_json",
    "stall",
    "market_ignored",
    "frozen",
    "empty_page",
    "unstable_total",
    "repeated",
    "loop",
    "null_entries",
    "null_albums",
    "release_date",
    "takedown",
    "null_fields",
    "missing_fields",
]

INSTEAD: Final = frozenset({"status", "reset", "truncated", "non_json"})
"""Effects that decide what is sent; only the first of them in a call acts."""
_WHEREVER_LISTED: Final = frozenset({"release_date", "takedown"})
"""Effects whose `album` is looked for in every answer, since an album must be the same wherever it is listed."""
_BY_ALBUM: Final = _WHEREVER_LISTED | {"null_albums"}
"""Effects whose `probability` chooses albums of an answer, not calls."""


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


class Rule(BaseModel):
    """One thing to go wrong.

    `path` is a regular expression searched in the path, by default all of the API and not the tokens; `market` the
    market (or country) of the query; `album` an id in the path or in `ids`. `nth` counts the selected calls from 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: Effect
    path: Annotated[str, AfterValidator(_regular_expression)] = "^/v1/"
    market: str | None = None
    album: str | None = None
    nth: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    times: Annotated[int, Field(ge=1)] | None = None
    """How often the rule acts at most."""
    lasts: Annotated[float, Field(gt=0)] | None = None
    """For how many seconds after it first acted the rule goes on acting."""
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: int | str | None = None
    """The header as it is; None leaves it out; "remaining" is what is left of `lasts`, in whole seconds."""
    reason: str | None = None
    text: str | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    value: str = "0000"
    fields: tuple[str, ...] = ()
    of: Literal["album", "track", "artist"] = "track"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.effect == "status" and self.status is None:
            raise ValueError("the effect status needs a status, such as 503")
        if self.effect in {"null_fields", "missing_fields"} and not self.fields:
            raise ValueError(f"the effect {self.effect} needs fields, such as ['explicit']")
        if self.retry_after == "remaining" and self.lasts is None:
            raise ValueError("retry_after can be 'remaining' only where lasts says of what")
        return self


RULES: Final = TypeAdapter(tuple[Rule, ...])
"""Reads a list of rules from JSON."""


class Call(NamedTuple):
    """What rules look at."""

    path: str
    market: str | None
    albums: frozenset[str]


@dataclass(frozen=True, slots=True)
class Order:
    """A rule that acts on a call: the `number`-th time, until `ends` if it lasts; `key` seeds its chances."""

    rule: Rule
    number: int
    key: str
    ends: datetime | None = None

    def retry_after(self, now: datetime) -> str | None:
        """The Retry-After header to send, or None for none."""
        if self.rule.retry_after == "remaining" and self.ends is not None:
            return str(max(1, round((self.ends - now).total_seconds())))
        return None if self.rule.retry_after is None else str(self.rule.retry_after)


class Plan:
    """Keeps the rules and how often each has met and acted on a call."""

    def __init__(self, rules: Sequence[Rule], seed: int) -> None:
        self._seed = seed
        self._entries = [_Entry(rule, f"{seed}/{index}") for index, rule in enumerate(rules)]

    def replaced(self, rules: Sequence[Rule]) -> "Plan":
        """A new plan of the same seed."""
        return Plan(rules, self._seed)

    def orders(self, call: Call, now: datetime) -> list[Order]:
        """The rules that act on a call, in the order in which they were given. Counts the call."""
        orders: list[Order] = []
        answered = False
        for entry in self._entries:
            instead = entry.rule.effect in INSTEAD
            # Every rule meets the call, for `nth`; a second answer has nothing to act on and keeps its `times`.
            if entry.meets(call, now) and not (instead and answered):
                orders.append(entry.act(now))
                answered = answered or instead
        return orders

    def report(self) -> list[Json]:
        """Every rule with how many calls it met and on how many it acted."""
        return [
            {"rule": entry.rule.model_dump(exclude_defaults=True), "met": entry.met, "acted": entry.acted}
            for entry in self._entries
        ]


class _Entry:
    """One rule and its counts."""

    def __init__(self, rule: Rule, key: str) -> None:
        self.rule, self._key = rule, key
        self.met = self.acted = 0
        self._ends: datetime | None = None

    def meets(self, call: Call, now: datetime) -> bool:
        """Whether the rule would act on a call; counts the call if the rule selects it."""
        if not _selects(self.rule, call):
            return False
        self.met += 1
        spent = self.rule.times is not None and self.acted >= self.rule.times
        over = self._ends is not None and now >= self._ends
        return not spent and not over and self.rule.nth in {None, self.met} and self._lucky()

    def act(self, now: datetime) -> Order:
        """Act on the call that was just met."""
        if self.rule.lasts is not None and self._ends is None:
            self._ends = now + timedelta(seconds=self.rule.lasts)
        self.acted += 1
        return Order(self.rule, self.acted, self._key, self._ends)

    def _lucky(self) -> bool:
        if self.rule.effect in _BY_ALBUM:
            return True
        return _drawn(f"{self._key}/{self.met}", self.rule.probability)


def _selects(rule: Rule, call: Call) -> bool:
    on_call = rule.album is None or rule.effect in _WHEREVER_LISTED or rule.album in call.albums
    if rule.effect == "null_albums" and not call.albums:
        return False
    return on_call and rule.market in {None, call.market} and re.search(rule.path, call.path) is not None


def _drawn(key: str, probability: float) -> bool:
    return random.Random(key).random() < probability


def alter(order: Order, body: Json) -> None:
    """Do to a freshly worded answer what an order says; effects that act elsewhere leave it alone."""
    change = _CHANGES.get(order.rule.effect)
    if change is not None:
        change(order, body)


def _change_page(order: Order, body: Json) -> None:
    page = _page(body)
    if page is None:
        return
    match order.rule.effect:
        case "empty_page":
            page["items"] = []
        case "unstable_total":
            page["total"] = max(0, page["total"] + (-7, 13, 0)[order.number % 3])
        case "repeated":
            page["items"] += page["items"][:1]
        case _:
            page["next"] = page["href"]


def _change_albums(order: Order, body: Json) -> None:
    taken_down = order.rule.effect == "takedown"
    change = {"name": ""} if taken_down else {"release_date": order.rule.value, "release_date_precision": "year"}
    for album in _objects(body, "album"):
        if _chosen(order, album):
            album.update(change)


def _change_fields(order: Order, body: Json) -> None:
    for entry in _objects(body, order.rule.of):
        for name in order.rule.fields:
            if order.rule.effect == "null_fields":
                entry[name] = None
            else:
                entry.pop(name, None)


def _lose_albums(order: Order, body: Json) -> None:
    if isinstance(body.get("albums"), list):
        body["albums"] = [None if _chosen(order, entry) else entry for entry in body["albums"]]


def _put_nulls(_order: Order, body: Json) -> None:
    for value in list(_dicts(body)):
        for name in ("items", "artists", "images"):
            if isinstance(value.get(name), list):
                value[name].insert(min(1, len(value[name])), None)


_CHANGES: Final[Mapping[Effect, Callable[[Order, Json], None]]] = {
    "empty_page": _change_page,
    "unstable_total": _change_page,
    "repeated": _change_page,
    "loop": _change_page,
    "null_entries": _put_nulls,
    "null_albums": _lose_albums,
    "release_date": _change_albums,
    "takedown": _change_albums,
    "null_fields": _change_fields,
    "missing_fields": _change_fields,
}


def _chosen(order: Order, album: Json | None) -> bool:
    if album is None or order.rule.album not in {None, album["id"]}:
        return False
    return _drawn(f"{order.key}/{album['id']}", order.rule.probability)


def _page(body: Json) -> Json | None:
    """The page that was asked for: a listing's, or a list of tracks; an album's embedded page is not one."""
    page = body.get("albums", body)
    return page if isinstance(page, dict) and "items" in page else None


def _objects(body: Json, kind: str) -> Iterator[Json]:
    return (value for value in _dicts(body) if value.get("type") == kind)


def _dicts(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _dicts(child)
