"""Which shards of the running tasks are pending, asked for and leased."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush

from omsd.domain.model import LeaseId, Priority, ShardId, TaskId, TaskWork
from omsd.scheduler.weights import StrideShares


@dataclass(slots=True)
class RunningTask:
    """A task with a slot. ready: a heap of shards; resting: a heap of monotonic times and the shards that may run from then on."""

    work: TaskWork
    stint: int
    draining: bool = False
    ready: list[ShardId] = field(default_factory=list)
    resting: list[tuple[float, ShardId]] = field(default_factory=list)
    asked: set[ShardId] = field(default_factory=set)

    def wake(self, now_s: float) -> None:
        """Shards that have rested are ready."""
        while self.resting and self.resting[0][0] <= now_s:
            heappush(self.ready, heappop(self.resting)[1])


class LeaseBook:
    """Bookkeeping only; nothing here starts or stops a shard."""

    def __init__(self) -> None:
        self.running: dict[TaskId, RunningTask] = {}
        self._leases: dict[LeaseId, TaskId] = {}
        self._splittable: dict[LeaseId, TaskId] = {}
        # Leases that can be taken up later where they were, and those of them that are on their way back.
        self._long: dict[LeaseId, TaskId] = {}
        self._yielding: set[LeaseId] = set()
        self._shares = StrideShares()

    def add(self, work: TaskWork, stint: int, priority: Priority) -> None:
        """The task has a slot."""
        self.running[work.task_id] = RunningTask(work, stint)
        self._shares.join(work.task_id, priority)

    def remove(self, task_id: TaskId) -> None:
        """The slot is free; leases may still be out."""
        self._shares.leave(task_id)
        self.running.pop(task_id, None)

    def add_ready(self, task_id: TaskId, shard_id: ShardId) -> None:
        """The shard may run; lower ids run first."""
        if task_id in self.running:
            heappush(self.running[task_id].ready, shard_id)

    def add_resting(self, task_id: TaskId, shard_id: ShardId, from_s: float) -> None:
        """The shard may run again from a moment on."""
        if task_id in self.running:
            heappush(self.running[task_id].resting, (from_s, shard_id))

    def drop_pending(self, task_id: TaskId) -> None:
        """Nothing of the task waits for a worker."""
        if task_id in self.running:
            self.running[task_id].ready.clear()
            self.running[task_id].resting.clear()

    def asked_num(self) -> int:
        """Leases asked for and not yet given."""
        return sum(len(task.asked) for task in self.running.values())

    def pick(self, now_s: float, free_num: int) -> dict[TaskId, list[ShardId]]:
        """Up to free_num pending shards whose turn it is, by weight; they count as asked for."""
        picked: dict[TaskId, list[ShardId]] = {}
        for task in self.running.values():
            task.wake(now_s)
        while free_num > 0:
            task_id = self._shares.pick(self._tasks_with_work())
            if task_id is None:
                break
            task = self.running[task_id]
            shard_id = heappop(task.ready)
            task.asked.add(shard_id)
            picked.setdefault(task_id, []).append(shard_id)
            free_num -= 1
        return picked

    def has_ready(self) -> bool:
        """Some shard only waits for a worker."""
        return bool(self._tasks_with_work())

    def leased(
        self,
        task_id: TaskId,
        shard_id: ShardId,
        lease_id: LeaseId,
        *,
        splittable: bool = False,
        readily: bool = False,
    ) -> None:
        """The shard runs. splittable: it can give away what it has not begun; readily: it need not look for it, and is asked first."""
        self._leases[lease_id] = task_id
        if readily:
            self._long[lease_id] = task_id
            self._splittable = {lease_id: task_id, **self._splittable}
        elif splittable:
            self._splittable[lease_id] = task_id
        if task_id in self.running:
            self.running[task_id].asked.discard(shard_id)

    def refused(self, task_id: TaskId, shard_id: ShardId) -> None:
        """The ledger did not lease the shard."""
        if task_id in self.running:
            self.running[task_id].asked.discard(shard_id)

    def ended(self, lease_id: LeaseId) -> TaskId | None:
        """The task whose lease it was, None if it was none of ours."""
        self._splittable.pop(lease_id, None)
        self._long.pop(lease_id, None)
        self._yielding.discard(lease_id)
        return self._leases.pop(lease_id, None)

    def pick_splits(self, idle_num: int) -> list[LeaseId]:
        """Up to so many leases that may be asked to split, the oldest first; each is asked once, until it has split."""
        picked = [
            lease_id
            for lease_id, task_id in self._splittable.items()
            if task_id in self.running and not self.running[task_id].draining
        ][: max(0, idle_num)]
        for lease_id in picked:
            del self._splittable[lease_id]
        return picked

    def pick_yield(self) -> LeaseId | None:
        """A long lease of the task that has most, if another task has work and no lease at all; one at a time."""
        held = Counter(self._leases.values())
        if self._yielding or all(held[task_id] for task_id in self._tasks_with_work()):
            return None
        long = [lease_id for lease_id, task_id in self._long.items() if held[task_id] > 1]
        if not long:
            return None
        chosen = max(long, key=lambda lease_id: (held[self._long[lease_id]], -lease_id))
        self._yielding.add(chosen)
        return chosen

    def has_split(self, lease_id: LeaseId) -> None:
        """The lease may be asked once more."""
        if lease_id in self._leases:
            self._splittable[lease_id] = self._leases[lease_id]

    def leases_of(self, task_id: TaskId) -> list[LeaseId]:
        """The leases of the task that have not ended."""
        return [lease_id for lease_id, owner in self._leases.items() if owner == task_id]

    def next_ready_s(self, now_s: float) -> float | None:
        """Seconds until a resting shard may run again, None if none rests."""
        times = [task.resting[0][0] for task in self.running.values() if task.resting]
        return max(0.0, min(times) - now_s) if times else None

    def _tasks_with_work(self) -> list[TaskId]:
        return [task_id for task_id, task in self.running.items() if task.ready and not task.draining]
