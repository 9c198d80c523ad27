"""What is ordered to go wrong: rules, which calls they meet, and what they do to an answer.

A rule selects calls (path, market, album, every call or the n-th, by chance, so many times or for so long)
and names one effect. Chance is drawn from the plan's seed, the rule and the call's number among those the
rule selects (or the album's id, for effects on single albums), so an order of calls meets the same fates in
every run.

Effects, by where they act:

- instead of an answer: `status` (with `status`, and optionally `retry_after`, `reason`, `text` for a body
  that is no JSON), `reset` (the connection is cut in the middle of the body), `truncated` (half of the JSON,
  otherwise a proper answer), `non_json` (a web page with status 200), `too_large` (400 for a page of more than
  `most` entries);
- before the answer: `stall` (`seconds`);
- on what is asked: `market_ignored` (every market gets one list), `frozen` (last week's list);
- on the page: `empty_page` (no items, though `next` goes on), `unstable_total`, `repeated` (the first item
  once more at the end), `loop` (`next` is the page itself), `null_entries` (a null in every list of items,
  artists and images), `null_albums` (entries of albums?ids= become null);
- on the listing: `null_listing` (`albums` is null), `null_items` (its items are), `no_ids` (its albums have none),
  `empty_of_many` (no items, though `total` stays), `no_albums` (no items, and says so);
- on the albums of the answer: `release_date` (`value`, by default "0000"; precision "year"), `takedown`
  (empty name), `gone` (404, or null in albums?ids=), `relinked` (answers with another id), `short` (the last track
  is not given, though `total` counts it);
- on fields: `null_fields` and `missing_fields` (`fields` of every object whose type is `of`), `odd_fields` (they
  become `odd`), `floats` (numbers of tracks are spelt 1.0).

Not here: what an effect does to an answer (`alterations`), and HTTP. `app` turns a fault into bytes.
"""

import random
import re
from collections.abc import Sequence
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
    "too_large",
    "null_listing",
    "null_items",
    "no_ids",
    "empty_of_many",
    "no_albums",
    "gone",
    "relinked",
    "short",
    "odd_fields",
    "floats",
]

INSTEAD: Final = frozenset({"status", "reset", "truncated", "non_json", "too_large"})
"""Effects that decide what is sent; only the first of them in a call acts."""
_WHEREVER_LISTED: Final = frozenset({"release_date", "takedown"})
"""Effects whose `album` is looked for in every answer, since an album must be the same wherever it is listed."""
_BY_ALBUM: Final = _WHEREVER_LISTED | {"null_albums", "gone", "relinked", "short"}
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
    odd: Any = None
    """Any JSON, for `odd_fields`."""
    most: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.effect == "status" and self.status is None:
            raise ValueError("the effect status needs a status, such as 503")
        if self.effect == "too_large" and self.most is None:
            raise ValueError("the effect too_large needs most, such as 20")
        if self.effect in {"null_fields", "missing_fields", "odd_fields"} and not self.fields:
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
    limit: int = 0
    """Entries that a page is asked to have; 0 where the call does not say."""


@dataclass(frozen=True, slots=True)
class Fault:
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

    def faults_of(self, call: Call, now: datetime) -> list[Fault]:
        """The rules that act on a call, in the order in which they were given. Counts the call."""
        faults: list[Fault] = []
        answered = False
        for entry in self._entries:
            instead = entry.rule.effect in INSTEAD
            # Every rule meets the call, for `nth`; a second answer has nothing to act on and keeps its `times`.
            if entry.meets(call, now) and not (instead and answered):
                faults.append(entry.act(now))
                answered = answered or instead
        return faults

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

    def act(self, now: datetime) -> Fault:
        """Act on the call that was just met."""
        if self.rule.lasts is not None and self._ends is None:
            self._ends = now + timedelta(seconds=self.rule.lasts)
        self.acted += 1
        return Fault(self.rule, self.acted, self._key, self._ends)

    def _lucky(self) -> bool:
        if self.rule.effect in _BY_ALBUM:
            return True
        return drawn(f"{self._key}/{self.met}", self.rule.probability)


def _selects(rule: Rule, call: Call) -> bool:
    on_call = rule.album is None or rule.effect in _WHEREVER_LISTED or rule.album in call.albums
    if rule.effect == "null_albums" and not call.albums:
        return False
    if rule.effect == "too_large" and call.limit <= (rule.most or 0):
        return False
    return on_call and rule.market in {None, call.market} and re.search(rule.path, call.path) is not None


def drawn(key: str, probability: float) -> bool:
    """Whether chance hits; the same for the same key."""
    return random.Random(key).random() < probability
