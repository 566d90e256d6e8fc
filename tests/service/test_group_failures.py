"""Groups whose creation or tasks fail: what a retry takes up again, and what a deletion stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

from omsd.domain.errors import Refusal, RequestError, StoreError, StoreErrorKind
from omsd.domain.group import GroupState
from omsd.domain.group_plan import TaskTarget
from omsd.domain.model import Counters, TaskState
from omsd.service import requests
from omsd.service.group_requests import ListTaskGroups, RetryTaskGroup
from tests.service.group_harness import (
    create_group,
    members,
    refused,
    run_out_group,
    split,
    start_group,
    until_members,
)
from tests.service.harness import PROJECT, Control, control_process, start_request, world
from tests.waiting import PATIENCE_S


async def test_failed_tasks_fail_the_group_and_a_retry_takes_only_their_failed_objects(
    tmp_path: Path,
) -> None:
    here = world(10)
    here.broken = {"key001": "TRF.0152", "key009": "TRF.0152"}
    async with control_process(tmp_path, here) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.MIGRATION_FAILED
        assert view.group.error_code == "TRF.0152"
        assert "2 of 3 tasks failed" in view.group.error_message
        assert (view.tally.failed, view.tally.succeeded, view.counters.failed_num) == (2, 1, 2)
        folder = f"oms/task_group/{group_id}/failed_object_lists/"
        assert view.failed_record_key == folder
        failed = [task for task in await members(control, group_id) if task.state is TaskState.FAILED]
        assert {f"{folder}{task.task_id}-failed-objects-list.txt" for task in failed} == {
            key for key in here.lists if "failed" in key
        }
        assert {task.lists.failed_key for task in failed} == {key for key in here.lists if "failed" in key}
        missing = await refused(
            control.groups.retry(PROJECT, group_id, RetryTaskGroup(src_ak="A", src_sk="B"))
        )
        assert missing.code == "OMS.1004"
        assert [wrong.field for wrong in missing.violations] == ["dst_ak", "dst_sk"]

        here.broken = {}
        request = RetryTaskGroup(src_ak="A", src_sk="B", dst_ak="C", dst_sk="D", migrate_failed_object=True)
        await control.groups.retry(PROJECT, group_id, request)
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED
        assert view.counters == Counters(10, 1000, 10, 0, 0, 1000)
        assert set(here.written.values()) == {1}


async def test_a_retry_without_migrate_failed_object_goes_through_the_failed_tasks_once_more(
    tmp_path: Path,
) -> None:
    here = world(8)
    here.broken = {"key001": "TRF.0152"}
    async with control_process(tmp_path, here) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await run_out_group(control, group_id)
        here.broken = {}
        await control.groups.retry(
            PROJECT, group_id, RetryTaskGroup(src_ak="A", src_sk="B", dst_ak="C", dst_sk="D")
        )
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED
        assert [task.run for task in await members(control, group_id)] == [2, 1]


async def test_trouble_of_the_source_is_sat_out(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(8)) as control:
        control.executor.ask_errors = [
            StoreError(StoreErrorKind.UNAVAILABLE, "busy"),
            RequestError("OMS.2004", "no worker", refusal=Refusal.BUSY),
        ]
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await control.until(lambda: len(control.executor.questions) == 1)
        await control.advance(1.1)
        await control.until(lambda: len(control.executor.questions) == 2)
        await control.advance(2.1)
        assert len(await split(control, group_id)) == 2


async def test_a_creation_that_failed_goes_on_after_a_retry_and_its_tasks_do_meanwhile(
    tmp_path: Path,
) -> None:
    here = world(8)
    async with control_process(tmp_path, here) as control:
        group_id, first = await failed_creation(control)
        view = await control.groups.get(PROJECT, group_id)
        assert (view.group.error_code, view.tally.unrested) == ("TRF.0152", 1)
        assert (await refused(control.groups.start(PROJECT, group_id, start_group()))).code == "OMS.1039"
        await control.executor.work(await control.lease(first), 2)
        # Its keys are still stored, as long as a task has them.
        await control.groups.retry(PROJECT, group_id, RetryTaskGroup())
        view = await run_out_group(control, group_id)
        assert (view.group.state, view.counters.successful_num) == (GroupState.COMPLETED, 8)
        assert set(here.written.values()) == {1}


async def test_the_keys_of_a_failed_creation_go_with_the_last_of_its_tasks(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(8)) as control:
        group_id, first = await failed_creation(control)
        await control.run_out(first)
        await control.settle()
        view = await control.reach_group(group_id, GroupState.CREATION_FAILED)
        await control.settle()
        assert await control.group_store.group_credentials(view.group) is None
        missing = await refused(control.groups.retry(PROJECT, group_id, RetryTaskGroup()))
        assert (missing.code, len(missing.violations)) == ("OMS.1004", 4)


async def test_a_group_is_deleted_with_its_tasks_and_only_then_gone(tmp_path: Path) -> None:
    here = world(8)
    async with control_process(tmp_path, here, groups_per_day=1) as control:
        group_id = (await control.groups.create(PROJECT, create_group(request_id="r1"))).group_id
        await run_out_group(control, group_id)
        await control.groups.delete(PROJECT, group_id)
        async with asyncio.timeout(PATIENCE_S):
            while (await control.groups.list(PROJECT, ListTaskGroups())).count:
                await asyncio.sleep(0.001)
        gone = await refused(control.groups.get(PROJECT, group_id))
        assert (gone.code, gone.refusal) == ("OMS.1009", Refusal.NOT_FOUND)
        assert (await refused(control.groups.delete(PROJECT, group_id))).code == "OMS.1009"
        assert (await control.service.list(PROJECT, requests.ListTasks())).count == 0
        assert len(here.written) == 8
        # It still counts among those of the day.
        assert (await refused(control.groups.create(PROJECT, create_group()))).code == "OMS.1037"
        control.clock.advance(86_401)
        assert (await control.groups.create(PROJECT, create_group(request_id="r1"))).group_id != group_id


async def test_deleting_a_group_whose_creation_failed_stops_its_tasks_first(tmp_path: Path) -> None:
    here = world(8)
    async with control_process(tmp_path, here) as control:
        group_id, first = await failed_creation(control)
        lease = await control.lease(first)
        await control.groups.delete(PROJECT, group_id)
        await control.until(lambda: control.executor.running[lease].told == "drain")
        assert (await control.groups.get(PROJECT, group_id)).group.state is GroupState.DELETING
        assert (await refused(control.groups.delete(PROJECT, group_id))).code == "OMS.1036"
        starting = control.service.start(PROJECT, first, start_request())
        assert (await refused(starting)).code == "OMS.1036"
        await control.executor.release(lease)
        async with asyncio.timeout(PATIENCE_S):
            while (await control.groups.list(PROJECT, ListTaskGroups())).count:
                await asyncio.sleep(0.001)
        assert (await control.service.list(PROJECT, requests.ListTasks())).count == 0


async def failed_creation(control: Control) -> tuple[str, int]:
    """A group with one task that waits or runs, whose source cannot be listed any further."""
    control.executor.hold_after = 1
    group_id = (await control.groups.create(PROJECT, create_group())).group_id
    first = (await until_members(control, group_id, 1))[0].task_id
    await control.until(lambda: len(control.executor.questions) == 2)
    control.executor.ask_errors = [StoreError(StoreErrorKind.PERMISSION, "not any more")]
    control.executor.answering.set()
    await control.reach_group(group_id, GroupState.CREATION_FAILED)
    return group_id, first


async def test_a_failed_task_that_is_started_alone_takes_its_group_back_to_work(tmp_path: Path) -> None:
    here = world(8)
    here.broken = {"key001": "TRF.0152"}
    async with control_process(tmp_path, here) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await run_out_group(control, group_id)
        failed = (await members(control, group_id))[0]
        here.broken = {}
        await control.service.start(PROJECT, failed.task_id, start_request(failed_only=True))
        await control.reach_group(group_id, GroupState.MONITORING)
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED


async def test_a_retry_starts_each_task_once_however_soon_it_fails_again(tmp_path: Path) -> None:
    here = world(14)
    here.broken = dict.fromkeys(here.sizes, "TRF.0152")
    async with control_process(
        tmp_path, here, target=TaskTarget(1, 1000), members_per_step=1, max_parallel_tasks=14, slots=14
    ) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await run_out_group(control, group_id)
        keys = RetryTaskGroup(src_ak="A", src_sk="B", dst_ak="C", dst_sk="D")
        await control.groups.retry(PROJECT, group_id, keys)
        view = await run_out_group(control, group_id)
        assert (view.group.state, view.tally.failed) == (GroupState.MIGRATION_FAILED, 14)
        assert {task.run for task in await members(control, group_id)} == {2}
