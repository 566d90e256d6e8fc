"""Synchronization tasks in the SQLite file: rows and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from omsd.domain.model import TaskCredentials
from omsd.domain.shards import OpenUpload, UploadIntent
from omsd.domain.sync import (
    EventId,
    KeyNames,
    SyncEvent,
    SyncNumber,
    SyncState,
    SyncTask,
    SyncTaskId,
    work_id_of,
)
from omsd.domain.sync_figures import Figures, TimedFigures
from omsd.ports.syncstore import (
    AddEvents,
    AddFigures,
    DeleteSync,
    DropEvents,
    DropSyncCredentials,
    DropSyncIntent,
    DropSyncUpload,
    InsertSync,
    PutRestore,
    PutSyncCredentials,
    PutSyncIntent,
    PutSyncSecret,
    PutSyncUpload,
    SyncChange,
    UpdateSync,
)
from omsd.ports.taskchanges import DropIntent, DropUpload, PutIntent, PutSweep, PutUpload
from omsd.ports.taskstore import CorruptRowError
from omsd.store.rows import Row, spec_from_json, spec_to_json
from omsd.store.sqlite import SqliteTaskStore
from omsd.store.uploadrows import Writes, intent_from_row, intent_row, sweep_writes, upload_writes
from omsd.store.writes import Write


class SqliteSyncStore:
    """SyncStore in the file of a task store, whose connections it shares."""

    def __init__(self, store: SqliteTaskStore) -> None:
        self._store = store

    async def commit(self, changes: Sequence[SyncChange]) -> None:
        """All changes are durable, in this order, or none is."""
        await self._store.write(self._writes_of(changes))

    async def tasks(self) -> tuple[SyncTask, ...]:
        """Every task of all projects, oldest first."""
        return tuple(map(_task_from_row, await self._store.read("sync_tasks", {})))

    async def credentials(self, task: SyncTask) -> TaskCredentials | None:
        """Raises CredentialsUnreadableError if this daemon's key does not open them."""
        rows = await self._store.read("sync_credentials", {"number": task.number})
        return self._store.sealer.unseal(task.work_id, rows[0]["sealed"]) if rows else None

    async def secrets(self) -> Mapping[SyncNumber, bytes]:
        """Digests of the event secrets of all tasks that have one."""
        rows = await self._store.read("sync_secrets", {})
        return {SyncNumber(row["number"]): bytes(row["digest"]) for row in rows}

    async def events(self, number: SyncNumber) -> tuple[SyncEvent, ...]:
        """What is not finished, in the order accepted."""
        rows = await self._store.read("sync_events", {"number": number})
        return tuple(
            SyncEvent(
                EventId(row["event_id"]),
                KeyNames(row["key"], row["literal"]),
                row["accepted_ms"],
                row["restore_since_s"],
            )
            for row in rows
        )

    async def uploads(self, number: SyncNumber) -> tuple[tuple[EventId, OpenUpload], ...]:
        """Multipart uploads of ours that may be open at the destination."""
        rows = await self._store.read("sync_uploads", {"number": number})
        return tuple((EventId(row["event_id"]), OpenUpload(row["key"], row["upload_id"])) for row in rows)

    async def intents(self, number: SyncNumber) -> tuple[tuple[EventId, UploadIntent], ...]:
        """Creations of uploads that may have left one."""
        rows = await self._store.read("sync_intents", {"number": number})
        return tuple((EventId(row["event_id"]), intent_from_row(row, ())) for row in rows)

    async def recorded_uploads(self, key: str) -> tuple[str, ...]:
        """Ids of uploads of the destination key that are recorded as open, of tasks of any kind."""
        return tuple(row["upload_id"] for row in await self._store.read("uploads_of_key", {"key": key}))

    async def figures(self, number: SyncNumber, start_ms: int, end_ms: int) -> tuple[TimedFigures, ...]:
        """Of the intervals that begin in [start_ms, end_ms), oldest first."""
        rows = await self._store.read("sync_figures", _span(number, start_ms, end_ms))
        return tuple(TimedFigures(row["start_ms"], _figures_from_row(row)) for row in rows)

    async def total(self, number: SyncNumber, start_ms: int, end_ms: int) -> tuple[Figures, int]:
        """Their sum, and how many events were not finished at the same moment."""
        (row,) = await self._store.read("sync_total", _span(number, start_ms, end_ms))
        return _figures_from_row(row), row["queued_num"]

    async def last_ids(self) -> tuple[SyncNumber, EventId]:
        """The highest in use, 0 if there are none."""
        rows = await self._store.read("sync_last_ids", {"first_work_id": work_id_of(SyncNumber(0))})
        return SyncNumber(rows[0][0]), EventId(rows[0][1])

    def _writes_of(self, changes: Sequence[SyncChange]) -> Iterator[Write]:
        for change in changes:
            match change:
                case PutSyncCredentials(task, credentials):
                    sealed = self._store.sealer.seal(task.work_id, credentials)
                    yield "put_sync_credentials", [{"number": task.number, "sealed": sealed}]
                case InsertSync(task):
                    yield "insert_sync", [_task_to_row(task)]
                case UpdateSync(task):
                    yield "update_sync", [_task_to_row(task)]
                case PutUpload() | DropUpload() | PutIntent() | DropIntent():
                    yield from _listed(upload_writes(change))
                case PutSweep():
                    yield from _listed(sweep_writes(change, self._store.sealer))
                case _:
                    yield _write_of(change)


