"""The operator's dead letters: looking, planning and redriving, each to its own subscription alone."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import names, topology
from contracts.documents import DeadLetter, GivenUpMarket, Redrive
from contracts.envelope import reading
from contracts.envelope.dead_letters import DEAD_LETTER_SOURCE
from contracts.envelope.messages import Message, Origin, to_message
from contracts.envelope.push import PUBSUB_PUBLISHED
from contracts.events import DeadLettered, MarketRequested, RedrivenElsewhere, SweepRequested
from eventing.app import Service, settle
from eventing.errors import Retryable
from eventing.ledger import RunLedger
from ops import dead_letters
from ops.dead_letters import Filter, carry_out, grouped, plan, select
from services.batch_trigger.dead_letters import dead_letter_of
from tests.builders import NOW, RUN
from tests.fakes.objects import MemoryObjectStore

TOPOLOGY = Path(__file__).parents[2] / "infra/topology.json"
TOPICS = {push.name: push.topic for push in topology.read(TOPOLOGY).push_subscriptions}
SWEEPERS = ("scheduler-sweep-requested", "batch-trigger-sweep-requested", "cluster-manager-sweep-requested")
MARK = Redrive(at=NOW, by="anna", reason="mended")
HOUR = timedelta(hours=1)


def push(message: Message, subscription: str, *, message_id: str = "1", **more: Any) -> bytes:
    """The body of a push, as Pub/Sub sends it."""
    pushed = {
        "data": base64.b64encode(message.data).decode(),
        "attributes": message.attributes,
        "messageId": message_id,
        "publishTime": NOW.isoformat(),
    }
    return json.dumps(
        {"message": pushed, "subscription": f"projects/p/subscriptions/{subscription}", **more}
    ).encode()


def parse(message: Message, subscription: str) -> Any:
    return reading.parse({}, push(message, subscription)).event


def died(message: Message, subscription: str, count: int = 5) -> Message:
    """What Pub/Sub publishes on the dead-letter topic."""
    told = {
        "Subscription": subscription,
        "DeliveryCount": str(count),
        "TopicPublishTime": "2026-11-22T22:00:00.5Z",
    }
    named = {f"{DEAD_LETTER_SOURCE}{name}": text for name, text in told.items()}
    return Message(message.data, message.attributes | named)


def letter(message: Message, whose: str, /, **known: Any) -> DeadLetter:
    """The record of a message that a subscription gave up."""
    found = dead_letter_of(parse(died(message, whose), f"batch-trigger-{TOPICS[whose]}-dead"), NOW)
    return found.model_copy(update=known)


SWEEP = to_message(SweepRequested(), Origin("test", "cause", NOW))
MARKET = to_message(MarketRequested(run_id=RUN, market="NO"), Origin("test", "cause", NOW))


class Sent:
    """Topics that remember."""

    def __init__(self, *, fails: bool = False) -> None:
        self.messages: list[tuple[str, Message]] = []
        self._fails = fails

    async def forward(self, topic: str, message: Message) -> None:
        if self._fails:
            raise Retryable("no")
        self.messages.append((topic, message))


# --- looking ---------------------------------------------------------------------------------------------------


def test_the_record_tells_whose_message_it_was_and_since_when() -> None:
    """The dead-letter topic is shared by three subscriptions; the attributes of Pub/Sub tell them apart."""
    found = [letter(SWEEP, subscription) for subscription in SWEEPERS]
    assert tuple(one.subscription for one in found) == SWEEPERS
    assert {one.delivery_count for one in found} == {5}
    assert found[0].published_at is not None
    assert found[0].published_at.isoformat() == "2026-11-22T22:00:00.500000+00:00"


FORGED = ["", "x" * 2000, "-1", "1e3", "٣", "9" * 400, "2026-13-01T00:00:00Z", "0", "../../x", "\x00"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(
            [
                f"{DEAD_LETTER_SOURCE}{end}"
                for end in ("Subscription", "DeliveryCount", "TopicPublishTime", "SubscriptionProject")
            ]
            + ["redrives", "redrive_to"]
        ),
        st.sampled_from(FORGED) | st.text("a1Å٣/.%\n\x00 -_", max_size=20),
    ),
    st.binary(max_size=60),
)
def test_whatever_comes_on_a_dead_letter_subscription_can_be_recorded(told: dict[str, str], data: bytes) -> None:
    """Who may publish may write anything into attributes; a dead letter that is refused would be lost in the end."""
    event = parse(Message(data, told), "batch-trigger-sweep-requested-dead")
    assert isinstance(event, DeadLettered)
    record = dead_letter_of(event, NOW)
    assert record.attributes == told
    assert base64.b64decode(record.data) == data
    assert record == DeadLetter.model_validate_json(record.to_json())
    folder, name = names.dead_letter_name(record.subscription, record.message_id).rsplit("/", 1)
    assert folder in (f"dead-letters/{record.subscription}", "dead-letters/unknown")
    assert name == "1.json"


def test_a_letter_in_a_letter_is_recorded_as_what_it_is() -> None:
    """Eventarc's wrapping of a dead letter of a dead letter is a message, too, and must not be lost."""
    inner = json.loads(push(died(SWEEP, SWEEPERS[0]), "x-dead"))
    context = {"id": "1", "source": "s", "specversion": "1.0", "type": PUBSUB_PUBLISHED}
    wrapped = Message(json.dumps(inner).encode(), {f"ce-{name}": text for name, text in context.items()})
    event = parse(died(wrapped, SWEEPERS[0]), "batch-trigger-sweep-requested-dead")
    assert (
        dead_letter_of(event, NOW).reason
        == "unreadable: message: wraps another dead letter; publish the message itself"
    )


