"""The SQLite store: what is committed is there again, what is damaged or not ours is refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    Counters,
    Credentials,
    ListFileRef,
    Location,
    Priority,
    ShardId,
    Task,
    TaskCredentials,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)
from omsd.domain.notices import NoticeLanguage, SmnConfig, Trigger
from omsd.domain.shards import (
    Checkpoint,
    KeptUpload,
    LargeObject,
    ManifestSpan,
    OpenUpload,
    SentPart,
    Shard,
    ShardKind,
    UploadIntent,
    UploadPlan,
)
from omsd.ports.taskchanges import (
    AddFailed,
    AddShards,
    AdvanceShard,
    DeleteTask,
    DropCredentials,
    DropFailed,
    DropIntent,
    DropPlans,
    DropShards,
    DropSweep,
    DropUpload,
    DueSweep,
    FailedObject,
    FinishShard,
    InsertTask,
    LeaseShard,
    NarrowShard,
    PutCredentials,
    PutIntent,
    PutParts,
    PutSweep,
    PutUpload,
    RekeySweep,
    TallyFailures,
    UpdateTask,
)
from omsd.ports.taskstore import (
    CorruptRowError,
    CredentialsUnreadableError,
    OpenShard,
    TaskQuery,
    TaskStoreError,
)
from omsd.store.seal import Sealer, load_key
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from tests.waiting import PATIENCE_S

SPEC = TaskSpec(
    Location(CloudType.TENCENT, "ap-1", "from", app_id="42"),
    Location(CloudType.HUAWEI, "eu-de", "into", "https://obs.example.com"),
    TaskType.OBJECT,
    ("a/b", "ключ \N{GRINNING FACE}\n'\"", "x\x00y"),
    save_prefix="p/",
    migrate_since_s=7,
    record_failed_objects=False,
)
SECRET = "very-secret-key"
KEYS = TaskCredentials(Credentials("AKSRC", SECRET, "token"), Credentials("AKDST", SECRET))


def new_task(number: int = 1, **changes: object) -> Task:
    task = Task(
        TaskId(number),
        "project",
        f"from-into-{number}",
        SPEC,
        TaskState.WAITING,
        Priority.HIGH,
        (BandwidthWindow(0, 60, 1_048_576),),
        created_ms=number,
    )
    return replace(task, **changes)  # type: ignore[arg-type]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTaskStore]:
    opened = await SqliteTaskStore.open(tmp_path)
    yield opened
    await opened.close()


async def reopen(store: SqliteTaskStore, tmp_path: Path) -> SqliteTaskStore:
    await store.close()
    return await SqliteTaskStore.open(tmp_path)


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
    with sqlite3.connect(tmp_path / DATABASE_FILE) as direct:
        direct.execute(f"UPDATE shards SET {damage}")
    direct.close()
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


async def test_uploads_of_finished_and_dropped_shards_are_not_forgotten(store: SqliteTaskStore) -> None:
    shards = tuple(Shard(ShardId(n), TaskId(1), 1, ShardKind.RANGE) for n in (1, 2, 3))
    uploads = {n: OpenUpload("k", f"u{n}") for n in (1, 2, 3)}
    await store.commit(
        [
            InsertTask(new_task()),
            AddShards(shards),
            *(PutUpload(TaskId(1), ShardId(n), uploads[n]) for n in uploads),
        ]
    )
    assert await store.stale_uploads(TaskId(1), ShardId(1)) == (uploads[1],)
    await store.commit([FinishShard(ShardId(2))])
    assert await store.stale_uploads(TaskId(1), ShardId(1)) == (uploads[1], uploads[2])
    await store.commit([DropShards(TaskId(1)), DropUpload(TaskId(1), uploads[1])])
    assert await store.stale_uploads(TaskId(1), ShardId(9)) == (uploads[2], uploads[3])


async def test_an_upload_that_is_gone_on_with_comes_back_with_its_parts(store: SqliteTaskStore) -> None:
    upload, plan = OpenUpload("k", "u"), UploadPlan("etag", 2**40, 2**29, copied=True, restarts=3)
    parts = (SentPart(1, 10, "e1", 2**64 - 1, 0), SentPart(2, 10, "e2", None, 7))
    large = Shard(ShardId(1), TaskId(1), 1, ShardKind.PARTS, large=LargeObject("k", 2**40))
    helper = Shard(ShardId(2), TaskId(1), 1, ShardKind.PARTS, after="5", large=large.large)
    await store.commit(
        [
            InsertTask(new_task()),
            AddShards((large, helper), already_listed=True),
            PutUpload(TaskId(1), ShardId(1), upload, plan),
            PutParts(TaskId(1), upload, (replace(parts[0], etag="replaced"), parts[1])),
            PutParts(TaskId(1), upload, parts[:1]),
        ]
    )
    assert await store.kept_upload(TaskId(1), "k") == KeptUpload(upload, plan, parts)
    assert await store.stale_uploads(TaskId(1), ShardId(1)) == ()
    assert (await store.open_uploads(TaskId(1))).parts == {upload: {1: 10, 2: 10}}
    assert (await store.get_shard(ShardId(1))).large == large.large
    found = await store.open_shards(TaskId(1))
    assert [(shard.large_key, shard.leads) for shard in found] == [("k", True), ("k", False)]
    await store.commit([FinishShard(ShardId(1))])
    # Its key may be another shard's by now.
    assert await store.stale_uploads(TaskId(1), ShardId(2)) == ()
    await store.commit([DropPlans(TaskId(1))])
    assert await store.kept_upload(TaskId(1), "k") is None
    assert (await store.open_uploads(TaskId(1))).parts == {}
    assert await store.stale_uploads(TaskId(1), ShardId(2)) == (upload,)
    await store.commit([DropUpload(TaskId(1), upload), PutUpload(TaskId(1), ShardId(1), upload, plan)])
    assert await store.kept_upload(TaskId(1), "k") == KeptUpload(upload, plan, ())


async def test_intents_know_every_upload_of_their_key_that_is_recorded(store: SqliteTaskStore) -> None:
    shards = tuple(Shard(ShardId(n), TaskId(1), 1, ShardKind.RANGE) for n in (1, 2))
    intent = UploadIntent("k", 5.5, ("before",), 2)
    await store.commit(
        [
            InsertTask(new_task()),
            AddShards(shards),
            PutIntent(TaskId(1), ShardId(1), UploadIntent("k", 1.0)),
            PutIntent(TaskId(1), ShardId(1), intent),
            PutUpload(TaskId(2), ShardId(9), OpenUpload("k", "another task's")),
            PutUpload(TaskId(1), ShardId(2), OpenUpload("other", "u")),
        ]
    )
    known = replace(intent, known=("before", "another task's"))
    assert await store.stale_intents(TaskId(1), ShardId(1)) == (known,)
    assert await store.stale_intents(TaskId(1), ShardId(2)) == ()
    await store.commit([FinishShard(ShardId(1))])
    assert await store.stale_intents(TaskId(1), ShardId(2)) == (known,)
    await store.commit([DropIntent(TaskId(1), "k")])
    assert (await store.open_uploads(TaskId(1))).intents == ()


async def test_a_sweep_outlives_its_task_with_the_destination_s_keys_alone(
    tmp_path: Path, store: SqliteTaskStore
) -> None:
    task, upload = new_task(), OpenUpload("k", "u")
    place = task.spec.destination
    await store.commit(
        [
            InsertTask(task),
            PutUpload(TaskId(1), ShardId(1), upload),
            PutIntent(TaskId(1), ShardId(1), UploadIntent("k2", 1.0)),
            PutSweep(TaskId(1), place, KEYS.destination, due=False),
        ]
    )
    assert await store.due_sweeps() == ()
    await store.commit([DueSweep(TaskId(1)), DeleteTask(TaskId(1))])
    assert await store.due_sweeps() == (TaskId(1),)
    assert await store.get_sweep(TaskId(1)) == (place, KEYS.destination)
    assert (await store.open_uploads(TaskId(1))).uploads == (upload,)
    direct = sqlite3.connect(tmp_path / DATABASE_FILE)
    (sealed,) = direct.execute("SELECT sealed FROM sweeps").fetchone()
    direct.close()
    kept = Sealer(load_key(tmp_path, None)).unseal(TaskId(1), sealed)
    assert kept.source == Credentials("", "")
    # Started again: other keys, and nothing to sweep for now.
    await store.commit([RekeySweep(TaskId(1), KEYS.source), RekeySweep(TaskId(7), KEYS.source)])
    assert await store.due_sweeps() == ()
    assert await store.get_sweep(TaskId(1)) == (place, KEYS.source)
    await store.commit([DropSweep(TaskId(1))])
    assert await store.get_sweep(TaskId(1)) is None


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


def assert_private(directory: Path) -> None:
    for path in directory.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_credentials_are_sealed_and_dropped(tmp_path: Path) -> None:
    store = await SqliteTaskStore.open(tmp_path)
    await store.commit([InsertTask(new_task(1)), PutCredentials(TaskId(1), KEYS)])
    assert await store.credentials(TaskId(1)) == KEYS
    await store.close()
    assert_private(tmp_path)
    store = await SqliteTaskStore.open(tmp_path)
    assert await store.credentials(TaskId(1)) == KEYS
    await store.commit([DropCredentials(TaskId(1))])
    assert await store.credentials(TaskId(1)) is None
    await store.close()


def test_sealed_credentials_open_for_their_task_and_key_only() -> None:
    sealed = Sealer(b"k" * 32).seal(TaskId(1), KEYS)
    assert Sealer(b"k" * 32).unseal(TaskId(1), sealed) == KEYS
    for task_id, key, text in ((2, b"k", sealed), (1, b"j", sealed), (1, b"k", sealed[:-1]), (1, b"k", b"")):
        with pytest.raises(CredentialsUnreadableError) as refused:
            Sealer(key * 32).unseal(TaskId(task_id), text)
        assert SECRET not in str(refused.value)
    assert SECRET not in repr(KEYS)


def test_the_key_comes_from_the_credentials_directory_if_it_is_there(tmp_path: Path) -> None:
    given, state = tmp_path / "given", tmp_path / "state"
    given.mkdir()
    state.mkdir()
    made = load_key(state, given)
    assert load_key(state, None) == made
    (given / "omsd-key").write_bytes(b"g" * 32)
    assert load_key(state, given) == b"g" * 32
    (given / "omsd-key").write_bytes(b"short")
    with pytest.raises(TaskStoreError, match="32 bytes"):
        load_key(state, given)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path, None)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(TaskStoreError, match="0600"):
        load_key(tmp_path, None)


async def test_a_second_daemon_is_refused_with_directory_and_pid(
    tmp_path: Path, store: SqliteTaskStore
) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from omsd.store.sqlite import SqliteTaskStore\n"
        "asyncio.run(SqliteTaskStore.open(pathlib.Path(sys.argv[1])))\n"
    )
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(second.communicate(), PATIENCE_S)
    assert second.returncode
    assert str(tmp_path) in errors.decode()
    assert f"pid {os.getpid()}" in errors.decode()


async def test_the_directory_is_free_again_after_a_close(tmp_path: Path) -> None:
    for _ in range(2):
        await (await SqliteTaskStore.open(tmp_path / "made" / "below")).close()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    await (await SqliteTaskStore.open(tmp_path)).close()
    direct = sqlite3.connect(tmp_path / DATABASE_FILE)
    direct.execute("PRAGMA user_version = 99")
    direct.close()
    with pytest.raises(TaskStoreError, match="schema 99"):
        await SqliteTaskStore.open(tmp_path)
    # The refusal has let go of the directory.
    with pytest.raises(TaskStoreError, match="schema 99"):
        await SqliteTaskStore.open(tmp_path)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"this is not a database" * 100)
    with pytest.raises(TaskStoreError, match="not a database"):
        await SqliteTaskStore.open(tmp_path)


async def test_a_full_disk_is_an_error_that_changes_nothing(store: SqliteTaskStore) -> None:
    await store.commit([InsertTask(new_task(1))])
    await store._writer.run(lambda to: to.execute("PRAGMA max_page_count = 1"))
    big = tuple(FailedObject("k" * 1000, 1, "c", "m") for _ in range(1000))
    with pytest.raises(TaskStoreError, match="full"):
        await store.commit([UpdateTask(new_task(1, state=TaskState.FAILED)), AddFailed(TaskId(1), 1, big)])
    await store._writer.run(lambda to: to.execute("PRAGMA max_page_count = 1000000"))
    task = await store.get_task(TaskId(1))
    assert task is not None
    assert task.state is TaskState.WAITING
    await store.commit([UpdateTask(new_task(1, state=TaskState.PAUSED))])
