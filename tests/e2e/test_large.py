"""One huge object over all workers, and several that are not: killed, paused, changed, deleted in the middle; few parts are sent again,
none is left."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from omsd.cli.client import CallError
from tests.e2e.harness import (
    MIGRATING,
    PAUSED,
    SUCCEEDED,
    Daemon,
    ended,
    keys_again,
    migrated,
    node,
    request,
    wait_for,
)
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import Fault, Kind
from tests.servers import S3Server

MIB = 1024 * 1024
PART = 5 * MIB
PARTS = 20
# Where work is divided, and where parts that are sent again are counted: a new beginning after each death must not pass for few.
MANY_PARTS = 40
SIZES = {"OMSD_LIMITS__PART_SIZE_MIB": "5", "OMSD_LIMITS__LARGE_OBJECT_MIB": "16"}
# What one lease of parts has in flight, and how many leases two workers can have of one object by splitting it.
IN_FLIGHT = 4


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with small parts, for tests that do not kill it."""
    daemon = Daemon(tmp_path_factory.mktemp("sharing"))
    asyncio.run(daemon.start(SIZES))
    yield daemon
    daemon.end()


def huge(seed: int, parts: int = PARTS) -> bytes:
    return random.Random(seed).randbytes(parts * PART - 11)


def slow_request(seaweed: S3Server, source: str, destination: str, url: str, rate: int) -> object:
    wanted = request(node(seaweed, source), node(seaweed, destination, url))
    wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=rate)
    return wanted


def parts_sent(proxy: FaultProxy) -> Counter[str]:
    """How often each part was sent, by upload and number."""
    sent: Counter[str] = Counter()
    for seen in list(proxy.seen):
        found = re.search(r"/(?:huge|medium-\d)\?partNumber=(\d+)&uploadId=(\w+)", seen.target)
        if seen.method == "PUT" and found is not None:
            sent[f"{found[2]} {found[1]}"] += 1
    return sent


