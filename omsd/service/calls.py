"""What callers want of the ledger, after validation: one message per call, answered when it is committed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from omsd.domain import task_machine
from omsd.domain.model import BandwidthWindow, Priority, Task, TaskCredentials, TaskId, TaskSpec


@dataclass(frozen=True, slots=True)
class CreateTask:
    """request_fingerprint: of everything asked for but secrets; request_id "" = none."""

    project_id: str
    spec: TaskSpec
    credentials: TaskCredentials
    priority: Priority
    windows: tuple[BandwidthWindow, ...]
    request_id: str
    request_fingerprint: str


@dataclass(frozen=True, slots=True)
class ChangeTask:
    """credentials: with Start only."""

    project_id: str
    task_id: TaskId
    event: task_machine.Call
    credentials: TaskCredentials | None = None


@dataclass(frozen=True, slots=True)
class ChangeTasks:
    """All or nothing. None: leave as it is."""

    project_id: str
    task_ids: tuple[TaskId, ...]
    windows: tuple[BandwidthWindow, ...] | None
    priority: Priority | None


Wish = CreateTask | ChangeTask | ChangeTasks


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A wish and where its answer goes: the task that was created, None for the others, or the refusal."""

    wish: Wish
    reply: asyncio.Future[Task | None] = field(repr=False)

    def answer(self, result: Task | None) -> None:
        if not self.reply.done():
            self.reply.set_result(result)

    def refuse(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)
