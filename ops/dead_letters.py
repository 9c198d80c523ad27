"""Dead letters: which there are, and sending them again, each only to the subscription that gave it up.

Everything is read from the records that the batch trigger writes; no message is consumed. A plan is a pure function of
the records and can be shown before anything happens; carrying it out does what it says and nothing else. Records are
never deleted: what was done is written into them.

A redriven message goes to its subscription's topic. Its attribute `redrive_to` makes the topic's other subscriptions
acknowledge it unread; `redrives` counts the rounds and limits them.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from contracts.documents import DeadLetter
from contracts.documents import Redrive as Mark
from contracts.envelope.dead_letters import DEAD_LETTER_SOURCE, REDRIVE_TO, REDRIVES
from contracts.envelope.messages import Message
from contracts.events import MarketRequested
from contracts.wording import shown
from eventing.ledger import RunLedger

MOST_REDRIVES: Final = 3
"""A message that has come back this often is only sent again by force."""


class Topics(Protocol):
    """Publishes messages as they are."""

    async def forward(self, topic: str, message: Message) -> None:
        """Publish a message unchanged.

        Raises:
            Retryable: it was not accepted; sending it again is safe, every consumer being idempotent.
        """
        ...


# --- looking ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant; None matches all."""

    subscription: str | None = None
    reason: str | None = None
    """Part of the reason; upper and lower case are the same."""
    run_id: str | None = None
    market: str | None = None
    younger_than: timedelta | None = None
    """Dead-lettered at most this long ago."""

    def matches(self, dead_letter: DeadLetter, now: datetime) -> bool:
        """Whether a dead letter is meant."""
        exact = (
            (self.subscription, dead_letter.subscription),
            (self.run_id, dead_letter.run_id),
            (self.market, dead_letter.market),
        )
        return (
            all(wanted in (None, found) for wanted, found in exact)
            and (self.reason is None or self.reason.lower() in dead_letter.reason.lower())
            and (self.younger_than is None or now - ended_at(dead_letter) <= self.younger_than)
        )


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of one subscription with the same reason."""

    subscription: str
    reason: str
    dead_letters: tuple[DeadLetter, ...]
    """Oldest first."""

    @property
    def waiting(self) -> int:
        """How many were never redriven."""
        return sum(not dead_letter.redriven for dead_letter in self.dead_letters)


def ended_at(dead_letter: DeadLetter) -> datetime:
    """When Pub/Sub gave the message up; when that was recorded, if Pub/Sub does not say."""
    return dead_letter.dead_lettered_at or dead_letter.recorded_at


def select(dead_letters: Iterable[DeadLetter], wanted: Filter, now: datetime) -> tuple[DeadLetter, ...]:
    """The dead letters that are meant, oldest first."""
    found = [dead_letter for dead_letter in dead_letters if wanted.matches(dead_letter, now)]
    return tuple(sorted(found, key=lambda one: (ended_at(one), one.subscription, one.message_id)))


def grouped(dead_letters: Iterable[DeadLetter]) -> tuple[DeadLetterGroup, ...]:
    """By subscription and reason, largest group first."""
    groups: dict[tuple[str, str], list[DeadLetter]] = {}
    for dead_letter in sorted(dead_letters, key=ended_at):
        groups.setdefault((dead_letter.subscription, dead_letter.reason), []).append(dead_letter)
    made = [DeadLetterGroup(*key, tuple(found)) for key, found in groups.items()]
    return tuple(sorted(made, key=lambda group: (-len(group.dead_letters), group.subscription, group.reason)))


def decoded(dead_letter: DeadLetter) -> bytes | None:
    """The message's data, or None where it is not base64."""
    try:
        return base64.b64decode(dead_letter.data, validate=True)
    except (binascii.Error, ValueError):
        return None


# --- planning --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redrive:
    """Send this message to that topic, for its subscription alone."""

    dead_letter: DeadLetter
    topic: str
    message: Message

    @property
    def asks_for(self) -> tuple[str, str] | None:
        """Run and market whose record of being given up is removed first; None for other events."""
        is_request = self.dead_letter.event == MarketRequested.__name__
        run_id, market = self.dead_letter.run_id, self.dead_letter.market
        return (run_id, market) if is_request and run_id and market else None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Leave this one alone."""

    dead_letter: DeadLetter
    why: str


Action = Redrive | Refuse


def plan(
    dead_letters: Iterable[DeadLetter], topics: Mapping[str, str], *, force: bool = False
) -> tuple[Action, ...]:
    """What redriving these dead letters would do: one action for each, in their order.

    Args:
        dead_letters: Those that are meant (`select`).
        topics: The topic of each push subscription.
        force: Also send what was redriven before, or came back `MOST_REDRIVES` times.
    """
    return tuple(_action(dead_letter, topics, force=force) for dead_letter in dead_letters)


def _action(dead_letter: DeadLetter, topics: Mapping[str, str], *, force: bool) -> Action:
    topic, data = topics.get(dead_letter.subscription), decoded(dead_letter)
    if topic is None:
        why = f"{shown(dead_letter.subscription)} is no push subscription of the topology; publish it by hand"
        return Refuse(dead_letter, why)
    if data is None:
        return Refuse(dead_letter, "its data is not base64; it cannot have been a message")
    if dead_letter.redriven and not force:
        last = dead_letter.redriven[-1]
        return Refuse(dead_letter, f"was redriven at {last.at:%Y-%m-%d %H:%M} by {last.by}; force sends it again")
    if dead_letter.redrives >= MOST_REDRIVES and not force:
        return Refuse(dead_letter, f"came back {dead_letter.redrives} times; mend the cause, then force it")
    return Redrive(dead_letter, topic, _message(dead_letter, data))


def _message(dead_letter: DeadLetter, data: bytes) -> Message:
    """The message as it was first published, and the subscription that it is now for."""
    own = {name: text for name, text in dead_letter.attributes.items() if not name.startswith(DEAD_LETTER_SOURCE)}
    return Message(data, {**own, REDRIVE_TO: dead_letter.subscription, REDRIVES: str(dead_letter.redrives + 1)})


# --- acting ----------------------------------------------------------------------------------------------------


async def carry_out(actions: Iterable[Action], ledger: RunLedger, topics: Topics, *, mark: Mark) -> None:
    """Send what the plan says, one after the other, and write `mark` into each record.

    A market's record of being given up is removed first, so that its run waits for it again; the mark is written last,
    so that a message that was not accepted does not count as sent.

    Raises:
        Retryable: bucket or Pub/Sub failed; what was sent is marked, and making and carrying out a new plan is safe.
    """
    for action in actions:
        if isinstance(action, Redrive):
            await _send(action, ledger, topics, mark)


async def _send(action: Redrive, ledger: RunLedger, topics: Topics, mark: Mark) -> None:
    if action.asks_for is not None:
        await ledger.clear_given_up(*action.asks_for)
    await topics.forward(action.topic, action.message)
    # Read again: another operator may have marked it since the plan was made.
    planned = action.dead_letter
    dead_letter = await ledger.dead_letter(planned.subscription, planned.message_id) or planned
    await ledger.replace_dead_letter(dead_letter.model_copy(update={"redriven": (*dead_letter.redriven, mark)}))
