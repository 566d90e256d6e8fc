"""Uploads, intents to make them, and sweeps, as the store keeps them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from omsd.domain.model import Credentials, ShardId, TaskId
from omsd.domain.shards import (
    KeptUpload,
    LargeObject,
    OpenUpload,
    SentPart,
    Shard,
    ShardKind,
    UploadIntent,
    UploadPlan,
)
from omsd.ports.taskchanges import (
    AddShards,
    DeleteTask,
    DropIntent,
    DropPlans,
    DropShards,
    DropSweep,
    DropUpload,
    DueSweep,
    FinishShard,
    InsertTask,
    PutIntent,
    PutParts,
    PutSweep,
    PutUpload,
    RekeySweep,
)
from omsd.store.seal import Sealer, load_key
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from tests.store.harness import KEYS, new_task


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
