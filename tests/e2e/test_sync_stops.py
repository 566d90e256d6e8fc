"""kill -9 of daemon and workers in mid stream, bursts, stops: what was accepted arrives, and is counted once."""

from __future__ import annotations

import asyncio
import random

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import sync_pb2
from tests.e2e.harness import Daemon
from tests.e2e.sync_harness import drained, send, sync_client, sync_keys_again, sync_reached, sync_request
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import Fault, Kind
from tests.servers import S3Server
from tests.waiting import PATIENCE_S, until

MIB = 1024 * 1024


async def test_no_accepted_event_is_lost_or_counted_twice_when_daemon_and_workers_are_killed(
    daemon: Daemon, seaweed: S3Server
) -> None:
    """Calls that were not answered are sent again, as callers do; the seed is printed when it fails."""
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    rng = random.Random(seed)
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"{n % 7}/{n:04}": rng.randbytes(rng.randrange(1, 20_000)) for n in range(400)}
    objects |= {f"large/{n}": rng.randbytes(20 * MIB + n) for n in range(2)}
    await seaweed.put_many(source, objects)
    await daemon.start()
    async with sync_client(daemon) as client:
        task_id = await client.create(sync_request(seaweed, source, destination))
    keys = list(objects)
    rng.shuffle(keys)
    answered: list[str] = []

    async def feed() -> None:
        async with sync_client(daemon) as client:
            for first in range(0, len(keys), 5):
                some = keys[first : first + 5]
                while True:
                    try:
                        await send(client, task_id, some)
                        break
                    except CallError as error:
                        if not error.unreachable and error.code != "OMS.2004":
                            raise
                        await asyncio.sleep(0.05)
                answered.extend(some)

    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(feed())
        for point in range(4):
            await asyncio.sleep(rng.uniform(0.1, 0.6))
            if point % 2:
                await daemon.kill_worker(rng)
            else:
                daemon.kill()
                await daemon.start()
        await feeding
    daemon.kill()
    await daemon.start()
    async with sync_client(daemon) as client:
        task = await drained(client, task_id)
    assert answered == keys
    # A call whose answer was lost may have been accepted twice: then its second events found the objects done.
    assert task.monthly_acceptance_request >= len(keys)
    assert task.monthly_failed_object == 0
    assert task.monthly_success_object >= len(keys)
    assert await seaweed.get_all(destination) == objects


async def test_each_event_is_counted_once_when_the_daemon_dies_with_all_of_them_accepted(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"{n:03}": bytes([n % 256]) * 500 for n in range(200)}
    await seaweed.put_many(source, objects)
    await daemon.start()
    async with sync_client(daemon) as client:
        task_id = await client.create(sync_request(seaweed, source, destination))
        await send(client, task_id, list(objects))
    daemon.kill()
    await daemon.start()
    async with sync_client(daemon) as client:
        task = await drained(client, task_id)
        figures = (task.monthly_acceptance_request, task.monthly_success_object, task.monthly_size)
        assert figures == (200, 200, 100_000)
        assert await seaweed.get_all(destination) == objects
        statistics = await client.statistics(
            sync_pb2.GetSyncTaskStatisticsRequest(
                sync_task_id=task_id, data_type=[sync_pb2.SYNC_DATA_TYPE_SUCCESS]
            )
        )
        assert sum(point.statistic_num for point in statistics.statistic_datas[0].data) == 200
    assert await daemon.stop() == 0


async def test_a_burst_over_the_bound_is_refused_and_taken_later(daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"{n:04}": b"x" for n in range(400)}
    await seaweed.put_many(source, objects)
    daemon.extra = "[sync]\nmax_queued_events = 150\n"
    await daemon.start()
    refused_num = 0

    async def feed(client_keys: list[str], held: Fault) -> None:
        nonlocal refused_num
        async with sync_client(daemon) as client:
            while True:
                try:
                    return await send(client, task_id, client_keys)
                except CallError as error:
                    if error.code != "OMS.2004":
                        raise
                    refused_num += 1
                    held.times = 0
                    await asyncio.sleep(0.05)

    keys = list(objects)
    with FaultProxy(seaweed.url) as proxy:
        # Until one is refused they go slower than any machine sends them.
        held = proxy.add(Fault(Kind.DELAY, "GET", r"/\d+$", times=None, delay_s=1.0))
        async with sync_client(daemon) as client:
            task_id = await client.create(sync_request(seaweed, source, destination, src_url=proxy.url))
            async with asyncio.TaskGroup() as group:
                for first in range(0, len(keys), 100):
                    group.create_task(feed(keys[first : first + 100], held))
            task = await drained(client, task_id)
    assert refused_num > 0
    assert (task.monthly_acceptance_request, task.monthly_success_object) == (400, 400)
    assert await seaweed.get_all(destination) == objects


async def test_a_stop_finishes_what_was_accepted_also_over_a_restart(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"{n:03}": b"y" * 100 for n in range(60)}
    await seaweed.put_many(source, objects)
    await daemon.start()
    with FaultProxy(seaweed.url) as proxy:
        slow = proxy.add(Fault(Kind.DELAY, "GET", r"/\d+$", times=None, delay_s=5.0))
        async with sync_client(daemon) as client:
            task_id = await client.create(sync_request(seaweed, source, destination, src_url=proxy.url))
            await send(client, task_id, list(objects))
            await client.stop(task_id)
            task = await client.get(task_id)
            assert task.status == sync_pb2.SYNC_TASK_STATUS_STOPPED
            assert task.queued_object > 0
        daemon.kill()
        slow.times = 0
        await daemon.start()
        async with sync_client(daemon) as client:
            task = await drained(client, task_id)
            assert task.status == sync_pb2.SYNC_TASK_STATUS_STOPPED
            assert task.monthly_success_object == 60
            assert await seaweed.get_all(destination) == objects
            await client.start(sync_keys_again(seaweed, task_id))
            assert await daemon.stop() == 0
    assert "Traceback" not in daemon.log()


