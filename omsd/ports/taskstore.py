"""Durable state of tasks: one transaction per commit, and what can be asked. The changes are in taskchanges.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from omsd.domain.errors import OmsdError
from omsd.domain.model import (
    Credentials,
    GroupId,
    ListPart,
    Location,
    ShardId,
    Task,
    TaskCredentials,
    TaskId,
    TaskState,
)
from omsd.domain.quotas import CreationKind
from omsd.domain.shards import KeptUpload, OpenUpload, Shard, ShardKind, UploadIntent
from omsd.ports.taskchanges import Change, FailedObject


class TaskStoreError(OmsdError):
    """The store cannot be opened, read or written; the message names the directory and what to do."""


class CorruptRowError(TaskStoreError):
    """A stored row does not agree with its fingerprint."""


class CredentialsUnreadableError(TaskStoreError):
    """Sealed credentials that this daemon's key does not open; the task needs new ones."""


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard that is not finished. already_listed: as in AddShards. large_key, leads: of a PARTS shard."""

    shard_id: ShardId
    already_listed: bool
    kind: ShardKind = ShardKind.RANGE
    large_key: str = ""
    leads: bool = False


@dataclass(frozen=True, slots=True)
class OpenUploads:
    """What a task has open at its destination. parts: sizes by number of each upload that is gone on with."""

    uploads: tuple[OpenUpload, ...] = ()
    intents: tuple[UploadIntent, ...] = ()
    parts: Mapping[OpenUpload, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """A page of a project's tasks, newest first. state None: any. name_part: substring, "" = any. group_id None: any, and none."""

    project_id: str
    offset: int
    limit: int
    state: TaskState | None = None
    name_part: str = ""
    group_id: GroupId | None = None


class TaskStore(Protocol):
    """One writer (the ledger), any number of readers. Every call raises TaskStoreError and nothing else."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """All changes are durable, in this order, or none is."""

    async def get_task(self, task_id: TaskId) -> Task | None:
        """The task; None if there is none."""

    async def find_request(self, project_id: str, request_id: str) -> Task | None:
        """The task that was made by this request."""

    async def list_tasks(self, query: TaskQuery) -> tuple[tuple[Task, ...], int]:
        """The page, and the number of all matches."""

    async def count_in(self, project_id: str, states: Sequence[TaskState]) -> int:
        """How many of the project's tasks are in one of these states."""

    async def count_created(self, project_id: str, kind: CreationKind, since_ms: int) -> int:
        """How many things of a kind the project has created later than this, at most a day ago; also those that are deleted."""

    async def created_at(self, project_id: str, kind: CreationKind, since_ms: int, place: int) -> int:
        """When one of them was created, counted from 0 for the oldest; 0 if there are not so many."""

    async def tasks_in(self, states: Sequence[TaskState]) -> tuple[Task, ...]:
        """Every task in one of these states, of all projects, oldest first."""

    async def credentials(self, task_id: TaskId) -> TaskCredentials | None:
        """Its keys; None if none are stored. Raises CredentialsUnreadableError."""

    async def open_shards(self, task_id: TaskId) -> tuple[OpenShard, ...]:
        """The shards that are not finished, in order."""

    async def get_shard(self, shard_id: ShardId) -> Shard:
        """The shard at its checkpoint. Raises CorruptRowError."""

    async def stale_uploads(self, task_id: TaskId, shard_id: ShardId) -> tuple[OpenUpload, ...]:
        """Open uploads of this shard that nobody goes on with, and those of the task whose shard is finished or gone."""

    async def stale_intents(self, task_id: TaskId, shard_id: ShardId) -> tuple[UploadIntent, ...]:
        """Intents likewise. known: also every upload of the key that is recorded."""

    async def kept_upload(self, task_id: TaskId, key: str) -> KeptUpload | None:
        """The upload of a destination key that is gone on with."""

    async def open_uploads(self, task_id: TaskId) -> OpenUploads:
        """Everything of the task that is recorded as open."""

    async def due_sweeps(self) -> tuple[TaskId, ...]:
        """The tasks whose uploads are to be aborted now."""

    async def get_sweep(self, task_id: TaskId) -> tuple[Location, Credentials] | None:
        """Destination and keys. Raises CredentialsUnreadableError."""

    async def failed_page(self, task_id: TaskId, after_row: int, limit: int) -> tuple[FailedObject, ...]:
        """Failed rows in the order they were stored, behind a row."""

    async def failure_tally(self, task_id: TaskId) -> Mapping[str, tuple[int, str]]:
        """Code -> (failures with it, message of the first), also when failed objects are not recorded."""

    async def list_parts(self, task_id: TaskId) -> tuple[ListPart, ...]:
        """The spooled files of the task's lists that are not settled, by list and number."""

    async def last_ids(self) -> tuple[TaskId, ShardId]:
        """The highest ids in use, 0 if there are none."""

    async def close(self) -> None:
        """Everything committed is in the file; another daemon may open it."""
