"""Storms of faults by seed: whatever was injected, the thirteen invariants hold and an end comes."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from tests.builders import RUN
from tests.registry import TOPOLOGY
from tests.simulation.__main__ import Totals
from tests.simulation.chance import MOST, Chance, Fate
from tests.simulation.hands import HARMS, Harm
from tests.simulation.world import Case, Outcome, simulate

BATCHES, IN_A_BATCH = 4, 8
SWEEPS_TO_SETTLE = 24
"""Within so many sweeps after the last fault, or the deadline where one is needed, everything is settled."""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_invariants_hold_in_every_storm(batch: int) -> None:
    """Never lost, never doubled, never left running; a failure shows its seed and its history."""
    totals = Totals()
    for seed in range(batch * IN_A_BATCH + 1, (batch + 1) * IN_A_BATCH + 1):
        outcome = simulate(str(seed))
        assert not outcome.broken, outcome.story()
        assert outcome.settled_after <= SWEEPS_TO_SETTLE * 600, outcome.story()
        totals.add(outcome)
    print(totals.report(0))


def test_a_seed_tells_the_same_story_twice() -> None:
    """A failure that cannot be repeated cannot be mended."""
    first, second = simulate("17"), simulate("17")
    assert first.history == second.history
    assert first.ends == second.ends


def test_a_failure_tells_how_to_repeat_it() -> None:
    """Whoever sees a seed fail in a log somewhere needs one command to see it fail here."""
    outcome = simulate("quiet", case=Case(sweeps=False), chance=Chance.none())
    told = replace(outcome, seed="17", broken=["a promise"]).story()
    assert (
        "seed 17: a promise\nrepeat it with: .venv/bin/python -m tests.simulation --start 17 --seeds 1\n" in told
    )
    assert "repeat it" not in outcome.story()


def test_a_quiet_run_needs_no_sweep() -> None:
    """Sweeps repair what events lost; a run in which nothing is lost must not wait for one."""
    outcome = simulate("quiet", case=Case(sweeps=False), chance=Chance.none())
    assert not outcome.broken, outcome.story()
    assert [end for end, _ in outcome.ends.values()] == ["loaded"]


def test_poison_on_every_topic_ends_on_record_and_dies_again_when_it_is_redriven() -> None:
    """Every subscription gives up what it cannot read; the letters tell whose, whole, and rounds are counted."""
    case = Case(attempts=3, storm=4 * 3600, poison=60, redrives=(3 * 3600,))
    outcome = simulate("poison", case=case, chance=Chance.none())
    assert not outcome.broken, outcome.story()
    assert [end for end, _ in outcome.ends.values()] == ["loaded"]
    redriven = [line for _, line in outcome.history if line.startswith("operator redrives")]
    ordinary = [push for push in TOPOLOGY.push_subscriptions if not push.topic.endswith("-dead")]
    assert redriven == [f"operator redrives {len(ordinary)} dead letters"]
    died = Counter(line.split()[-1] for _, line in outcome.history if " dead-lettered by " in line)
    assert set(died.values()) == {2}
    assert len(died) == len(ordinary)


def test_a_failed_run_that_is_reopened_closes_again() -> None:
    """The market is asked for once more; it is still unknown to Spotify, and the order comes to its end."""
    case = Case(unknown="NO", attempts=3, reopens=(9 * 3600,))
    outcome = simulate("reopened", case=case, chance=Chance.none())
    assert not outcome.broken, outcome.story()
    decided = [line for _, line in outcome.history if "create runs/2026-11-23/decisions/" in line]
    assert len(decided) == 2, outcome.story()


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize(
    "at", [1.5, 100, 900], ids=["before it is decided", "before it is read", "once it is loaded"]
)
def test_a_part_that_is_spoilt_by_hand_comes_again(how: Harm, at: float) -> None:
    """Whenever it happens, and at whatever share the policy has: in the end the table is that of a quiet run."""
    for share in (0.5, 0.9):
        case = Case(storm=1800, share=share, harms=((at, "SE", how),), log_replayed=False)
        outcome = simulate("spoilt", case=case, chance=Chance.none())
        assert not outcome.broken, outcome.story()
        assert outcome.injected[f"part {how}"] == 1, outcome.story()
        (end,) = outcome.ends.values()
        assert (end[0], len(end[1])) == ("loaded", 18), outcome.story()


def test_a_trial_before_the_tick_takes_the_week_from_nobody() -> None:
    """The market that was tried is loaded, then all of them: two loads, and the end of a run without a trial."""
    whole, tried = (
        simulate("trial", case=Case(storm=3600, trial=at), chance=Chance.none()) for at in (None, 1200.0)
    )
    assert not tried.broken, tried.story()
    assert tried.ends == whole.ends
    decided = [line for _, line in tried.history if f"create runs/{RUN}/decisions/" in line]
    assert len(decided) == 2, tried.story()


def test_what_nobody_can_read_in_one_run_delays_no_other() -> None:
    """Beside a run that is nothing but litter, and among strangers, a run comes to the same end at the same moment."""
    clean, littered = (
        simulate("litter", case=Case(storm=1800, litter=at), chance=Chance.none()) for at in (None, 0.0)
    )
    assert not littered.broken, littered.story()
    assert littered.ends == clean.ends
    receipts = [
        [at for at, line in one.history if f"create runs/{RUN}/receipts/0001.json" in line]
        for one in (clean, littered)
    ]
    assert receipts[0] == pytest.approx(receipts[1], abs=1), "virtual seconds"


def test_a_year_of_runs_costs_nothing_once_their_raw_objects_are_gone() -> None:
    """Raw objects live 90 days: neither on the day they go nor ever after is anything asked, read or loaded."""
    outcome = simulate("year", case=Case.season(52), chance=Chance.none())
    assert not outcome.broken, outcome.story()
    assert [end for end, _ in outcome.ends.values()] == ["loaded"] * 52
    assert outcome.injected["part at the end of its life"] > 3 * 38
    decided = [line for _, line in outcome.history if "/decisions/" in line]
    assert len(decided) == 52


SHORT = Case(storm=600, log_replayed=False)
AN_HOUR = 3600.0


def calls(outcome: Outcome, what: str) -> int:
    """How often the services made calls of which the name begins so."""
    return sum(count for call, count in outcome.calls.items() if call.startswith(what))


def test_an_hour_of_short_quota_costs_few_creations_and_ends_with_the_load() -> None:
    """A refusal is on record and comes back as an audit entry: taken for news it once made thousands of creations."""
    short, plenty = (
        simulate("quota", case=replace(SHORT, no_quota=seconds), chance=Chance.none()) for seconds in (AN_HOUR, 0)
    )
    assert not short.broken, short.story()
    assert [end for end, _ in short.ends.values()] == ["loaded"]
    created = calls(short, "cluster_manager: create cluster")
    assert 5 <= created <= 10, short.story()
    # Each of seven sweeps is pushed to two services and tells of the decision again; each refusal leaves an entry.
    assert short.pushes - plenty.pushes <= 7 * 4 + created, short.story()


def test_the_audit_entry_of_a_refusal_and_those_of_others_cost_no_look_at_dataproc() -> None:
    """Whoever looks at each entry is asked by everybody's clusters, and by his own refusals."""
    case = replace(SHORT, no_quota=AN_HOUR, storm=2 * AN_HOUR)
    noisy, silent = (
        simulate("noise", case=case, chance=Chance("noise", rates, quiet=True))
        for rates in ({"audit entries of others": 1.0}, {"audit entry lost": 1.0})
    )
    assert not noisy.broken, noisy.story()
    assert noisy.injected["audit entries of others"] > 0
    looks = calls(noisy, "cluster_manager: list clusters") - calls(silent, "cluster_manager: list clusters")
    # The ends of one creation and one deletion are worth a look each, and of the job's.
    assert looks <= 3, noisy.story()


