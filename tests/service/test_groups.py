"""The life of a task group through service, ledger, scheduler and store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from omsd.domain.errors import Failure, Refusal
from omsd.domain.group import GroupState, GroupSums
from omsd.domain.group_plan import Stretch
from omsd.domain.model import BandwidthWindow, Counters, GroupId, TaskId, TaskState
from omsd.service import requests
from omsd.service.group_orders import PlanAnswer, PlanTrouble
from omsd.service.group_requests import ListTaskGroups, RetryTaskGroup
from omsd.service.groups import GroupService
from omsd.service.locations import ValidationPolicy
from omsd.service.probing import EndsProbe
from omsd.store.groups import SqliteGroupStore
from omsd.store.sqlite import SqliteTaskStore
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.group_harness import (
    check_view,
    create_group,
    create_list_group,
    members,
    refused,
    run_out_group,
    split,
    start_group,
    states,
    until_members,
)
from tests.service.harness import PROJECT, control_process, create_request, start_request, world
from tests.waiting import PATIENCE_S

RULE = requests.BandwidthRule(start="00:00", end="23:59", max_bandwidth=5_000_000)


async def test_a_source_becomes_tasks_that_have_each_object_once(tmp_path: Path) -> None:
    here = world(10)
    async with control_process(tmp_path, here) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        tasks = await split(control, group_id)
        assert [(task.spec.after, task.spec.until, task.expected_num) for task in tasks] == [
            ("", "key003", 4),
            ("key003", "key007", 4),
            ("key007", "", 2),
        ]
        assert {task.group_id for task in tasks} == {group_id}
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED
        assert view.counters == Counters(10, 1000, 10, 0, 0, 1000)
        assert (view.tally.succeeded, view.total_size_bytes, view.speed_bytes_per_s) == (3, 1000, 0)
        assert set(here.written.values()) == {1}
        assert len(here.written) == 10
        assert await control.group_store.group_credentials(view.group) is None


async def test_a_task_is_full_by_bytes_as_well_and_may_have_many_prefixes(tmp_path: Path) -> None:
    here = World({"a/1": 100, "b/1": 9_950, "b/2": 1, "c/1": 1, "c/2": 1, "d/1": 7, "x": 5})
    async with control_process(tmp_path, here) as control:
        request = create_group("d/", "a/", "none/", "c/", "b/", "b/2")
        group_id = (await control.groups.create(PROJECT, request)).group_id
        tasks = await split(control, group_id)
        assert [(task.spec.object_keys, task.spec.after, task.spec.until) for task in tasks] == [
            (("a/", "b/"), "", "b/1"),
            (("b/", "c/", "d/"), "b/1", ""),
        ]
        view = await run_out_group(control, group_id)
        assert view.counters.successful_num == 6
        assert set(here.written) == set(here.sizes) - {"x"}
        assert set(here.written.values()) == {1}


async def test_tasks_run_while_others_are_still_made_and_sums_are_true_all_the_time(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(11)) as control:
        control.executor.most_measured = 3
        control.executor.hold_after = 3
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        first = (await until_members(control, group_id, 1))[0]
        await control.executor.work(await control.lease(first.task_id), 2)
        await control.until(lambda: len(control.executor.questions) == 4)
        await control.settle()
        view = await control.groups.get(PROJECT, group_id)
        check_view(view)
        assert (view.group.state, view.group.position.over) == (GroupState.CREATING, False)
        # Three objects of the next task were measured, and it was not made yet.
        assert (view.total_num, view.created_num, view.total_task_num, view.tally.total) == (7, 4, 2, 1)
        assert (view.counters.successful_num, view.tally.migrating) == (2, 1)
        control.executor.answering.set()
        view = await run_out_group(control, group_id)
        assert (view.total_num, view.counters.successful_num) == (11, 11)


async def test_no_more_tasks_run_at_once_than_the_daemon_allows(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(20), max_parallel_tasks=2, slots=10) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await split(control, group_id)
        await control.until(lambda: len(control.executor.running) == 2)
        await control.settle()
        view = await control.groups.get(PROJECT, group_id)
        assert (view.tally.migrating, view.tally.waiting) == (2, 3)
        assert (await run_out_group(control, group_id)).group.state is GroupState.COMPLETED


async def test_an_empty_source_fails_the_creation_and_a_retry_looks_again(tmp_path: Path) -> None:
    here = world(0)
    async with control_process(tmp_path, here) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        view = await control.reach_group(group_id, GroupState.CREATION_FAILED)
        assert (view.group.error_code, view.tally.total) == ("TRF.0012", 0)
        here.sizes["now"] = 1
        retry = RetryTaskGroup(src_ak="A", src_sk="B", dst_ak="C", dst_sk="D")
        await control.groups.retry(PROJECT, group_id, retry)
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED
        assert view.counters.successful_num == 1


async def test_a_folder_of_lists_becomes_a_task_for_each(tmp_path: Path) -> None:
    here = world(6)
    here.manifests = {
        "lists/a.txt": b"key000\nkey001\n",
        "lists/b.txt": b"key002\n",
        "lists/no.csv": b"key003\n",
        "lists/sub/c.txt": b"key004\n",
    }
    async with control_process(tmp_path, here) as control:
        control.executor.most_measured = 2
        group_id = (await control.groups.create(PROJECT, create_list_group("lists/"))).group_id
        tasks = await split(control, group_id)
        files = [task.spec.list_file.key for task in tasks if task.spec.list_file]
        assert files == ["lists/a.txt", "lists/b.txt", "lists/sub/c.txt"]
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED
        assert sorted(here.written) == ["key000", "key001", "key002", "key004"]


async def test_a_single_list_file_is_one_task_and_a_folder_without_lists_fails(tmp_path: Path) -> None:
    here = world(2)
    here.manifests = {"one.txt": b"key001\n"}
    async with control_process(tmp_path, here) as control:
        group_id = (await control.groups.create(PROJECT, create_list_group("one.txt"))).group_id
        assert len(await split(control, group_id)) == 1
        assert (await run_out_group(control, group_id)).counters.successful_num == 1
        empty = (await control.groups.create(PROJECT, create_list_group("empty/"))).group_id
        view = await control.reach_group(empty, GroupState.CREATION_FAILED)
        assert view.group.error_code == "TRF.0013"


async def test_a_pause_stops_the_creation_and_a_start_goes_on_with_both(tmp_path: Path) -> None:
    here = world(12)
    async with control_process(tmp_path, here) as control:
        control.executor.hold_after = 1
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        first = (await until_members(control, group_id, 1))[0]
        lease = await control.lease(first.task_id)
        await control.executor.work(lease, 1)
        await control.groups.stop(PROJECT, group_id)
        assert (await refused(control.groups.stop(PROJECT, group_id))).code == "OMS.1038"
        assert (await refused(control.groups.delete(PROJECT, group_id))).code == "OMS.1036"
        member = await refused(control.service.delete(PROJECT, first.task_id))
        assert (member.code, member.refusal) == ("OMS.0063", Refusal.STATE)
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.PAUSED
        control.executor.answering.set()
        await control.settle()
        assert await states(control, group_id) == [TaskState.PAUSED]
        assert await control.group_store.group_credentials(view.group) is None
        assert await control.store.credentials(first.task_id) is None
        assert (await refused(control.groups.retry(PROJECT, group_id, RetryTaskGroup()))).code == "OMS.1040"

        await control.groups.start(PROJECT, group_id, start_group())
        again = await control.lease(first.task_id)
        assert control.executor.running[again].work.credentials.source.access_key == "SRCAK2"
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED
        assert (view.counters.successful_num, view.tally.total) == (12, 3)
        assert set(here.written.values()) == {1}


async def test_a_group_that_waits_for_its_turn_is_paused_at_once(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        control.executor.answering.clear()
        for _ in range(4):
            await control.groups.create(PROJECT, create_group())
        waiting = (await control.groups.create(PROJECT, create_group())).group_id
        await control.settle()
        assert (await control.groups.get(PROJECT, waiting)).group.state is GroupState.WAITING
        await control.groups.stop(PROJECT, waiting)
        assert (await control.groups.get(PROJECT, waiting)).group.state is GroupState.PAUSED
        control.executor.answering.set()
        await control.groups.start(PROJECT, waiting, start_group())
        assert (await run_out_group(control, waiting)).group.state is GroupState.COMPLETED


async def test_bandwidth_of_the_group_is_a_level_of_its_own_and_changes_at_once(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(8)) as control:
        request = create_group(bandwidth_policy=(RULE,))
        group_id = (await control.groups.create(PROJECT, request)).group_id
        (first, _) = await split(control, group_id)
        await control.lease(first.task_id)
        assert control.executor.limits.groups == {group_id: 5_000_000}
        assert control.executor.limits.tasks[first.task_id].group_id == group_id
        assert control.executor.limits.tightest(first.task_id) == 5_000_000
        other = requests.BandwidthRule(start="00:00", end="23:59", max_bandwidth=7_000_000)
        await control.groups.update(PROJECT, group_id, (other,))
        assert control.executor.limits.groups == {group_id: 7_000_000}
    async with control_process(tmp_path, world(8)) as control:
        assert control.executor.limits.groups == {group_id: 7_000_000}
        view = await run_out_group(control, group_id)
        assert view.group.windows == (BandwidthWindow(0, 1439, 7_000_000),)
        assert control.executor.limits.groups == {}
        assert (await refused(control.groups.update(PROJECT, group_id, (RULE,)))).code == "OMS.1036"


async def test_the_same_request_id_makes_one_group(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        request = create_group(request_id="once")
        one, two = await asyncio.gather(
            control.groups.create(PROJECT, request), control.groups.create(PROJECT, request)
        )
        assert one.group_id == two.group_id
        other = create_group("a/", request_id="once")
        assert (await refused(control.groups.create(PROJECT, other))).code == "OMS.1003"


async def test_a_group_is_seen_by_its_project_only(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        for call in (
            control.groups.get("other", group_id),
            control.groups.stop("other", group_id),
            control.groups.start("other", group_id, start_group()),
            control.service.batch_update(
                "other", requests.BatchUpdateTasks(group_id=group_id, task_priority="HIGH")
            ),
        ):
            error = await refused(call)
            assert (error.code, error.refusal) == ("OMS.1009", Refusal.NOT_FOUND)
        assert (await control.groups.list("other", ListTaskGroups())).count == 0


async def test_all_tasks_of_a_group_get_limits_and_priority_in_one_go(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(12), max_parallel_tasks=1) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await split(control, group_id)
        batch = requests.BatchUpdateTasks(group_id=group_id, bandwidth_policy=(RULE,), task_priority="LOW")
        await control.service.batch_update(PROJECT, batch)
        tasks = await members(control, group_id)
        assert [len(task.windows) for task in tasks] == [1, 1, 1]
        assert {task.priority.value for task in tasks if task.state is TaskState.WAITING} == {"LOW"}
        await run_out_group(control, group_id)
        assert (await refused(control.service.batch_update(PROJECT, batch))).code == "OMS.0086"


async def test_a_paused_task_of_its_own_keeps_the_group_at_work_until_it_is_started(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(8)) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        first, second = await split(control, group_id)
        lease = await control.lease(first.task_id)
        await control.service.stop(PROJECT, first.task_id)
        await control.executor.release(lease)
        await control.reach(first.task_id, TaskState.PAUSED)
        await control.run_out(second.task_id)
        await control.settle()
        assert (await control.groups.get(PROJECT, group_id)).group.state is GroupState.MONITORING
        await control.service.start(PROJECT, first.task_id, start_request())
        assert (await run_out_group(control, group_id)).group.state is GroupState.COMPLETED


async def test_a_watch_shows_the_running_tasks_and_ends_with_the_group(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(8)) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        seen = []

        async def watch() -> None:
            async for watched in control.groups.watch(PROJECT, group_id):
                check_view(watched.view)
                seen.append((watched.view.group.state, len(watched.running)))

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            await split(control, group_id)
            await control.until(lambda: len(control.executor.running) == 2)
            async with asyncio.timeout(PATIENCE_S):
                while not any(running for _, running in seen):
                    await control.advance(0.6)
            await run_out_group(control, group_id)
            async with asyncio.timeout(PATIENCE_S):
                while not watching.done():
                    await control.advance(0.6)
        assert seen[-1][0] is GroupState.COMPLETED


async def test_active_time_is_counted_and_does_not_run_while_paused(tmp_path: Path) -> None:
    clock = FakeClock()
    async with control_process(tmp_path, world(8), clock=clock) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        tasks = await split(control, group_id)
        for task in tasks:
            await control.lease(task.task_id)
        await control.advance(40)
        assert (await control.groups.get(PROJECT, group_id)).total_ms == 40_000
        await control.groups.stop(PROJECT, group_id)
        for lease in list(control.executor.running):
            await control.executor.release(lease)
        await control.reach_group(group_id, GroupState.PAUSED)
        clock.advance(1000)
        view = await control.groups.get(PROJECT, group_id)
        assert view.total_ms == 40_000
        assert view.group.started_ms > 0


async def test_tasks_of_no_group_are_as_they_were(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(3)) as control:
        task = await control.service.create(PROJECT, create_request())
        await control.run_out(task.task_id)
        assert (await control.task(task.task_id)).group_id == ""
        assert (await control.service.list(PROJECT, requests.ListTasks(group_id="nobody"))).count == 0


async def test_an_answer_to_an_earlier_stretch_of_planning_makes_no_task(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(8)) as control:
        control.executor.hold_after = 1
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await until_members(control, group_id, 1)
        await control.until(lambda: len(control.executor.questions) == 2)
        late = Stretch("key007", 4, 400, over=True)
        control.channel.order(PlanAnswer(GroupId(group_id), 10_000, late))
        control.channel.order(PlanTrouble(GroupId(group_id), 10_000, Failure("TRF.0001", "late")))
        await control.settle()
        assert len(await members(control, group_id)) == 1
        assert (await control.groups.get(PROJECT, group_id)).group.state is GroupState.CREATING
        control.executor.answering.set()
        assert (await run_out_group(control, group_id)).counters.successful_num == 8


class Interleaved(SqliteGroupStore):
    """Lets something happen between two reads of a view."""

    def __init__(self, store: SqliteTaskStore, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(store)
        self._meanwhile = meanwhile

    async def group_sums(self, group_id: GroupId, without: Sequence[TaskId] = ()) -> GroupSums:
        await self._meanwhile()
        return await super().group_sums(group_id, without)


async def test_what_was_measured_counts_once_while_a_task_is_made_of_it(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(9)) as control:
        control.executor.most_measured = 3
        control.executor.hold_after = 1
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await control.until(lambda: len(control.executor.questions) == 2)
        await control.settle()

        async def next_step() -> None:
            if len(control.executor.questions) == 2:
                control.executor.hold_after = 1
                control.executor.answering.set()
                await until_members(control, group_id, 1)

        service = GroupService(
            Interleaved(control.store.real, next_step),
            control.store,
            control.channel,
            control.board,
            EndsProbe(control.executor, control.clock, deadline_s=1.0),
            control.clock,
            ValidationPolicy(),
            control.notices,
            control.quotas,
        )
        view = await service.get(PROJECT, group_id)
        check_view(view)
        assert (view.total_num, view.created_num, view.tally.total) == (4, 4, 1)
