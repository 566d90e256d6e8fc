"""The SQLite store: what is committed is there again, what is damaged is noticed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from omsd.domain.model import Counters, ListFileRef, Priority, ShardId, TaskId, TaskState, TaskType
from omsd.domain.notices import NoticeLanguage, SmnConfig, Trigger
from omsd.domain.shards import Checkpoint, ManifestSpan, OpenUpload, Shard, ShardKind
from omsd.ports.taskchanges import (
    AddFailed,
    AddShards,
    AdvanceShard,
    DeleteTask,
    DropFailed,
    DropShards,
    FailedObject,
    FinishShard,
    InsertTask,
    LeaseShard,
    NarrowShard,
    PutCredentials,
    PutUpload,
    TallyFailures,
    UpdateTask,
)
from omsd.ports.taskstore import CorruptRowError, OpenShard, TaskQuery, TaskStoreError
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from tests.store.harness import KEYS, SPEC, new_task, reopen


async def test_a_task_comes_back_as_it_was(tmp_path: Path) -> None:
    store = await SqliteTaskStore.open(tmp_path)
    task = new_task(request_id="r", request_fingerprint="f")
    await store.commit([InsertTask(task)])
    changed = replace(
        task,
        state=TaskState.FAILED,
        run=2,
        started_ms=3,
        ended_ms=4,
        active_ms=5,
        active_since_ms=6,
        listing_over=True,
        planned=True,
        error_code="TRF.0001",
        error_message="m",
        counters=Counters(1, 2, 3, 4, 5, 6, 7, 8),
        windows=(),
        priority=Priority.LOW,
    )
    await store.commit([UpdateTask(changed)])
    store = await reopen(store, tmp_path)
    assert await store.get_task(task.task_id) == changed
    assert await store.find_request("project", "r") == changed
    assert await store.find_request("other", "r") is None
    assert await store.find_request("project", "") is None
    assert await store.tasks_in([TaskState.FAILED]) == (changed,)
    assert await store.get_task(TaskId(9)) is None
    await store.close()


async def test_all_changes_of_a_commit_are_durable_or_none(store: SqliteTaskStore) -> None:
    with pytest.raises(TaskStoreError):
        await store.commit([InsertTask(new_task(1)), InsertTask(new_task(1))])
    assert await store.get_task(TaskId(1)) is None
    await store.commit([InsertTask(new_task(1))])
    assert await store.get_task(TaskId(1)) is not None


async def test_two_tasks_of_a_project_never_share_a_request_id(store: SqliteTaskStore) -> None:
    await store.commit([InsertTask(new_task(1, request_id="r"))])
    with pytest.raises(TaskStoreError):
        await store.commit([InsertTask(new_task(2, request_id="r"))])
    await store.commit([InsertTask(new_task(3, request_id="r", project_id="other"))])
    await store.commit([InsertTask(new_task(4)), InsertTask(new_task(5))])


async def test_pages_are_newest_first_and_filtered(store: SqliteTaskStore) -> None:
    await store.commit([InsertTask(new_task(number)) for number in range(1, 26)])
    await store.commit(
        [InsertTask(new_task(99, project_id="other")), UpdateTask(new_task(7, state=TaskState.PAUSED))]
    )
    page, count = await store.list_tasks(TaskQuery("project", offset=5, limit=10))
    assert ([task.task_id for task in page], count) == (list(range(20, 10, -1)), 25)
    paused, count = await store.list_tasks(TaskQuery("project", 0, 10, TaskState.PAUSED))
    assert ([task.task_id for task in paused], count) == ([7], 1)
    _, count = await store.list_tasks(TaskQuery("project", 0, 10, name_part="into-2"))
    assert count == 7
    # A substring, not a pattern.
    assert (await store.list_tasks(TaskQuery("project", 0, 10, name_part="%")))[1] == 0
    assert await store.list_tasks(TaskQuery("project", 100, 10)) == ((), 25)


async def test_shards_keep_keys_checkpoint_and_attempt(store: SqliteTaskStore) -> None:
    keys = Shard(ShardId(5), TaskId(1), 1, ShardKind.KEYS, keys=SPEC.object_keys)
    span = Shard(ShardId(6), TaskId(1), 1, ShardKind.RANGE, prefix="p/", after="p/a", until="p/z")
    await store.commit([InsertTask(new_task()), AddShards((keys,), already_listed=True), AddShards((span,))])
    assert await store.open_shards(TaskId(1)) == (
        OpenShard(ShardId(5), True, ShardKind.KEYS),
        OpenShard(ShardId(6), False, ShardKind.RANGE),
    )
    await store.commit(
        [LeaseShard(ShardId(5), 3), AdvanceShard(ShardId(5), Checkpoint(2)), FinishShard(ShardId(6))]
    )
    loaded = await store.get_shard(ShardId(5))
    assert loaded == replace(keys, checkpoint=Checkpoint(2), attempt=3, fingerprint=loaded.fingerprint)
    assert loaded.fingerprint
    assert [shard.shard_id for shard in await store.open_shards(TaskId(1))] == [5]
    assert await store.last_ids() == (1, 6)
    await store.commit([DropShards(TaskId(1))])
    assert await store.open_shards(TaskId(1)) == ()
    with pytest.raises(TaskStoreError, match="missing"):
        await store.get_shard(ShardId(5))


async def test_a_span_of_a_list_file_keeps_its_place_and_its_end(store: SqliteTaskStore) -> None:
    span = ManifestSpan("hw/\u00e9.txt", "etag", 100, 10, 90)
    shard = Shard(ShardId(5), TaskId(1), 1, ShardKind.MANIFEST, manifest=span)
    await store.commit([InsertTask(new_task()), AddShards((shard,))])
    await store.commit([AdvanceShard(ShardId(5), Checkpoint(40)), NarrowShard(narrow := at_end(shard, 60))])
    loaded = await store.get_shard(ShardId(5))
    assert loaded == replace(narrow, checkpoint=Checkpoint(40), fingerprint=loaded.fingerprint)


def at_end(shard: Shard, end: int) -> Shard:
    assert shard.manifest is not None
    return replace(shard, manifest=replace(shard.manifest, end=end))


async def test_a_list_task_comes_back_with_the_place_of_its_list(store: SqliteTaskStore) -> None:
    task = new_task()
    task = replace(
        task,
        spec=replace(
            task.spec,
            task_type=TaskType.LIST,
            list_file=ListFileRef("lists", "hw/"),
            smn=SmnConfig("urn:smn:r:p:t", (Trigger.FAILURE,), NoticeLanguage.ZH_CN, "template"),
        ),
    )
    await store.commit([InsertTask(task)])
    assert await store.get_task(TaskId(1)) == task


DAMAGES = [
    "keys = '[\"other\"]'",
    "prefix = 'q'",
    "position = 1",
    "checkpoint_after = 'zz'",
    "keys = 'no json'",
    'manifest = \'{"key": "a", "etag": "", "size_bytes": 9, "start": 0, "end": 9}\'',
    "manifest = '{}'",
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_shard_row_is_noticed(tmp_path: Path, damage: str) -> None:
    store = await SqliteTaskStore.open(tmp_path)
    await store.commit(
        [InsertTask(new_task()), AddShards((Shard(ShardId(5), TaskId(1), 1, ShardKind.KEYS, keys=("a",)),))]
    )
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as direct, direct:
        direct.execute(f"UPDATE shards SET {damage}")
    with pytest.raises(CorruptRowError, match="shard 5 of task 1"):
        await store.get_shard(ShardId(5))
    await store.close()


async def test_failed_objects_come_in_pages_and_are_tallied(store: SqliteTaskStore) -> None:
    rows = tuple(FailedObject(f"k{number}", number, "TRF.0152", "no") for number in range(5))
    await store.commit(
        [
            InsertTask(new_task()),
            AddFailed(TaskId(1), 1, rows),
            TallyFailures(TaskId(1), "TRF.0152", 2, "first"),
            TallyFailures(TaskId(1), "TRF.0160", 1, "other"),
            TallyFailures(TaskId(1), "TRF.0152", 3, "later"),
        ]
    )
    page = await store.failed_page(TaskId(1), 0, 3)
    rest = await store.failed_page(TaskId(1), page[-1].row_id, 3)
    assert [row.key for row in page + rest] == [row.key for row in rows]
    assert await store.failure_tally(TaskId(1)) == {"TRF.0152": (5, "first"), "TRF.0160": (1, "other")}
    await store.commit([DropFailed(TaskId(1))])
    assert await store.failed_page(TaskId(1), 0, 3) == ()
    assert await store.failure_tally(TaskId(1)) == {}


async def test_nothing_of_a_deleted_task_stays(tmp_path: Path, store: SqliteTaskStore) -> None:
    await store.commit(
        [
            InsertTask(new_task()),
            PutCredentials(TaskId(1), KEYS),
            AddShards((Shard(ShardId(1), TaskId(1), 1, ShardKind.RANGE),)),
            AddFailed(TaskId(1), 1, (FailedObject("k", 1, "c", "m"),)),
            TallyFailures(TaskId(1), "c", 1, "m"),
            PutUpload(TaskId(1), ShardId(1), OpenUpload("k", "u")),
        ]
    )
    await store.commit([DeleteTask(TaskId(1))])
    direct = sqlite3.connect(tmp_path / DATABASE_FILE)
    for table in (
        "tasks",
        "credentials",
        "shards",
        "failed_objects",
        "failure_tally",
        "uploads",
        "upload_parts",
        "upload_intents",
    ):
        assert direct.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    direct.close()
