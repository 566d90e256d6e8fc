"""Synchronization tasks in the SQLite file: what is committed is there again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from omsd.domain.model import (
    CloudType,
    Credentials,
    Location,
    OverwriteMode,
    TaskCredentials,
    TaskSpec,
    TaskType,
)
from omsd.domain.shards import OpenUpload
from omsd.domain.sync import EventId, KeyNames, SyncEvent, SyncNumber, SyncState, SyncTask, SyncTaskId
from omsd.domain.sync_figures import Figures, TimedFigures
from omsd.ports.syncstore import (
    AddEvents,
    AddFigures,
    DeleteSync,
    DropEvents,
    DropSyncCredentials,
    DropSyncUpload,
    InsertSync,
    PutRestore,
    PutSyncCredentials,
    PutSyncSecret,
    PutSyncUpload,
    UpdateSync,
)
from omsd.ports.taskstore import CorruptRowError, CredentialsUnreadableError, TaskStoreError
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from omsd.store.syncs import SqliteSyncStore

KEYS = TaskCredentials(Credentials("AK1", "SECRET1", "TOKEN"), Credentials("AK2", "SECRET2"))
NUMBER = SyncNumber(3)


def task(number: int = NUMBER, **changes: object) -> SyncTask:
    spec = TaskSpec(
        Location(CloudType.ALIYUN, "r1", "from"),
        Location(CloudType.HUAWEI, "r2", "into", "https://h"),
        TaskType.OBJECT,
        (),
        overwrite_mode=OverwriteMode.CRC64,
        encrypt_kms=True,
    )
    made = SyncTask(
        SyncNumber(number), SyncTaskId(f"id-{number}"), "p", spec, SyncState.SYNCHRONIZING, 10, 20, True
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def events(*keys: str) -> tuple[SyncEvent, ...]:
    return tuple(SyncEvent(EventId(n), KeyNames(key, "+"), 7) for n, key in enumerate(keys, start=1))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTaskStore]:
    store = await SqliteTaskStore.open(tmp_path)
    yield store
    await store.close()


@pytest.fixture
def syncs(store: SqliteTaskStore) -> SqliteSyncStore:
    return SqliteSyncStore(store)


async def test_tasks_events_uploads_and_figures_are_there_after_a_restart(tmp_path: Path) -> None:
    store = await SqliteTaskStore.open(tmp_path)
    upload = OpenUpload("k", "u1")
    await SqliteSyncStore(store).commit(
        [
            InsertSync(task()),
            PutSyncCredentials(task(), KEYS),
            AddEvents(NUMBER, events("a", "b", "c")),
            AddFigures(NUMBER, TimedFigures(300_000, Figures(3, 0, 0, 0, 0))),
            PutSyncUpload(NUMBER, EventId(2), upload),
            PutSyncUpload(NUMBER, EventId(2), OpenUpload("k", "u2")),
        ]
    )
    await SqliteSyncStore(store).commit(
        [
            DropEvents((EventId(1), EventId(3))),
            PutRestore(EventId(2), 99.5),
            AddFigures(NUMBER, TimedFigures(300_000, Figures(0, 2, 0, 0, 50))),
            AddFigures(NUMBER, TimedFigures(600_000, Figures(0, 0, 1, 1, 0))),
            DropSyncUpload(NUMBER, upload),
            UpdateSync(task(state=SyncState.STOPPED, last_started_ms=77)),
        ]
    )
    await store.close()
    store = await SqliteTaskStore.open(tmp_path)
    syncs = SqliteSyncStore(store)
    assert await syncs.tasks() == (task(state=SyncState.STOPPED, last_started_ms=77),)
    assert await syncs.credentials(task()) == KEYS
    assert await syncs.events(NUMBER) == (replace(events("a", "b")[1], restore_since_s=99.5),)
    assert await syncs.uploads(NUMBER) == ((EventId(2), OpenUpload("k", "u2")),)
    fine = (TimedFigures(300_000, Figures(3, 2, 0, 0, 50)), TimedFigures(600_000, Figures(0, 0, 1, 1, 0)))
    assert await syncs.figures(NUMBER, 300_000, 600_001) == fine
    assert await syncs.figures(NUMBER, 300_001, 600_000) == ()
    assert await syncs.total(NUMBER, 0, 10**9) == (Figures(3, 2, 1, 1, 50), 1)
    assert await syncs.total(NUMBER, 0, 300_000) == (Figures(), 1)
    assert await syncs.last_ids() == (NUMBER, EventId(2))
    await store.close()


async def test_a_deleted_task_leaves_nothing(
    syncs: SqliteSyncStore, store: SqliteTaskStore, tmp_path: Path
) -> None:
    await syncs.commit(
        [
            InsertSync(task()),
            InsertSync(task(4)),
            PutSyncCredentials(task(), KEYS),
            AddEvents(NUMBER, events("a")),
            AddFigures(NUMBER, TimedFigures(0, Figures(1))),
            PutSyncUpload(NUMBER, EventId(1), OpenUpload("k", "u")),
            PutSyncSecret(NUMBER, bytes(32)),
            PutSyncSecret(SyncNumber(4), b"other"),
        ]
    )
    await syncs.commit([DeleteSync(NUMBER)])
    assert await syncs.tasks() == (task(4),)
    assert await syncs.secrets() == {4: b"other"}
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as other, other:
        for table in ("sync_credentials", "sync_events", "sync_uploads", "sync_figures"):
            assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    other.close()


async def test_all_of_a_commit_is_stored_or_nothing(syncs: SqliteSyncStore) -> None:
    await syncs.commit([InsertSync(task())])
    with pytest.raises(TaskStoreError):
        await syncs.commit([AddEvents(NUMBER, events("a")), InsertSync(task())])
    assert await syncs.events(NUMBER) == ()


async def test_commits_of_both_kinds_at_once_take_turns(
    syncs: SqliteSyncStore, store: SqliteTaskStore
) -> None:
    await syncs.commit([InsertSync(task())])

    async def accept(number: int) -> None:
        await syncs.commit([AddEvents(NUMBER, (SyncEvent(EventId(number), KeyNames("k"), 0),))])

    async with asyncio.TaskGroup() as group:
        for number in range(1, 30):
            group.create_task(accept(number))
            group.create_task(store.commit([]))
    assert [event.event_id for event in await syncs.events(NUMBER)] == list(range(1, 30))


async def test_keys_are_sealed_for_their_task_and_dropped_on_demand(
    syncs: SqliteSyncStore, tmp_path: Path
) -> None:
    await syncs.commit([InsertSync(task()), InsertSync(task(4)), PutSyncCredentials(task(), KEYS)])
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as other, other:
        (sealed,) = other.execute("SELECT sealed FROM sync_credentials").fetchone()
        assert b"SECRET1" not in sealed
        other.execute("INSERT INTO sync_credentials VALUES (4, ?)", (sealed,))
    other.close()
    with pytest.raises(CredentialsUnreadableError):
        await syncs.credentials(task(4))
    await syncs.commit([DropSyncCredentials(NUMBER)])
    assert await syncs.credentials(task()) is None


async def test_a_damaged_row_is_named(syncs: SqliteSyncStore, tmp_path: Path) -> None:
    await syncs.commit([InsertSync(task())])
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as other, other:
        other.execute("UPDATE sync_tasks SET spec = '{'")
    other.close()
    with pytest.raises(CorruptRowError, match="id-3"):
        await syncs.tasks()


async def test_the_newest_digest_of_a_secret_counts(syncs: SqliteSyncStore) -> None:
    await syncs.commit([InsertSync(task()), PutSyncSecret(NUMBER, b"old"), PutSyncSecret(NUMBER, b"new")])
    assert await syncs.secrets() == {NUMBER: b"new"}
