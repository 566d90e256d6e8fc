"""How running tasks share the workers: stride scheduling with weights 4:2:1."""

from __future__ import annotations

from collections.abc import Iterable

from omsd.domain.model import Priority, TaskId

WEIGHT = {Priority.HIGH: 4, Priority.MEDIUM: 2, Priority.LOW: 1}


class StrideShares:
    """Each lease moves a task on by 1/weight; who has moved least is next."""

    def __init__(self) -> None:
        self._passes: dict[TaskId, float] = {}
        self._strides: dict[TaskId, float] = {}
        self._now = 0.0

    def join(self, task_id: TaskId, priority: Priority) -> None:
        """The task shares from now on, without credit for the time before."""
        self._strides[task_id] = 1 / WEIGHT[priority]
        self._passes[task_id] = self._now

    def leave(self, task_id: TaskId) -> None:
        """The task shares no more."""
        self._strides.pop(task_id, None)
        self._passes.pop(task_id, None)

    def pick(self, candidates: Iterable[TaskId]) -> TaskId | None:
        """The candidate whose turn it is; it is charged for one lease. Ties go to the older task."""
        chosen = min(candidates, key=lambda task_id: (self._pass_of(task_id), task_id), default=None)
        if chosen is None:
            return None
        # A task that had nothing to run for a while does not save up turns.
        self._now = self._pass_of(chosen)
        self._passes[chosen] = self._now + self._strides[chosen]
        return chosen

    def _pass_of(self, task_id: TaskId) -> float:
        return max(self._passes[task_id], self._now)
