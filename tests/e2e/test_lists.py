"""Object lists at a real destination: complete, readable, and never the reason why a task fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

from omsd.pb.v1 import types_pb2
from tests.e2e.harness import (
    FAILED,
    MIGRATING,
    SUCCEEDED,
    TASK_DEADLINE_S,
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
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import Fault, Kind, s3_error
from tests.servers import S3Server
from tests.waiting import until

ODD = ["a b", "a+b", "a%2Fb", "%", "&<>\"'", "\u00e9\u20ac/\U0001f600", "tab\there", "=;:@$,", "x" * 200]


def spool_files(daemon: Daemon) -> list[Path]:
    return list((daemon.folder / "state" / "spool").rglob("*.spool"))


async def lists_of(server: S3Server, bucket: str) -> dict[str, list[dict[str, str]]]:
    """The rows of every list in the bucket, by its key."""
    keys = sorted(our_lists(await server.list_all(bucket)))
    return {key: await read_list(server, bucket, key) for key in keys}


async def test_every_object_is_in_one_list_with_its_check(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {key: key.encode() for key in ODD} | {f"n/{n:04}": b"x" * n for n in range(1500)}
    await seaweed.put_many(source, objects)
    await seaweed.put(source, "published", b"p", ChecksumAlgorithm="CRC64NVME")
    for key in ("there/1", "there/2"):
        await seaweed.put(source, key, b"same")
        await seaweed.put(destination, f"in/{key}", b"same")
    names = [*ODD, "n/", "published", "there/1", "there/2", "missing one", "missing/two"]
    async with shared_daemon.client() as client:
        wanted = request(
            node(seaweed, source),
            {**node(seaweed, destination), "save_prefix": "in/"},
            names,
            task_type=types_pb2.TASK_TYPE_OBJECT,
        )
        created = await client.create(wanted)
        async with asyncio.timeout(TASK_DEADLINE_S):
            task = [seen async for seen in client.watch(created.id)][-1]
    assert (task.status, task.skipped_num, task.failed_num) == (FAILED, 2, 2), task
    found = await lists_of(seaweed, destination)
    success, skip, failed = (
        found[f"oms/{name}_object_lists/{task.id}/{name}-objects-list.txt"]
        for name in ("success", "skip", "failed")
    )
    assert len(found) == 3
    assert sorted(row["key"] for row in success) == sorted([*objects, "published"])
    assert len(success) == task.successful_num
    assert sorted(row["key"] for row in skip) == ["there/1", "there/2"]
    assert {row["key"]: row["error_code"] for row in failed} == {
        "missing one": "TRF.0156",
        "missing/two": "TRF.0156",
    }
    by_key = {row["key"]: row for row in success}
    assert {row["check_result"] for row in success} == {"match"}
    assert {row["check_method"] for row in success} == {"size_last_modified"}
    assert by_key["published"]["crc64_nvme_from"] == "source+stream+destination"
    assert by_key["n/0007"]["crc64_nvme_from"] == "stream+destination"
    assert all(int(row["size"]) == len(objects.get(row["key"], b"p")) for row in success)
    record = task.failed_object_record
    assert (record.result, record.HasField("error_code")) == (True, False)
    assert record.list_file_key == f"oms/failed_object_lists/{task.id}/failed-objects-list.txt"
    assert (task.success_record_error_reason, task.skip_record_error_reason) == ("", "")
    assert (await seaweed.head(destination, record.list_file_key))["ContentType"] == "text/plain"
    assert not [path for path in spool_files(shared_daemon) if str(task.id) in str(path)]


async def test_a_destination_that_refuses_lists_does_not_change_the_result(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(source, {"a": b"1", "same": b"2"})
    await seaweed.put(destination, "same", b"2")
    with FaultProxy(seaweed.url) as proxy:
        refused = proxy.add(s3_error(403, "AccessDenied", method="PUT", target=r"/oms/", times=None))
        to = node(seaweed, destination, proxy.url)
        async with shared_daemon.client() as client:
            task = await ended(client, (await client.create(request(node(seaweed, source), to))).id)
            assert (task.status, task.successful_num, task.skipped_num) == (SUCCEEDED, 1, 1), task
            assert (task.success_record_error_reason, task.skip_record_error_reason) == (
                "OMS.0307",
                "OMS.0307",
            )
            assert not task.failed_object_record.HasField("result")
            wanted = request(node(seaweed, source), to, ["no"], task_type=types_pb2.TASK_TYPE_OBJECT)
            task = await ended(client, (await client.create(wanted)).id)
    assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0156")
    record = task.failed_object_record
    assert (record.result, record.list_file_key, record.error_code) == (False, "", "OMS.0307")
    assert record.HasField("result")
    assert refused.met
    assert not our_lists(await seaweed.list_all(destination))


async def test_kill_9_of_all_while_the_lists_go_up(daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"{n:04}": b"x" for n in range(300)}
    await seaweed.put_many(source, objects)
    await daemon.start()
    with FaultProxy(seaweed.url) as proxy:
        slow = proxy.add(Fault(Kind.DELAY, "PUT", r"/oms/", delay_s=20.0))
        async with daemon.client() as client:
            wanted = request(node(seaweed, source), node(seaweed, destination, proxy.url))
            task_id = (await client.create(wanted)).id
            await until(lambda: slow.met, pause_s=0.02)
            task = await client.get(task_id)
            assert (task.status, task.successful_num, task.is_query_over) == (MIGRATING, 300, True), task
        assert spool_files(daemon)
        daemon.kill()
        await daemon.start()
        async with daemon.client() as client:
            task = await ended(client, task_id)
    assert (task.status, task.successful_num, task.success_record_error_reason) == (SUCCEEDED, 300, "")
    (rows,) = (await lists_of(seaweed, destination)).values()
    assert sorted(row["key"] for row in rows) == sorted(objects)
    assert not spool_files(daemon)


async def test_kill_9_under_way_leaves_each_object_in_the_list_once(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = {f"{n:04}": b"x" * 12_000 for n in range(600)}
    await seaweed.put_many(source, objects)
    await daemon.start()
    async with daemon.client() as client:
        wanted = request(node(seaweed, source), node(seaweed, destination))
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=1024 * 1024)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.successful_num > 50)
    daemon.kill()
    await daemon.start()
    async with daemon.client() as client:
        await client.limit(task_id, [])
        task = await ended(client, task_id)
    assert (task.status, task.successful_num) == (SUCCEEDED, 600), task
    (rows,) = (await lists_of(seaweed, destination)).values()
    assert sorted(row["key"] for row in rows) == sorted(objects)


async def test_switched_off_there_is_no_failed_list_and_no_retry(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "a", b"1")
    async with shared_daemon.client() as client:
        wanted = request(
            node(seaweed, source),
            node(seaweed, destination),
            ["a", "no"],
            task_type=types_pb2.TASK_TYPE_OBJECT,
            enable_failed_object_recording=False,
        )
        task = await ended(client, (await client.create(wanted)).id)
    assert (task.status, task.failed_num) == (FAILED, 1)
    assert task.failed_object_record == types_pb2.FailedObjectRecord()
    assert list(await lists_of(seaweed, destination)) == [
        f"oms/success_object_lists/{task.id}/success-objects-list.txt"
    ]


async def test_lists_of_an_earlier_task_are_ordinary_objects_of_a_source(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    first, second, third = [await seaweed.make_bucket() for _ in range(3)]
    await seaweed.put(first, "a", b"1")
    async with shared_daemon.client() as client:
        task = await ended(
            client, (await client.create(request(node(seaweed, first), node(seaweed, second)))).id
        )
        again = await ended(
            client, (await client.create(request(node(seaweed, second), node(seaweed, third)))).id
        )
    assert again.successful_num == 2
    lists = our_lists(await seaweed.list_all(third))
    assert f"oms/success_object_lists/{task.id}/success-objects-list.txt" in lists
    assert len(lists) == 2
    assert await migrated(seaweed, third) == {"a": b"1"}


async def test_a_retry_stores_lists_of_its_own(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "a", b"1")
    async with shared_daemon.client() as client:
        wanted = request(
            node(seaweed, source),
            node(seaweed, destination),
            ["a", "late", "never"],
            task_type=types_pb2.TASK_TYPE_OBJECT,
        )
        task_id = (await client.create(wanted)).id
        await ended(client, task_id)
        await seaweed.put(source, "late", b"2")
        await client.start(keys_again(seaweed, task_id, migrate_failed_object=True))
        task = await ended(client, task_id)
    found = {
        key: [row["key"] for row in rows] for key, rows in (await lists_of(seaweed, destination)).items()
    }
    assert found == {
        f"oms/failed_object_lists/{task_id}/failed-objects-list.txt": ["late", "never"],
        f"oms/failed_object_lists/{task_id}/failed-objects-list-run-2.txt": ["never"],
        f"oms/success_object_lists/{task_id}/success-objects-list.txt": ["a"],
        f"oms/success_object_lists/{task_id}/success-objects-list-run-2.txt": ["late"],
    }
    assert task.failed_object_record.list_file_key.endswith("failed-objects-list-run-2.txt")
