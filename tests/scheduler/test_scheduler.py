"""The scheduler's loop with a fake executor and a clock moved by hand; the test plays the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC

from omsd.domain.errors import Failure, Side
from omsd.domain.model import BandwidthWindow, LeaseId, Priority, ShardId, TaskId
from omsd.domain.shards import Shard, ShardKind
from omsd.ports.executor import ProbeResult
from omsd.scheduler.orders import GrantSlot, LeaseShards, Order, PreflightFailed, PreflightPassed
from omsd.scheduler.scheduler import Scheduler, SchedulerSettings
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeExecutor, World
from tests.scheduler.test_shares import work_of

MEDIUM = Priority.MEDIUM


@dataclass
class Stage:
    scheduler: Scheduler
    executor: FakeExecutor
    clock: FakeClock
    orders: list[Order]

    async def rest(self) -> list[Order]:
        """What was ordered since the last time, once nothing moves any more."""
        for _ in range(30):
            await asyncio.sleep(0)
        orders, self.orders[:] = list(self.orders), []
        return orders

    def give(self, task_id: int, shard_id: int, lease_id: int, kind: ShardKind = ShardKind.RANGE) -> None:
        shard = Shard(ShardId(shard_id), TaskId(task_id), 1, kind)
        self.scheduler.leased(LeaseId(lease_id), shard, ())


@asynccontextmanager
async def scheduler(*, parallel: int = 1, slots: int = 2) -> AsyncIterator[Stage]:
    clock, executor, orders = FakeClock(), FakeExecutor(World({}), slots=slots), list[Order]()
    made = Scheduler(executor, clock, orders.append, SchedulerSettings(parallel, UTC))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(made.run())
        yield Stage(made, executor, clock, orders)
        running.cancel()


async def test_a_slot_is_granted_once_and_given_back() -> None:
    async with scheduler() as stage:
        stage.scheduler.enqueue(TaskId(1), MEDIUM)
        stage.scheduler.enqueue(TaskId(2), MEDIUM)
        assert await stage.rest() == [GrantSlot(TaskId(1))]
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        assert await stage.rest() == [PreflightPassed(TaskId(1), 5)]
        stage.scheduler.withdraw(TaskId(1))
        assert await stage.rest() == [GrantSlot(TaskId(2))]
        assert stage.executor.forgotten == [1]


async def test_a_slot_that_is_refused_goes_to_the_next() -> None:
    async with scheduler() as stage:
        stage.scheduler.enqueue(TaskId(1), MEDIUM)
        stage.scheduler.enqueue(TaskId(2), MEDIUM)
        await stage.rest()
        stage.scheduler.withdraw(TaskId(1))
        assert await stage.rest() == [GrantSlot(TaskId(2))]


async def test_leases_are_asked_for_as_workers_become_free() -> None:
    async with scheduler(slots=2) as stage:
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        await stage.rest()
        stage.scheduler.add_shards(TaskId(1), [ShardId(1), ShardId(2), ShardId(3)])
        assert await stage.rest() == [LeaseShards(TaskId(1), 5, (ShardId(1), ShardId(2)))]
        stage.give(1, 1, 11)
        stage.scheduler.refused(TaskId(1), [ShardId(2)])
        assert await stage.rest() == [LeaseShards(TaskId(1), 5, (ShardId(3),))]
        stage.give(1, 3, 13)
        assert set(stage.executor.running) == {11, 13}


async def test_capacity_that_comes_back_silently_is_noticed() -> None:
    async with scheduler(slots=0) as stage:
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        stage.scheduler.add_shards(TaskId(1), [ShardId(1)])
        await stage.rest()
        stage.executor.slots = 1
        stage.clock.advance(1)
        assert await stage.rest() == [LeaseShards(TaskId(1), 5, (ShardId(1),))]


async def test_workers_forget_a_task_only_after_its_last_lease() -> None:
    async with scheduler() as stage:
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        stage.scheduler.add_shards(TaskId(1), [ShardId(1)])
        await stage.rest()
        stage.give(1, 1, 11)
        stage.scheduler.cut(TaskId(1))
        stage.scheduler.withdraw(TaskId(1))
        stage.scheduler.enqueue(TaskId(1), MEDIUM)
        # It would meet its own lease.
        assert await stage.rest() == []
        assert stage.executor.running[LeaseId(11)].told == "cut"
        assert stage.executor.forgotten == []
        del stage.executor.running[LeaseId(11)]
        stage.scheduler.lease_ended(LeaseId(11))
        assert await stage.rest() == [GrantSlot(TaskId(1))]
        assert stage.executor.forgotten == [1]


async def test_a_withdrawn_task_is_not_checked_any_more() -> None:
    async with scheduler() as stage:
        stage.executor.probe_answers = [ProbeResult(Side.SOURCE, Failure("TRF.0157", "503"))]
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        assert await stage.rest() == []
        stage.scheduler.withdraw(TaskId(1))
        await stage.rest()
        stage.clock.advance(100)
        assert await stage.rest() == []
        assert len(stage.executor.probes) == 1
        assert stage.executor.forgotten == [1]


async def test_a_task_withdrawn_before_its_check_begins_leaves_nothing_behind() -> None:
    async with scheduler() as stage:
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        stage.scheduler.withdraw(TaskId(1))
        assert await stage.rest() == []
        assert (stage.executor.probes, stage.executor.forgotten) == ([], [1])


async def test_a_check_gives_up_after_its_attempts() -> None:
    async with scheduler() as stage:
        failure = Failure("TRF.0157", "503")
        stage.executor.probe_answers = [ProbeResult(Side.SOURCE, failure)] * 12
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        for wait_s in (2, 4, 8, 16, *[30] * 7):
            assert await stage.rest() == []
            stage.clock.advance(wait_s)
        assert await stage.rest() == [PreflightFailed(TaskId(1), 5, failure)]


async def test_a_held_scheduler_hands_out_nothing() -> None:
    async with scheduler() as stage:
        stage.scheduler.begin(work_of(1), 5, MEDIUM, ())
        await stage.rest()
        stage.scheduler.hold()
        stage.scheduler.enqueue(TaskId(2), MEDIUM)
        stage.scheduler.add_shards(TaskId(1), [ShardId(1)])
        stage.scheduler.add_shards(TaskId(1), [ShardId(2)], rest_s=1)
        stage.clock.advance(10)
        assert await stage.rest() == []


async def test_a_wall_clock_that_is_set_moves_the_limit() -> None:
    async with scheduler() as stage:  # 22:13:20 UTC
        stage.scheduler.begin(work_of(1), 5, MEDIUM, (BandwidthWindow(3 * 60, 4 * 60, 1_000_000),))
        await stage.rest()
        assert stage.executor.budgets == {1: None}
        for hours, limit in ((5, 1_000_000), (1, None), (-1, 1_000_000), (-5, None)):
            stage.clock.jump(hours * 3600)
            stage.clock.advance(2)
            await stage.rest()
            assert stage.executor.budgets == {1: limit}
            assert stage.clock.sleeping(), "nobody would look again"


async def test_a_task_that_leaves_stays_under_its_limit_until_its_last_lease_has_ended() -> None:
    async with scheduler() as stage:
        stage.scheduler.begin(work_of(1), 5, MEDIUM, (BandwidthWindow(0, 1439, 1_000_000),))
        stage.scheduler.add_shards(TaskId(1), [ShardId(1)])
        await stage.rest()
        stage.give(1, 1, 11)
        stage.scheduler.withdraw(TaskId(1))
        await stage.rest()
        assert stage.executor.budgets == {1: 1_000_000}
        del stage.executor.running[LeaseId(11)]
        stage.scheduler.lease_ended(LeaseId(11))
        await stage.rest()
        assert stage.executor.budgets == {}


async def test_large_objects_of_one_task_give_a_worker_back_to_a_task_that_has_none() -> None:
    async with scheduler(parallel=3, slots=3) as stage:
        for task_id in (1, 2):
            stage.scheduler.begin(work_of(task_id), task_id, MEDIUM, ())
        stage.scheduler.add_shards(TaskId(1), [ShardId(n) for n in (1, 2, 3, 4)])
        await stage.rest()
        stage.give(1, 1, 11)
        for number in (2, 3):
            stage.give(1, number, 10 + number, ShardKind.PARTS)
        await stage.rest()
        # Its own work waits, too, but that is no reason.
        assert not any(run.told for run in stage.executor.running.values())
        stage.scheduler.add_shards(TaskId(2), [ShardId(20)])
        await stage.rest()
        assert {lease for lease, run in stage.executor.running.items() if run.told == "drain"} == {12}
        del stage.executor.running[LeaseId(12)]
        stage.scheduler.lease_ended(LeaseId(12))
        assert LeaseShards(TaskId(2), 2, (ShardId(20),)) in await stage.rest()
        stage.give(2, 20, 21)
        stage.scheduler.add_shards(TaskId(2), [ShardId(22)])
        await stage.rest()
        assert {lease for lease, run in stage.executor.running.items() if run.told} == set()


async def test_parts_are_asked_to_split_before_ranges() -> None:
    async with scheduler(slots=3) as stage:
        stage.scheduler.begin(work_of(1), 1, MEDIUM, ())
        stage.scheduler.add_shards(TaskId(1), [ShardId(1), ShardId(2)])
        await stage.rest()
        stage.executor.idle_num = 1
        stage.give(1, 1, 11)
        stage.give(1, 2, 12, ShardKind.PARTS)
        await stage.rest()
        assert stage.executor.split_log[0] == 12
