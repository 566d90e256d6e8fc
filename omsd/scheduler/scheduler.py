"""The loop that hands out slots and workers. It writes no state: it tells the ledger what it would do and is told what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import partial

from omsd.domain.model import BandwidthWindow, GroupId, LeaseId, Priority, ShardId, TaskId, TaskWork
from omsd.domain.shards import KeptUpload, OpenUpload, Shard, ShardKind
from omsd.ports.clock import Clock
from omsd.ports.executor import Executor
from omsd.scheduler.bandwidth import BandwidthKeeper
from omsd.scheduler.leases import LeaseBook
from omsd.scheduler.orders import GrantSlot, LeaseShards, Order, PreflightFailed, PreflightPassed
from omsd.scheduler.preflight import PreflightPolicy, check_ends
from omsd.scheduler.queue import WaitingQueue

# The executor does not tell when a lost worker is replaced, so waiting shards ask again.
_CAPACITY_POLL_S = 1.0
# A wall clock that is set by hand moves the windows; they are looked up at least this often.
_WINDOW_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """aging_s: waiting that lifts a task by one class. grace_s: how long a pausing task may finish objects begun.

    machine_bytes_per_s: what all tasks together may move, None = no limit. parallel_tasks: running tasks of one project, 0 = no limit
    but that of the machine.
    """

    max_parallel_tasks: int
    zone: tzinfo
    machine_bytes_per_s: int | None = None
    aging_s: float = 3600.0
    grace_s: float = 10.0
    parallel_tasks: int = 0
    preflight: PreflightPolicy = field(default_factory=PreflightPolicy)


class Scheduler:
    """Methods but run() are called by the ledger, after its commits; none waits, and each only notes and wakes the loop."""

    def __init__(
        self, executor: Executor, clock: Clock, post: Callable[[Order], None], settings: SchedulerSettings
    ) -> None:
        self._executor = executor
        self._clock = clock
        self._post = post
        self._settings = settings
        self._queue = WaitingQueue(aging_s=settings.aging_s)
        self._book = LeaseBook()
        self._bandwidth = BandwidthKeeper(
            executor, clock, settings.zone, machine_bytes_per_s=settings.machine_bytes_per_s
        )
        self._granted: set[TaskId] = set()
        self._projects: dict[TaskId, str] = {}
        self._to_check: list[tuple[TaskWork, int]] = []
        self._checks: dict[TaskId, asyncio.Task[None]] = {}
        self._cut_at: dict[TaskId, float] = {}
        self._leaving: set[TaskId] = set()
        self._held = False
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Hands out slots and workers until it is cancelled."""
        async with asyncio.TaskGroup() as checks:
            while True:
                self._wake.clear()
                self._start_checks(checks)
                if not self._held:
                    self._grant_slots()
                    self._ask_for_leases()
                    self._ask_to_yield()
                    self._ask_for_splits()
                self._cut_overdue()
                self._bandwidth.tick()
                await self._wait()

    def hold(self) -> None:
        """Hand out nothing more; what runs goes on (shutdown)."""
        self._held = True

    def enqueue(self, task_id: TaskId, priority: Priority, *, project_id: str = "") -> None:
        """The task waits for a slot, of the machine and of its project."""
        self._projects[task_id] = project_id
        self._queue.add(task_id, priority, self._clock.monotonic_s(), project_id=project_id)
        self._wake.set()

    def begin(
        self,
        work: TaskWork,
        stint: int,
        priority: Priority,
        windows: tuple[BandwidthWindow, ...],
        *,
        project_id: str = "",
        group_id: GroupId | None = None,
    ) -> None:
        """The task has its slot: its ends are checked, its bandwidth limit and that of its group are in force."""
        self._projects[work.task_id] = project_id
        self._queue.remove(work.task_id)
        self._granted.discard(work.task_id)
        self._book.add(work, stint, priority)
        self._bandwidth.watch(work.task_id, windows, group_id=group_id)
        self._to_check.append((work, stint))
        self._wake.set()

    def add_shards(self, task_id: TaskId, shard_ids: Sequence[ShardId], *, rest_s: float = 0.0) -> None:
        """These shards of a running task are pending; they are leased no sooner than in rest_s."""
        for shard_id in shard_ids:
            if rest_s:
                self._book.add_resting(task_id, shard_id, self._clock.monotonic_s() + rest_s)
            else:
                self._book.add_ready(task_id, shard_id)
        self._wake.set()

    def leased(self, lease_id: LeaseId, shard: Shard, stale_uploads: Sequence[OpenUpload]) -> None:
        """A lease asked for is given: the shard runs."""
        self._book.leased(
            shard.task_id,
            shard.shard_id,
            lease_id,
            splittable=shard.kind in (ShardKind.RANGE, ShardKind.MANIFEST),
            readily=shard.kind is ShardKind.PARTS,
        )
        self._executor.run(lease_id, self._book.running[shard.task_id].work, shard, stale_uploads)
        self._wake.set()

    def has_split(self, lease_id: LeaseId) -> None:
        """The lease gave a part of its shard away, and may be asked again."""
        self._book.has_split(lease_id)
        self._wake.set()

    def intent_noted(self, lease_id: LeaseId, key: str) -> None:
        """What the lease wants to create at the destination is durable."""
        self._executor.intent_noted(lease_id, key)

    def upload_found(self, lease_id: LeaseId, key: str, kept: KeptUpload | None) -> None:
        """What a lease asked for is known."""
        self._executor.upload_found(lease_id, key, kept)

    def end_work(self, task_id: TaskId) -> None:
        """What is pending of a running task is dropped, what runs is cut; shards added from now on run."""
        self._book.drop_pending(task_id)
        self.cut(task_id)

    def refused(self, task_id: TaskId, shard_ids: Sequence[ShardId]) -> None:
        """Leases asked for are not given."""
        for shard_id in shard_ids:
            self._book.refused(task_id, shard_id)
        self._wake.set()

    def lease_ended(self, lease_id: LeaseId) -> None:
        """The worker is free again."""
        task_id = self._book.ended(lease_id)
        if task_id is not None:
            self._settle(task_id)
        self._wake.set()

    def drain(self, task_id: TaskId) -> None:
        """No more shards of this task; those under way end within the grace, or are cut."""
        if task_id in self._book.running:
            self._book.running[task_id].draining = True
        for lease_id in self._book.leases_of(task_id):
            self._executor.drain(lease_id)
        self._cut_at[task_id] = self._clock.monotonic_s() + self._settings.grace_s
        self._wake.set()

    def cut(self, task_id: TaskId) -> None:
        """The task's shards under way end at once."""
        for lease_id in self._book.leases_of(task_id):
            self._executor.cut(lease_id)

    def withdraw(self, task_id: TaskId) -> None:
        """The task neither waits nor runs; its slot is free. Workers forget it when its last lease has ended."""
        self._queue.remove(task_id)
        self._granted.discard(task_id)
        self._cut_at.pop(task_id, None)
        self._projects.pop(task_id, None)
        if task_id in self._book.running:
            self._book.remove(task_id)
            self._to_check = [entry for entry in self._to_check if entry[0].task_id != task_id]
            if task_id in self._checks:
                self._checks[task_id].cancel()
            self._leaving.add(task_id)
            self._settle(task_id)
        self._wake.set()

    def set_windows(self, task_id: TaskId, windows: tuple[BandwidthWindow, ...]) -> None:
        """The task keeps to these, at once."""
        self._bandwidth.update(task_id, windows)
        self._wake.set()

    def set_group_windows(self, group_id: GroupId, windows: tuple[BandwidthWindow, ...]) -> None:
        """All tasks of the group together keep to this, at once."""
        self._bandwidth.set_group(group_id, windows)
        self._wake.set()

    def set_priority(self, task_id: TaskId, priority: Priority) -> None:
        """The waiting task has another place in the queue."""
        self._queue.set_priority(task_id, priority)
        self._wake.set()

    def _start_checks(self, checks: asyncio.TaskGroup) -> None:
        for work, stint in self._to_check:
            check = checks.create_task(self._check(work, stint), name=f"preflight {work.task_id}")
            self._checks[work.task_id] = check
            # Not a finally in the check: one that is cancelled before its first step would never get there.
            check.add_done_callback(partial(self._checked, work.task_id))
        self._to_check = []

    async def _check(self, work: TaskWork, stint: int) -> None:
        found = await check_ends(self._executor, self._clock, work, self._settings.preflight)
        if found.failure is None:
            self._post(PreflightPassed(work.task_id, stint, found.lists))
        else:
            self._post(PreflightFailed(work.task_id, stint, found.failure))

    def _checked(self, task_id: TaskId, _check: asyncio.Task[None]) -> None:
        self._checks.pop(task_id, None)
        self._settle(task_id)

    def _settle(self, task_id: TaskId) -> None:
        if task_id not in self._leaving or task_id in self._checks or self._book.leases_of(task_id):
            return
        self._leaving.discard(task_id)
        # Not sooner: what still ends is under the limit, too.
        self._bandwidth.forget(task_id)
        self._executor.forget(task_id)
        self._wake.set()

    def _grant_slots(self) -> None:
        while len(self._book.running) + len(self._granted) < self._settings.max_parallel_tasks:
            # A task whose leases of before still end would meet itself.
            task_id = self._queue.pop(
                self._clock.monotonic_s(), not_yet=self._leaving, full=self._full_projects()
            )
            if task_id is None:
                return
            self._granted.add(task_id)
            self._post(GrantSlot(task_id))

    def _full_projects(self) -> set[str]:
        """Those that have all the slots their quota gives them; their tasks wait, others go on."""
        limit = self._settings.parallel_tasks
        if not limit:
            return set()
        used = Counter(self._projects.get(task_id, "") for task_id in (*self._book.running, *self._granted))
        return {project_id for project_id, slots_num in used.items() if slots_num >= limit}

    def _ask_for_leases(self) -> None:
        free_num = self._executor.free_slots() - self._book.asked_num()
        for task_id, shard_ids in self._book.pick(self._clock.monotonic_s(), free_num).items():
            self._post(LeaseShards(task_id, self._book.running[task_id].stint, tuple(shard_ids)))

    def _ask_to_yield(self) -> None:
        """Large objects hold their workers for hours: a task without any worker gets one of theirs."""
        if self._executor.free_slots() or self._book.asked_num():
            return
        lease_id = self._book.pick_yield()
        if lease_id is not None:
            self._executor.drain(lease_id)

    def _ask_for_splits(self) -> None:
        """Workers without work get some of the others'."""
        if self._book.has_ready() or self._book.asked_num():
            return
        for lease_id in self._book.pick_splits(self._executor.idle_workers()):
            self._executor.split(lease_id)

    def _cut_overdue(self) -> None:
        now_s = self._clock.monotonic_s()
        for task_id in [task_id for task_id, at in self._cut_at.items() if at <= now_s]:
            del self._cut_at[task_id]
            self.cut(task_id)

    async def _wait(self) -> None:
        timeout_s = self._timeout_s()
        if timeout_s is None:
            await self._wake.wait()
            return
        async with asyncio.TaskGroup() as group:
            sleeper = group.create_task(self._wake_after(timeout_s))
            await self._wake.wait()
            sleeper.cancel()

    async def _wake_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._wake.set()

    def _timeout_s(self) -> float | None:
        now_s = self._clock.monotonic_s()
        waits = [at - now_s for at in self._cut_at.values()]
        change_s = self._bandwidth.next_change_s()
        if change_s is not None:
            waits.append(min(change_s, _WINDOW_POLL_S))
        if not self._held:
            rest_s = self._book.next_ready_s(now_s)
            if rest_s is not None:
                waits.append(rest_s)
            if self._book.has_ready():
                waits.append(_CAPACITY_POLL_S)
        # Aging needs no timer: the order only matters when a slot becomes free.
        return max(0.0, min(waits)) if waits else None
