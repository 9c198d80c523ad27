"""Dead letters: which there are, and sending them again, each to the one subscription that had given it up.

Everything is read from the records that the batch trigger makes; no message is consumed. A plan is a pure function of
the records and can be shown before anything happens; carrying it out takes the plan and nothing else. Records are
never deleted: what was done is written into them.

A redriven message goes to the topic of its subscription with the attribute `redrive_to`, which the topic's other
subscriptions acknowledge unread, and with `redrives`, which counts and bounds the rounds.
"""

import base64
import binascii
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from contracts.documents import DeadLetter
from contracts.documents import Redrive as Mark
from contracts.envelope.dead_letters import DEAD_LETTER_SOURCE, REDRIVE_TO, REDRIVES
from contracts.envelope.messages import Message
from contracts.events import MarketRequested
from contracts.wording import cut, shown
from eventing.ledger import RunLedger

MOST_REDRIVES: Final = 3
"""A message that came back so often will come back again; only force sends it once more."""


class Topics(Protocol):
    """Where messages are sent as they are."""

    async def forward(self, topic: str, message: Message) -> None:
        """Publish a message unchanged.

        Raises:
            Retryable: it was not accepted; sending it again is safe, every consumer being idempotent.
        """
        ...


# --- looking ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant; what is None does not matter."""

    message_ids: Collection[str] | None = None
    subscription: str | None = None
    reason: str | None = None
    """Part of the reason, in any case."""
    run_id: str | None = None
    market: str | None = None
    event: str | None = None
    """Kind of event, such as `MarketRequested`."""
    older_than: timedelta | None = None
    """Dead-lettered at least so long ago."""
    younger_than: timedelta | None = None
    waiting_only: bool = False
    """Only those that were not redriven yet."""

    def matches(self, letter: DeadLetter, now: datetime) -> bool:
        """Whether a dead letter is meant."""
        age = now - ended_at(letter)
        exact = (
            (self.subscription, letter.subscription),
            (self.run_id, letter.run_id),
            (self.market, letter.market),
            (self.event, letter.event),
        )
        return (
            all(wanted in (None, found) for wanted, found in exact)
            and (self.message_ids is None or letter.message_id in self.message_ids)
            and (self.reason is None or self.reason.lower() in letter.reason.lower())
            and (self.older_than is None or age >= self.older_than)
            and (self.younger_than is None or age <= self.younger_than)
            and not (self.waiting_only and letter.redriven)
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one subscription that ended for one reason."""

    subscription: str
    reason: str
    letters: tuple[DeadLetter, ...]
    """Oldest first."""

    @property
    def waiting(self) -> int:
        """How many were not redriven yet."""
        return sum(not letter.redriven for letter in self.letters)


def ended_at(letter: DeadLetter) -> datetime:
    """When Pub/Sub gave the message up, or when that was recorded where it does not tell."""
    return letter.dead_lettered_at or letter.recorded_at


def select(letters: Iterable[DeadLetter], wanted: Filter, now: datetime) -> tuple[DeadLetter, ...]:
    """The dead letters that are meant, oldest first."""
    found = [letter for letter in letters if wanted.matches(letter, now)]
    return tuple(sorted(found, key=lambda letter: (ended_at(letter), letter.subscription, letter.message_id)))


def grouped(letters: Iterable[DeadLetter]) -> tuple[Group, ...]:
    """By subscription and reason, largest group first."""
    groups: dict[tuple[str, str], list[DeadLetter]] = {}
    for letter in sorted(letters, key=ended_at):
        groups.setdefault((letter.subscription, letter.reason), []).append(letter)
    made = [Group(*key, tuple(found)) for key, found in groups.items()]
    return tuple(sorted(made, key=lambda group: (-len(group.letters), group.subscription, group.reason)))


def decoded(letter: DeadLetter) -> bytes | None:
    """The message's data, or None where it is not base64."""
    try:
        return base64.b64decode(letter.data, validate=True)
    except (binascii.Error, ValueError):
        return None


def topics_of(topology: Path) -> dict[str, str]:
    """The topic of each push subscription of `infra/topology.json`.

    Raises:
        OSError: the file is not there.
        ValueError: it is not the topology.
    """
    try:
        described = json.loads(topology.read_text(encoding="utf-8"))
        return {entry["name"]: entry["topic"] for entry in described["push_subscriptions"]}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{topology} does not describe push subscriptions ({cut(repr(error), 300)}); give the topology"
        ) from None


