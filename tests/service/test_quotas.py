"""What a project may have: refused with code, limit and time, whatever races, is deleted or dies in between."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.group import GroupState
from omsd.domain.model import TaskState
from omsd.domain.quotas import CreationKind, Quotas
from omsd.ports.taskchanges import NoteCreation
from omsd.service.group_planner import ROOM_WAIT_S
from omsd.service.requests import Dialect, ListTasks
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.group_harness import create_group, run_out_group, split, start_group
from tests.service.harness import PROJECT, Control, control_process, create_request
from tests.waiting import PATIENCE_S

HOUR_S = 3600
WORLD = {"a": 1}
# Five tasks of a group.
MANY = {f"key{number:03}": 100 for number in range(20)}


async def create(control: Control, project: str = PROJECT, **changes: object) -> int:
    return (await control.service.create(project, create_request(**changes))).task_id


async def refusal(control: Control, project: str = PROJECT, **changes: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await create(control, project, **changes)
    assert caught.value.refusal is Refusal.QUOTA
    return caught.value


async def delete(control: Control, task_id: int) -> None:
    await control.service.stop(PROJECT, task_id)
    await control.reach(task_id, TaskState.PAUSED)
    await control.service.delete(PROJECT, task_id)


async def test_tasks_of_a_day_are_counted_deleted_ones_too_and_over_restarts(tmp_path: Path) -> None:
    quotas, clock = Quotas(tasks_per_day=3), FakeClock()
    async with control_process(tmp_path, World(WORLD), clock=clock, quotas=quotas, slots=0) as control:
        first = await create(control)
        clock.advance(HOUR_S)
        for _ in range(2):
            await create(control, request_id="second")
        third = await create(control)
        await delete(control, first)
        await delete(control, third)
        error = await refusal(control)
        assert error.code == "OMS.1021"
        assert "has created 3 migration tasks in the last 24 hours and may create 3" in error.message
        assert "[quotas] tasks_per_day" in error.message
        # A day after the first one: FakeClock begins at 2023-11-14 22:13:20.
        assert "at 2023-11-15 22:13:20 UTC, in 23h00m00s" in error.message
        # A repeat creates nothing; and another project has its own.
        await create(control, request_id="second")
        await create(control, "another")
    async with control_process(tmp_path, World(WORLD), clock=clock, quotas=quotas, slots=0) as control:
        clock.advance(23 * HOUR_S - 0.001)
        assert "in 0h00m01s" in (await refusal(control)).message
        clock.advance(0.001)
        await create(control)
        assert "at 2023-11-15 23:13:20 UTC" in (await refusal(control)).message
    assert _rows(tmp_path, "SELECT count(*) FROM creations WHERE project_id = 'project'") == [(3,)]


async def test_a_limit_that_was_lowered_says_when_enough_have_left(tmp_path: Path) -> None:
    clock = FakeClock()
    async with control_process(tmp_path, World(WORLD), clock=clock) as control:
        for _ in range(4):
            await create(control)
            clock.advance(HOUR_S)
    async with control_process(
        tmp_path, World(WORLD), clock=clock, quotas=Quotas(tasks_per_day=2)
    ) as control:
        # The first three must have left: the third was created two hours after the start.
        assert "at 2023-11-16 00:13:20 UTC, in 22h00m00s" in (await refusal(control)).message


async def test_of_creations_that_race_no_more_than_the_limit_pass(tmp_path: Path) -> None:
    quotas = Quotas(tasks_per_day=5)
    async with control_process(tmp_path, World(WORLD), quotas=quotas) as control:
        results = await asyncio.gather(*(create(control) for _ in range(20)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, RequestError)]
        assert len(refused) == 15
        assert {error.code for error in refused} == {"OMS.1021"}
        assert (await control.service.list(PROJECT, ListTasks())).count == 5


async def test_waiting_tasks_are_limited_until_one_of_them_begins(tmp_path: Path) -> None:
    quotas = Quotas(waiting_tasks=2)
    async with control_process(tmp_path, World(WORLD), quotas=quotas, max_parallel_tasks=1) as control:
        running = await create(control)
        await control.reach(running, TaskState.MIGRATING)
        waiting = [await create(control) for _ in range(2)]
        error = await refusal(control)
        assert error.code == "OMS.0077"
        assert "has 2 waiting migration tasks and may have 2 ([quotas] waiting_tasks)" in error.message
        await create(control, "another")
        await control.run_out(running)
        await control.reach(waiting[0], TaskState.MIGRATING)
        await create(control)
        await refusal(control)
        # What was refused was not counted as created.
        now_ms = int(control.clock.now_s() * 1000)
        assert await control.quotas.created_num(PROJECT, CreationKind.TASK, now_ms) == 4


async def test_through_v1_fewer_are_created_and_all_are_counted(tmp_path: Path) -> None:
    quotas, clock = Quotas(tasks_per_day=3, v1_tasks_per_day=2), FakeClock()
    v1 = {"dialect": Dialect.V1, "thread_num": 1, "enable_kms": False}
    async with control_process(tmp_path, World(WORLD), clock=clock, quotas=quotas, slots=0) as control:
        await create(control, **v1)
        clock.advance(HOUR_S)
        await create(control)
        error = await refusal(control, **v1)
        assert error.code == "OMS.1021"
        assert "has created 2 migration tasks in the last 24 hours and may create 2" in error.message
        assert "([quotas] v1_tasks_per_day)" in error.message
        await create(control)
        await create(control, "another", **v1)
    async with control_process(tmp_path, World(WORLD), clock=clock, quotas=quotas, slots=0) as control:
        # Three have been created, and there is room for a second one when only one of them is left.
        assert "in 24h00m00s" in (await refusal(control, **v1)).message
        assert "([quotas] tasks_per_day)" in (await refusal(control)).message


async def test_fewer_tasks_may_wait_for_those_who_come_through_v1(tmp_path: Path) -> None:
    v1 = {"dialect": Dialect.V1, "thread_num": 1, "enable_kms": False}
    quotas = Quotas(waiting_tasks=2, v1_waiting_tasks=1)
    async with control_process(tmp_path, World(WORLD), quotas=quotas, max_parallel_tasks=1) as control:
        await control.reach(await create(control, **v1), TaskState.MIGRATING)
        results = await asyncio.gather(*(create(control, **v1) for _ in range(5)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, RequestError)]
        assert [error.code for error in refused] == ["OMS.0077"] * 4
        assert "may have 1 ([quotas] v1_waiting_tasks)" in refused[0].message
        await create(control)
        assert "may have 2 ([quotas] waiting_tasks)" in (await refusal(control)).message


async def test_v1_is_no_way_around_the_limits_of_the_project(tmp_path: Path) -> None:
    quotas = Quotas(tasks_per_day=1, waiting_tasks=1)
    v1 = {"dialect": Dialect.V1, "thread_num": 1, "enable_kms": False}
    async with control_process(tmp_path, World(WORLD), quotas=quotas, slots=0) as control:
        await create(control)
        assert "([quotas] tasks_per_day)" in (await refusal(control, **v1)).message


async def test_one_project_never_takes_the_places_of_others(tmp_path: Path) -> None:
    quotas = Quotas(parallel_tasks=2)
    async with control_process(
        tmp_path, World(WORLD), quotas=quotas, max_parallel_tasks=3, slots=9
    ) as control:
        mine = [await create(control) for _ in range(4)]
        for task_id in mine[:2]:
            await control.reach(task_id, TaskState.MIGRATING)
        await control.settle()
        assert [(await control.task(task_id)).state for task_id in mine[2:]] == [TaskState.WAITING] * 2
        other = await create(control, "another")
        await control.until(lambda: control.executor.leases_of(other))  # type: ignore[arg-type]
        await control.run_out(mine[0])
        await control.reach(mine[2], TaskState.MIGRATING)
        assert (await control.task(mine[3])).state is TaskState.WAITING


async def test_tasks_that_ran_count_again_after_a_restart(tmp_path: Path) -> None:
    quotas, clock, world = Quotas(parallel_tasks=1), FakeClock(), World(WORLD)
    async with control_process(tmp_path, world, clock=clock, quotas=quotas) as control:
        running = await create(control)
        await control.reach(running, TaskState.MIGRATING)
    async with control_process(tmp_path, world, clock=clock, quotas=quotas) as control:
        second = await create(control)
        await control.lease(running)
        await control.settle()
        assert (await control.task(second)).state is TaskState.WAITING
        await control.run_out(running)
        await control.reach(second, TaskState.MIGRATING)


async def test_groups_are_counted_by_the_same_keeper(tmp_path: Path) -> None:
    quotas, clock = Quotas(groups_per_day=2), FakeClock()
    async with control_process(tmp_path, World(WORLD), clock=clock, quotas=quotas) as control:
        for _ in range(2):
            now_ms = int(clock.now_s() * 1000)
            await control.quotas.check_group(PROJECT, now_ms)
            await control.store.commit([NoteCreation(PROJECT, CreationKind.GROUP, now_ms)])
        with pytest.raises(RequestError, match=r"may create 2 .*groups_per_day.*in 24h00m00s") as caught:
            await control.quotas.check_group(PROJECT, now_ms)
        assert caught.value.code == "OMS.1037"
        await create(control)


async def test_tasks_of_a_group_wait_and_run_like_others_and_are_no_creations_of_the_day(
    tmp_path: Path,
) -> None:
    quotas = Quotas(tasks_per_day=1, parallel_tasks=1)
    async with control_process(
        tmp_path, World(MANY), quotas=quotas, max_parallel_tasks=3, slots=9
    ) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        assert len(await split(control, group_id)) == 5
        await control.until(lambda: control.executor.running)
        await control.settle()
        view = await control.groups.get(PROJECT, group_id)
        assert (view.tally.migrating, view.tally.waiting) == (1, 4)
        await create(control)
        assert (await refusal(control)).code == "OMS.1021"
        now_ms = int(control.clock.now_s() * 1000)
        assert await control.quotas.created_num(PROJECT, CreationKind.GROUP, now_ms) == 1


async def test_a_group_goes_on_making_tasks_when_more_of_them_may_wait(tmp_path: Path) -> None:
    quotas = Quotas(waiting_tasks=2)
    async with control_process(tmp_path, World(MANY), quotas=quotas, max_parallel_tasks=1) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await control.until(lambda: ROOM_WAIT_S in _naps(control))
        await control.until(lambda: control.executor.running)
        view = await control.groups.get(PROJECT, group_id)
        assert view.group.state is GroupState.CREATING
        most_waiting, ending = 0, asyncio.ensure_future(run_out_group(control, group_id))
        while not ending.done():
            most_waiting = max(most_waiting, (await control.groups.get(PROJECT, group_id)).tally.waiting)
            control.clock.advance(1.0)
        view = await ending
        assert (view.group.state, view.tally.succeeded) == (GroupState.COMPLETED, 5)
        assert (view.counters.successful_num, most_waiting) == (len(MANY), 2)


async def test_groups_that_are_split_at_once_take_no_more_places_than_there_are(tmp_path: Path) -> None:
    quotas = Quotas(waiting_tasks=2)
    async with control_process(tmp_path, World(MANY), quotas=quotas, max_parallel_tasks=1) as control:
        running = await create(control)
        await control.reach(running, TaskState.MIGRATING)
        control.executor.answering.clear()
        groups = [(await control.groups.create(PROJECT, create_group())).group_id for _ in range(4)]
        # Two have asked, the others saw that both places are taken; and so does who wants to create a task.
        await control.until(lambda: ROOM_WAIT_S in _naps(control))
        await control.settle()
        assert len(control.executor.questions) == 2
        error = await refusal(control)
        assert error.code == "OMS.0077"
        assert (
            "has 0 waiting migration tasks, its task groups are about to make 2 more, and may have 2"
            in error.message
        )
        # A group that is paused gives its place back.
        await control.groups.stop(PROJECT, groups[0])
        await create(control)
        assert (await refusal(control)).code == "OMS.0077"
        control.executor.answering.set()
        async with asyncio.timeout(PATIENCE_S):
            while await control.store.count_in(PROJECT, (TaskState.WAITING,)) < 2:
                await asyncio.sleep(0.001)
        await control.settle()
        assert await control.store.count_in(PROJECT, (TaskState.WAITING,)) == 2


async def test_a_group_that_waits_for_room_can_be_paused_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    quotas, clock, world = Quotas(waiting_tasks=1), FakeClock(), World(MANY)
    async with control_process(tmp_path, world, clock=clock, quotas=quotas, max_parallel_tasks=1) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        await control.until(lambda: ROOM_WAIT_S in _naps(control))
        await control.groups.stop(PROJECT, group_id)
        await run_out_group(control, group_id)
        # Its pause is over, and nothing is asked any more.
        asked_num = len(control.executor.questions)
        await control.advance(ROOM_WAIT_S)
        await control.settle()
        assert len(control.executor.questions) == asked_num
        await control.groups.start(PROJECT, group_id, start_group())
    async with control_process(tmp_path, world, clock=clock, quotas=quotas, max_parallel_tasks=1) as control:
        ending = asyncio.ensure_future(run_out_group(control, group_id))
        while not ending.done():
            await asyncio.sleep(0.001)
            control.clock.advance(1.0)
        assert (await ending).group.state is GroupState.COMPLETED
    assert set(world.written) == set(MANY)


def _naps(control: Control) -> list[float]:
    return [round(until_s - control.clock.monotonic_s(), 3) for until_s in control.clock.sleeping()]


async def test_what_left_the_day_is_pruned(tmp_path: Path) -> None:
    store = await SqliteTaskStore.open(tmp_path)
    day_ms = 24 * HOUR_S * 1000
    for at_ms in (1, 2, day_ms + 1):
        await store.commit([NoteCreation("p", CreationKind.TASK, at_ms)])
    await store.close()
    assert _rows(tmp_path, "SELECT created_ms FROM creations ORDER BY 1") == [(2,), (day_ms + 1,)]


def _rows(state_dir: Path, query: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(state_dir / DATABASE_FILE)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()
