"""Which waiting task is next: HIGH before MEDIUM before LOW, first come first served inside; who waits long rises."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import count

from omsd.domain.model import Priority, TaskId

_CLASS = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}


@dataclass(frozen=True, slots=True)
class Waiting:
    """since_s: monotonic. turn: order of arrival. project_id: whose quota it takes a slot of."""

    task_id: TaskId
    priority: Priority
    since_s: float
    turn: int
    project_id: str = ""


class WaitingQueue:
    """Waiting tasks; each aging_s of waiting lifts a task by one class, so that LOW is never starved."""

    def __init__(self, *, aging_s: float) -> None:
        self._aging_s = aging_s
        self._waiting: dict[TaskId, Waiting] = {}
        self._turns = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, task_id: TaskId) -> bool:
        return task_id in self._waiting

    def add(self, task_id: TaskId, priority: Priority, now_s: float, *, project_id: str = "") -> None:
        """The task waits, behind all others of its class."""
        self._waiting[task_id] = Waiting(task_id, priority, now_s, next(self._turns), project_id)

    def remove(self, task_id: TaskId) -> None:
        """The task waits no longer; one that did not is no error."""
        self._waiting.pop(task_id, None)

    def set_priority(self, task_id: TaskId, priority: Priority) -> None:
        """A waiting task changes its class and keeps its time of arrival."""
        if task_id in self._waiting:
            self._waiting[task_id] = replace(self._waiting[task_id], priority=priority)

    def pop(
        self, now_s: float, *, not_yet: Collection[TaskId] = (), full: Collection[str] = ()
    ) -> TaskId | None:
        """Take the next task, passing over those that may not run yet and those of projects that are full; None if there is none."""
        ready = [
            waiting
            for waiting in self._waiting.values()
            if waiting.task_id not in not_yet and waiting.project_id not in full
        ]
        if not ready:
            return None
        first = min(ready, key=lambda waiting: (self._class_now(waiting, now_s), waiting.turn))
        del self._waiting[first.task_id]
        return first.task_id

    def _class_now(self, waiting: Waiting, now_s: float) -> int:
        risen = int(max(0.0, now_s - waiting.since_s) / self._aging_s)
        return max(0, _CLASS[waiting.priority] - risen)