def sold_out() -> Chance:
    """No zone has a machine while there are faults."""
    return Chance("sold out", {"zone out of machines": 1.0}, quiet=True)


def test_zones_without_machines_are_outlasted() -> None:
    """A stockout comes minutes after the cluster was accepted; three of them used up every attempt at a cluster."""
    outcome = simulate("sold out", case=replace(SHORT, storm=AN_HOUR), chance=sold_out())
    assert not outcome.broken, outcome.story()
    assert 3 < outcome.injected["zone out of machines"] <= 10
    assert [end for end, _ in outcome.ends.values()] == ["loaded"]


ORPHANED = replace(SHORT, replays=((900, "SE", False),), orphans=((1, 1, 3 * AN_HOUR),))
"""The driver of revision 1 dies while BigQuery loads; revision 2 is loaded long before that load ends."""


def test_an_orphaned_load_that_ends_after_a_newer_one_does_not_keep_the_table() -> None:
    """The receipt of revision 2 says what the table holds: within hours that is true again, by itself and once."""
    outcome = simulate("orphan", case=ORPHANED, chance=Chance.none())
    assert not outcome.broken, outcome.story()
    (end,) = outcome.ends.values()
    assert (end[0], len(end[1])) == ("loaded", 18), outcome.story()
    loads = [line.rsplit("-", 2)[-2] for _, line in outcome.history if line.startswith("table:")]
    assert loads == ["r1", "r2", "r1", "r3"], outcome.story()
    assert calls(outcome, "cluster_manager: create runs/2026-11-23/looks/") == 1


