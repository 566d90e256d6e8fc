"""Synchronization tasks against a real server: every call, odd keys, changes in quick succession, what is gone, what is wrong."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import sync_pb2, types_pb2
from tests.e2e.harness import Daemon
from tests.e2e.sync_harness import drained, send, sync_client, sync_keys_again, sync_reached, sync_request
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import s3_error
from tests.servers import S3Server

MIB = 1024 * 1024
DAY_MS = 24 * 3600 * 1000


async def test_every_call_does_what_it_says(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    rng = random.Random(1)
    objects = {f"folder/{n:02}": rng.randbytes(1000 * n) for n in range(20)} | {
        "large": rng.randbytes(20 * MIB)
    }
    await seaweed.put_many(source, objects)
    async with sync_client(shared_daemon, "calls") as client:
        task_id = await client.create(sync_request(seaweed, source, destination, description="live"))
        assert [task.sync_task_id for task in (await client.list(sync_pb2.ListSyncTasksRequest())).tasks] == [
            task_id
        ]
        await send(client, task_id, list(objects))
        task = await drained(client, task_id)
        assert (task.src_bucket, task.dst_bucket, task.description) == (source, destination, "live")
        assert task.status == sync_pb2.SYNC_TASK_STATUS_SYNCHRONIZING
        assert (task.monthly_success_object, task.monthly_size) == (21, sum(map(len, objects.values())))
        assert await seaweed.get_all(destination) == objects
        await send(client, task_id, ["folder/03", "not/there"])
        task = await drained(client, task_id)
        assert (task.monthly_acceptance_request, task.monthly_skip_object) == (23, 2)
        await client.stop(task_id)
        await _refused(client.events(task_id, ["a"]), "OMS.2002")
        await _refused(client.stop(task_id), "OMS.0066")
        stopped = sync_pb2.ListSyncTasksRequest(status=sync_pb2.SYNC_TASK_STATUS_STOPPED)
        assert (await client.list(stopped)).count == 1
        await client.start(sync_keys_again(seaweed, task_id))
        await _refused(client.start(sync_keys_again(seaweed, task_id)), "OMS.0065")
        await _refused(client.delete(task_id), "OMS.0063")
        await seaweed.put(source, "later", b"again")
        await send(client, task_id, ["later"])
        await drained(client, task_id)
        assert await seaweed.get(destination, "later") == b"again"
        await client.stop(task_id)
        await client.delete(task_id)
        await _refused(client.get(task_id), "OMS.2002")
        await _refused(client.events(task_id, ["a"]), "OMS.2002")
        assert (await client.list(sync_pb2.ListSyncTasksRequest())).count == 0


async def test_statistics_have_five_minutes_for_a_day_and_hours_beyond(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(source, {"a": b"12345", "b": b"678"})
    async with sync_client(shared_daemon, "statistics") as client:
        task_id = await client.create(sync_request(seaweed, source, destination))
        await send(client, task_id, ["a", "b", "gone"])
        await drained(client, task_id)
        now_ms = int(time.time() * 1000)
        kinds = [
            sync_pb2.SYNC_DATA_TYPE_SIZE,
            sync_pb2.SYNC_DATA_TYPE_REQUEST,
            sync_pb2.SYNC_DATA_TYPE_FAILURE,
        ]
        for span_ms, interval, length_ms in (
            (DAY_MS, sync_pb2.STATISTIC_TIME_TYPE_FIVE_MINUTES, 300_000),
            (DAY_MS + 1, sync_pb2.STATISTIC_TIME_TYPE_ONE_HOUR, 3_600_000),
        ):
            answer = await client.statistics(
                sync_pb2.GetSyncTaskStatisticsRequest(
                    sync_task_id=task_id, data_type=kinds, start_time=now_ms - span_ms, end_time=now_ms
                )
            )
            assert answer.statistic_time_type == interval
            assert [entry.data_type for entry in answer.statistic_datas] == kinds
            sums = [sum(point.statistic_num for point in entry.data) for entry in answer.statistic_datas]
            assert sums == [8, 3, 0]
            assert all(p.time_stamp % length_ms == 0 for entry in answer.statistic_datas for p in entry.data)
        month_ago = await client.get(task_id, now_ms - 32 * DAY_MS)
        assert month_ago.monthly_acceptance_request == 0
        await client.stop(task_id)


async def test_odd_keys_arrive_under_their_own_names(shared_daemon: Daemon, moto: S3Server) -> None:
    """A + is a space where such an object exists, else a plus."""
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    objects = {
        "test/001.txt": b"1",
        "space here": b"2",
        "plus+here": b"3",
        "100% ü//日本": b"4",
        "both there": b"5",
        "both+there": b"6",
    }
    await moto.put_many(source, objects)
    async with sync_client(shared_daemon, "odd") as client:
        task_id = await client.create(sync_request(moto, source, destination))
        await client.events(
            task_id, ["test%2F001.txt", "space+here", "plus+here", "100%25%20%c3%bc//日本", "both+there"]
        )
        await drained(client, task_id)
        copied = dict(objects)
        del copied["both+there"]
        assert await moto.get_all(destination) == copied
        await client.events(task_id, ["both%2Bthere"])
        task = await drained(client, task_id)
        assert await moto.get_all(destination) == objects
        assert (task.monthly_success_object, task.monthly_failed_object) == (6, 0)
        await client.stop(task_id)


async def test_the_last_of_many_quick_changes_is_what_stays(shared_daemon: Daemon, seaweed: S3Server) -> None:
    """All versions have one size, and most of them one second."""
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    async with sync_client(shared_daemon, "quick") as client:
        task_id = await client.create(sync_request(seaweed, source, destination))
        for version in range(25):
            for key in ("one", "two"):
                await seaweed.put(source, key, f"{key} {version:03}".encode())
                await send(client, task_id, [key, key])
        task = await drained(client, task_id)
        assert await seaweed.get_all(destination) == {"one": b"one 024", "two": b"two 024"}
        assert task.monthly_acceptance_request == 100
        assert task.monthly_failed_object == 0
        await client.stop(task_id)


@pytest.mark.parametrize("deletes", [False, True])
async def test_what_is_gone_at_the_source_is_deleted_only_if_the_task_says_so(
    shared_daemon: Daemon, seaweed: S3Server, deletes: bool
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(source, {"stays": b"1", "goes": b"2"})
    async with sync_client(shared_daemon, f"gone{deletes}") as client:
        task_id = await client.create(sync_request(seaweed, source, destination, enable_delete=deletes))
        await send(client, task_id, ["stays", "goes"])
        await drained(client, task_id)
        await seaweed.delete(source, "goes")
        await send(client, task_id, ["goes", "never was"])
        task = await drained(client, task_id)
        assert task.enable_delete is deletes
        left = {"stays": b"1"} if deletes else {"stays": b"1", "goes": b"2"}
        assert await seaweed.get_all(destination) == left
        assert (task.monthly_success_object, task.monthly_skip_object) == ((3, 1) if deletes else (2, 2))
        await client.stop(task_id)


async def test_a_poison_key_blocks_nothing_and_is_counted_as_failed_when_the_task_stops(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"good/{n:03}": bytes([n]) * 100 for n in range(100)}
    await seaweed.put_many(source, {**objects, "poison": b"x"})
    with FaultProxy(seaweed.url) as proxy:
        proxy.add(s3_error(403, "AccessDenied", target=r"/poison$", times=None))
        async with sync_client(shared_daemon, "poison") as client:
            task_id = await client.create(sync_request(seaweed, source, destination, src_url=proxy.url))
            await send(client, task_id, ["poison", *objects])
            task = await sync_reached(client, task_id, lambda task: task.monthly_success_object == 100)
            assert (task.queued_object, task.monthly_failed_object) == (1, 0)
            await client.stop(task_id)
            task = await drained(client, task_id)
            assert (task.monthly_success_object, task.monthly_failed_object) == (100, 1)
    assert await seaweed.get_all(destination) == objects
    failed = [line for line in shared_daemon.events() if line["event"] == "sync_event_failed"]
    assert [(line["key"], line["code"]) for line in failed] == [("poison", "TRF.0152")]


async def test_a_source_that_fails_for_a_while_is_tried_again(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "a", b"1")
    with FaultProxy(seaweed.url) as proxy:
        proxy.add(s3_error(500, "InternalError", target=r"/a$", times=4))
        async with sync_client(shared_daemon, "for a while") as client:
            task_id = await client.create(sync_request(seaweed, source, destination, src_url=proxy.url))
            await send(client, task_id, ["a"])
            task = await drained(client, task_id)
            assert (task.monthly_success_object, task.monthly_failed_object) == (1, 0)
            await client.stop(task_id)
    assert await seaweed.get_all(destination) == {"a": b"1"}


async def test_wrong_calls_get_the_documented_code_and_name_the_field(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    async with sync_client(shared_daemon, "wrong") as client:
        for change, code, field in (
            ({"src_bucket": ""}, "OMS.1004", "src_bucket"),
            ({"src_bucket": "not-there-at-all"}, "OMS.1014", "src_bucket"),
            ({"dst_sk": "wrong"}, "OMS.1020", "dst_ak"),
            ({"dst_bucket": source}, "OMS.0058", "dst_bucket"),
            ({"src_cloud_type": "Google"}, "OMS.1003", "src_cloud_type"),
            ({"src_endpoint": "ftp://x"}, "OMS.1003", "src_endpoint"),
            ({"description": "it's"}, "OMS.0078", "description"),
            ({"object_overwrite_mode": 77}, "OMS.1003", "object_overwrite_mode"),
            (
                {"source_cdn": types_pb2.SourceCdnReq(domain="d.example", protocol="http")},
                "OMS.0064",
                "source_cdn",
            ),
        ):
            wanted = sync_request(seaweed, source, destination)
            wanted.MergeFrom(sync_pb2.CreateSyncTaskRequest(**change))
            for name, value in change.items():
                if value == "":
                    wanted.ClearField(name)  # type: ignore[arg-type]
            error = await _refused(client.create(wanted), code)
            assert [violation.field for violation in error.violations] == [field], error
            assert "_node" not in error.message
        assert (await client.list(sync_pb2.ListSyncTasksRequest())).count == 0
        task_id = await client.create(sync_request(seaweed, source, destination))
        for keys in ([], [""], ["x" * 16_385], ["%zz"], ["%ff"], ["a"] * 101):
            error = await _refused(client.events(task_id, keys), "OMS.1003" if keys else "OMS.1004")
            assert error.violations[0].field.startswith("object_keys")
        statistics = sync_pb2.GetSyncTaskStatisticsRequest(sync_task_id=task_id)
        assert (await _refused(client.statistics(statistics), "OMS.1004")).violations[0].field == "data_type"
        statistics.data_type.append(sync_pb2.SYNC_DATA_TYPE_SKIP)
        statistics.start_time, statistics.end_time = 10, 9
        await _refused(client.statistics(statistics), "OMS.0051")
        statistics.start_time, statistics.end_time = 0, 1000 * 3_600_000 + 1
        await _refused(client.statistics(statistics), "OMS.0051")
        await _refused(client.list(sync_pb2.ListSyncTasksRequest(limit=101)), "OMS.0051")
        async with sync_client(shared_daemon, "stranger") as stranger:
            await _refused(stranger.get(task_id), "OMS.2002")
            await _refused(stranger.stop(task_id), "OMS.2002")
        made = [task_id]
        for _ in range(4):
            made.append(await client.create(sync_request(seaweed, source, destination)))
        await _refused(client.create(sync_request(seaweed, source, destination)), "OMS.0077")
        async with asyncio.TaskGroup() as group:
            for one in made:
                group.create_task(client.stop(one))


async def _refused(call: object, code: str) -> CallError:
    with pytest.raises(CallError) as caught:
        await call  # type: ignore[misc]
    assert caught.value.code == code, caught.value
    return caught.value
