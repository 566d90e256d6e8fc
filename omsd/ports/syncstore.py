"""Durable state of synchronization tasks: tasks, accepted events, figures; one transaction per commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from omsd.domain.model import TaskCredentials
from omsd.domain.shards import OpenUpload, UploadIntent
from omsd.domain.sync import EventId, SyncEvent, SyncNumber, SyncTask
from omsd.domain.sync_figures import Figures, TimedFigures
from omsd.ports.taskchanges import DropIntent, DropUpload, PutIntent, PutSweep, PutUpload


@dataclass(frozen=True, slots=True)
class InsertSync:
    """A new task."""

    task: SyncTask


@dataclass(frozen=True, slots=True)
class UpdateSync:
    """State and start; nothing else of a task changes."""

    task: SyncTask


@dataclass(frozen=True, slots=True)
class DeleteSync:
    """The task and all that hangs on it."""

    number: SyncNumber


@dataclass(frozen=True, slots=True)
class PutSyncCredentials:
    """Sealed before they are written."""

    task: SyncTask
    credentials: TaskCredentials


@dataclass(frozen=True, slots=True)
class DropSyncCredentials:
    """No keys of the task are stored any more."""

    number: SyncNumber


@dataclass(frozen=True, slots=True)
class PutSyncSecret:
    """digest: of the secret with which notifications come."""

    number: SyncNumber
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddEvents:
    """The events are accepted: they outlive the process."""

    number: SyncNumber
    events: tuple[SyncEvent, ...]


@dataclass(frozen=True, slots=True)
class PutRestore:
    """The restore of the event's object was first asked for then."""

    event_id: EventId
    restore_since_s: float


@dataclass(frozen=True, slots=True)
class DropEvents:
    """The events are finished."""

    event_ids: tuple[EventId, ...]


@dataclass(frozen=True, slots=True)
class AddFigures:
    """These figures come on top of those of the interval that begins at start_ms."""

    number: SyncNumber
    timed: TimedFigures


@dataclass(frozen=True, slots=True)
class PutSyncUpload:
    """An upload is open for the event."""

    number: SyncNumber
    event_id: EventId
    upload: OpenUpload


@dataclass(frozen=True, slots=True)
class DropSyncUpload:
    """The upload is completed or aborted."""

    number: SyncNumber
    upload: OpenUpload


@dataclass(frozen=True, slots=True)
class PutSyncIntent:
    """Replaces the task's intent for the key."""

    number: SyncNumber
    event_id: EventId
    intent: UploadIntent


@dataclass(frozen=True, slots=True)
class DropSyncIntent:
    """Nothing is left of the intent for the key."""

    number: SyncNumber
    key: str


# What a task leaves to the sweeper, under the number that workers know it by.
LeftChange = PutUpload | DropUpload | PutIntent | DropIntent | PutSweep


SyncChange = (
    InsertSync
    | UpdateSync
    | DeleteSync
    | PutSyncCredentials
    | DropSyncCredentials
    | PutSyncSecret
    | AddEvents
    | PutRestore
    | DropEvents
    | AddFigures
    | PutSyncUpload
    | DropSyncUpload
    | PutSyncIntent
    | DropSyncIntent
    | LeftChange
)


class SyncStore(Protocol):
    """One writer (the sync ledger), any number of readers. Every call raises TaskStoreError and nothing else."""

    async def commit(self, changes: Sequence[SyncChange]) -> None:
        """All changes are durable, in this order, or none is."""

    async def tasks(self) -> tuple[SyncTask, ...]:
        """Every task of all projects, oldest first."""

    async def credentials(self, task: SyncTask) -> TaskCredentials | None:
        """Raises CredentialsUnreadableError if this daemon's key does not open them."""

    async def secrets(self) -> Mapping[SyncNumber, bytes]:
        """Digests of the event secrets of all tasks that have one."""

    async def events(self, number: SyncNumber) -> tuple[SyncEvent, ...]:
        """What is not finished, in the order accepted."""

    async def uploads(self, number: SyncNumber) -> tuple[tuple[EventId, OpenUpload], ...]:
        """Multipart uploads of ours that may be open at the destination."""

    async def intents(self, number: SyncNumber) -> tuple[tuple[EventId, UploadIntent], ...]:
        """Creations of uploads that may have left one."""

    async def recorded_uploads(self, key: str) -> tuple[str, ...]:
        """Ids of uploads of the destination key that are recorded as open, of tasks of any kind."""

    async def figures(self, number: SyncNumber, start_ms: int, end_ms: int) -> tuple[TimedFigures, ...]:
        """Of the intervals that begin in [start_ms, end_ms), oldest first."""

    async def total(self, number: SyncNumber, start_ms: int, end_ms: int) -> tuple[Figures, int]:
        """Their sum, and how many events were not finished at the same moment."""

    async def last_ids(self) -> tuple[SyncNumber, EventId]:
        """The highest in use, 0 if there are none."""
