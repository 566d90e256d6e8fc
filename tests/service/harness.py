"""A whole control process in one loop: real store, channel, ledger, scheduler and service; executor and clock are fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from omsd.domain.group import GroupState
from omsd.domain.group_plan import TaskTarget
from omsd.domain.model import LeaseId, Task, TaskState
from omsd.domain.quotas import Quotas
from omsd.ports.taskstore import TaskStoreError
from omsd.scheduler.scheduler import Scheduler, SchedulerSettings
from omsd.service import requests
from omsd.service.calls import ChangeTasks
from omsd.service.channel import ChannelClosedError, EventChannel
from omsd.service.group_ledger import Planning
from omsd.service.group_planner import GroupPlanner
from omsd.service.group_views import GroupView
from omsd.service.groups import GroupService
from omsd.service.ledger import Ledger
from omsd.service.live import LiveBoard
from omsd.service.notice_topics import NoticeTopics
from omsd.service.probing import EndsProbe
from omsd.service.quotas import QuotaKeeper
from omsd.service.recovery import Recovery, recover
from omsd.service.sweeper import Sweeper
from omsd.service.tasks import TaskService
from omsd.service.validation import ValidationPolicy
from omsd.service.views import TaskView
from omsd.store.groups import SqliteGroupStore
from omsd.store.notices import SqliteNoticeStore
from omsd.store.spool import FileSpool
from omsd.store.sqlite import SqliteTaskStore
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeExecutor, World
from tests.fakes.faulty_store import FaultyStore
from tests.waiting import PATIENCE_S, until

PROJECT = "project"
_TARGET = TaskTarget(4, 10_000)


def world(objects_num: int = 10) -> World:
    """So many objects of 100 bytes."""
    return World({f"key{number:03d}": 100 for number in range(objects_num)})


def create_request(**changes: object) -> requests.CreateTask:
    """A whole bucket from AWS to Huawei Cloud."""
    source = requests.SrcNode(
        cloud_type="AWS",
        region="us-east-1",
        ak="SRCAK",
        sk="SRCSECRET",
        bucket="from",
        object_key=("",),
    )
    destination = requests.DstNode(
        region="eu-de", ak="DSTAK", sk="DSTSECRET", bucket="into", endpoint="https://obs.example.com"
    )
    fields: dict[str, object] = {"src_node": source, "dst_node": destination, "task_type": "prefix"}
    return requests.CreateTask(**(fields | changes))  # type: ignore[arg-type]


def start_request(*, failed_only: bool = False) -> requests.StartTask:
    return requests.StartTask(
        dst_ak="DSTAK2",
        dst_sk="DSTSECRET2",
        src_ak="SRCAK2",
        src_sk="SRCSECRET2",
        migrate_failed_object=failed_only,
    )


@dataclass
class Control:
    """What a test holds of a running control process. died: what the ledger ended with."""

    store: FaultyStore
    executor: FakeExecutor
    clock: FakeClock
    channel: EventChannel
    scheduler: Scheduler
    board: LiveBoard
    service: TaskService
    groups: GroupService
    group_store: SqliteGroupStore
    recovery: Recovery
    quotas: QuotaKeeper
    notices: SqliteNoticeStore
    notices_due: asyncio.Event
    died: list[Exception] = field(default_factory=list)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        await until(condition)

    async def task(self, task_id: int) -> Task:
        return (await self.service.get(PROJECT, task_id)).task

    async def reach(self, task_id: int, state: TaskState) -> TaskView:
        """Wait until the task is in this state."""
        async with asyncio.timeout(PATIENCE_S):
            while (view := await self.service.get(PROJECT, task_id)).task.state is not state:
                await asyncio.sleep(0.001)
        return view

    async def reach_group(self, group_id: str, state: GroupState) -> GroupView:
        """Wait until the group is in this state."""
        async with asyncio.timeout(PATIENCE_S):
            while (view := await self.groups.get(PROJECT, group_id)).group.state is not state:
                if self.died:
                    raise self.died[0]
                await asyncio.sleep(0.001)
        return view

    async def lease(self, task_id: int, number: int = 1) -> LeaseId:
        """The first lease of the task, once it has that many."""
        await self.until(lambda: len(self._leases(task_id)) >= number)
        return self._leases(task_id)[0]

    async def settle(self) -> None:
        """All events queued so far are applied."""
        await self.until(lambda: not self.channel.pending_num() or self.died)
        if not self.died:
            # Answered behind everything that was taken before.
            await self.channel.call(ChangeTasks(PROJECT, (), None, None))

    async def advance(self, seconds: float) -> None:
        """Time goes on, once everybody who wants to sleep does."""
        await self.settle()
        for _ in range(20):
            await asyncio.sleep(0)
        self.clock.advance(seconds)
        for _ in range(20):
            await asyncio.sleep(0)

    async def run_out(self, task_id: int) -> None:
        """Finish every shard of the task until it is at rest."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.task(task_id)).state in {
                TaskState.WAITING,
                TaskState.MIGRATING,
                TaskState.PAUSING,
            }:
                for lease_id in self._leases(task_id):
                    if self.executor.running[lease_id].told:
                        await self.executor.release(lease_id)
                    else:
                        await self.executor.finish(lease_id)
                await asyncio.sleep(0.001)

    def _leases(self, task_id: int) -> list[LeaseId]:
        return [lease for lease, run in self.executor.running.items() if run.work.task_id == task_id]