def test_a_letter_without_pubsubs_attributes_is_of_nobody_known() -> None:
    """The emulator and the cloud add them; by hand one may publish without."""
    event = parse(SWEEP, "batch-trigger-sweep-requested-dead")
    assert isinstance(event, DeadLettered)
    assert event.subscription == names.UNKNOWN_SUBSCRIPTION
    assert event.original == SweepRequested()


def test_letters_are_chosen_by_everything_that_is_known_of_them() -> None:
    """Each condition narrows the choice; together they must all hold."""
    old = letter(MARKET, "market-fetcher-market-requested", message_id="1", dead_lettered_at=NOW - 5 * HOUR)
    new = letter(SWEEP, SWEEPERS[0], message_id="2", redriven=(MARK,))
    both = (new, old)

    def chosen(**wanted: Any) -> tuple[str, ...]:
        return tuple(one.message_id for one in select(both, Filter(**wanted), NOW))

    assert chosen() == ("1", "2")
    assert chosen(subscription=SWEEPERS[0]) == ("2",)
    assert chosen(run_id=RUN) == chosen(market="NO") == chosen(run_id=RUN, market="NO") == ("1",)
    assert chosen(younger_than=HOUR) == ("2",)
    assert chosen(reason="READABLE") == ("1", "2")
    assert chosen(reason="too large") == chosen(run_id=RUN, subscription=SWEEPERS[0]) == ()


def test_letters_are_grouped_by_subscription_and_reason() -> None:
    """A thousand letters of one cause are one line."""
    made = [letter(SWEEP, SWEEPERS[n % 2], message_id=str(n)) for n in range(3)]
    unreadable = letter(Message(b"?", {}), SWEEPERS[0], message_id="9", redriven=(MARK,))
    groups = grouped([*made, unreadable])
    assert [(one.subscription, len(one.dead_letters), one.waiting) for one in groups] == [
        (SWEEPERS[0], 2, 2),
        (SWEEPERS[1], 1, 1),
        (SWEEPERS[0], 1, 0),
    ]
    assert groups[2].reason.startswith("unreadable: message.data")


# --- planning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subscription", [name for name in TOPICS if not name.endswith("-dead")])
def test_a_redrive_goes_to_the_one_subscription_it_came_from(subscription: str) -> None:
    """The topic is its own, and whoever else is subscribed to that acknowledges the message unread."""
    [action] = plan([letter(SWEEP, subscription)], TOPICS)
    assert isinstance(action, dead_letters.Redrive)
    assert action.topic == TOPICS[subscription]
    receivers = [name for name, topic in TOPICS.items() if topic == action.topic]
    read = {name for name in receivers if parse(action.message, name) == SweepRequested()}
    assert read == {subscription}
    assert all(
        isinstance(parse(action.message, name), RedrivenElsewhere) for name in receivers if name not in read
    )


def test_a_redriven_message_is_the_message_as_it_was() -> None:
    """Its id, time and trace stay; Pub/Sub's account of its end is not sent along."""
    [action] = plan([letter(SWEEP, SWEEPERS[0])], TOPICS)
    assert isinstance(action, dead_letters.Redrive)
    assert action.message.data == SWEEP.data
    assert action.message.attributes == SWEEP.attributes | {"redrive_to": SWEEPERS[0], "redrives": "1"}


