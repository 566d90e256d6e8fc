"""Synchronization tasks on a real daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from omsd.cli.client import CallError, ServerAddress
from omsd.cli.sync_client import SyncClient
from omsd.pb.v1 import sync_pb2
from tests.e2e.harness import TASK_DEADLINE_S, Daemon
from tests.servers import S3Server


def sync_client(daemon: Daemon, project: str = "p1") -> SyncClient:
    return SyncClient(ServerAddress(daemon.address), project)


def sync_request(
    server: S3Server, source: str, destination: str, *, src_url: str = "", dst_url: str = "", **fields: Any
) -> sync_pb2.CreateSyncTaskRequest:
    """A task between two buckets of one server."""
    return sync_pb2.CreateSyncTaskRequest(
        src_cloud_type="AWS",
        src_region=server.region,
        src_bucket=source,
        src_ak=server.access_key,
        src_sk=server.secret_key,
        src_endpoint=src_url or server.url,
        dst_cloud_type="AWS",
        dst_region=server.region,
        dst_bucket=destination,
        dst_ak=server.access_key,
        dst_sk=server.secret_key,
        dst_endpoint=dst_url or server.url,
        **fields,
    )


def sync_keys_again(server: S3Server, sync_task_id: str) -> sync_pb2.StartSyncTaskRequest:
    ak, sk = server.access_key, server.secret_key
    return sync_pb2.StartSyncTaskRequest(
        sync_task_id=sync_task_id, src_ak=ak, src_sk=sk, dst_ak=ak, dst_sk=sk
    )


async def send(client: SyncClient, sync_task_id: str, keys: Sequence[str]) -> None:
    """Events for keys as they are."""
    for first in range(0, len(keys), 100):
        await client.events(sync_task_id, [quote(key, safe="") for key in keys[first : first + 100]])


async def sync_reached(
    client: SyncClient,
    sync_task_id: str,
    reached: Callable[[sync_pb2.SyncTask], bool],
    *,
    deadline_s: float = TASK_DEADLINE_S,
    calmest_s: float = 0.02,
) -> sync_pb2.SyncTask:
    """Poll until the task is as wanted. calmest_s: the pause that it works up to."""
    pause_s = 0.02
    task = sync_pb2.SyncTask()
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                try:
                    task = await client.get(sync_task_id)
                except CallError as error:
                    if not error.unreachable:
                        raise
                else:
                    if reached(task):
                        return task
                await asyncio.sleep(pause_s)
                pause_s = min(calmest_s, 1.5 * pause_s)
    except TimeoutError:
        raise AssertionError(f"not reached within {deadline_s} s: {task}") from None


async def drained(client: SyncClient, sync_task_id: str, **wanted: Any) -> sync_pb2.SyncTask:
    """The task when everything it accepted is over; each event is then counted once."""
    task = await sync_reached(
        client, sync_task_id, lambda task: task.queued_object == 0, calmest_s=0.1, **wanted
    )
    ended_num = task.monthly_success_object + task.monthly_failed_object + task.monthly_skip_object
    assert task.monthly_acceptance_request == ended_num, task
    return task
