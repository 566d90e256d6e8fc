"""Faults on the way, made by a proxy of ours before the real server: caught, survived, or told in the documented code."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError

from tests.e2e.harness import FAILED, SUCCEEDED, Daemon, ended, migrated, node, request, wait_for
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import Fault, Kind, s3_error
from tests.servers import S3Server

MIB = 1024 * 1024
PART_MIB = 5
LIMITS = f"part_size_mib = {PART_MIB}\n"


def objects_of(seed: int, number: int = 150) -> dict[str, bytes]:
    """Small ones, one that is streamed whole, and one of five parts."""
    rng = random.Random(seed)
    objects = {f"small/{n:03}": rng.randbytes(rng.randrange(1, 30_000)) for n in range(number)}
    return {**objects, "stream": rng.randbytes(3 * MIB), "large": rng.randbytes((4 * PART_MIB + 1) * MIB)}


async def fill(server: S3Server, bucket: str, objects: dict[str, bytes]) -> None:
    """With a CRC64 that the source publishes, as a bucket written by current clients has."""
    async with asyncio.TaskGroup() as group:
        for key, data in objects.items():
            group.create_task(server.put(bucket, key, data, ChecksumAlgorithm="CRC64NVME"))


@dataclass(frozen=True)
class Source:
    """A bucket that all tests read and none changes."""

    bucket: str
    objects: dict[str, bytes]


@pytest.fixture(scope="module")
def source(seaweed_server: S3Server) -> Source:
    async def filled() -> Source:
        source = Source(await seaweed_server.make_bucket(keep=True), objects_of(1))
        await fill(seaweed_server, source.bucket, source.objects)
        return source

    return asyncio.run(filled())


@pytest.fixture(scope="module")
def small_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for all, with parts as small as they may be; it must still stop in good order at the end."""
    daemon = Daemon(tmp_path_factory.mktemp("faults"), limits=LIMITS)
    asyncio.run(daemon.start())
    yield daemon
    assert asyncio.run(daemon.stop()) == 0
    assert "Traceback" not in daemon.log()


FAULTS = {
    "a bit flipped in what the source sends": lambda: [
        Fault(Kind.FLIP_ANSWER, "GET", r"small/[12]", times=3, at=0),
        Fault(Kind.FLIP_ANSWER, "GET", r"stream$", at=2 * MIB),
        Fault(Kind.FLIP_ANSWER, "GET", r"large$", at=-1),
    ],
    "a bit flipped in what the destination gets": lambda: [
        Fault(Kind.FLIP_REQUEST, "PUT", r"small/[12]", times=3, at=0),
        Fault(Kind.FLIP_REQUEST, "PUT", r"stream$", at=2 * MIB),
        Fault(Kind.FLIP_REQUEST, "PUT", r"large\?", times=2, at=100),
    ],
    "bodies that end early": lambda: [
        Fault(Kind.TRUNCATE, "GET", r"small/", times=5, at=1),
        Fault(Kind.TRUNCATE, "GET", r"stream$", at=MIB),
        Fault(Kind.TRUNCATE, "GET", r"large$", times=2, at=2 * MIB),
    ],
    "a burst of 503": lambda: [s3_error(503, "SlowDown", times=60)],
    "every third request refused": lambda: [s3_error(503, "SlowDown", times=None, chance=0.2, seed=7)],
    "429 with Retry-After": lambda: [s3_error(429, "TooManyRequests", times=3, retry_after_s=1)],
    "500 on every kind of request": lambda: [
        s3_error(500, "InternalError", method=method, times=2) for method in ("GET", "PUT", "POST")
    ],
    "resets": lambda: [Fault(Kind.RESET, method, times=4) for method in ("GET", "PUT", "POST")],
    "answers that are lost": lambda: [
        Fault(Kind.LOSE, "PUT", times=3),
        Fault(Kind.LOSE, "POST", "uploads", times=2),
        Fault(Kind.LOSE, "POST", "uploadId", times=2),
    ],
    "an error inside a 200 to a Complete": lambda: [
        s3_error(200, "InternalError", method="POST", target="uploadId", times=2),
    ],
    "an empty 200 to a Complete": lambda: [Fault(Kind.ANSWER, "POST", "uploadId", status=200)],
    "ranges that are ignored once": lambda: [
        Fault(Kind.ANSWER, "GET", r"large$", times=2, status=200, body=b"everything"),
    ],
    "one 403 and one 404 each": lambda: [
        s3_error(403, "AccessDenied", method="GET", target="small"),
        s3_error(404, "NoSuchKey", method="GET", target="small"),
        s3_error(403, "AccessDenied", method="PUT", target="small"),
    ],
}