# --- planning --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redrive:
    """Send this message to that topic, for its subscription alone."""

    letter: DeadLetter
    topic: str
    message: Message

    @property
    def asks_for(self) -> tuple[str, str] | None:
        """Run and market whose record of being given up is removed first; None where it is another kind."""
        is_request = self.letter.event == MarketRequested.__name__
        run_id, market = self.letter.run_id, self.letter.market
        return (run_id, market) if is_request and run_id and market else None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Leave this one alone."""

    letter: DeadLetter
    why: str


Action = Redrive | Refuse


def plan(
    letters: Iterable[DeadLetter], topics: Mapping[str, str], *, force: bool = False, limit: int = MOST_REDRIVES
) -> tuple[Action, ...]:
    """What redriving these dead letters does, one action for each, in their order.

    Args:
        letters: Those that are meant (`select`).
        topics: The topic of each push subscription (`topics_of`).
        force: Send also what was redriven already, or came back `limit` times.
        limit: How often a message may be redriven.
    """
    return tuple(_action(letter, topics, force=force, limit=limit) for letter in letters)


def _action(letter: DeadLetter, topics: Mapping[str, str], *, force: bool, limit: int) -> Action:
    topic, data = topics.get(letter.subscription), decoded(letter)
    if topic is None:
        return Refuse(
            letter, f"{shown(letter.subscription)} is no push subscription of the topology; publish it by hand"
        )
    if data is None:
        return Refuse(letter, "its data is not base64; it cannot have been a message")
    if letter.redriven and not force:
        last = letter.redriven[-1]
        return Refuse(letter, f"was redriven at {last.at:%Y-%m-%d %H:%M} by {last.by}; force sends it again")
    if letter.redrives >= limit and not force:
        return Refuse(letter, f"came back {letter.redrives} times; mend the cause, then force it")
    return Redrive(letter, topic, _message(letter, data))


def _message(letter: DeadLetter, data: bytes) -> Message:
    """The message as it was published first, with whom it is for now."""
    own = {name: text for name, text in letter.attributes.items() if not name.startswith(DEAD_LETTER_SOURCE)}
    return Message(data, {**own, REDRIVE_TO: letter.subscription, REDRIVES: str(letter.redrives + 1)})


# --- acting ----------------------------------------------------------------------------------------------------


async def carry_out(
    actions: Iterable[Action], ledger: RunLedger, topics: Topics, *, mark: Mark
) -> tuple[DeadLetter, ...]:
    """Send what the plan says, one after the other, and write `mark` into each record; gives the new records.

    A market's record of being given up goes first, so that its run waits for it again; the mark comes last, so that a
    message that was not accepted is not taken for sent.

    Raises:
        Retryable: bucket or Pub/Sub failed; what was done so far is marked, and the same plan may be made anew.
    """
    return tuple([await _send(action, ledger, topics, mark) for action in actions if isinstance(action, Redrive)])


async def _send(action: Redrive, ledger: RunLedger, topics: Topics, mark: Mark) -> DeadLetter:
    if action.asks_for is not None:
        await ledger.clear_dead_letter(*action.asks_for)
    await topics.forward(action.topic, action.message)
    # Read again: another operator may have written into it since the plan was made.
    letter = await ledger.letter(action.letter.subscription, action.letter.message_id) or action.letter
    marked = letter.model_copy(update={"redriven": (*letter.redriven, mark)})
    await ledger.replace_letter(marked)
    return marked
