"""Task groups on a real server: split, paused, limited, retried, killed; each object is migrated once."""

from __future__ import annotations

import asyncio
import random

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import group_pb2, task_pb2, types_pb2
from tests.e2e.group_harness import (
    COMPLETED,
    MIGRATION_FAILED,
    MONITORING,
    PAUSED,
    group_client,
    group_ended,
    group_request,
    keys_of,
    wait_for_group,
)
from tests.e2e.harness import SUCCEEDED, Daemon, migrated, node, read_list
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import s3_error
from tests.servers import S3Server
from tests.waiting import PATIENCE_S

SMALL_TASKS = "[groups]\nobjects_per_task = 40\n"
WINDOW = types_pb2.BandwidthPolicy(start="00:00", end="23:59", max_bandwidth=1_048_576)


def some_objects(number: int, size: int = 100) -> dict[str, bytes]:
    """In two folders and beside them, with names in which the orders of keys differ."""
    keys = []
    for n in range(number):
        name = f"{('a/', 'a-', 'b/')[n % 3]}{n // 3:04}"
        keys.append(f"{name}/x" if n % 7 == 0 else name)
    return {key: bytes([n % 251]) * size for n, key in enumerate(keys)}


async def tasks_of(daemon: Daemon, group_id: str) -> list[task_pb2.Task]:
    async with daemon.client() as client:
        page = await client.list(task_pb2.ListTasksRequest(group_id=group_id, limit=100))
        assert page.count == len(page.tasks)
        return list(reversed(page.tasks))


def assert_tasks_touch(tasks: list[task_pb2.Task]) -> None:
    """Each begins where the one before ends, the first at the beginning and the last at the end."""
    bounds = [(task.src_node.after_key, task.src_node.until_key) for task in tasks]
    assert bounds[0][0] == ""
    assert bounds[-1][1] == ""
    assert [until for _, until in bounds[:-1]] == [after for after, _ in bounds[1:]]
    assert len({task.id for task in tasks}) == len(tasks)
    assert {task.group_type for task in tasks} == {types_pb2.GROUP_TYPE_GROUP_TASK}


async def test_a_bucket_is_split_limited_paused_and_started_again(daemon: Daemon, seaweed: S3Server) -> None:
    daemon.extra = SMALL_TASKS
    await daemon.start()
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    # Long enough for a pause under the limit.
    objects = some_objects(200, 40_000)
    await seaweed.put_many(source, objects)
    ends = (node(seaweed, source), {**node(seaweed, destination), "save_prefix": "to/"})
    async with group_client(daemon) as groups:
        group_id = await groups.create(
            group_request(*ends, bandwidth_policy=[WINDOW], description="all of it")
        )
        group = await wait_for_group(groups, group_id, lambda now: now.success_num > 5 and now.is_create_over)
        assert (group.create_task_num, group.total_num, group.total_size) == (5, 200, 200 * 40_000)
        assert group.src_node.cloud_type == "AWS"
        assert group.status == MONITORING
        tasks = await tasks_of(daemon, group_id)
        assert_tasks_touch(tasks)
        async with daemon.client() as client:
            with pytest.raises(CallError) as refused:
                await client.delete(tasks[0].id)
        assert refused.value.code == "OMS.0063"
        await groups.stop(group_id)
        group = await group_ended(groups, group_id)
        assert group.status == PAUSED
        assert 0 < group.success_num < 200
        done_num = group.success_num
        await groups.limit(group_id, [])
        await groups.start(group_pb2.StartTaskGroupRequest(group_id=group_id, **keys_of(seaweed)))
        group = await group_ended(groups, group_id)
        assert (group.status, group.success_num, group.real_size) == (COMPLETED, 200, 200 * 40_000)
        assert group.bandwidth_policy == []
        assert done_num < group.success_num
        assert await migrated(seaweed, destination) == {f"to/{key}": data for key, data in objects.items()}
        await groups.delete(group_id)
        async with asyncio.timeout(PATIENCE_S):
            while (await groups.list(group_pb2.ListTaskGroupsRequest())).count:
                await asyncio.sleep(0.05)
        assert await tasks_of(daemon, group_id) == []


