"""Task groups on a real daemon over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from omsd.cli.client import CallError, ServerAddress
from omsd.cli.group_client import GroupClient
from omsd.pb.v1 import group_pb2, task_pb2
from tests.e2e.harness import TASK_DEADLINE_S, Daemon
from tests.servers import S3Server

CREATING, MONITORING, PAUSED, CREATION_FAILED, MIGRATION_FAILED, COMPLETED, PAUSING = range(1, 8)
RESTING = (PAUSED, CREATION_FAILED, MIGRATION_FAILED, COMPLETED)


def group_client(daemon: Daemon, project: str = "p1") -> GroupClient:
    return GroupClient(ServerAddress(daemon.address), project)


def group_request(
    source: dict[str, Any], destination: dict[str, Any], prefixes: list[str] | None = None, **fields: Any
) -> group_pb2.CreateTaskGroupRequest:
    """A group over the whole bucket unless prefixes or list files are named."""
    src = task_pb2.SrcNodeReq(**source)
    if "list_file" not in source:
        src.object_key.extend([""] if prefixes is None else prefixes)
    fields.setdefault("task_type", group_pb2.TASK_GROUP_TYPE_PREFIX)
    return group_pb2.CreateTaskGroupRequest(
        src_node=src, dst_node=task_pb2.DstNodeReq(**destination), **fields
    )


def keys_of(server: S3Server) -> dict[str, str]:
    """The keys of one server for both ends of a start or a retry."""
    return {
        "src_ak": server.access_key,
        "src_sk": server.secret_key,
        "dst_ak": server.access_key,
        "dst_sk": server.secret_key,
    }


async def wait_for_group(
    client: GroupClient,
    group_id: str,
    reached: Callable[[group_pb2.TaskGroup], bool],
    *,
    deadline_s: float = TASK_DEADLINE_S,
) -> group_pb2.TaskGroup:
    """Poll until the group is as wanted; each view on the way must add up."""
    group = group_pb2.TaskGroup()
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                try:
                    group = await client.get(group_id)
                except CallError as error:
                    if not error.unreachable:
                        raise
                else:
                    check_group(group)
                    if reached(group):
                        return group
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not reached within {deadline_s} s: {group}") from None


async def group_ended(client: GroupClient, group_id: str) -> group_pb2.TaskGroup:
    """The group when nothing happens by itself any more."""
    return await wait_for_group(client, group_id, lambda group: group.status in RESTING)


def check_group(group: group_pb2.TaskGroup) -> None:
    """What is true of a group at every moment."""
    accounted = group.success_num + group.skip_num + group.fail_num
    assert accounted <= group.total_num, group
    assert group.create_complete_num <= group.total_num, group
    states = (
        group.failed_task_num,
        group.complete_task_num,
        group.paused_task_num,
        group.executing_task_num,
        group.waiting_task_num,
    )
    assert sum(states) == group.create_task_num <= group.total_task_num, group
    assert 0.0 <= group.progress <= 1.0, group
    if group.status == COMPLETED:
        assert accounted == group.total_num == group.create_complete_num, group
        assert group.progress == 1.0, group
    failed = group.status in (CREATION_FAILED, MIGRATION_FAILED)
    assert (group.error_reason.error_code != "") == failed, group
