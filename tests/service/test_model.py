"""Random calls, shard events, deaths and restarts: the counters stay exact and the states legal."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omsd.domain.errors import Failure, Refusal, RequestError
from omsd.domain.model import LeaseId, Task, TaskId, TaskState
from omsd.service import requests
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.harness import PROJECT, Control, control_process, create_request, start_request
from tests.waiting import PATIENCE_S

REQUEST = create_request(
    src_node=requests.SrcNode(
        cloud_type="AWS", region="us-east-1", ak="A", sk="S", bucket="from", object_key=("a/", "b/", "c/")
    )
)
OBJECTS = [f"{folder}/{number}" for folder in "abc" for number in range(4)]
ACTIVE = {TaskState.WAITING, TaskState.MIGRATING, TaskState.PAUSING}
LEGAL = {
    (TaskState.WAITING, TaskState.WAITING),
    *((state, state) for state in TaskState),
    (TaskState.WAITING, TaskState.MIGRATING),
    (TaskState.WAITING, TaskState.PAUSED),
    (TaskState.WAITING, TaskState.PAUSING),
    (TaskState.WAITING, TaskState.FAILED),
    (TaskState.WAITING, TaskState.SUCCEEDED),
    (TaskState.MIGRATING, TaskState.PAUSING),
    (TaskState.MIGRATING, TaskState.PAUSED),
    (TaskState.MIGRATING, TaskState.FAILED),
    (TaskState.MIGRATING, TaskState.SUCCEEDED),
    (TaskState.PAUSING, TaskState.PAUSED),
    # By way of Paused: a restart lies between two looks.
    (TaskState.PAUSING, TaskState.WAITING),
    (TaskState.PAUSING, TaskState.MIGRATING),
    (TaskState.PAUSED, TaskState.WAITING),
    (TaskState.PAUSED, TaskState.MIGRATING),
    (TaskState.PAUSED, TaskState.FAILED),
    (TaskState.PAUSED, TaskState.SUCCEEDED),
    (TaskState.FAILED, TaskState.WAITING),
    (TaskState.FAILED, TaskState.MIGRATING),
    (TaskState.FAILED, TaskState.SUCCEEDED),
}

ACTIONS = st.tuples(
    st.sampled_from(
        [
            *("work", "work", "work", "finish", "finish", "repeat", "release", "lose", "fail", "decisive"),
            *("stop", "start", "retry", "delete", "heal", "tick", "restart"),
        ]
    ),
    st.integers(0, 5),
)


async def act(control: Control, world: World, task_id: TaskId, action: str, number: int) -> None:
    """One random step; a refusal is fine, anything else is not."""
    executor = control.executor
    leases = executor.leases_of(task_id)
    lease: LeaseId | None = leases[number % len(leases)] if leases else None
    if lease is not None:
        match action:
            case "work":
                await executor.work(lease, number)
            case "finish":
                await executor.finish(lease)
            case "release":
                await executor.release(lease)
            case "lose":
                await executor.lose(lease)
            case "fail":
                await executor.fail(lease, Failure("TRF.0061", "busy"), decisive=False)
            case "decisive":
                await executor.fail(lease, Failure("TRF.0058", "gone"), decisive=True)
    if action == "repeat" and executor.last_batch is not None:
        await executor.sink.emit(executor.last_batch)
    if action == "heal":
        world.broken = {}
    if action == "tick":
        await control.advance(20)
    await call(control, task_id, action)


async def call(control: Control, task_id: TaskId, action: str) -> None:
    try:
        match action:
            case "stop":
                await control.service.stop(PROJECT, task_id)
            case "start" | "retry":
                await control.service.start(PROJECT, task_id, start_request(failed_only=action == "retry"))
            case "delete" if (await control.task(task_id)).state in ACTIVE:
                await control.service.delete(PROJECT, task_id)
                # Only a waiting task may go; a new one takes its place in the story.
                await control.service.create(PROJECT, REQUEST)
    except RequestError as refused:
        if refused.refusal is not Refusal.STATE:
            raise


async def check(control: Control, world: World, task_id: TaskId, before: TaskState) -> TaskState:
    """Look at memory and store; looks between which the task moved on (its lists went up) say nothing and are taken anew."""
    while True:
        task = await control.task(task_id)
        try:
            await check_one(control, world, task_id, before, task)
        except AssertionError:
            if await control.task(task_id) == task:
                raise
        else:
            return task.state


async def check_one(control: Control, world: World, task_id: TaskId, before: TaskState, task: Task) -> None:
    counters = task.counters
    assert counters.listed_num >= counters.accounted_num
    assert min(counters.listed_num, counters.successful_num, counters.failed_num) >= 0
    assert counters.listed_num <= len(world.sizes)
    rows = await control.store.failed_page(task_id, 0, 100)
    assert len(rows) == counters.failed_num
    assert len({row.key for row in rows}) == len(rows)
    tally = await control.store.failure_tally(task_id)
    assert sum(number for number, _ in tally.values()) == counters.failed_num
    assert (await control.store.credentials(task_id) is not None) == (task.state in ACTIVE)
    assert (before, task.state) in LEGAL
    assert bool(task.error_code) == (task.state is TaskState.FAILED)


async def tell(directory: Path, history: list[tuple[str, int]]) -> None:
    world = World(dict.fromkeys(OBJECTS, 10), broken={"a/1": "TRF.0152", "c/3": "TRF.0160"})
    clock, left, task_id = FakeClock(), list(history), TaskId(0)
    state = TaskState.WAITING
    while True:
        async with control_process(directory, world, clock=clock) as control:
            if not task_id:
                task_id = (await control.service.create(PROJECT, REQUEST)).task_id
            for _ in range(6):
                await control.advance(0)
            while left and left[0][0] != "restart":
                await act(control, world, task_id, *left.pop(0))
                # Grant, check, plan and lease follow one from another.
                for _ in range(6):
                    await control.advance(0)
                task_id = (await control.service.list(PROJECT, requests.ListTasks())).tasks[0].task.task_id
                state = await check(control, world, task_id, state)
            if not left:
                await bring_home(control, world, task_id)
                return
            left.pop(0)


async def bring_home(control: Control, world: World, task_id: TaskId) -> None:
    """However it went, the task can be brought to a true success."""
    world.broken = {}
    while (task := await control.task(task_id)).state is not TaskState.SUCCEEDED:
        if task.state in {TaskState.PAUSED, TaskState.FAILED}:
            await control.service.start(PROJECT, task_id, start_request())
        await control.advance(20)
        for lease_id in control.executor.leases_of(task_id):
            if control.executor.running[lease_id].told:
                await control.executor.release(lease_id)
            else:
                await control.executor.finish(lease_id)
    counters = task.counters
    assert (counters.listed_num, counters.successful_num) == (len(world.sizes), len(world.sizes))
    assert set(world.written) == set(world.sizes)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTIONS, max_size=25))
def test_random_histories_keep_exact_counters_and_legal_states(history: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(asyncio.wait_for(tell(Path(directory), history), PATIENCE_S))
