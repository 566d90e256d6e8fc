"""A state directory of an earlier release is opened by this one: every row of every table is there, and means what it meant."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from omsd.domain.model import ListPart, OutcomeKind, ShardId, TaskId, TaskState
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
from omsd.domain.sync import EventId
from omsd.domain.sync_figures import Figures, TimedFigures
from omsd.ports.syncstore import AddEvents, AddFigures, InsertSync, PutSyncCredentials, PutSyncUpload
from omsd.ports.taskchanges import (
    AddFailed,
    AddShards,
    AdvanceShard,
    FailedObject,
    InsertTask,
    PutCredentials,
    PutIntent,
    PutListPart,
    PutParts,
    PutSweep,
    PutUpload,
    TallyFailures,
)
from omsd.store.groups import SqliteGroupStore
from omsd.store.notices import SqliteNoticeStore
from omsd.store.sql import load_migrations
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from omsd.store.syncs import SqliteSyncStore
from tests.store.harness import KEYS, new_task
from tests.store.test_syncs import NUMBER, events
from tests.store.test_syncs import task as sync_task

Rows = dict[str, list[dict[str, object]]]

# What the specs of the first release had no word for.
NEWER_IN_SPECS = ("smn", "after", "until", "thread_num")
TASK = new_task(state=TaskState.MIGRATING, request_id="once", planned=True, parts_size_bytes=10)
RANGE = Shard(ShardId(1), TASK.task_id, 1, ShardKind.RANGE, after="a", until="m")
CHECKPOINT = Checkpoint(3, "c")
PLAN, PART = UploadPlan("etag", 2**30, 2**25), SentPart(1, 10, "e1", 2**64 - 1, None)
KEPT = OpenUpload("large", "u1")
EVENT = events("a")[0]
FIGURES = TimedFigures(300_000, Figures(3, 2, 1, 0, 50))


async def fill(state_dir: Path) -> None:
    """Something in every table that the first release had."""
    store = await SqliteTaskStore.open(state_dir)
    task_id = TASK.task_id
    await store.commit(
        [
            InsertTask(TASK),
            InsertTask(new_task(2, state=TaskState.SUCCEEDED)),
            PutCredentials(task_id, KEYS),
            AddShards((RANGE,)),
            AdvanceShard(RANGE.shard_id, CHECKPOINT),
            AddFailed(task_id, 1, (FailedObject("k", 7, "TRF.0152", "no"),)),
            TallyFailures(task_id, "TRF.0152", 1, "no"),
            PutUpload(task_id, RANGE.shard_id, KEPT, PLAN),
            PutParts(task_id, KEPT, (PART,)),
            PutIntent(task_id, RANGE.shard_id, UploadIntent("small", 5.5, (), 2)),
            PutSweep(TaskId(9), TASK.spec.destination, KEYS.destination, due=True),
            PutListPart(task_id, ListPart(OutcomeKind.SUCCESS, 1, 100, 80, 3)),
        ]
    )
    await SqliteSyncStore(store).commit(
        [
            InsertSync(sync_task()),
            PutSyncCredentials(sync_task(), KEYS),
            AddEvents(NUMBER, (EVENT,)),
            PutSyncUpload(NUMBER, EVENT.event_id, OpenUpload("a", "u2")),
            AddFigures(NUMBER, FIGURES),
        ]
    )
    await store.close()


def rows_of(path: Path, columns: dict[str, list[str]] | None = None) -> Rows:
    """All rows by table; of each table these columns, if they are given."""
    with closing(sqlite3.connect(path)) as database, database:
        database.row_factory = sqlite3.Row
        tables = columns or {table: ["*"] for table in _tables(database)}
        return {
            table: [dict(row) for row in database.execute(f"SELECT {', '.join(names)} FROM {table}")]
            for table, names in tables.items()
        }


def _tables(database: sqlite3.Connection) -> list[str]:
    found = database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return [row[0] for row in found]


def as_of(state_dir: Path, version: int) -> dict[str, list[str]]:
    """The database is what a program that knew so many migrations would have written. Its tables, and their columns."""
    path = state_dir / DATABASE_FILE
    rows = rows_of(path)
    for left in state_dir.glob(f"{DATABASE_FILE}*"):
        left.unlink()
    columns: dict[str, list[str]] = {}
    with closing(sqlite3.connect(path)) as database, database:
        for script in load_migrations()[:version]:
            database.executescript(script)
        for table in _tables(database):
            columns[table] = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            names = columns[table]
            for row in rows[table]:
                if version == 1 and "spec" in row:
                    row["spec"] = _older(str(row["spec"]))
                marks = ", ".join("?" * len(names))
                values = [row[name] for name in names]
                database.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
        database.execute(f"PRAGMA user_version = {version}")
    return columns


def _older(spec: str) -> str:
    return json.dumps({name: value for name, value in json.loads(spec).items() if name not in NEWER_IN_SPECS})


@pytest.mark.parametrize("version", range(1, len(load_migrations())))
async def test_what_an_earlier_schema_had_is_all_there(tmp_path: Path, version: int) -> None:
    await fill(tmp_path)
    columns = as_of(tmp_path, version)
    before = rows_of(tmp_path / DATABASE_FILE, columns)
    if version == 1:
        assert [table for table, rows in before.items() if not rows] == []
    store = await SqliteTaskStore.open(tmp_path)
    await store.close()
    after = rows_of(tmp_path / DATABASE_FILE, columns)
    # Which creations count is told anew by the migration that began to count them.
    for table in before.keys() - {"creations"}:
        assert after[table] == before[table], table
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as database, database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(load_migrations()),)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_the_first_release_is_read_as_it_was_written(tmp_path: Path) -> None:
    await fill(tmp_path)
    as_of(tmp_path, 1)
    store = await SqliteTaskStore.open(tmp_path)
    task_id = TASK.task_id
    assert await store.get_task(task_id) == TASK
    assert await store.find_request(TASK.project_id, "once") == TASK
    assert await store.credentials(task_id) == KEYS
    (shard,) = await store.open_shards(task_id)
    assert shard.shard_id == RANGE.shard_id
    found = await store.get_shard(RANGE.shard_id)
    assert (found.after, found.until, found.checkpoint) == ("a", "m", CHECKPOINT)
    assert [failed.key for failed in await store.failed_page(task_id, 0, 9)] == ["k"]
    assert await store.failure_tally(task_id) == {"TRF.0152": (1, "no")}
    assert await store.kept_upload(task_id, "large") == KeptUpload(KEPT, PLAN, (PART,))
    assert [intent.key for intent in (await store.open_uploads(task_id)).intents] == ["small"]
    assert await store.due_sweeps() == (TaskId(9),)
    assert await store.get_sweep(TaskId(9)) == (TASK.spec.destination, KEYS.destination)
    assert [part.text_bytes for part in await store.list_parts(task_id)] == [80]
    assert await store.last_ids() == (TaskId(2), ShardId(1))
    # They were created before anybody counted, and count.
    assert await store.count_created(TASK.project_id, CreationKind.TASK, 0) == 2

    syncs = SqliteSyncStore(store)
    assert await syncs.tasks() == (sync_task(),)
    assert await syncs.credentials(sync_task()) == KEYS
    assert await syncs.events(NUMBER) == (EVENT,)
    assert await syncs.uploads(NUMBER) == ((EventId(1), OpenUpload("a", "u2")),)
    assert await syncs.figures(NUMBER, 0, 10**9) == (FIGURES,)
    assert await SqliteGroupStore(store).unfinished_groups() == ()
    assert await SqliteNoticeStore(store).smn_infos([]) == {}
    await store.close()