def _listed(writes: Writes) -> Iterator[Write]:
    return ((name, list(rows)) for name, rows in writes)


def _write_of(
    change: DeleteSync
    | DropSyncCredentials
    | PutSyncSecret
    | AddEvents
    | PutRestore
    | DropEvents
    | AddFigures
    | PutSyncUpload
    | DropSyncUpload
    | PutSyncIntent
    | DropSyncIntent,
) -> Write:
    match change:
        case DeleteSync(number):
            return "delete_sync", [{"number": number}]
        case DropSyncCredentials(number):
            return "drop_sync_credentials", [{"number": number}]
        case PutSyncSecret(number, digest):
            return "put_sync_secret", [{"number": number, "digest": digest}]
        case AddEvents(number, events):
            return "add_sync_event", [
                {
                    "event_id": event.event_id,
                    "number": number,
                    "key": event.names.key,
                    "literal": event.names.literal,
                    "accepted_ms": event.accepted_ms,
                    "restore_since_s": event.restore_since_s,
                }
                for event in events
            ]
        case PutRestore(event_id, restore_since_s):
            return "put_sync_restore", [{"event_id": event_id, "restore_since_s": restore_since_s}]
        case DropEvents(event_ids):
            return "drop_sync_event", [{"event_id": event_id} for event_id in event_ids]
        case AddFigures(number, timed):
            return "add_sync_figures", [
                {"number": number, "start_ms": timed.start_ms, **asdict(timed.figures)}
            ]
        case PutSyncUpload(number, event_id, upload):
            return "put_sync_upload", [{"number": number, "event_id": event_id, **asdict(upload)}]
        case DropSyncUpload(number, upload):
            return "drop_sync_upload", [{"number": number, **asdict(upload)}]
        case PutSyncIntent(number, event_id, intent):
            return "put_sync_intent", [{"number": number, "event_id": event_id, **intent_row(intent)}]
        case DropSyncIntent(number, key):
            return "drop_sync_intent", [{"number": number, "key": key}]


def _span(number: SyncNumber, start_ms: int, end_ms: int) -> Row:
    return {"number": number, "start_ms": start_ms, "end_ms": end_ms}


def _task_to_row(task: SyncTask) -> Row:
    return {
        "number": task.number,
        "sync_task_id": task.sync_task_id,
        "project_id": task.project_id,
        "spec": spec_to_json(task.spec),
        "deletes": int(task.deletes),
        "state": task.state.value,
        "created_ms": task.created_ms,
        "last_started_ms": task.last_started_ms,
    }


def _task_from_row(row: sqlite3.Row) -> SyncTask:
    """Raises CorruptRowError if the row cannot be read."""
    try:
        return SyncTask(
            number=SyncNumber(row["number"]),
            sync_task_id=SyncTaskId(row["sync_task_id"]),
            project_id=row["project_id"],
            spec=spec_from_json(row["spec"]),
            state=SyncState(row["state"]),
            created_ms=row["created_ms"],
            last_started_ms=row["last_started_ms"],
            deletes=bool(row["deletes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRowError(
            f"the stored row of synchronization task {row['sync_task_id']} is damaged: {error}"
        ) from error


def _figures_from_row(row: sqlite3.Row) -> Figures:
    return Figures(
        row["request_num"], row["success_num"], row["failure_num"], row["skip_num"], row["size_bytes"]
    )