def test_an_orphaned_load_that_ends_first_costs_one_count_and_no_load() -> None:
    """What is right is counted once and noted; a sweep every ten minutes must not pay for it again."""
    case = replace(ORPHANED, orphans=((1, 1, 30.0),), storm=10 * AN_HOUR)
    outcome = simulate("orphan", case=case, chance=Chance.none())
    assert not outcome.broken, outcome.story()
    # One for each of the two receipts, one where the driver had died, and the second look.
    assert calls(outcome, "cluster_manager: count") == 4, outcome.story()
    assert calls(outcome, "batch_trigger: create runs/2026-11-23/decisions/") == 2


@dataclass
class Hanging:
    """Every call of this name hangs for an hour."""

    what: str
    hung: int = 0

    def of(self, what: str, *, changes: bool) -> Fate | None:
        """See `Fates.of`."""
        if not what.startswith(self.what) or asyncio.get_running_loop().time() > AN_HOUR:
            return None
        self.hung += 1
        return "hangs"


@pytest.mark.parametrize(
    "what",
    [
        "cluster_manager: list jobs",
        "cluster_manager: create cluster",
        "cluster_manager: count",
        "batch_trigger: list",
    ],
)
def test_calls_that_never_answer_end_in_time_and_the_run_goes_on_after_them(what: str) -> None:
    """Each delivery is given back within its deadline: one that outlives it is worked on twice at a time."""
    fates = Hanging(what)
    outcome = simulate("hangs", case=SHORT, chance=Chance.none(), fates=fates)
    assert not outcome.broken, outcome.story()
    assert 0 < fates.hung < 100, outcome.story()
    assert outcome.overdue == 0, outcome.story()
    assert [end for end, _ in outcome.ends.values()] == ["loaded"]


@pytest.mark.parametrize("kind", MOST)
def test_every_kind_of_fault_alone_is_overcome(kind: str) -> None:
    """A fault that is never injected is a promise that nobody checks; alone, nothing else hides what it does."""
    dying = {"job fails": 0.6, "cluster dies": 0.5}
    companions = {
        "load outlives its job": dying,
        "orphaned load takes hours": dying | {"load outlives its job": 0.9},
    }.get(kind, {})
    injected = 0
    # What has companions comes about only where several things go wrong.
    for seed in range(9 if companions else 6):
        name = f"{kind}/{seed}"
        chance = Chance(name, {kind: max(MOST[kind], 0.3), **companions})
        outcome = simulate(name, case=Case(storm=3600, replays=((200, "SE", False),)), chance=chance)
        assert not outcome.broken, outcome.story()
        injected += outcome.injected[kind]
    assert injected, f"{kind} was never injected"