@asynccontextmanager
async def control_process(
    state_dir: Path,
    world: World,
    *,
    clock: FakeClock | None = None,
    die_at: int = 0,
    durable: bool = False,
    max_parallel_tasks: int = 2,
    slots: int = 2,
    reports: bool = True,
    quotas: Quotas | None = None,
    topics: NoticeTopics | None = None,
    target: TaskTarget = _TARGET,
    groups_per_day: int = 100,
    members_per_step: int = 100,
) -> AsyncIterator[Control]:
    """From start to a death without goodbye: nothing is drained at the end."""
    clock = clock or FakeClock()
    quotas = quotas or Quotas(groups_per_day=groups_per_day)
    store = FaultyStore(await SqliteTaskStore.open(state_dir), die_at=die_at, durable=durable)
    executor = FakeExecutor(world, slots=slots, reports=reports)
    channel = EventChannel()
    scheduler = Scheduler(
        executor,
        clock,
        channel.order,
        SchedulerSettings(max_parallel_tasks, UTC, parallel_tasks=quotas.parallel_tasks),
    )
    board = LiveBoard(clock)
    spool = FileSpool(state_dir)
    keeper = QuotaKeeper(store, quotas, UTC)
    group_store = SqliteGroupStore(store.real)
    planner = GroupPlanner(executor, clock, channel.order)
    ledger = Ledger(
        store,
        channel,
        scheduler,
        board,
        clock,
        spool,
        Planning(group_store, planner, target, members_per_step),
        zone=UTC,
        last_ids=await store.last_ids(),
        quotas=keeper,
    )
    notices = SqliteNoticeStore(store.real)
    sweeper = Sweeper(store, executor, clock, ledger, channel, must_wait=lambda _: False)
    ends = EndsProbe(executor, clock, deadline_s=5.0)
    policy = ValidationPolicy(notices=topics or NoticeTopics())
    service = TaskService(store, channel, board, ends, clock, policy, notices, keeper)
    groups = GroupService(group_store, store, channel, board, ends, clock, policy, notices, keeper)
    try:
        await executor.start(channel)
        recovery = await recover(store, group_store, spool, ledger)
        control = Control(
            store,
            executor,
            clock,
            channel,
            scheduler,
            board,
            service,
            groups,
            group_store,
            recovery,
            keeper,
            notices,
            ledger.notices_due,
        )
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(scheduler.run()),
                group.create_task(_noting_death(ledger, control)),
                group.create_task(executor.serve_reports()),
                group.create_task(_until_closed(sweeper)),
                group.create_task(planner.run()),
            ]
            try:
                yield control
            finally:
                for task in running:
                    task.cancel()
    finally:
        await store.close()


async def _until_closed(sweeper: Sweeper) -> None:
    try:
        await sweeper.run()
    except ChannelClosedError:
        return  # the control process has died


async def _noting_death(ledger: Ledger, control: Control) -> None:
    try:
        await ledger.run()
    except TaskStoreError as error:
        control.died.append(error)
