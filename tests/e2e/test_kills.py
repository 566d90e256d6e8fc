"""kill -9 of daemon and workers at 50 random points of two tasks: afterwards every byte, every counter, every list is right."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from urllib.parse import quote

import pytest

from omsd.cli.task_client import TaskClient
from omsd.domain.overwrite import TIME_GRANULARITY_S
from omsd.pb.v1 import task_pb2, types_pb2
from tests.e2e.harness import (
    FAILED,
    MIGRATING,
    SUCCEEDED,
    Daemon,
    ended,
    migrated,
    node,
    our_lists,
    read_list,
    request,
    wait_for,
)
from tests.servers import S3Server

KIB, MIB = 1024, 1024 * 1024
KILLS = 50
# The points are spread over so much of the bytes; the rest is left, so that the last kill meets work however late it comes.
LAST_POINT = 0.8
# Where the work does not get there because of the kills, the next one comes without it.
LONGEST_PAUSE_S = 1.0
# A shard whose worker dies five times before one object is done fails its task; a new daemon counts anew.
MOST_WORKERS_IN_A_ROW = 4
# Large objects are in parts, recorded as they are stored.
LIMITS = "single_put_max_mib = 4\npart_size_mib = 5\nlarge_object_mib = 8\n"
MISSING = [f"missing/{number}" for number in range(4)]


async def contents(server: S3Server, seed: int) -> tuple[str, str, dict[str, bytes], dict[str, bytes]]:
    """Source and a destination that has some of it already; all objects, and those that are there."""
    rng = random.Random(seed)
    source, destination = await server.make_bucket(), await server.make_bucket()
    objects = {f"a/{n % 7}/small-{n:04}": rng.randbytes(rng.randrange(80 * KIB)) for n in range(250)}
    objects |= {f"b/large-{n}": rng.randbytes(9 * MIB + rng.randrange(12 * MIB)) for n in range(3)}
    objects |= {f"b/empty-{n}": b"" for n in range(3)}
    there = {key: objects[key] for key in rng.sample(sorted(objects), 40) if "large" not in key}
    await server.put_many(source, objects)
    await server.put_many(destination, there)
    return source, destination, objects, there


async def reached(client: TaskClient, task_ids: list[int], point_bytes: float) -> bool:
    """The tasks have come so far, or have had their time; False if there is nothing left to interrupt."""
    deadline_s = time.monotonic() + LONGEST_PAUSE_S
    while True:
        views = [await wait_for(client, task_id, lambda task: True) for task_id in task_ids]
        if all(view.status != MIGRATING for view in views):
            return False
        if sum(view.complete_size for view in views) >= point_bytes or time.monotonic() > deadline_s:
            return True
        await asyncio.sleep(0.03)


async def kill_at_random(
    daemon: Daemon, client: TaskClient, task_ids: list[int], total_bytes: int, rng: random.Random
) -> int:
    """KILLS times, at random points of the work; fewer only if it ended before."""
    points = sorted(rng.uniform(0.0, LAST_POINT) * total_bytes for _ in range(KILLS))
    for number, point in enumerate(points):
        while not daemon.worker_pids():
            await asyncio.sleep(0.01)
        if not await reached(client, task_ids, point):
            return number
        await asyncio.sleep(rng.uniform(0.0, 0.1))
        pids = daemon.worker_pids()
        if pids and number % (MOST_WORKERS_IN_A_ROW + 1) < MOST_WORKERS_IN_A_ROW:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(pids), signal.SIGKILL)
        else:
            daemon.kill()
            await daemon.start()
    return KILLS


async def check(
    server: S3Server, task: task_pb2.Task, bucket: str, objects: dict[str, bytes], there: dict[str, bytes]
) -> None:
    """The task has done all of it, and says so."""
    failed_num = len(MISSING) if task.task_type == types_pb2.TASK_TYPE_LIST else 0
    assert task.total_num == len(objects) + failed_num, task
    assert (task.successful_num, task.skipped_num, task.failed_num) == (
        len(objects) - len(there),
        len(there),
        failed_num,
    ), task
    assert task.total_size == sum(map(len, objects.values())), task
    assert task.real_size == task.total_size - sum(map(len, there.values())), task
    assert await migrated(server, bucket) == objects
    assert not await server.open_uploads(bucket)
    lists = sorted(our_lists(await server.list_all(bucket)))
    rows = [row["key"] for key in lists for row in await read_list(server, bucket, key)]
    assert sorted(rows) == sorted([*objects, *MISSING[:failed_num]])


@pytest.mark.timeout(400)
async def test_killed_at_50_random_points_everything_is_right_afterwards(
    daemon: Daemon, seaweed: S3Server
) -> None:
    seed = int(os.environ.get("OMSD_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print("seed", seed)
    rng = random.Random(seed)
    source, into, objects, there = await contents(seaweed, seed)
    list_source, list_into, listed, list_there = await contents(seaweed, seed + 1)
    filled_s = time.time()
    keys = [*listed, *MISSING]
    rng.shuffle(keys)
    lists = await seaweed.make_bucket()
    for number in range(2):
        text = "".join(f"{quote(key)}\n" for key in keys[number::2]).encode()
        await seaweed.put(lists, f"hw/{number}.txt", text, ContentType="text/plain")
    by_list = request(
        node(seaweed, list_source), node(seaweed, list_into), [], task_type=types_pb2.TASK_TYPE_LIST
    )
    by_list.src_node.list_file.obs_bucket, by_list.src_node.list_file.list_file_key = lists, "hw/"
    wishes = [request(node(seaweed, source), node(seaweed, into)), by_list]
    for wish in wishes:
        wish.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=2 * MIB)
    daemon.limits = LIMITS
    await daemon.start()
    # What was there is told from what a killed lease has written by its time alone, and times are coarse.
    while time.time() <= filled_s + TIME_GRANULARITY_S:
        await asyncio.sleep(0.05)
    async with daemon.client() as client:
        task_ids = [(await client.create(wish)).id for wish in wishes]
        for task_id in task_ids:
            await wait_for(client, task_id, lambda task: task.status == MIGRATING)
        total_bytes = sum(map(len, [*objects.values(), *listed.values()]))
        assert await kill_at_random(daemon, client, task_ids, total_bytes, rng) == KILLS
        for task_id in task_ids:
            await client.limit(task_id, [])
        by_prefix, of_list = [await ended(client, task_id) for task_id in task_ids]
    assert by_prefix.status == SUCCEEDED, by_prefix
    assert (of_list.status, of_list.error_reason.error_code) == (FAILED, "TRF.0156"), of_list
    await check(seaweed, by_prefix, into, objects, there)
    await check(seaweed, of_list, list_into, listed, list_there)
