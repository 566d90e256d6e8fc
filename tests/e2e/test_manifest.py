"""Tasks from object list files on real servers: what the lines name, every documented error, kill -9 in the middle."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from urllib.parse import quote

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import task_pb2, types_pb2
from tests.e2e.harness import (
    FAILED,
    MIGRATING,
    PAUSED,
    SUCCEEDED,
    Daemon,
    ended,
    keys_again,
    migrated,
    node,
    our_lists,
    read_list,
    request,
    wait_for,
)
from tests.servers import S3Server

KIB, MIB = 1024, 1024 * 1024
TEXT = {"ContentType": "text/plain"}


def listed(
    source: dict[str, Any], destination: dict[str, Any], bucket: str, key: str, **fields: Any
) -> task_pb2.CreateTaskRequest:
    """A task over what a list file, or those of a folder, name."""
    fields.setdefault("task_type", types_pb2.TASK_TYPE_LIST)
    wanted = request(source, destination, [], **fields)
    wanted.src_node.list_file.obs_bucket, wanted.src_node.list_file.list_file_key = bucket, key
    return wanted


def lines(keys: list[str]) -> bytes:
    return "".join(f"{quote(key)}\n" for key in keys).encode()


async def test_two_lists_in_a_folder_with_every_kind_of_line(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination, lists = [await seaweed.make_bucket() for _ in range(3)]
    rng = random.Random(7)
    odd = {
        f"odd/{name}": rng.randbytes(300)
        for name in ("a b", "p+q", "50%", "\u00e9", "a,b;c=d&e", "\U0001f600")
    }
    objects = odd | {f"many/{n:04}": rng.randbytes(rng.randrange(2000)) for n in range(300)}
    objects["large"] = rng.randbytes(20 * MIB)
    await seaweed.put_many(source, objects | {"not/listed": b"stays"})
    missing = ["gone/1", "gone/2 \u00e9"]
    keys = [*objects, *missing]
    rng.shuffle(keys)
    crlf = b"\xef\xbb\xbf" + lines(keys[:150]).replace(b"\n", b"\r\n\r\n")
    await seaweed.put(lists, "hw/1.txt", crlf, ContentType="text/plain; charset=utf-8")
    await seaweed.put(lists, "hw/2.txt", lines(keys[150:]) + b"bad%zz\n\n" + b"x" * 2000, **TEXT)
    await seaweed.put(lists, "hw/empty.txt", b"", **TEXT)
    await seaweed.put(lists, "hw/notes", b"no list", **TEXT)
    await seaweed.put(lists, "hw.txt", b"not/listed", **TEXT)
    to = node(seaweed, destination) | {"save_prefix": "copy/"}
    async with shared_daemon.client("lists") as client:
        task_id = (await client.create(listed(node(seaweed, source), to, lists, "hw/"))).id
        task = await ended(client, task_id)
        assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0062"), task
        assert (task.total_num, task.successful_num, task.failed_num) == (len(keys) + 2, len(objects), 4)
        assert task.total_size == task.real_size == sum(map(len, objects.values()))
        assert task.is_query_over
        assert task.task_type == types_pb2.TASK_TYPE_LIST
        file = task.src_node.list_file
        assert (file.obs_bucket, file.list_file_key, list(task.src_node.object_key)) == (lists, "hw/", [])
        rows = await read_list(seaweed, destination, task.failed_object_record.list_file_key)
        assert {row["key"]: row["error_code"] for row in rows} == {
            "gone/1": "TRF.0156", "gone/2 \u00e9": "TRF.0156", "bad%zz": "TRF.0014", "x" * 1025: "TRF.0060",
        }  # fmt: skip
        assert await migrated(seaweed, destination) == {f"copy/{key}": data for key, data in objects.items()}
        # Those that failed, and they alone, are tried again.
        found = {"gone/1": b"here now", "gone/2 \u00e9": b"this too"}
        await seaweed.put_many(source, found)
        await client.start(keys_again(seaweed, task_id, migrate_failed_object=True))
        task = await ended(client, task_id)
    assert (task.total_num, task.successful_num, task.failed_num) == (len(keys) + 2, len(keys), 2)
    wanted = {f"copy/{key}": data for key, data in (objects | found).items()}
    assert await migrated(seaweed, destination) == wanted
    assert not await seaweed.open_uploads(destination)


async def test_a_second_pass_of_one_list_skips_everything(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"k/{number}": b"x" * number for number in range(60)}
    await seaweed.put_many(source, objects)
    # The list may stand in the destination bucket itself.
    await seaweed.put(destination, "keys.txt", lines(list(objects)), **TEXT)
    wanted = listed(node(seaweed, source), node(seaweed, destination), destination, "keys.txt")
    async with shared_daemon.client("lists") as client:
        task = await ended(client, (await client.create(wanted)).id)
        assert (task.status, task.successful_num, task.src_node.list_file.list_file_num) == (
            SUCCEEDED,
            60,
            "1",
        )
        task = await ended(client, (await client.create(wanted)).id)
        assert (task.status, task.total_num, task.skipped_num) == (SUCCEEDED, 60, 60)
        assert (task.real_size, task.total_size) == (0, sum(range(60)))


BAD: dict[str, tuple[str, bytes, dict[str, str], str]] = {
    "missing": ("hw/none.txt", b"", {}, "TRF.0013"),
    "an empty folder": ("none/", b"", {}, "TRF.0013"),
    "no txt": ("hw/keys.csv", b"a\n", TEXT, "TRF.0014"),
    "too large": ("hw/big.txt", b"a\n" * (50 * MIB) + b"a", TEXT, "TRF.0014"),
    "a line too long": ("hw/long.txt", b"a\n" + b"x" * 65_536, TEXT, "TRF.0018"),
    "no plain text, in a folder": ("html/", b"a\n", {"ContentType": "text/html"}, "TRF.0019"),
    "encoded, in a folder": ("gz/", b"a\n", TEXT | {"ContentEncoding": "gzip"}, "TRF.0019"),
    "nothing in it": ("hw/void.txt", b"", TEXT, "TRF.0012"),
    "only blank lines": ("hw/blank.txt", b"\xef\xbb\xbf\n\r\n\n", TEXT, "TRF.0012"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_task_ends_with_the_documented_code_for_a_list_that_is(
    name: str, shared_daemon: Daemon, seaweed: S3Server
) -> None:
    key, text, extra, code = BAD[name]
    source, destination, lists = [await seaweed.make_bucket() for _ in range(3)]
    await seaweed.put(source, "a", b"1")
    if extra:
        await seaweed.put(lists, key + "keys.txt" * key.endswith("/"), text, **extra)
    async with shared_daemon.client("bad lists") as client:
        wanted = listed(node(seaweed, source), node(seaweed, destination), lists, key)
        task = await ended(client, (await client.create(wanted)).id)
    assert (task.status, task.error_reason.error_code) == (FAILED, code), task
    assert len(task.error_reason.error_msg) > 20


async def test_an_archived_list_ends_the_task_until_it_is_restored(
    shared_daemon: Daemon, moto: S3Server
) -> None:
    source, destination, lists = [await moto.make_bucket() for _ in range(3)]
    await moto.put(source, "a", b"1")
    await moto.put(lists, "keys.txt", b"a\n", StorageClass="GLACIER", **TEXT)
    async with shared_daemon.client("bad lists") as client:
        wanted = listed(node(moto, source), node(moto, destination), lists, "keys.txt")
        task_id = (await client.create(wanted)).id
        task = await ended(client, task_id)
        assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0301"), task
        await moto.put(lists, "keys.txt", b"a\n", **TEXT)
        await client.start(keys_again(moto, task_id))
        assert (await ended(client, task_id)).status == SUCCEEDED


@pytest.mark.parametrize(
    ("bucket", "extra", "code", "field"),
    [
        ("", {"ContentType": "text/html"}, "TRF.0019", "src_node.list_file.list_file_key"),
        ("", TEXT | {"ContentEncoding": "gzip"}, "TRF.0019", "src_node.list_file.list_file_key"),
        ("not-there-at-all", TEXT, "OMS.0057", "src_node.list_file.obs_bucket"),
    ],
)
async def test_what_is_seen_of_a_list_beforehand_refuses_the_task(
    bucket: str, extra: dict[str, str], code: str, field: str, shared_daemon: Daemon, moto: S3Server
) -> None:
    source, destination, lists = [await moto.make_bucket() for _ in range(3)]
    await moto.put(lists, "keys.txt", b"a\n", **extra)
    async with shared_daemon.client("refused lists") as client:
        with pytest.raises(CallError) as caught:
            await client.create(
                listed(node(moto, source), node(moto, destination), bucket or lists, "keys.txt")
            )
        assert (caught.value.code, caught.value.violations[0].field) == (code, field)
        assert (await client.list(task_pb2.ListTasksRequest())).count == 0


async def test_kill_9_in_the_middle_of_lists_loses_and_doubles_nothing(
    daemon: Daemon, seaweed: S3Server
) -> None:
    """kill -9 of workers and daemon, a pause, and another limit on the way; the seed is printed when it fails."""
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    rng = random.Random(seed)
    source, destination, lists = [await seaweed.make_bucket() for _ in range(3)]
    objects = {f"small/{n:05}": rng.randbytes(rng.randrange(16 * KIB)) for n in range(350)}
    objects["large"] = rng.randbytes(18 * MIB)
    missing = [f"missing/{n}" for n in range(5)]
    await seaweed.put_many(source, objects)
    keys = [*objects, *missing]
    rng.shuffle(keys)
    for number in range(3):
        await seaweed.put(lists, f"hw/{number}.txt", lines(keys[number::3]), **TEXT)
    await daemon.start()
    async with daemon.client() as client:
        wanted = listed(node(seaweed, source), node(seaweed, destination), lists, "hw/")
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=3 * MIB)
        task_id = (await client.create(wanted)).id
        for what in ("worker", "daemon", "pause", "worker", "daemon"):
            await asyncio.sleep(rng.uniform(0.1, 1.0))
            task = await wait_for(client, task_id, lambda task: True)
            if task.status != MIGRATING:
                break
            if what == "worker":
                await daemon.kill_worker(rng)
            elif what == "daemon":
                daemon.kill()
                await daemon.start()
            else:
                await client.stop(task_id)
                await wait_for(client, task_id, lambda task: task.status == PAUSED)
                await client.start(keys_again(seaweed, task_id))
        await wait_for(client, task_id, lambda task: task.status != 1)
        await client.limit(task_id, [])
        task = await ended(client, task_id)
    assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0156"), task
    assert (task.total_num, task.successful_num, task.failed_num) == (len(keys), len(objects), 5), task
    assert task.real_size == task.total_size == sum(map(len, objects.values())), task
    assert await migrated(seaweed, destination) == objects
    assert not await seaweed.open_uploads(destination)
    folders = sorted(our_lists(await seaweed.list_all(destination)))
    rows = [row["key"] for key in folders for row in await read_list(seaweed, destination, key)]
    assert sorted(rows) == sorted(keys)
