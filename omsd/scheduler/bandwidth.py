"""The bandwidth limits that hold now: looked up in their windows, told to the executor when one changes."""

from __future__ import annotations

from datetime import datetime, tzinfo

from omsd.domain.bandwidth import BandwidthLimits, TaskLimit
from omsd.domain.model import BandwidthWindow, GroupId, TaskId
from omsd.domain.windows import limit_at_time, seconds_to_change
from omsd.ports.clock import Clock
from omsd.ports.executor import Executor

Windows = tuple[BandwidthWindow, ...]


class BandwidthKeeper:
    """Windows are daily times in one configured zone; dividing the limits among workers is the executor's.

    Fed by: the machine's limit, the configuration ([limits] machine_bandwidth); tasks and groups, the scheduler.
    """

    def __init__(
        self, executor: Executor, clock: Clock, zone: tzinfo, *, machine_bytes_per_s: int | None = None
    ) -> None:
        self._executor = executor
        self._clock = clock
        self._zone = zone
        self._machine = machine_bytes_per_s
        self._groups: dict[GroupId, Windows] = {}
        self._tasks: dict[TaskId, tuple[Windows, GroupId | None]] = {}
        self._told = BandwidthLimits(machine_bytes_per_s)
        executor.set_limits(self._told)

    def watch(self, task_id: TaskId, windows: Windows, *, group_id: GroupId | None = None) -> None:
        """The task's limit, and that of its group, is in force at once and kept up to date."""
        self._tasks[task_id] = (windows, group_id)
        self.tick()

    def update(self, task_id: TaskId, windows: Windows) -> None:
        """A task that runs gets another policy, at once."""
        if task_id in self._tasks:
            self.watch(task_id, windows, group_id=self._tasks[task_id][1])

    def forget(self, task_id: TaskId) -> None:
        """The task moves nothing any more."""
        if self._tasks.pop(task_id, None) is not None:
            self.tick()

    def set_group(self, group_id: GroupId, windows: Windows) -> None:
        """All tasks of the group together keep to this; no windows: the group has no limit of its own."""
        if windows:
            self._groups[group_id] = windows
        else:
            self._groups.pop(group_id, None)
        self.tick()

    def tick(self) -> None:
        """Every limit is the one of this minute."""
        local = self._local()
        limits = BandwidthLimits(
            self._machine,
            {group_id: limit_at_time(windows, local) for group_id, windows in self._groups.items()},
            {
                task_id: TaskLimit(limit_at_time(windows, local), group_id)
                for task_id, (windows, group_id) in self._tasks.items()
            },
        )
        if limits != self._told:
            self._told = limits
            self._executor.set_limits(limits)

    def next_change_s(self) -> float | None:
        """Seconds until some limit may change, None if none ever does."""
        local = self._local()
        policies = [*self._groups.values(), *(windows for windows, _ in self._tasks.values())]
        waits = [seconds_to_change(windows, local) for windows in policies]
        return min((wait for wait in waits if wait is not None), default=None)

    def _local(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_s(), self._zone)