async def test_lists_failures_and_a_retry_of_failed_objects(daemon: Daemon, seaweed: S3Server) -> None:
    daemon.extra = SMALL_TASKS
    await daemon.start()
    source, destination, lists = [await seaweed.make_bucket() for _ in range(3)]
    objects = {f"k{n:02}": bytes([n]) for n in range(6)}
    await seaweed.put_many(source, objects)
    for name, text in {"in/a.txt": "k00\nk01\n", "in/b.txt": "k02\nbad\n", "in/no.csv": "k05\n"}.items():
        await seaweed.put(lists, name, text.encode(), ContentType="text/plain")
    await seaweed.put(lists, "in/sub/c.txt", b"k03\n", ContentType="text/plain")
    wanted = group_request(
        {
            **node(seaweed, source),
            "list_file": types_pb2.ListFile(list_file_key="in/", obs_bucket=lists),
        },
        node(seaweed, destination),
        task_type=group_pb2.TASK_GROUP_TYPE_LIST,
    )
    async with group_client(daemon) as groups:
        group_id = await groups.create(wanted)
        group = await group_ended(groups, group_id)
        assert group.status == MIGRATION_FAILED
        assert (group.create_task_num, group.failed_task_num, group.fail_num) == (3, 1, 1)
        assert group.error_reason.error_code == "TRF.0156"
        folder = f"oms/task_group/{group_id}/failed_object_lists/"
        record = group.failed_object_record
        assert (record.result, record.list_file_key) == (True, folder)
        (failed,) = [task for task in await tasks_of(daemon, group_id) if task.failed_num]
        key = failed.failed_object_record.list_file_key
        assert key == f"{folder}{failed.id}-failed-objects-list.txt"
        assert [row["key"] for row in await read_list(seaweed, destination, key)] == ["bad"]

        await seaweed.put(source, "bad", b"good now")
        retry = group_pb2.RetryTaskGroupRequest(
            group_id=group_id, migrate_failed_object=True, **keys_of(seaweed)
        )
        await groups.retry(retry)
        group = await group_ended(groups, group_id)
        assert (group.status, group.success_num, group.skip_num) == (COMPLETED, 5, 0)
    found = await seaweed.get_all(destination)
    assert sorted(key for key in found if not key.startswith("oms/")) == ["bad", "k00", "k01", "k02", "k03"]


async def test_a_listing_that_is_refused_fails_the_creation_and_a_retry_goes_on_behind_it(
    daemon: Daemon, seaweed: S3Server
) -> None:
    daemon.extra = SMALL_TASKS
    await daemon.start()
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = some_objects(100)
    await seaweed.put_many(source, objects)
    with FaultProxy(seaweed.url) as proxy:
        # The second stretch is asked for behind a key.
        proxy.add(s3_error(403, "AccessDenied", method="GET", target=r"start-after=.+", times=None))
        async with group_client(daemon) as groups:
            request = group_request(node(seaweed, source, proxy.url), node(seaweed, destination))
            group_id = await groups.create(request)
            group = await wait_for_group(groups, group_id, lambda now: bool(now.error_reason.error_code))
            assert group.error_reason.error_code == "TRF.0152"
            assert group.create_task_num == 1
            proxy.clear()
            await groups.retry(group_pb2.RetryTaskGroupRequest(group_id=group_id, **keys_of(seaweed)))
            group = await group_ended(groups, group_id)
            assert (group.status, group.success_num) == (COMPLETED, 100)
    assert_tasks_touch(await tasks_of(daemon, group_id))
    assert await migrated(seaweed, destination) == objects


async def test_no_kill_loses_or_repeats_a_task_or_an_object(daemon: Daemon, seaweed: S3Server) -> None:
    daemon.extra = "[groups]\nobjects_per_task = 25\n"
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = some_objects(400, 2_000)
    await seaweed.put_many(source, objects)
    chance = random.Random(7)
    await daemon.start()
    async with group_client(daemon) as groups:
        request = group_request(node(seaweed, source), node(seaweed, destination), request_id="once")
        group_id = await groups.create(request)
    for _ in range(5):
        # Anywhere in the creation and the migration: the group is small, so most of it is met.
        await asyncio.sleep(chance.uniform(0.0, 0.7))
        daemon.kill()
        await daemon.start()
    async with group_client(daemon) as groups:
        group = await group_ended(groups, group_id)
        assert (group.status, group.success_num, group.skip_num) == (COMPLETED, 400, 0)
        assert (group.create_task_num, group.total_num) == (16, 400)
    tasks = await tasks_of(daemon, group_id)
    assert_tasks_touch(tasks)
    assert {task.status for task in tasks} == {SUCCEEDED}
    assert sum(task.successful_num for task in tasks) == 400
    assert await migrated(seaweed, destination) == objects
    listed = [
        row["key"]
        for task in tasks
        for row in await read_list(
            seaweed, destination, f"oms/success_object_lists/{task.id}/success-objects-list.txt"
        )
    ]
    assert sorted(listed) == sorted(objects)


async def test_bad_input_is_refused_and_nothing_is_stored(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source = await seaweed.make_bucket()
    good = (node(seaweed, source), node(seaweed, await seaweed.make_bucket()))
    cases = [
        (group_request({**good[0], "bucket": "not-there-at-all"}, good[1]), "OMS.1014"),
        (group_request(good[0], {**good[1], "sk": "wrong"}), "OMS.1020"),
        (group_request(*good, task_type=group_pb2.TASK_GROUP_TYPE_LIST, prefixes=[]), "OMS.0057"),
        (group_request(*good, description="<b>"), "OMS.0078"),
        (group_request(*good, bandwidth_policy=[WINDOW] * 6), "OMS.0083"),
        (group_request(*good, smn_config=types_pb2.SmnConfig(topic_urn="urn")), "OMS.1004"),
    ]
    async with group_client(shared_daemon, "bad-input") as groups:
        for wanted, code in cases:
            with pytest.raises(CallError) as refused:
                await groups.create(wanted)
            assert refused.value.code == code, refused.value
        assert (await groups.list(group_pb2.ListTaskGroupsRequest())).count == 0
