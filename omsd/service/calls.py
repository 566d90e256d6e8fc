"""What callers want of the ledger, after validation: one message per call, answered when it is committed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from omsd.domain import group_machine, task_machine
from omsd.domain.group import TaskGroup
from omsd.domain.model import (
    BandwidthWindow,
    Credentials,
    GroupId,
    Priority,
    Task,
    TaskCredentials,
    TaskId,
    TaskSpec,
)
from omsd.service.requests import Dialect


@dataclass(frozen=True, slots=True)
class CreateTask:
    """request_fingerprint: of everything asked for but secrets; request_id "" = none. dialect: whose quotas hold."""

    project_id: str
    spec: TaskSpec
    credentials: TaskCredentials
    priority: Priority
    windows: tuple[BandwidthWindow, ...]
    request_id: str
    request_fingerprint: str
    dialect: Dialect = Dialect.V2


@dataclass(frozen=True, slots=True)
class ChangeTask:
    """credentials: with Start only."""

    project_id: str
    task_id: TaskId
    event: task_machine.Call
    credentials: TaskCredentials | None = None


@dataclass(frozen=True, slots=True)
class ChangeTasks:
    """All or nothing. None: leave as it is. group_id: not these, but all tasks of the group."""

    project_id: str
    task_ids: tuple[TaskId, ...]
    windows: tuple[BandwidthWindow, ...] | None
    priority: Priority | None
    group_id: GroupId | None = None


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """spec: what its tasks are asked to do together. request_*: as in CreateTask."""

    project_id: str
    spec: TaskSpec
    credentials: TaskCredentials
    windows: tuple[BandwidthWindow, ...]
    request_id: str
    request_fingerprint: str


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """source, destination: keys with Start, and with Retry those that were given."""

    project_id: str
    group_id: GroupId
    event: group_machine.Call
    source: Credentials | None = None
    destination: Credentials | None = None


GroupWish = CreateGroup | ChangeGroup
Wish = CreateTask | ChangeTask | ChangeTasks | GroupWish
Made = Task | TaskGroup | None


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A wish and where its answer goes: the task or group that was created, None for the others, or the refusal."""

    wish: Wish
    reply: asyncio.Future[Made] = field(repr=False)

    def answer(self, result: Made) -> None:
        """The caller goes on with the result, if it still waits."""
        if not self.reply.done():
            self.reply.set_result(result)

    def refuse(self, error: Exception) -> None:
        """The caller gets the error, if it still waits."""
        if not self.reply.done():
            self.reply.set_exception(error)
