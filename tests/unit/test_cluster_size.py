"""A normal week gets one machine; a giant one gets workers, up to a limit; and the estimate follows the list prices."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.documents import Part
from services.cluster_manager import costs
from services.cluster_manager.settings import Settings
from services.cluster_manager.sizing import ClusterSize, SizeLimits, size_for
from services.cluster_manager.wiring import _limits
from tests.builders import NOW

MIB = 1024**2
LIMITS = SizeLimits("e2-standard-2", bytes_per_machine=256 * MIB, max_workers=8)


def of(count: int, each: int) -> tuple[Part, ...]:
    codes = (f"{a}{b}" for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ")
    return tuple(
        Part(market=code, generation=1, crc32c="x", size=each, landed_at=NOW)
        for code, _ in zip(codes, range(count), strict=False)
    )


@pytest.mark.parametrize(
    ("count", "each", "workers"),
    [
        (48, 40_000, 0),  # a normal week: 48 parts of some 40 kB
        (48, 256 * MIB // 48, 0),  # just what one machine is trusted with
        (1, 256 * MIB + 1, 2),  # two workers are the fewest there are
        (48, 20 * MIB, 4),  # 960 MiB: four shares of 256
        (48, 100 * MIB, 8),  # 4800 MiB would be nineteen: the limit holds
        (3, 2048 * MIB, 3),  # a part is one task: more workers than parts would stand idle
        (0, 0, 0),
    ],
)
def test_workers_follow_the_bytes(count: int, each: int, workers: int) -> None:
    """One machine for its share, then as many workers as shares, never more than parts or the limit."""
    assert size_for(of(count, each), LIMITS) == ClusterSize("e2-standard-2", workers)


@given(st.integers(0, 60), st.integers(0, 10**10), st.integers(2, 20))
def test_a_size_is_always_one_that_dataproc_makes(count: int, each: int, most: int) -> None:
    """No worker or at least two, and never more than the settings allow."""
    workers = size_for(of(count, each), SizeLimits("e2-standard-2", 256 * MIB, most)).workers
    assert workers == 0 or 2 <= workers <= most


def test_a_limit_of_no_workers_keeps_one_machine() -> None:
    """Whoever wants the bill bounded gets it bounded."""
    assert size_for(of(48, 1000 * MIB), SizeLimits("e2-standard-2", 256 * MIB, 0)).workers == 0


def test_the_settings_are_the_limits() -> None:
    """MiB in the environment, bytes inside."""
    settings = Settings(
        google_cloud_project="p", bucket="b", pubsub_emulator_host="h:1", machine_mib=7, max_workers=5
    )
    assert _limits(settings).size == SizeLimits("e2-standard-2", 7 * MIB, 5, ("n2-standard-2",))


def test_a_single_worker_is_refused_at_start() -> None:
    """Dataproc makes no such cluster; the fault must not wait for the first giant week."""
    with pytest.raises(ValueError, match="set 0 or 2"):
        Settings(google_cloud_project="p", bucket="b", pubsub_emulator_host="h:1", max_workers=1)


@pytest.mark.parametrize(
    ("size", "minutes", "dollars"),
    [
        (ClusterSize("e2-standard-2", 0), 60, 0.1063),  # 2 vCPU x (0.0431675 + 0.010)
        (ClusterSize("e2-standard-2", 8), 60, 0.957),  # nine machines
        (ClusterSize("e2-standard-4", 0), 30, 0.1063),  # twice the machine, half the time
        (ClusterSize("e2-standard-2", 0), 0.1, 0.0018),  # a minute is the least that is billed
    ],
)
def test_the_estimate_is_seconds_times_list_price(size: ClusterSize, minutes: float, dollars: float) -> None:
    """Machines and Dataproc's fee, for each machine, by the second."""
    assert costs.estimate(size, timedelta(minutes=minutes)) == pytest.approx(dollars, abs=1e-4)


def test_a_machine_without_a_known_price_has_no_estimate() -> None:
    """No figure is better than a made-up one."""
    assert costs.estimate(ClusterSize("n2-highmem-4", 0), timedelta(hours=1)) is None