def moved_by(pid: int) -> int:
    """Bytes a process has written, to sockets too."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


async def test_one_object_keeps_both_workers_busy(sharing: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    body = huge(1, MANY_PARTS)
    await seaweed.put(source, "huge", body, ChecksumAlgorithm="CRC64NVME", ContentType="x/y")
    before = [await asyncio.to_thread(moved_by, pid) for pid in sharing.worker_pids()]
    with FaultProxy(seaweed.url) as proxy:
        async with sharing.client() as client:
            created = await client.create(
                slow_request(seaweed, source, destination, proxy.url, 60 * MIB)  # type: ignore[arg-type]
            )
            half = await wait_for(client, created.id, lambda task: task.complete_size > len(body) // 2)
            assert (half.total_num, half.total_size, half.is_query_over) == (1, len(body), True)
            assert 0.3 < half.progress < 1
            assert half.real_size == 0
            task = await ended(client, created.id)
        moved = [await asyncio.to_thread(moved_by, pid) for pid in sharing.worker_pids()]
    assert (task.status, task.successful_num, task.total_size) == (SUCCEEDED, 1, len(body))
    assert all(after - earlier > len(body) // 5 for earlier, after in zip(before, moved, strict=True)), moved
    assert await migrated(seaweed, destination) == {"huge": body}
    head = await seaweed.head(destination, "huge")
    assert head["ContentType"] == "x/y"
    assert head["ChecksumCRC64NVME"] == (await seaweed.head(source, "huge"))["ChecksumCRC64NVME"]
    sent = parts_sent(proxy)
    assert len(sent) == sum(sent.values()) == MANY_PARTS
    assert not await seaweed.open_uploads(destination)


@pytest.mark.timeout(240)
async def test_kill_9_of_worker_and_daemon_costs_the_parts_in_flight(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    body = huge(2, MANY_PARTS)
    await seaweed.put(source, "huge", body)
    await daemon.start(SIZES)
    with FaultProxy(seaweed.url) as proxy:
        async with daemon.client() as client:
            task_id = (
                await client.create(
                    slow_request(seaweed, source, destination, proxy.url, 16 * MIB)  # type: ignore[arg-type]
                )
            ).id
            await wait_for(client, task_id, lambda task: task.complete_size > 30 * MIB)
            leases = 1
            for fraction, what in ((0.3, "worker"), (0.45, "daemon"), (0.6, "worker")):
                await wait_for(client, task_id, lambda task, f=fraction: task.complete_size > f * len(body))
                if what == "worker":
                    os.kill(daemon.worker_pids()[0], signal.SIGKILL)
                    leases += 2
                else:
                    daemon.kill()
                    leases += 4
                    await daemon.start(SIZES)
            view = await wait_for(client, task_id, lambda task: task.status == MIGRATING)
            assert view.complete_size > len(body) // 3
            await client.limit(task_id, [])
            task = await ended(client, task_id)
    assert (task.status, task.successful_num, task.skipped_num) == (SUCCEEDED, 1, 0), task
    assert await migrated(seaweed, destination) == {"huge": body}
    sent = parts_sent(proxy)
    print(sum(sent.values()), "parts sent of", MANY_PARTS)
    assert len({entry.split()[0] for entry in sent}) == 1  # one upload to the end
    assert len(sent) == MANY_PARTS
    # Each death costs what that lease had in flight: two leases of a killed worker at most, four of a killed daemon.
    assert sum(sent.values()) - MANY_PARTS <= (leases - 1) * IN_FLIGHT
    assert not await seaweed.open_uploads(destination)


@pytest.mark.timeout(240)
async def test_kill_9_in_the_middle_of_several_objects_costs_the_parts_in_flight(
    daemon: Daemon, seaweed: S3Server
) -> None:
    """They are too small for shards of their own: one lease of a range has them all, as it would have thousands."""
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    parts = 16
    objects = {f"medium-{n}": random.Random(n).randbytes(parts * PART - n) for n in range(3)}
    for key, body in objects.items():
        await seaweed.put(source, key, body)
    total = sum(map(len, objects.values()))
    sizes = SIZES | {"OMSD_LIMITS__LARGE_OBJECT_MIB": "256"}
    await daemon.start(sizes)
    with FaultProxy(seaweed.url) as proxy:
        async with daemon.client() as client:
            created = await client.create(
                slow_request(seaweed, source, destination, proxy.url, 20 * MIB)  # type: ignore[arg-type]
            )
            await wait_for(client, created.id, lambda task: task.complete_size > 0.4 * total)
            daemon.kill()
            await daemon.start(sizes)
            await wait_for(client, created.id, lambda task: task.complete_size > 0.65 * total)
            for pid in daemon.worker_pids():
                os.kill(pid, signal.SIGKILL)
            await client.limit(created.id, [])
            task = await ended(client, created.id)
    assert (task.status, task.successful_num, task.total_size) == (SUCCEEDED, 3, total), task
    assert await migrated(seaweed, destination) == objects
    sent = parts_sent(proxy)
    print(sum(sent.values()), "parts sent of", len(objects) * parts)
    assert len({entry.split()[0] for entry in sent}) == len(objects)  # one upload of each to the end
    assert len(sent) == len(objects) * parts
    # Each of two deaths costs what every object had in flight, and a part that was stored while the word of it was on its way.
    again = sum(sent.values()) - len(sent)
    assert again <= 2 * len(objects) * (IN_FLIGHT + 1)
    assert not await seaweed.open_uploads(destination)


async def test_a_pause_keeps_the_parts_and_a_start_goes_on_with_them(
    sharing: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    body = huge(3)
    await seaweed.put(source, "huge", body)
    with FaultProxy(seaweed.url) as proxy:
        async with sharing.client() as client:
            task_id = (
                await client.create(
                    slow_request(seaweed, source, destination, proxy.url, 10 * MIB)  # type: ignore[arg-type]
                )
            ).id
            await wait_for(client, task_id, lambda task: task.complete_size > 30 * MIB)
            await client.stop(task_id)
            paused = await wait_for(client, task_id, lambda task: task.status == PAUSED)
            assert 25 * MIB < paused.complete_size < len(body)
            assert len(await seaweed.open_uploads(destination)) == 1
            sent_before = sum(parts_sent(proxy).values())
            assert paused.complete_size == sent_before * PART
            await client.limit(task_id, [])
            await client.start(keys_again(seaweed, task_id))
            task = await ended(client, task_id)
    assert (task.status, task.successful_num) == (SUCCEEDED, 1), task
    assert await migrated(seaweed, destination) == {"huge": body}
    assert sum(parts_sent(proxy).values()) == PARTS
    assert not await seaweed.open_uploads(destination)


async def test_deleting_a_paused_task_aborts_its_uploads_and_no_stranger_s(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "huge", huge(4))
    strangers = await asyncio.to_thread(seaweed.api.create_multipart_upload, Bucket=destination, Key="huge")
    await daemon.start(SIZES)
    async with daemon.client() as client:
        task_id = (
            await client.create(slow_request(seaweed, source, destination, "", 10 * MIB))  # type: ignore[arg-type]
        ).id
        await wait_for(client, task_id, lambda task: task.complete_size > 15 * MIB)
        await client.stop(task_id)
        await wait_for(client, task_id, lambda task: task.status == PAUSED)
        assert len(await seaweed.open_uploads(destination)) == 2
        # The keys for it are there after a restart as well.
        assert await daemon.stop() == 0
        await daemon.start(SIZES)
    async with daemon.client() as client:
        await client.delete(task_id)
        with pytest.raises(CallError):
            await client.get(task_id)
        async with asyncio.timeout(20):
            while len(left := await seaweed.open_uploads(destination)) > 1:
                await asyncio.sleep(0.05)
    assert [upload_id for _, upload_id in left] == [strangers["UploadId"]]
    assert seaweed.secret_key not in daemon.log()


async def test_a_huge_source_that_changes_under_way_is_begun_again(
    sharing: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    old, new = huge(5), random.Random(6).randbytes(35 * MIB)
    await seaweed.put(source, "huge", old)
    async with sharing.client() as client:
        task_id = (
            await client.create(slow_request(seaweed, source, destination, "", 10 * MIB))  # type: ignore[arg-type]
        ).id
        await wait_for(client, task_id, lambda task: task.complete_size > 20 * MIB)
        await seaweed.put(source, "huge", new)
        await client.limit(task_id, [])
        task = await ended(client, task_id)
    assert (task.status, task.total_num, task.total_size) == (SUCCEEDED, 1, len(new)), task
    assert await migrated(seaweed, destination) == {"huge": new}
    assert not await seaweed.open_uploads(destination)


async def test_lost_answers_to_create_and_complete_leave_one_object_and_no_upload(
    sharing: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    body = huge(7)
    await seaweed.put(source, "huge", body)
    with FaultProxy(seaweed.url) as proxy:
        faults = [
            proxy.add(Fault(Kind.LOSE, "POST", r"huge\?uploads", times=2)),
            proxy.add(Fault(Kind.LOSE, "POST", r"huge\?uploadId", times=1)),
            proxy.add(Fault(Kind.LOSE, "PUT", "partNumber=7&", times=1)),
        ]
        async with sharing.client() as client:
            created = await client.create(
                request(node(seaweed, source), node(seaweed, destination, proxy.url))
            )
            task = await ended(client, created.id)
    assert [fault.met for fault in faults] == [2, 1, 1]
    assert (task.status, task.successful_num) == (SUCCEEDED, 1), task
    assert await migrated(seaweed, destination) == {"huge": body}
    assert not await seaweed.open_uploads(destination)
