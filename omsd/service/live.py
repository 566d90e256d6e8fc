"""What callers see of tasks at work: the committed state joined with what running shards report; volatile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

from omsd.domain.model import Counters, GroupId, LeaseId, LiveProgress, Task, TaskId, TaskState
from omsd.ports.clock import Clock
from omsd.service.views import TaskView

SPEED_WINDOW_S = 5.0
# Shown until the task has really succeeded.
_ALMOST_DONE = 0.999
_NOTHING = LiveProgress()
_AT_WORK = frozenset({TaskState.MIGRATING, TaskState.PAUSING})


@dataclass(slots=True)
class _LiveLease:
    task_id: TaskId
    already_listed: bool
    progress: LiveProgress = _NOTHING
    reported_size_bytes: int = 0
    moved_size_bytes: int = 0


@dataclass(slots=True)
class _LiveTask:
    """active_from_s: monotonic time up to which active_ms counts, None while the task does not work.

    unlisted_num: open shards that were not listed to their end before, as those of retries and restores were.
    """

    task: Task
    active_from_s: float | None
    unlisted_num: int
    leases: set[LeaseId] = field(default_factory=set)
    moved_size_bytes: int = 0
    samples: deque[tuple[float, int]] = field(default_factory=deque)


class Watcher:
    """What happened to a task or a group since somebody looked. changed: anything; turned: its state, or it is gone."""

    __slots__ = ("changed", "turned")

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.turned = asyncio.Event()

    def clear(self) -> None:
        """Looked."""
        self.changed.clear()
        self.turned.clear()


class LiveBoard:
    """Written by the ledger, after its commits; read by everyone.

    moment: another one whenever a task has come, gone or changed in more than its progress, and before a caller is answered.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[TaskId, _LiveTask] = {}
        self._leases: dict[LeaseId, _LiveLease] = {}
        self._watchers: dict[TaskId | GroupId, set[Watcher]] = {}
        self._working: dict[GroupId, set[TaskId]] = {}
        self.moment = 0

    def publish(self, task: Task, *, active_from_s: float | None, unlisted_num: int) -> None:
        """The task as it is committed now."""
        live = self._tasks.get(task.task_id)
        if live is None or _steered(live.task) != _steered(task):
            self.new_moment()
        turned = live is None or live.task.state is not task.state
        if live is None:
            self._tasks[task.task_id] = _LiveTask(task, active_from_s, unlisted_num)
        else:
            live.task, live.active_from_s, live.unlisted_num = task, active_from_s, unlisted_num
            if active_from_s is None:
                live.samples.clear()
        if task.group_id:
            self._note_working(task.group_id, task.task_id, at_work=task.state in _AT_WORK)
        self._notify(task.task_id, turned=turned)

    def retire(self, task_id: TaskId) -> None:
        """Nothing of the task is under way; the store alone tells of it."""
        self.new_moment()
        self._notify(task_id, turned=True)
        live = self._tasks.pop(task_id, None)
        for lease_id in live.leases if live is not None else ():
            self._leases.pop(lease_id, None)
        if live is not None and live.task.group_id:
            self._note_working(live.task.group_id, task_id, at_work=False)

    def new_moment(self) -> None:
        """Something is committed that a caller may know of, and look for."""
        self.moment += 1

    def begin_lease(self, lease_id: LeaseId, task_id: TaskId, *, already_listed: bool) -> None:
        """already_listed: the shard's objects are in the listed counters since an earlier attempt."""
        self._leases[lease_id] = _LiveLease(task_id, already_listed)
        self._tasks[task_id].leases.add(lease_id)

    def end_lease(self, lease_id: LeaseId) -> None:
        """What the lease did beyond its batches is forgotten; it is done again."""
        lease = self._leases.pop(lease_id, None)
        if lease is not None:
            self._tasks[lease.task_id].leases.discard(lease_id)
            self._notify(lease.task_id)

    def report(self, lease_id: LeaseId, progress: LiveProgress) -> None:
        """A running shard tells how far it is."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            if lease.already_listed:
                counters = replace(progress.counters, listed_num=0)
                progress = replace(progress, counters=counters)
            lease.progress = progress
            self._moved(lease, progress.moved_total_bytes)

    def settle(self, lease_id: LeaseId, counters: Counters) -> None:
        """These objects are committed now: they no longer count as live."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            lease.progress = replace(lease.progress, counters=_minus(lease.progress.counters, counters))
            # A shard that is done before its first report still shows in the speed.
            lease.reported_size_bytes += counters.successful_size_bytes
            self._moved(lease, lease.reported_size_bytes)

    def task(self, task_id: TaskId) -> Task | None:
        """The committed task if something of it is under way."""
        live = self._tasks.get(task_id)
        return live.task if live is not None else None

    def working(self, group_id: GroupId) -> tuple[TaskId, ...]:
        """The tasks of a group that move something, oldest first."""
        return tuple(sorted(self._working.get(group_id, ())))

    def publish_group(self, group_id: GroupId) -> None:
        """The group itself has changed."""
        self._tell(group_id, turned=True)

    def view(self, stored: Task) -> TaskView:
        """The task as callers see it at this moment."""
        live = self._tasks.get(stored.task_id)
        if live is None:
            return _view(stored, stored.counters, 0, stored.listing_over, 0, stored.active_ms)
        now_s = self._clock.monotonic_s()
        leases = [self._leases[lease_id] for lease_id in live.leases]
        counters = live.task.counters
        for lease in leases:
            counters = counters.plus(lease.progress.counters)
        listed_num = sum(lease.progress.listing_over and not lease.already_listed for lease in leases)
        listing_over = live.task.listing_over or (
            live.task.planned and live.active_from_s is not None and listed_num == live.unlisted_num
        )
        moving = sum(lease.progress.moving_size_bytes for lease in leases)
        total_ms = live.task.active_ms
        if live.active_from_s is not None:
            total_ms += int((now_s - live.active_from_s) * 1000)
        return _view(live.task, counters, moving, listing_over, _speed(live, now_s), total_ms)

    @contextmanager
    def subscribe(self, subject: TaskId | GroupId) -> Iterator[Watcher]:
        """Told of each change of the task, or of the group and its tasks, until the block is left."""
        watcher = Watcher()
        self._watchers.setdefault(subject, set()).add(watcher)
        try:
            yield watcher
        finally:
            watchers = self._watchers[subject]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[subject]

    def _note_working(self, group_id: GroupId, task_id: TaskId, *, at_work: bool) -> None:
        working = self._working.setdefault(group_id, set())
        if at_work:
            working.add(task_id)
        else:
            working.discard(task_id)
        if not working:
            del self._working[group_id]

    def _moved(self, lease: _LiveLease, moved_size_bytes: int) -> None:
        live = self._tasks[lease.task_id]
        now_s = self._clock.monotonic_s()
        if not live.samples:
            live.samples.append((now_s, live.moved_size_bytes))
        live.moved_size_bytes += max(0, moved_size_bytes - lease.moved_size_bytes)
        lease.moved_size_bytes = max(lease.moved_size_bytes, moved_size_bytes)
        live.samples.append((now_s, live.moved_size_bytes))
        while len(live.samples) > 2 and live.samples[1][0] <= now_s - SPEED_WINDOW_S:
            live.samples.popleft()
        self._notify(lease.task_id)

    def _notify(self, task_id: TaskId, *, turned: bool = False) -> None:
        self._tell(task_id, turned=turned)
        live = self._tasks.get(task_id)
        if live is not None and live.task.group_id:
            self._tell(live.task.group_id, turned=False)

    def _tell(self, subject: TaskId | GroupId, *, turned: bool) -> None:
        for watcher in self._watchers.get(subject, ()):
            watcher.changed.set()
            if turned:
                watcher.turned.set()


