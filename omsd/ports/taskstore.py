"""Durable state of tasks: what may be changed (one transaction per commit) and what can be asked."""

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
    OutcomeKind,
    ShardId,
    Task,
    TaskCredentials,
    TaskId,
    TaskState,
)
from omsd.domain.quotas import CreationKind
from omsd.domain.shards import (
    Checkpoint,
    KeptUpload,
    OpenUpload,
    SentPart,
    Shard,
    ShardKind,
    UploadIntent,
    UploadPlan,
)
from omsd.ports.groupstore import GroupChange
from omsd.ports.notices import AddNotice, DropNotices


class TaskStoreError(OmsdError):
    """The store cannot be opened, read or written; the message names the directory and what to do."""


class CorruptRowError(TaskStoreError):
    """A stored row does not agree with its fingerprint."""


class CredentialsUnreadableError(TaskStoreError):
    """Sealed credentials that this daemon's key does not open; the task needs new ones."""


@dataclass(frozen=True, slots=True)
class FailedObject:
    """An object that could not be migrated in one run; row_id 0 until it is stored."""

    key: str
    size_bytes: int
    code: str
    message: str
    row_id: int = 0


@dataclass(frozen=True, slots=True)
class InsertTask:
    """A new task. Its request_id, if it has one, is unique in the project."""

    task: Task


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """Everything of the task but spec, name and request."""

    task: Task


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """The task and all that hangs on it, but for what a sweep still has to do."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class PutCredentials:
    """Sealed before they are written."""

    task_id: TaskId
    credentials: TaskCredentials


@dataclass(frozen=True, slots=True)
class DropCredentials:
    task_id: TaskId


@dataclass(frozen=True, slots=True)
class AddShards:
    """already_listed: their objects are in the task's listed counters (a retry of failed ones)."""

    shards: tuple[Shard, ...]
    already_listed: bool = False


@dataclass(frozen=True, slots=True)
class LeaseShard:
    """attempt: of the lease that begins now; stored before a worker hears of it."""

    shard_id: ShardId
    attempt: int


@dataclass(frozen=True, slots=True)
class AdvanceShard:
    shard_id: ShardId
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class NarrowShard:
    """The shard ends where it says now; nothing else of it changes."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class FinishShard:
    shard_id: ShardId


@dataclass(frozen=True, slots=True)
class DropShards:
    """All shards of the task."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class AddFailed:
    task_id: TaskId
    run: int
    objects: tuple[FailedObject, ...]


@dataclass(frozen=True, slots=True)
class DropFailed:
    """All failed rows of the task, and its tally."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class TallyFailures:
    """So many more failures with this code; the first message stays."""

    task_id: TaskId
    code: str
    failed_num: int
    message: str


@dataclass(frozen=True, slots=True)
class PutUpload:
    """plan: later leases go on with it, None = they abort it."""

    task_id: TaskId
    shard_id: ShardId
    upload: OpenUpload
    plan: UploadPlan | None = None


@dataclass(frozen=True, slots=True)
class DropUpload:
    """The upload and its parts."""

    task_id: TaskId
    upload: OpenUpload


@dataclass(frozen=True, slots=True)
class DropPlans:
    """No open upload of the task is gone on with; they are still open."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class PutParts:
    task_id: TaskId
    upload: OpenUpload
    parts: tuple[SentPart, ...]


@dataclass(frozen=True, slots=True)
class PutIntent:
    """Replaces the task's intent for the key."""

    task_id: TaskId
    shard_id: ShardId
    intent: UploadIntent


@dataclass(frozen=True, slots=True)
class DropIntent:
    task_id: TaskId
    key: str


@dataclass(frozen=True, slots=True)
class PutSweep:
    """The destination's keys, sealed, for as long as uploads of a task that does not work are open. due: they are to be aborted."""

    task_id: TaskId
    destination: Location
    credentials: Credentials
    due: bool


@dataclass(frozen=True, slots=True)
class RekeySweep:
    """If there is a sweep of the task it has these keys and is not due any more."""

    task_id: TaskId
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class DueSweep:
    """If there is a sweep of the task it is due."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class EndSweep:
    """What was to be swept is gone; the sweep stays if something else was left to it meanwhile."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class DropSweep:
    task_id: TaskId


@dataclass(frozen=True, slots=True)
class PutListPart:
    """The spooled file of a list reaches as far as the part says."""

    task_id: TaskId
    part: ListPart


@dataclass(frozen=True, slots=True)
class DropListPart:
    task_id: TaskId
    kind: OutcomeKind
    number: int


@dataclass(frozen=True, slots=True)
class DropListParts:
    """All of the task, or those of one list."""

    task_id: TaskId
    kind: OutcomeKind | None = None


@dataclass(frozen=True, slots=True)
class NoteCreation:
    """Counts against the project's quota for a day, whatever becomes of what was created."""

    project_id: str
    kind: CreationKind
    created_ms: int


Change = (
    InsertTask
    | UpdateTask
    | DeleteTask
    | PutCredentials
    | DropCredentials
    | AddShards
    | LeaseShard
    | AdvanceShard
    | NarrowShard
    | FinishShard
    | DropShards
    | AddFailed
    | DropFailed
    | TallyFailures
    | PutUpload
    | DropUpload
    | DropPlans
    | PutParts
    | PutIntent
    | DropIntent
    | PutSweep
    | RekeySweep
    | DueSweep
    | DropSweep
    | EndSweep
    | PutListPart
    | DropListPart
    | DropListParts
    | NoteCreation
    | AddNotice
    | DropNotices
    | GroupChange
)


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

    @property
    def moment(self) -> int:
        """Another one after each write, and while one is under way: what was read in a moment is still so in the same."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """All changes are durable, in this order, or none is."""

    async def get_task(self, task_id: TaskId) -> Task | None: ...

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

    async def credentials(self, task_id: TaskId) -> TaskCredentials | None: ...

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

    async def due_sweeps(self) -> tuple[TaskId, ...]: ...

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
