"""The main job against real servers: everything arrives, byte for byte, whatever the keys, sizes and modes."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import task_pb2, types_pb2
from tests.e2e.harness import (
    FAILED,
    SUCCEEDED,
    TASK_DEADLINE_S,
    Daemon,
    ended,
    keys_again,
    migrated,
    node,
    request,
)
from tests.servers import S3Server

MIB = 1024 * 1024
PART = 16 * MIB
ZOO = [
    "/lead", "a//b", "./x", "a/../b", "dir/", "dir/in", "a b", "a+b", "a%2Fb", "a%b", "%", "&<>\"'", "\\", "*?[]{}|^`~#",
    "\U0001f600/\U0001f680", "\u00e9", "e\u0301", "\u65e5\u672c", "tab\there", "a", "A", "a/", "k" * 1024, "\u20ac" * 341,
    "trailing.", "trailing ", "=;:@$,", "..", "-",
]  # fmt: skip


async def test_sizes_around_every_border_arrive_with_their_crc64(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    rng = random.Random(5)
    sizes = [
        0,
        1,
        MIB,
        MIB + 1,
        8 * MIB - 1,
        8 * MIB,
        8 * MIB + 1,
        PART - 1,
        PART,
        PART + 1,
        2 * PART,
        2 * PART + 1,
    ]
    objects = {f"size/{size:010}": rng.randbytes(size) for size in sizes}
    await seaweed.put_many(source, objects)
    async with shared_daemon.client() as client:
        created = await client.create(request(node(seaweed, source), node(seaweed, destination)))
        task = await ended(client, created.id)
    assert task.status == SUCCEEDED, task
    assert (task.successful_num, task.total_size) == (len(sizes), sum(sizes))
    assert task.real_size == task.complete_size == sum(sizes)
    assert await migrated(seaweed, destination) == objects
    for key in objects:
        assert (await seaweed.head(destination, key)).get("ChecksumCRC64NVME"), key
    assert not await seaweed.open_uploads(destination)


async def test_every_key_comes_back_as_it_was_sent(shared_daemon: Daemon, moto: S3Server) -> None:
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    objects = {key: f"{number}".encode() for number, key in enumerate(ZOO)}
    await moto.put_many(source, objects)
    stored = await moto.list_all(source)
    assert set(stored) == set(ZOO)
    async with shared_daemon.client() as client:
        created = await client.create(request(node(moto, source), node(moto, destination)))
        task = await ended(client, created.id)
        assert task.status == SUCCEEDED, task
        assert await migrated(moto, destination) == objects
        again = await client.create(request(node(moto, source), node(moto, destination)))
        assert (await ended(client, again.id)).skipped_num == len(ZOO)
        named = await moto.make_bucket()
        by_name = request(
            node(moto, source), node(moto, named), sorted(ZOO), task_type=types_pb2.TASK_TYPE_OBJECT
        )
        task = await ended(client, (await client.create(by_name)).id)
        assert task.status == SUCCEEDED, task
        assert await migrated(moto, named) == objects


async def test_a_key_too_long_with_its_prefix_fails_alone(shared_daemon: Daemon, moto: S3Server) -> None:
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    await moto.put_many(source, {"k" * 1024: b"1", "short": b"2"})
    async with shared_daemon.client() as client:
        to = {**node(moto, destination), "save_prefix": "p/"}
        task = await ended(client, (await client.create(request(node(moto, source), to))).id)
    assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0060")
    assert (task.successful_num, task.failed_num) == (1, 1)
    assert await migrated(moto, destination) == {"p/short": b"2"}


MODES = {
    types_pb2.OBJECT_OVERWRITE_MODE_NO_OVERWRITE: {"same", "same-size", "other-size"},
    types_pb2.OBJECT_OVERWRITE_MODE_FULL_OVERWRITE: set(),
    types_pb2.OBJECT_OVERWRITE_MODE_SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE: {"same", "same-size"},
    types_pb2.OBJECT_OVERWRITE_MODE_CRC64_COMPARISON_OVERWRITE: {"same"},
}


async def test_every_overwrite_mode(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source = await seaweed.make_bucket()
    here = {"same": b"same", "same-size": b"1234", "other-size": b"12345", "new": b"n"}
    there = {"same": b"same", "same-size": b"abcd", "other-size": b"abc"}
    checked = {"ChecksumAlgorithm": "CRC64NVME"}
    for key, data in here.items():
        await seaweed.put(source, key, data, **checked)
    async with shared_daemon.client() as client:
        for mode, skipped in MODES.items():
            destination = await seaweed.make_bucket()
            for key, data in there.items():
                await seaweed.put(destination, key, data, **checked)
            wanted = request(node(seaweed, source), node(seaweed, destination), object_overwrite_mode=mode)
            task = await ended(client, (await client.create(wanted)).id)
            assert (task.status, task.skipped_num) == (SUCCEEDED, len(skipped)), task
            assert task.real_size == sum(len(data) for key, data in here.items() if key not in skipped)
            result = await migrated(seaweed, destination)
            assert result == {key: there[key] if key in skipped else data for key, data in here.items()}


async def test_folders_names_prefixes_save_prefix_and_metadata(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source = await seaweed.make_bucket()
    for key in ("f/a", "f/deep/b", "f-not", "single", "other"):
        await seaweed.put(
            source,
            key,
            key.encode(),
            ContentType="text/x-test",
            CacheControl="max-age=5",
            Metadata={"colour": "blue"},
        )
    async with shared_daemon.client() as client:
        destination = await seaweed.make_bucket()
        to = {**node(seaweed, destination), "save_prefix": "in/"}
        wanted = request(
            node(seaweed, source),
            to,
            ["f/", "single"],
            task_type=types_pb2.TASK_TYPE_OBJECT,
            enable_metadata_migration=True,
        )
        assert (await ended(client, (await client.create(wanted)).id)).successful_num == 3
        assert set(await migrated(seaweed, destination)) == {"in/f/a", "in/f/deep/b", "in/single"}
        head = await seaweed.head(destination, "in/single")
        assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == (
            "text/x-test", "max-age=5", {"colour": "blue"},
        )  # fmt: skip
        plain = await seaweed.make_bucket()
        wanted = request(node(seaweed, source), node(seaweed, plain), ["f"])
        assert (await ended(client, (await client.create(wanted)).id)).successful_num == 3
        assert set(await migrated(seaweed, plain)) == {"f/a", "f/deep/b", "f-not"}
        head = await seaweed.head(plain, "f/a")
        assert (head["ContentType"], head["Metadata"]) == ("text/x-test", {})


async def test_objects_older_than_migrate_since_are_skipped(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "old", b"1")
    async with shared_daemon.client() as client:
        since = int(time.time()) + 3600
        wanted = request(node(seaweed, source), node(seaweed, destination), migrate_since=since)
        task = await ended(client, (await client.create(wanted)).id)
    assert (task.status, task.skipped_num, task.migrate_since) == (SUCCEEDED, 1, since * 1000)
    assert await migrated(seaweed, destination) == {}


async def test_missing_names_fail_and_are_retried_alone(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "there", b"1")
    async with shared_daemon.client() as client:
        names = ["there", "late", "never"]
        wanted = request(
            node(seaweed, source), node(seaweed, destination), names, task_type=types_pb2.TASK_TYPE_OBJECT
        )
        task_id = (await client.create(wanted)).id
        task = await ended(client, task_id)
        assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0156")
        assert (task.total_num, task.successful_num, task.failed_num) == (3, 1, 2)
        await seaweed.put(source, "late", b"22")
        await client.start(keys_again(seaweed, task_id, migrate_failed_object=True))
        task = await ended(client, task_id)
        assert (task.status, task.total_num, task.successful_num, task.failed_num) == (FAILED, 3, 2, 1)
        await seaweed.put(source, "never", b"333")
        await client.start(keys_again(seaweed, task_id, migrate_failed_object=True))
        task = await ended(client, task_id)
        assert (task.status, task.total_num, task.successful_num, task.total_size) == (SUCCEEDED, 3, 3, 6)
        with pytest.raises(CallError) as caught:
            await client.start(keys_again(seaweed, task_id))
        assert caught.value.code == "OMS.0070"
    assert await migrated(seaweed, destination) == {"there": b"1", "late": b"22", "never": b"333"}


async def test_an_empty_source_ends_as_documented(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    async with shared_daemon.client() as client:
        task = await ended(
            client, (await client.create(request(node(seaweed, source), node(seaweed, destination)))).id
        )
    assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0012")


async def test_the_same_request_id_makes_one_task(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "a", b"1")
    async with shared_daemon.client("asked twice") as client:

        def wanted(**fields: object) -> task_pb2.CreateTaskRequest:
            return request(node(seaweed, source), node(seaweed, destination), request_id="once", **fields)

        async with asyncio.TaskGroup() as group:
            made = [group.create_task(client.create(wanted())) for _ in range(5)]
        assert len({each.result().id for each in made}) == 1
        with pytest.raises(CallError) as caught:
            await client.create(wanted(description="another"))
        assert caught.value.code == "OMS.1003"
        assert (await client.list(task_pb2.ListTasksRequest())).count == 1


async def test_watch_gives_a_snapshot_and_ends_with_the_task(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(source, {f"{n:04}": b"x" * 1000 for n in range(300)})
    async with shared_daemon.client() as client:
        created = await client.create(request(node(seaweed, source), node(seaweed, destination)))
        async with asyncio.timeout(TASK_DEADLINE_S):
            seen = [task async for task in client.watch(created.id)]
    assert seen[-1].status == SUCCEEDED
    assert seen[-1].successful_num == 300
    numbers = [task.successful_num for task in seen]
    assert numbers == sorted(numbers)
