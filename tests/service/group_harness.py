"""Groups on the control process of harness.py: requests, and what a test waits for."""

from __future__ import annotations

import asyncio

import pytest

from omsd.domain.errors import RequestError
from omsd.domain.group import GroupState
from omsd.domain.model import Task, TaskState
from omsd.service import requests
from omsd.service.group_requests import CreateTaskGroup, StartTaskGroup
from omsd.service.group_views import GroupView
from tests.service.deaths import raise_death
from tests.service.harness import PROJECT, Control, create_request
from tests.waiting import PATIENCE_S

_RESTING = {
    GroupState.PAUSED,
    GroupState.CREATION_FAILED,
    GroupState.MIGRATION_FAILED,
    GroupState.COMPLETED,
}


def create_group(*prefixes: str, **changes: object) -> CreateTaskGroup:
    """The keys with these prefixes, the whole bucket if there are none, from AWS to Huawei Cloud."""
    task = create_request()
    assert task.src_node is not None
    source = requests.SrcNode(
        cloud_type="AWS",
        region="us-east-1",
        ak="SRCAK",
        sk="SRCSECRET",
        bucket="from",
        object_key=prefixes or ("",),
    )
    fields: dict[str, object] = {"src_node": source, "dst_node": task.dst_node, "task_type": "PREFIX"}
    return CreateTaskGroup(**(fields | changes))  # type: ignore[arg-type]


def create_list_group(key: str) -> CreateTaskGroup:
    """The keys that list files name."""
    source = requests.SrcNode(
        cloud_type="AWS",
        region="us-east-1",
        ak="SRCAK",
        sk="SRCSECRET",
        bucket="from",
        list_file=requests.ListFile(list_file_key=key, obs_bucket="lists"),
    )
    return create_group(src_node=source, task_type="LIST")


def start_group() -> StartTaskGroup:
    return StartTaskGroup(src_ak="SRCAK2", src_sk="SRCSECRET2", dst_ak="DSTAK2", dst_sk="DSTSECRET2")


async def members(control: Control, group_id: str) -> list[Task]:
    """The tasks of a group, oldest first."""
    page = await control.service.list(PROJECT, requests.ListTasks(group_id=group_id, limit=100))
    return [view.task for view in reversed(page.tasks)]


async def until_members(control: Control, group_id: str, number: int) -> list[Task]:
    """The tasks of the group, once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while len(found := await members(control, group_id)) < number:
            await asyncio.sleep(0.001)
    return found


async def split(control: Control, group_id: str) -> list[Task]:
    """Wait until every task of the group exists."""
    async with asyncio.timeout(PATIENCE_S):
        while not (await control.groups.get(PROJECT, group_id)).group.position.over:
            raise_death(control)
            await asyncio.sleep(0.001)
    return await members(control, group_id)


async def run_out_group(control: Control, group_id: str) -> GroupView:
    """Finish every shard until the group is at rest; what it shows must be true all the way."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            raise_death(control)
            view = await control.groups.get(PROJECT, group_id)
            check_view(view)
            if view.group.state in _RESTING and not view.tally.unrested:
                return view
            for lease_id, run in list(control.executor.running.items()):
                if run.told:
                    await control.executor.release(lease_id)
                else:
                    await control.executor.finish(lease_id)
            await asyncio.sleep(0.001)


def check_view(view: GroupView) -> None:
    """What is true of a group at every moment."""
    counters, tally = view.counters, view.tally
    assert counters.accounted_num <= view.total_num, view
    assert view.created_num <= view.total_num, view
    assert view.created_size_bytes <= view.total_size_bytes, view
    assert tally.total <= view.total_task_num <= tally.total + 1, view
    assert 0 <= view.progress <= 1, view
    if view.group.state is GroupState.COMPLETED:
        assert tally.succeeded == tally.total, view
        assert counters.accounted_num == view.total_num == view.created_num, view
        assert view.progress == 1.0, view
    assert bool(view.group.error_code) == (
        view.group.state in (GroupState.CREATION_FAILED, GroupState.MIGRATION_FAILED)
    ), view


async def refused(call: object) -> RequestError:
    """The refusal of a call."""
    with pytest.raises(RequestError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def states(control: Control, group_id: str) -> list[TaskState]:
    return [task.state for task in await members(control, group_id)]