def test_a_message_that_dies_again_is_a_letter_again_and_counted() -> None:
    """The recorder must not take it for somebody else's, though it carries another's name."""
    message, rounds = SWEEP, []
    for _ in range(5):
        [action] = plan([letter(message, SWEEPERS[2])], TOPICS)
        if isinstance(action, dead_letters.Refuse):
            rounds.append(action.why)
            break
        message = action.message
        rounds.append(message.attributes["redrives"])
    assert rounds == ["1", "2", "3", "came back 3 times; mend the cause, then force it"]
    [forced] = plan([letter(message, SWEEPERS[2])], TOPICS, force=True)
    assert isinstance(forced, dead_letters.Redrive)
    assert forced.message.attributes["redrives"] == "4"


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"redriven": (MARK,)}, "was redriven at 2026-11-22 23:05 by anna; force sends it again"),
        ({"subscription": "unknown"}, "'unknown' is no push subscription of the topology; publish it by hand"),
        ({"data": "not base64!"}, "its data is not base64; it cannot have been a message"),
    ],
)
def test_what_is_not_redriven_is_told_why(known: dict[str, Any], why: str) -> None:
    """A plan has one action for each letter, and none is left out in silence."""
    [action] = plan([letter(SWEEP, SWEEPERS[0], **known)], TOPICS)
    assert isinstance(action, dead_letters.Refuse)
    assert action.why == why


# --- acting ----------------------------------------------------------------------------------------------------


async def test_a_redriven_market_is_waited_for_again() -> None:
    """Its record of being given up goes, the message is sent, and the letter keeps who did it and why."""
    ledger, sent = RunLedger(MemoryObjectStore()), Sent()
    found = letter(MARKET, "market-fetcher-market-requested")
    await ledger.create_dead_letter(found)
    for market in ("NO", "SE"):
        given_up = GivenUpMarket(
            run_id=RUN, market=market, reason="x", subscription="s", message_id="1", recorded_at=NOW
        )
        await ledger.record_given_up(given_up)
    await carry_out(plan([found], TOPICS), ledger, sent, mark=MARK)
    assert (await ledger.index(RUN)).given_up == ("SE",)
    [(topic, message)] = sent.messages
    assert topic == "market-requested"
    assert parse(message, "market-fetcher-market-requested") == MarketRequested(run_id=RUN, market="NO")
    assert await ledger.dead_letters() == [found.model_copy(update={"redriven": (MARK,)})]


async def test_what_was_not_sent_is_not_marked() -> None:
    """A letter that is marked without having been sent would never be sent."""
    ledger = RunLedger(MemoryObjectStore())
    found = letter(SWEEP, SWEEPERS[0])
    await ledger.create_dead_letter(found)
    with pytest.raises(Retryable):
        await carry_out(plan([found], TOPICS), ledger, Sent(fails=True), mark=MARK)
    assert (await ledger.dead_letters()) == [found]


async def test_the_marks_of_two_operators_stand_side_by_side() -> None:
    """The record is read again before it is written: the other's mark is not lost."""
    ledger, sent = RunLedger(MemoryObjectStore()), Sent()
    found = letter(SWEEP, SWEEPERS[0])
    await ledger.create_dead_letter(found)
    both = [plan([found], TOPICS), plan([found], TOPICS)]
    other = MARK.model_copy(update={"by": "bo"})
    for actions, mark in zip(both, (MARK, other), strict=True):
        await carry_out(actions, ledger, sent, mark=mark)
    [kept] = await ledger.dead_letters()
    assert [mark.by for mark in kept.redriven] == ["anna", "bo"]


async def test_a_plan_alone_does_nothing_and_refusals_stay_undone() -> None:
    """A dry run is the plan that is not carried out."""
    ledger, sent = RunLedger(MemoryObjectStore()), Sent()
    refused = letter(SWEEP, SWEEPERS[0], redrives=3)
    await ledger.create_dead_letter(refused)
    await carry_out(plan([refused], TOPICS), ledger, sent, mark=MARK)
    assert await ledger.dead_letters() == [refused]
    assert sent.messages == []


async def test_a_service_acknowledges_what_is_redriven_to_another(caplog: pytest.LogCaptureFixture) -> None:
    """Also what it could not have read: a poison message of one subscriber must not die at the others again."""
    poison = Message(b"\xff", {"redrive_to": SWEEPERS[0]})
    acted: list[object] = []

    async def act(delivery: Any) -> None:
        acted.append(delivery)

    caplog.set_level("INFO")
    service = Service("cluster_manager", {SweepRequested: act})
    for message in (poison, replace_attributes(SWEEP, redrive_to=SWEEPERS[0])):
        delivery = reading.parse({}, push(message, SWEEPERS[2]))
        assert (await settle(service, delivery)).status == 204
    assert acted == []
    assert "redriven_elsewhere" in caplog.text
    mine = reading.parse({}, push(replace_attributes(SWEEP, redrive_to=SWEEPERS[2]), SWEEPERS[2]))
    assert (await settle(service, mine)).status == 204
    assert len(acted) == 1


def replace_attributes(message: Message, **more: str) -> Message:
    return Message(message.data, message.attributes | more)
