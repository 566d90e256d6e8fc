"""The limits that hold now, by windows and a clock moved by hand. Groups are set by these tests alone so far."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from omsd.domain.bandwidth import BandwidthLimits, TaskLimit, divide
from omsd.domain.model import BandwidthWindow, GroupId, TaskId
from omsd.scheduler.bandwidth import BandwidthKeeper
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeExecutor, World

ALWAYS = BandwidthWindow(0, 1439, 1_000_000)
BERLIN = ZoneInfo("Europe/Berlin")


async def test_limits_follow_the_windows_across_midnight_in_the_configured_zone() -> None:
    clock, executor = FakeClock(), FakeExecutor(World({}))  # 22:13:20 UTC
    windows = (BandwidthWindow(23 * 60 + 30, 6 * 60, 1_000_000),)
    keeper = BandwidthKeeper(executor, clock, ZoneInfo("Europe/Berlin"))  # 23:13:20 there
    keeper.watch(TaskId(1), windows)
    assert executor.budgets == {1: None}
    wait_s = keeper.next_change_s()
    assert wait_s == 16 * 60 + 40
    clock.advance(wait_s)
    keeper.tick()
    assert executor.budgets == {1: 1_000_000}
    clock.advance(6 * 3600)
    keeper.tick()
    assert executor.budgets == {1: 1_000_000}
    clock.advance(1800)
    keeper.tick()
    assert executor.budgets == {1: None}


def test_machine_groups_and_tasks_are_told_as_one_hierarchy() -> None:
    executor = FakeExecutor(World({}))
    keeper = BandwidthKeeper(executor, FakeClock(), UTC, machine_bytes_per_s=9_000_000)
    assert executor.limits == BandwidthLimits(9_000_000)
    group = GroupId("g")
    keeper.set_group(group, (BandwidthWindow(0, 1439, 3_000_000),))
    keeper.watch(TaskId(1), (ALWAYS,), group_id=group)
    keeper.watch(TaskId(2), (), group_id=group)
    keeper.watch(TaskId(3), ())
    assert executor.limits == BandwidthLimits(
        9_000_000,
        {group: 3_000_000},
        {TaskId(1): TaskLimit(1_000_000, group), TaskId(2): TaskLimit(None, group), TaskId(3): TaskLimit()},
    )
    everything = {(TaskId(number), 1): None for number in (1, 2, 3)}
    grants = sorted(divide(executor.limits, everything).items())
    assert [grant for _, grant in grants] == [1_000_000, 2_000_000, 6_000_000]


def test_a_group_follows_its_windows_and_goes_without_one() -> None:
    clock, executor, group = FakeClock(), FakeExecutor(World({})), GroupId("g")  # 22:13:20 UTC
    keeper = BandwidthKeeper(executor, clock, UTC)
    keeper.watch(TaskId(1), (), group_id=group)
    keeper.set_group(group, (BandwidthWindow(23 * 60, 60, 5),))
    assert executor.limits.tightest(TaskId(1)) is None
    wait_s = keeper.next_change_s()
    assert wait_s == 46 * 60 + 40
    clock.advance(wait_s)
    keeper.tick()
    assert executor.limits.tightest(TaskId(1)) == 5
    keeper.update(TaskId(1), (BandwidthWindow(0, 1439, 3),))
    assert executor.limits.tightest(TaskId(1)) == 3
    keeper.update(TaskId(1), ())
    keeper.set_group(group, ())
    assert executor.limits.tightest(TaskId(1)) is None


@pytest.mark.parametrize(
    ("start", "windows", "seen"),
    [
        # The night the clocks go forward: 02:00 to 03:00 does not exist, what begins at 02:30 begins at 03:00.
        (datetime(2026, 3, 29, 1, 50, tzinfo=BERLIN), (150, 210), [None, 7, 7, 7, None, None, None, None]),
        # The night they go back: 02:00 to 03:00 comes twice, and so does the window in it.
        (datetime(2026, 10, 25, 2, 20, tzinfo=BERLIN), (150, 170), [None, 7, 7, None, None, None, None, 7]),
    ],
    ids=["forward", "back"],
)
def test_windows_follow_the_wall_on_the_nights_the_clocks_are_set(
    start: datetime, windows: tuple[int, int], seen: list[int | None]
) -> None:
    clock, executor = FakeClock(start.timestamp()), FakeExecutor(World({}))
    keeper = BandwidthKeeper(executor, clock, BERLIN)
    keeper.watch(TaskId(1), (BandwidthWindow(*windows, 7),))
    found = []
    for _ in seen:
        found.append(executor.budgets[TaskId(1)])
        clock.advance(600)
        keeper.tick()
    assert found == seen


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_by_an_hour_moves_the_limit_and_waits_stay_short(hours: int) -> None:
    clock, executor = FakeClock(), FakeExecutor(World({}))  # 22:13:20 UTC
    keeper = BandwidthKeeper(executor, clock, UTC)
    keeper.watch(TaskId(1), (BandwidthWindow(22 * 60, 23 * 60, 7),))
    assert executor.budgets == {1: 7}
    clock.jump(hours * 3600)
    keeper.tick()
    assert executor.budgets == {1: None}
    wait_s = keeper.next_change_s()
    assert wait_s is not None
    assert 0 < wait_s <= 3600
    clock.jump(-hours * 3600)
    keeper.tick()
    assert executor.budgets == {1: 7}


def test_a_limit_that_stays_is_not_told_again() -> None:
    class Counting(FakeExecutor):
        told = 0

        def set_limits(self, limits: BandwidthLimits) -> None:
            self.told += 1
            super().set_limits(limits)

    executor, clock = Counting(World({})), FakeClock()
    keeper = BandwidthKeeper(executor, clock, UTC)
    keeper.watch(TaskId(1), (ALWAYS,))
    before = executor.told
    for _ in range(5):
        clock.advance(1)
        keeper.tick()
    keeper.forget(TaskId(9))
    assert executor.told == before