def _steered(task: Task) -> tuple[object, ...]:
    """What callers and the scheduler change of a task; all else is progress."""
    return task.state, task.priority, task.windows


def _speed(live: _LiveTask, now_s: float) -> int:
    """Bytes per second over the last seconds; a task that stands still slows down to 0 within them."""
    if live.task.state is not TaskState.MIGRATING or not live.samples:
        return 0
    since_s = now_s - SPEED_WINDOW_S
    base_s, base_size = live.samples[0]
    for at_s, size in live.samples:
        if at_s > since_s:
            break
        base_s, base_size = at_s, size
    # Below a second a burst would look like a rate.
    span_s = max(1.0, now_s - max(base_s, since_s))
    return int((live.moved_size_bytes - base_size) / span_s)


def _minus(live: Counters, settled: Counters) -> Counters:
    names = [each.name for each in fields(Counters)]
    return Counters(*(max(0, getattr(live, name) - getattr(settled, name)) for name in names))


def _view(
    task: Task, counters: Counters, moving_size_bytes: int, listing_over: bool, speed: int, total_ms: int
) -> TaskView:
    done_size = counters.successful_size_bytes + counters.skipped_size_bytes
    done_size += moving_size_bytes + task.parts_size_bytes
    left_size = counters.listed_size_bytes - done_size - counters.failed_size_bytes
    return TaskView(
        task=task,
        counters=counters,
        listing_over=listing_over,
        complete_size_bytes=done_size,
        real_size_bytes=counters.successful_size_bytes,
        progress=_progress(task, counters, done_size),
        speed_bytes_per_s=speed,
        total_ms=total_ms,
        left_ms=max(0, left_size * 1000 // speed) if speed else 0,
    )


def _progress(task: Task, counters: Counters, done_size: int) -> float:
    if task.state is TaskState.SUCCEEDED:
        return 1.0
    if counters.listed_size_bytes:
        return min(_ALMOST_DONE, done_size / counters.listed_size_bytes)
    if counters.listed_num:
        return min(_ALMOST_DONE, (counters.successful_num + counters.skipped_num) / counters.listed_num)
    return 0.0