@pytest.mark.parametrize("name", FAULTS)
async def test_the_copy_is_true_in_spite_of(
    name: str, small_parts: Daemon, source: Source, seaweed: S3Server
) -> None:
    destination = await seaweed.make_bucket()
    with FaultProxy(seaweed.url) as proxy:
        async with small_parts.client() as client:
            # Creation and the check before the first object would wait for better times; the faults come at work, and while most of
            # it is left: what is last would meet a burst alone, and wait longer and longer.
            wanted = request(node(seaweed, source.bucket, proxy.url), node(seaweed, destination, proxy.url))
            wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=MIB)
            created = await client.create(wanted)
            await wait_for(client, created.id, lambda task: task.total_num > 0)
            faults = [proxy.add(fault) for fault in FAULTS[name]()]
            await client.limit(created.id, [])
            task = await ended(client, created.id)
    assert task.status == SUCCEEDED, (task, small_parts.log()[-2000:])
    assert (task.successful_num, task.total_num) == (len(source.objects), len(source.objects))
    assert await migrated(seaweed, destination) == source.objects
    assert not await seaweed.open_uploads(destination)
    assert any(fault.met for fault in faults)
    assert seaweed.secret_key not in small_parts.log()


async def test_a_body_that_stalls_is_given_up_and_fetched_again(daemon: Daemon, seaweed: S3Server) -> None:
    # Patience for a server that shares its cores with the other tests: what it is late with is no fault of this test's.
    daemon.extra, daemon.limits = "stall_timeout_s = 4.0\nfirst_byte_timeout_s = 4.0\n", LIMITS
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = objects_of(3, 5)
    await fill(seaweed, source, objects)
    await daemon.start()
    with FaultProxy(seaweed.url) as proxy:
        proxy.add(Fault(Kind.STALL, "GET", r"stream$", at=MIB))
        proxy.add(Fault(Kind.STALL, "GET", r"large$", at=0))
        proxy.add(Fault(Kind.SILENCE, "GET", r"small/000$"))
        async with daemon.client() as client:
            created = await client.create(
                request(node(seaweed, source, proxy.url), node(seaweed, destination))
            )
            task = await ended(client, created.id)
    assert task.status == SUCCEEDED, task
    assert await migrated(seaweed, destination) == objects


async def test_bytes_that_are_wrong_for_good_fail_that_object(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await fill(seaweed, source, {"good": b"good", "bad": b"bad"})
    with FaultProxy(seaweed.url) as proxy:
        proxy.add(Fault(Kind.FLIP_ANSWER, "GET", r"/bad$", times=None))
        async with shared_daemon.client() as client:
            created = await client.create(
                request(node(seaweed, source, proxy.url), node(seaweed, destination))
            )
            task = await ended(client, created.id)
    assert (task.status, task.successful_num, task.failed_num) == (FAILED, 1, 1)
    assert "CRC64" in task.error_reason.error_msg
    assert await migrated(seaweed, destination) == {"good": b"good"}


async def is_deleted(server: S3Server, bucket: str) -> bool:
    """The bucket is emptied and deleted, unless somebody wrote into it between the two."""
    try:
        await server.delete_bucket(bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketNotEmpty":
            raise
        return False
    return True


async def test_the_destination_bucket_vanishing_in_mid_task(small_parts: Daemon, moto: S3Server) -> None:
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    await moto.put_many(source, {"a": b"1", "b": bytes(24 * MIB), "c": b"3"})
    async with small_parts.client() as client:
        wanted = request(node(moto, source), node(moto, destination))
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=2 * MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.complete_size > MIB)
        while not await is_deleted(moto, destination):
            continue
        await client.limit(task_id, [])
        task = await ended(client, task_id)
    assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0058"), task
    assert "bucket" in task.error_reason.error_msg
    assert task.successful_num < 3


async def test_a_source_that_changes_under_way_is_never_mixed(small_parts: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    old, new = b"o" * (32 * MIB), b"n" * (12 * MIB)
    await seaweed.put(source, "large", old)
    async with small_parts.client() as client:
        wanted = request(node(seaweed, source), node(seaweed, destination))
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=4 * MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.complete_size > 2 * MIB)
        await seaweed.put(source, "large", new)
        await client.limit(task_id, [])
        task = await ended(client, task_id)
    assert task.status == SUCCEEDED, task
    assert (await migrated(seaweed, destination))["large"] == new
    assert not await seaweed.open_uploads(destination)


async def test_a_source_that_is_deleted_under_way_fails_alone_and_leaves_no_upload(
    small_parts: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(source, {"large": b"o" * (40 * MIB), "small": b"s"})
    async with small_parts.client() as client:
        wanted = request(node(seaweed, source), node(seaweed, destination))
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=4 * MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.complete_size > MIB)
        await seaweed.delete(source, "large")
        await client.limit(task_id, [])
        task = await ended(client, task_id)
    assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0156"), task
    assert (task.total_num, task.successful_num, task.failed_num) == (2, 1, 1), task
    assert await migrated(seaweed, destination) == {"small": b"s"}
    assert not await seaweed.open_uploads(destination)
