"""The documented task options, end to end: on moto what it has, on a fake that plays a cloud's dialect the rest."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import types_pb2
from tests.drivers.scripted import scripted
from tests.e2e.harness import (
    FAILED,
    SUCCEEDED,
    Daemon,
    ended,
    keys_again,
    migrated,
    node,
    our_lists,
    request,
    wait_for,
)
from tests.fakes.dialect_server import DialectBucket, Kept
from tests.servers import S3Server

MIB = 1024 * 1024
QUICK_POLLS = {"OMSD_LIMITS__RESTORE_POLL_S": "0.2"}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that asks after restores all the time, and shares what is above 16 MiB."""
    daemon = Daemon(tmp_path_factory.mktemp("quick"))
    asyncio.run(daemon.start(QUICK_POLLS | {"OMSD_LIMITS__LARGE_OBJECT_MIB": "16"}))
    yield daemon
    daemon.end()


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that may use copies inside the service."""
    daemon = Daemon(tmp_path_factory.mktemp("copying"), server_side_copy=True)
    asyncio.run(daemon.start())
    yield daemon
    daemon.end()


def fake_node(url: str) -> dict[str, Any]:
    return {
        "cloud_type": "AWS",
        "region": "us-east-1",
        "bucket": "bucket",
        "ak": "AK",
        "sk": "SK",
        "endpoint": url,
    }


def archived(number: int) -> dict[str, Kept]:
    return {f"cold/{n:03}": Kept(f"body {n}".encode(), {}, "GLACIER") for n in range(number)}


@pytest.mark.parametrize("in_service", [False, True], ids=["streamed", "copied_in_service"])
async def test_encryption_class_metadata_and_tags_arrive(
    in_service: bool, shared_daemon: Daemon, copying: Daemon, moto: S3Server
) -> None:
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    bodies = {"small": b"1", "streamed": b"2" * (2 * MIB), "parts": b"3" * (9 * MIB)}
    for key, body in bodies.items():
        await moto.put(
            source,
            key,
            body,
            ContentType="text/x-test",
            CacheControl="max-age=5",
            Metadata={"owner": "me"},
            Tagging="team=a%20b&x=1",
            StorageClass="STANDARD_IA",
        )
    async with (copying if in_service else shared_daemon).client() as client:
        wanted = request(
            node(moto, source),
            node(moto, destination),
            enable_kms=True,
            enable_metadata_migration=True,
            dst_storage_policy=types_pb2.DST_STORAGE_POLICY_SRC_STORAGE_MAPPING,
        )
        task = await ended(client, (await client.create(wanted)).id)
    assert task.status == SUCCEEDED, task
    assert (task.enable_kms, task.enable_metadata_migration, list(task.caveats)) == (True, True, [])
    for key in bodies:
        head = await moto.head(destination, key)
        assert (head["ServerSideEncryption"], head["StorageClass"]) == ("aws:kms", "STANDARD_IA"), key
        assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == (
            "text/x-test",
            "max-age=5",
            {"owner": "me"},
        )
        assert head["TagCount"] == 2, head
    assert await migrated(moto, destination) == bodies


async def test_archived_objects_of_moto_are_restored_only_if_that_is_wished(
    quick: Daemon, moto: S3Server
) -> None:
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    await moto.put(source, "cold", b"cold", StorageClass="GLACIER")
    await moto.put(source, "warm", b"warm")
    async with quick.client() as client:
        ends = node(moto, source), node(moto, destination)
        refused = await ended(client, (await client.create(request(*ends))).id)
        assert (refused.status, refused.successful_num, refused.failed_num) == (FAILED, 1, 1)
        assert "TRF.0160" in refused.error_reason.error_code + refused.error_reason.error_msg
        wished = await ended(client, (await client.create(request(*ends, enable_restore=True))).id)
    assert (wished.status, wished.successful_num, wished.skipped_num) == (SUCCEEDED, 1, 1), wished
    assert wished.enable_restore
    assert await migrated(moto, destination) == {"cold": b"cold", "warm": b"warm"}


async def test_a_restore_that_takes_its_time_survives_a_kill_and_a_pause(
    daemon: Daemon, moto: S3Server
) -> None:
    destination = await moto.make_bucket()
    bucket = DialectBucket(vendor="x-amz-", restore_looks=1_000_000)
    bucket.objects = archived(20) | {"hot": Kept(b"hot", {})}
    await daemon.start(QUICK_POLLS)
    async with scripted(bucket) as server, daemon.client() as client:
        wanted = request(fake_node(server.url), node(moto, destination), enable_restore=True)
        task_id = (await client.create(wanted)).id
        half = await wait_for(
            client, task_id, lambda task: task.successful_num == 1 and len(bucket.restores) >= 20
        )
        assert (half.total_num, half.failed_num) == (21, 0)
        daemon.kill()
        await daemon.start(QUICK_POLLS)
        async with daemon.client() as again:
            await wait_for(again, task_id, lambda task: task.status == 2)
            await again.stop(task_id)
            await wait_for(again, task_id, lambda task: task.status == 3)
            start = keys_again(moto, task_id)
            await again.start(start)
            for kept in bucket.objects.values():
                kept.looks_left = 0 if kept.storage_class else None
            task = await ended(again, task_id)
    assert (task.status, task.successful_num, task.total_num) == (SUCCEEDED, 21, 21), task
    assert await migrated(moto, destination) == {key: kept.body for key, kept in bucket.objects.items()}
    # At most what the kill left unreported was asked for again.
    assert len(bucket.restores) <= 40
    told = [event for event in daemon.events() if event["event"] == "objects_wait_for_restore"]
    assert sum(event["objects_num"] for event in told) == 20, "each once, however often it is asked after"


async def test_a_large_archived_object_is_restored_and_then_shared(quick: Daemon, moto: S3Server) -> None:
    destination = await moto.make_bucket()
    bucket = DialectBucket(vendor="x-amz-", restore_looks=4)
    bucket.objects = archived(3) | {"large": Kept(random.Random(1).randbytes(40 * MIB), {}, "DEEP_ARCHIVE")}
    async with scripted(bucket) as server, quick.client() as client:
        wanted = request(
            fake_node(server.url),
            node(moto, destination),
            enable_restore=True,
            enable_kms=True,
            dst_storage_policy=types_pb2.DST_STORAGE_POLICY_IA,
        )
        task = await ended(client, (await client.create(wanted)).id)
    assert (task.status, task.successful_num, task.total_num) == (SUCCEEDED, 4, 4), task
    assert task.total_size == task.complete_size == sum(len(kept.body) for kept in bucket.objects.values())
    assert await migrated(moto, destination) == {key: kept.body for key, kept in bucket.objects.items()}
    head = await moto.head(destination, "large")
    assert (head["ServerSideEncryption"], head["StorageClass"]) == ("aws:kms", "STANDARD_IA")
    assert not await moto.open_uploads(destination)


async def test_a_restore_that_is_refused_or_too_late_has_its_own_code(daemon: Daemon, moto: S3Server) -> None:
    await daemon.start(QUICK_POLLS | {"OMSD_LIMITS__RESTORE_DEADLINE_H": "0.0002"})
    for changes, code in (({"restorable": False}, "TRF.0201"), ({"restore_looks": 10_000}, "TRF.0202")):
        bucket = DialectBucket(**changes)  # type: ignore[arg-type]
        bucket.objects = archived(3)
        async with scripted(bucket) as server, daemon.client() as client:
            ends = fake_node(server.url), node(moto, await moto.make_bucket())
            task = await ended(client, (await client.create(request(*ends, enable_restore=True))).id)
        assert (task.status, task.failed_num) == (FAILED, 3), task
        assert code in task.error_reason.error_code + task.error_reason.error_msg, task


async def test_requester_pays_reaches_every_request_of_the_source(
    shared_daemon: Daemon, moto: S3Server
) -> None:
    bucket = DialectBucket(payer=True)
    bucket.objects = {f"k{n}": Kept(b"x" * n, {}) for n in range(30)} | {"big": Kept(b"b" * 9 * MIB, {})}
    async with scripted(bucket) as server, shared_daemon.client() as client:
        ends = fake_node(server.url), node(moto, await moto.make_bucket())
        with pytest.raises(CallError) as refused:
            await client.create(request(*ends))
        assert refused.value.code == "OMS.1014"
        task = await ended(client, (await client.create(request(*ends, enable_requester_pays=True))).id)
    assert (task.status, task.successful_num, task.enable_requester_pays) == (SUCCEEDED, 31, True), task


async def test_no_service_is_asked_to_copy_what_the_requester_pays_for(copying: Daemon) -> None:
    for pays in (False, True):
        bucket = DialectBucket()
        bucket.objects = {f"k{n}": Kept(b"x" * n, {}) for n in range(5)}
        async with scripted(bucket) as server, copying.client() as client:
            to = {**fake_node(server.url), "bucket": "other", "save_prefix": "in/"}
            wanted = request(fake_node(server.url), to, ["k"], enable_requester_pays=pays)
            task = await ended(client, (await client.create(wanted)).id)
            asked = [seen for seen in server.seen if "x-amz-copy-source" in seen.headers]
        assert bool(asked) is not pays
        if pays:
            assert (task.status, task.successful_num) == (SUCCEEDED, 5), task


@pytest.mark.parametrize("kms", ["refused", "silent"])
async def test_a_destination_that_does_not_encrypt(kms: str, shared_daemon: Daemon, moto: S3Server) -> None:
    source = await moto.make_bucket()
    await moto.put(source, "k", b"data")
    bucket = DialectBucket(vendor="x-obs-", kms=kms)
    async with scripted(bucket) as server, shared_daemon.client() as client:
        wanted = request(node(moto, source), fake_node(server.url), enable_kms=True)
        if kms == "refused":
            with pytest.raises(CallError) as refused:
                await client.create(wanted)
            assert refused.value.code == "OMS.1020"
            assert "KMS" in refused.value.message
        else:
            task = await ended(client, (await client.create(wanted)).id)
            assert (task.status, task.failed_num) == (FAILED, 1)
            assert "TRF.0158" in task.error_reason.error_code + task.error_reason.error_msg
    assert not bucket.objects.keys() - our_lists(bucket.objects)


async def test_tags_a_destination_lacks_are_one_caveat_of_the_task(
    shared_daemon: Daemon, moto: S3Server
) -> None:
    source = await moto.make_bucket()
    for number in range(20):
        await moto.put(source, f"k{number}", b"data", Tagging="a=b")
    async with shared_daemon.client() as client:
        for tags in ("refused", "silent"):
            bucket = DialectBucket(tags=tags)
            async with scripted(bucket) as server:
                wanted = request(node(moto, source), fake_node(server.url), enable_metadata_migration=True)
                task = await ended(client, (await client.create(wanted)).id)
            stored = bucket.objects.keys() - our_lists(bucket.objects)
            assert (task.status, task.successful_num, len(stored)) == (SUCCEEDED, 20, 20), task
            assert [caveat.name for caveat in task.caveats] == ["tags_not_written"]
            told = [
                event
                for event in shared_daemon.events()
                if event["event"] == "objects_migrated_with_caveat" and event["task_id"] == task.id
            ]
            assert len(told) == 1
