"""The bandwidth limit of each running task, now: looked up in its windows, told to the executor when it changes."""

from __future__ import annotations

from datetime import datetime, tzinfo

from omsd.domain.model import BandwidthWindow, TaskId
from omsd.domain.windows import limit_at_time, seconds_to_change
from omsd.ports.clock import Clock
from omsd.ports.executor import Executor

_UNKNOWN = -1


class BandwidthKeeper:
    """Windows are daily times in one configured zone; dividing a limit among workers is the executor's."""

    def __init__(self, executor: Executor, clock: Clock, zone: tzinfo) -> None:
        self._executor = executor
        self._clock = clock
        self._zone = zone
        self._windows: dict[TaskId, tuple[BandwidthWindow, ...]] = {}
        self._told: dict[TaskId, int | None] = {}

    def watch(self, task_id: TaskId, windows: tuple[BandwidthWindow, ...]) -> None:
        """The task's limit is in force at once and kept up to date."""
        self._windows[task_id] = windows
        self._apply(task_id)

    def update(self, task_id: TaskId, windows: tuple[BandwidthWindow, ...]) -> None:
        """A task that runs gets another policy, at once."""
        if task_id in self._windows:
            self.watch(task_id, windows)

    def forget(self, task_id: TaskId) -> None:
        self._windows.pop(task_id, None)
        self._told.pop(task_id, None)

    def tick(self) -> None:
        """Every limit is the one of this minute."""
        for task_id in self._windows:
            self._apply(task_id)

    def next_change_s(self) -> float | None:
        """Seconds until some limit may change, None if none ever does."""
        local = self._local()
        waits = [seconds_to_change(windows, local) for windows in self._windows.values()]
        return min((wait for wait in waits if wait is not None), default=None)

    def _apply(self, task_id: TaskId) -> None:
        limit = limit_at_time(self._windows[task_id], self._local())
        if self._told.get(task_id, _UNKNOWN) != limit:
            self._told[task_id] = limit
            self._executor.set_budget(task_id, limit)

    def _local(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_s(), self._zone)
