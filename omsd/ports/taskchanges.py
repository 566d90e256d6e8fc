"""What may be changed in the durable state of tasks; a commit of taskstore.py takes any number of these."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.model import (
    Credentials,
    ListPart,
    Location,
    OutcomeKind,
    ShardId,
    Task,
    TaskCredentials,
    TaskId,
)
from omsd.domain.quotas import CreationKind
from omsd.domain.shards import Checkpoint, OpenUpload, SentPart, Shard, UploadIntent, UploadPlan
from omsd.ports.groupstore import GroupChange
from omsd.ports.notices import AddNotice, DropNotices


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
    """No keys of the task are stored any more."""

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
    """What the next lease of the shard need not do again."""

    shard_id: ShardId
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class NarrowShard:
    """The shard ends where it says now; nothing else of it changes."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class FinishShard:
    """The shard is accounted for to its end."""

    shard_id: ShardId


@dataclass(frozen=True, slots=True)
class DropShards:
    """All shards of the task."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class AddFailed:
    """Failed objects of a run, to be retried alone."""

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
    """Parts of an upload that is gone on with; a repeated number replaces the earlier one."""

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
    """Nothing is left of the intent for the key."""

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
    """Nothing of the task is to be swept; its keys are gone."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class PutListPart:
    """The spooled file of a list reaches as far as the part says."""

    task_id: TaskId
    part: ListPart


@dataclass(frozen=True, slots=True)
class DropListPart:
    """The file of a list is stored at the destination, or given up."""

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