async def test_a_delete_drops_what_is_queued_and_leaves_nothing_behind(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "large", bytes(40 * MIB))
    await daemon.start()
    with FaultProxy(seaweed.url) as proxy:
        proxy.add(Fault(Kind.DELAY, "GET", r"/large", times=None, delay_s=PATIENCE_S))
        async with sync_client(daemon) as client:
            task_id = await client.create(sync_request(seaweed, source, destination, src_url=proxy.url))
            await send(client, task_id, ["large"])
            await until(lambda: proxy.count("GET", r"/large") > 0, pause_s=0.02)
            await client.stop(task_id)
            await client.delete(task_id)
            assert (await client.list(sync_pb2.ListSyncTasksRequest())).count == 0
            assert await daemon.stop() == 0
    assert not await seaweed.open_uploads(destination)
    assert not await seaweed.get_all(destination)
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("killed", ["worker", "daemon"])
async def test_an_upload_whose_creation_was_never_answered_is_aborted_after_kill_9(
    daemon: Daemon, seaweed: S3Server, killed: str
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    body = random.Random(3).randbytes(20 * MIB)
    await seaweed.put(source, "large", body)
    theirs = await begin_upload(seaweed, destination, "large")
    await daemon.start()
    with FaultProxy(seaweed.url) as proxy:
        # The service does what is asked; nobody learns the id.
        lost = proxy.add(Fault(Kind.STALL, "POST", r"large\?uploads"))
        async with sync_client(daemon) as client:
            task_id = await client.create(sync_request(seaweed, source, destination, dst_url=proxy.url))
            await send(client, task_id, ["large"])
            await until(lambda: lost.met, pause_s=0.02)
            await opened(seaweed, destination, 2)
            if killed == "daemon":
                daemon.kill()
                await daemon.start()
            else:
                daemon.kill_workers()
        async with sync_client(daemon) as client:
            task = await drained(client, task_id)
    assert (task.monthly_success_object, task.monthly_failed_object) == (1, 0)
    assert await seaweed.get_all(destination) == {"large": body}
    assert await seaweed.open_uploads(destination) == [theirs]


async def test_an_upload_that_a_deleted_task_may_have_left_is_swept(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "large", bytes(20 * MIB))
    await daemon.start()
    with FaultProxy(seaweed.url) as proxy:
        lost = proxy.add(Fault(Kind.STALL, "POST", r"large\?uploads"))
        async with sync_client(daemon) as client:
            task_id = await client.create(sync_request(seaweed, source, destination, dst_url=proxy.url))
            await send(client, task_id, ["large"])
            await until(lambda: lost.met, pause_s=0.02)
            await opened(seaweed, destination, 1)
            await client.stop(task_id)
            await client.delete(task_id)
            await opened(seaweed, destination, 0)
        assert await daemon.stop() == 0
    assert "Traceback" not in daemon.log()


async def begin_upload(server: S3Server, bucket: str, key: str) -> tuple[str, str]:
    """Somebody else's upload of the key, without a part."""
    answer = await asyncio.to_thread(server.api.create_multipart_upload, Bucket=bucket, Key=key)
    return key, answer["UploadId"]


async def opened(server: S3Server, bucket: str, number: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(await server.open_uploads(bucket)) != number:
            await asyncio.sleep(0.05)


async def test_a_signal_finishes_what_runs_and_the_rest_goes_on_after_the_restart(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"{n:03}": b"z" * n for n in range(150)}
    await seaweed.put_many(source, objects)
    await daemon.start()
    with FaultProxy(seaweed.url) as proxy:
        proxy.add(Fault(Kind.DELAY, "GET", r"/\d+$", times=None, delay_s=0.2))
        async with sync_client(daemon) as client:
            task_id = await client.create(sync_request(seaweed, source, destination, src_url=proxy.url))
            await send(client, task_id, list(objects))
            await sync_reached(client, task_id, lambda task: task.monthly_success_object > 0)
        assert await daemon.stop() == 0
        await daemon.start()
        async with sync_client(daemon) as client:
            task = await drained(client, task_id)
    assert (task.monthly_success_object, task.monthly_skip_object) == (150, 0)
    assert await seaweed.get_all(destination) == objects


async def test_keys_are_sealed_and_dropped_when_a_stopped_task_is_drained(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await daemon.start()
    async with sync_client(daemon) as client:
        task_id = await client.create(sync_request(seaweed, source, destination))
        secret = seaweed.secret_key.encode()
        files = await asyncio.to_thread(daemon.state_files)
        assert not any(secret in data for data in files)
        await client.stop(task_id)
        wrong = sync_keys_again(seaweed, task_id)
        wrong.src_sk = "wrong"
        with pytest.raises(CallError) as caught:
            await client.start(wrong)
        assert (caught.value.code, caught.value.violations[0].field) == ("OMS.1014", "src_ak")
        assert (await client.get(task_id)).status == sync_pb2.SYNC_TASK_STATUS_STOPPED
